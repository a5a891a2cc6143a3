"""The parts of Nacos' gRPC that no Python client speaks yet: abilities and fuzzy watches, with bare payloads."""

import json
import os
import queue
import time
import urllib.request
import uuid

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from v2.nacos.transport.grpcauto.nacos_grpc_service_pb2 import Metadata, Payload

SERVER = os.environ.get("MANGROVE_NACOS", "127.0.0.1:8848")
PATIENCE = 20


class Client:
    """A connection whose stream answers every push and hands it on."""

    def __init__(self, server=None, **setup):
        host, port = (server or SERVER).split(":")
        self.channel = grpc.insecure_channel(f"{host}:{int(port) + 1000}", options=[("grpc.use_local_subchannel_pool", 1)])
        coding = dict(request_serializer=Payload.SerializeToString, response_deserializer=Payload.FromString)
        self.unary = self.channel.unary_unary("/Request/request", **coding)
        self.out = queue.Queue()
        check = self.ask("ServerCheckRequest")
        assert check["supportAbilityNegotiation"] is True
        self.out.put(self.payload("ConnectionSetupRequest", {"clientVersion": "test", "labels": {}, **setup}))
        self.pushes = self.channel.stream_stream("/BiRequestStream/requestBiStream", **coding)(iter(self.out.get, None))

    @staticmethod
    def payload(kind, body):
        return Payload(metadata=Metadata(type=kind), body=Any(value=json.dumps(body).encode()))

    def ask(self, kind, **body):
        answer = json.loads(self.unary(self.payload(kind, body), timeout=PATIENCE).body.value)
        assert answer["resultCode"] == 200, answer
        return answer

    def next_push(self):
        kind, body = self.receive()
        self.acknowledge(body)
        return kind, body

    def receive(self):
        push = next(self.pushes)
        return push.metadata.type, json.loads(push.body.value)

    def acknowledge(self, body):
        self.out.put(self.payload("Response", {"requestId": body["requestId"], "resultCode": 200}))

    def when_set_up(self, kind, **body):
        """Asks until its stream is set up."""
        for _ in range(100):
            try:
                return self.ask(kind, **body)
            except AssertionError as refused:
                assert "301" in str(refused)
                time.sleep(0.02)
        raise AssertionError("the stream was not set up")

    def close(self):
        self.out.put(None)
        self.channel.close()


@pytest.fixture
def client(platform):
    made = Client(abilityTable={"fuzzyWatch": True})
    kind, body = made.next_push()
    assert kind == "SetupAckRequest"
    assert body["abilityTable"]["fuzzyWatch"] and body["abilityTable"]["supportPersistentInstanceByGrpc"]
    yield made
    made.close()


def call(method, path):
    request = urllib.request.Request(f"http://{SERVER}{path}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def test_services_are_watched_by_pattern(client):
    prefix = "watch-" + uuid.uuid4().hex[:8]
    instance = "&ip=10.1.0.9&port=1"
    call("POST", f"/nacos/v1/ns/instance?serviceName={prefix}-a{instance}")
    client.ask("NamingFuzzyWatchRequest", groupKeyPattern=f"public>>DEFAULT_GROUP>>{prefix}*", watchType="WATCH",
               initializing=True, receivedGroupKeys=[])
    kind, body = client.next_push()
    assert (kind, body["syncType"]) == ("NamingFuzzyWatchSyncRequest", "FUZZY_WATCH_INIT_NOTIFY")
    assert body["contexts"] == [{"serviceKey": f"public@@DEFAULT_GROUP@@{prefix}-a", "changedType": "ADD_SERVICE"}]
    assert client.next_push()[1]["syncType"] == "FINISH_FUZZY_WATCH_INIT_NOTIFY"
    call("POST", f"/nacos/v1/ns/instance?serviceName={prefix}-b{instance}")
    kind, body = client.next_push()
    assert (kind, body["changedType"]) == ("NamingFuzzyWatchChangeNotifyRequest", "ADD_SERVICE")
    assert body["serviceKey"] == f"public@@DEFAULT_GROUP@@{prefix}-b"
    call("DELETE", f"/nacos/v1/ns/instance?serviceName={prefix}-a{instance}")
    body = client.next_push()[1]
    assert (body["serviceKey"], body["changedType"]) == (f"public@@DEFAULT_GROUP@@{prefix}-a", "DELETE_SERVICE")


def test_items_are_watched_by_pattern(client):
    prefix = "watch-" + uuid.uuid4().hex[:8]
    call("POST", f"/nacos/v1/cs/configs?dataId={prefix}.a&group=G&content=1")
    client.ask("ConfigFuzzyWatchRequest", groupKeyPattern=f"public>>G>>{prefix}*", watchType="WATCH", initializing=True,
               receivedGroupKeys=[f"{prefix}.gone+G+public"])
    kind, body = client.next_push()
    assert (kind, body["syncType"]) == ("ConfigFuzzyWatchSyncRequest", "FUZZY_WATCH_INIT_NOTIFY")
    assert {each["groupKey"]: each["changedType"] for each in body["contexts"]} == {
        f"{prefix}.a+G+public": "ADD_CONFIG", f"{prefix}.gone+G+public": "DELETE_CONFIG"}
    assert client.next_push()[1]["syncType"] == "FINISH_FUZZY_WATCH_INIT_NOTIFY"
    call("DELETE", f"/nacos/v1/cs/configs?dataId={prefix}.a&group=G")
    kind, body = client.next_push()
    assert (kind, body["groupKey"], body["changeType"]) == (
        "ConfigFuzzyWatchChangeNotifyRequest", f"{prefix}.a+G+public", "DELETE_CONFIG")


def test_a_change_of_a_listened_item_is_pushed(client):
    name = "listen-" + uuid.uuid4().hex[:8]
    item = {"dataId": name, "group": "G", "tenant": "", "md5": ""}
    assert client.ask("ConfigBatchListenRequest", listen=True, configListenContexts=[item])["changedConfigs"] == []
    client.ask("ConfigPublishRequest", dataId=name, group="G", tenant="", content="1", additionMap={})
    kind, body = client.next_push()
    assert (kind, body["dataId"], body["group"]) == ("ConfigChangeNotifyRequest", name, "G")
    shown = client.ask("ConfigQueryRequest", dataId=name, group="G", tenant="")
    assert (shown["content"], shown["md5"]) == ("1", "c4ca4238a0b923820dcc509a6f75849b")
    client.ask("ConfigRemoveRequest", dataId=name, group="G", tenant="")


def test_a_client_without_abilities_is_not_sent_any(platform):
    client = Client()
    service = "plain-" + uuid.uuid4().hex[:8]
    client.when_set_up("SubscribeServiceRequest", serviceName=service, groupName="DEFAULT_GROUP", subscribe=True)
    call("POST", f"/nacos/v1/ns/instance?serviceName={service}&ip=10.1.0.9&port=1")
    assert client.next_push()[0] == "NotifySubscriberRequest"
    client.close()
