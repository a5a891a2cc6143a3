"""Measures pods: how soon one, and a hundred, are Ready, a rollout, service rules, memory; for bench.py.

  pod Ready        from the POST of a pod of one process to its condition Ready, median of nine; peer: a shell that makes a
                   network namespace with a veth pair, an overlay of / and a process in it (ip netns, unshare)
  100 pods Ready   the same for a Deployment of a hundred; peer: the shell a hundred times, two at once
  rollout          20 replicas with readiness probes to a new template, surge 25 %, until the last old pod has gone; no peer
  service rules    from the POST of an EndpointSlice to the first answer at its service's address, beside 1,000 services of
                   10 endpoints; peer: nft -f of the same rules
  memory           resident set of the platform beside 100 pods, and of each pod's own holder (proportional set)
"""

import http.client
import json
import os
import pathlib
import re
import socket
import ssl
import statistics
import subprocess
import threading
import time

CONTEXT = ssl._create_unverified_context()
SERVICES, ENDPOINTS = 1_000, 10

SHELL = """
n=bench$1; d=$2/$n; mkdir -p $d/up $d/work $d/root
ip netns add $n && ip link add v$1 type veth peer name eth0 netns $n
ip addr add 10.99.0.1/32 dev v$1 2> /dev/null; ip link set v$1 up; ip route replace 10.99.1.$1/32 dev v$1
ip -n $n link set lo up; ip -n $n addr add 10.99.1.$1/32 dev eth0; ip -n $n link set eth0 up
ip -n $n route add 10.99.0.1 dev eth0; ip -n $n route add default via 10.99.0.1
nsenter --net=/run/netns/$n unshare --mount --pid --ipc --uts --fork --kill-child sh -c "
  mount -t tmpfs tmpfs $d && mkdir -p $d/up $d/work $d/root &&
  mount -t overlay overlay -o lowerdir=/,upperdir=$d/up,workdir=$d/work $d/root && mount -t proc proc $d/root/proc &&
  touch $d/root/tmp/ready && exec chroot $d/root sh -c 'echo ready; exec sleep 1000'" &
"""


