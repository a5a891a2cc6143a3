#!/usr/bin/env python3
"""Measures Mangrove's ZooKeeper interface beside the distribution's ZooKeeper server in the same run, and prints one table.

Both keep every write with an fsync before they answer it. Read the ratios. The load comes from zookeeper.c.

  creates   of 100 bytes, over 16 connections, 16 outstanding on each, and one
  gets      of one znode of 100 bytes, the same
  watches   200 watchers of one znode: it is set, each is told, reads it and watches it again, before it is set the next time
"""

import argparse
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
OURS, THEIRS, API = 12481, 12482, 16447
ROWS = [("creates/s, 16 x 16", "create", 16, 16, 60_000), ("creates/s, 16 x 1", "create", 16, 1, 20_000),
        ("gets/s, 16 x 16", "get", 16, 16, 300_000), ("gets/s, 16 x 1", "get", 16, 1, 100_000),
        ("watch events/s, 200", "watch", 200, 0, 300)]


def need(present, package):
    if not present:
        print(f"installing {package}", flush=True)
        subprocess.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", package], check=True,
                       stdout=subprocess.DEVNULL)


def start(name, command, port, log):
    process = subprocess.Popen(command, stdout=open(log, "ab"), stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"srvr")
                if b"ersion" in connection.recv(4096):
                    return process
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"{name} does not answer:\n{log.read_text()[-3000:]}")
        time.sleep(0.05)


def measure(load, port, mode, connections, depth, count):
    done = subprocess.run([load, mode, "127.0.0.1", str(port), str(connections), str(depth), str(count)],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{mode} on port {port} failed: {done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mangrove", required=True)
    arguments = parser.parse_args()
    need(shutil.which("gcc"), "gcc")
    need(pathlib.Path("/usr/share/java/zookeeper.jar").exists(), "zookeeper")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mangrove-bench-"))
    load = directory / "load"
    subprocess.run(["gcc", "-O2", "-pthread", "-o", load, HERE / "zookeeper.c"], check=True)
    (directory / "zoo.cfg").write_text(f"tickTime=2000\ndataDir={directory}/theirs\nclientPort={THEIRS}\nmaxClientCnxns=0\n"
                                       "admin.enableServer=false\n4lw.commands.whitelist=*\n")
    state = directory / "state"
    running = []
    try:
        running.append(start("mangrove", [
            os.path.abspath(arguments.mangrove), "up", "--state", str(state), "--api-listen", f"127.0.0.1:{API}", "--nacos-listen",
            "off", "--eureka-listen", "off", "--zookeeper-listen", f"127.0.0.1:{OURS}"], OURS, directory / "mangrove.log"))
        running.append(start("zookeeper", [
            "java", "-cp", "/usr/share/java/zookeeper.jar", "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            str(directory / "zoo.cfg")], THEIRS, directory / "zookeeper.log"))
        for port in (OURS, THEIRS):  # Warm up; their code is compiled by use.
            measure(load, port, "create", 16, 16, 20_000)
            measure(load, port, "get", 16, 16, 100_000)
        print(f"{'':22} {'mangrove':>10} {'zookeeper':>10} {'ratio':>7}  p50, p99 in ms")
        for name, *what in ROWS:
            ours, theirs = (measure(load, port, *what) for port in (OURS, THEIRS))
            print(f"{name:22} {ours['per_second']:10.0f} {theirs['per_second']:10.0f} "
                  f"{ours['per_second'] / theirs['per_second']:7.2f}  {ours['p50_ms']}, {ours['p99_ms']}; "
                  f"theirs {theirs['p50_ms']}, {theirs['p99_ms']}", flush=True)
    finally:
        for process in running:
            process.terminate()
            process.wait(60)
        subprocess.run([arguments.mangrove, "reset", "--yes", "--state", str(state)], capture_output=True)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
