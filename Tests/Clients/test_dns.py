"""Names, asked by dig and by the stub resolvers of programs in pods; and the machine itself with --resolve."""

import json
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import pytest

from conftest import NACOS, Platform, until

SERVER = "10.96.0.10"


def dig(name, kind="A", *options):
    """What dig shows: the status, the flags and the lines of each section without their spaces."""
    shown = subprocess.run(["dig", f"@{SERVER}", "+time=2", "+tries=3", *options, name, kind],
                           capture_output=True, text=True, check=True).stdout
    found = {"status": re.search(r"status: (\w+)", shown)[1], "flags": re.search(r"flags: ([a-z ]*);", shown)[1].split(),
             "text": shown}
    for section in ["ANSWER", "AUTHORITY", "ADDITIONAL"]:
        part = re.search(rf";; {section} SECTION:\n(.*?)(?:\n\n|\Z)", shown, re.S)
        found[section.lower()] = sorted(" ".join(line.split()) for line in part[1].splitlines()) if part else []
    return found


def answers(name, kind="A", *options):
    return [line.split(" ", 4)[4] for line in dig(name, kind, *options)["answer"]]


def slice_of(service, namespace, family, endpoints, ports=({"name": "http", "port": 8080},)):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-{family.lower()}", "namespace": namespace,
                         "labels": {"kubernetes.io/service-name": service}},
            "addressType": family, "endpoints": endpoints, "ports": list(ports)}


