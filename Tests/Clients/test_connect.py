"""`mangrove connect`: replicas beside an API server as if it were foreign, and what becomes of a dead one's instances."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request

import pytest
from kazoo.client import KazooClient

import test_nacos_stream as stream
from conftest import NACOS, deployment, service, until

GRACE, LEASE = 5, 3


class Replica:
    def __init__(self, platform, directory, number):
        self.platform, self.state = platform, pathlib.Path(directory) / f"replica-{number}"
        self.nacos, self.dns = f"127.0.0.1:{28848 + number}", 25353 + number
        self.zookeeper, self.metrics = f"127.0.0.1:{22181 + number}", f"127.0.0.1:{28080 + number}"
        self.log = pathlib.Path(directory) / f"replica-{number}.log"
        self.process = None

    def start(self):
        marked = len(self.log.read_text()) if self.log.exists() else 0
        command = [self.platform.binary, "connect", "--kubeconfig", str(self.platform.state / "kubeconfig"), "--state",
                   str(self.state), "--nacos-listen", self.nacos, "--eureka-listen", "off", "--dns-listen",
                   f"127.0.0.1:{self.dns}", "--zookeeper-listen", self.zookeeper, "--metrics-listen", self.metrics,
                   "--grace-seconds", str(GRACE), "--lease-seconds", str(LEASE), "--log-level", "info"]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        until("connected", lambda: self.process.poll() is not None or "is connected" in self.log.read_text()[marked:])
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        return self

    @property
    def name(self):
        return (self.state / "replica").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(60)

    def call(self, method, path, **form):
        text = urllib.parse.urlencode(form)
        request = urllib.request.Request(f"http://{self.nacos}/nacos/v1/ns/{path}?{text}", method=method)
        return urllib.request.urlopen(request, timeout=10).read()

    def register(self, service, address, **more):
        self.call("POST", "instance", serviceName=service, ip=address, port=8080, ephemeral="true", **more)

    def beat(self, service, address):
        self.call("PUT", "instance/beat", serviceName=service, beat=json.dumps(
            {"serviceName": service, "ip": address, "port": 8080, "cluster": "DEFAULT"}))

    def seen(self, service):
        hosts = json.loads(self.call("GET", "instance/list", serviceName=service))["hosts"]
        return sorted(each["ip"] for each in hosts if each["healthy"])

    def web(self, path):
        with urllib.request.urlopen(f"http://{self.metrics}/{path}", timeout=10) as answer:
            return answer.read().decode()

    def status(self):
        done = subprocess.run([self.platform.binary, "status", "--state", str(self.state), "-o", "json"],
                              capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout)

    def named(self, name):
        return subprocess.run(["dig", "@127.0.0.1", "-p", str(self.dns), "+short", name], capture_output=True, text=True).stdout.split()


@pytest.fixture
def replicas(platform):
    directory = tempfile.mkdtemp(prefix="mangrove-connect-")
    both = [Replica(platform, directory, number) for number in (0, 1)]
    try:
        for each in both:
            each.start()
        yield both
    finally:
        for each in both:
            each.stop()
        shutil.rmtree(directory, ignore_errors=True)


def leader(platform):
    return platform.objects("lease", "mangrove", "-n", "mangrove-system")["spec"].get("holderIdentity")


def slices(platform, name):
    found = platform.objects("endpointslices", "-l", f"kubernetes.io/service-name={name}")["items"]
    return {each["metadata"]["labels"].get("mangrove.dev/replica"): each for each in found}


def test_a_dead_replica_leaves_its_instances_the_grace(platform, replicas):
    first, second = replicas
    assert first.name != second.name
    until("one leads", lambda: leader(platform) in (first.name, second.name))
    first.register("far", "192.0.2.71")
    first.register("far", "192.0.2.72")
    for each in replicas:
        until("both show them", lambda: each.seen("far") == ["192.0.2.71", "192.0.2.72"])
        until("in DNS too", lambda: each.named("192-0-2-71.far.default.svc.cluster.local") == ["192.0.2.71"])
    assert set(slices(platform, "far")) == {first.name}
    # What is beaten is not written.
    before = slices(platform, "far")[first.name]["metadata"]["resourceVersion"]
    for _ in range(5):
        first.beat("far", "192.0.2.71")
        first.beat("far", "192.0.2.72")
        time.sleep(0.2)
    assert slices(platform, "far")[first.name]["metadata"]["resourceVersion"] == before

    first.kill()
    died = time.monotonic()
    # One client comes to the other replica, one does not.
    second.register("far", "192.0.2.72")
    kept = until("it is exported anew", lambda: slices(platform, "far").get(second.name))
    assert [each["addresses"] for each in kept["endpoints"]] == [["192.0.2.72"]]
    gone = None
    while gone is None:
        asked = time.monotonic()
        found = second.seen("far")
        second.beat("far", "192.0.2.72")
        assert "192.0.2.72" in found
        if "192.0.2.71" not in found:
            gone = asked
        assert time.monotonic() < died + 90, "it never went"
        time.sleep(0.05)
    assert gone - died >= GRACE
    until("its slice is gone too", lambda: set(slices(platform, "far")) == {second.name})
    until("the other leads", lambda: leader(platform) == second.name)

    # It comes back under its name, and shows what it did not hear itself.
    first.start()
    until("it shows the other's", lambda: first.seen("far") == ["192.0.2.72"])
    second.call("DELETE", "instance", serviceName="far", ip="192.0.2.72", port=8080, ephemeral="true")
    until("gone everywhere", lambda: not first.seen("far") and not slices(platform, "far"))
    # A stop gives the lease back, so the next one need not wait for its end.
    second.stop()
    until("the first leads", lambda: leader(platform) == first.name)


def test_replicas_say_how_they_are(platform, replicas):
    until("one leads and both know", lambda: [each.status()[1]["leading"] for each in replicas].count(True) == 1 and all(
        each.status()[1]["replicas"] == sorted(other.name for other in replicas) for each in replicas))
    for each in replicas:
        code, said = each.status()
        assert (code, said["replica"], said["ready"]) == (0, each.name, True)
        assert said["places"]["nacos"].startswith(f"http://{each.nacos}/nacos")
        assert each.web("livez") == each.web("readyz") == "ok"
        metrics = each.web("metrics")
        assert f"mangrove_replica_leading {int(said['leading'])}\n" in metrics and "mangrove_replicas_living 2\n" in metrics
        for family in ("mangrove_catalogue_services", "mangrove_zookeeper_znode_count", "mangrove_dns_answers_total"):
            assert f"# TYPE {family} " in metrics
    replicas[0].kill()
    assert replicas[0].status()[0] == 3


def test_dubbo_rows_are_shared_while_running(platform, replicas):
    """What one replica's ZooKeeper clients write is what the other's read, and what Nacos' clients find."""
    clients = [KazooClient(each.zookeeper) for each in replicas]
    path = "/dubbo/mapping/com.acme.Shared"
    try:
        for client in clients:
            client.start()
        clients[0].create(path, b"first", makepath=True)
        until("the other has it", lambda: clients[1].exists(path) and clients[1].get(path)[0] == b"first")
        _, stat = clients[1].get(path)
        clients[1].set(path, b"first,second", version=stat.version)
        until("and the way back", lambda: clients[0].get(path)[0] == b"first,second")
        stored = until("it is stored once", lambda: [
            each for each in platform.objects("configmaps")["items"]
            if (each["metadata"].get("annotations") or {}).get("mangrove.dev/nacos-data-id") == "com.acme.Shared"])
        assert [each["data"] for each in stored] == [{"com.acme.Shared": "first,second"}]
        # A row that only just was acknowledged is there after a kill.
        clients[0].set(path, b"first,second,third")
        replicas[0].kill()
        replicas[0].start()
        until("it was kept", lambda: clients[1].get(path)[0] == b"first,second,third")
    finally:
        for client in clients:
            client.stop()
            client.close()
    platform.kubectl("delete", "configmap", stored[0]["metadata"]["name"])


