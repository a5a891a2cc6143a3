"""The real py-eureka-client as provider and consumer, and Spring Cloud's requests as its client sends them."""

import asyncio
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid

import pytest
from conftest import EUREKA, NACOS, deployment, service, until
from py_eureka_client import eureka_basic
from py_eureka_client.eureka_client import EurekaClient

# A provider and consumer in a process of its own, so that it can be killed; it prints what it sees, a line a second.
AGENT = """
import asyncio, json, sys, time
from py_eureka_client.eureka_client import EurekaClient
async def main():
    options = json.loads(sys.argv[1])
    client = EurekaClient(**options)
    await client.start()
    while True:
        print(json.dumps({app.name: sorted((i.hostName, i.port.port, i.status) for i in app.instances)
                          for app in client.applications.applications}), flush=True)
        time.sleep(0.2)
asyncio.run(main())
"""


class Agent:
    """py-eureka-client in a process, beating and fetching every second."""

    def __init__(self, server=None, **options):
        options = {"eureka_server": server or f"http://{EUREKA}/eureka", "renewal_interval_in_secs": 1,
                   "instance_host": "192.0.2.50", "instance_ip": "192.0.2.50", "should_register": False,
                   "app_name": "none"} | options
        self.seen = {}
        self.process = subprocess.Popen([sys.executable, "-c", AGENT, json.dumps(options)], stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.seen = json.loads(line)

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def agents():
    made = []

    def make(**options):
        made.append(Agent(**options))
        return made[-1]
    yield make
    for agent in made:
        agent.end()


@pytest.fixture
def name():
    return "eureka-" + uuid.uuid4().hex[:8]


def ask(method, path, body=None, server=EUREKA, **headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(f"http://{server}{path}", method=method, data=data, headers={
        "Content-Type": "application/json", "Accept": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def instances(app):
    status, _, body = ask("GET", f"/eureka/apps/{app.upper()}")
    return json.loads(body)["application"]["instance"] if status == 200 else []


def nacos_hosts(service):
    with urllib.request.urlopen(f"http://{NACOS}/nacos/v1/ns/instance/list?serviceName={service}", timeout=5) as answer:
        return [(host["ip"], host["port"], host["healthy"]) for host in json.load(answer)["hosts"]]


def ready(platform, name, namespace="default"):
    """The ready addresses and ports of a Service's EndpointSlices."""
    slices = platform.objects("endpointslices", "-n", namespace, "-l", f"kubernetes.io/service-name={name}")["items"]
    return sorted((address, slice["ports"][0]["port"]) for slice in slices for endpoint in slice["endpoints"]
                  if endpoint["conditions"]["ready"] for address in endpoint["addresses"])


def client(app, port=8080, ip="192.0.2.41", **options):
    return EurekaClient(eureka_server=f"http://{EUREKA}/eureka", app_name=app, instance_host=ip, instance_ip=ip,
                        instance_port=port, should_discover=False, metadata={"team": "a_b"}, **options)


def test_a_provider_is_found_through_nacos_and_kubernetes(platform, name):
    async def scenario():
        provider = client(name)
        await provider.start()
        assert nacos_hosts(name) == [("192.0.2.41", 8080, True)]
        until("the EndpointSlice", lambda: ready(platform, name) == [("192.0.2.41", 8080)])
        labels = platform.objects("service", name)["metadata"]["labels"]
        assert labels["mangrove.dev/origin"] == "eureka"
        with urllib.request.urlopen(f"http://{NACOS}/nacos/v1/ns/instance/list?serviceName={name}", timeout=5) as answer:
            assert json.load(answer)["hosts"][0]["metadata"]["team"] == "a_b"
        await provider.status_update("OUT_OF_SERVICE")
        assert nacos_hosts(name) == []
        until("the instance out of service", lambda: ready(platform, name) == [])
        await provider.delete_status_override()
        assert instances(name)[0]["status"] == "UNKNOWN"
        await provider.send_heartbeat()  # Refused once, so it registers again.
        assert instances(name)[0]["overriddenStatus"] == "UNKNOWN"
        await provider.stop()
        assert nacos_hosts(name) == [] and instances(name) == []
        until("the end of the EndpointSlice", lambda: ready(platform, name) == [])
    asyncio.run(scenario())


def test_a_consumer_follows_nacos_and_kubernetes(platform, name, agents):
    consumer = agents()
    app = name.upper()
    until("the first look", lambda: consumer.seen is not None)
    urllib.request.urlopen(urllib.request.Request(
        f"http://{NACOS}/nacos/v1/ns/instance?serviceName={name}&ip=192.0.2.42&port=9000&weight=3", method="POST"), timeout=5)
    until("the Nacos instance", lambda: consumer.seen.get(app) == [["192.0.2.42", 9000, "UP"]])
    assert instances(name)[0]["metadata"]["weight"] == "3"
    platform.apply(json.dumps({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name + "-own", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": ["192.0.2.43"], "conditions": {"ready": True}},
                      {"addresses": ["192.0.2.44"], "conditions": {"ready": False}}],
        "ports": [{"port": 9000, "protocol": "TCP"}]}))
    until("the endpoints", lambda: consumer.seen.get(app) == [
        ["192.0.2.42", 9000, "UP"], ["192.0.2.43", 9000, "UP"], ["192.0.2.44", 9000, "DOWN"]])
    platform.kubectl("delete", "endpointslice", name + "-own")
    urllib.request.urlopen(urllib.request.Request(
        f"http://{NACOS}/nacos/v1/ns/instance?serviceName={name}&ip=192.0.2.42&port=9000", method="DELETE"), timeout=5)
    until("the end of all", lambda: not consumer.seen.get(app))


def test_a_killed_provider_is_gone_with_its_lease(platform, name, agents):
    provider = agents(app_name=name, should_register=True, instance_port=8081, duration_in_secs=3)
    consumer = agents()
    until("the provider", lambda: consumer.seen.get(name.upper()) == [["192.0.2.50", 8081, "UP"]])
    until("the EndpointSlice", lambda: ready(platform, name) == [("192.0.2.50", 8081)])
    os.kill(provider.process.pid, signal.SIGKILL)
    until("the end of the lease", lambda: not consumer.seen.get(name.upper()))
    until("the end of the EndpointSlice", lambda: ready(platform, name) == [])


def test_namespaces_are_paths(namespace, name, agents):
    path = f"/eureka/namespaces/{namespace}/"
    provider = agents(server=f"http://{EUREKA}{path}", app_name=name, should_register=True, instance_port=8082)
    until("the provider", lambda: provider.seen.get(name.upper()) == [["192.0.2.50", 8082, "UP"]])
    assert instances(name) == []
    assert nacos_hosts(f"{name}&namespaceId={namespace}") == [("192.0.2.50", 8082, True)]


def test_a_leaving_pod_waits_for_eureka_consumers(platform, pods, namespace, agents):
    consumer = agents(server=f"http://{EUREKA}/eureka/namespaces/{namespace}/")
    platform.apply(deployment("web", namespace, [sys.executable, "-m", "http.server", "8080"], probe=False))
    platform.apply(service("web", namespace))
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    until("the pod", lambda: len(consumer.seen.get("WEB", [])) == 1)
    # It counts as a consumer once it has come again, which something new shows.
    path = f"/eureka/namespaces/{namespace}/apps/MARK"
    assert ask("POST", path, spring_instance("mark"))[0] == 204
    until("the second look", lambda: "MARK" in consumer.seen)
    platform.kubectl("rollout", "restart", "deployment/web", "-n", namespace)
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")

    def messages():
        return [event["message"] for event in platform.objects("events", "-n", namespace)["items"]
                if event["reason"] == "Withdrawn"]
    said = until("the acknowledgement", messages)
    assert "eureka/127.0.0.1/" in said[0], said
    until("the new pod alone", lambda: len(consumer.seen.get("WEB", [])) == 1)


# What Spring Cloud's EurekaInstanceConfigBean becomes through the Jackson codec of eureka-client 1.10.
def spring_instance(app, port=8080, **changes):
    return {"instance": {
        "instanceId": f"192.0.2.45:{app}:{port}", "app": app.upper(), "appGroupName": None, "ipAddr": "192.0.2.45", "sid": "na",
        "homePageUrl": f"http://192.0.2.45:{port}/", "statusPageUrl": f"http://192.0.2.45:{port}/actuator/info",
        "healthCheckUrl": f"http://192.0.2.45:{port}/actuator/health", "secureHealthCheckUrl": None, "vipAddress": app,
        "secureVipAddress": app, "countryId": 1,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "hostName": "192.0.2.45", "status": "UP", "overriddenStatus": "UNKNOWN",
        "leaseInfo": {"renewalIntervalInSecs": 30, "durationInSecs": 90, "registrationTimestamp": 0, "lastRenewalTimestamp": 0,
                      "evictionTimestamp": 0, "serviceUpTimestamp": 0},
        "isCoordinatingDiscoveryServer": False, "lastUpdatedTimestamp": 1700000000000, "lastDirtyTimestamp": 1700000000123,
        "actionType": None, "asgName": None, "port": {"$": port, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"}, "metadata": {"management.port": str(port)}} | changes}


SPRING = {"Accept": "application/json", "Accept_Encoding": "gzip", "DiscoveryIdentity_Name": "DefaultClient",
          "DiscoveryIdentity_Version": "1.4", "DiscoveryIdentity_Id": "192.0.2.45", "User_Agent": "Java-EurekaClient/v1.10.17"}


def test_spring_clouds_requests_are_answered_as_by_netflix(name):
    app, path = name.upper(), f"/eureka/apps/{name.upper()}/192.0.2.45:{name}:8080"
    beat = path + "?status=UP&lastDirtyTimestamp=1700000000123"
    assert ask("PUT", beat, **SPRING)[0] == 404
    assert ask("POST", f"/eureka/apps/{app}", spring_instance(name), **SPRING)[0::2] == (204, b"")
    assert ask("PUT", beat, **SPRING)[0::2] == (200, b"")
    assert ask("PUT", path + "?status=UP&lastDirtyTimestamp=1700000000124", **SPRING)[0] == 404
    for listing in ("/eureka/apps/", "/eureka/apps/delta", f"/eureka/vips/{name}", f"/eureka/svips/{name}"):
        status, headers, body = ask("GET", listing, **SPRING)
        assert status == 200 and headers["Content-Type"] == "application/json"
        if headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        applications = json.loads(body)["applications"]
        own = [each for each in applications["application"] if each["name"] == app]
        assert len(own) == 1 and len(own[0]["instance"]) == 1
        shown = own[0]["instance"][0]
        assert shown["vipAddress"] == name and shown["hostName"] == "192.0.2.45"
        assert shown["lastDirtyTimestamp"] == "1700000000123" and shown["isCoordinatingDiscoveryServer"] == "false"
        assert shown["port"] == {"$": 8080, "@enabled": "true"}
        assert "appGroupName" not in shown and "sid" not in shown
    full, delta = (json.loads(ask("GET", listing)[2])["applications"] for listing in ("/eureka/apps/", "/eureka/apps/delta"))
    assert full["apps__hashcode"] == delta["apps__hashcode"] and full["versions__delta"] == "1"
    compact = json.loads(ask("GET", path, X_Eureka_Accept="compact")[2])["instance"]
    assert "metadata" not in compact and compact["status"] == "UP"
    assert ask("PUT", path + "/status?value=OUT_OF_SERVICE&lastDirtyTimestamp=1700000000123", **SPRING)[0] == 200
    assert instances(name)[0]["overriddenstatus"] == "OUT_OF_SERVICE"
    assert ask("DELETE", path + "/status?lastDirtyTimestamp=1700000000123&value=UP", **SPRING)[0] == 200
    assert ask("PUT", path + "/metadata?canary=yes", **SPRING)[0] == 200
    assert instances(name)[0]["metadata"]["canary"] == "yes"
    assert ask("DELETE", path, **SPRING)[0] == 200
    assert ask("DELETE", path, **SPRING)[0] == 404


def test_leases_survive_a_restart(platform, name):
    app, path = name.upper(), f"/eureka/apps/{name.upper()}/192.0.2.45:{name}:8080"
    assert ask("POST", f"/eureka/apps/{app}", spring_instance(name), **SPRING)[0] == 204
    until("the EndpointSlice", lambda: ready(platform, name) == [("192.0.2.45", 8080)])
    platform.kill()
    platform.start()
    assert ask("PUT", path + "?status=UP&lastDirtyTimestamp=1700000000123", **SPRING)[0] == 200
    shown = instances(name)[0]
    assert shown["statusPageUrl"] == "http://192.0.2.45:8080/actuator/info" and shown["metadata"] == {"management.port": "8080"}
    assert ask("DELETE", path)[0] == 200


async def read_xml(name):
    applications = await eureka_basic.get_applications(f"http://{EUREKA}/eureka/")
    return [instance.metadata for instance in applications.get_application(name).instances]


def test_any_metadata_is_readable_xml(name):
    odd = {"a:b": "1", "2x": "<&>", "dubbo.metadata-service.url-params": '{"a":"\u00fc"}', "": "empty", "c d": "\u0001"}
    assert ask("POST", f"/eureka/apps/{name.upper()}", spring_instance(name, metadata=odd))[0] == 204
    metadata = asyncio.run(read_xml(name))[0]
    assert metadata["dubbo.metadata-service.url-params"] == '{"a":"\u00fc"}' and metadata["_.0032x"] == "<&>"
    assert json.loads(ask("GET", f"/eureka/apps/{name.upper()}")[2])["application"]["instance"][0]["metadata"] == odd


def test_bad_input_is_answered_to_that_client_alone(name):
    for body in (b"{", b"[]", b"null", b"<instance>", b'{"instance": 7}', b"\xff" * 100, b'{"instance":' + b"[" * 5000):
        for kind in ("application/json", "application/xml"):
            assert ask("POST", f"/eureka/apps/{name}", body, Content_Type=kind)[0] == 400
    assert ask("POST", f"/eureka/apps/{name}", b"x" * (5 << 20))[0] == 413
    assert ask("POST", f"/eureka/apps/{name}", b"x", Content_Type="image/png")[0] == 415
    host, port = EUREKA.split(":")
    halves = []
    for start in (b"GET /eureka/apps HT", b"POST /eureka/apps/A HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{", b"",
                  b"\x00\x01\x02\x03", b"GET /" + b"a" * 200_000):
        half = socket.create_connection((host, int(port)), timeout=5)
        try:
            half.sendall(start)
        except OSError:
            pass  # It was cut off already.
        halves.append(half)
    assert ask("GET", "/eureka/apps/")[0] == 200
    for half in halves:
        half.close()
    assert b'mangrove_eureka_requests_total{operation="refused",status="415"}' in ask("GET", "/metrics")[2]
