"""What a pod says is done: limits, users, volumes, environment, hooks, probes, debugging."""

import json
import sys

import pytest

from conftest import until


# A gRPC server whose health service says SERVING.
HEALTH = """
import concurrent.futures, grpc
check = grpc.unary_unary_rpc_method_handler(lambda request, context: bytes([8, 1]))
server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check}),))
server.add_insecure_port("0.0.0.0:9000")
server.start()
server.wait_for_termination()
"""


def container(name="main", script=None, **more):
    tree = {"name": name, "image": "host", **more}
    if script:
        tree["command"] = ["sh", "-c", script]
    return tree


def pod(name, namespace, *containers, **spec):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
            "spec": {"terminationGracePeriodSeconds": 2, "containers": list(containers), **spec}}


def apply(platform, *objects):
    for each in objects:
        platform.apply(json.dumps(each))


def status(platform, namespace, name):
    return platform.objects("pod", name, "-n", namespace)["status"]


def ended(platform, namespace, name):
    """The pod's first container's end."""
    found = until(f"{name} ends", lambda: (status(platform, namespace, name).get("containerStatuses") or [{}])[0]
                  .get("state", {}).get("terminated"))
    return found


def test_environment_and_volumes(platform, namespace):
    apply(platform,
          {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": namespace},
           "data": {"color": "blue"}},
          {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": namespace},
           "stringData": {"token": "s3cret"}},
          pod("reader", namespace, container(
              script="id -u; id -g; id -G; echo $CPU $MEM $COLOR $NODE; cat /key/token; echo; cat /info/labels; echo;"
                     " df --output=size /memory | tail -1; cat /one; echo; grep shop.local /etc/hosts; cat /proc/sys/net/core/somaxconn;"
                     " touch /x 2>/dev/null || echo read-only; grep CapBnd /proc/self/status; sleep 1000",
              env=[{"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
                   {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
                   {"name": "COLOR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "color"}}},
                   {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
              resources={"limits": {"cpu": "500m", "memory": "64Mi"}},
              securityContext={"readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
              volumeMounts=[{"name": "key", "mountPath": "/key"}, {"name": "info", "mountPath": "/info"},
                            {"name": "memory", "mountPath": "/memory"}, {"name": "settings", "mountPath": "/settings"},
                            {"name": "settings", "mountPath": "/one", "subPath": "color"}]),
              hostAliases=[{"ip": "10.1.2.3", "hostnames": ["shop.local"]}],
              securityContext={"runAsUser": 1234, "runAsGroup": 2345, "fsGroup": 3456,
                               "sysctls": [{"name": "net.core.somaxconn", "value": "777"}]},
              volumes=[{"name": "key", "secret": {"secretName": "key", "defaultMode": 0o400}},
                       {"name": "settings", "configMap": {"name": "settings"}},
                       {"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
                       {"name": "info", "downwardAPI": {"items": [
                           {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]))
    node = platform.objects("nodes")["items"][0]["metadata"]["name"]
    said = until("the program speaks", lambda: (
        lambda log: log if "CapBnd" in log else None)(platform.kubectl("logs", "reader", "-n", namespace)))
    lines = [line.strip() for line in said.splitlines()]
    assert lines[:3] == ["1234", "2345", "2345 3456"]
    assert lines[3] == f"500 67108864 blue {node}"
    assert lines[4:7] == ["s3cret", 'app="reader"', "1024"]
    assert lines[7] == "blue" and lines[8].split() == ["10.1.2.3", "shop.local"] and lines[9] == "777"
    assert lines[10] == "read-only" and lines[11].split()[1] == "0" * 16
    # A change of the ConfigMap arrives; what was mounted by subPath stays.
    inside = lambda path: platform.kubectl("exec", "reader", "-n", namespace, "--", "cat", path)
    platform.kubectl("patch", "cm", "settings", "-n", namespace, "-p", '{"data":{"color":"green"}}')
    until("the change", lambda: inside("/settings/color") == "green")
    assert inside("/one") == "blue"
    platform.kubectl("label", "pod", "reader", "-n", namespace, "tier=front")
    until("the label", lambda: 'tier="front"' in inside("/info/labels"))


def test_last_words(platform, namespace):
    apply(platform,
          pod("file", namespace, container(script="printf farewell > /dev/termination-log; exit 3"), restartPolicy="Never"),
          pod("log", namespace, container(script="echo it broke; exit 4", terminationMessagePolicy="FallbackToLogsOnError"),
              restartPolicy="Never"),
          pod("none", namespace, container(command=["/no/such/program"]), restartPolicy="Never"))
    end = ended(platform, namespace, "file")
    assert (end["exitCode"], end["reason"], end["message"]) == (3, "Error", "farewell")
    assert ended(platform, namespace, "log")["message"] == "it broke\n"
    end = ended(platform, namespace, "none")
    assert (end["exitCode"], end["reason"]) == (128, "StartError") and "no such file" in end["message"].lower()


def test_a_deadline_ends_a_pod(platform, namespace):
    apply(platform, pod("late", namespace, container(script="exec sleep 1000"), activeDeadlineSeconds=1))
    found = until("the end", lambda: (lambda s: s if s["phase"] == "Failed" else None)(status(platform, namespace, "late")))
    assert found["reason"] == "DeadlineExceeded"
    assert found["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143


def test_shared_processes_and_debugging(platform, namespace):
    apply(platform, pod("pair", namespace, container("one", "exec sleep 1111"), container("two", "exec sleep 2222"),
                        shareProcessNamespace=True),
          pod("alone", namespace, container("main", "exec sleep 3333")))
    platform.kubectl("wait", "pod/pair", "pod/alone", "-n", namespace, "--for=condition=Ready", "--timeout=30s")
    assert "sleep 2222" in platform.kubectl("exec", "pair", "-c", "one", "-n", namespace, "--", "ps", "ax", "-o", "args")
    added = {"spec": {"ephemeralContainers": [{"name": "debugger", "image": "host", "targetContainerName": "main",
                                               "command": ["sh", "-c", "ps ax -o args; exit 0"]}]}}
    answer = platform.kubectl("patch", "pod", "alone", "-n", namespace, "--subresource=ephemeralcontainers",
                              "-p", json.dumps(added), check=False)
    if "not implemented" in answer.stderr:
        pytest.skip("the API does not take ephemeral containers yet")
    until("the debugger has run", lambda: (status(platform, namespace, "alone").get("ephemeralContainerStatuses") or [{}])[0]
          .get("state", {}).get("terminated"))
    assert "sleep 3333" in platform.kubectl("logs", "alone", "-c", "debugger", "-n", namespace)
    assert status(platform, namespace, "alone")["phase"] == "Running"


def test_hooks_and_probes(platform, namespace):
    serve = "python3 -m http.server 8080"
    apply(platform,
          pod("good", namespace, container(
              script=f"touch /ready; exec {serve}", ports=[{"name": "web", "containerPort": 8080}],
              lifecycle={"postStart": {"exec": {"command": ["sh", "-c", "echo started > /hook"]}}},
              startupProbe={"tcpSocket": {"port": "web"}, "periodSeconds": 1},
              readinessProbe={"exec": {"command": ["test", "-f", "/ready"]}, "periodSeconds": 1},
              livenessProbe={"httpGet": {"port": "web", "path": "/"}, "periodSeconds": 1})),
          pod("healthy", namespace, container(
              command=[sys.executable, "-c", HEALTH], readinessProbe={"grpc": {"port": 9000}, "periodSeconds": 1})),
          pod("deaf", namespace, container(
              script="exec sleep 1000", readinessProbe={"httpGet": {"port": 81, "path": "/"}, "periodSeconds": 1}),
              container("health", "exec sleep 1000",
                        readinessProbe={"grpc": {"port": 82}, "periodSeconds": 1})))
    platform.kubectl("wait", "pod/good", "pod/healthy", "-n", namespace, "--for=condition=Ready", "--timeout=30s")
    assert platform.kubectl("exec", "good", "-n", namespace, "--", "cat", "/hook") == "started\n"
    platform.kubectl("exec", "good", "-n", namespace, "--", "rm", "/ready")
    platform.kubectl("wait", "pod/good", "-n", namespace, "--for=condition=Ready=false", "--timeout=30s")
    events = lambda: platform.kubectl("get", "events", "-n", namespace, "-o", "jsonpath={.items[*].message}")
    until("the refusal is told", lambda: ":81: connect: connection refused" in events())
    until("the gRPC refusal is told", lambda: ":82" in events())


def test_what_is_not_done_is_said(platform, namespace):
    apply(platform, pod("wants", namespace, container(script="exec sleep 1000", securityContext={"seLinuxOptions": {"level": "x"}})),
          pod("disk", namespace, container(script="exec sleep 1000"), volumes=[{"name": "far", "nfs": {"server": "x", "path": "/"}}]))
    events = lambda: platform.kubectl("get", "events", "-n", namespace)
    until("it is said", lambda: "securityContext.seLinuxOptions has no effect" in events())
    until("it is refused by name", lambda: "volumes of kind nfs are not supported" in events())
