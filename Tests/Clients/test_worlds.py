"""Every world against every other: what registers in one is found in the others, follows its changes, and goes.

Each provider world is one test; each of its steps is looked at from every consumer world. The table of all pairs is printed at
the end of the run. A pair in which a word cannot be said has its reason here, not a missing test.
"""

import concurrent.futures
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import kubernetes
import pytest
from conftest import EUREKA, NACOS, ROOT, ZOOKEEPER, until

AGENT = pathlib.Path(__file__).parent / "worlds" / "agent.py"
SERVERS = {"nacos": NACOS, "eureka": EUREKA, "zookeeper": ZOOKEEPER}
STEPS = ["register", "metadata", "unhealthy", "weight", "deregister", "crash"]
APPLICATIONS = ["nacos-http", "nacos-grpc", "eureka", "spring-zookeeper"]
# Those that Dubbo's application level also registers in: a second provider does, for its consumers.
DUBBO_TOO = ["nacos-http", "nacos-grpc", "eureka"]
PROVIDERS = [*APPLICATIONS, "dubbo-interface", "dubbo-application", "sofa", "kubernetes-pod"]
CONSUMERS = [*PROVIDERS[:-1], "kubernetes", "dns"]

# What a provider cannot say.
UNSAID = {
    ("dubbo-interface", "unhealthy"): "a Dubbo provider is in its directory or not",
    ("dubbo-application", "weight"): "Dubbo's application level keeps weights out of the registry",
    ("kubernetes-pod", "weight"): "an endpoint has no weight",
}

# What a consumer cannot read, whoever says it.
UNREAD = {
    ("dns", "metadata"): "DNS has no metadata",
    ("dns", "weight"): "all of a Service's endpoints are one address",
    ("dns", "unhealthy"): "a Service keeps its address whatever becomes of its endpoints",
    ("dns", "crash"): "a Service keeps its address whatever becomes of its endpoints",
    ("dubbo-application", "weight"): "Dubbo's application level keeps weights out of the registry",
}


def unspeakable(provider, consumer, step):
    """Why a step of this provider cannot be seen by this consumer, if so."""
    if (consumer, step) == ("dns", "crash") and provider != "kubernetes-pod":
        return None  # Its Service was made for it, and goes with it.
    return unrelated(provider, consumer) or UNSAID.get((provider, step)) or UNREAD.get((consumer, step))


def unrelated(provider, consumer):
    if consumer == "dubbo-interface" and provider == "sofa" or consumer == "sofa" and provider.startswith("dubbo"):
        return "one speaks dubbo and the other bolt"
    if {consumer, provider} == {"spring-zookeeper", "dubbo-application"}:
        return "a znode has its writer's payload class, and neither of Spring Cloud and Dubbo reads the other's"
    if consumer == "dubbo-application" and provider in ("dubbo-interface", "sofa", "kubernetes-pod"):
        return "who publishes no revision of its interfaces is not found at Dubbo's application level"
    return None


