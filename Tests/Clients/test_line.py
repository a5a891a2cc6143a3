"""The line end to end: found across both worlds, rolled under load without a failure, killed and back with nothing lost."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest
from conftest import API, NACOS, SHOP, deployment, service, until
from load import Load
from registry import Registry

ORDERS_ENV = [{"name": "NACOS", "value": "nacos.mangrove-system.svc.cluster.local:18848"}]


def resolve(name):
    done = subprocess.run(["dig", "+short", "+time=2", "+tries=1", "@10.96.0.10", name], capture_output=True, text=True)
    return [line for line in done.stdout.split() if line[0].isdigit()]


def nacos_hosts(service, namespace):
    query = urllib.parse.urlencode({"serviceName": service, "namespaceId": namespace})
    with urllib.request.urlopen(f"http://{NACOS}/nacos/v1/ns/instance/list?{query}", timeout=5) as answer:
        return [(host["ip"], host["port"]) for host in json.load(answer)["hosts"] if host["healthy"]]


def get(address, path="/"):
    with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
        return json.load(answer)


@pytest.fixture
def registry(platform, namespace, tmp_path):
    registry = Registry(NACOS, namespace, str(tmp_path))
    yield registry
    registry.close()


def test_a_nacos_instance_is_found_through_kubernetes_and_dns(platform, pods, namespace, registry):
    registry.register("billing", "192.0.2.77", 9000, version="1")
    found = until("the Service", lambda: platform.objects("service", "billing", "-n", namespace))
    assert found["metadata"]["labels"]["mangrove.dev/origin"] == "nacos"
    slices = until("the EndpointSlice", lambda: platform.objects(
        "endpointslices", "-n", namespace, "-l", "kubernetes.io/service-name=billing")["items"])
    assert slices[0]["endpoints"][0]["addresses"] == ["192.0.2.77"]
    assert slices[0]["ports"][0]["port"] == 9000
    until("the name", lambda: resolve(f"billing.{namespace}.svc.cluster.local") == [found["spec"]["clusterIP"]])
    registry.deregister("billing", "192.0.2.77", 9000)
    until("the end of the Service", lambda: not platform.objects("services", "-n", namespace)["items"])
    until("the end of the name", lambda: not resolve(f"billing.{namespace}.svc.cluster.local"))


def test_a_kubernetes_service_is_found_through_nacos(platform, pods, namespace, registry):
    platform.apply(deployment("catalog", namespace, [sys.executable, "-u", str(SHOP / "catalog.py")], replicas=2))
    platform.apply(service("catalog", namespace))
    platform.kubectl("rollout", "status", "deployment/catalog", "-n", namespace, "--timeout=60s")
    addresses = {pod["status"]["podIP"] for pod in platform.objects("pods", "-n", namespace)["items"]}
    until("both instances over HTTP", lambda: {ip for ip, _ in nacos_hosts("catalog", namespace)} == addresses)
    registry.subscribe("catalog")
    until("both instances over gRPC", lambda: len(registry.instances.get("catalog", [])) == 2)
    assert get(registry.pick("catalog"))["service"] == "catalog"


def test_rolling_under_load_loses_no_request(platform, pods, namespace, registry):
    """Two rollouts, one seen through the Service's address and one through a Nacos subscription."""
    platform.apply(deployment("catalog", namespace, [sys.executable, "-u", str(SHOP / "catalog.py")], replicas=2))
    platform.apply(service("catalog", namespace))
    env = [*ORDERS_ENV, {"name": "NACOS_NAMESPACE", "value": namespace}]
    platform.apply(deployment("orders", namespace, [sys.executable, "-u", str(SHOP / "orders.py")], replicas=2, env=env))
    billing = subprocess.Popen(
        [sys.executable, "-u", str(SHOP / "billing.py"), node_address(platform), "18091"],
        env=os.environ | {"NACOS": NACOS, "NACOS_NAMESPACE": namespace})
    try:
        for name in ("catalog", "orders"):
            platform.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, "--timeout=60s")
        cluster_ip = platform.objects("service", "catalog", "-n", namespace)["spec"]["clusterIP"]
        urls = [f"http://{cluster_ip}/", "http://127.0.0.1:18091/"]
        for url in urls:
            until(url, lambda: urllib.request.urlopen(url, timeout=5).status == 200)
        load = Load(urls, rate=40).start()
        for name in ("catalog", "orders"):
            platform.kubectl("set", "env", f"deployment/{name}", "VERSION=2", "-n", namespace)
            platform.kubectl("rollout", "status", f"deployment/{name}", "-n", namespace, "--timeout=90s")
            until("the end of the old pods", lambda: len(
                platform.objects("pods", "-n", namespace, "-l", f"app={name}")["items"]) == 2, seconds=60)
        load.stop()
    finally:
        billing.send_signal(signal.SIGTERM)
        billing.wait(timeout=30)
    withdrawn = [event["message"] for event in platform.objects("events", "-n", namespace)["items"]
                 if event["reason"] == "Withdrawn"]
    print(f"{len(load.seconds)} requests, {len(load.failures)} failures, slowest {max(load.seconds) * 1000:.0f} ms; {withdrawn}")
    assert not load.failures, load.failures[:3]
    assert len(withdrawn) >= 4
    assert get(f"{cluster_ip}")["version"] == "2"


