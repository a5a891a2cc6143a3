"""orders: a traditional service in a pod. Registers itself through nacos-sdk-python and calls billing found there."""

import os
import tempfile

from registry import Registry
from server import POD, VERSION, fetch, serve

IP, PORT = os.environ["POD_IP"], 8080
registry = Registry(os.environ["NACOS"], os.environ["NACOS_NAMESPACE"], tempfile.mkdtemp(prefix="orders-"))
registry.subscribe("billing")


def answer(path):
    bill = fetch(registry.pick("billing"), "/bill")
    return {"service": "orders", "version": VERSION, "pod": POD, "billed_by": bill["service"]}


serve(
    PORT,
    answer,
    started=lambda: registry.register("orders", IP, PORT, version=VERSION),
    stopping=lambda: registry.deregister("orders", IP, PORT),
)