class Pods:
    def __init__(self, port, token, process, table, directory):
        self.port, self.token, self.process, self.table, self.directory = port, token, process, table, directory

    # The API.

    def call(self, method, path, body=None, kind="application/json"):
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=CONTEXT, timeout=120)
        connection.request(method, path, body and json.dumps(body),
                           {"Authorization": f"Bearer {self.token}", "Content-Type": kind, "Accept": "application/json"})
        answer = connection.getresponse()
        found = json.loads(answer.read() or b"{}")
        assert answer.status < 300, (method, path, found.get("message"))
        return found

    def wait(self, path, revision, test):
        """Watches until an event's object passes."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=CONTEXT, timeout=300)
        connection.request("GET", f"{path}&watch=1&resourceVersion={revision}&timeoutSeconds=300",
                           headers={"Authorization": f"Bearer {self.token}", "Accept": "application/json"})
        for line in connection.getresponse():
            if test(json.loads(line)):
                return
        raise SystemExit(f"the watch of {path} ended too soon")

    PODS = "/api/v1/namespaces/default/pods"
    DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"

    def gone(self, selector):
        while self.call("GET", f"{self.PODS}?labelSelector={selector}")["items"]:
            time.sleep(0.05)

    @staticmethod
    def template(app, command, probe=None):
        container = {"name": "main", "image": "host", "command": command}
        if probe:
            container["readinessProbe"] = probe
        return {"metadata": {"labels": {"app": app}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}

    def deployment(self, name, replicas, command, probe=None):
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
                "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                         "template": self.template(name, command, probe)}}

    # The measurements.

    def run(self):
        while True:
            try:
                self.call("GET", "/api/v1/namespaces/default/serviceaccounts/default")
                break
            except AssertionError:
                time.sleep(0.05)
        self.one()
        self.hundred()
        self.rollout()
        self.rules()

    def one(self):
        times = []
        for number in range(9):
            revision = self.call("GET", self.PODS)["metadata"]["resourceVersion"]
            body = {"apiVersion": "v1", "kind": "Pod"} | self.template("one", ["sleep", "1000"])
            body["metadata"]["name"] = f"one-{number}"
            began = time.monotonic()
            self.call("POST", self.PODS, body)
            self.wait(f"{self.PODS}?fieldSelector=metadata.name%3Done-{number}", revision, lambda event: any(
                each["type"] == "Ready" and each["status"] == "True"
                for each in event["object"].get("status", {}).get("conditions", [])))
            times.append(time.monotonic() - began)
            self.call("DELETE", f"{self.PODS}/one-{number}")
        self.gone("app%3Done")
        self.table.add("pod Ready, s", statistics.median(times), "shell", self.shell(1, 1),
                       f"slowest of {len(times)}: {max(times):.3f}")

    def shell(self, count, at_once):
        """Seconds until so many processes run, each in namespaces that a shell made."""
        turns, lock, began = iter(range(1, count + 1)), threading.Lock(), time.monotonic()
        holders = []

        def work():
            while True:
                with lock:
                    number = next(turns, None)
                if number is None:
                    return
                holder = subprocess.Popen(["sh", "-c", SHELL + "wait", "sh", str(number), str(self.directory)],
                                          stdout=subprocess.PIPE, text=True, start_new_session=True)
                holders.append(holder)
                assert holder.stdout.readline() == "ready\n"
        workers = [threading.Thread(target=work) for _ in range(at_once)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        took = time.monotonic() - began
        for holder in holders:
            os.killpg(holder.pid, 9)
            holder.wait()
        for number in range(1, count + 1):
            subprocess.run(["ip", "netns", "delete", f"bench{number}"], stderr=subprocess.DEVNULL)
        return took

    def hundred(self):
        revision = self.call("GET", self.DEPLOYMENTS)["metadata"]["resourceVersion"]
        began = time.monotonic()
        self.call("POST", self.DEPLOYMENTS, self.deployment("many", 100, ["sleep", "1000"]))
        self.wait(f"{self.DEPLOYMENTS}?fieldSelector=metadata.name%3Dmany", revision,
                  lambda event: event["object"].get("status", {}).get("readyReplicas") == 100)
        self.table.add("100 pods Ready, s", time.monotonic() - began, "shell", self.shell(100, 2))
        time.sleep(2)
        resident = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1]) / 1024
        holders = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and b"pod-shim" in (entry / "cmdline").read_bytes():
                    holders.append(int(re.search(r"Pss:\s+(\d+)", (entry / "smaps_rollup").read_text())[1]) / 1024)
            except OSError:
                continue
        self.table.add("memory with 100 pods, MiB", resident)
        self.table.add("per pod's holder, MiB", sum(holders) / 100, note=f"{len(holders)} processes")
        began = time.monotonic()
        self.call("DELETE", f"{self.DEPLOYMENTS}/many")
        self.gone("app%3Dmany")
        self.table.add("100 pods gone, s", time.monotonic() - began)

    def rollout(self):
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
        self.call("POST", self.DEPLOYMENTS, self.deployment("roll", 20, ["sleep", "1000"], probe))
        status = lambda: self.call("GET", f"{self.DEPLOYMENTS}/roll")["status"]
        while status().get("readyReplicas") != 20:
            time.sleep(0.1)
        began = time.monotonic()
        self.call("PATCH", f"{self.DEPLOYMENTS}/roll", {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}},
                  "application/merge-patch+json")
        while not (status().get("updatedReplicas") == 20 and status().get("replicas") == 20
                   and status().get("readyReplicas") == 20 and len(self.call("GET", self.PODS)["items"]) == 20):
            time.sleep(0.1)
        self.table.add("rollout of 20, s", time.monotonic() - began)
        self.call("DELETE", f"{self.DEPLOYMENTS}/roll")
        self.gone("app%3Droll")

    def rules(self):
        services, slices = "/api/v1/namespaces/default/services", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"

        def slice_of(name, addresses, port):
            return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                    "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
                    "ports": [{"name": "", "port": port, "protocol": "TCP"}],
                    "endpoints": [{"addresses": [each], "conditions": {"ready": True}} for each in addresses]}

        def service(name):
            return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}
        for number in range(SERVICES):
            name = f"s{number}"
            self.call("POST", services, service(name))
            first = number * ENDPOINTS
            self.call("POST", slices, slice_of(
                name, [f"10.88.{128 + each // 200}.{1 + each % 200}" for each in range(first, first + ENDPOINTS)], 8080))
        with socket.socket() as listener:
            # An address of the machine that is not its loopback.
            listener.bind(("10.88.0.1", 0))
            listener.listen(64)
            times = []
            for number in range(5):
                name = f"last{number}"
                address = self.call("POST", services, service(name))["spec"]["clusterIP"]
                time.sleep(1)
                began = time.monotonic()
                self.call("POST", slices, slice_of(name, ["10.88.0.1"], listener.getsockname()[1]))
                while True:
                    try:
                        socket.create_connection((address, 80), timeout=1).close()
                        break
                    except OSError:
                        time.sleep(0.001)
                times.append(time.monotonic() - began)
        table = subprocess.run(["nft", "list", "table", "ip", "mangrove-services"], capture_output=True, text=True, check=True)
        text = "table ip bench\ndelete table ip bench\n" + table.stdout.replace("mangrove-services", "bench", 1)
        peers = []
        for _ in range(3):
            began = time.monotonic()
            subprocess.run(["nft", "-f", "-"], input=text, text=True, check=True)
            peers.append(time.monotonic() - began)
        subprocess.run(["nft", "delete", "table", "ip", "bench"], check=True)
        self.table.add("service rules, s", statistics.median(times), "nft -f", statistics.median(peers),
                       f"{SERVICES} services of {ENDPOINTS} endpoints")
