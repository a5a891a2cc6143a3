"""billing: an ordinary process outside the platform, as they ran before. Finds orders and catalog through Nacos."""

import os
import sys
import tempfile

from registry import Registry
from server import fetch, serve

IP, PORT = sys.argv[1], int(sys.argv[2])
registry = Registry(os.environ["NACOS"], os.environ["NACOS_NAMESPACE"], tempfile.mkdtemp(prefix="billing-"))
registry.subscribe("orders")
registry.subscribe("catalog")


def answer(path):
    bill = {"service": "billing"}
    if path == "/bill":  # What orders asks; asking orders back would never end.
        return bill
    return bill | {
        "catalog": fetch(registry.pick("catalog"))["service"],
        "orders": fetch(registry.pick("orders"))["service"],
    }


serve(
    PORT,
    answer,
    started=lambda: registry.register("billing", IP, PORT),
    stopping=lambda: registry.deregister("billing", IP, PORT),
)
