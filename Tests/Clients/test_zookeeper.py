"""ZooKeeper's protocol, by kazoo and by hand: what is promised across crashes, and what bad clients get."""

import collections
import random
import socket
import struct
import tempfile
import threading
import time
import uuid

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadVersionError, InvalidACLError, KazooException, NodeExistsError, NoAuthError, NoNodeError, NotEmptyError)
from kazoo.protocol.states import KazooState
from kazoo.security import make_acl, make_digest_acl

from conftest import ZOOKEEPER, until
from solo import Solo

API, PORT = 16454, 12282


class AddWatch(collections.namedtuple("AddWatch", "path mode")):
    """A request that kazoo does not know."""
    type = 106

    def serialize(self):
        return struct.pack(">i", len(self.path)) + self.path.encode() + struct.pack(">i", self.mode)

    @classmethod
    def deserialize(cls, bytes, offset):
        return struct.unpack_from(">i", bytes, offset)[0]


def client(address=ZOOKEEPER, **more):
    made = KazooClient(address, **more)
    made.start(timeout=30)
    return made


@pytest.fixture
def zk():
    made = client()
    yield made
    made.stop()
    made.close()


@pytest.fixture
def place(zk):
    path = "/t-" + uuid.uuid4().hex[:8]
    zk.create(path)
    yield path
    zk.delete(path, recursive=True)


@pytest.fixture
def solo():
    made = Solo(tempfile.mkdtemp(prefix="zookeeper-"), API, zookeeper=PORT)
    yield made.start()
    made.stop()


def test_a_zookeeper_client_finds_its_way(zk, place):
    stat = zk.create(place + "/a", b"one", include_data=True)[1]
    assert (stat.version, stat.dataLength, stat.czxid) == (0, 3, stat.mzxid)
    assert zk.set(place + "/a", b"two!", version=0).version == 1
    with pytest.raises(BadVersionError):
        zk.set(place + "/a", b"three", version=0)
    assert zk.get(place + "/a")[0] == b"two!"
    with pytest.raises(NodeExistsError):
        zk.create(place + "/a")
    with pytest.raises(NotEmptyError):
        zk.delete(place)
    assert [zk.create(place + "/s-", sequence=True)[-10:] for _ in range(3)] == ["0000000001", "0000000002", "0000000003"]
    transaction = zk.transaction()
    transaction.delete(place + "/a")
    transaction.check(place, 7)
    assert [type(result).__name__ for result in transaction.commit()] == ["RolledBackError", "BadVersionError"]
    assert zk.exists(place + "/a")
    assert zk.get("/zookeeper/config")[0] == b""


def test_access_is_held(zk, place):
    owner = client(auth_data=[("digest", "jane:secret")])
    owner.create(place + "/j", b"x", acl=[make_digest_acl("jane", "secret", all=True)])
    with pytest.raises(NoAuthError):
        zk.get(place + "/j")
    assert owner.get(place + "/j")[0] == b"x"
    with pytest.raises(InvalidACLError):
        zk.create(place + "/k", acl=[make_acl("x509", "CN=jane", all=True)])
    # Whoever may not read it is not told of it either.
    events = []
    for name in ("j", "seen"):
        zk._data_watchers[f"{place}/{name}"].add(events.append)
    result = zk.handler.async_result()
    zk._call(AddWatch(place, 1), result)
    assert result.get(timeout=10) == 0
    owner.set(place + "/j", b"y")
    zk.create(place + "/seen")
    until("an event", lambda: events)
    assert [event.path for event in events] == [place + "/seen"]
    owner.delete(place + "/j")
    owner.stop()


def test_an_ephemeral_ends_with_its_session_and_watchers_hear_of_it(zk, place):
    other = client()
    other.create(place + "/e", ephemeral=True)
    heard = threading.Event()
    assert zk.exists(place + "/e", watch=lambda event: heard.set()).ephemeralOwner == other.client_id[0]
    other.stop()
    assert heard.wait(10)
    assert not zk.exists(place + "/e")


