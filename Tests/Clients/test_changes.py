"""Pods that change while they run or wait: resized in place, pushed aside by more important ones, on volumes of all kinds."""

import json
import os
import subprocess
import sys

import pytest

from conftest import until


def pod(name, namespace, script="exec sleep 1000", resources=None, policy=None, **spec):
    container = {"name": "main", "image": "host", "command": ["sh", "-c", script], "resources": resources or {}}
    if policy:
        container["resizePolicy"] = policy
    container |= spec.pop("container", {})
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
                       "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}})


def status(platform, namespace, name):
    return platform.objects("pod", name, "-n", namespace)["status"]


def condition(platform, namespace, name, kind):
    return next((each for each in status(platform, namespace, name)["conditions"] if each["type"] == kind), {})


@pytest.fixture
def groups(pods):
    if not any(os.access(path, os.W_OK) for path in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup/cgroup.subtree_control")):
        pytest.skip("no control groups can be written here")


def amounts(cpu, memory):
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "500m", "memory": memory}}


def test_resources_change_in_place(platform, groups, namespace):
    platform.apply(pod("box", namespace, resources=amounts("100m", "64Mi"),
                       policy=[{"resourceName": "memory", "restartPolicy": "RestartContainer"}]))
    platform.kubectl("wait", "pod/box", "-n", namespace, "--for=condition=Ready", "--timeout=30s")
    resize = lambda wanted: platform.kubectl(
        "patch", "pod", "box", "-n", namespace, "--subresource=resize", "-p",
        json.dumps({"spec": {"containers": [{"name": "main", "resources": wanted}]}}), check=False)
    container = lambda: status(platform, namespace, "box")["containerStatuses"][0]
    assert container()["resources"] == amounts("100m", "64Mi") and container()["allocatedResources"]["cpu"] == "100m"
    id = container()["containerID"]
    wanted = {"requests": {"cpu": "200m"}, "limits": {"cpu": "250m"}}
    done = resize(wanted)
    assert done.returncode == 0 and not done.stderr, done.stderr
    until("the new limit is in force", lambda: container()["resources"]["limits"]["cpu"] == "250m")
    assert container()["allocatedResources"]["cpu"] == "200m"
    assert (container()["containerID"], container()["restartCount"]) == (id, 0)
    assert not condition(platform, namespace, "box", "PodResizeInProgress")
    # Its policy says that memory needs a restart.
    resize({"requests": {"memory": "96Mi"}, "limits": {"memory": "96Mi"}})
    until("the container is restarted", lambda: container()["restartCount"] == 1 and container()["ready"])
    assert container()["resources"]["limits"]["memory"] == "96Mi"
    # What the machine cannot give is said, and nothing happens.
    resize({"requests": {"cpu": "1000"}, "limits": {"cpu": "2000"}})
    until("it is said", lambda: condition(platform, namespace, "box", "PodResizePending").get("reason") == "Infeasible")
    assert "requested: 1000000" in condition(platform, namespace, "box", "PodResizePending")["message"]
    resize({"requests": {"cpu": "200m"}, "limits": {"cpu": "250m"}})
    until("the wish is taken back", lambda: not condition(platform, namespace, "box", "PodResizePending"))
    assert container()["restartCount"] == 1
    refused = resize({"requests": {"cpu": "250m", "memory": "96Mi"}, "limits": {"cpu": "250m", "memory": "96Mi"}})
    assert "Pod QOS Class may not change as a result of resizing" in refused.stderr


def test_out_of_memory(platform, groups, namespace):
    greedy = f"exec {sys.executable} -c 'import time; x = b\"x\" * (200 << 20); time.sleep(1000)'"
    platform.apply(pod("greedy", namespace, greedy, resources={"limits": {"memory": "32Mi"}}, restartPolicy="Never"))
    end = until("it is killed", lambda: (status(platform, namespace, "greedy").get("containerStatuses") or [{}])[0]
                .get("state", {}).get("terminated"))
    assert (end["reason"], end["exitCode"]) == ("OOMKilled", 137)


