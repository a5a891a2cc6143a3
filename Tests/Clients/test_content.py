"""Forms of content as the real kubectl asks for them: protobuf on the wire."""

import http.client
import re
import ssl

from conftest import API

PROTOBUF = "application/vnd.kubernetes.protobuf"


def traced(platform, *words):
    """What kubectl did on the wire: requests with their headers and the answers' headers."""
    done = platform.kubectl(*words, "-v=8", check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stderr


def written_as_protobuf(trace, method):
    """Whether a request with this method carried protobuf."""
    requests = re.split(r"(?=(?:GET|POST|PUT|DELETE|PATCH) https?://)", trace)
    return any(each.startswith(method + " ") and re.search(r"Content-Type: " + re.escape(PROTOBUF), each)
               for each in requests)


def test_typed_clients_write_and_read_protobuf(platform, namespace):
    trace = traced(platform, "create", "configmap", "settings", "-n", namespace, "--from-literal=colour=green")
    assert written_as_protobuf(trace, "POST"), trace[-4000:]
    assert "6b 38 73 00" in trace, "the bodies in kubectl's trace begin with the magic of protobuf"
    assert platform.objects("configmap", "settings", "-n", namespace)["data"] == {"colour": "green"}

    traced(platform, "create", "deployment", "web", "-n", namespace, "--image=host", "--replicas=0")
    deployment = platform.objects("deployment", "web", "-n", namespace)
    assert deployment["spec"]["replicas"] == 0
    assert "namespace" in deployment["metadata"] and "generateName" not in deployment["metadata"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "host"

    traced(platform, "create", "secret", "generic", "key", "-n", namespace, "--from-literal=k=v")
    assert platform.objects("secret", "key", "-n", namespace)["data"] == {"k": "dg=="}
    traced(platform, "create", "service", "nodeport", "np", "-n", namespace, "--tcp=80:web")
    assert platform.objects("service", "np", "-n", namespace)["spec"]["ports"][0]["targetPort"] == "web"
    traced(platform, "create", "quota", "q", "-n", namespace, "--hard=cpu=1,memory=1Gi")
    assert platform.objects("quota", "q", "-n", namespace)["spec"]["hard"] == {"cpu": "1", "memory": "1Gi"}
    traced(platform, "create", "ingress", "i", "-n", namespace, "--rule=shop.example/cart*=web:8080")
    paths = platform.objects("ingress", "i", "-n", namespace)["spec"]["rules"][0]["http"]["paths"]
    assert paths[0]["backend"]["service"] == {"name": "web", "port": {"number": 8080}}
    traced(platform, "create", "poddisruptionbudget", "p", "-n", namespace, "--selector=a=b", "--min-available=50%")
    assert platform.objects("poddisruptionbudget", "p", "-n", namespace)["spec"]["minAvailable"] == "50%"


def test_every_kind_is_explained(platform):
    listed = [line.split() for line in platform.kubectl("api-resources", "--no-headers", "--cached=false").splitlines()]
    assert len(listed) > 40
    for words in listed:
        # The version is named, because kubectl reads `events.events.k8s.io` as a field of the older events.
        said = platform.kubectl("explain", words[0], "--api-version=" + words[-3])
        assert "VERSION:" in said, words
    assert "httpGet" in platform.kubectl("explain", "pod.spec.containers.livenessProbe")
    usage = platform.kubectl("explain", "podmetrics.containers.usage", "--api-version=metrics.k8s.io/v1beta1")
    assert "working set" in usage, usage
    older = platform.kubectl("explain", "deployment.spec", "--output=plaintext-openapiv2")
    assert "FIELDS:" in older and "replicas\t<integer>" in older and "selector\t<Object> -required-" in older


def test_validation_speaks_upstream(platform, namespace):
    manifest = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: {namespace}}}\ndate: {{a: b}}\n"
    done = platform.kubectl("apply", "-f", "-", text=manifest, check=False)
    assert done.returncode == 1
    assert 'strict decoding error: unknown field "date"' in done.stderr, done.stderr
    done = platform.kubectl("apply", "-f", "-", "--validate=warn", text=manifest, check=False)
    assert done.returncode == 0 and 'Warning: unknown field "date"' in done.stderr, done.stderr


def test_health_version_and_metrics(platform):
    assert platform.kubectl("get", "--raw", "/livez/ping") == "ok"
    assert platform.kubectl("get", "--raw", "/readyz?verbose").endswith("readyz check passed\n")
    assert "gitVersion" in platform.kubectl("get", "--raw", "/version")
    metrics = platform.kubectl("get", "--raw", "/metrics")
    for family in ("mangrove_eureka_requests_total", "mangrove_zookeeper_znode_count", "mangrove_catalogue_services"):
        assert f"# TYPE {family}" in metrics
    assert "apiserver_request_total{" in metrics and 'apiserver_storage_objects{resource="pods"}' in metrics


def test_a_connection_goes_on_after_a_stream(platform):
    token = (platform.state / "pki" / "admin.token").read_text().strip()
    host, port = API.split(":")
    connection = http.client.HTTPSConnection(host, int(port), context=ssl._create_unverified_context(), timeout=30)
    connection.auto_open = False
    connection.connect()
    for path in ("/api/v1/namespaces?watch=1&timeoutSeconds=1", "/mangrove.dev/snapshot", "/readyz"):
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read(), path
    connection.close()


def test_deleting_and_scaling_work_beside_it(platform, namespace):
    platform.kubectl("create", "deployment", "web", "-n", namespace, "--image=host", "--replicas=0", "--", "sleep", "1")
    assert platform.kubectl("scale", "deployment", "web", "-n", namespace, "--replicas=0").startswith("deployment")
    assert "deleted" in platform.kubectl("delete", "deployment", "web", "-n", namespace, "--cascade=background")
