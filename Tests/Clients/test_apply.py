"""Server-side apply, patches, edits and deletes with the installed kubectl."""

import json
import os
import subprocess

from conftest import until


def deployment(namespace, replicas=1, image="host", **more):
    return json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, **more,
                 "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [
                     {"name": "main", "image": image, "command": ["sleep", "1000"]}]}}}})


def configmap(name, namespace, **data):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap",
                       "metadata": {"name": name, "namespace": namespace}, "data": data})


def managers(platform, *what):
    found = platform.objects(*what, "--show-managed-fields")["metadata"].get("managedFields", [])
    return {(each["manager"], each["operation"], each.get("subresource", "")): each["fieldsV1"] for each in found}


def apply(platform, text, *words, check=True):
    return platform.kubectl("apply", "--server-side", "-f", "-", *words, text=text, check=check)


def test_owners_conflict_and_give_way(platform, namespace):
    assert "serverside-applied" in apply(platform, configmap("a", namespace, x="1", y="1"), "--field-manager=one")
    refused = apply(platform, configmap("a", namespace, x="2"), "--field-manager=two", check=False)
    assert refused.returncode != 0
    assert 'Apply failed with 1 conflict: conflict with "one": .data.x' in refused.stderr
    apply(platform, configmap("a", namespace, x="2"), "--field-manager=two", "--force-conflicts")
    assert managers(platform, "cm", "a", "-n", namespace) == {
        ("one", "Apply", ""): {"f:data": {"f:y": {}}}, ("two", "Apply", ""): {"f:data": {"f:x": {}}}}
    apply(platform, configmap("a", namespace), "--field-manager=one")
    assert platform.objects("cm", "a", "-n", namespace)["data"] == {"x": "2"}


def test_unknown_fields_cannot_be_applied(platform, namespace):
    wrong = json.loads(configmap("a", namespace))
    wrong["dada"] = {}
    refused = apply(platform, json.dumps(wrong), "--validate=false", check=False)
    assert ".dada: field not declared in schema" in refused.stderr


def test_client_side_apply_hands_over(platform, namespace):
    platform.kubectl("apply", "-f", "-", text=deployment(namespace))
    apply(platform, deployment(namespace, replicas=2))
    found = managers(platform, "deploy", "web", "-n", namespace)
    assert ("kubectl", "Apply", "") in found and ("kubectl-client-side-apply", "Update", "") not in found
    assert platform.objects("deploy", "web", "-n", namespace)["spec"]["replicas"] == 2
    # The way back: client-side apply still knows what was applied.
    assert "configured" in platform.kubectl("apply", "-f", "-", text=deployment(namespace, paused=True))
    assert platform.objects("deploy", "web", "-n", namespace)["spec"]["replicas"] == 1


def test_diffs_of_both_kinds_change_nothing(platform, namespace):
    apply(platform, deployment(namespace))
    before = platform.objects("deploy", "web", "-n", namespace)["metadata"]["generation"]
    assert apply(platform, deployment(namespace)).strip() == "deployment.apps/web serverside-applied"
    for words in ([], ["--server-side"]):
        same = platform.kubectl("diff", *words, "-f", "-", text=deployment(namespace), check=False)
        assert same.returncode == 0 if words else same.returncode in (0, 1), same.stderr
        other = platform.kubectl("diff", *words, "-f", "-", text=deployment(namespace, replicas=3), check=False)
        assert other.returncode == 1 and "+  replicas: 3" in other.stdout, other.stderr
    assert platform.objects("deploy", "web", "-n", namespace)["metadata"]["generation"] == before


