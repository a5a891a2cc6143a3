"""Killed at random moments while everything comes and goes: no consumer of any interface ever sees a healthy instance vanish.

One service has a steady provider in each world. Others come and go beside them, in the same service and in more, by every
interface. The platform is killed with SIGKILL at moments of a printed seed (MANGROVE_SEED repeats one), also while it
starts. Consumers note every answer and every push that they are given; no answer at all is no view. A view without one of the
steady providers fails the test.
"""

import contextlib
import http.client
import json
import os
import random
import socket
import struct
import threading
import time
import urllib.parse

import grpc
import kubernetes
import pytest
import urllib3
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoNodeError

import test_nacos_stream as stream
from conftest import EUREKA, NACOS, ZOOKEEPER, deployment, service, until

SEED = int(os.environ.get("MANGROVE_SEED") or random.SystemRandom().randrange(1 << 32))
KILLS = int(os.environ.get("MANGROVE_KILLS", "5"))
# Between a start and the next kill: some come while it starts, most while it works.
SHORTEST, LONGEST = 0.2, 5.0
STEADY = {"nacos-grpc": "10.8.0.1", "nacos-http": "10.8.0.2", "eureka": "10.8.0.3", "zookeeper": "10.8.0.4",
          "kubernetes": "10.8.0.5"}
NAME = "steady"
# What a client is told by a server that is going, or is not there yet.
DOWN = (OSError, struct.error, http.client.HTTPException, grpc.RpcError, KazooException, kubernetes.client.ApiException,
        urllib3.exceptions.HTTPError, json.JSONDecodeError, StopIteration, AssertionError)


