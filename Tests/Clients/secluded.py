"""A platform in a network namespace of its own, and everything that it could leave behind on the machine."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

from conftest import Platform, until

NAMESPACE = f"mangrove-{os.getpid()}"
INSIDE = ["ip", "netns", "exec", NAMESPACE]


class Secluded(Platform):
    """A platform that shares nothing of the network with others."""

    environment = {}
    #: What the platform is started by: a program that takes something of the machine away from it.
    wrapping = []

    def start(self, *manifests):
        command = [*INSIDE, *self.wrapping, self.binary, "up", "--state", str(self.state), "--log-level", "info"]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                            env=os.environ | self.environment)
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
