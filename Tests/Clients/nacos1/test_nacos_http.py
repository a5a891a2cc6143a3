"""The real Nacos HTTP client (nacos-sdk-python 1.x) against a running server; MANGROVE_NACOS is its host:port."""

import json
import os
import time
import urllib.error
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


@pytest.mark.parametrize("method,path,status,words", [
    ("POST", "/nacos/v1/ns/instance?serviceName=a&port=1", 400, "Param 'ip' is required."),
    ("POST", "/nacos/v1/ns/instance?serviceName=a&ip=1.2.3.4&port=99999", 400, "port"),
    ("POST", "/nacos/v1/ns/instance?serviceName=a&ip=1.2.3.4&port=1&ephemeral=false", 501, "not served"),
    ("GET", "/nacos/v1/cs/configs?dataId=a&group=b", 501, "not served"),
    ("GET", "/nacos/v3/admin/core/state", 501, "not served"),
])
def test_refusals_are_loud(method, path, status, words):
    assert call(method, path)[0] == status
    assert words in call(method, path)[1]
