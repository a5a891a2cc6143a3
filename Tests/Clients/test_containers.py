"""What a pod says of its containers, whole: order of starts and ends, hooks, gates, names, logs; and nodes that are emptied."""

import json


from conftest import until


def container(name, script, **more):
    return {"name": name, "image": "host", "command": ["sh", "-c", script], **more}


def pod(name, namespace, *containers, labels=None, **spec):
    return json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": {"terminationGracePeriodSeconds": 10, "containers": list(containers), **spec}})


def status(platform, name, namespace):
    return platform.objects("pod", name, "-n", namespace)["status"]


def condition(platform, name, namespace, kind):
    return next((each["status"] for each in status(platform, name, namespace).get("conditions", []) if each["type"] == kind), None)


def test_order_of_starts_and_ends(platform, pods, namespace):
    """Init containers one after another, a sidecar from its place on to after the end, settings from maps and Secrets."""
    platform.kubectl("create", "configmap", "colours", "-n", namespace, "--from-literal=SKY=blue", "--from-literal=not-a-name=x")
    platform.kubectl("create", "secret", "generic", "keys", "-n", namespace, "--from-literal=DOOR=1234")
    shared = {"volumeMounts": [{"name": "log", "mountPath": "/log"}]}
    platform.apply(pod(
        "ship", namespace,
        container("main", 'echo "main $SKY $P_DOOR $(cat /log/order | tr "\\n" " ")" > /dev/termination-log; exit 0',
                  envFrom=[{"configMapRef": {"name": "colours"}}, {"secretRef": {"name": "keys"}, "prefix": "P_"},
                           {"configMapRef": {"name": "none", "optional": True}}], **shared),
        restartPolicy="Never", volumes=[{"name": "log", "emptyDir": {}}], initContainers=[
            container("first", "sleep 0.3; echo first >> /log/order", **shared),
            container("side", "echo side >> /log/order; touch /log/up; trap 'echo bye; exit 0' TERM; while :; do sleep 0.1; done",
                      restartPolicy="Always", startupProbe={"exec": {"command": ["test", "-e", "/log/up"]}, "periodSeconds": 1},
                      **shared),
            container("last", "echo last >> /log/order", **shared)]))
    until("all is done", lambda: status(platform, "ship", namespace)["phase"] == "Succeeded")
    found = status(platform, "ship", namespace)
    assert found["containerStatuses"][0]["state"]["terminated"]["message"].split() == ["main", "blue", "1234", "first", "side", "last"]
    first, side, last = found["initContainerStatuses"]
    assert [each["state"]["terminated"]["reason"] for each in (first, last)] == ["Completed"] * 2
    assert first["state"]["terminated"]["finishedAt"] <= last["state"]["terminated"]["startedAt"]
    assert side["state"]["terminated"]["exitCode"] == 0, "it was told to go, after the last one"
    assert platform.kubectl("logs", "ship", "-n", namespace, "-c", "side").strip() == "bye"
    # One that cannot do its work holds up the rest, and says so.
    platform.apply(pod("stuck", namespace, container("main", "exec sleep 1000"), initContainers=[container("never", "exit 3")]))
    row = lambda: platform.kubectl("get", "pod", "stuck", "-n", namespace, "--no-headers").split()
    until("it backs off", lambda: row()[1:3] == ["0/1", "Init:CrashLoopBackOff"])
    platform.apply(pod("broken", namespace, container("main", "true"), restartPolicy="Never",
                       initContainers=[container("never", "exit 3")]))
    until("it has failed", lambda: platform.kubectl("get", "pod", "broken", "-n", namespace, "--no-headers").split()[2] == "Init:Error")
    assert status(platform, "broken", namespace)["phase"] == "Failed"


def test_logs_as_they_are_asked_for(platform, pods, namespace):
    platform.apply(pod("talker", namespace, container(
        "main", "for each in 1 2 3 4 5; do echo line $each; done; echo word >&2; sleep 2.2; echo late; exec sleep 1000")))
    logs = lambda *words: platform.kubectl("logs", "talker", "-n", namespace, *words)
    until("all is said", lambda: logs().endswith("late\n"))
    assert sorted(logs().splitlines()[:6]) == ["line 1", "line 2", "line 3", "line 4", "line 5", "word"]
    assert logs("--tail=1") == "late\n" and logs("--tail=0") == ""
    assert logs("--limit-bytes=8") == logs()[:8]
    stamped = logs("--timestamps", "--tail=2").splitlines()
    assert [line.split(" ", 1)[1] for line in stamped][-1] == "late"
    moment = stamped[-1].split(" ")[0]
    assert logs(f"--since-time={moment}") == "late\n"
    assert logs("--since=1000h") == logs()
    assert logs("--prefix", "--tail=1") == "[pod/talker/main] late\n"
    missing = platform.kubectl("logs", "talker", "-n", namespace, "--previous", check=False)
    assert 'previous terminated container "main" in pod "talker" not found' in missing.stderr
    wrong = platform.kubectl("logs", "talker", "-n", namespace, "-c", "other", check=False)
    assert "container other is not valid for pod talker" in wrong.stderr


