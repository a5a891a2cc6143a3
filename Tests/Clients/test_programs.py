"""Programs of the distribution as pods: nginx, redis and postgres beside python, in every kind of workload."""

import json
import shutil
import subprocess
import sys
import time

import pytest
from kubernetes import client, config

from conftest import deployment, service, until


@pytest.fixture
def core(platform, pods):
    """The Python client, as an administrator."""
    return client.CoreV1Api(config.new_client_from_config(str(platform.state / "kubeconfig")))


def need(program):
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")
    assert found, f"{program} is missing (scripts/setup installs it)"
    return found


def test_nginx_behind_a_service(platform, core, namespace):
    """A Deployment with its configuration in a ConfigMap, rolled to another one."""
    text = "daemon off; error_log stderr; pid /tmp/nginx.pid; events {} http { access_log off; server { listen 8080; " \
           "location / { return 200 '%s\\n'; } } }"
    core.create_namespaced_config_map(namespace, {"metadata": {"name": "nginx"}, "data": {"nginx.conf": text % "one"}})
    tree = json.loads(deployment("web", namespace, [need("nginx"), "-c", "/config/nginx.conf"], replicas=2))
    spec = tree["spec"]["template"]["spec"]
    spec["containers"][0]["volumeMounts"] = [{"name": "config", "mountPath": "/config"}]
    spec["volumes"] = [{"name": "config", "configMap": {"name": "nginx"}}]
    platform.apply(json.dumps(tree))
    platform.apply(service("web", namespace))
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    address = core.read_namespaced_service("web", namespace).spec.cluster_ip
    fetch = lambda: subprocess.run(["curl", "-s", "--max-time", "3", f"http://{address}/"], capture_output=True,
                                   text=True).stdout.strip()
    until("nginx answers", lambda: fetch() == "one")
    core.patch_namespaced_config_map("nginx", namespace, {"data": {"nginx.conf": text % "two"}})
    platform.kubectl("rollout", "restart", "deployment/web", "-n", namespace)
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    until("nginx says the new word", lambda: {fetch() for _ in range(6)} == {"two"})


def test_redis_keeps_its_data(platform, core, namespace):
    """A StatefulSet with a claim: the pod comes back under its name with what it stored."""
    redis = f"exec {need('redis-server')} --bind 0.0.0.0 --protected-mode no --dir /data --appendonly yes"
    platform.apply(json.dumps({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "redis", "namespace": namespace},
        "spec": {"serviceName": "redis", "replicas": 2, "selector": {"matchLabels": {"app": "redis"}},
                 "template": {"metadata": {"labels": {"app": "redis"}}, "spec": {"containers": [{
                     "name": "redis", "image": "host", "command": ["sh", "-c", redis],
                     "ports": [{"name": "redis", "containerPort": 6379}],
                     "readinessProbe": {"exec": {"command": ["redis-cli", "ping"]}, "periodSeconds": 1},
                     "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
                 "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                     "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}}]}}))
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis", "namespace": namespace},
        "spec": {"clusterIP": "None", "selector": {"app": "redis"}, "ports": [{"name": "redis", "port": 6379}]}}))
    platform.kubectl("rollout", "status", "statefulset/redis", "-n", namespace, "--timeout=90s")
    ask = lambda pod, *words: platform.kubectl("exec", pod, "-n", namespace, "--", "redis-cli", *words).strip()
    assert ask("redis-0", "set", "fruit", "propagule") == "OK"
    # Each has its own, and knows the other by name.
    assert ask("redis-1", "-h", "redis-0.redis", "get", "fruit") == "propagule"
    assert ask("redis-1", "get", "fruit") == ""
    uid = core.read_namespaced_pod("redis-0", namespace).metadata.uid
    core.delete_namespaced_pod("redis-0", namespace)
    until("redis-0 is back", lambda: uid not in {
        each.metadata.uid for each in core.list_namespaced_pod(namespace).items}, seconds=60)
    until("redis-0 is there", lambda: len(core.list_namespaced_pod(namespace).items) == 2, seconds=60)
    platform.kubectl("wait", "pod/redis-0", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    assert ask("redis-0", "get", "fruit") == "propagule"


POSTGRES = """
set -e
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
[ -e /data/db/PG_VERSION ] || { $bin/initdb -D /data/db -A trust -U shop > /dev/null
  echo "host all all all trust" >> /data/db/pg_hba.conf; }
exec $bin/postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/tmp
"""


def test_postgres_and_jobs(platform, core, namespace):
    """A database that runs as somebody else than root, and a Job that fills it."""
    import pwd
    user = pwd.getpwnam("postgres")
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db", "namespace": namespace, "labels": {"app": "db"}},
        "spec": {"securityContext": {"runAsUser": user.pw_uid, "runAsGroup": user.pw_gid, "fsGroup": user.pw_gid},
                 "volumes": [{"name": "data", "emptyDir": {}}],
                 "containers": [{"name": "db", "image": "host", "command": ["bash", "-c", POSTGRES],
                                 "ports": [{"name": "sql", "containerPort": 5432}],
                                 "readinessProbe": {"tcpSocket": {"port": "sql"}, "periodSeconds": 1},
                                 "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}}))
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": namespace},
        "spec": {"selector": {"app": "db"}, "ports": [{"port": 5432, "targetPort": "sql"}]}}))
    platform.kubectl("wait", "pod/db", "-n", namespace, "--for=condition=Ready", "--timeout=90s")
    # fsGroup lets initdb write; it wants its directory for itself, which it makes.
    sql = lambda words: ["psql", "-h", "db", "-U", "shop", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-Atc", words]
    platform.apply(json.dumps({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "fill", "namespace": namespace},
        "spec": {"completions": 3, "parallelism": 1, "backoffLimit": 20, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "fill", "image": "host", "command": sql(
                "CREATE TABLE IF NOT EXISTS runs (at timestamptz); INSERT INTO runs VALUES (now())")}]}}}}))
    platform.kubectl("wait", "job/fill", "-n", namespace, "--for=condition=Complete", "--timeout=90s")
    said = platform.kubectl("exec", "db", "-n", namespace, "--", "psql", "-h", "127.0.0.1", "-U", "shop", "-d", "postgres",
                            "-Atc", "SELECT count(*) FROM runs")
    assert said.strip() == "3"