def test_words_of_four_letters(platform):
    def word(letters):
        host, port = ZOOKEEPER.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(letters.encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer.decode()
    assert word("ruok") == "imok" and word("isro") == "rw"
    assert "Mode: standalone" in word("srvr") and "Clients:" in word("stat")
    assert "zk_znode_count\t" in word("mntr") and "zookeeper.version=3.8.0" in word("envi")
    assert "maxSessionTimeout=60000" in word("conf") and "sid=" not in word("cons").split("\n")[-2]
    assert "Global Sessions(" in word("dump") and "Total watches:" in word("wchs")


# What no good client sends: each gets its own connection closed, and nobody else notices.

def greeting(length=45, timeout=30_000, session=0, password=b"\0" * 16):
    return struct.pack(">iiqiqi", length, 0, 0, timeout, session, 16) + password + b"\0"


BAD = {
    "a huge length": struct.pack(">i", 0x7FFFFFFF),
    "a negative length": struct.pack(">i", -2),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "a greeting that ends early": struct.pack(">i", 8) + bytes(8),
    "a password of two gigabytes": struct.pack(">iiqiqi", 45, 0, 0, 30_000, 0, 0x7FFFFFFF) + bytes(17),
    "a strange session": greeting(session=4711),
    "a frame over the limit": greeting() + struct.pack(">i", 0x100000),
    "a request that ends early": greeting() + struct.pack(">iii", 8, 1, 1),
    "a path of negative length": greeting() + struct.pack(">iiiib", 13, 1, 3, -9, 0),
    "a path that is no text": greeting() + struct.pack(">iii", 15, 1, 3) + struct.pack(">i", 2) + b"\xff\xfe\0",
    "a vector without end": greeting() + struct.pack(">iii", 24, 1, 101) + struct.pack(">qii", 0, 0x7FFFFFFF, 0),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_bytes_end_their_own_connection_alone(zk, what):
    host, port = ZOOKEEPER.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(BAD[what])
        while connection.recv(65536):
            pass
    assert zk.exists("/zookeeper")


def test_slow_senders_and_idle_connections_bother_nobody(zk, place):
    host, port = ZOOKEEPER.split(":")
    idle = []
    for number in range(2_000):
        connection = socket.create_connection((host, int(port)), timeout=20)
        connection.sendall(greeting()[: number % 45])
        idle.append(connection)
    for number in range(50):
        zk.create(f"{place}/{number}")
    assert len(zk.get_children(place)) == 50
    # Without a session they are shown out.
    idle[7].settimeout(30)
    assert idle[7].recv(1) == b""
    for connection in idle:
        connection.close()


def test_a_session_and_its_node_outlive_a_crash(solo):
    zk = client(solo.address, timeout=20)
    zk.create("/kept", b"data", acl=None)
    zk.create("/mine", ephemeral=True)
    session, before = zk.client_id, zk.exists("/kept").czxid
    seen = []
    zk.DataWatch("/kept", lambda data, stat: seen.append(data))
    lost = []
    zk.add_listener(lambda state: lost.append(state) if state == KazooState.LOST else None)
    solo.kill()
    solo.start()
    until("the client is back", lambda: zk.connected)
    assert zk.client_id == session and not lost
    assert zk.exists("/mine").ephemeralOwner == session[0]
    stat = zk.set("/kept", b"changed")
    assert stat.mzxid > before and stat.czxid == before
    until("the watch is back", lambda: seen[-1] == b"changed")
    # A session whose client is gone for good ends in its time, also across a crash.
    path = b"/others"
    body = struct.pack(">iii", 1, 1, len(path)) + path + struct.pack(">iii", 0, 1, 31)
    body += struct.pack(">i", 5) + b"world" + struct.pack(">i", 6) + b"anyone" + struct.pack(">i", 1)
    with socket.create_connection(("127.0.0.1", PORT)) as other:
        other.sendall(greeting(timeout=4_000) + struct.pack(">i", len(body)) + body)
        until("the other's node", lambda: zk.exists("/others"))
        solo.kill()
    solo.start()
    until("the client is back", lambda: zk.connected)
    assert zk.retry(zk.exists, "/others")
    until("the end of the other's session", lambda: not zk.retry(zk.exists, "/others"))
    zk.stop()


def test_what_is_stored_survives_backup_restore_and_a_later_state_sends_nobody_into_the_past(solo, tmp_path_factory):
    zk = client(solo.address)
    zk.create("/config", b"first")
    backup = str(solo.directory / "backup")
    assert solo.command("backup", backup).returncode == 0
    zk.set("/config", b"second")
    last = zk.last_zxid
    zk.stop()
    solo.stop()
    restored = solo.command("restore", backup, "--force")
    assert restored.returncode == 0, restored.stderr
    solo.start()
    zk = client(solo.address)
    assert zk.get("/config")[0] == b"first"
    assert zk.create("/after", include_data=True)[1].czxid > last
    zk.stop()


def test_damage_is_said_and_nothing_is_touched(solo):
    zk = client(solo.address)
    for number in range(50):
        zk.create(f"/n{number}", b"x" * 500)
    zk.stop()
    solo.stop()
    path = solo.state / "zookeeper" / "zookeeper.db"
    damaged = bytearray(path.read_bytes())
    for place in range(len(damaged) // 2, len(damaged), 64):
        damaged[place] ^= 0xFF
    path.write_bytes(damaged)
    done = solo.command("up", "--api-listen", f"127.0.0.1:{API}", "--nacos-listen", "off", "--eureka-listen", "off",
                        "--zookeeper-listen", solo.address)
    assert done.returncode == 1 and "zookeeper.db is damaged" in done.stderr
    assert path.read_bytes() == damaged


class Writer(threading.Thread):
    """Creates, changes and deletes its own nodes, and remembers what was acknowledged."""

    def __init__(self, address, name, seed):
        super().__init__(daemon=True)
        self.address, self.base, self.random = address, f"/churn/{name}", random.Random(seed)
        self.known, self.doubtful, self.zxid, self.ending = {}, {}, 0, False
        self.problem, self.writes = None, 0

    def run(self):
        try:
            zk = client(self.address, timeout=30)
            zk.ensure_path(self.base)
            while not self.ending:
                self.write(zk)
            zk.stop()
        except Exception as problem:
            self.problem = problem

    def write(self, zk):
        path, value = f"{self.base}/{self.random.randrange(20)}", uuid.uuid4().bytes
        known = self.known.get(path)
        # Between the request and its answer both states are possible.
        deletes = known is not None and self.random.random() < 0.3
        after = None if deletes else value
        self.doubtful[path] = (known, after)
        try:
            if deletes:
                zk.delete(path)
            elif known is None:
                self.note(zk.create(path, value, include_data=True)[1].czxid)
            else:
                self.note(zk.set(path, value).mzxid)
        except (KazooException, ConnectionError):
            self.settle(zk, path)
            return
        self.known[path] = after
        del self.doubtful[path]
        self.writes += 1

    def settle(self, zk, path):
        """After a lost answer: reads which of the two it was, once there is a server again."""
        while not self.ending:
            try:
                found, stat = zk.retry(zk.get, path)
                self.note(stat.mzxid)
            except NoNodeError:
                found = None
            except KazooException:
                time.sleep(0.05)
                continue
            assert found in self.doubtful[path], (path, found, self.doubtful[path])
            self.known[path] = found
            del self.doubtful[path]
            return

    def note(self, zxid):
        self.zxid = max(self.zxid, zxid)


def test_acknowledged_writes_survive_kills_under_churn(solo):
    seed = 20261126
    chance = random.Random(seed)
    writers = [Writer(solo.address, name, seed + name) for name in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(4):
        done = sum(writer.writes for writer in writers)
        until("writes go on", lambda: sum(writer.writes for writer in writers) > done + 50)
        time.sleep(chance.random() * 0.3)
        solo.kill()
        solo.start()
    until("writes go on", lambda: all(writer.writes for writer in writers))
    for writer in writers:
        writer.ending = True
    for writer in writers:
        writer.join(60)
        assert writer.problem is None and not writer.is_alive(), writer.problem
    solo.kill()
    solo.start()
    zk = client(solo.address)
    for writer in writers:
        for path, value in writer.known.items():
            if path in writer.doubtful:
                continue
            found = zk.get(path)[0] if zk.exists(path) else None
            assert found == value, f"seed {seed}: {path}"
    newest = zk.create("/newest", include_data=True)[1].czxid
    assert newest > max(writer.zxid for writer in writers)
    zk.stop()
