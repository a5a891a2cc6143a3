#!/usr/bin/env python3
"""Measures the cluster's DNS server beside knot and dnsmasq of the same machine in the same run, and prints one table.

The same 1,000 headless services with 10 endpoints each and as many with an address are in all three. Every server has one core
and dnsperf another, so that the figures are per core. Read the ratios.

  answers/s        dnsperf over UDP, addresses of services and endpoints in turn, names chosen at random
  latency          of the same run
  in the storm     the same while slices change without pause
  a change shown   from the answer of the API to the first DNS answer that has it, while slices change without pause
"""

import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

API, KNOT, DNSMASQ = 16443, 15353, 15354
SERVER = "10.96.0.10"
SERVICES, ENDPOINTS, SECONDS = 1_000, 10, 10
ZONE = "bench.svc.cluster.local"


def need(program, package):
    if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
        print(f"installing {package}", flush=True)
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", package], check=True,
                       stdout=subprocess.DEVNULL)


def address(service, endpoint):
    number = service * ENDPOINTS + endpoint
    return f"10.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


class Cluster:
    """What the three serve, as Kubernetes has it."""

    def __init__(self, token):
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.local = threading.local()

    def call(self, method, path, tree, kind="application/json"):
        connection = getattr(self.local, "connection", None)
        if connection is None:
            context = ssl._create_unverified_context()
            self.local.connection = connection = http.client.HTTPSConnection("127.0.0.1", API, context=context, timeout=60)
        connection.request(method, path, json.dumps(tree), {**self.headers, "Content-Type": kind})
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (path, answer.status, text[:300])
        return json.loads(text)

    def service(self, number):
        for name, spec in [(f"s{number}", {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}),
                           (f"c{number}", {"ports": [{"name": "http", "port": 80}]})]:
            made = self.call("POST", "/api/v1/namespaces/bench/services",
                             {"metadata": {"name": name}, "spec": spec})
        self.call("POST", "/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices", {
            "metadata": {"name": f"s{number}", "labels": {"kubernetes.io/service-name": f"s{number}"}},
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
            "endpoints": [{"addresses": [address(number, each)]} for each in range(ENDPOINTS)]})
        return made["spec"]["clusterIP"]

    def move(self, number, addresses):
        self.call("PATCH", f"/apis/discovery.k8s.io/v1/namespaces/bench/endpointslices/s{number}",
                  {"endpoints": [{"addresses": [each]} for each in addresses]}, "application/merge-patch+json")


def lookup(name, port=53, server=SERVER):
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(0.5)
    with client:
        client.sendto(struct.pack("!6H", random.randrange(65536), 256, 1, 0, 0, 0) + labels + b"\0\0\1\0\1", (server, port))
        try:
            return client.recv(4096)
        except OSError:
            return b""


def dnsperf(server, port, queries, seconds=SECONDS):
    done = subprocess.run(["taskset", "-c", "1", "dnsperf", "-s", server, "-p", str(port), "-d", str(queries), "-l",
                           str(seconds), "-c", "16", "-q", "200"], capture_output=True, text=True, check=True).stdout
    figure = lambda text: float(re.search(text, done)[1])
    assert "NOERROR" in done and figure(r"Queries lost:\s+(\d+)") < figure(r"Queries sent:\s+(\d+)") / 1000, done
    return figure(r"Queries per second:\s+([\d.]+)"), figure(r"Average Latency \(s\):\s+([\d.]+)") * 1000


