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


def fields(*more, path=b"/Request/request"):
    """A call's header fields, none of them compressed."""
    def text(value):
        return bytes([len(value)]) + value if len(value) < 127 else b"\x7f" + varint(len(value) - 127) + value
    every = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"a"),
             (b"content-type", b"application/grpc"), (b"te", b"trailers"), *more]
    return b"".join(b"\0" + text(name) + text(value) for name, value in every)


def varint(value):
    low = b""
    while value >= 128:
        low += bytes([value & 127 | 128])
        value >>= 7
    return low + bytes([value])


# ServerCheckRequest: a payload whose metadata is the type's name.
CHECK = b"\x12\x14\x1a\x12ServerCheckRequest"
MESSAGE = b"\0" + len(CHECK).to_bytes(4, "big") + CHECK


def frames(heard):
    while heard:
        length = int.from_bytes(heard[:3], "big")
        yield heard[3], int.from_bytes(heard[5:9], "big"), heard[9:9 + length]
        heard = heard[9 + length:]


def answers(heard):
    return {stream: body for kind, stream, body in frames(heard) if kind == 0 and body}


def test_a_call_may_come_in_odd_pieces(platform):
    head, tail = fields()[:40], fields()[40:]
    call = SETTINGS + frame(1, 0, 1, head) + frame(9, 4, 1, tail)
    call += b"".join(frame(0, 0, 1, MESSAGE[at:at + 1]) for at in range(len(MESSAGE))) + frame(0, 1, 1, b"")
    assert b"ServerCheckResponse" in answers(offend(GRPC, call))[1]


def test_a_broken_call_hurts_only_itself(platform):
    well = lambda stream: frame(1, 4, stream, fields()) + frame(0, 1, stream, MESSAGE)
    broken = (
        frame(1, 4, 1, fields()) + frame(0, 0, 1, MESSAGE[:9]) + frame(3, 0, 1, (8).to_bytes(4, "big"))  # taken back
        + frame(1, 4, 3, fields(path=b"/no/method")) + frame(0, 1, 3, MESSAGE)
        + frame(1, 4, 5, fields()) + frame(0, 1, 5, b"\0\xff\xff\xff\xff")
        + frame(1, 4, 7, fields()) + frame(0, 1, 7, b"\0\0\0\0\x02\x12\x7f")
        + frame(1, 4, 9, fields((b"grpc-encoding", b"gzip"))) + frame(0, 1, 9, MESSAGE)
        + frame(1, 4, 11, fields(path=b"/BiRequestStream/requestBiStream")) + frame(3, 0, 11, (8).to_bytes(4, "big")))
    heard = offend(GRPC, SETTINGS + broken + well(13))
    found = answers(heard)
    assert list(found) == [13] and b"ServerCheckResponse" in found[13], heard
    refused = {stream for kind, stream, _ in frames(heard) if kind == 1} - {11, 13}
    assert refused == {3, 5, 7, 9}, heard


@pytest.mark.parametrize("port,payload", [
    (HTTP, b"GET / HTTP/9.9\r\n\r\n"), (HTTP, b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"), (HTTP, PREFACE),
    (HTTP, b"POST /nacos/v1/cs/configs HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    (GRPC, SETTINGS + frame(0, 0, 1, b"data before headers")), (GRPC, SETTINGS + frame(1, 4, 1, RANDOM.randbytes(64))),
    (GRPC, SETTINGS + frame(99, 0, 0, b"?")), (GRPC, SETTINGS + frame(8, 0, 0, b"\x00\x00\x00\x00")),
    (GRPC, SETTINGS + frame(6, 0, 0, b"short")), (GRPC, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), (GRPC, PREFACE[:10]),
    (GRPC, SETTINGS[:-4]), (GRPC, SETTINGS + frame(1, 4, 1, fields((b"a", b"a" * 100_000)))),
    (GRPC, SETTINGS + frame(1, 4, 1, fields()) + frame(0, 0, 1, b"") * 1_000),
], ids=lambda each: str(each) if isinstance(each, int) else repr(each[:18]))
def test_broken_bytes_hurt_only_their_sender(platform, port, payload):
    offend(port, payload)
    assert is_well()
    heard = offend(GRPC, SETTINGS + frame(1, 4, 1, fields()) + frame(0, 1, 1, MESSAGE))
    assert b"ServerCheckResponse" in answers(heard)[1]


def test_too_long_a_body_is_refused(platform):
    head = b"POST /nacos/v1/cs/configs HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n"
    heard = offend(HTTP, head + b"a" * 9_000_000, patience=2)
    assert heard.split()[1] == b"413", heard[:100]
    assert is_well()