LISTENER = """
import http.server, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open("/notes/order", "a") as notes: notes.write(self.path + "\\n")
        self.send_response(200); self.end_headers()
    def log_message(self, *words): pass
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""


def test_hooks_before_the_end(platform, pods, namespace):
    """preStop of every kind runs before SIGTERM; the hook's own request reaches the program that still runs."""
    notes = {"volumeMounts": [{"name": "notes", "mountPath": "/notes"}]}
    folder = platform.directory / f"notes-{namespace}"
    folder.mkdir()
    ending = "trap 'echo term-%s >> /notes/order; exit 0' TERM; while :; do sleep 0.1; done"
    platform.apply(pod(
        "leaver", namespace,
        container("web", f"python3 -u -c '{LISTENER}' & " + ending % "web", **notes,
                  readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                  lifecycle={"preStop": {"httpGet": {"port": 8080, "path": "/goodbye"}}}),
        container("tool", ending % "tool", **notes,
                  lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "echo hook-tool >> /notes/order"]}}}),
        container("slow", ending % "slow", **notes, lifecycle={"preStop": {"sleep": {"seconds": 1}}}),
        volumes=[{"name": "notes", "hostPath": {"path": str(folder)}}]))
    platform.kubectl("wait", "pod/leaver", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    platform.kubectl("delete", "pod", "leaver", "-n", namespace, "--timeout=60s")
    order = (folder / "order").read_text().split()
    assert sorted(order) == ["/goodbye", "hook-tool", "term-slow", "term-tool", "term-web"]
    assert order.index("/goodbye") < order.index("term-web") and order.index("hook-tool") < order.index("term-tool")


def test_names_processes_and_gates(platform, pods, namespace):
    platform.apply(pod(
        "own", namespace, container("main", "exec sleep 1000"), dnsPolicy="None",
        dnsConfig={"nameservers": ["192.0.2.53"], "searches": ["corp.example"], "options": [{"name": "ndots", "value": "2"}]},
        readinessGates=[{"conditionType": "example.com/agreed"}]))
    platform.apply(pod("host", namespace, container("main", "exec sleep 1000"), hostPID=True, dnsPolicy="Default"))
    platform.kubectl("wait", "pod/host", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    inside = lambda name, *words: platform.kubectl("exec", name, "-n", namespace, "--", *words)
    until("the container runs", lambda: condition(platform, "own", namespace, "ContainersReady") == "True")
    lines = inside("own", "cat", "/etc/resolv.conf").splitlines()
    assert lines == ["search corp.example", "nameserver 192.0.2.53", "options ndots:2"]
    assert "10.96.0.10" not in inside("host", "cat", "/etc/resolv.conf")
    # With hostPID it sees the platform's process; without, its own only.
    seen = lambda name: inside(name, "sh", "-c", "cat /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' ' '")
    assert "--zookeeper-listen" in seen("host") and "--zookeeper-listen" not in seen("own")
    # Ready only when somebody else agrees.
    assert condition(platform, "own", namespace, "Ready") == "False"
    assert platform.kubectl("get", "pod", "own", "-n", namespace, "-o", "wide", "--no-headers").split()[-1] == "0/1"
    platform.kubectl("patch", "pod", "own", "-n", namespace, "--subresource=status", "-p", json.dumps(
        {"status": {"conditions": [{"type": "example.com/agreed", "status": "True"}]}}))
    until("it is ready", lambda: condition(platform, "own", namespace, "Ready") == "True")


def test_a_node_is_emptied(platform, pods, namespace):
    """cordon and drain: nothing new comes, budgets are kept, what nobody would make again is not removed unasked."""
    node = platform.objects("nodes")["items"][0]["metadata"]["name"]
    template = {"metadata": {"labels": {"app": "crew"}}, "spec": {
        "terminationGracePeriodSeconds": 1, "containers": [container("main", "exec sleep 1000")]}}
    platform.apply(json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "crew", "namespace": namespace},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "crew"}}, "template": template}}))
    platform.apply(json.dumps({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "crew", "namespace": namespace},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "crew"}}}}))
    platform.kubectl("rollout", "status", "deployment/crew", "-n", namespace, "--timeout=60s")
    until("one may go", lambda: platform.objects("pdb", "crew", "-n", namespace)["status"].get("disruptionsAllowed") == 1)
    try:
        platform.kubectl("cordon", node)
        assert "SchedulingDisabled" in platform.kubectl("get", "node", node)
        drain = ["drain", node, "--pod-selector=app=crew", "--timeout=6s"]
        done = platform.kubectl(*drain, check=False)
        assert done.returncode != 0 and "would violate the pod's disruption budget" in done.stderr
        phases = lambda: sorted(each["status"]["phase"] for each in platform.objects("pods", "-n", namespace)["items"])
        until("one waits for a node", lambda: phases() == ["Pending", "Running"])
        words = lambda: platform.kubectl("get", "events", "-n", namespace)
        until("it is said", lambda: "node(s) were unschedulable" in words())
    finally:
        platform.kubectl("uncordon", node)
    platform.kubectl("rollout", "status", "deployment/crew", "-n", namespace, "--timeout=60s")
    platform.apply(pod("alone", namespace, container("main", "exec sleep 1000"), labels={"app": "alone"}))
    try:
        refused = platform.kubectl("drain", node, "--pod-selector=app=alone", "--timeout=6s", check=False)
        assert "cannot delete Pods that declare no controller" in refused.stderr
        platform.kubectl("drain", node, "--pod-selector=app=alone", "--force", "--timeout=60s")
    finally:
        platform.kubectl("uncordon", node)
    assert platform.kubectl("get", "pod", "alone", "-n", namespace, check=False).returncode != 0
