"""Helm 3 and 4 with a chart of our own: what they store, apply, wait for and take away."""

import json
import os
import subprocess
import textwrap

import pytest

from conftest import CLIENTS, until

FILES = {
    "Chart.yaml": "{apiVersion: v2, name: boats, version: 0.1.0}",
    "values.yaml": "{crew: 1, replicas: 0}",
    "crds/boats.yaml": """
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        metadata: {name: boats.helm.example.com}
        spec:
          group: helm.example.com
          names: {kind: Boat, plural: boats}
          scope: Namespaced
          versions:
          - name: v1
            served: true
            storage: true
            schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {
              crew: {type: integer, minimum: 1}}}}}}
        """,
    "templates/boat.yaml": """
        apiVersion: helm.example.com/v1
        kind: Boat
        metadata: {name: {{ .Release.Name }}}
        spec: {crew: {{ .Values.crew }}}
        """,
    "templates/web.yaml": """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: {{ .Release.Name }}, labels: {crew: "{{ .Values.crew }}"}}
        spec:
          replicas: {{ .Values.replicas }}
          selector: {matchLabels: {app: web}}
          template:
            metadata: {labels: {app: web}}
            spec: {containers: [{name: web, image: host, command: [sleep, "1000"]}]}
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: {{ .Release.Name }}}
        spec: {selector: {app: web}, ports: [{port: 80}]}
        ---
        apiVersion: v1
        kind: ConfigMap
        metadata:
          name: {{ .Release.Name }}-before
          annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: hook-succeeded}
        data: {version: "{{ .Capabilities.KubeVersion.Minor }}"}
        """,
}


@pytest.fixture
def chart(tmp_path):
    for name, text in FILES.items():
        file = tmp_path / "boats" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip())
    return str(tmp_path / "boats")


@pytest.mark.parametrize("version", ["v30", "v36"])
def test_a_release_from_install_to_uninstall(platform, namespace, chart, tmp_path, version):
    def helm(*words, check=True):
        done = subprocess.run(
            [str(CLIENTS / version / "helm"), "-n", namespace, "--kubeconfig", str(platform.state / "kubeconfig"), *words],
            capture_output=True, text=True, timeout=120,
            env=dict(os.environ, HOME=str(tmp_path), HELM_CACHE_HOME=str(tmp_path / "cache")))
        if check:
            assert done.returncode == 0, f"helm {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout if check else done

    def boat():
        return platform.objects("boats.helm.example.com", "sea", "-n", namespace)["spec"]["crew"]

    assert "STATUS: deployed" in helm("install", "sea", chart)
    assert boat() == 1
    helm("upgrade", "sea", chart, "--set", "crew=2", "--wait", "--timeout", "60s")
    assert boat() == 2
    kept = platform.objects("secrets", "-n", namespace, "-l", "owner=helm")["items"]
    assert [each["type"] for each in kept] == ["helm.sh/release.v1"] * 2
    # A dry run that asks the server leaves nothing, and a refusal is shown in the server's words.
    helm("upgrade", "sea", chart, "--set", "crew=3", "--dry-run=server")
    assert boat() == 2
    refused = helm("upgrade", "sea", chart, "--set", "crew=0", check=False)
    assert refused.returncode == 1 and "should be greater than or equal to 1" in refused.stderr, refused.stderr
    helm("rollback", "sea", "1", "--wait", "--timeout", "60s")
    assert boat() == 1
    history = json.loads(helm("history", "sea", "-o", "json"))
    assert [each["status"] for each in history] == ["superseded", "superseded", "failed", "deployed"]
    assert platform.kubectl("get", "configmaps", "-n", namespace, "-o", "name") == "configmap/kube-root-ca.crt\n"
    helm("uninstall", "sea", "--wait", "--timeout", "60s")
    until("all of the release is gone", lambda: not platform.objects(
        "boats.helm.example.com,deployments,services,secrets", "-n", namespace)["items"])
    platform.kubectl("delete", "crd", "boats.helm.example.com")
