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

from conftest import until

GRACE, LEASE = 5, 3


class Replica:
    def __init__(self, platform, directory, number):
        self.platform, self.state = platform, pathlib.Path(directory) / f"replica-{number}"
        self.nacos, self.dns = f"127.0.0.1:{28848 + number}", 25353 + number
        self.log = pathlib.Path(directory) / f"replica-{number}.log"
        self.process = None

    def start(self):
        marked = len(self.log.read_text()) if self.log.exists() else 0
        command = [self.platform.binary, "connect", "--kubeconfig", str(self.platform.state / "kubeconfig"), "--state",
                   str(self.state), "--nacos-listen", self.nacos, "--eureka-listen", "off", "--dns-listen",
                   f"127.0.0.1:{self.dns}", "--grace-seconds", str(GRACE), "--lease-seconds", str(LEASE), "--log-level", "info"]
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


def slices(platform, service):
    found = platform.objects("endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]
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
