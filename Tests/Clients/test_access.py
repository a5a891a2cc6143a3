"""Access as people and programs meet it: kubectl's auth commands, and the Python client inside a pod."""

import base64
import json
import os
import subprocess
import sys

from conftest import API, until


def as_user(platform, user, *words, check=False):
    done = platform.kubectl("--as", user, *words, check=False)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def test_who_am_i_and_what_may_i(platform, namespace):
    who = platform.kubectl("auth", "whoami")
    assert "kubernetes-admin" in who and "system:masters" in who
    assert platform.kubectl("auth", "can-i", "*", "*").strip() == "yes"
    assert as_user(platform, "jane", "auth", "can-i", "list", "pods").stdout.strip() == "no"
    assert "*.*" in platform.kubectl("auth", "can-i", "--list")
    refused = as_user(platform, "jane", "get", "pods", "-n", namespace)
    assert refused.stderr.strip() == (
        'Error from server (Forbidden): pods is forbidden: User "jane" cannot list resource "pods" in API group "" '
        f'in the namespace "{namespace}"')


def test_roles_are_made_and_reconciled(platform, namespace):
    platform.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods", "-n", namespace)
    platform.kubectl("create", "rolebinding", "readers", "--role=reader", "--user=jane", "-n", namespace)
    assert as_user(platform, "jane", "auth", "can-i", "list", "pods", "-n", namespace).stdout.strip() == "yes"
    assert as_user(platform, "jane", "get", "pods", "-n", namespace).returncode == 0
    assert as_user(platform, "jane", "delete", "pod", "x", "-n", namespace).stderr.startswith(
        "Error from server (Forbidden): pods \"x\" is forbidden")
    policy = json.dumps({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "reader", "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "watch"]}]})
    assert "reconciled" in platform.kubectl("auth", "reconcile", "-f", "-", text=policy)
    rules = platform.objects("role", "reader", "-n", namespace)["rules"]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}
    platform.kubectl("create", "rolebinding", "admins", "--clusterrole=admin", "--user=ann", "-n", namespace)
    more = as_user(platform, "ann", "create", "role", "more", "--verb=update", "--resource=resourcequotas", "-n", namespace)
    assert 'user "ann" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n' \
           '{APIGroups:[""], Resources:["resourcequotas"], Verbs:["update"]}' in more.stderr


def test_tokens_of_service_accounts(platform, namespace):
    platform.kubectl("create", "serviceaccount", "robot", "-n", namespace)
    token = platform.kubectl("create", "token", "robot", "-n", namespace, "--duration=20m").strip()
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["sub"] == f"system:serviceaccount:{namespace}:robot" and claims["exp"] - claims["iat"] == 1200
    with_token = plain_kubeconfig(platform, token)
    who = subprocess.run(["kubectl", "--kubeconfig", with_token, "auth", "whoami", "-o", "json"],
                         capture_output=True, text=True, check=True)
    assert json.loads(who.stdout)["status"]["userInfo"]["username"] == claims["sub"]
    platform.kubectl("delete", "serviceaccount", "robot", "-n", namespace)
    gone = subprocess.run(["kubectl", "--kubeconfig", with_token, "get", "pods"], capture_output=True, text=True)
    assert "You must be logged in to the server" in gone.stderr, gone.stderr


def test_a_secret_carries_a_token(platform, namespace):
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "old", "namespace": namespace,
                     "annotations": {"kubernetes.io/service-account.name": "default"}}}))
    data = until("the token", lambda: platform.objects("secret", "old", "-n", namespace).get("data"))
    assert base64.b64decode(data["namespace"]).decode() == namespace and "ca.crt" in data
    config = plain_kubeconfig(platform, base64.b64decode(data["token"]).decode())
    who = subprocess.run(["kubectl", "--kubeconfig", config, "auth", "whoami"], capture_output=True, text=True, check=True)
    assert f"system:serviceaccount:{namespace}:default" in who.stdout


