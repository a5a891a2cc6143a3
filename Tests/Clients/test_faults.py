"""What goes wrong on a machine: disk, clocks, probes that hang, many pods at once. Everything converges, nothing stays."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from conftest import deployment, service, until
from secluded import INSIDE, machine, processes, secluded  # noqa: F401 (a fixture)

SERVE = [sys.executable, "-m", "http.server", "8080"]


def container(name, script, **more):
    return {"name": name, "image": "host", "command": ["sh", "-c", script], **more}


def pod(name, *containers, **spec):
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"},
                       "spec": {"terminationGracePeriodSeconds": 2, "containers": list(containers), **spec}})


def status(platform, name):
    return platform.objects("pod", name)["status"]


def first(platform, name):
    return (status(platform, name).get("containerStatuses") or [{}])[0]


def is_ready(platform, name):
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status(platform, name).get("conditions", []))


def test_volumes_and_probes(secluded):
    platform = secluded.start()
    platform.apply(pod(
        "heap", container("main", "exec dd if=/dev/zero of=/data/heap bs=1M count=8; exec sleep 1000",
                          volumeMounts=[{"name": "data", "mountPath": "/data"}]),
        container("other", "dd if=/dev/zero of=/data/heap bs=1M count=8; exec sleep 1000",
                  volumeMounts=[{"name": "data", "mountPath": "/data", "subPath": "deep/down"}]),
        restartPolicy="Never", volumes=[{"name": "data", "emptyDir": {"sizeLimit": "5Mi"}}]))
    platform.apply(pod(
        "scribe", container("main", "dd if=/dev/zero of=/var/tmp/heap bs=1M count=8; exec sleep 1000",
                            resources={"limits": {"ephemeral-storage": "5Mi"}}), restartPolicy="Never"))
    hangs = "import socket, time; s = socket.socket(); s.bind(('', 8080)); s.listen(); time.sleep(1000)"
    platform.apply(pod("hung", container(
        "main", "exec sleep 1000", livenessProbe={"exec": {"command": ["sleep", "30"]}, "periodSeconds": 1,
                                                  "timeoutSeconds": 1, "failureThreshold": 2}),
        {"name": "deaf", "image": "host", "command": [sys.executable, "-c", hangs],
         "readinessProbe": {"httpGet": {"port": 8080}, "periodSeconds": 1, "timeoutSeconds": 1}}))
    until("the hung program is restarted", lambda: first(platform, "hung").get("restartCount", 0) > 0)
    events = lambda name: platform.kubectl("events", "--for", f"pod/{name}")
    until("both time-outs are told", lambda: "Liveness probe failed" in events("hung")
          and "Readiness probe failed" in events("hung"))
    assert not is_ready(platform, "hung")
    gone = until("the full volume ends its pod", lambda: (
        lambda found: found if found["phase"] == "Failed" else None)(status(platform, "heap")), seconds=60)
    assert gone["reason"] == "Evicted"
    assert gone["message"] == 'Usage of EmptyDir volume "data" exceeds the limit "5Mi". '
    assert {each["type"]: each.get("reason") for each in gone["conditions"]}["DisruptionTarget"] == "TerminationByKubelet"
    gone = until("so do its own files", lambda: (
        lambda found: found if found["phase"] == "Failed" else None)(status(platform, "scribe")), seconds=60)
    assert gone["reason"] == "Evicted"
    assert gone["message"] == "Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. "


def test_what_the_machine_mounts_later_arrives(secluded):
    """mountPropagation HostToContainer, on a machine whose mounts are shared; without it a container's mounts stay its own."""
    platform = secluded
    platform.wrapping = ["unshare", "--mount", "--propagation", "shared"]
    place = platform.directory / "disks" / "usb"
    place.mkdir(parents=True)
    platform.start()
    mounted = lambda how: [{"name": "disks", "mountPath": "/disks", "mountPropagation": how}]
    platform.apply(pod("follows", container("main", "exec sleep 1000", volumeMounts=mounted("HostToContainer")),
                       container("other", "exec sleep 1000", volumeMounts=mounted("None")),
                       volumes=[{"name": "disks", "hostPath": {"path": str(place.parent)}}]))
    until("it runs", lambda: is_ready(platform, "follows"))
    inside = lambda *words: subprocess.run(["nsenter", f"--mount=/proc/{platform.process.pid}/ns/mnt", *words], check=True)
    seen = lambda name: platform.kubectl("exec", "follows", "-c", name, "--", "ls", "/disks/usb").split()
    inside("mount", "-t", "tmpfs", "usb", str(place))
    inside("touch", str(place / "photo"))
    until("the disk arrives", lambda: seen("main") == ["photo"])
    assert seen("other") == []
    inside("umount", str(place))
    until("and goes", lambda: seen("main") == [])