class Web:
    """One HTTP connection, made anew when it broke."""

    def __init__(self, address):
        self.address, self.connection = address, None

    def __call__(self, method, path, body=None, **parameters):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(self.address, timeout=5)
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        headers = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": "mangrove-test"}
        try:
            self.connection.request(method, path + query, body and json.dumps(body), headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            raise


class Views:
    """What the consumers were shown."""

    def __init__(self):
        self.lock, self.counts, self.lost, self.newest = threading.Lock(), {}, [], {}
        self.began, self.strict = time.monotonic(), False

    def note(self, consumer, addresses):
        missing = [world for world, address in STEADY.items() if address not in addresses]
        with self.lock:
            self.newest[consumer] = (time.monotonic(), missing)
            if self.strict:
                self.counts[consumer] = self.counts.get(consumer, 0) + 1
                if missing:
                    self.lost.append(f"{time.monotonic() - self.began:.3f} s: {consumer} saw {sorted(addresses)}, without {missing}")

    def all_since(self, moment, consumers):
        """Whether each consumer has been shown everything after that moment."""
        with self.lock:
            return all(each in self.newest and self.newest[each][0] > moment and not self.newest[each][1] for each in consumers)


class Crowd:
    """Threads that do something again and again until the end, whatever becomes of the platform."""

    def __init__(self):
        self.ended, self.threads, self.broken = threading.Event(), [], []

    def add(self, pause, make):
        """`make` gives the deed; a deed that raises one of DOWN is begun anew."""
        def work():
            deed = None
            while not self.ended.is_set():
                try:
                    deed = deed or make()
                    deed()
                except DOWN:
                    deed = None
                except Exception as problem:  # pylint: disable=broad-except
                    self.broken.append(problem)
                    return
                self.ended.wait(pause)
        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(3)


# Providers that stay

def nacos_http_provider(namespace, ip):
    web = Web(NACOS)
    beat = {"serviceName": NAME, "ip": ip, "port": 8080, "cluster": "DEFAULT"}

    def deed():
        status, text = web("PUT", "/nacos/v1/ns/instance/beat", serviceName=NAME, namespaceId=namespace, ip=ip, port=8080,
                           beat=json.dumps(beat))
        if status == 200 and json.loads(text).get("code") == 20404:
            web("POST", "/nacos/v1/ns/instance", serviceName=NAME, namespaceId=namespace, ip=ip, port=8080)
    return deed


def nacos_grpc_provider(namespace, ip):
    client = stream.Client()
    body = dict(serviceName=NAME, groupName="DEFAULT_GROUP", namespace=namespace)
    held = []

    def deed():
        if not held:
            client.when_set_up("InstanceRequest", type="registerInstance", instance={"ip": ip, "port": 8080}, **body)
            held.append(True)
        client.ask("HealthCheckRequest")
    return deed


def eureka_provider(namespace, ip):
    web, path = Web(EUREKA), f"/eureka/namespaces/{namespace}/apps/STEADY"
    instance = {"instanceId": ip, "hostName": ip, "ipAddr": ip, "app": "STEADY", "vipAddress": NAME, "status": "UP",
                "port": {"$": 8080, "@enabled": "true"}, "leaseInfo": {"renewalIntervalInSecs": 1, "durationInSecs": 10},
                "dataCenterInfo": {"name": "MyOwn", "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"}}

    def deed():
        if web("PUT", f"{path}/{ip}")[0] == 404:
            web("POST", path, {"instance": instance})
    return deed


class Sessions:
    """A kazoo client whose session outlives the platform."""

    def __init__(self, namespace):
        self.client = KazooClient(f"{ZOOKEEPER}/namespaces/{namespace}", timeout=40,
                                  connection_retry={"max_tries": -1, "delay": 0.1, "backoff": 1, "max_delay": 0.2})
        self.client.start(timeout=30)

    def register(self, name, ip):
        payload = {"@class": "org.springframework.cloud.zookeeper.discovery.ZookeeperInstance", "id": "application-1",
                   "name": NAME, "metadata": {}}
        self.client.create(f"/services/{NAME}/{name}", json.dumps({
            "name": NAME, "id": name, "address": ip, "port": 8080, "payload": payload, "serviceType": "DYNAMIC"}).encode(),
            ephemeral=True, makepath=True)


# Consumers

def nacos_http_consumer(namespace, views):
    web = Web(NACOS)

    def deed():
        status, text = web("GET", "/nacos/v1/ns/instance/list", serviceName=NAME, namespaceId=namespace)
        if status == 200:
            views.note("nacos-http", {each["ip"] for each in json.loads(text)["hosts"] if each["healthy"]})
    return deed


def nacos_grpc_consumer(namespace, views):
    client = stream.Client()
    note = lambda info: views.note("nacos-grpc", {each["ip"] for each in info["hosts"] if each["healthy"]})
    subscribed = []

    def deed():
        if not subscribed:
            answer = client.when_set_up("SubscribeServiceRequest", serviceName=NAME, groupName="DEFAULT_GROUP",
                                        namespace=namespace, subscribe=True)
            note(answer["serviceInfo"])
            subscribed.append(True)
        kind, body = client.next_push()
        if kind == "NotifySubscriberRequest":
            note(body["serviceInfo"])
    return deed


def eureka_consumer(namespace, views):
    web = Web(EUREKA)

    def deed():
        status, text = web("GET", f"/eureka/namespaces/{namespace}/apps")
        if status == 200:
            views.note("eureka", {each["ipAddr"] for app in json.loads(text)["applications"]["application"]
                                  for each in app["instance"] if each["vipAddress"] == NAME and each["status"] == "UP"})
    return deed


def zookeeper_consumer(client, views):
    """Watches as every framework does, and reads what the znodes say; a znode that went between is looked for again."""
    known = {}

    def read(name):
        if name not in known:
            known[name] = json.loads(client.get(f"/services/{NAME}/{name}")[0])["address"]
        return known[name]

    def deed():
        try:
            names = client.get_children(f"/services/{NAME}")
        except NoNodeError:
            names = []
        with contextlib.suppress(NoNodeError):
            views.note("zookeeper", {read(name) for name in names})
    return deed


def kubernetes_consumer(namespace, views):
    api = kubernetes.client.DiscoveryV1Api()

    def deed():
        found = api.list_namespaced_endpoint_slice(
            namespace, label_selector=f"kubernetes.io/service-name={NAME}", _request_timeout=5)
        views.note("kubernetes", {address for item in found.items for each in item.endpoints or []
                                  if each.conditions.ready for address in each.addresses})
    return deed


def dns_consumer(server, namespace, views):
    labels = f"{NAME}.{namespace}.svc.cluster.local".split(".")
    question = b"".join(bytes([len(each)]) + each.encode() for each in labels) + b"\0" + struct.pack(">HH", 1, 1)

    def by_datagram(message):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(2)
            asking.connect((server, 53))
            asking.send(message)
            return asking.recv(4096)

    def by_stream(message):
        with socket.create_connection((server, 53), timeout=2) as asking, asking.makefile("rb") as answers:
            asking.sendall(struct.pack(">H", len(message)) + message)
            answer = answers.read(struct.unpack(">H", answers.read(2))[0])
        assert len(answer) > 12, "the connection ended in the middle of an answer"
        return answer

    def deed():
        message = struct.pack(">HHHHHH", random.randrange(1 << 16), 0x0100, 1, 0, 0, 0) + question
        answer = by_datagram(message)
        if answer[2] & 2:  # Truncated: without EDNS 27 addresses fit, and there are more when many have come.
            answer = by_stream(message)
        _, flags, _, count, _, _ = struct.unpack(">HHHHHH", answer[:12])
        if flags & 15 not in (0, 3):
            return  # It could not answer.
        place, found = 12 + len(question), set()
        for _ in range(count):
            assert answer[place] & 0xC0 == 0xC0, "the name is a pointer to the question"
            kind, _, _, length = struct.unpack(">HHIH", answer[place + 2:place + 12])
            if kind == 1:
                found.add(socket.inet_ntoa(answer[place + 12:place + 12 + length]))
            place += 12 + length
        views.note("dns", found)
    return deed


# Those that come and go

def churn(namespace, session, chance, platform):
    """One deed of somebody else: in the same service, or in another."""
    web, eureka, discovery = Web(NACOS), Web(EUREKA), kubernetes.client.DiscoveryV1Api()
    apps = kubernetes.client.AppsV1Api()

    def nacos():
        method = chance.choice(["POST", "POST", "DELETE"])
        web(method, "/nacos/v1/ns/instance", serviceName=chance.choice([NAME, "other"]), namespaceId=namespace,
            ip=f"10.8.1.{chance.randrange(8)}", port=8080, ephemeral="true")

    def leases():
        ip, app = f"10.8.2.{chance.randrange(8)}", chance.choice(["steady", "other"])
        path = f"/eureka/namespaces/{namespace}/apps/{app.upper()}"
        if chance.random() < 0.4:
            eureka("DELETE", f"{path}/{ip}")
        else:
            eureka("POST", path, {"instance": {
                "instanceId": ip, "hostName": ip, "ipAddr": ip, "app": app.upper(), "vipAddress": app, "status": "UP",
                "port": {"$": 8080, "@enabled": "true"}, "leaseInfo": {"durationInSecs": 5},
                "dataCenterInfo": {"name": "MyOwn", "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"}}})

    def znodes():
        name = f"churn-{chance.randrange(8)}"
        try:
            session.register(name, f"10.8.3.{name[-1]}")
        except KazooException:
            session.client.delete(f"/services/{NAME}/{name}")

    def endpoints():
        addresses = [f"10.8.4.{each}" for each in range(8) if chance.random() < 0.5]
        discovery.patch_namespaced_endpoint_slice("churn", namespace, slice_of("churn", addresses), _request_timeout=5)

    def pods():
        apps.patch_namespaced_deployment_scale(
            "pods", namespace, {"spec": {"replicas": chance.randrange(3)}}, _request_timeout=5)

    return lambda: chance.choices([nacos, leases, znodes, endpoints, pods], [6, 4, 4, 4, 1])[0]()


def slice_of(name, addresses):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": NAME}},
            "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses],
            "ports": [{"name": "http", "port": 8080}]}