class Agent:
    """A program of a world, in a process of its own."""

    def __init__(self, world):
        python = ROOT / (".venv-nacos1" if world == "nacos-http" else ".venv") / "bin" / "python"
        self.world = world
        self.log = tempfile.NamedTemporaryFile(prefix=f"world-{world}-", suffix=".log", delete=False)
        self.process = subprocess.Popen(
            [str(python), str(AGENT), world, json.dumps(SERVERS), "public"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.log, text=True, bufsize=1)
        self.lock = threading.Lock()
        assert json.loads(self.process.stdout.readline())["ready"]

    def __call__(self, *words):
        with self.lock:
            self.process.stdin.write(json.dumps(words) + "\n")
            answer = json.loads(self.process.stdout.readline() or '{"error": "it ended"}')
        assert "error" not in answer, f"{self.world} {words}: {answer['error']}; see {self.log.name}"
        return answer["result"]

    def crash(self):
        self.process.kill()
        self.process.wait()


class Kubernetes:
    """The official Python client; weights and metadata are in annotations, of the slices and of a Service of one's own."""

    def __init__(self, platform):
        kubernetes.config.load_kube_config(str(platform.state / "kubeconfig"))
        self.slices, self.core = kubernetes.client.DiscoveryV1Api(), kubernetes.client.CoreV1Api()

    def annotated(self, service):
        try:
            annotations = self.core.read_namespaced_service(service, "default").metadata.annotations or {}
        except kubernetes.client.ApiException:
            return {}
        return dict(pair.split("=", 1) for pair in annotations.get("mangrove.dev/metadata", "").split(",") if pair)

    def __call__(self, word, service):
        if word == "look":
            return None
        found = []
        for item in self.slices.list_namespaced_endpoint_slice(
                "default", label_selector=f"kubernetes.io/service-name={service}").items:
            raw = json.loads((item.metadata.annotations or {}).get("mangrove.dev/instances", "[]"))
            words = {(each["address"], each["port"]): each for each in raw}
            for endpoint in item.endpoints or []:
                for address in endpoint.addresses:
                    port = item.ports[0].port
                    said = words.get((address, port)) or {"metadata": self.annotated(service)}
                    found.append(dict(ip=address, port=port, callable=bool(endpoint.conditions.ready),
                                      weight=said.get("weight", 1), metadata=said.get("metadata", {})))
        return found


class DNS:
    """dig: the Service's address, which stands for whoever is behind it, and its port from SRV."""

    def __call__(self, word, service):
        if word == "look":
            return None
        name = f"{service}.default.svc.cluster.local"

        def dig(kind):
            done = subprocess.run(["dig", "+short", "+time=2", "+tries=1", "@10.96.0.10", name, kind],
                                  capture_output=True, text=True)
            return done.stdout.split()
        return [dict(ip=None, port=None, callable=True, weight=1, metadata={}) for line in dig("A") if line[0].isdigit()]


class Pod:
    """A pod of this machine behind a Service whose annotations say what its interfaces are."""

    SERVE = ("import http.server, os; os.chdir('/tmp'); open('ready', 'w').close(); "
             "http.server.ThreadingHTTPServer(('', 8080), http.server.SimpleHTTPRequestHandler).serve_forever()")

    def __init__(self, platform):
        self.platform = platform

    def __call__(self, word, *more):
        return getattr(self, word)(*more)

    def register(self, offer):
        name = offer["service"]
        self.pod = f"{name}-{uuid.uuid4().hex[:5]}"
        self.platform.apply(json.dumps({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "annotations": {
                "mangrove.dev/dubbo-interfaces": offer["interface"], "mangrove.dev/sofa-interfaces": offer["interface"],
                "mangrove.dev/metadata": ",".join(f"{k}={v}" for k, v in offer["metadata"].items())}},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 8080}]}}))
        self.platform.apply(json.dumps({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.pod, "labels": {"app": name}},
            "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [{
                "name": "web", "image": "host", "command": [sys.executable, "-u", "-c", self.SERVE],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}}]}}))
        address = until("the pod's address", lambda: self.platform.objects("pod", self.pod)["status"].get("podIP"))
        return dict(offer, ip=address, port=8080)

    def change(self, offer):
        words = ",".join(f"{key}={value}" for key, value in offer["metadata"].items())
        self.platform.kubectl("annotate", "service", offer["service"], "mangrove.dev/metadata=" + words, "--overwrite")

    def health(self, good):
        self.platform.kubectl("exec", self.pod, "--", "touch" if good else "rm", "/tmp/ready")

    def deregister(self):
        self.platform.kubectl("delete", "pod", self.pod, "--wait=false")
        self.platform.kubectl("delete", "service", self.pod.rsplit("-", 1)[0])

    def crash(self):
        self.platform.kubectl("exec", self.pod, "--", "kill", "-9", "1", check=False)
        self.platform.kubectl("exec", self.pod, "--", "sh", "-c", "kill -9 -1", check=False)


class Table:
    def __init__(self):
        self.cells = {}
        self.reasons = {}

    def note(self, provider, consumer, step, mark, reason=None):
        self.cells[provider, consumer, step] = mark
        if reason:
            self.reasons.setdefault(reason, []).append(f"{provider} › {consumer}: {step}")

    def lines(self):
        width = max(map(len, PROVIDERS))
        yield "steps: " + ", ".join(f"{number} {step}" for number, step in enumerate(STEPS, 1))
        yield "a number: seen; -: cannot be said or read, see below; X: not as it should be; .: not run"
        yield " " * width + "  " + "  ".join(consumer.ljust(17) for consumer in CONSUMERS)
        for provider in PROVIDERS:
            marks = []
            for consumer in CONSUMERS:
                marks.append("".join(
                    {"ok": str(number)}.get(mark, mark) for number, mark in enumerate(
                        (self.cells.get((provider, consumer, step), ".") for step in STEPS), 1)))
            yield provider.ljust(width) + "  " + "  ".join(mark.ljust(17) for mark in marks)
        for reason, pairs in sorted(self.reasons.items()):
            yield f"- {reason} ({len(pairs)}: {', '.join(sorted(pairs)[:3])}{', …' if len(pairs) > 3 else ''})"


TABLE = Table()


@pytest.fixture(scope="module")
def consumers(platform):
    made = {world: Agent(world) for world in CONSUMERS if world not in ("kubernetes", "dns")}
    made |= {"kubernetes": Kubernetes(platform), "dns": DNS()}
    yield made
    for world in made.values():
        if isinstance(world, Agent):
            world.crash()


def place(consumer, offer):
    """What this consumer asks for."""
    return offer["interface"] if consumer in ("dubbo-interface", "sofa") else offer["service"]