def test_certificates_are_signed_when_approved(platform, tmp_path):
    key, request = tmp_path / "jane.key", tmp_path / "jane.csr"
    subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", request, "-subj", "/CN=jane/O=dev"], check=True, capture_output=True)
    platform.apply(json.dumps({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "jane"},
        "spec": {"request": base64.b64encode(request.read_bytes()).decode(), "expirationSeconds": 86400,
                 "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}}))
    try:
        assert "approved" in platform.kubectl("certificate", "approve", "jane")
        signed = until("the certificate", lambda: platform.objects("csr", "jane")["status"].get("certificate"))
        certificate = tmp_path / "jane.crt"
        certificate.write_bytes(base64.b64decode(signed))
        config = plain_kubeconfig(platform, None, {"client-certificate": str(certificate), "client-key": str(key)})
        who = subprocess.run(["kubectl", "--kubeconfig", config, "auth", "whoami", "-o", "json"],
                             capture_output=True, text=True, check=True)
        assert json.loads(who.stdout)["status"]["userInfo"] == {
            "username": "jane", "groups": ["dev", "system:authenticated"]}
    finally:
        platform.kubectl("delete", "csr", "jane")


def test_strangers_see_health_and_version_and_nothing_else(platform):
    import urllib3
    web = urllib3.PoolManager(cert_reqs="CERT_NONE", assert_hostname=False)
    urllib3.disable_warnings()

    def get(path, **headers):
        answer = web.request("GET", f"https://{API}{path}", headers=headers)
        return answer.status, answer.data.decode()

    for path in ("/version", "/healthz", "/livez", "/readyz"):
        assert get(path)[0] == 200, path
    for path in ("/api", "/apis", "/metrics", "/openapi/v2", "/api/v1/namespaces/default/pods", "/openid/v1/jwks"):
        status, body = get(path)
        assert (status, json.loads(body)["reason"]) == (403, "Forbidden"), path
    assert json.loads(get("/api")[1])["message"] == 'forbidden: User "system:anonymous" cannot get path "/api"'
    status, body = get("/version", Authorization="Bearer nonsense")
    assert (status, json.loads(body)["message"]) == (401, "Unauthorized")


IN_CLUSTER = """
from kubernetes import client, config
config.load_incluster_config()
core = client.CoreV1Api()
print("pods", len(core.list_namespaced_pod(open(
    "/var/run/secrets/kubernetes.io/serviceaccount/namespace").read()).items))
try:
    core.list_secret_for_all_namespaces()
except client.ApiException as refused:
    print("secrets", refused.status, refused.reason)
review = client.AuthenticationV1Api().create_self_subject_review(body={})
print("user", review.status.user_info.username)
print("pod", review.status.user_info.extra["authentication.kubernetes.io/pod-name"][0])
"""


def test_a_pod_finds_the_api_by_its_own_credentials(platform, namespace):
    platform.kubectl("create", "rolebinding", "view", "--clusterrole=view", f"--serviceaccount={namespace}:default",
                     "-n", namespace)
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "program", "namespace": namespace},
        "spec": {"restartPolicy": "Never", "containers": [
            {"name": "main", "image": "host", "command": [sys.executable, "-c", IN_CLUSTER]}]}}))
    until("the end", lambda: platform.objects("pod", "program", "-n", namespace)["status"]["phase"]
          in ("Succeeded", "Failed"))
    lines = platform.kubectl("logs", "program", "-n", namespace).splitlines()
    assert lines == ["pods 1", "secrets 403 Forbidden", f"user system:serviceaccount:{namespace}:default",
                     "pod program"], lines


def plain_kubeconfig(platform, token, user=None):
    """A kubeconfig for the same server with other credentials."""
    config = json.loads(platform.kubectl("config", "view", "--raw", "-o", "json"))
    cluster = config["clusters"][0]["cluster"]
    path = platform.directory / f"kubeconfig-{os.urandom(4).hex()}"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "x", "cluster": cluster}],
        "users": [{"name": "x", "user": user or {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}]}))
    return str(path)
