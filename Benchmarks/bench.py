#!/usr/bin/env python3
"""Measures Mangrove beside peers of the same machine in the same run, and prints one table.

Read the ratios: absolute figures belong to the machine they were taken on.
  start       from exec to /readyz, on an empty state; peer: nginx from exec to its first answer
  memory      resident set when idle; peer: nginx, master and worker
  gets        GET of one ConfigMap over TLS, 16 kept connections (ab -k); peer: nginx serving the same bytes over TLS
  creates     durable creates of ConfigMaps over TLS, 16 kept connections; peer: SQLite, one fsync a commit, one writer
"""

import argparse
import concurrent.futures
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

API, PEER = 16443, 18443
CONNECTIONS = 16


def need(program, package):
    if not shutil.which(program):
        print(f"installing {package}")
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", package], check=True,
                       stdout=subprocess.DEVNULL)


def until(test, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if test():
                return
        except OSError:
            pass
        time.sleep(0.002)
    raise SystemExit("not ready in time")


def resident(pid):
    """KiB of a process and its children."""
    pids = [pid] + [int(child) for child in
                    subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()]
    return sum(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{each}/status").read_text())[1]) for each in pids)


class Mangrove:
    def __init__(self, binary, directory):
        self.state = directory / "state"
        began = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "up", "--state", str(self.state), "--api-listen", f"127.0.0.1:{API}", "--nacos-listen", "off"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.context = ssl._create_unverified_context()
        def ready():
            connection = http.client.HTTPSConnection("127.0.0.1", API, context=self.context, timeout=5)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        until(ready)
        self.start_seconds = time.monotonic() - began
        self.token = (self.state / "pki" / "admin.token").read_text().strip()
        self.binary = binary

    def connection(self):
        return http.client.HTTPSConnection("127.0.0.1", API, context=self.context, timeout=30)

    def create(self, connection, name, data):
        body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
        connection.request("POST", "/api/v1/namespaces/default/configmaps", body,
                           {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status

    def creates(self, count):
        def worker(number):
            connection = self.connection()
            for each in range(count // CONNECTIONS):
                self.create(connection, f"bench-{number}-{each}", {"a": "b" * 200})
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(worker, range(CONNECTIONS)))
        return count / (time.monotonic() - began)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        subprocess.run([self.binary, "reset", "--yes", "--state", str(self.state)], capture_output=True)


class Nginx:
    def __init__(self, mangrove, directory, body):
        (directory / "www").mkdir()
        (directory / "www" / "object.json").write_bytes(body)
        pki = mangrove.state / "pki"
        (directory / "nginx.conf").write_text(f"""
worker_processes 2; pid {directory}/nginx.pid; error_log {directory}/error.log; daemon off; user root;
events {{ worker_connections 512; }}
http {{ access_log off; server {{ listen 127.0.0.1:{PEER} ssl; root {directory}/www; keepalive_requests 1000000;
  ssl_certificate {pki}/apiserver.crt; ssl_certificate_key {pki}/apiserver.key; }} }}""")
        began = time.monotonic()
        self.process = subprocess.Popen(["nginx", "-c", str(directory / "nginx.conf")], stderr=subprocess.DEVNULL)
        def ready():
            connection = http.client.HTTPSConnection("127.0.0.1", PEER, context=mangrove.context, timeout=5)
            connection.request("GET", "/object.json")
            return connection.getresponse().status == 200
        until(ready)
        self.start_seconds = time.monotonic() - began

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def gets(url, header=None, count=20000):
    command = ["ab", "-q", "-k", "-c", str(CONNECTIONS), "-n", str(count), *(["-H", header] if header else []), url]
    printed = subprocess.run(command, capture_output=True, text=True).stdout
    assert "Non-2xx" not in printed, printed
    return float(re.search(r"Requests per second:\s+([\d.]+)", printed)[1])


def sqlite_commits(directory, count=500):
    database = sqlite3.connect(directory / "peer.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE t (k TEXT PRIMARY KEY, v BLOB)")
    began = time.monotonic()
    for each in range(count):
        database.execute("INSERT INTO t VALUES (?, ?)", (str(each), b"b" * 500))
    return count / (time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mangrove", required=True)
    binary = os.path.abspath(parser.parse_args().mangrove)
    need("ab", "apache2-utils")
    need("nginx", "nginx-light")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mangrove-bench-"))
    mangrove = Mangrove(binary, directory)
    try:
        time.sleep(2)  # Idle is after the start's own work.
        memory = resident(mangrove.process.pid)
        mangrove.create(mangrove.connection(), "bench", {"a": "b" * 200})
        path, header = "/api/v1/namespaces/default/configmaps/bench", f"Authorization: Bearer {mangrove.token}"
        connection = mangrove.connection()
        connection.request("GET", path, headers={"Authorization": f"Bearer {mangrove.token}"})
        nginx = Nginx(mangrove, directory, connection.getresponse().read())
        try:
            rows = [
                ("start, ms", mangrove.start_seconds * 1000, "nginx", nginx.start_seconds * 1000),
                ("idle memory, MiB", memory / 1024, "nginx", resident(nginx.process.pid) / 1024),
                ("gets/s", gets(f"https://127.0.0.1:{API}{path}", header), "nginx",
                 gets(f"https://127.0.0.1:{PEER}/object.json")),
                ("durable creates/s", mangrove.creates(4000), "sqlite3, one by one", sqlite_commits(directory)),
            ]
        finally:
            nginx.stop()
    finally:
        mangrove.stop()
        shutil.rmtree(directory, ignore_errors=True)
    print(f"{'':20} {'mangrove':>10} {'peer':>10} {'ratio':>7}  peer is")
    for name, ours, peer, theirs in rows:
        print(f"{name:20} {ours:10.0f} {theirs:10.0f} {ours / theirs:7.2f}  {peer}")


if __name__ == "__main__":
    main()