def test_kill_and_restart_lose_nothing(platform, pods, namespace, registry):
    """kill -9 of the platform: pods run on, everything stored is there, and what registered is shown again."""
    platform.apply(deployment("catalog", namespace, [sys.executable, "-u", str(SHOP / "catalog.py")]))
    platform.apply(service("catalog", namespace))
    platform.kubectl("rollout", "status", "deployment/catalog", "-n", namespace, "--timeout=60s")
    registry.register("billing", "192.0.2.77", 9000)
    until("the Service", lambda: platform.objects("service", "billing", "-n", namespace))
    before = {(item["kind"], item["metadata"]["name"]): item["metadata"]["uid"] for item in
              platform.objects("deployments,replicasets,services,configmaps", "-n", namespace)["items"]}
    pod = platform.objects("pods", "-n", namespace)["items"][0]
    address = pod["status"]["podIP"]
    platform.kill()
    assert get(f"{address}:8080")["service"] == "catalog"  # The pod does not notice.
    platform.start()
    after = {(item["kind"], item["metadata"]["name"]): item["metadata"]["uid"] for item in
             platform.objects("deployments,replicasets,services,configmaps", "-n", namespace)["items"]}
    assert before.items() <= after.items()
    kept = platform.objects("pod", pod["metadata"]["name"], "-n", namespace)
    assert kept["metadata"]["uid"] == pod["metadata"]["uid"]
    assert kept["status"]["containerStatuses"][0]["restartCount"] == 0
    assert get(f"{address}:8080")["service"] == "catalog"
    # The client comes back by itself and registers again.
    until("billing", lambda: nacos_hosts("billing", namespace) == [("192.0.2.77", 9000)], seconds=60)
    until("the name", lambda: resolve(f"billing.{namespace}.svc.cluster.local"))


def node_address(platform):
    for address in platform.objects("nodes")["items"][0]["status"]["addresses"]:
        if address["type"] == "InternalIP":
            return address["address"]


def test_one_platform_per_directory(platform):
    second = subprocess.run([platform.binary, "up", "--state", str(platform.state)], capture_output=True, text=True)
    assert second.returncode == 1
    assert f"process id {platform.process.pid}" in second.stderr
    assert (platform.state / "kubeconfig").stat().st_mode & 0o777 == 0o600


def test_status(platform):
    report = json.loads(platform.run("status", "-o", "json").stdout)
    assert report["ready"] and report["objects"]["nodes"] == 1 and report["pid"] == platform.process.pid
    assert API in platform.run("status").stdout