def test_persistent_instances_outlive_their_replica(platform, replicas):
    first, second = replicas
    until("one leads", lambda: leader(platform) in (first.name, second.name))
    place = dict(serviceName="lasting", port=8080, ephemeral="false")
    directory, of_dubbo = "/dubbo/com.acme.Lasting/providers", "providers:com.acme.Lasting::"
    url = "dubbo://192.0.2.{}:20880/com.acme.Lasting?application=lasting-app&dynamic={}&interface=com.acme.Lasting"
    lasts, passes = (urllib.parse.quote(url.format(*each), safe="") for each in ((82, "false"), (83, "true")))
    near, far = KazooClient(first.zookeeper, timeout=60), KazooClient(second.zookeeper)
    for each in (near, far):
        each.start()
    found = lambda client: client.exists(directory) and {
        urllib.parse.urlsplit(urllib.parse.unquote(each)).hostname for each in client.get_children(directory)}
    try:
        first.call("POST", "instance", ip="192.0.2.81", **place)
        near.create(f"{directory}/{lasts}", b"", makepath=True)
        near.create(f"{directory}/{passes}", b"", ephemeral=True)
        until("the other shows them", lambda: second.seen("lasting") == ["192.0.2.81"]
              and second.seen(of_dubbo) == ["192.0.2.82", "192.0.2.83"] and found(far) == {"192.0.2.82", "192.0.2.83"})
        near.stop()
        first.kill()
        died = time.monotonic()
        while second.seen(of_dubbo) != ["192.0.2.82"] or found(far) != {"192.0.2.82"} or time.monotonic() < died + GRACE + LEASE:
            assert second.seen("lasting") == ["192.0.2.81"] and "192.0.2.82" in second.seen(of_dubbo)
            assert "192.0.2.82" in second.seen("lasting-app"), "what follows from it lasts with it"
            assert time.monotonic() < died + 90, "what was not to last stays"
            time.sleep(0.2)
        # Nacos' are records in the cluster, so anybody can let them go, for all. The cluster is a Mangrove too and shows them.
        until("its slice is gone", lambda: set(slices(platform, "lasting")) == {second.name, None})
        second.call("DELETE", "instance", ip="192.0.2.81", **place)
        until("it is gone", lambda: not second.seen("lasting") and not slices(platform, "lasting"))
        first.start()
        assert first.seen("lasting") == []
        assert first.seen(of_dubbo) == ["192.0.2.82"]
        near.start()
        near.delete(f"{directory}/{lasts}")
        until("gone everywhere", lambda: not second.seen(of_dubbo) and not found(far) and not second.seen("lasting-app"))
    finally:
        for each in (near, far):
            each.stop()
            each.close()


