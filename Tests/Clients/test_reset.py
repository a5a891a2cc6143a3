"""Faults, and what is left on the machine: in a network namespace of the test's own."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from conftest import Platform, deployment, service, until

NAMESPACE = f"mangrove-{os.getpid()}"
INSIDE = ["ip", "netns", "exec", NAMESPACE]


class Secluded(Platform):
    """A platform that shares nothing of the network with others."""

    def start(self, *manifests):
        command = [*INSIDE, self.binary, "up", "--state", str(self.state), "--log-level", "info"]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self.marked = getattr(self, "marked", 0)
        until("ready", lambda: self.process.poll() is not None or "is ready" in self.log.read_text()[self.marked:])
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        self.marked = len(self.log.read_text())
        return self

    def run(self, *words, check=True, text=None):
        return subprocess.run([*INSIDE, self.binary, *words, "--state", str(self.state)], capture_output=True, text=True,
                              check=check, input=text)

    def kubectl(self, *words, text=None, check=True):
        done = subprocess.run([*INSIDE, "kubectl", "--kubeconfig", str(self.state / "kubeconfig"), *words],
                              capture_output=True, text=True, input=text, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(words)}\n{done.stdout}{done.stderr}")
        return done.stdout if check else done


def text(*command):
    return subprocess.run([*INSIDE, *command], capture_output=True, text=True, check=True).stdout


def processes(state):
    """Process ids by command line, of processes that name the state directory."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(state) in line and "pytest" not in line:
                found[int(entry.name)] = line
    return found


def machine(state):
    """Everything that a platform could leave behind."""
    groups = [path for mount in re.findall(r" (/\S*cgroup\S*) ", pathlib.Path("/proc/self/mountinfo").read_text())
              for path in pathlib.Path(mount).glob("mangrove-*")]
    return {
        "links": sorted(re.findall(r"^\d+: ([^:@]+)", text("ip", "-o", "link"), re.M)),
        "addresses": sorted(re.findall(r"inet6? (\S+)", text("ip", "-o", "addr"))),
        "routes": sorted(line.strip() for line in text("ip", "route", "show", "table", "all").splitlines()),
        "rules": text("nft", "list", "ruleset"),
        "forwarding": text("sysctl", "-n", "net.ipv4.ip_forward"),
        "mounts": [line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines() if str(state) in line],
        "processes": sorted(processes(state).values()),
        "groups": len(groups),
        "directory": state.exists(),
    }


@pytest.fixture
def secluded():
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    subprocess.run([*INSIDE, "ip", "link", "set", "lo", "up"], check=True)
    directory = tempfile.mkdtemp(prefix="mangrove-reset-")
    platform = Secluded(directory)
    try:
        yield platform
    finally:
        platform.stop()
        platform.run("reset", "--yes", check=False)
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False)
        shutil.rmtree(directory, ignore_errors=True)


def pods(platform):
    return platform.objects("pods")["items"]


def containers(platform):
    return sorted(each["status"]["containerStatuses"][0]["containerID"] for each in pods(platform))


def all_ready(platform, count):
    def ready():
        found = pods(platform)
        good = [each for each in found if any(c["type"] == "Ready" and c["status"] == "True"
                                              for c in each["status"].get("conditions", []))]
        return len(found) == len(good) == count
    until(f"{count} pods are ready", ready, seconds=90)


def test_nothing_is_left_whatever_happens(secluded):
    platform = secluded
    before = machine(platform.state)
    platform.start()
    serve = ["python3", "-m", "http.server", "8080"]
    platform.apply(deployment("web", "default", serve, replicas=3, probe=False))
    platform.apply(service("web", "default"))
    all_ready(platform, 3)
    address = platform.objects("service", "web")["spec"]["clusterIP"]
    fetch = lambda: subprocess.run([*INSIDE, "curl", "-s", "-o", "/dev/null", "--max-time", "2", "-w", "%{http_code}",
                                    f"http://{address}/"], capture_output=True, text=True).stdout
    until("the service answers", lambda: fetch() == "200")

    # The platform dies; the pods do not notice, and the next one takes them over as they are.
    known = containers(platform)
    platform.kill()
    assert fetch() == "200"
    platform.start()
    all_ready(platform, 3)
    assert containers(platform) == known
    assert {each["status"]["containerStatuses"][0]["restartCount"] for each in pods(platform)} == {0}

    # A pod's holder dies: its program dies with it, and the pod comes back.
    shims = lambda: [pid for pid, line in processes(platform.state).items() if "pod-shim" in line]
    holders = [pid for pid in shims() if os.readlink(f"/proc/{pid}/ns/pid") == os.readlink("/proc/self/ns/pid")
               and pathlib.Path(f"/proc/{pid}/comm").read_text().strip() != "pod-init"]
    os.kill(holders[0], signal.SIGKILL)
    until("its program is started anew", lambda: containers(platform) != known)
    all_ready(platform, 3)

    # A program dies.
    victim = pods(platform)[0]["metadata"]["name"]
    platform.kubectl("exec", victim, "--", "sh", "-c", "kill -9 $(pgrep -f http.server)", check=False)
    until("it is restarted", lambda: platform.objects("pod", victim)["status"]["containerStatuses"][0]["restartCount"] > 0)
    all_ready(platform, 3)

    # Many come and go.
    platform.kubectl("scale", "deployment/web", "--replicas=40")
    all_ready(platform, 40)
    platform.kubectl("scale", "deployment/web", "--replicas=0")
    until("all are gone", lambda: not pods(platform), seconds=90)
    until("their holders are gone", lambda: not shims())
    assert not [name for name in machine(platform.state)["links"] if name.startswith("mgv")]

    # One is left running when the machine is cleared.
    platform.kubectl("scale", "deployment/web", "--replicas=1")
    all_ready(platform, 1)
    platform.kill()
    assert shims()
    platform.run("reset", "--yes")
    assert machine(platform.state) == before
