"""Wrong input on every port: each is an error to that client alone, costs little memory, and a good client is served
beside it."""

import http.client
import os
import random
import resource
import select
import socket
import ssl
import struct

import pytest

import conftest

# A crowd of 10,000 takes a debug build a minute a port; MANGROVE_IDLE=10000 asks for it.
IDLE = int(os.environ.get("MANGROVE_IDLE", "2000"))
# Connections begun at once: fewer than a listener's backlog, beyond which the kernel makes each wait a second.
BATCH = 100


def http_answers(path, tls=False):
    def check(address):
        host, port = address.split(":")
        if tls:
            connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=ssl._create_unverified_context())
        else:
            connection = http.client.HTTPConnection(host, int(port), timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, (path, answer.status)
        finally:
            connection.close()
    return check


def nacos_grpc_answers(address):
    """The HTTP/2 preface and empty settings; the server's own settings must come back."""
    with connect(address) as peer:
        peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        assert receive(peer, 9)[3] == 4, "no SETTINGS came"


def zookeeper_answers(address):
    """A session is made, with the identifier that later requests would carry."""
    with connect(address) as peer:
        peer.sendall(struct.pack(">iiqiqi", 45 - 1, 0, 0, 10_000, 0, 16) + bytes(16))
        length, _, timeout, session = struct.unpack(">iiiq", receive(peer, 20))
        assert length in (36, 37) and timeout > 0 and session != 0


def above(address, offset):
    host, port = address.split(":")
    return f"{host}:{int(port) + offset}"


PORTS = {
    "kubernetes": (conftest.API, http_answers("/livez", tls=True)),
    "nacos-http": (conftest.NACOS, http_answers("/nacos/v1/ns/operator/metrics")),
    "nacos-grpc": (above(conftest.NACOS, 1_000), nacos_grpc_answers),
    "eureka": (conftest.EUREKA, http_answers("/eureka/apps")),
    "zookeeper": (conftest.ZOOKEEPER, zookeeper_answers),
}

NOISE = random.Random(11).randbytes(4_096)
WORDS = {
    "nothing": b"",
    "noise": NOISE,
    "zeros": bytes(4_096),
    "half a frame": b"\x00\x00",
    "a negative length": struct.pack(">i", -2) + NOISE[:64],
    "a huge length": struct.pack(">i", 0x7FFF_FFFF) + NOISE[:64],
    "a length without its frame": struct.pack(">i", 1_000) + NOISE[:10],
    "half a request line": b"GET /nacos/v1/ns/inst",
    "a head without end": b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"y" * 300_000,
    "a huge body announced": b"POST /eureka/apps/A HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nabc",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a broken chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\nabc",
    "a wrong preface": b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    "a huge HTTP/2 frame": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x01\x05\x00\x00\x00\x01" + NOISE[:64],
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + NOISE[:190],
}


def connect(address):
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def begin(address):
    """A connection on its way."""
    host, port = address.split(":")
    peer = socket.socket()
    peer.setblocking(False)
    peer.connect_ex((host, int(port)))
    return peer


def receive(peer, count):
    data = b""
    while len(data) < count:
        more = peer.recv(count - len(data))
        assert more, f"the server closed after {len(data)} bytes"
        data += more
    return data


def resident(platform):
    """MiB that the platform's process holds."""
    with open(f"/proc/{platform.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


@pytest.mark.parametrize("port", PORTS)
def test_wrong_words_hurt_nobody_else(platform, port):
    address, good = PORTS[port]
    good(address)
    before, held = resident(platform), []
    try:
        for word, data in WORDS.items():
            for ending in ("kept", "half closed", "gone"):
                peer = connect(address)
                try:
                    peer.sendall(data)
                    if ending == "half closed":
                        peer.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # The server refused before all was said.
                if ending == "gone":
                    peer.close()
                else:
                    held.append(peer)
            assert platform.process.poll() is None, f"the platform ended after {word}"
            good(address)
        grown = resident(platform) - before
        assert grown < 100, f"{grown:.0f} MiB more after {len(held)} bad clients"
    finally:
        for peer in held:
            peer.close()
    good(address)


@pytest.mark.parametrize("port", PORTS)
def test_a_crowd_of_idle_connections_hurts_nobody_else(platform, port):
    address, good = PORTS[port]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count, crowd = min(IDLE, hard - 2_000), []
    try:
        before = resident(platform)
        while len(crowd) < count:
            batch = [begin(address) for _ in range(BATCH)]
            crowd += batch
            for peer in batch:
                poll = select.poll()
                poll.register(peer, select.POLLOUT)
                assert poll.poll(30_000), f"connection {len(crowd)} got no answer"
                refusal = peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                assert refusal == 0, f"connection {len(crowd)} was refused: {os.strerror(refusal)}"
        good(address)
        print(f"{port}: {len(crowd)} idle connections, {resident(platform) - before:.0f} MiB more")
    finally:
        for peer in crowd:
            peer.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    good(address)
