"""Wrong input that only the Nacos ports know; what is wrong on every port is in test_hostile.py."""

import os
import random
import socket
import urllib.request

import pytest

SERVER = os.environ.get("MANGROVE_NACOS", "127.0.0.1:8848")
HOST, HTTP = SERVER.split(":")[0], int(SERVER.split(":")[1])
GRPC = HTTP + 1000
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, body):
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def is_well():
    with urllib.request.urlopen(f"http://{SERVER}/nacos/v1/ns/operator/metrics", timeout=10) as answer:
        return answer.status == 200


def offend(port, payload, patience=0.3):
    """Sends and reads until the server ends it or says no more; returns what came."""
    heard = b""
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.settimeout(patience)
        try:
            connection.sendall(payload)
            while piece := connection.recv(65536):
                heard += piece
        except OSError:
            pass
    return heard


RANDOM = random.Random(20261126)
SETTINGS = PREFACE + frame(4, 0, 0, b"")


@pytest.mark.parametrize("port,payload", [
    (HTTP, b"GET / HTTP/9.9\r\n\r\n"), (HTTP, b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"), (HTTP, PREFACE),
    (HTTP, b"POST /nacos/v1/cs/configs HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    (GRPC, SETTINGS + frame(0, 0, 1, b"data before headers")), (GRPC, SETTINGS + frame(1, 4, 1, RANDOM.randbytes(64))),
    (GRPC, SETTINGS + frame(99, 0, 0, b"?")), (GRPC, SETTINGS + frame(8, 0, 0, b"\x00\x00\x00\x00")),
    (GRPC, SETTINGS + frame(6, 0, 0, b"short")),
], ids=lambda each: str(each) if isinstance(each, int) else repr(each[:18]))
def test_broken_bytes_hurt_only_their_sender(platform, port, payload):
    offend(port, payload)
    assert is_well()


def test_too_long_a_body_is_refused(platform):
    head = b"POST /nacos/v1/cs/configs HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n"
    heard = offend(HTTP, head + b"a" * 9_000_000, patience=2)
    assert heard.split()[1] == b"413", heard[:100]
    assert is_well()
