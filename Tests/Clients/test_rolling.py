"""Rolling updates under load lose no request: 20 changes while requests leave at a constant rate."""

import json
import pathlib
import subprocess
import sys

from conftest import deployment, service, until

HERE = pathlib.Path(__file__).resolve().parent
SERVER = (HERE / "steady_server.py").read_text()


class Generator:
    """The load of generator.py as a program of its own, so that nothing of the test holds it up."""

    def __init__(self, address, rate, kept):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "generator.py"), address, "80", str(rate), str(kept)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self):
        out, _ = self.process.communicate(timeout=60)
        found = json.loads(out)
        print("{requests} requests in {seconds:.0f} s ({new} on new connections, {kept} on kept ones), {failures} failures, "
              "p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, slowest {slowest_ms:.0f} ms; by version {versions}".format(**found))
        return found


def settled(platform, namespace, replicas):
    """The rollout is done and every old pod is gone."""
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=120s")
    until("the old pods are gone", lambda: len(platform.objects("pods", "-n", namespace)["items"]) == replicas, seconds=120)


def test_twenty_rollouts_lose_no_request(platform, pods, namespace):
    platform.apply(deployment("web", namespace, [sys.executable, "-u", "-c", SERVER], replicas=3))
    platform.apply(service("web", namespace))
    settled(platform, namespace, 3)
    address = platform.objects("service", "web", "-n", namespace)["spec"]["clusterIP"]
    change = lambda *words: platform.kubectl(*words, "-n", namespace)
    version = lambda number: change("set", "env", "deployment/web", f"VERSION={number}")
    load, rollouts, replicas = Generator(address, rate=100, kept=8), 0, 3
    try:
        for number in range(2, 10):  # 8: new versions, one after the other.
            version(number)
            settled(platform, namespace, replicas)
            rollouts += 1
        for replicas in (6, 2, 4, 1, 3):  # 5: up and down, to a single one and back.
            change("scale", "deployment/web", f"--replicas={replicas}")
            settled(platform, namespace, replicas)
            rollouts += 1
        # 2: a version that does not work must not take over, and is taken back.
        change("set", "env", "deployment/web", "BROKEN=1", "VERSION=bad")
        until("the broken version fails", lambda: any(
            each.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"
            for pod in platform.objects("pods", "-n", namespace)["items"]
            for each in pod["status"].get("containerStatuses", [])), seconds=60)
        assert platform.objects("deployment", "web", "-n", namespace)["status"]["availableReplicas"] == 3
        change("rollout", "undo", "deployment/web")
        settled(platform, namespace, replicas)
        rollouts += 2
        # 1: in place of surge, one fewer.
        change("patch", "deployment", "web", "-p", json.dumps({"spec": {"strategy": {
            "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}}))
        version(20)
        settled(platform, namespace, replicas)
        # 2: paused in the middle and resumed; then everything at once.
        change("rollout", "pause", "deployment/web")
        version(21)
        change("rollout", "resume", "deployment/web")
        settled(platform, namespace, replicas)
        change("patch", "deployment", "web", "-p", json.dumps({"spec": {"strategy": {
            "rollingUpdate": {"maxSurge": "100%", "maxUnavailable": 0}}}}))
        version(22)
        settled(platform, namespace, replicas)
        # 2: restarted, and back to the version before.
        change("rollout", "restart", "deployment/web")
        settled(platform, namespace, replicas)
        change("rollout", "undo", "deployment/web")
        settled(platform, namespace, replicas)
        rollouts += 5
    finally:
        found = load.end()
    assert rollouts == 20 and found["requests"] > 500
    assert found["failures"] == 0, found["examples"]
    assert "bad" not in found["versions"] and found["kept"] > 0 and found["new"] > 0


def test_a_program_that_knows_nothing_of_leaving(platform, pods, namespace):
    """One that dies at once when it is told to: requests that are quick are answered before it is told."""
    script = SERVER.replace("asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stopping.set)", "pass")
    assert script != SERVER
    platform.apply(deployment("web", namespace, [sys.executable, "-u", "-c", script], replicas=2))
    platform.apply(service("web", namespace))
    settled(platform, namespace, 2)
    load = Generator(platform.objects("service", "web", "-n", namespace)["spec"]["clusterIP"], rate=50, kept=0)
    try:
        for number in range(2, 6):
            platform.kubectl("set", "env", "deployment/web", f"VERSION={number}", "-n", namespace)
            settled(platform, namespace, 2)
    finally:
        found = load.end()
    assert found["failures"] == 0, found["examples"]