def test_a_full_disk(secluded):
    """The state directory's file system is full: what runs goes on, what is asked is answered or refused, then all is well."""
    platform = secluded
    disk = platform.directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "mangrove-test", str(disk)], check=True)
    platform.state = disk / "state"
    try:
        platform.start()
        talker = container("main", "while :; do echo still here; sleep 0.2; done")
        platform.apply(pod("talker", talker))
        platform.apply(deployment("web", "default", SERVE, probe=False))
        platform.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        address = platform.objects("pods", "-l", "app=web")["items"][0]["status"]["podIP"]
        answers = lambda: subprocess.run([*INSIDE, "curl", "-s", "-o", "/dev/null", "--max-time", "3", "-w", "%{http_code}",
                                          f"http://{address}:8080/"], capture_output=True, text=True).stdout == "200"
        until("the pod answers", answers)
        subprocess.run(["dd", "if=/dev/zero", f"of={disk}/ballast", "bs=64k"], capture_output=True)
        assert shutil.disk_usage(disk).free < 1 << 20
        write = lambda name: platform.kubectl("create", "configmap", name, "--from-literal=a=" + "b" * 20_000, check=False)
        refused = until("writes are refused", lambda: (lambda done: done if done.returncode else None)(
            write(f"x{time.monotonic_ns()}")), seconds=60)
        print(f"refused with: {refused.stderr.strip()}")
        assert answers() and platform.process.poll() is None
        assert is_ready(platform, "talker"), "reading needs no room"
        (disk / "ballast").unlink()
        until("writes are taken", lambda: write(f"y{time.monotonic_ns()}").returncode == 0, seconds=60)
        platform.kubectl("scale", "deployment/web", "--replicas=3")
        platform.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        lines = lambda: len(platform.kubectl("logs", "talker").splitlines())
        before = lines()
        until("the log goes on", lambda: lines() > before)
        platform.kubectl("delete", "pod", "talker", "--timeout=60s")
        platform.kubectl("delete", "deployment", "web", "--timeout=60s")
        until("all pods are gone", lambda: not platform.objects("pods")["items"], seconds=60)
    finally:
        platform.stop()
        platform.run("reset", "--yes", check=False)
        subprocess.run(["umount", "-l", str(disk)], check=False)


