"""The installed kubectl against the API server: what people type every day."""

import json
import subprocess

from conftest import deployment, service, until


def configmap(name, namespace, **data):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap",
                       "metadata": {"name": name, "namespace": namespace}, "data": data})


def test_apply_get_patch_delete(platform, namespace):
    assert "created" in platform.apply(configmap("settings", namespace, a="1", b="2"))
    assert "unchanged" in platform.apply(configmap("settings", namespace, a="1", b="2"))
    assert "configured" in platform.apply(configmap("settings", namespace, a="3"))
    assert platform.objects("configmap", "settings", "-n", namespace)["data"] == {"a": "3"}
    platform.kubectl("patch", "cm", "settings", "-n", namespace, "--type=merge", "-p", '{"data":{"c":"4"}}')
    platform.kubectl("patch", "cm", "settings", "-n", namespace, "--type=json", "-p",
                     '[{"op":"replace","path":"/data/a","value":"5"}]')
    platform.kubectl("label", "cm", "settings", "-n", namespace, "tier=front")
    found = platform.objects("cm", "-n", namespace, "-l", "tier=front")["items"]
    assert [each["data"] for each in found] == [{"a": "5", "c": "4"}]
    assert "deleted" in platform.kubectl("delete", "cm", "settings", "-n", namespace)
    missing = platform.kubectl("get", "cm", "settings", "-n", namespace, check=False)
    assert 'Error from server (NotFound): configmaps "settings" not found' in missing.stderr


def test_unknown_fields_are_refused(platform, namespace):
    wrong = json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": namespace},
                        "spec": {"ports": [{"port": 80}], "selektor": {"a": "b"}}})
    answer = platform.kubectl("apply", "-f", "-", text=wrong, check=False)
    assert answer.returncode != 0 and "selektor" in answer.stderr


def test_discovery_and_tables(platform):
    listed = platform.kubectl("api-resources", "-o", "name").split()
    assert {"pods", "services", "deployments.apps", "endpointslices.discovery.k8s.io"} <= set(listed)
    assert platform.kubectl("get", "namespaces").splitlines()[0].split() == ["NAME", "STATUS", "AGE"]
    assert platform.kubectl("get", "--raw", "/readyz") == "ok"
    assert "Server Version: v1." in platform.kubectl("version")


def test_what_every_cluster_has_comes_back(platform):
    """`delete all --all` takes the API's own Service along, as everywhere; it is there again, with its address and endpoints."""
    def shown(kind, member):
        done = platform.kubectl("get", kind, "kubernetes", "-n", "default", "-o", "json", check=False)
        return json.loads(done.stdout or "{}").get(member)
    old = shown("service", "metadata")["uid"]
    platform.kubectl("delete", "service/kubernetes", "endpoints/kubernetes", "endpointslice/kubernetes", "-n", "default")
    until("it is there again", lambda: (shown("service", "metadata") or {"uid": old})["uid"] != old)
    assert shown("service", "spec")["clusterIP"] == "10.96.0.1"
    until("and its endpoints", lambda: shown("endpointslice", "endpoints") and shown("endpoints", "subsets"))


def test_watch(platform, namespace):
    command = ["kubectl", "--kubeconfig", str(platform.state / "kubeconfig"), "get", "cm", "-n", namespace, "-w",
               "-o", "name", "--field-selector=metadata.name=seen"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        platform.apply(configmap("seen", namespace, a="1"))
        assert watch.stdout.readline().strip() == "configmap/seen"
        platform.apply(configmap("seen", namespace, a="2"))
        assert watch.stdout.readline().strip() == "configmap/seen"
        watch.terminate()


def test_a_stranger_is_refused(platform):
    stranger = platform.kubectl("--token=wrong", "--username=", "get", "pods", check=False)
    anonymous = subprocess.run(["curl", "-sk", "https://127.0.0.1:16443/api/v1/pods"], capture_output=True, text=True)
    assert json.loads(anonymous.stdout)["code"] in (401, 403)
    assert stranger is not None


def test_pod_runs_logs_and_describes(platform, pods, namespace):
    script = "echo hello from $POD_NAME; exec python3 -m http.server 8080"
    platform.apply(deployment("web", namespace, ["/bin/sh", "-c", script], probe=False))
    platform.apply(service("web", namespace))
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    pod = platform.objects("pods", "-n", namespace)["items"][0]
    name = pod["metadata"]["name"]
    assert pod["status"]["phase"] == "Running" and pod["status"]["podIP"].startswith("10.88.")
    until("the log", lambda: f"hello from {name}" in platform.kubectl("logs", name, "-n", namespace))
    described = platform.kubectl("describe", "pod", name, "-n", namespace)
    assert "Started" in described and "Scheduled" in described
    described = platform.kubectl("describe", "deployment", "web", "-n", namespace)
    assert "MinimumReplicasAvailable" in described
    address = platform.objects("service", "web", "-n", namespace)["spec"]["clusterIP"]
    fetched = until("the service", lambda: subprocess.run(
        ["curl", "-s", "--max-time", "2", f"http://{address}/etc/hostname"], capture_output=True, text=True).stdout)
    assert fetched.strip() == name  # Each pod has a host name of its own.
    assert "web" in platform.kubectl("get", "pods", "-n", namespace, "-o", "wide")


def test_a_program_that_fails_is_restarted(platform, pods, namespace):
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fails", "namespace": namespace},
        "spec": {"containers": [{"name": "main", "image": "host", "command": ["/bin/sh", "-c", "exit 7"]}]}}))
    def status():
        found = platform.objects("pod", "fails", "-n", namespace)["status"].get("containerStatuses", [{}])[0]
        return found if found.get("restartCount", 0) >= 1 else None
    found = until("a restart", status)
    ended = found.get("lastState", {}).get("terminated") or found["state"].get("terminated")
    assert ended["exitCode"] == 7 and ended["reason"] == "Error"


def test_an_image_waits_for_a_runtime(platform, pods, namespace):
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "boxed", "namespace": namespace},
        "spec": {"containers": [{"name": "main", "image": "nginx:1.27"}]}}))
    waiting = until("a reason", lambda: platform.objects("pod", "boxed", "-n", namespace)["status"]
                    .get("containerStatuses", [{}])[0].get("state", {}).get("waiting"))
    assert "containerd" in waiting["message"]


def test_rollback(platform, pods, namespace):
    sleep = ["/bin/sh", "-c", "sleep 1000"]
    platform.apply(deployment("steady", namespace, sleep, probe=False))
    platform.kubectl("rollout", "status", "deployment/steady", "-n", namespace, "--timeout=60s")
    platform.kubectl("set", "env", "deployment/steady", "A=2", "-n", namespace)
    platform.kubectl("rollout", "status", "deployment/steady", "-n", namespace, "--timeout=60s")
    assert len(platform.objects("rs", "-n", namespace)["items"]) == 2
    platform.kubectl("rollout", "undo", "deployment/steady", "-n", namespace)
    platform.kubectl("rollout", "status", "deployment/steady", "-n", namespace, "--timeout=60s")
    spec = platform.objects("deployment", "steady", "-n", namespace)["spec"]["template"]["spec"]
    assert not [each for each in spec["containers"][0]["env"] if each["name"] == "A"]