def test_every_writer_has_an_entry(platform, namespace):
    apply(platform, deployment(namespace))
    platform.kubectl("scale", "deploy/web", "--replicas=2", "-n", namespace)
    platform.kubectl("label", "deploy/web", "tier=front", "-n", namespace)
    platform.kubectl("annotate", "deploy/web", "why=because", "-n", namespace)
    platform.kubectl("wait", "deploy/web", "--for=condition=Progressing", "-n", namespace, "--timeout=30s")
    found = managers(platform, "deploy", "web", "-n", namespace)
    assert found[("kubectl", "Update", "scale")] == {"f:spec": {"f:replicas": {}}}
    assert found[("kubectl-label", "Update", "")]["f:metadata"]["f:labels"] == {".": {}, "f:tier": {}}
    assert "f:why" in found[("kubectl-annotate", "Update", "")]["f:metadata"]["f:annotations"]
    refused = apply(platform, deployment(namespace), check=False)
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas' in refused.stderr


def test_edit_and_every_kind_of_patch(platform, namespace, tmp_path):
    platform.kubectl("create", "-f", "-", text=deployment(namespace))
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/replicas: 1/replicas: 2/' \"$1\"\n")
    editor.chmod(0o755)
    done = subprocess.run(
        ["kubectl", "--kubeconfig", str(platform.state / "kubeconfig"), "edit", "deploy/web", "-n", namespace],
        env={**os.environ, "KUBE_EDITOR": str(editor)}, capture_output=True, text=True, timeout=60)
    assert "deployment.apps/web edited" in done.stdout, done.stderr
    patch = ["patch", "deploy/web", "-n", namespace]
    platform.kubectl(*patch, "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"two","image":"host"}]}}}}')
    platform.kubectl(*patch, "--type=json", "-p", '[{"op":"test","path":"/spec/replicas","value":2},'
                     '{"op":"move","from":"/spec/template/spec/containers/0","path":"/spec/template/spec/containers/1"}]')
    platform.kubectl(*patch, "-p", '{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"main"},'
                     '{"name":"two"}],"containers":[{"name":"main","env":[{"name":"A","value":"1"}]}]}}}}')
    platform.kubectl(*patch, "-p", '{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}')
    spec = platform.objects("deploy", "web", "-n", namespace)["spec"]
    assert spec["replicas"] == 2 and spec["strategy"] == {"type": "Recreate"}
    assert {each["name"] for each in spec["template"]["spec"]["containers"]} == {"main", "two"}
    platform.kubectl(*patch, "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"two","$patch":"delete"}]}}}}')
    platform.kubectl(*patch, "--type=merge", "-p", '{"spec":{"replicas":1}}')
    spec = platform.objects("deploy", "web", "-n", namespace)["spec"]
    assert [each["name"] for each in spec["template"]["spec"]["containers"]] == ["main"] and spec["replicas"] == 1
    failed = platform.kubectl(*patch, "--type=json", "-p", '[{"op":"test","path":"/spec/replicas","value":9}]', check=False)
    assert failed.returncode != 0 and "invalid" in failed.stderr


def test_cascades(platform, namespace):
    def owned(kind):
        return platform.objects(kind, "-n", namespace)["items"]
    for cascade in ("orphan", "background", "foreground"):
        platform.kubectl("create", "-f", "-", text=deployment(namespace))
        until("pods", lambda: owned("pods"))
        platform.kubectl("delete", "deploy/web", "-n", namespace, f"--cascade={cascade}", "--timeout=60s")
        if cascade == "orphan":
            assert owned("rs")
            until("the owner is forgotten", lambda: "ownerReferences" not in owned("rs")[0]["metadata"])
            platform.kubectl("delete", "rs", "--all", "-n", namespace, "--timeout=60s")
        elif cascade == "foreground":
            assert not owned("rs")
        until("everything is gone", lambda: not owned("rs") and not owned("pods"))


def test_a_pod_is_evicted(platform, namespace):
    apply(platform, deployment(namespace))
    name = until("a pod", lambda: platform.objects("pods", "-n", namespace)["items"])[0]["metadata"]["name"]
    body = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}})
    path = f"/api/v1/namespaces/{namespace}/pods/{name}/eviction"
    answer = json.loads(platform.kubectl("create", "--raw", path, "-f", "-", text=body))
    assert answer["status"] == "Success" and answer["code"] == 201
    until("another pod", lambda: name not in [
        each["metadata"]["name"] for each in platform.objects("pods", "-n", namespace)["items"]])
