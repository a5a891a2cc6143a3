"""A platform of its own that is killed and started again, and one whose users have to log in."""

import asyncio
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import grpc
import pytest
from v2.nacos import (
    ConfigParam, ListInstanceParam, NacosConfigService, NacosException, NacosNamingService, RegisterInstanceParam,
    SubscribeServiceParam)

import test_nacos_grpc as shared
import test_nacos_stream as stream
from conftest import ROOT, until

API, NACOS = "127.0.0.1:17453", "127.0.0.1:17348"
NOBODY = 65534


class Small:
    """Runs without root, so that it leaves the machine's addresses to the other tests."""

    def __init__(self, directory, *flags):
        self.directory, self.flags, self.process = pathlib.Path(directory), flags, None
        self.binary = os.environ.get("MANGROVE", str(ROOT / ".build" / "debug" / "mangrove"))
        self.log = self.directory / "log"
        self.identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self.identity:
            shutil.chown(self.directory, NOBODY, NOBODY)

    def start(self):
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [self.binary, "up", "--state", str(self.directory / "state"), "--api-listen", API, "--nacos-listen", NACOS,
                 "--eureka-listen", "off", "--zookeeper-listen", "off", *self.flags], stdout=log, stderr=subprocess.STDOUT, cwd="/", **self.identity)

        def ready():
            assert self.process.poll() is None, f"mangrove ended:\n{self.log.read_text()[-3000:]}"
            return "Mangrove is ready" in self.log.read_text()
        until("ready", ready)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def small(request):
    directory = tempfile.mkdtemp(prefix="mangrove-nacos-")
    platform = Small(directory, *getattr(request, "param", ()))
    try:
        platform.start()
        yield platform
    finally:
        platform.kill()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(autouse=True)
def this_server(monkeypatch):
    monkeypatch.setattr(shared, "SERVER", NACOS)


def call(method, path, **parameters):
    request = urllib.request.Request(f"http://{NACOS}{path}?{urllib.parse.urlencode(parameters)}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_server_that_ends_asks_its_clients_to_come_again(small):
    client = stream.Client(server=NACOS, abilityTable={})
    assert client.next_push()[0] == "SetupAckRequest"
    small.process.send_signal(signal.SIGINT)
    kind, body = client.receive()
    assert kind == "ConnectResetRequest" and body["connectionId"]
    with pytest.raises((StopIteration, grpc.RpcError)):
        client.receive()
    small.process.wait(30)
    small.start()


def test_nothing_is_lost_when_it_is_killed(small):
    async def scenario():
        provider, consumer = await shared.client(), await shared.client()
        lists = []

        async def follow(hosts):
            lists.append(sorted(host.port for host in hosts))
        await provider.register_instance(RegisterInstanceParam(service_name="orders", ip="10.1.0.7", port=1))
        await shared.until(lambda: "10.1.0.7" in call("GET", "/nacos/v1/ns/instance/list", serviceName="orders")[1],
                           "the instance")
        await consumer.subscribe(SubscribeServiceParam(service_name="orders", subscribe_callback=follow))
        await provider.register_instance(RegisterInstanceParam(
            service_name="kept", ip="db.example.com", port=2, ephemeral=False))
        await shared.until(lambda: lists[-1:] == [[1]], "the first list")
        assert call("POST", "/nacos/v1/cs/configs", dataId="a", group="G", content="1")[1] == "true"
        assert call("POST", "/nacos/v1/ns/service", serviceName="empty")[1] == "ok"
        # Ephemeral instances are in the cluster by the time that they have to survive.
        await asyncio.sleep(1)
        small.kill()
        small.start()
        assert call("GET", "/nacos/v1/cs/configs", dataId="a", group="G") == (200, "1")
        assert await shared.ports(await shared.client(), "kept") == [2]
        assert "empty" in json.loads(call("GET", "/nacos/v1/ns/service/list", pageNo=1, pageSize=9)[1])["doms"]
        assert await shared.ports(await shared.client(), "orders") == [1]

        async def is_held_again():
            hosts = await consumer.list_instances(
                ListInstanceParam(service_name="orders", subscribe=False, healthy_only=True))
            return [host.port for host in hosts] == [1] and any(
                "orders" in json.dumps(json.loads(call("GET", "/nacos/v2/ns/client/publish/list", clientId=client)[1]))
                for client in json.loads(call("GET", "/nacos/v2/ns/client/list")[1])["data"])
        deadline = asyncio.get_running_loop().time() + 50
        while not await is_held_again():
            assert asyncio.get_running_loop().time() < deadline, "the provider did not come back"
            await asyncio.sleep(1)
        assert all(ports == [1] for ports in lists), lists
    asyncio.run(asyncio.wait_for(scenario(), 120))


@pytest.mark.parametrize("small", [("--nacos-auth",)], indirect=True)
def test_users_log_in_and_may_do_what_their_roles_allow(small):
    assert call("POST", "/nacos/v1/cs/configs", dataId="a", group="G", content="1")[0] == 403
    assert call("POST", "/nacos/v1/auth/users/admin", password="first")[0] == 200
    assert call("POST", "/nacos/v1/auth/users/admin", password="second")[0] == 409
    assert call("POST", "/nacos/v1/auth/login", username="nacos", password="second")[0] == 403

    def token(user, password):
        status, body = call("POST", "/nacos/v1/auth/login", username=user, password=password)
        assert status == 200, body
        return json.loads(body)["accessToken"]
    admin = token("nacos", "first")
    for path, words in [("users", dict(username="dev", password="word")), ("roles", dict(username="dev", role="reader")),
                        ("permissions", dict(role="reader", resource=":*:*", action="r"))]:
        assert call("POST", f"/nacos/v1/auth/{path}", accessToken=admin, **words)[0] == 200
    assert call("POST", "/nacos/v1/cs/configs", dataId="a", group="G", content="1", accessToken=admin)[1] == "true"
    dev = token("dev", "word")
    assert call("GET", "/nacos/v1/cs/configs", dataId="a", group="G", accessToken=dev) == (200, "1")
    assert call("POST", "/nacos/v1/cs/configs", dataId="a", group="G", content="2", accessToken=dev)[0] == 403
    assert call("GET", "/nacos/v1/cs/configs", dataId="a", group="G", tenant="other", accessToken=dev)[0] == 403
    assert call("GET", "/nacos/v1/cs/configs", dataId="a", group="G", accessToken=dev + "x")[0] == 403

    async def scenario():
        mine = dict(username="dev", password="word")
        configuration = await NacosConfigService.create_config_service(shared.config(**mine))
        assert await configuration.get_config(ConfigParam(data_id="a", group="G")) == "1"
        with pytest.raises(NacosException, match="authorization failed"):
            await configuration.publish_config(ConfigParam(data_id="a", group="G", content="2"))
        naming = await NacosNamingService.create_naming_service(shared.config(username="nacos", password="first"))
        assert await naming.register_instance(RegisterInstanceParam(service_name="orders", ip="10.1.0.7", port=1))
        stranger = await NacosNamingService.create_naming_service(shared.config())
        with pytest.raises(NacosException, match="user not found"):
            await stranger.register_instance(RegisterInstanceParam(service_name="orders", ip="10.1.0.7", port=2))
        for client in (configuration, naming, stranger):
            await client.shutdown()
    shared.run(scenario())
    small.kill()
    small.start()
    # Tokens and users outlive the platform.
    assert call("GET", "/nacos/v1/cs/configs", dataId="a", group="G", accessToken=dev) == (200, "1")