NO_OVERLAY = "grep -v overlay /proc/filesystems > $0; mount --bind $0 /proc/filesystems"
LACKS = {
    "root": (["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
             "pods, service addresses and DNS need root; the API, the catalogue and Nacos work without"),
    "nft": (["unshare", "--mount", "sh", "-c", "for each in /usr/sbin/nft /sbin/nft; do mount --bind /dev/null $each; done; exec \"$@\"", "sh"],
            "this machine lacks the program nft (install the package nftables); the API, the catalogue"),
    "overlay": (["unshare", "--mount", "sh", "-c", NO_OVERLAY + '; exec "$@"'], "need the overlay file system"),
}


@pytest.mark.parametrize("lack", LACKS)
def test_a_machine_that_lacks_something(secluded, lack):
    """One clear sentence; the API works; a pod waits and says why; the machine's network is left as it was."""
    platform = secluded
    wrapping, words = LACKS[lack]
    platform.directory.chmod(0o777)
    platform.wrapping = wrapping + ([str(platform.directory / "filesystems")] if lack == "overlay" else [])
    before = machine(platform.state)
    platform.start()
    said = [line for line in platform.log.read_text().splitlines() if "no pods run here" in line]
    assert len(said) == 1 and words in said[0], platform.log.read_text()
    platform.apply(pod("waits", container("main", "exec sleep 1000")))
    until("it is said", lambda: "no nodes available to schedule pods" in platform.kubectl("describe", "pod", "waits"))
    platform.kubectl("delete", "pod", "waits")
    after = machine(platform.state)
    assert {key: after[key] for key in ("links", "addresses", "routes", "rules", "mounts")} == {
        key: before[key] for key in ("links", "addresses", "routes", "rules", "mounts")}


FAKETIME = next(iter(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


def test_the_clock_is_set(secluded):
    """Hours forth and back: no pod is killed for it, no probe is forgotten, no grace is cut short, the node stays ready."""
    platform = secluded
    assert FAKETIME, "the package libfaketime is missing (scripts/setup installs it)"
    offset = platform.directory / "offset"
    offset.write_text("+0")
    platform.environment = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
                            "DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    platform.start()
    check = {"exec": {"command": ["test", "-e", "/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    platform.apply(pod("probed", container("main", "touch /alive; exec sleep 1000", readinessProbe=check)))
    slow = "trap 'sleep 3; echo done; exit 7' TERM; touch /alive; while :; do sleep 0.1; done"
    for name in ("forth", "back"):
        platform.apply(pod(name, container("main", slow), terminationGracePeriodSeconds=20))
    names = ("probed", "forth", "back")
    until("all are ready", lambda: all(is_ready(platform, name) for name in names))
    node = lambda: {each["type"]: each["status"] for each in platform.objects("nodes")["items"][0]["status"]["conditions"]}
    renewed = lambda: platform.objects("lease", "-n", "kube-node-lease")["items"][0]["spec"]["renewTime"]
    # Never before the first start: the certificates are not valid then.
    for name, step, another in (("forth", "+4h", "+9h"), ("back", "+5h", "+1h")):
        offset.write_text(step)
        before = renewed()
        until("the lease is renewed by the new clock", lambda: renewed() != before, seconds=30)
        assert node()["Ready"] == "True"
        assert all(is_ready(platform, each) for each in names if each in platform.kubectl("get", "pods", "-o", "name"))
        assert first(platform, "probed")["restartCount"] == 0
        # Probes go on at their pace.
        platform.kubectl("exec", "probed", "--", "rm", "/alive")
        until("it is seen that it is not ready", lambda: not is_ready(platform, "probed"), seconds=10)
        platform.kubectl("exec", "probed", "--", "touch", "/alive")
        until("and that it is again", lambda: is_ready(platform, "probed"), seconds=10)
        # The grace period is not over because the clock says so.
        log = subprocess.Popen([*INSIDE, "kubectl", "--kubeconfig", str(platform.state / "kubeconfig"), "logs", "-f", name],
                               stdout=subprocess.PIPE, text=True)
        platform.kubectl("delete", "pod", name, "--wait=false")
        offset.write_text(another)
        until(f"{name} is gone", lambda: name not in platform.kubectl("get", "pods", "-o", "name"), seconds=30)
        assert "done" in log.communicate(timeout=30)[0], "it had its time to end"


def test_two_hundred_pods_leave_nothing(secluded):
    platform = secluded.start()
    serving = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "many", "namespace": "default"},
               "spec": {"selector": {"app": "many"}, "ports": [{"port": 80, "targetPort": 8080}]}}
    platform.apply(json.dumps(serving))
    platform.apply(deployment("many", "default", ["sleep", "100000"], replicas=0, probe=False))
    count = lambda: platform.objects("deployment", "many")["status"].get("readyReplicas", 0)
    pods = lambda: platform.objects("pods")["items"]
    files = lambda: len(os.listdir(f"/proc/{server}/fd"))
    server = next(pid for pid, line in processes(platform.state).items() if " up " in line and line.startswith(platform.binary))

    def remains():
        found = machine(platform.state)
        found["rules"] = found["rules"].count("\n")
        found["files"] = sorted(str(each) for each in (platform.state / "node").glob("*/*")) + sorted(
            str(each) for each in (platform.state / "runtime" / "pods").glob("*"))
        return found

    platform.kubectl("scale", "deployment/many", "--replicas=2")
    until("two are ready", lambda: count() == 2)
    platform.kubectl("scale", "deployment/many", "--replicas=0")
    until("they are gone", lambda: not pods(), seconds=60)
    # What follows a pod's end, such as the last change of the rules, is over when nothing changes any more.
    before = until("all is quiet", lambda: (lambda first: time.sleep(2) or (first if remains() == first else None))(remains()))
    before_files = files()
    for wave in range(2):
        began = time.monotonic()
        platform.kubectl("scale", "deployment/many", "--replicas=100")
        until("a hundred are ready", lambda: count() == 100, seconds=300, pause=0.5)
        middle = time.monotonic()
        platform.kubectl("scale", "deployment/many", "--replicas=0")
        until("they are gone", lambda: not pods(), seconds=300, pause=0.5)
        print(f"wave {wave}: 100 pods ready after {middle - began:.1f} s, gone after {time.monotonic() - middle:.1f} s")
    def left():
        now = remains()
        return {key: (before[key], now[key]) for key in now if now[key] != before[key]}
    try:
        until("nothing is left of them", lambda: not left(), seconds=60)
    except AssertionError:
        assert not left()
    # Connections of kubectl come and go.
    until("no file stays open", lambda: files() <= before_files + 8, seconds=30)