def test_daemons_and_schedules(platform, core, namespace):
    """A DaemonSet on the machine's own network, and a CronJob started by hand."""
    serve = [sys.executable, "-m", "http.server", "18380"]
    platform.apply(json.dumps({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent", "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}, "template": {
            "metadata": {"labels": {"app": "agent"}}, "spec": {"hostNetwork": True, "containers": [{
                "name": "agent", "image": "host", "command": serve,
                "readinessProbe": {"tcpSocket": {"port": 18380}, "periodSeconds": 1}}]}}}}))
    platform.kubectl("rollout", "status", "daemonset/agent", "-n", namespace, "--timeout=60s")
    found = core.list_namespaced_pod(namespace, label_selector="app=agent").items
    assert len(found) == 1 and found[0].status.pod_ip == found[0].status.host_ip
    assert subprocess.run(["curl", "-s", "-o", "/dev/null", "http://127.0.0.1:18380/"]).returncode == 0
    platform.kubectl("create", "cronjob", "tick", "-n", namespace, "--image=host", "--schedule=0 0 1 1 *", "--",
                     "sh", "-c", "echo tick")
    platform.kubectl("create", "job", "now", "-n", namespace, "--from=cronjob/tick")
    platform.kubectl("wait", "job/now", "-n", namespace, "--for=condition=Complete", "--timeout=60s")
    assert platform.kubectl("logs", "job/now", "-n", namespace) == "tick\n"


def test_what_pods_use(platform, core, namespace):
    """kubectl top shows what the kernel counts; an autoscaler acts on it."""
    spin = {"name": "main", "image": "host", "command": ["sh", "-c", "while :; do :; done"],
            "resources": {"requests": {"cpu": "50m"}, "limits": {"cpu": "200m"}}}
    platform.apply(json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "spin", "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": "spin"}}, "template": {
            "metadata": {"labels": {"app": "spin"}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": [spin]}}}}))
    platform.kubectl("autoscale", "deployment/spin", "-n", namespace, "--cpu-percent=50", "--min=1", "--max=2")
    line = until("its use is known", lambda: platform.kubectl(
        "top", "pods", "-n", namespace, "--no-headers", check=False).stdout.split(), seconds=60, pause=1)
    assert line[0].startswith("spin-") and 10 < int(line[1].removesuffix("m")) < 260, line
    assert platform.kubectl("top", "nodes", "--no-headers").split()[1].endswith("m")
    until("a second one is started", lambda: len(core.list_namespaced_pod(namespace).items) == 2, seconds=90, pause=1)
