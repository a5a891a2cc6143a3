"""The real binary over HTTPS: killed in mid-load, on a full disk, out of reach, backed up and restored.

These platforms run without root, so that they keep to the API and leave the machine's addresses to the other tests.
"""

import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading

import pytest

from conftest import ROOT, until

API = 17443
MAPS = "/api/v1/namespaces/default/configmaps"
NOBODY = 65534
CONTEXT = ssl._create_unverified_context()


class Small:
    """A platform of its own that a test may hurt."""

    def __init__(self, directory):
        self.binary = os.environ.get("MANGROVE", str(ROOT / ".build" / "debug" / "mangrove"))
        self.directory = pathlib.Path(directory)
        self.state, self.log = self.directory / "state", self.directory / "log"
        self.identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        self.process = None

    def own(self):
        if self.identity:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(self.directory)], check=True)
        return self

    def command(self, *words):
        return subprocess.run([self.binary, *words, "--state", str(self.state)], capture_output=True, text=True,
                              cwd="/", **self.identity)

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "up", "--state", str(self.state), "--api-listen", f"127.0.0.1:{API}", "--nacos-listen", "off",
                 "--eureka-listen", "off", "--zookeeper-listen", "off"],
                stdout=log, stderr=subprocess.STDOUT, cwd="/", **self.identity)
        def ready():
            assert self.process.poll() is None, f"mangrove ended:\n{self.log.read_text()[-3000:]}"
            return self.answer(self.connect(), "GET", "/readyz")[0] == 200 and self.token_file.exists()
        until("readyz", ready)
        return self

    @property
    def token_file(self):
        return self.state / "pki" / "admin.token"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def connect(self, timeout=30):
        return http.client.HTTPSConnection("127.0.0.1", API, context=CONTEXT, timeout=timeout)

    def headers(self):
        token = self.token_file.read_text().strip() if self.token_file.exists() else "none"
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}

    def answer(self, connection, method, path, tree=None):
        connection.request(method, path, json.dumps(tree) if tree is not None else None, self.headers())
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body.startswith(b"{") else body.decode()

    def create(self, connection, name, value):
        return self.answer(connection, "POST", MAPS, configmap(name, value))


def configmap(name, value):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}}


@pytest.fixture
def small():
    directory = tempfile.mkdtemp(prefix="mangrove-small-")
    os.chmod(directory, 0o755)
    platform = Small(directory).own()
    try:
        yield platform
    finally:
        platform.stop()
        shutil.rmtree(directory, ignore_errors=True)


class Writer(threading.Thread):
    """Creates, changes and deletes ConfigMaps of its own until the connection breaks; keeps what was acknowledged."""

    def __init__(self, platform, name, seed, promised):
        super().__init__()
        self.platform, self.label, self.random, self.promised = platform, name, random.Random(seed), promised
        self.failure = None

    def run(self):
        connection = self.platform.connect()
        state = self.promised
        try:
            while True:
                name = f"{self.label}-{self.random.randrange(20)}"
                value = "v" * self.random.randrange(2000) + str(self.random.random())
                state.setdefault(name, []).append(None)  # From here on the outcome is open.
                if state[name][-2:-1] in ([], ["gone"]):
                    status, tree = self.platform.create(connection, name, value)
                elif self.random.randrange(4):
                    status, tree = self.platform.answer(connection, "PUT", f"{MAPS}/{name}", configmap(name, value))
                else:
                    status, tree = self.platform.answer(connection, "DELETE", f"{MAPS}/{name}")
                    value = None
                if status not in (200, 201):
                    self.failure = (name, status, tree)
                    return
                state[name][-1] = "gone" if value is None else (value, int(tree["metadata"]["resourceVersion"]))
        except (OSError, http.client.HTTPException):
            return  # Killed.


def acknowledged(state):
    """How many values were acknowledged. A writer goes on meanwhile."""
    return sum(isinstance(each, tuple) for outcomes in list(state.values()) for each in outcomes)


def watched(platform, revision, seconds=3):
    """Every event after a revision until the watch ends by itself."""
    connection = platform.connect()
    connection.request("GET", f"{MAPS}?watch=1&resourceVersion={revision}&timeoutSeconds={seconds}", None, platform.headers())
    answer = connection.getresponse()
    lines = [json.loads(line) for line in answer.read().splitlines()]
    return [(each["type"], each["object"]["metadata"]["name"], int(each["object"]["metadata"]["resourceVersion"]))
            for each in lines]


