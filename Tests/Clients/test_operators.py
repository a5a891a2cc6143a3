"""A real project's definitions, as large as they come, and a real operator framework (kopf) at work on them."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest
from conftest import until

# Found without importing it, which would need the libraries that scripts/setup leaves out.
PACKAGE = pathlib.Path(importlib.util.find_spec("dask_kubernetes").origin).parent
DEFINITIONS = PACKAGE / "operator" / "deployment" / "helm" / "dask-kubernetes-operator" / "crds"
OPERATOR = pathlib.Path(__file__).parent / "operator_of_clusters.py"


@pytest.fixture
def definitions(platform):
    platform.kubectl("apply", "--server-side", "-f", str(DEFINITIONS))
    yield
    platform.kubectl("delete", "-f", str(DEFINITIONS), "--timeout=60s")


@pytest.fixture
def operator(platform, namespace, definitions, tmp_path):
    environment = os.environ | {"KUBECONFIG": str(platform.state / "kubeconfig")}
    with open(tmp_path / "operator.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", str(OPERATOR), "-n", namespace, "--standalone", "--verbose"],
            env=environment, stdout=log, stderr=subprocess.STDOUT)
    yield
    process.terminate()
    process.wait(30)


def cluster(namespace, **worker):
    container = {"name": "dask", "image": "host", "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}}
    service = {"type": "ClusterIP", "selector": {"app": "dask"}, "ports": [{"port": 8786, "targetPort": "tcp", "name": "tcp"}]}
    return json.dumps({
        "apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster", "metadata": {"name": "simple", "namespace": namespace},
        "spec": {"worker": {"replicas": 2, "spec": {"containers": [container]}} | worker,
                 "scheduler": {"spec": {"containers": [container]}, "service": service}}})


def test_a_real_projects_definitions(platform, namespace, definitions):
    assert "limits" in platform.kubectl("explain", "daskcluster.spec.worker.spec.containers.resources")
    assert "daskclusters" in platform.kubectl("api-resources", "--api-group=kubernetes.dask.org")
    again = platform.kubectl("apply", "--server-side", "-f", str(DEFINITIONS))
    assert again.count("serverside-applied") == 4
    platform.apply(cluster(namespace))
    assert platform.objects("dsk", "simple", "-n", namespace)["spec"]["worker"]["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "1", "memory": "64Mi"}}
    refused = platform.kubectl("apply", "-f", "-", text=cluster(namespace, replicas="two"), check=False)
    assert 'spec.worker.replicas: Invalid value: "string"' in refused.stderr
    refused = platform.kubectl("apply", "-f", "-", text=cluster(namespace, sauce=1), check=False)
    assert 'unknown field "spec.worker.sauce"' in refused.stderr
    scaled = platform.kubectl("scale", "daskcluster/simple", "-n", namespace, "--replicas=3")
    assert "scaled" in scaled and platform.objects("dsk", "simple", "-n", namespace)["spec"]["worker"]["replicas"] == 3


def test_an_operator_of_kopf(platform, namespace, operator):
    def ask(*words):
        return platform.kubectl("get", *words, "-n", namespace, check=False)

    def workers():
        return ask("configmap", "simple", "-o", "jsonpath={.data.workers}").stdout

    platform.apply(cluster(namespace))
    until("the ConfigMap", lambda: workers() == "2")
    until("the status", lambda: ask("dsk", "simple", "-o", "jsonpath={.status.phase}").stdout == "Running")
    platform.kubectl("scale", "daskcluster/simple", "-n", namespace, "--replicas=5")
    until("the change", lambda: workers() == "5")
    platform.kubectl("delete", "daskcluster", "simple", "-n", namespace, "--timeout=60s")
    until("the finalizer's work", lambda: ask("configmap", "simple-was-here").returncode == 0)
    until("the garbage collector", lambda: ask("configmap", "simple").returncode != 0)