def withdrawn(platform, pod):
    """The replicas that have acknowledged that a pod leaves, and whether it may go, or is gone already."""
    left = platform.objects("pods", "-n", pod["metadata"]["namespace"])["items"]
    found = next((each for each in left if each["metadata"]["uid"] == pod["metadata"]["uid"]), None)
    if found is None:
        return None, True
    marks = {key.rsplit("/", 1)[1] for key, value in (found["metadata"].get("annotations") or {}).items()
             if key.startswith("withdrawn.mangrove.dev/") and value == pod["metadata"]["uid"]}
    return marks, any(each["type"] == "mangrove.dev/Withdrawn" for each in found["status"].get("conditions", []))


def test_a_pod_waits_for_the_consumers_of_every_replica(platform, replicas, namespace, pods):
    platform.apply(deployment("leaving", namespace, ["sleep", "1000"], probe=False))
    platform.apply(service("leaving", namespace))
    platform.kubectl("rollout", "status", "deployment/leaving", "-n", namespace, "--timeout=60s")
    pod = platform.objects("pods", "-n", namespace)["items"][0]
    address = pod["status"]["podIP"]
    for each in replicas:
        # Not by listing: who lists again and again is a consumer.
        until("it is shown", lambda: each.call(
            "GET", "instance", serviceName="leaving", namespaceId=namespace, ip=address, port=8080))
    # The cluster is a Mangrove itself and would release the pod: a consumer of its own that says nothing keeps it waiting.
    consumers = [stream.Client(server=server) for server in (NACOS, replicas[0].nacos, replicas[1].nacos)]
    try:
        for consumer in consumers:
            answer = consumer.when_set_up(
                "SubscribeServiceRequest", serviceName="leaving", groupName="DEFAULT_GROUP", namespace=namespace, subscribe=True)
            assert [each["ip"] for each in answer["serviceInfo"]["hosts"]] == [address]
        platform.kubectl("scale", "deployment/leaving", "-n", namespace, "--replicas=0")
        told = []
        for consumer in consumers:
            kind, body = consumer.receive()
            assert kind == "NotifySubscriberRequest" and body["serviceInfo"]["hosts"] == []
            told.append(body)
        consumers[1].acknowledge(told[1])
        until("one replica has said so", lambda: withdrawn(platform, pod)[0])
        time.sleep(2)
        assert withdrawn(platform, pod) == ({replicas[0].name}, False)
        consumers[2].acknowledge(told[2])
        until("all have, and it may go", lambda: withdrawn(platform, pod)[1], seconds=8)
    finally:
        for consumer in consumers:
            consumer.close()


def test_what_is_wrong_is_said(platform, tmp_path):
    def said(*words, **environment):
        done = subprocess.run([platform.binary, "connect", "--state", str(tmp_path / "state"), *words],
                              capture_output=True, text=True, env={**os.environ, **environment})
        assert done.returncode == 1
        return done.stderr

    environment = {"KUBECONFIG": "", "KUBERNETES_SERVICE_HOST": ""}
    assert "--kubeconfig" in said(**environment)
    assert "no-such-file" in said("--kubeconfig", "no-such-file")
    text = (platform.state / "kubeconfig").read_text()
    broken = tmp_path / "config"
    broken.write_text(text.replace(":16443", ":1"))
    assert "did not answer" in said("--kubeconfig", str(broken))
    assert "no context" in said("--kubeconfig", str(platform.state / "kubeconfig"), "--context", "elsewhere")
