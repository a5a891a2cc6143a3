#!/usr/bin/env python3
"""Measures Mangrove beside peers of the same machine in the same run, and prints one table.

Read the ratios: absolute figures belong to the machine they were taken on. The load comes from load.c over TLS on kept
connections, 16 of them where nothing else is said.

  start          from exec to the first good answer of /readyz, on an empty state and on one with all the objects of this
                 run; peer: etcd to /health, empty and with as many keys
  memory, CPU    resident set and share of one core over five seconds when nothing is asked; peer: etcd
  gets           GET of one ConfigMap; peer: nginx with a file of the same bytes
  creates        durable creates of ConfigMaps; peers: etcd, puts of as many bytes through its JSON gateway; SQLite, one
                 writer with one fsync a commit; and the disk: what 16 waiting connections could not exceed if all shared
                 each sync and nothing else took time
  list           GET of 13,400 ConfigMaps, 17 MB, one after another; peer: nginx with a file of the same bytes
  pods           see pods.py
  watch fan-out  events received by 1,000 watches of one namespace, all together, while 16 connections create; no peer

The notes say how much processor time an operation costs the server and, after the plus, the generator.
`--only gets,watch` measures some rows.
"""

import argparse
import base64
import http.client
import json
import os
import pathlib
import re
import shutil
import sqlite3
import ssl
import subprocess
import tempfile
import time

from pods import Pods

HERE = pathlib.Path(__file__).resolve().parent
API, NGINX, ETCD = 16443, 18443, 12379
CONNECTIONS, LISTED, WATCHERS = 16, 13_400, 1_000
CONTEXT = ssl._create_unverified_context()


def need(present, package):
    if not present:
        print(f"installing {package}", flush=True)
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", package], check=True,
                       stdout=subprocess.DEVNULL)


def answers(port, path):
    """Whether a server answers 200 by now."""
    try:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=CONTEXT, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


