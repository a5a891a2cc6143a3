#!/usr/bin/env python3
"""Measures Mangrove's Nacos and Eureka interfaces with the load of registry.c, and prints one table.

There is no peer: Nacos and Eureka are not in the distribution. What an HTTP row could be at most on this machine says its
peer, a C program that answers every request with the same words, to the same load, in the same run.

  registrations  leased instances over HTTP v1 as Nacos' Java client 1.4 sends them, by gRPC, and as Spring Cloud's Eureka client
  beats          light ones (place only, Java 1.4), full ones (JSON, Python 1.0), and Eureka's renewals
  memory         resident set with 100,000 instances in 5,000 services, less that of the empty platform, for each
  push latency   from a change to a subscriber's having it, 1,000 gRPC connections with 20 services each, 1,000 changes/s

16 kept connections with one request under way on each; gRPC's are 256.
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

API, NACOS, EUREKA, NOTHING = 16463, 16848, 16761, 16800
SERVICES, INSTANCES = 5_000, 20
SUBSCRIBERS, EACH, RATE, SECONDS = 1_000, 20, 1_000, 20


class Bench:
    def __init__(self, binary, directory):
        self.directory = directory
        self.table = Table()
        self.program = directory / "registry"
        subprocess.run(["gcc", "-O2", "-o", self.program, HERE / "registry.c", "-lpthread"], check=True)
        # Nothing of a kube-… namespace is shown in Kubernetes, so what is measured is the registry alone.
        self.binary = os.path.abspath(binary)
        self.mangrove = None

    def start(self, name, *listen):
        """An empty platform; the catalogue holds no more than one measurement's instances."""
        self.stop()
        self.mangrove = Server(
            "mangrove", [self.binary, "up", "--state", str(self.directory / name), "--api-listen", f"127.0.0.1:{API}",
                         "--zookeeper-listen", "off", *listen], API, "/readyz", self.directory / f"{name}.log")
        self.mangrove.start()
        time.sleep(2)

    def stop(self):
        if self.mangrove:
            self.mangrove.stop()

    def load(self, mode, *rest, port=NACOS):
        done = subprocess.run([self.program, mode, "127.0.0.1", str(port), str(SERVICES), *map(str, rest)],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"registry {mode} failed: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def ceiling(self, mode, count):
        server = subprocess.Popen([self.program, "nothing", "127.0.0.1", str(NOTHING)])
        try:
            time.sleep(0.2)
            return self.load(mode, 16, count, port=NOTHING)["per_second"]
        finally:
            server.kill()
            server.wait()

    def row(self, name, mode, connections, count, port=NACOS, has_ceiling=True):
        ticks = self.mangrove.ticks()
        found = self.load(mode, connections, count, port=port)
        microseconds = (self.mangrove.ticks() - ticks) * 1e6 / os.sysconf("SC_CLK_TCK") / count
        note = f"p99 {found['p99_ms']:.1f} ms, {microseconds:.0f} µs of CPU each"
        peer = ("answers without looking", self.ceiling(mode, count)) if has_ceiling else ("", None)
        self.table.add(name, found["per_second"], *peer, note=note)

    def nacos(self):
        self.start("nacos", "--nacos-listen", f"127.0.0.1:{NACOS}", "--eureka-listen", "off")
        empty = self.mangrove.memory()
        filled = self.load("fill", INSTANCES)
        self.table.add("nacos registrations/s, new", filled["per_second"], note=f"p99 {filled['p99_ms']:.1f} ms")
        self.row("nacos registrations/s, again", "register", 16, 100_000)
        self.row("nacos beats/s, light", "beat", 16, 200_000)
        self.row("nacos beats/s, full", "full-beat", 16, 200_000)
        self.table.add("memory, B an instance", (self.mangrove.memory() - empty) * 1024 * 1024 / SERVICES / INSTANCES)
        storm = self.load("storm", SUBSCRIBERS, EACH, RATE, SECONDS)
        note = f"{storm['pushes_per_second']:.0f} pushes/s, {storm['per_second']:.0f} changes/s"
        self.table.add("push latency p50, ms", storm["p50_ms"], note=note)
        self.table.add("push latency p99, ms", storm["p99_ms"])
        self.table.add("memory with subscribers, MiB", self.mangrove.memory())

    def nacos_grpc(self):
        self.start("grpc", "--nacos-listen", f"127.0.0.1:{NACOS}", "--eureka-listen", "off")
        self.row("nacos grpc registrations/s", "grpc", 256, 40_000, has_ceiling=False)

    def eureka(self):
        self.start("eureka", "--eureka-listen", f"127.0.0.1:{EUREKA}", "--nacos-listen", "off")
        self.row("eureka registrations/s", "eureka-register", 16, 100_000, EUREKA)
        self.row("eureka renewals/s", "eureka-renew", 16, 200_000, EUREKA)

    def run(self):
        self.nacos()
        self.nacos_grpc()
        self.eureka()
        self.table.show()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mangrove", required=True)
    arguments = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mangrove-registries-"))
    bench = Bench(arguments.mangrove, directory)
    try:
        bench.run()
    finally:
        bench.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