def test_acknowledged_writes_survive_kills(small):
    chance = random.Random(5)
    promised, revisions = {}, set()
    small.start()
    first = int(small.answer(small.connect(), "GET", MAPS)[1]["metadata"]["resourceVersion"])
    for round_ in range(6):
        states = [{} for _ in range(6)]
        writers = [Writer(small, f"w{round_}-{each}", round_ * 10 + each, states[each]) for each in range(6)]
        for writer in writers:
            writer.start()
        wanted = chance.randrange(20, 80)
        until("writes", lambda: sum(map(acknowledged, states)) >= wanted or any(writer.failure for writer in writers), 120, 0.003)
        small.kill()
        for writer in writers:
            writer.join()
            assert writer.failure is None
        for state in states:
            promised.update(state)
        small.start()
        status, listed = small.answer(small.connect(), "GET", MAPS)
        assert status == 200
        held = {each["metadata"]["name"]: each for each in listed["items"]}
        for name, outcomes in promised.items():
            *settled, last = outcomes
            now = held.get(name)
            found = "gone" if now is None else (now["data"]["value"], int(now["metadata"]["resourceVersion"]))
            if last is not None:
                assert found == last, f"{name} was acknowledged otherwise"
            elif settled and found != settled[-1]:
                # The write that was on its way was made, whole; nobody was told.
                assert found == "gone" or found[1] > max(each[1] for each in settled if each != "gone"), name
        assert int(listed["metadata"]["resourceVersion"]) >= max(
            each[1] for outcomes in promised.values() for each in outcomes if each not in (None, "gone"))
    made = [each[1] for outcomes in promised.values() for each in outcomes if each not in (None, "gone")]
    assert len(made) == len(set(made)) and len(made) > 100
    # The watch goes on across all six lives: every acknowledged write is in it, once and in order.
    events = watched(small, first)
    order = [revision for kind, _, revision in events if kind != "BOOKMARK"]
    assert order == sorted(set(order))
    assert set(made) <= set(order)


def test_a_full_disk_refuses_writes_and_nothing_else(small):
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    small.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=24m,mode=0700,uid={NOBODY},gid={NOBODY}", "tmpfs", str(small.state)],
                   check=True)
    try:
        small.start()
        connection = small.connect()
        assert small.create(connection, "before", "x")[0] == 201
        filler = small.state / "filler"
        with pytest.raises(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 65536)
        refused, made = None, 0
        for each in range(400):  # The log has some room of its own first.
            status, tree = small.create(connection, f"big-{each}", "y" * 100_000)
            if status != 201:
                refused = (status, tree)
                break
            made += 1
        assert refused and refused[0] in (500, 507), refused
        assert refused[1]["kind"] == "Status" and "disk is full" in refused[1]["message"]
        assert small.answer(connection, "GET", f"{MAPS}/before")[0] == 200
        assert len(small.answer(connection, "GET", MAPS)[1]["items"]) >= made + 1
        filler.unlink()
        assert small.create(connection, "after", "z")[0] == 201
        small.kill()
        small.start()
        names = {each["metadata"]["name"] for each in small.answer(small.connect(), "GET", MAPS)[1]["items"]}
        assert {"before", "after"} <= names and len([each for each in names if each.startswith("big-")]) == made
    finally:
        small.stop()
        subprocess.run(["umount", "-l", str(small.state)], check=True)


def test_a_state_out_of_reach_is_named(small):
    if os.geteuid() != 0:
        pytest.skip("a directory of another user needs root")
    small.state.mkdir(mode=0o700)
    os.chown(small.state, 0, 0)
    done = small.command("up", "--api-listen", f"127.0.0.1:{API}", "--nacos-listen", "off", "--eureka-listen", "off",
                         "--zookeeper-listen", "off")
    assert done.returncode == 1
    assert done.stderr.strip().startswith("mangrove: cannot ") and "Permission denied" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_backup_and_restore(small):
    backup = str(small.directory / "backup")
    small.start()
    connection = small.connect()
    _, made = small.create(connection, "kept", "1")
    authority = (small.state / "pki" / "ca.crt").read_text()
    running = small.command("backup", backup)
    assert running.returncode == 0 and "objects at revision" in running.stdout, running.stderr
    assert oct(os.stat(backup).st_mode & 0o777) == "0o600"
    _, later = small.create(connection, "later", "2")
    refused = small.command("restore", backup, "--force")
    assert refused.returncode == 1 and "mangrove down" in refused.stderr
    small.stop()
    refused = small.command("restore", backup)
    assert refused.returncode == 1 and "is not empty" in refused.stderr and "--force" in refused.stderr
    stopped = small.command("backup", backup + "2")
    assert stopped.returncode == 0, stopped.stderr
    restored = small.command("restore", backup, "--force")
    assert restored.returncode == 0, restored.stderr
    small.start()
    connection = small.connect()
    assert (small.state / "pki" / "ca.crt").read_text() == authority
    found = small.answer(connection, "GET", f"{MAPS}/kept")[1]
    assert found["metadata"] == made["metadata"] and found["data"] == {"value": "1"}
    assert small.answer(connection, "GET", f"{MAPS}/later")[0] == 404
    # Nobody who saw what came after the backup is left believing in it.
    status, gone = small.answer(
        connection, "GET", f"{MAPS}?watch=1&resourceVersion={later['metadata']['resourceVersion']}&timeoutSeconds=1")
    assert status == 410 or (gone["type"] == "ERROR" and gone["object"]["code"] == 410)
    _, fresh = small.create(connection, "fresh", "3")
    assert int(fresh["metadata"]["resourceVersion"]) > int(later["metadata"]["resourceVersion"])
    small.stop()
    # The other backup was made of the stopped platform and has both.
    shutil.rmtree(small.state)
    assert small.command("restore", backup + "2").returncode == 0
    small.start()
    names = {each["metadata"]["name"] for each in small.answer(small.connect(), "GET", MAPS)[1]["items"]}
    assert {"kept", "later"} <= names and "fresh" not in names
