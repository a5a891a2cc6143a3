"""The real Nacos HTTP client (nacos-sdk-python 1.x) against a running server; MANGROVE_NACOS is its host:port."""

import gzip
import json
import os
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

import nacos
import pytest
from nacos.listener import SubscribeListener

SERVER = os.environ.get("MANGROVE_NACOS", "127.0.0.1:8848")


@pytest.fixture
def client():
    return nacos.NacosClient(SERVER, namespace="public")


@pytest.fixture
def service():
    return "test-" + uuid.uuid4().hex[:8]


def ports(client, service, **options):
    return sorted(host["port"] for host in client.list_naming_instance(service, **options)["hosts"])


def until(condition, what, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def call(method, path):
    request = urllib.request.Request(f"http://{SERVER}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_register_find_change_and_deregister(client, service):
    assert client.add_naming_instance(service, "10.1.0.8", 8080, weight=2, metadata={"zone": "b"})
    answer = client.list_naming_instance(service)
    assert answer["name"] == f"DEFAULT_GROUP@@{service}"
    host = answer["hosts"][0]
    assert (host["ip"], host["port"], host["weight"], host["metadata"]) == ("10.1.0.8", 8080, 2, {"zone": "b"})
    assert client.modify_naming_instance(service, "10.1.0.8", 8080, weight=3)
    detail = client.get_naming_instance(service, "10.1.0.8", 8080)
    assert (detail["weight"], detail["metadata"]) == (3, {"zone": "b"})
    assert client.remove_naming_instance(service, "10.1.0.8", 8080)
    assert ports(client, service) == []


def test_instances_live_by_their_beats(client, service):
    metadata = {"preserved.heart.beat.interval": "300", "preserved.heart.beat.timeout": "800",
                "preserved.ip.delete.timeout": "2000"}
    assert client.add_naming_instance(service, "10.1.0.9", 1, metadata=metadata)
    assert client.send_heartbeat(service, "10.1.0.9", 1, metadata=metadata)["code"] == 10200
    until(lambda: ports(client, service, healthy_only=True) == [], "unhealthy without beats")
    client.send_heartbeat(service, "10.1.0.9", 1, metadata=metadata)
    assert ports(client, service, healthy_only=True) == [1]
    until(lambda: ports(client, service) == [], "gone without beats")
    assert client.send_heartbeat(service, "10.1.0.9", 1, metadata=metadata)["code"] == 10200
    assert ports(client, service) == [1]


def test_light_beat_of_an_unknown_instance_asks_to_register_again(service):
    status, body = call("PUT", f"/nacos/v1/ns/instance/beat?serviceName={service}&ip=10.1.0.9&port=7")
    assert status == 200 and json.loads(body)["code"] == 20404


def test_subscriber_hears_of_changes(client, service):
    heard = []
    client.add_naming_instance(service, "10.1.0.8", 1)
    follow = SubscribeListener(lambda event, instance: heard.append((event, instance.instance["port"])), "follow")
    client.subscribe(follow, 0.3, service_name=service)
    until(lambda: client.subscribed_local_manager.get_local_instances(service), "the first look")
    client.add_naming_instance(service, "10.1.0.8", 2)
    until(lambda: ("ADDED", 2) in heard, "the second instance")
    client.remove_naming_instance(service, "10.1.0.8", 1)
    until(lambda: ("DELETED", 1) in heard, "the end of the first instance")
    client.stop_subscribe()


def test_service_list_and_health(client, service):
    client.add_naming_instance(service, "10.1.0.8", 1)
    status, body = call("GET", "/nacos/v1/ns/service/list?pageNo=1&pageSize=500")
    assert status == 200 and service in json.loads(body)["doms"]
    status, body = call("GET", "/nacos/v1/ns/operator/metrics")
    assert status == 200 and json.loads(body)["status"] == "UP"


def test_persistent_instances_need_no_beats(client, service):
    metadata = {"preserved.heart.beat.timeout": "300", "preserved.ip.delete.timeout": "600"}
    assert client.add_naming_instance(service, "10.1.0.9", 1, metadata=metadata, ephemeral=False)
    time.sleep(1.5)
    assert ports(client, service, healthy_only=True) == [1]
    assert client.remove_naming_instance(service, "10.1.0.9", 1, ephemeral=False)
    assert ports(client, service) == []


def test_configuration(client, service, tmp_path):
    client.set_options(no_snapshot=True, failover_base=str(tmp_path), snapshot_base=str(tmp_path))
    assert client.get_config(service, "DEFAULT_GROUP") is None
    assert client.publish_config(service, "DEFAULT_GROUP", "a=ü", config_type="properties")
    assert client.get_config(service, "DEFAULT_GROUP") == "a=ü"
    found = client.get_configs(group="DEFAULT_GROUP")["pageItems"]
    assert [item["content"] for item in found if item["dataId"] == service] == ["a=ü"]
    assert client.remove_config(service, "DEFAULT_GROUP")
    assert client.get_config(service, "DEFAULT_GROUP") is None


def test_a_watcher_hears_of_changes(client, service, tmp_path):
    client.set_options(failover_base=str(tmp_path / "a"), snapshot_base=str(tmp_path / "b"))
    heard = []
    client.publish_config(service, "DEFAULT_GROUP", "1")
    client.add_config_watcher(service, "DEFAULT_GROUP", lambda item: heard.append(item["content"]))
    time.sleep(0.5)
    client.publish_config(service, "DEFAULT_GROUP", "2")
    until(lambda: heard[-1:] == ["2"], "the change")


def test_a_poll_is_held_until_something_changes(client, service):
    client.publish_config(service, "DEFAULT_GROUP", "1")
    md5 = client.get_md5("1")
    body = urllib.parse.urlencode({"Listening-Configs": f"{service}\x02DEFAULT_GROUP\x02{md5}\x01"}).encode()
    request = urllib.request.Request(f"http://{SERVER}/nacos/v1/cs/configs/listener", data=body, method="POST",
                                     headers={"Long-Pulling-Timeout": "30000"})
    answers = []

    def poll():
        with urllib.request.urlopen(request, timeout=40) as answer:
            answers.append(answer.read().decode())
    thread = threading.Thread(target=poll)
    thread.start()
    time.sleep(0.5)
    assert answers == []
    client.publish_config(service, "DEFAULT_GROUP", "2")
    thread.join(30)
    assert answers == [f"{service}%02DEFAULT_GROUP%01"]


def test_udp_clients_are_pushed_to_and_acknowledge(client, service):
    """What a Java 1.x client does: it says its UDP port with each look, and answers each push."""
    client.add_naming_instance(service, "10.1.0.8", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inbox:
        inbox.bind(("127.0.0.1", 0))
        inbox.settimeout(20)
        request = urllib.request.Request(
            f"http://{SERVER}/nacos/v1/ns/instance/list?serviceName={service}&udpPort={inbox.getsockname()[1]}"
            "&clientIP=127.0.0.1", headers={"User-Agent": "Nacos-Java-Client:v1.4.2"})
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["cacheMillis"] == 10000
        known = json.loads(call("GET", f"/nacos/v1/ns/service/subscribers?serviceName={service}")[1])
        assert known["count"] == 1
        for port in range(2, 14):
            client.add_naming_instance(service, "10.1.0.8", port)
        seen = []
        while len(seen) < 13:
            packet, source = inbox.recvfrom(65536)
            if packet[:2] == b"\x1f\x8b":
                packet = gzip.decompress(packet)
            push = json.loads(packet)
            assert push["type"] == "dom"
            seen = [host["port"] for host in json.loads(push["data"])["hosts"]]
            inbox.sendto(json.dumps({"type": "push-ack", "lastRefTime": str(push["lastRefTime"]), "data": ""}).encode(),
                         source)
        assert sorted(seen) == list(range(1, 14))


def data(method, path):
    status, body = call(method, path)
    answer = json.loads(body)
    assert status == 200 and answer["code"] == 0, (status, body)
    return answer["data"]


@pytest.mark.parametrize("version", ["v2", "v3/client", "v3/admin"])
def test_versions_2_and_3_of_naming(version, service):
    instance = f"serviceName={service}&ip=10.1.0.8&port=1&groupName=G"
    assert data("POST", f"/nacos/{version}/ns/instance?{instance}&metadata=%7B%22a%22%3A%22b%22%7D") == "ok"
    found = data("GET", f"/nacos/{version}/ns/instance/list?serviceName={service}&groupName=G")
    hosts = found["hosts"] if version == "v2" else found
    assert [(host["port"], host["metadata"]) for host in hosts] == [(1, {"a": "b"})]
    assert data("DELETE", f"/nacos/{version}/ns/instance?{instance}") == "ok"
    found = data("GET", f"/nacos/{version}/ns/instance/list?serviceName={service}&groupName=G")
    assert (found["hosts"] if version == "v2" else found) == []


def test_versions_2_and_3_of_configuration(service):
    assert data("POST", f"/nacos/v2/cs/config?dataId={service}&group=G&content=1&type=json") is True
    assert data("POST", f"/nacos/v3/admin/cs/config?dataId={service}&groupName=G&content=2") is True
    assert data("GET", f"/nacos/v2/cs/config?dataId={service}&group=G") == "2"
    shown = data("GET", f"/nacos/v3/client/cs/config?dataId={service}&groupName=G")
    assert (shown["content"], shown["md5"]) == ("2", "c81e728d9d4c2f636f067f89cc14862c")
    history = data("GET", f"/nacos/v3/admin/cs/history/list?dataId={service}&groupName=G&pageNo=1&pageSize=9")
    assert [entry["opType"] for entry in history["pageItems"]] == ["U", "I"]
    old = data("GET", f"/nacos/v2/cs/history?dataId={service}&group=G&nid={history['pageItems'][0]['id']}")
    assert old["content"] == "1"
    assert data("DELETE", f"/nacos/v2/cs/config?dataId={service}&group=G") is True


def test_namespaces_are_made_and_removed(client, service):
    name = f"ns-{service}"
    assert call("POST", f"/nacos/v1/console/namespaces?customNamespaceId={name}&namespaceName=Shop")[1] == "true"

    def shown():
        return {each["namespace"]: each["namespaceShowName"]
                for each in json.loads(call("GET", "/nacos/v1/console/namespaces")[1])["data"]}
    until(lambda: shown().get(name) == "Shop", "the namespace")
    assert data("POST", f"/nacos/v2/cs/config?dataId=a&group=G&content=1&namespaceId={name}") is True
    assert call("DELETE", f"/nacos/v1/console/namespaces?namespaceId={name}")[1] == "true"
    until(lambda: name not in shown(), "the end of the namespace")


@pytest.mark.parametrize("method,path,status,words", [
    ("POST", "/nacos/v1/ns/instance?serviceName=a&port=1", 400, "Param 'ip' is required."),
    ("POST", "/nacos/v1/ns/instance?serviceName=a&ip=1.2.3.4&port=99999", 400, "port"),
    ("GET", "/nacos/v1/cs/configs?dataId=a&group=b", 404, "config data not exist"),
    ("GET", "/nacos/v2/cs/config?dataId=a&group=b", 404, "20004"),
    ("POST", "/nacos/v3/client/ns/instance?serviceName=a&ip=1.2.3.4&port=1&heartBeat=true", 200, "21003"),
    ("POST", "/nacos/v1/cs/configs?dataId=a&group=b&content=1&tenant=kube-nowhere", 404, "kube-nowhere"),
    ("GET", "/nacos/v1/cs/configs?export=true&dataId=a&group=b", 501, "not served"),
    ("GET", "/nacos/nothing", 404, "Not Found"),
])
def test_refusals_are_loud(method, path, status, words):
    assert call(method, path)[0] == status
    assert words in call(method, path)[1]
