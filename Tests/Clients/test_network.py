"""Service addresses of every kind, by the kernel's rules, from the machine and from pods."""

import json
import socket
import subprocess

from conftest import service, until


def workload(name, namespace, replicas=2, **more):
    container = {"name": "main", "image": "host", "command": ["python3", "-m", "http.server", "8080"],
                 "ports": [{"name": "http", "containerPort": 8080}],
                 "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 1}, **more}
    return json.dumps({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                 "template": {"metadata": {"labels": {"app": name}},
                              "spec": {"terminationGracePeriodSeconds": 2, "containers": [container]}}}})


def fetch(address, *more):
    return subprocess.run(["curl", "-s", "--max-time", "3", *more, f"http://{address}/etc/hostname"],
                          capture_output=True, text=True)


def changed(text, **spec):
    tree = json.loads(text)
    tree["spec"].update(spec)
    return json.dumps(tree)


def test_every_kind_of_address(platform, namespace):
    platform.apply(workload("web", namespace))
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    names = {each["metadata"]["name"] for each in platform.objects("pods", "-n", namespace)["items"]}
    platform.apply(changed(service("web", namespace), type="LoadBalancer", externalIPs=["198.51.100.77"]))
    found = until("the load balancer has an address", lambda: (
        lambda tree: tree if tree["status"]["loadBalancer"].get("ingress") else None)(
            platform.objects("service", "web", "-n", namespace)))
    inside, outside = found["spec"]["clusterIP"], found["status"]["loadBalancer"]["ingress"][0]["ip"]
    node_port = found["spec"]["ports"][0]["nodePort"]
    for address in [inside, outside, "198.51.100.77", f"127.0.0.1:{node_port}", f"{outside}:{node_port}"]:
        until(f"{address} answers", lambda: fetch(address).stdout.strip() in names)
    # Both pods are reached, and a pod reaches itself through the service.
    until("both answer", lambda: {fetch(inside).stdout.strip() for _ in range(12)} == names)
    asker = sorted(names)[0]
    said = platform.kubectl("exec", asker, "-n", namespace, "--", "sh", "-c",
                            f"for i in 1 2 3 4 5 6 7 8; do curl -s --max-time 3 http://{inside}/etc/hostname; done")
    assert len(said.split()) == 8 and set(said.split()) <= names
    # A client stays where it is when asked to.
    platform.kubectl("patch", "service", "web", "-n", namespace, "-p", '{"spec":{"sessionAffinity":"ClientIP"}}')
    until("one answers", lambda: len({fetch(inside).stdout.strip() for _ in range(8)}) == 1)
    # Nobody there: refused at once, at every address.
    platform.kubectl("scale", "deployment/web", "-n", namespace, "--replicas=0")
    for address in [inside, "198.51.100.77", f"127.0.0.1:{node_port}"]:
        until(f"{address} refuses", lambda: fetch(address).returncode == 7)
    # No load balancer any more: its address is given back.
    platform.kubectl("patch", "service", "web", "-n", namespace, "-p", '{"spec":{"type":"ClusterIP"}}')
    until("the address is gone", lambda: not platform.objects("service", "web", "-n", namespace)["status"]["loadBalancer"])


def test_host_port(platform, namespace):
    platform.apply(workload("edge", namespace, replicas=1, ports=[
        {"name": "http", "containerPort": 8080, "hostPort": 18480}]))
    platform.kubectl("rollout", "status", "deployment/edge", "-n", namespace, "--timeout=60s")
    name = platform.objects("pods", "-n", namespace)["items"][0]["metadata"]["name"]
    until("the machine's port answers", lambda: fetch("127.0.0.1:18480").stdout.strip() == name)
    platform.kubectl("delete", "deployment", "edge", "-n", namespace)
    until("and is given back", lambda: fetch("127.0.0.1:18480").returncode == 7)


