#!/usr/bin/env python3
"""Measures Mangrove's Nacos interface with the load of registry.c, and prints one table. There is no peer: Nacos needs Java.

  registrations  leased instances over HTTP v1, 16 kept connections
  beats          light beats of those instances, 16 kept connections
  memory         resident set with 100,000 instances in 5,000 services, less that of the empty platform, for each
  push latency   from a change to a subscriber's having it, 1,000 gRPC connections with 20 services each, 1,000 changes/s
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from bench import HERE, Server, Table

API, NACOS = 16463, 16848
SERVICES, INSTANCES = 5_000, 20
SUBSCRIBERS, EACH, RATE, SECONDS = 1_000, 20, 1_000, 20


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mangrove", required=True)
    arguments = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mangrove-registries-"))
    program = directory / "registry"
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "registry.c", "-lpthread"], check=True)

    def load(mode, *rest):
        done = subprocess.run([program, mode, "127.0.0.1", str(NACOS), str(SERVICES), *map(str, rest)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"registry {mode} failed: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    # Nothing of a kube-… namespace is shown in Kubernetes, so what is measured is the registry alone.
    mangrove = Server(
        "mangrove", [os.path.abspath(arguments.mangrove), "up", "--state", str(directory / "state"), "--api-listen",
                     f"127.0.0.1:{API}", "--nacos-listen", f"127.0.0.1:{NACOS}", "--eureka-listen", "off",
                     "--zookeeper-listen", "off"], API, "/readyz", directory / "log")
    table = Table()
    try:
        mangrove.start()
        time.sleep(2)
        empty = mangrove.memory()
        filled = load("fill", INSTANCES)
        table.add("registrations/s, new", filled["per_second"], note=f"p99 {filled['p99_ms']:.1f} ms")
        again = load("register", 16, 100_000)
        table.add("registrations/s, again", again["per_second"], note=f"p99 {again['p99_ms']:.1f} ms")
        beats = load("beat", 16, 200_000)
        table.add("beats/s", beats["per_second"], note=f"p99 {beats['p99_ms']:.1f} ms")
        table.add("memory, B an instance", (mangrove.memory() - empty) * 1024 * 1024 / SERVICES / INSTANCES)
        storm = load("storm", SUBSCRIBERS, EACH, RATE, SECONDS)
        note = f"{storm['pushes_per_second']:.0f} pushes/s, {storm['per_second']:.0f} changes/s"
        table.add("push latency p50, ms", storm["p50_ms"], note=note)
        table.add("push latency p99, ms", storm["p99_ms"])
        table.add("memory with subscribers, MiB", mangrove.memory())
        table.show()
    finally:
        mangrove.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