class Server:
    """A process that is ready when it answers on a port."""

    def __init__(self, name, command, port, path, log):
        self.name, self.command, self.port, self.path, self.log = name, command, port, path, log
        self.process = None

    def start(self):
        """Seconds from exec to the first good answer."""
        began = time.monotonic()
        self.process = subprocess.Popen(self.command, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT)
        while not answers(self.port, self.path):
            if self.process.poll() is not None or time.monotonic() - began > 60:
                raise SystemExit(f"{self.name} does not answer:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.002)
        return time.monotonic() - began

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def _of_all(self, read):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return sum(read(pathlib.Path("/proc") / str(each)) for each in [self.process.pid, *children])

    def memory(self):
        """MiB resident, children included."""
        return self._of_all(lambda each: int(re.search(r"VmRSS:\s+(\d+)", (each / "status").read_text())[1])) / 1024

    def ticks(self):
        """CPU used so far, in the kernel's units."""
        return self._of_all(lambda each: sum(map(int, (each / "stat").read_text().rsplit(") ", 1)[1].split()[11:13])))

    def processor_seconds(self):
        return self.ticks() / os.sysconf("SC_CLK_TCK")

    def cpu(self, seconds=5):
        """Per cent of one core over some seconds."""
        before = self.processor_seconds()
        time.sleep(seconds)
        return (self.processor_seconds() - before) / seconds * 100


class Load:
    def __init__(self, directory):
        self.program = directory / "load"
        subprocess.run(["gcc", "-O2", "-o", self.program, HERE / "load.c", "-lssl", "-lcrypto", "-lpthread"], check=True)

    def run(self, mode, port, token, path, connections, count, *rest):
        command = [self.program, mode, "127.0.0.1", str(port), token, path, str(connections), str(count), *rest]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"load {mode} {path} failed: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)


def configmap(name, size):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b" * size}})


def sqlite_commits(directory, count=500):
    database = sqlite3.connect(directory / "peer.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE t (k TEXT PRIMARY KEY, v BLOB)")
    began = time.monotonic()
    for each in range(count):
        database.execute("INSERT INTO t VALUES (?, ?)", (str(each), b"b" * 1200))
    return count / (time.monotonic() - began)


def disk_syncs(directory, count=500):
    """Appends of one shared commit's size with a sync each, in one second."""
    file = os.open(directory / "peer.sync", os.O_CREAT | os.O_WRONLY)
    began = time.monotonic()
    for _ in range(count):
        os.write(file, b"b" * 32768)
        os.fdatasync(file)
    return count / (time.monotonic() - began)


class Table:
    def __init__(self):
        self.rows = []

    def add(self, name, ours, peer="", theirs=None, note=""):
        self.rows.append((name, ours, peer, theirs, note))
        print(f"  {name}: {ours:.3f}" + (f", {peer}: {theirs:.3f}" if theirs else ""), flush=True)

    def show(self):
        print(f"\n{'':26} {'mangrove':>10} {'peer':>10} {'ratio':>7}  peer")
        for name, ours, peer, theirs, note in self.rows:
            figure = "{:.3f}".format if ours < 10 else "{:.0f}".format
            print(f"{name:26} {figure(ours):>10} {figure(theirs) if theirs else '':>10} "
                  f"{f'{ours / theirs:.2f}' if theirs else '':>7}  {peer}{'; ' if peer and note else ''}{note}")


class Bench:
    def __init__(self, binary, directory, arguments):
        self.directory, self.arguments = directory, arguments
        self.state = directory / "state"
        self.load, self.table = Load(directory), Table()
        self.mangrove = Server(
            "mangrove", [binary, "up", "--state", str(self.state), "--api-listen", f"127.0.0.1:{API}",
                         "--nacos-listen", "off", "--eureka-listen", "off", "--zookeeper-listen", "off"],
            API, "/readyz", directory / "mangrove.log")
        pki = self.state / "pki"
        self.etcd = Server(
            "etcd", ["etcd", "--data-dir", str(directory / "etcd"), "--cert-file", str(pki / "apiserver.crt"),
                     "--key-file", str(pki / "apiserver.key"), "--listen-client-urls", f"https://127.0.0.1:{ETCD}",
                     "--advertise-client-urls", f"https://127.0.0.1:{ETCD}", "--listen-peer-urls", "http://127.0.0.1:12380",
                     "--initial-advertise-peer-urls", "http://127.0.0.1:12380",
                     "--initial-cluster", "default=http://127.0.0.1:12380"], ETCD, "/health", directory / "etcd.log")
        (directory / "www").mkdir()
        (directory / "nginx.conf").write_text(f"""
worker_processes 2; pid {directory}/nginx.pid; error_log {directory}/error.log; daemon off; user root;
events {{ worker_connections 512; }}
http {{ access_log off; server {{ listen 127.0.0.1:{NGINX} ssl; root {directory}/www; keepalive_requests 1000000;
  ssl_certificate {pki}/apiserver.crt; ssl_certificate_key {pki}/apiserver.key; }} }}""")
        self.nginx = Server("nginx", ["nginx", "-c", str(directory / "nginx.conf")], NGINX, "/object.json",
                            directory / "nginx.log")

    def fetch(self, path):
        connection = http.client.HTTPSConnection("127.0.0.1", API, context=CONTEXT, timeout=60)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}", "Accept": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200, (path, answer.status)
        return answer.read()

    def post(self, path, body):
        return self.load.run("post", API, self.token, path, 1, 1, body)

    def costs(self, mode, path, connections, count, *rest):
        """What a load on Mangrove came to, and a note on its latency and cost."""
        before = self.mangrove.processor_seconds()
        seen = self.load.run(mode, API, self.token, path, connections, count, *rest)
        cost = (self.mangrove.processor_seconds() - before) / count * 1e6
        if mode == "watch":
            return seen, f"{cost / connections:.1f} + {seen['cpu_us']:.1f} µs of CPU an event"
        return seen, (f"p50 {seen['p50_ms']:.2f} ms, p99 {seen['p99_ms']:.2f} ms, "
                      f"{cost:.0f} + {seen['cpu_us']:.0f} µs of CPU")

    def wants(self, *rows):
        return not self.arguments.only or any(each in self.arguments.only.split(",") for each in rows)

    def run(self):
        first = self.mangrove.start()
        self.token = (self.state / "pki" / "admin.token").read_text().strip()
        empty = (first, self.etcd.start())
        time.sleep(3)  # Idle is after the start's own work.
        self.table.add("start empty, s", empty[0], "etcd", empty[1])
        if self.wants("idle"):
            self.table.add("idle memory, MiB", self.mangrove.memory(), "etcd", self.etcd.memory())
            self.table.add("idle CPU, % of a core", self.mangrove.cpu(), "etcd", self.etcd.cpu())
        maps = "/api/v1/namespaces/default/configmaps"
        self.post(maps, configmap("bench", 400))
        (self.directory / "www" / "object.json").write_bytes(self.fetch(maps + "/bench"))
        self.nginx.start()
        if self.wants("gets"):
            self.gets(maps)
        if os.geteuid() == 0 and self.wants("pods"):
            Pods(API, self.token, self.mangrove.process, self.table, self.directory).run()
        if self.wants("creates", "list", "restart"):
            self.creates()
        if self.wants("list"):
            self.lists()
        if self.wants("restart"):
            self.restart()
        if self.wants("watch"):
            self.fan_out()
        self.table.show()

    def gets(self, maps):
        self.load.run("get", API, self.token, maps + "/bench", CONNECTIONS, 20_000)  # Warm up both sides.
        ours, note = self.costs("get", maps + "/bench", CONNECTIONS, 60_000)
        theirs = self.load.run("get", NGINX, "", "/object.json", CONNECTIONS, 60_000)
        self.table.add("gets/s", ours["per_second"], "nginx", theirs["per_second"], note)

    def creates(self):
        self.post("/api/v1/namespaces", json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}}))
        body = configmap("bench-%N", 940)
        ours, note = self.costs("post", "/api/v1/namespaces/bench/configmaps", CONNECTIONS, LISTED, body)
        value = base64.b64encode(b"b" * 1240).decode()
        theirs = self.load.run("post", ETCD, "", "/v3/kv/put", CONNECTIONS, LISTED,
                               json.dumps({"key": "%K", "value": value}))
        self.table.add("durable creates/s", ours["per_second"], "etcd", theirs["per_second"], note)
        self.table.add("durable creates/s", ours["per_second"], "SQLite, one by one", sqlite_commits(self.directory))
        self.table.add("durable creates/s", ours["per_second"], "disk", disk_syncs(self.directory) * CONNECTIONS)

    def lists(self):
        path = "/api/v1/namespaces/bench/configmaps"
        listed = self.fetch(path)
        assert len(json.loads(listed)["items"]) >= LISTED
        (self.directory / "www" / "list.json").write_bytes(listed)
        ours = self.load.run("get", API, self.token, path, 1, 20)
        theirs = self.load.run("get", NGINX, "", "/list.json", 1, 20)
        self.table.add("list, s", ours["p50_ms"] / 1000, "nginx", theirs["p50_ms"] / 1000,
                       f"{LISTED} ConfigMaps, {len(listed) / 1e6:.0f} MB")

    def restart(self):
        self.mangrove.stop()
        self.etcd.stop()
        self.table.add(f"start, {LISTED} objects, s", self.mangrove.start(), "etcd", self.etcd.start())
        self.etcd.stop()
        self.nginx.stop()

    def fan_out(self):
        self.post("/api/v1/namespaces", json.dumps(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fan"}}))
        time.sleep(1)  # Until its own first objects are there.
        path = "/api/v1/namespaces/fan/configmaps"
        revision = json.loads(self.fetch(path))["metadata"]["resourceVersion"]
        seen, cost = self.costs("watch", path, WATCHERS, 1_000, configmap("fan-%N", 200),
                                f"{path}?watch=1&resourceVersion={revision}&timeoutSeconds=600")
        self.table.add("watch events/s", seen["per_second"],
                       note=f"{WATCHERS} watches, {seen['posts_per_second']:.0f} creates/s meanwhile, {cost}")
        self.table.add("memory with watches, MiB", self.mangrove.memory())

    def stop(self):
        for server in (self.mangrove, self.etcd, self.nginx):
            server.stop()
        subprocess.run([self.mangrove.command[0], "reset", "--yes", "--state", str(self.state)], capture_output=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mangrove", required=True)
    parser.add_argument("--only", default="", help="of: idle, gets, pods, creates, list, restart, watch")
    parser.add_argument("--keep", action="store_true", help="leave the directory with the logs")
    arguments = parser.parse_args()
    need(shutil.which("gcc"), "gcc")
    need(os.path.exists("/usr/include/openssl/ssl.h"), "libssl-dev")
    need(shutil.which("nginx"), "nginx-light")
    need(shutil.which("etcd"), "etcd-server")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mangrove-bench-"))
    bench = Bench(os.path.abspath(arguments.mangrove), directory, arguments)
    try:
        bench.run()
    finally:
        bench.stop()
        if not arguments.keep:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