def test_who_may_and_who_stays(platform, pods, namespace):
    """Source ranges of load balancers, and clients that stay where they are while endpoints come and go."""
    platform.apply(workload("web", namespace, replicas=3))
    platform.apply(changed(service("web", namespace), type="LoadBalancer", sessionAffinity="ClientIP",
                           sessionAffinityConfig={"clientIP": {"timeoutSeconds": 300}}))
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    found = until("the load balancer has an address", lambda: (
        lambda tree: tree if tree["status"]["loadBalancer"].get("ingress") else None)(
            platform.objects("service", "web", "-n", namespace)))
    inside, outside = found["spec"]["clusterIP"], found["status"]["loadBalancer"]["ingress"][0]["ip"]
    home = until("it answers", lambda: fetch(inside).stdout.strip())
    for replicas in (5, 4):
        platform.kubectl("scale", "deployment/web", "-n", namespace, f"--replicas={replicas}")
        platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
        names = {each["metadata"]["name"] for each in platform.objects("pods", "-n", namespace)["items"]
                 if not each["metadata"].get("deletionTimestamp")}
        if home in names:
            assert {fetch(inside).stdout.strip() for _ in range(6)} == {home}
    assert fetch(outside).stdout
    platform.kubectl("patch", "service", "web", "-n", namespace, "-p", '{"spec":{"loadBalancerSourceRanges":["198.51.100.0/24"]}}')
    until("others hear nothing", lambda: fetch(outside).returncode == 28)
    assert fetch(inside).stdout, "inside, everybody may"
    platform.kubectl("patch", "service", "web", "-n", namespace, "-p", '{"spec":{"loadBalancerSourceRanges":["0.0.0.0/0"]}}')
    until("everybody may again", lambda: fetch(outside).stdout)


ECHO = """
import os, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 5353))
while True:
    data, who = s.recvfrom(100); s.sendto(os.environ["POD_NAME"].encode(), who)
"""


def test_udp_clients_are_let_go(platform, pods, namespace):
    """A client that keeps its socket and never pauses is answered by another pod when its own goes."""
    env = [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    tree = json.loads(workload("echo", namespace, command=["python3", "-c", ECHO], env=env, ports=[
        {"name": "echo", "containerPort": 5353, "protocol": "UDP"}]))
    del tree["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    platform.apply(json.dumps(tree))
    platform.apply(changed(service("echo", namespace), ports=[{"name": "echo", "port": 53, "targetPort": 5353, "protocol": "UDP"}]))
    platform.kubectl("rollout", "status", "deployment/echo", "-n", namespace, "--timeout=60s")
    address = platform.objects("service", "echo", "-n", namespace)["spec"]["clusterIP"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.3)
        client.connect((address, 53))

        def ask():
            client.send(b"?")
            return client.recv(100).decode()
        home = until("it is answered", ask)
        assert ask() == home
        platform.kubectl("delete", "pod", home, "-n", namespace, "--wait=false")
        until("another pod answers", lambda: ask() != home)


def test_rules_that_somebody_removed_come_back(platform, pods, namespace):
    platform.apply(workload("web", namespace, replicas=1))
    platform.apply(service("web", namespace))
    platform.kubectl("rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
    address = platform.objects("service", "web", "-n", namespace)["spec"]["clusterIP"]
    until("it answers", lambda: fetch(address).stdout)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    rules = lambda: subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True).stdout
    until("both tables are back", lambda: "masquerade" in rules() and f"{address} . tcp . 80 : goto" in rules())
    until("it answers again", lambda: fetch(address).stdout)
    # Another firewall that drops what is forwarded is named.
    subprocess.run(["nft", "-f", "-"], input="table ip strict { chain everything { type filter hook forward priority 0; policy drop; }; }",
                   text=True, check=True)
    try:
        until("it is said", lambda: "another firewall of this machine (table ip strict, chain everything) drops" in platform.log.read_text())
    finally:
        subprocess.run(["nft", "delete", "table", "ip", "strict"], check=True)
