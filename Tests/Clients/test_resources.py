"""Every kind that the API serves, made, listed and refused through the installed kubectl."""

import json

# What `kubectl create` can make, each with what it needs.
GENERATORS = [
    ("clusterrole", "{n}", "--verb=get", "--resource=pods"),
    ("clusterrolebinding", "{n}", "--clusterrole=view", "--user=ann"),
    ("configmap", "made", "--from-literal=a=b"),
    ("cronjob", "made", "--image=host", "--schedule=0 3 * * *", "--", "true"),
    ("deployment", "made", "--image=host", "--replicas=0", "--", "sleep", "1000"),
    ("ingress", "made", "--rule=shop.example.com/*=web:80"),
    ("job", "made", "--image=host", "--", "true"),
    ("poddisruptionbudget", "made", "--selector=app=made", "--min-available=1"),
    ("priorityclass", "{n}", "--value=5"),
    ("quota", "made", "--hard=pods=20"),
    ("role", "made", "--verb=get", "--resource=pods"),
    ("rolebinding", "made", "--role=made", "--user=ann"),
    ("secret", "generic", "made", "--from-literal=a=b"),
    ("secret", "docker-registry", "made-too", "--docker-server=x", "--docker-username=u", "--docker-password=p"),
    ("service", "clusterip", "made", "--tcp=80:80"),
    ("service", "externalname", "made-out", "--external-name=example.com"),
    ("service", "nodeport", "made-node", "--tcp=80:80"),
    ("service", "loadbalancer", "made-load", "--tcp=80:80"),
    ("serviceaccount", "made"),
]


def test_create_generators(platform, namespace):
    for words in GENERATORS:
        words = [word.format(n=namespace) for word in words]
        name = next(word for word in words if word.startswith("made") or word == namespace)
        assert "created" in platform.kubectl("-n", namespace, "create", *words)
        shown = platform.kubectl("get", words[0], name, "-n", namespace, "-o", "wide").splitlines()
        assert len(shown) == 2 and shown[1].startswith(name), shown
    for kind in ["clusterrole", "clusterrolebinding", "priorityclass"]:
        platform.kubectl("delete", kind, namespace)


def test_every_kind_lists_wide(platform):
    for name in platform.kubectl("api-resources", "--verbs=list", "-o", "name").split():
        answer = platform.kubectl("get", name, "-A", "-o", "wide", check=False)
        assert answer.returncode == 0, f"{name}: {answer.stderr}"


def test_one_autoscaler_in_two_versions(platform, namespace):
    platform.kubectl("create", "deployment", "web", "--image=host", "--replicas=0", "-n", namespace)
    platform.kubectl("autoscale", "deployment", "web", "--max=3", "--cpu-percent=60", "-n", namespace)
    modern = platform.objects("horizontalpodautoscalers.v2.autoscaling", "web", "-n", namespace)
    assert modern["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 60
    legacy = platform.objects("horizontalpodautoscalers.v1.autoscaling", "web", "-n", namespace)
    assert legacy["spec"]["targetCPUUtilizationPercentage"] == 60
    assert legacy["metadata"]["uid"] == modern["metadata"]["uid"]


def test_causes_reach_the_writer(platform, namespace):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "wrong", "namespace": namespace},
           "spec": {"restartPolicy": "Maybe", "containers": [
               {"name": "Main", "image": "host", "ports": [{"containerPort": 99999}],
                "volumeMounts": [{"name": "gone", "mountPath": "/x"}]}]}}
    answer = platform.kubectl("create", "-f", "-", text=json.dumps(pod), check=False)
    assert answer.returncode != 0
    for cause in ['spec.containers[0].name: Invalid value: "Main"',
                  "spec.containers[0].ports[0].containerPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
                  'spec.containers[0].volumeMounts[0].name: Not found: "gone"',
                  'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"']:
        assert cause in answer.stderr


def test_what_may_not_change(platform, namespace):
    platform.kubectl("create", "job", "once", "--image=host", "-n", namespace)
    answer = platform.kubectl("patch", "job", "once", "-n", namespace, "--type=merge", "-p",
                              '{"spec":{"completions":5}}', check=False)
    assert "spec.completions: Invalid value: 5: field is immutable" in answer.stderr


def test_priority_classes(platform, namespace):
    wanted = json.dumps({"spec": {"priorityClassName": "nobody"}})
    answer = platform.kubectl("run", "vip", "--image=host", "-n", namespace, "--overrides", wanted, check=False)
    assert "no PriorityClass with name nobody was found" in answer.stderr
    values = {each["metadata"]["name"]: each["value"] for each in platform.objects("priorityclasses")["items"]}
    assert values["system-node-critical"] == 2000001000