class Peers:
    """knot and dnsmasq with the same names."""

    def __init__(self, directory, addresses):
        lines = [f"s{service}.{ZONE}. 5 IN A {address(service, each)}" for service in range(SERVICES) for each in range(ENDPOINTS)]
        lines += [f"{address(service, each).replace('.', '-')}.s{service}.{ZONE}. 5 IN A {address(service, each)}"
                  for service in range(SERVICES) for each in range(ENDPOINTS)]
        lines += [f"c{service}.{ZONE}. 5 IN A {found}" for service, found in enumerate(addresses)]
        (directory / "cluster.local.zone").write_text(
            "cluster.local. 5 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 5\n"
            "cluster.local. 5 IN NS ns.dns.cluster.local.\nns.dns.cluster.local. 5 IN A 10.96.0.10\n" + "\n".join(lines) + "\n")
        (directory / "knot.conf").write_text(f"""
server:
  rundir: {directory}
  listen: 127.0.0.1@{KNOT}
  udp-workers: 1
database:
  storage: {directory}/knot
zone:
  - domain: cluster.local
    storage: {directory}
    file: cluster.local.zone
""")
        records = [line.split() for line in lines]
        (directory / "dnsmasq.hosts").write_text("".join(f"{each[4]} {each[0][:-1]}\n" for each in records))
        (directory / "knot").mkdir()
        self.commands = [
            ("knot", KNOT, ["knotd", "-c", str(directory / "knot.conf")]),
            ("dnsmasq", DNSMASQ, ["dnsmasq", "-k", "-u", "root", "--no-resolv", "--no-hosts", "-p", str(DNSMASQ),
                                  "--listen-address=127.0.0.1", "--bind-interfaces", "--local-ttl=5", "--conf-file=/dev/null",
                                  f"--addn-hosts={directory}/dnsmasq.hosts", "--pid-file", "--cache-size=10000"])]

    def measure(self, name, queries):
        port, command = next((port, command) for each, port, command in self.commands if each == name)
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"}
        process = subprocess.Popen(["taskset", "-c", "0", *command], env=environment, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 30
            while len(lookup(f"s1.{ZONE}", port, "127.0.0.1")) < 100:
                assert process.poll() is None and time.monotonic() < deadline, f"{name} does not answer"
                time.sleep(0.1)
            dnsperf("127.0.0.1", port, queries, 2)
            return dnsperf("127.0.0.1", port, queries)
        finally:
            process.terminate()
            process.wait(30)


class Storm:
    """Slices that change without pause."""

    def __init__(self, cluster):
        self.cluster, self.over, self.changes = cluster, False, 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over:
            number = random.randrange(1, SERVICES)
            kept = random.sample(range(ENDPOINTS), ENDPOINTS - 1)
            self.cluster.move(number, [address(number, each) for each in kept])
            self.changes += 1

    def __enter__(self):
        self.began = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.per_second = self.changes / (time.monotonic() - self.began)


def shown(cluster):
    """Milliseconds until a change is in DNS: the median of some."""
    took = []
    for each in range(40):
        moved = f"10.200.0.{each}"
        cluster.move(0, [moved])
        began = time.monotonic()
        while socket.inet_aton(moved) not in lookup(f"s0.{ZONE}"):
            pass
        took.append((time.monotonic() - began) * 1000)
    return sorted(took)[len(took) // 2]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mangrove", required=True)
    parser.add_argument("--keep", action="store_true", help="leave the directory with the logs")
    arguments = parser.parse_args()
    for program, package in [("dnsperf", "dnsperf"), ("knotd", "knot"), ("dnsmasq", "dnsmasq-base")]: need(program, package)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mangrove-bench-dns-"))
    state = directory / "state"
    command = ["taskset", "-c", "0", os.path.abspath(arguments.mangrove), "up", "--state", str(state), "--api-listen",
               f"127.0.0.1:{API}", "--nacos-listen", "off", "--eureka-listen", "off", "--zookeeper-listen", "off"]
    log = open(directory / "mangrove.log", "w")
    platform = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        run(directory, state, platform)
    finally:
        platform.terminate()
        platform.wait(90)
        subprocess.run([*command[3:4], "reset", "--yes", "--state", str(state)], capture_output=True)
        if not arguments.keep: shutil.rmtree(directory, ignore_errors=True)


def run(directory, state, platform):
    deadline = time.monotonic() + 60
    while "is ready" not in (directory / "mangrove.log").read_text():
        assert platform.poll() is None and time.monotonic() < deadline, (directory / "mangrove.log").read_text()
        time.sleep(0.1)
    cluster = Cluster((state / "pki" / "admin.token").read_text().strip())
    cluster.call("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
    time.sleep(1)  # Until its own first objects are there.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        addresses = list(pool.map(cluster.service, range(SERVICES)))
    while len(lookup(f"s{SERVICES - 1}.{ZONE}")) < 100: time.sleep(0.1)
    queries = directory / "queries"
    chosen = random.Random(1)
    pick = lambda: (chosen.randrange(SERVICES), chosen.randrange(ENDPOINTS))
    names = [name for service, each in (pick() for _ in range(20_000)) for name in (
        f"c{service}.{ZONE}", f"s{service}.{ZONE}", f"{address(service, each).replace('.', '-')}.s{service}.{ZONE}")]
    queries.write_text("".join(f"{name} A\n" for name in names))
    time.sleep(3)  # The rules of all services are set meanwhile.
    dnsperf(SERVER, 53, queries, 2)
    ours, latency = dnsperf(SERVER, 53, queries)
    with Storm(cluster) as storm:
        stormy, stormy_latency = dnsperf(SERVER, 53, queries)
        change = shown(cluster)
    peers = Peers(directory, addresses)
    theirs = {name: peers.measure(name, queries) for name, _, _ in peers.commands}
    print(f"\n{'DNS, per core':34} {'answers/s':>10} {'mangrove/it':>12} {'mean latency, ms':>17}")
    print(f"{'mangrove':34} {ours:>10.0f} {'':>12} {latency:>17.2f}")
    print(f"{f'mangrove, {storm.per_second:.0f} changes/s meanwhile':34} {stormy:>10.0f} {'':>12} {stormy_latency:>17.2f}")
    for name, (figure, each) in theirs.items():
        print(f"{name:34} {figure:>10.0f} {ours / figure:>12.2f} {each:>17.2f}")
    print(f"{'a change shown in the storm, ms':34} {change:>10.1f}")


if __name__ == "__main__":
    main()