@pytest.fixture
def sessions(namespace):
    """One that stays and looks, and one that churns."""
    both = [Sessions(namespace) for _ in range(2)]
    yield both
    for each in both:
        with contextlib.suppress(Exception):
            each.client.stop()
            each.client.close()


def test_no_steady_instance_vanishes(platform, namespace, sessions):
    print(f"\nMANGROVE_SEED={SEED}")
    chance, views, crowd = random.Random(SEED), Views(), Crowd()
    kubernetes.config.load_kube_config(str(platform.state / "kubeconfig"))
    core, discovery = kubernetes.client.CoreV1Api(), kubernetes.client.DiscoveryV1Api()
    core.create_namespaced_service(namespace, {
        "metadata": {"name": NAME}, "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 8080}]}})
    for name, addresses in ((NAME, [STEADY["kubernetes"]]), ("churn", [])):
        discovery.create_namespaced_endpoint_slice(namespace, slice_of(name, addresses))
    platform.apply(deployment("pods", namespace, ["sleep", "1000"], replicas=0, probe=False))
    platform.apply(service("pods", namespace))

    steady, busy = sessions
    steady.register("steady", STEADY["zookeeper"])
    crowd.add(1, lambda: nacos_http_provider(namespace, STEADY["nacos-http"]))
    crowd.add(0.5, lambda: nacos_grpc_provider(namespace, STEADY["nacos-grpc"]))
    crowd.add(1, lambda: eureka_provider(namespace, STEADY["eureka"]))
    consumers = {
        "nacos-http": lambda: nacos_http_consumer(namespace, views), "nacos-grpc": lambda: nacos_grpc_consumer(namespace, views),
        "eureka": lambda: eureka_consumer(namespace, views), "kubernetes": lambda: kubernetes_consumer(namespace, views),
        "zookeeper": lambda: zookeeper_consumer(steady.client, views),
    }
    if platform.serves_names():
        consumers["dns"] = lambda: dns_consumer("10.96.0.10", namespace, views)
    try:
        for make in consumers.values():
            crowd.add(0.03, make)
        until("everyone sees all", lambda: views.all_since(0, consumers))
        views.strict = True
        for number in range(2):
            crowd.add(0.02, lambda: churn(namespace, busy, random.Random(SEED + number), platform))
        for kill in range(KILLS):
            time.sleep(chance.uniform(SHORTEST, LONGEST))
            platform.kill()
            time.sleep(chance.uniform(0, 0.5))
            platform.launch()
        platform.wait_until_ready()
        ready = time.monotonic()
        until("everyone sees all again", lambda: crowd.broken or views.lost or views.all_since(ready, consumers), seconds=60)
        print(f"{KILLS} kills, views: {views.counts}")
        assert not crowd.broken, crowd.broken
        assert not views.lost, "\n".join([f"MANGROVE_SEED={SEED}", *views.lost[:20]])
        assert set(views.counts) == set(consumers)
        # The test can fail: one that really goes is missed by everyone.
        views.strict = False
        discovery.patch_namespaced_endpoint_slice(NAME, namespace, slice_of(NAME, []))
        until("all miss it", lambda: all(views.newest[each][1] == ["kubernetes"] for each in consumers))
    finally:
        crowd.end()
        if platform.process.poll() is not None:
            platform.start()
