"""The platform under test: the real binary on ports of its own, driven by the real kubectl and the real Nacos clients."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHOP = ROOT / "examples" / "shop"
CLIENTS = ROOT / ".venv" / "clients"  # helm and kubectl in other versions; scripts/setup puts them there.
sys.path.insert(0, str(SHOP))

API, NACOS, EUREKA, ZOOKEEPER = "127.0.0.1:16443", "127.0.0.1:18848", "127.0.0.1:18761", "127.0.0.1:12181"
os.environ["MANGROVE_NACOS"], os.environ["MANGROVE_EUREKA"] = NACOS, EUREKA
collect_ignore = ["nacos1"]  # test_nacos1.py runs it in the old client's environment.


def until(what, test, seconds=30, pause=0.05):
    """Waits for `test()` to be truthy and returns it; the limit only ends a test that would never end."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            found = test()
        except (OSError, subprocess.CalledProcessError, json.JSONDecodeError) as problem:
            found, last = None, problem
        else:
            last = found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} s; last seen: {last}")
        time.sleep(pause)


class Platform:
    def __init__(self, directory):
        self.binary = os.environ.get("MANGROVE", str(ROOT / ".build" / "debug" / "mangrove"))
        self.directory = pathlib.Path(directory)
        self.state = self.directory / "state"
        self.log = self.directory / "platform.log"
        self.process = None

    def launch(self, *manifests):
        """Starts it without waiting for anything."""
        command = [self.binary, "up", *map(str, manifests), "--state", str(self.state),
                   "--api-listen", API, "--nacos-listen", NACOS, "--eureka-listen", EUREKA, "--zookeeper-listen", ZOOKEEPER,
                   "--log-level", "info"]
        with open(self.log, "a") as log:
            self.marked = log.tell()
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def start(self, *manifests):
        self.launch(*manifests)
        return self.wait_until_ready()

    def wait_until_ready(self):
        def ready():
            assert self.process.poll() is None, f"mangrove ended:\n{self.log.read_text()[-4000:]}"
            return b"Mangrove is ready" in self.log.read_bytes()[self.marked:]
        until("ready", ready)
        return self

    def serves_names(self):
        """Whether this machine lets the platform have a DNS server."""
        return "no pods run here" not in self.log.read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=90)

    def run(self, *words, check=True, text=None):
        return subprocess.run([self.binary, *words, "--state", str(self.state)], capture_output=True, text=True,
                              check=check, input=text)

    def kubectl(self, *words, text=None, check=True):
        done = subprocess.run(["kubectl", "--kubeconfig", str(self.state / "kubeconfig"), *words],
                              capture_output=True, text=True, input=text, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(words)}\n{done.stdout}{done.stderr}")
        return done.stdout if check else done

    def objects(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def apply(self, text):
        return self.kubectl("apply", "-f", "-", text=text)


@pytest.fixture(scope="session", autouse=True)
def platform():
    """One platform for all tests that do not hurt it."""
    directory = tempfile.mkdtemp(prefix="mangrove-test-")
    platform = Platform(directory)
    try:
        yield platform.start()
    finally:
        platform.stop()
        platform.run("reset", "--yes", check=False)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def pods(platform):
    """Skips the test on a machine that cannot run pods, with the platform's own sentence that says why."""
    said = re.search(r"no pods run here: .*", platform.log.read_text())
    if said:
        pytest.skip(said.group())


@pytest.fixture
def namespace(platform, request):
    """A namespace of the test's own, in both worlds."""
    name = "t-" + request.node.name.lower().replace("_", "-").split("[")[0][-40:]
    platform.kubectl("create", "-f", "-", text=json.dumps(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    yield name
    platform.kubectl("delete", "namespace", name, "--wait=true", "--timeout=60s")


def deployment(name, namespace, command, replicas=1, env=(), probe=True):
    """A Deployment of one host process that serves HTTP on 8080."""
    container = {
        "name": name, "image": "host", "command": command,
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, *env],
        "ports": [{"name": "http", "containerPort": 8080}],
    }
    if probe:
        container["readinessProbe"] = {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1}
    return json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
        },
    })


def service(name, namespace, port=80):
    return json.dumps({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port, "targetPort": "http"}]},
    })


def pytest_terminal_summary(terminalreporter):
    """What the test of all pairs of worlds saw, as a table."""
    table = getattr(sys.modules.get("test_worlds"), "TABLE", None)
    if table and table.cells:
        terminalreporter.section("every world against every other")
        for line in table.lines():
            terminalreporter.write_line(line)
