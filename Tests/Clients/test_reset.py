"""Faults, and what is left on the machine: in a network namespace of the test's own."""

import os
import pathlib
import re
import signal
import subprocess

from conftest import deployment, service, until
from secluded import INSIDE, machine, processes, secluded  # noqa: F401 (a fixture)

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
    fetch = lambda address=address: subprocess.run([*INSIDE, "curl", "-s", "-o", "/dev/null", "--max-time", "2", "-w", "%{http_code}",
                                    f"http://{address}/"], capture_output=True, text=True).stdout
    until("the service answers", lambda: fetch() == "200")
    # A client has its home at one of them.
    platform.kubectl("patch", "service", "web", "-p", '{"spec":{"sessionAffinity":"ClientIP"}}')
    homes = lambda: re.findall(r"set (at/\S+) {[^}]*elements = { (\S+)", subprocess.run(
        [*INSIDE, "nft", "list", "sets", "ip"], capture_output=True, text=True, check=True).stdout)
    until("the client is at home", lambda: fetch() == "200" and len(homes()) == 1)
    home = homes()

    # The platform dies; the pods do not notice, and the next one takes them over as they are.
    known = containers(platform)
    platform.kill()
    assert fetch() == "200"
    platform.start()
    all_ready(platform, 3)
    assert containers(platform) == known
    assert {each["status"]["containerStatuses"][0]["restartCount"] for each in pods(platform)} == {0}
    # The new one's rules are there when a service of its time answers; the client is at home where it was.
    platform.apply(service("web2", "default").replace('"app": "web2"', '"app": "web"'))
    later = platform.objects("service", "web2")["spec"]["clusterIP"]
    until("the new rules are there", lambda: fetch(later) == "200")
    assert fetch() == "200" and homes() == home
    platform.kubectl("delete", "service", "web2")

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