class Watching:
    """One provider and, where Dubbo's consumers look for another, its twin, looked at from everywhere at once."""

    def __init__(self, provider, consumers, offer, twin):
        self.provider, self.consumers, self.offer, self.twin = provider, consumers, offer, twin
        self.failures = []

    def seen(self, consumer):
        offer = self.twin if self.twin and consumer == "dubbo-application" else self.offer
        return [each for each in self.consumers[consumer]("see", place(consumer, offer))
                if consumer == "dns" or each["ip"] == offer["ip"] and each["port"] == offer["port"]]

    def step(self, step, is_right, seconds=20):
        """Waits until every consumer sees it right."""
        waiting = set()
        for consumer in CONSUMERS:
            reason = unspeakable(self.provider, consumer, step)
            if reason:
                TABLE.note(self.provider, consumer, step, "-", reason)
            else:
                waiting.add(consumer)
        deadline = time.monotonic() + seconds
        last = {}
        while waiting and time.monotonic() < deadline:
            for consumer in sorted(waiting):
                last[consumer] = self.seen(consumer)
                if is_right(last[consumer]):
                    waiting.discard(consumer)
                    TABLE.note(self.provider, consumer, step, "ok")
            time.sleep(0.05)
        for consumer in waiting:
            TABLE.note(self.provider, consumer, step, "X")
            self.failures.append(f"{self.provider} › {consumer}: {step}: saw {last.get(consumer)}")


def offer(provider, consumers, number, dubbo=False):
    """A new service; consumers begin to look at it."""
    base = f"w{uuid.uuid4().hex[:6]}"
    interface = f"com.acme.{base}.Orders"
    made = dict(service=f"{base}-orders", interface=interface, revision=uuid.uuid4().hex, ip=f"192.0.2.{number}", port=8000 + number,
                weight=1, metadata={"team": "red"})
    if dubbo:
        made["metadata"] |= {"dubbo.metadata.revision": made["revision"], "dubbo.metadata.storage-type": "remote",
                             "dubbo.endpoints": json.dumps([{"port": made["port"], "protocol": "dubbo"}])}
    elif provider in APPLICATIONS:
        made["metadata"] |= {"mangrove.dev/dubbo-interfaces": interface, "mangrove.dev/sofa-interfaces": interface}
    for consumer in CONSUMERS:
        consumers[consumer]("look", place(consumer, made))
    return made


def is_callable(seen):
    return any(each["callable"] for each in seen)


class Provider:
    """A program, and its twin for Dubbo's consumers, that do the same."""

    def __init__(self, provider, platform, consumers):
        number = 100 + 2 * PROVIDERS.index(provider)
        self.agents = [(Pod(platform) if provider == "kubernetes-pod" else Agent(provider), offer(provider, consumers, number))]
        if provider in DUBBO_TOO:
            self.agents.append((Agent(provider), offer(provider, consumers, number + 1, dubbo=True)))

    def register(self):
        """Registers; what consumers will find, which for a pod is only known now."""
        return [agent("register", said) or said for agent, said in self.agents]

    def change(self, **words):
        for agent, said in self.agents:
            said["weight"] = words.get("weight", said["weight"])
            said["metadata"] = said["metadata"] | words.get("metadata", {})
            agent("change", said)

    def do(self, *words):
        for agent, _ in self.agents:
            agent(*words)

    def crash(self):
        for agent, _ in self.agents:
            agent.crash()


def follow(provider, platform, consumers):
    """Takes one provider through its steps; what was not seen as it should be."""
    program = Provider(provider, platform, consumers)
    found = program.register()
    watching = Watching(provider, consumers, found[0], found[1] if len(found) > 1 else None)
    watching.step("register", is_callable)
    program.change(metadata={"team": "blue"})
    watching.step("metadata", lambda seen: [each["metadata"].get("team") for each in seen if each["callable"]] == ["blue"])
    if (provider, "unhealthy") not in UNSAID:
        program.do("health", False)
    watching.step("unhealthy", lambda seen: not is_callable(seen))
    if (provider, "unhealthy") not in UNSAID:
        program.do("health", True)
        until(f"{provider} is back", lambda: is_callable(watching.seen("kubernetes")))
    if (provider, "weight") not in UNSAID:
        program.change(weight=3)
    watching.step("weight", lambda seen: [each["weight"] for each in seen if each["callable"]] == [3])
    program.do("deregister")
    watching.step("deregister", lambda seen: not seen)
    # Once more, to die without a word.
    watching.offer = program.register()[0]
    until(f"{provider} is there again", lambda: is_callable(watching.seen("kubernetes")))
    program.crash()
    watching.step("crash", lambda seen: not is_callable(seen))
    return watching.failures


@pytest.fixture(scope="module")
def outcomes(platform, consumers):
    """All providers at once, each with a service of its own."""
    with concurrent.futures.ThreadPoolExecutor(len(PROVIDERS)) as pool:
        running = {provider: pool.submit(follow, provider, platform, consumers) for provider in PROVIDERS}
    return running


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_world_sees_what_registers_in(provider, pods, outcomes):
    failures = outcomes[provider].result()
    assert not failures, "\n".join(failures)
