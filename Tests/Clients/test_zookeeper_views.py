"""One catalogue: what is registered through ZooKeeper is found through Nacos and in Kubernetes, and the other way round."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
import uuid

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError

from conftest import NACOS, ZOOKEEPER, deployment, service, until
from dubbo_hello import SERVICE

HERE = pathlib.Path(__file__).parent


@pytest.fixture
def zk():
    made = KazooClient(ZOOKEEPER, timeout=10)
    made.start(timeout=30)
    yield made
    made.stop()
    made.close()


def nacos(method, path, **query):
    request = urllib.request.Request(f"http://{NACOS}/nacos/v1/ns/{path}?{urllib.parse.urlencode(query)}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def hosts(name):
    return {(host["ip"], host["port"]): host for host in json.loads(nacos("GET", "instance/list", serviceName=name))["hosts"]}


def children(zk, path):
    return sorted(zk.get_children(path)) if zk.exists(path) else []


def payload(name, host, port, flavour, **metadata):
    return json.dumps({"name": name, "id": f"{host}:{port}", "address": host, "port": port, "sslPort": None,
                       "payload": {"@class": flavour, "id": f"{host}:{port}", "name": name, "metadata": metadata},
                       "registrationTimeUTC": 1, "serviceType": "DYNAMIC", "uriSpec": None}).encode()


SPRING = "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance"


def test_an_application_in_zookeeper_is_found_in_nacos_and_leaves_with_its_session(platform, zk):
    name = "app-" + uuid.uuid4().hex[:8]
    provider = KazooClient(ZOOKEEPER)
    provider.start()
    path, data = f"/services/{name}/{uuid.uuid4()}", payload(name, "10.3.0.1", 8080, SPRING, zone="a")
    provider.create(path, data, ephemeral=True, makepath=True)
    found = until("the instance in nacos", lambda: hosts(name))
    assert found[("10.3.0.1", 8080)]["metadata"]["zone"] == "a"
    assert zk.get(path)[0] == data and children(zk, f"/services/{name}") == [path.rsplit("/")[-1]]
    provider.set(path, payload(name, "10.3.0.1", 8080, SPRING, zone="b"))
    until("the change in nacos", lambda: hosts(name)[("10.3.0.1", 8080)]["metadata"]["zone"] == "b")
    provider.stop()
    until("the end in nacos", lambda: not hosts(name))


def test_a_dubbo_provider_in_zookeeper_is_found_in_nacos(platform, zk):
    interface = "com.acme.I" + uuid.uuid4().hex[:8]
    url = f"dubbo://10.3.0.2:20880/{interface}?application=shop-{interface[-4:]}&interface={interface}&version=1.0&weight=200"
    path = f"/dubbo/{interface}/providers/{urllib.parse.quote(url, safe='')}"
    zk.create(path, b"10.3.0.2", ephemeral=True, makepath=True)
    found = until("the provider in nacos", lambda: hosts(f"providers:{interface}:1.0:"))
    host = found[("10.3.0.2", 20880)]
    assert host["metadata"]["interface"] == interface and host["metadata"]["protocol"] == "dubbo" and host["weight"] == 2
    until("its application", lambda: ("10.3.0.2", 20880) in hosts(f"shop-{interface[-4:]}"))
    zk.delete(path)
    until("its end", lambda: not hosts(f"providers:{interface}:1.0:"))


def test_what_registers_in_nacos_is_found_in_zookeeper_and_watches_fire(platform, zk):
    name = "app-" + uuid.uuid4().hex[:8]
    zk.ensure_path(f"/services/{name}")
    seen = []
    zk.ChildrenWatch(f"/services/{name}", lambda found: seen.append(sorted(found)))
    place = {"serviceName": name, "ip": "10.3.0.3", "port": 8080, "ephemeral": "true"}
    assert nacos("POST", "instance", metadata=json.dumps({"zone": "c"}), **place) == "ok"
    until("the znode", lambda: seen[-1] == ["10.3.0.3:8080"])
    path = f"/services/{name}/10.3.0.3:8080"
    shown = json.loads(zk.get(path)[0])
    assert (shown["address"], shown["port"], shown["payload"]["metadata"]["zone"]) == ("10.3.0.3", 8080, "c")
    assert shown["payload"]["@class"] == SPRING and zk.exists(path).ephemeralOwner != 0
    with pytest.raises(NoAuthError):
        zk.set(path, b"mine")
    with pytest.raises(NoAuthError):
        zk.delete(path)
    assert nacos("DELETE", "instance", **place) == "ok"
    until("the end of the znode", lambda: seen[-1] == [])


def test_a_dubbo_provider_in_nacos_is_found_in_zookeeper(platform, zk):
    interface = "com.acme.I" + uuid.uuid4().hex[:8]
    metadata = {"interface": interface, "protocol": "tri", "path": interface, "category": "providers", "side": "provider",
                "application": "shop"}
    place = {"serviceName": f"providers:{interface}::", "ip": "10.3.0.4", "port": 50051, "ephemeral": "true"}
    assert nacos("POST", "instance", metadata=json.dumps(metadata), **place) == "ok"
    found = until("the provider", lambda: children(zk, f"/dubbo/{interface}/providers"))
    url = urllib.parse.urlsplit(urllib.parse.unquote(found[0]))
    assert (url.scheme, url.netloc, url.path) == ("tri", "10.3.0.4:50051", "/" + interface)
    assert urllib.parse.parse_qs(url.query)["application"] == ["shop"]
    assert nacos("DELETE", "instance", **place) == "ok"
    until("its end", lambda: not children(zk, f"/dubbo/{interface}/providers"))


def test_a_pod_is_found_in_zookeeper_and_is_gone_before_it_is_stopped(platform, pods, namespace, zk):
    """Its consumers have listed the directory again before the pod is told to stop."""
    command = [sys.executable, "-m", "http.server", "8080"]
    directory = f"/namespaces/{namespace}/services/web"
    platform.apply(deployment("web", namespace, command, probe=False))
    platform.apply(service("web", namespace))
    found = until("the pod in zookeeper", lambda: children(zk, directory), seconds=60)
    assert len(found) == 1 and found[0].endswith(":8080")
    listed = threading.Event()
    zk.get_children(directory, watch=lambda event: zk.get_children(directory) == [] and listed.set())
    platform.kubectl("-n", namespace, "scale", "deployment", "web", "--replicas=0")
    assert listed.wait(60)
    until("the pod's end", lambda: not platform.objects("pods", "-n", namespace)["items"], seconds=60)
    events = platform.objects("events", "-n", namespace)["items"]
    assert not [event for event in events if event["reason"] == "WithdrawalTimedOut"]


def test_dubbo_calls_dubbo_through_zookeeper(platform, zk):
    command = [sys.executable, str(HERE / "dubbo_hello.py")]
    environment = {**os.environ, "NO_COLOR": "1"}
    provider = subprocess.Popen([*command, "provider", ZOOKEEPER], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                env=environment)
    try:
        until("the provider", lambda: children(zk, f"/dubbo/{SERVICE}/providers"))
        until("the provider in nacos", lambda: ("127.0.0.1", 20881) in hosts(f"providers:{SERVICE}::"))
        done = subprocess.run([*command, "consumer", ZOOKEEPER], capture_output=True, text=True, timeout=60, env=environment)
        assert "hello mangrove" in done.stdout, done.stdout + done.stderr
    finally:
        provider.kill()
        provider.wait()
    until("the killed provider's end", lambda: not children(zk, f"/dubbo/{SERVICE}/providers"), seconds=90)