def service_of(name, namespace, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def apply(platform, *objects):
    platform.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


@pytest.fixture
def dns(platform, pods):
    """The cluster's DNS server, which needs what pods need."""


def test_records_of_the_specification(platform, dns, namespace):
    ports = [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]
    apply(platform,
          service_of("orders", namespace, ports=ports),
          service_of("pets", namespace, clusterIP="None", ports=[{"name": "http", "port": 80}]),
          service_of("early", namespace, clusterIP="None", publishNotReadyAddresses=True, ports=[{"port": 80}]),
          service_of("alias", namespace, type="ExternalName", externalName=f"orders.{namespace}.svc.cluster.local"),
          slice_of("pets", namespace, "IPv4", [
              {"addresses": ["192.0.2.61"], "hostname": "rex", "conditions": {"ready": True}},
              {"addresses": ["192.0.2.62"], "conditions": {"ready": True}},
              {"addresses": ["192.0.2.63"], "conditions": {"ready": False}}]),
          slice_of("pets", namespace, "IPv6", [{"addresses": ["2001:db8::61"], "hostname": "rex"}]),
          slice_of("early", namespace, "IPv4", [{"addresses": ["192.0.2.64"], "conditions": {"ready": False}}]))
    zone = f"{namespace}.svc.cluster.local."
    address = platform.objects("service", "orders", "-n", namespace)["spec"]["clusterIP"]
    until("the service is named", lambda: answers(f"orders.{zone}") == [address])
    assert answers(f"_http._tcp.orders.{zone}", "SRV") == [f"0 100 80 orders.{zone}"]
    assert answers(f"_dns._udp.orders.{zone}", "SRV") == [f"0 100 53 orders.{zone}"]
    assert f"orders.{zone} 5 IN A {address}" in dig(f"_http._tcp.orders.{zone}", "SRV")["additional"]
    assert answers(".".join(reversed(address.split("."))) + ".in-addr.arpa", "PTR") == [f"orders.{zone}"]
    until("the endpoints are named", lambda: answers(f"pets.{zone}") == ["192.0.2.61", "192.0.2.62"])
    until("of both families", lambda: answers(f"pets.{zone}", "AAAA") == ["2001:db8::61"])
    assert answers(f"rex.pets.{zone}") == ["192.0.2.61"] and answers(f"rex.pets.{zone}", "AAAA") == ["2001:db8::61"]
    assert answers(f"192-0-2-62.pets.{zone}") == ["192.0.2.62"]
    assert answers(f"_http._tcp.pets.{zone}", "SRV") == [
        f"0 33 8080 192-0-2-62.pets.{zone}", f"0 33 8080 rex.pets.{zone}"]
    reverse = subprocess.run(["dig", f"@{SERVER}", "+short", "-x", "2001:db8::61"], capture_output=True, text=True).stdout
    assert reverse.split() == [f"rex.pets.{zone}"]
    until("also before they are ready", lambda: answers(f"early.{zone}") == ["192.0.2.64"])
    assert sorted(answers(f"alias.{zone}")) == sorted([address, f"orders.{zone}"])
    assert answers(f"192-0-2-7.{namespace}.pod.cluster.local") == ["192.0.2.7"]
    assert answers("dns-version.cluster.local", "TXT") == ['"1.1.0"']
    # Gone with its service, and with its last endpoint.
    platform.kubectl("delete", "endpointslice", "pets-ipv4", "pets-ipv6", "-n", namespace)
    until("no endpoints, no name", lambda: dig(f"pets.{zone}")["status"] == "NXDOMAIN")
    platform.kubectl("delete", "service", "orders", "-n", namespace)
    until("no service, no name", lambda: dig(f"orders.{zone}")["status"] == "NXDOMAIN")


def test_by_the_book(platform, dns, namespace):
    endpoints = [{"addresses": [f"192.0.2.{each}"]} for each in range(1, 101)]
    apply(platform, service_of("many", namespace, clusterIP="None", ports=[{"port": 80}]),
          slice_of("many", namespace, "IPv4", endpoints))
    name = f"many.{namespace}.svc.cluster.local"
    until("they are named", lambda: len(answers(name, "A", "+tcp")) == 100)
    # dig asks again over TCP by itself; told not to, it shows what was cut.
    assert len(answers(name)) == 100
    for size in ["512", "1232", "4096"]:
        cut = dig(name, "A", "+ignore", f"+bufsize={size}")
        assert "tc" in cut["flags"] and 20 < len(cut["answer"]) < 100
        assert int(re.search(r"MSG SIZE +rcvd: (\d+)", cut["text"])[1]) <= min(1232, int(size))
    assert "tc" in dig(name, "A", "+ignore", "+noedns")["flags"]
    missing = dig(f"nothing.{namespace}.svc.cluster.local")
    assert missing["status"] == "NXDOMAIN" and "aa" in missing["flags"] and "SOA" in missing["authority"][0]
    empty = dig(name, "MX")
    assert empty["status"] == "NOERROR" and not empty["answer"] and "SOA" in empty["authority"][0]
    assert dig("cluster.local", "SOA", "+edns=7", "+noednsneg")["status"] == "BADVERS"
    assert dig("cluster.local", "SOA", "+cookie=0123456789abcdef")["status"] == "NOERROR"
    transfer = subprocess.run(["dig", f"@{SERVER}", "cluster.local", "AXFR"], capture_output=True, text=True).stdout
    assert "Transfer failed" in transfer
    assert dig("cluster.local", "SOA", "+opcode=notify")["status"] == "NOTIMP"
    assert dig("version.bind", "TXT", "-c", "CH")["status"] == "REFUSED"
    # Many questions at once on one connection, answered in any order.
    with socket.create_connection((SERVER, 53), timeout=5) as stream:
        for identity in range(200):
            query = question(identity, f"many.{namespace}.svc.cluster.local" if identity % 2 else "nothing.cluster.local")
            stream.sendall(struct.pack("!H", len(query)) + query)
        stream.shutdown(socket.SHUT_WR)
        taken, seen = b"", set()
        while chunk := stream.recv(65536):
            taken += chunk
        while taken:
            length = struct.unpack("!H", taken[:2])[0]
            seen.add(struct.unpack("!H", taken[2:4])[0])
            taken = taken[2 + length:]
    assert seen == set(range(200))
    assert "mangrove_dns_answers_total{proto=\"udp\",rcode=\"NXDOMAIN\",type=\"A\"}" in platform.kubectl("get", "--raw", "/metrics")


def question(identity, name):
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return struct.pack("!6H", identity, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


def test_services_that_a_registry_exports(platform, dns):
    form = {"serviceName": "legacy-dns", "ip": "192.0.2.44", "port": "8080", "ephemeral": "true"}
    call = lambda method: urllib.request.urlopen(urllib.request.Request(
        f"http://{NACOS}/nacos/v1/ns/instance?{urllib.parse.urlencode(form)}", method=method), timeout=10).read()
    call("POST")
    try:
        until("it has a name", lambda: answers("192-0-2-44.legacy-dns.default.svc.cluster.local") == ["192.0.2.44"])
        assert dig("legacy-dns.default.svc.cluster.local")["status"] == "NOERROR"
        assert answers("legacy-dns.default.svc.cluster.local")
    finally:
        call("DELETE")
    until("and no longer", lambda: not answers("192-0-2-44.legacy-dns.default.svc.cluster.local"))


def test_stub_resolvers_in_pods(platform, dns, namespace):
    container = {"name": "main", "image": "host", "command": ["sleep", "1000"]}
    pod = lambda name, **spec: {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": "family"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}}
    apply(platform, pod("asker", hostname="rex", subdomain="family"), pod("other", hostname="tom", subdomain="family"),
          service_of("family", namespace, clusterIP="None", selector={"app": "family"}, ports=[{"name": "http", "port": 80}]),
          service_of("orders", namespace, ports=[{"port": 80}]))
    platform.kubectl("wait", "pod/asker", "pod/other", "-n", namespace, "--for=condition=Ready", "--timeout=60s")
    address = platform.objects("service", "orders", "-n", namespace)["spec"]["clusterIP"]
    other = platform.objects("pod", "other", "-n", namespace)["status"]["podIP"]

    def inside(*command):
        done = platform.kubectl("exec", "asker", "-n", namespace, "--", *command, check=False)
        return done.stdout if done.returncode == 0 else ""

    config = inside("cat", "/etc/resolv.conf")
    assert f"search {namespace}.svc.cluster.local svc.cluster.local cluster.local" in config and "ndots:5" in config
    # Down the search path: own namespace, any namespace, the domain, and whole names with and without the dot.
    for name in ["orders", f"orders.{namespace}", f"orders.{namespace}.svc", f"orders.{namespace}.svc.cluster.local",
                 f"orders.{namespace}.svc.cluster.local."]:
        until(f"{name} is found", lambda: inside("getent", "hosts", name).split()[:1] == [address])
    lookup = "import socket, sys; print({each[4][0] for each in socket.getaddrinfo(sys.argv[1], 80)})"
    until("a peer is found by its hostname", lambda: inside("python3", "-c", lookup, "tom.family").strip() == f"{{'{other}'}}")
    until("all are found", lambda: len(inside("getent", "ahostsv4", "family").split("STREAM")) == 3)
    # Both families asked at once: no AAAA record is no failure.
    assert inside("python3", "-c", lookup, "orders").strip() == f"{{'{address}'}}"
    assert inside("getent", "hosts", "nothing") == ""
    reverse = inside("python3", "-c", f"import socket; print(socket.gethostbyaddr('{other}')[0])").strip()
    assert reverse == f"tom.family.{namespace}.svc.cluster.local"


# The machine itself, in a network of its own with an upstream server of the test's own.

MACHINE = f"mangrove-dns-{os.getpid()}"
INSIDE = ["ip", "netns", "exec", MACHINE]
UPSTREAM = """
import socket, struct, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    query, client = server.recvfrom(4096)
    at = 12
    while query[at]: at += 1 + query[at]
    known = query[12:at + 1] == b"\\3www\\7example\\3com\\0" or query[12:at + 1].endswith(b"\\7example\\3net\\0")
    records = b""
    if known and query[at + 1:at + 3] == b"\\0\\1":
        records = b"\\xc0\\x0c\\0\\1\\0\\1" + struct.pack("!IH", 300, 4) + bytes([198, 51, 100, int(sys.argv[2])])
    head = query[:2] + struct.pack("!5H", 0x8180 if known else 0x8183, 1, bool(records), 0, 0)
    server.sendto(head + query[12:at + 5] + records, client)
"""


@pytest.fixture
def machine():
    """A platform with --resolve on a machine whose resolver configuration is the test's own."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    folder = pathlib.Path("/etc/netns") / MACHINE
    folder.mkdir(parents=True)
    original = "# as it was\nnameserver 127.0.0.54\nsearch corp.example\n"
    (folder / "resolv.conf").write_text(original)
    subprocess.run(["ip", "netns", "add", MACHINE], check=True)
    subprocess.run([*INSIDE, "ip", "link", "set", "lo", "up"], check=True)
    upstreams = [subprocess.Popen([*INSIDE, sys.executable, "-c", UPSTREAM, *words])
                 for words in [("127.0.0.54", "7"), ("127.0.0.55", "8")]]
    directory = tempfile.mkdtemp(prefix="mangrove-resolve-")
    platform = Resolving(directory)
    platform.original, platform.resolver = original, folder / "resolv.conf"
    try:
        yield platform
    finally:
        platform.stop()
        subprocess.run([*INSIDE, platform.binary, "reset", "--yes", "--state", str(platform.state)], capture_output=True)
        for upstream in upstreams:
            upstream.kill()
            upstream.wait()
        subprocess.run(["ip", "netns", "delete", MACHINE], check=False)
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


class Resolving(Platform):
    def start(self):
        command = [*INSIDE, self.binary, "up", "--resolve", "--state", str(self.state), "--log-level", "info"]
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self.marked = getattr(self, "marked", 0)
        until("ready", lambda: self.process.poll() is not None or "is ready" in self.log.read_text()[self.marked:])
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        self.marked = len(self.log.read_text())
        return self


def getent(name):
    return subprocess.run([*INSIDE, "getent", "ahostsv4", name], capture_output=True, text=True).stdout.split()[:1]


def test_the_machine_itself(machine):
    machine.start()
    assert "resolver" in machine.log.read_text() and str(machine.state) in machine.log.read_text()
    for name in ["kubernetes.default.svc.cluster.local", "kubernetes.default", "kube-dns.kube-system"]:
        assert getent(name) == ["10.96.0.1" if "kubernetes" in name else SERVER]
    assert getent("www.example.com") == ["198.51.100.7"]
    # Killed: the world is still found, and the next start does not take ours for the original.
    machine.kill()
    assert getent("www.example.com") == ["198.51.100.7"]
    assert machine.resolver.read_text() != machine.original
    machine.start()
    assert getent("kubernetes.default") == ["10.96.0.1"]
    machine.stop()
    assert machine.resolver.read_text() == machine.original
    # The machine comes into another network: its server is asked from then on.
    machine.start()
    machine.resolver.write_text("nameserver 127.0.0.55\n")
    until("the new server is asked", lambda: "198.51.100.8" in subprocess.run(
        [*INSIDE, "dig", "+short", "+time=2", f"@{SERVER}", f"{time.monotonic_ns()}.example.net"],
        capture_output=True, text=True).stdout)
    machine.stop()
    assert machine.resolver.read_text() == "nameserver 127.0.0.55\n", "it is somebody else's now"
    machine.resolver.write_text(machine.original)
    # Killed and reset.
    machine.start()
    machine.kill()
    subprocess.run([*INSIDE, machine.binary, "reset", "--yes", "--state", str(machine.state)], check=True)
    assert machine.resolver.read_text() == machine.original and not machine.state.exists()
