"""Custom resources with the real kubectl and the Python client: definitions, objects, tables, explain, watch, deletion."""

import json
import pathlib
import subprocess

import pytest
from conftest import until

VERSION = {
    "name": "v1", "served": True, "storage": True,
    "schema": {"openAPIV3Schema": {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object", "required": ["crew"], "description": "What the boat should be.",
                "properties": {
                    "crew": {"type": "integer", "minimum": 1, "description": "How many sail it."},
                    "home": {"type": "string", "default": "Kiel"},
                    "sails": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "required": ["name"],
                                  "properties": {"name": {"type": "string"}, "area": {"type": "integer"}}},
                    },
                },
            },
            "status": {"type": "object", "properties": {"aboard": {"type": "integer"}}},
        },
    }},
    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.crew", "statusReplicasPath": ".status.aboard"}},
    "additionalPrinterColumns": [
        {"name": "Crew", "type": "integer", "jsonPath": ".spec.crew"},
        {"name": "Home", "type": "string", "jsonPath": ".spec.home", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ],
}


def definition(plural, kind, group="sea.example.com", version=VERSION):
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "versions": [version],
                     "names": {"plural": plural, "kind": kind, "shortNames": [plural[:3]], "categories": ["fleet"]}}}


def boat(name, namespace, kind="Boat", **spec):
    return {"apiVersion": "sea.example.com/v1", "kind": kind,
            "metadata": {"name": name, "namespace": namespace}, "spec": {"crew": 3, **spec}}


@pytest.fixture(scope="module")
def boats(platform):
    platform.apply(json.dumps(definition("boats", "Boat")))
    platform.kubectl("wait", "--for", "condition=established", "--timeout=20s", "crd/boats.sea.example.com")
    yield "boats.sea.example.com"
    platform.kubectl("delete", "crd", "boats.sea.example.com", "--timeout=60s")


def test_kubectl_knows_the_kind_at_once(platform, boats):
    rows = platform.kubectl("api-resources", "--api-group=sea.example.com", "--no-headers").split()
    assert rows == ["boats", "boa", "sea.example.com/v1", "true", "Boat"]
    explained = platform.kubectl("explain", "boats.spec")
    assert "What the boat should be." in explained and "crew\t<integer> -required-" in explained


def test_apply_get_scale_and_delete(platform, namespace, boats):
    assert "created" in platform.apply(json.dumps(boat("one", namespace)))
    assert "unchanged" in platform.apply(json.dumps(boat("one", namespace)))
    assert "configured" in platform.apply(json.dumps(boat("one", namespace, crew=4)))
    head, row = platform.kubectl("get", "boa", "-n", namespace, "-o", "wide").splitlines()
    assert head.split() == ["NAME", "CREW", "HOME", "AGE"] and row.split()[:3] == ["one", "4", "Kiel"]
    assert platform.kubectl("get", "boats", "-n", namespace).splitlines()[0].split() == ["NAME", "CREW", "AGE"]
    assert "boat.sea.example.com/one" in platform.kubectl("get", "fleet", "-n", namespace, "-o", "name")
    platform.kubectl("scale", "boat/one", "-n", namespace, "--replicas=7")
    assert platform.objects("boat", "one", "-n", namespace)["spec"]["crew"] == 7
    platform.kubectl("patch", "boat", "one", "-n", namespace, "--subresource=status", "--type=merge",
                     "-p", '{"status":{"aboard":2}}')
    platform.kubectl("wait", "boat/one", "-n", namespace, "--for=jsonpath={.status.aboard}=2", "--timeout=20s")
    platform.kubectl("delete", "boat", "one", "-n", namespace)


def test_wrong_objects_are_refused(platform, namespace, boats):
    unknown = platform.kubectl("apply", "-f", "-", text=json.dumps(boat("bad", namespace, captain="Ahab")), check=False)
    assert unknown.returncode != 0 and 'unknown field "spec.captain"' in unknown.stderr
    wrong = platform.kubectl("apply", "--validate=false", "-f", "-", text=json.dumps(boat("bad", namespace, crew=0)),
                             check=False)
    assert "spec.crew in body should be greater than or equal to 1" in wrong.stderr