def test_important_pods_push_others_aside(platform, pods, namespace):
    node = platform.objects("nodes")["items"][0]
    most = int(node["status"]["allocatable"]["cpu"]) * 1000
    name = f"important-{namespace}"[:50]
    platform.apply(json.dumps({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
                               "value": 1000, "description": "for a test"}))
    try:
        used = sum(int(each["resources"].get("requests", {}).get("cpu", "0m").removesuffix("m"))
                   for pod in platform.objects("pods", "-A")["items"] for each in pod["spec"]["containers"]
                   if each["resources"].get("requests", {}).get("cpu", "").endswith("m"))
        half = {"requests": {"cpu": f"{(most - used) // 2}m"}}
        for each in ("first", "second"):
            platform.apply(pod(each, namespace, resources=half))
        platform.kubectl("wait", "pod/first", "pod/second", "-n", namespace, "--for=condition=Ready", "--timeout=30s")
        platform.apply(pod("meek", namespace, resources=half))
        until("there is no room", lambda: "Insufficient cpu" in condition(
            platform, namespace, "meek", "PodScheduled").get("message", ""))
        platform.apply(pod("king", namespace, resources=half, priorityClassName=name))
        platform.kubectl("wait", "pod/king", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
        left = {each["metadata"]["name"] for each in platform.objects("pods", "-n", namespace)["items"]}
        assert len(left & {"first", "second"}) == 1 and "meek" in left
        assert not platform.objects("pod", "meek", "-n", namespace)["spec"].get("nodeName")
        until("it is told", lambda: "Preempted by pod" in platform.kubectl("get", "events", "-n", namespace))
    finally:
        platform.kubectl("delete", "priorityclass", name)


def test_parts_of_volumes(platform, pods, namespace):
    """subPath below memory and disk; what cannot be had is said by name."""
    mounts = [{"name": "memory", "mountPath": "/m", "subPath": "a/b"}, {"name": "disk", "mountPath": "/d", "subPathExpr": "$(WHO)"},
              {"name": "memory", "mountPath": "/whole"}]
    platform.apply(pod(
        "parts", namespace, "echo one > /m/x; echo two > /d/y; cat /whole/a/b/x; exec sleep 1000",
        container={"volumeMounts": mounts, "env": [{"name": "WHO", "value": "me"}]},
        volumes=[{"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}, {"name": "disk", "emptyDir": {}}]))
    until("the program has written", lambda: platform.kubectl("logs", "parts", "-n", namespace, check=False).stdout == "one\n")
    assert platform.kubectl("exec", "parts", "-n", namespace, "--", "cat", "/d/y") == "two\n"
    platform.apply(pod("both", namespace, container={
        "volumeMounts": [{"name": "disk", "mountPath": "/d", "mountPropagation": "Bidirectional"}],
        "securityContext": {"privileged": True}}, volumes=[{"name": "disk", "emptyDir": {}}]))
    events = lambda: platform.kubectl("get", "events", "-n", namespace)
    # What the machine mounts later arrives where its own mounts are shared; elsewhere that is said.
    shared = any(" shared:" in line for line in open("/proc/self/mountinfo") if line.split()[4] == "/")
    later = platform.directory / "later"
    (later / "in").mkdir(parents=True)
    platform.apply(pod("host", namespace, "until [ -e /h/in/seen ]; do sleep 0.1; done; echo arrived; exec sleep 1000", container={
        "volumeMounts": [{"name": "host", "mountPath": "/h", "mountPropagation": "HostToContainer"}]},
        volumes=[{"name": "host", "hostPath": {"path": str(later)}}]))
    if shared:
        platform.kubectl("wait", "pod/host", "-n", namespace, "--for=condition=Ready", "--timeout=30s")
        subprocess.run(["mount", "-t", "tmpfs", "later", str(later / "in")], check=True)
        try:
            (later / "in" / "seen").touch()
            until("it arrives", lambda: "arrived" in platform.kubectl("logs", "host", "-n", namespace))
        finally:
            subprocess.run(["umount", "-l", str(later / "in")], check=True)
    else:
        until("it is said", lambda: "nothing can arrive from it" in events())
    until("it is refused by name", lambda: "mountPropagation Bidirectional is not supported" in events())
