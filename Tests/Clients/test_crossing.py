"""A service said in one world is found in every other, also at addresses and in namespaces that Kubernetes does not have."""

import json
import urllib.error
import urllib.parse
import urllib.request

import pytest
from kazoo.client import KazooClient

from conftest import NACOS, ZOOKEEPER, until

INSTANCE = f"http://{NACOS}/nacos/v1/ns/instance"


def ask(method, url, **parameters):
    request = urllib.request.Request(f"{url}?{urllib.parse.urlencode(parameters)}", method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return answer.read().decode()


def register(service, ip, port, namespace, **metadata):
    said = ask("POST", INSTANCE, serviceName=service, ip=ip, port=port, namespaceId=namespace,
               metadata=json.dumps(metadata))
    assert said == "ok"


def hosts(service, namespace):
    return json.loads(ask("GET", INSTANCE + "/list", serviceName=service, namespaceId=namespace))["hosts"]


def places(service, namespace):
    return sorted((host["ip"], host["port"]) for host in hosts(service, namespace) if host["healthy"])


def slices(platform, namespace, service):
    return platform.objects("endpointslices", "-n", namespace, "-l", f"kubernetes.io/service-name={service}")["items"]


def addresses(platform, namespace, service):
    return sorted(endpoint["addresses"][0] for one in slices(platform, namespace, service)
                  for endpoint in one["endpoints"] or [])


@pytest.fixture
def made(platform):
    """A namespace that nobody made in Kubernetes before something registered in it."""
    yield "made-by-a-registry"
    platform.kubectl("delete", "namespace", "made-by-a-registry", "--ignore-not-found", "--wait=false")


def test_what_registers_survives_a_kill_whatever_its_address_and_namespace(platform, made):
    register("loop", "127.0.0.1", 9001, made, zone="a")
    register("loop", "10.9.0.1", 9001, made)
    until("the endpoint", lambda: addresses(platform, made, "loop") == ["10.9.0.1"])
    until("the slice that keeps the other", lambda: len(slices(platform, made, "loop")) == 2)
    platform.kill()
    platform.start()
    assert places("loop", made) == [("10.9.0.1", 9001), ("127.0.0.1", 9001)]
    kept = [host for host in hosts("loop", made) if host["ip"] == "127.0.0.1"]
    assert kept[0]["metadata"] == {"zone": "a"}
    for ip in ("127.0.0.1", "10.9.0.1"):
        ask("DELETE", INSTANCE, serviceName="loop", ip=ip, port=9001, namespaceId=made)
    until("the end of the slices", lambda: not slices(platform, made, "loop"))


def test_an_interface_is_found_as_its_application(platform, namespace):
    name = "providers:com.acme.Cross:1.0.0:"
    register(name, "10.9.0.2", 20880, namespace, application="cross", interface="com.acme.Cross", version="1.0.0")
    assert places("cross", namespace) == [("10.9.0.2", 20880)]
    until("the application's endpoint", lambda: addresses(platform, namespace, "cross") == ["10.9.0.2"])
    ask("DELETE", INSTANCE, serviceName=name, ip="10.9.0.2", port=20880, namespaceId=namespace)
    assert places("cross", namespace) == []
    until("the end of the slices", lambda: not slices(platform, namespace, "cross"))


def test_a_service_declares_interfaces_and_hides(platform, namespace):
    def service(name, **annotations):
        return {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"name": "http", "port": 8080}]},
                "metadata": {"name": name, "namespace": namespace, "annotations": annotations}}

    def endpoints(name):
        return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
                "endpoints": [{"addresses": ["10.9.0.3"], "conditions": {"ready": True}}],
                "ports": [{"name": "http", "port": 8080}, {"name": "dubbo", "port": 20880}]}

    declared = service("declared", **{"mangrove.dev/dubbo-interfaces": "com.acme.Declared:1.0.0@dubbo",
                                      "mangrove.dev/sofa-interfaces": "com.acme.Stock@12200"})
    hidden = service("hidden", **{"mangrove.dev/hidden": "true"})
    for thing in (declared, endpoints("declared"), hidden, endpoints("hidden")):
        platform.apply(json.dumps(thing))
    until("the Dubbo provider", lambda: places("providers:com.acme.Declared:1.0.0:", namespace) == [("10.9.0.3", 20880)])
    until("the SOFA provider", lambda: places("com.acme.Stock:DEFAULT", namespace) == [("10.9.0.3", 12200)])
    provider = hosts("providers:com.acme.Declared:1.0.0:", namespace)[0]
    assert provider["metadata"]["application"] == "declared" and provider["metadata"]["interface"] == "com.acme.Declared"
    assert hosts("com.acme.Stock:DEFAULT", namespace)[0]["clusterName"] == "default-cluster"
    assert places("declared", namespace) == [("10.9.0.3", 8080)]
    assert places("hidden", namespace) == []
    register("hidden", "10.9.0.4", 8080, namespace)
    platform.kubectl("annotate", "service", "declared", "-n", namespace, "mangrove.dev/dubbo-interfaces-")
    until("the end of the Dubbo provider", lambda: not hosts("providers:com.acme.Declared:1.0.0:", namespace))
    assert addresses(platform, namespace, "hidden") == ["10.9.0.3"]
    ask("DELETE", INSTANCE, serviceName="hidden", ip="10.9.0.4", port=8080, namespaceId=namespace)


def test_sofa_on_nacos_without_a_namespace_is_found_on_zookeeper():
    """SOFA's clients say `sofa-rpc` then, and take ZooKeeper's root of that name."""
    place = dict(serviceName="com.acme.Bolt:DEFAULT", ip="10.9.0.5", port=12200, namespaceId="sofa-rpc",
                 clusterName="default-cluster")
    words = {"interface": "com.acme.Bolt", "uniqueId": "", "protocol": "bolt", "version": "1.0", "appName": "bolts"}
    assert ask("POST", INSTANCE, metadata=json.dumps(words), **place) == "ok"
    zookeeper = KazooClient(ZOOKEEPER)
    zookeeper.start()
    try:
        found = until("the provider", lambda: zookeeper.exists("/sofa-rpc/com.acme.Bolt/providers") and
                      zookeeper.get_children("/sofa-rpc/com.acme.Bolt/providers"))
        assert [urllib.parse.unquote(each).startswith("bolt://10.9.0.5:12200?") for each in found] == [True]
        assert places("com.acme.Bolt:DEFAULT", "sofa-rpc") == places("com.acme.Bolt:DEFAULT", "public") == [("10.9.0.5", 12200)]
        assert places("bolts", "public") == [("10.9.0.5", 12200)]
    finally:
        zookeeper.stop()
        zookeeper.close()
        ask("DELETE", INSTANCE, **place)


def test_configuration_makes_its_namespace(platform, made):
    """Nacos takes what is published in a namespace that nobody made."""
    configs = f"http://{NACOS}/nacos/v1/cs/configs"
    assert ask("POST", configs, dataId="a", group="G", tenant=made, content="1") == "true"
    assert ask("GET", configs, dataId="a", group="G", tenant=made) == "1"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask("POST", configs, dataId="a", group="G", tenant="kube-of-mine", content="1")