def test_a_namespace_takes_its_boats_along(platform, boats):
    platform.kubectl("create", "namespace", "harbour")
    platform.apply(json.dumps(boat("one", "harbour")))
    platform.kubectl("delete", "namespace", "harbour", "--timeout=60s")
    assert platform.objects("boats", "-A", "--field-selector=metadata.namespace=harbour")["items"] == []


def test_a_definition_takes_its_objects_along(platform, namespace):
    platform.apply(json.dumps(definition("rafts", "Raft")))
    platform.kubectl("wait", "--for", "condition=established", "--timeout=20s", "crd/rafts.sea.example.com")
    platform.apply(json.dumps(boat("one", namespace, kind="Raft")))
    platform.kubectl("delete", "crd", "rafts.sea.example.com", "--timeout=60s")
    gone = platform.kubectl("get", "rafts.sea.example.com", "-n", namespace, check=False)
    assert 'the server doesn\'t have a resource type "rafts"' in gone.stderr


def test_a_watch_ends_with_the_definition(platform, namespace):
    platform.apply(json.dumps(definition("tugs", "Tug")))
    platform.kubectl("wait", "--for", "condition=established", "--timeout=20s", "crd/tugs.sea.example.com")
    platform.apply(json.dumps(boat("one", namespace, kind="Tug")))
    path = f"/apis/sea.example.com/v1/namespaces/{namespace}/tugs?watch=true"
    command = ["kubectl", "--kubeconfig", str(platform.state / "kubeconfig"), "get", "--raw", path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        assert json.loads(watch.stdout.readline())["type"] == "ADDED"
        platform.kubectl("delete", "crd", "tugs.sea.example.com", "--timeout=60s")
        watch.stdout.read()
        assert watch.wait(timeout=30) == 0


def test_bad_definitions_are_refused(platform):
    bad = definition("ships", "Ship")
    bad["spec"]["conversion"] = {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}
    answer = platform.kubectl("apply", "-f", "-", text=json.dumps(bad), check=False)
    assert "does not call conversion webhooks" in answer.stderr


def test_a_definition_as_projects_ship_them(platform, namespace):
    file = str(pathlib.Path(__file__).parent / "berths.yaml")
    assert "does not evaluate CEL rules" in platform.kubectl("apply", "-f", file, check=False).stderr
    platform.kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
    platform.kubectl("wait", "--for", "condition=established", "--timeout=20s", "crd/berths.harbour.example.com")
    one = {"apiVersion": "harbour.example.com/v1", "kind": "Berth",
           "metadata": {"name": "one", "namespace": namespace, "annotations": {"definition.oam.dev/description": "wide"}},
           "spec": {"secretName": "s", "hosts": ["*.example.com", "b.example.com"], "static": {"a": "b"}, "port": 8080,
                    "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "time": None, "any": [1, {"a": "b"}],
                    "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"whatever": 1}},
                    "list": [{"name": "a"}, {"name": "a", "protocol": "UDP", "weight": 3, "nested": {}}]}}
    platform.apply(json.dumps(one))
    spec = platform.objects("berth", "one", "-n", namespace)["spec"]
    assert spec["list"] == [{"name": "a", "protocol": "TCP", "weight": 0, "nested": {"x": "yy"}},
                            {"name": "a", "protocol": "UDP", "weight": 3, "nested": {"x": "yy"}}]
    assert (spec["count"], spec["duration"], spec["mode"]) == (1, "5s", "Always") and "time" not in spec
    assert spec["template"]["spec"] == {"whatever": 1} and spec["any"] == [1, {"a": "b"}]
    head, row = platform.kubectl("get", "bth", "-n", namespace).splitlines()
    assert head.split() == ["NAME", "READY", "HOSTS", "FIRST", "DESCRIPTION", "AGE", "COUNT", "SECRET"]
    assert row.split()[:4] == ["one", "*.example.com", "a", "wide"]
    assert platform.kubectl("get", "bth", "-n", namespace, "--field-selector=spec.secretName=other", "-o", "name") == ""
    platform.kubectl("scale", "berth", "one", "-n", namespace, "--replicas=3")
    older = platform.kubectl("get", "berths.v1alpha1.harbour.example.com", "one", "-n", namespace, check=False)
    assert "v1alpha1 Berth is deprecated" in older.stderr
    for change, words in [
        ({"dynamic": {}}, '"spec" must validate one and only one schema (oneOf)'),
        ({"hosts": ["a", "a"]}, 'spec.hosts[1]: Duplicate value: "a"'),
        ({"mode": "No"}, 'spec.mode: Unsupported value: "No": supported values: "Always", "Never", "null"'),
        ({"ratio": 0.7}, "spec.ratio in body should be a multiple of 0.5"),
        ({"ip": "x"}, '"spec.ip" must validate at least one schema (anyOf)'),
        ({"port": "1.5.5"}, "spec.port in body should match"),
        ({"secretName": ""}, "spec.secretName in body should be at least 1 chars long"),
        ({"headers": {"h": {"exact": "a", "prefix": "b"}}}, "must validate one and only one schema (oneOf)"),
    ]:
        refused = platform.kubectl("patch", "berth", "one", "-n", namespace, "--type=merge", "-p",
                                   json.dumps({"spec": change}), check=False)
        assert refused.returncode == 1 and words in refused.stderr, (change, refused.stderr)
    platform.kubectl("delete", "-f", file, "--timeout=60s")


def test_rules_that_are_not_evaluated_are_said(platform):
    version = json.loads(json.dumps(VERSION))
    version["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] = [{"rule": "self.spec.crew < 5"}]
    answer = platform.kubectl("create", "-f", "-", text=json.dumps(definition("barges", "Barge", version=version)),
                              check=False)
    assert answer.returncode == 0 and "does not evaluate CEL rules" in answer.stderr
    platform.kubectl("delete", "crd", "barges.sea.example.com", "--timeout=60s")


def test_the_python_client(platform, namespace, boats):
    kubernetes = pytest.importorskip("kubernetes")
    from kubernetes import dynamic

    client = kubernetes.config.new_client_from_config(str(platform.state / "kubeconfig"))
    kind = dynamic.DynamicClient(client).resources.get(api_version="sea.example.com/v1", kind="Boat")
    created = kind.create(body=boat("one", namespace), namespace=namespace)
    assert created.spec.home == "Kiel"
    patched = kind.patch(body={"metadata": {"name": "one"}, "spec": {"crew": 5}}, namespace=namespace,
                         content_type="application/merge-patch+json")
    assert patched.spec.crew == 5
    kind.status.patch(body={"metadata": {"name": "one"}, "status": {"aboard": 1}}, name="one", namespace=namespace,
                      content_type="application/merge-patch+json")
    watcher = kubernetes.watch.Watch()
    for event in kind.watch(namespace=namespace, timeout=5, watcher=watcher):
        assert event["object"].status.aboard == 1
        watcher.stop()
    assert [each.metadata.name for each in kind.get(namespace=namespace).items] == ["one"]
    custom = kubernetes.client.CustomObjectsApi(client)
    assert custom.get_namespaced_custom_object_scale("sea.example.com", "v1", namespace, "boats", "one")["spec"] == {
        "replicas": 5}
    with pytest.raises(kubernetes.client.ApiException) as refused:
        custom.patch_namespaced_custom_object("sea.example.com", "v1", namespace, "boats", "one",
                                              {"spec": {"crew": "all"}})
    assert refused.value.status == 422
    kind.delete(name="one", namespace=namespace)
    assert until("the end", lambda: not kind.get(namespace=namespace).items)
    client.rest_client.pool_manager.clear()
