"""Power cuts: the disk as it may be left at any moment, made from a journal of what the real binary wrote and synced.

What was synced is there. Of what was written since, each write may be there, or some of its sectors, or nothing of it, in
any order: that is all that a disk promises. Whatever is left must open, and hold every write acknowledged by then.
"""

import os
import random
import shutil
import struct
import subprocess
import threading
import time

import http.client

from conftest import ROOT, until
from test_durability import MAPS, configmap, small  # noqa: F401 (a fixture)

SECTOR = 512


class Clock(threading.Thread):
    """Creates one ConfigMap after another and counts up in one of them; keeps when each was asked and acknowledged."""

    def __init__(self, platform, label):
        super().__init__()
        self.platform, self.label, self.created, self.counted = platform, label, [], []

    def run(self):
        connection = self.platform.connect()
        own, number = f"count-{self.label}", 0
        try:
            self.platform.create(connection, own, "0")
            while True:
                number += 1
                name = f"made-{self.label}-{number}"
                assert self.platform.create(connection, name, "x" * (number * 37 % 3000))[0] == 201
                self.created.append((time.monotonic_ns(), name))
                asked = time.monotonic_ns()
                assert self.platform.answer(connection, "PUT", f"{MAPS}/{own}", configmap(own, str(number)))[0] == 200
                self.counted.append((asked, time.monotonic_ns(), number))
        except (OSError, http.client.HTTPException):
            return  # The power is gone.


def entries(journal):
    data = journal.read_bytes()
    place, head = 0, struct.Struct("<5Q")
    while place + head.size <= len(data):
        kind, moment, offset, length, path_length = head.unpack_from(data, place)
        place += head.size
        path = data[place:place + path_length].decode().rsplit("/", 1)[1]
        place += path_length
        body = data[place:place + length] if chr(kind) == "W" else b""
        place += len(body)
        yield chr(kind), moment, offset, path, body


def write(content, offset, body):
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset:offset + len(body)] = body


def image(base, journal, moment, chance):
    """The files as a power cut at a moment may leave them."""
    files = {name: bytearray(content) for name, content in base.items()}
    waiting = {name: [] for name in files}
    for kind, when, offset, name, body in journal:
        if when > moment:
            break
        content, unsynced = files.setdefault(name, bytearray()), waiting.setdefault(name, [])
        if kind != "S":
            unsynced.append((kind, offset, body))
            continue
        for kind_, offset_, body_ in unsynced:
            write(content, offset_, body_) if kind_ == "W" else content.__delitem__(slice(offset_, None))
        unsynced.clear()
    share = chance.choice([0, 0.1, 0.5, 0.9, 1])
    for name, unsynced in waiting.items():
        for kind, offset, body in unsynced:
            if chance.random() >= share:
                continue
            if kind == "T":
                del files[name][offset:]
            elif chance.random() < 0.3:
                for start in range(0, len(body), SECTOR):
                    if chance.random() < 0.5:
                        write(files[name], offset + start, body[start:start + SECTOR])
            else:
                write(files[name], offset, body)
    return files


def held(backup):
    """The ConfigMaps of a backup, by name."""
    data, found = backup.read_bytes(), {}
    place = data.index(b"\nstore ") + 1
    place = data.index(b"\n", place) + 1
    while data[place:place + 7] == b"record ":
        end = data.index(b"\n", place)
        _, _, _, key_bytes, value_bytes = data[place:end].split(b" ")
        key = data[end + 1:end + 1 + int(key_bytes)].decode()
        value = data[end + 1 + int(key_bytes):end + 1 + int(key_bytes) + int(value_bytes)]
        place = end + 2 + int(key_bytes) + int(value_bytes)
        if key.startswith("/registry/core/configmaps/default/"):
            found[key.rsplit("/", 1)[1]] = value
    return found


def test_acknowledged_writes_survive_power_cuts(small, tmp_path):  # noqa: F811
    library, journal = tmp_path / "power_loss.so", small.directory / "journal"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, str(ROOT / "Tests" / "Clients" / "power_loss.c"), "-ldl"],
                   check=True)
    shutil.copy(library, small.directory / "power_loss.so")
    small.start()
    small.stop()
    store = small.state / "store"
    base = {each.name: each.read_bytes() for each in store.iterdir() if each.name.startswith("store.db")}
    form = (store / "format").read_bytes()
    began = time.monotonic_ns()
    os.environ.update(LD_PRELOAD=str(small.directory / "power_loss.so"), JOURNAL=str(journal))
    try:
        small.start()
    finally:
        del os.environ["LD_PRELOAD"], os.environ["JOURNAL"]
    clocks = [Clock(small, each) for each in range(4)]
    loaded = time.monotonic_ns()
    for clock in clocks:
        clock.start()
    until("some load", lambda: sum(len(clock.created) for clock in clocks) > 80
          or not any(clock.is_alive() for clock in clocks))
    small.kill()
    for clock in clocks:
        clock.join()
    ended = time.monotonic_ns()
    written = list(entries(journal))
    assert sum(len(clock.created) for clock in clocks) > 20 and any(kind == "S" for kind, *_ in written)
    chance = random.Random(11)
    for cut in range(20):
        moment = chance.randint(began if cut < 3 else loaded, ended)
        maps = reopened(small, form, image(base, written, moment, chance))
        for clock in clocks:
            missing = [name for when, name in clock.created if when <= moment and name not in maps]
            assert not missing, f"cut {cut}: {missing} were acknowledged"
            least = max([number for _, acknowledged, number in clock.counted if acknowledged <= moment], default=0)
            if least:
                value = maps[f"count-{clock.label}"].decode()
                # One more may have been under way.
                assert any(f'"value":"{number}"' in value for number in (least, least + 1)), f"cut {cut}: {value}"
    # And the test can tell: had nothing been synced, the last of these disks could be without any of it.
    unsynced = [each for each in written if each[0] != "S"]
    lost = reopened(small, form, image(base, unsynced, ended, Unlucky()))
    assert not [name for name in lost if name.startswith("made-")]


class Unlucky(random.Random):
    """Nothing that was not synced is kept."""

    def choice(self, options):
        return options[0]


def reopened(platform, form, files):
    """What the real binary finds in a store of these files."""
    left, backup = platform.directory / "left", platform.directory / "backup"
    (left / "store").mkdir(parents=True)
    (left / "store" / "format").write_bytes(form)
    for name, content in files.items():
        (left / "store" / name).write_bytes(content)
    done = subprocess.run([platform.binary, "backup", str(backup), "--state", str(left)], capture_output=True, text=True)
    shutil.rmtree(left)
    assert done.returncode == 0, done.stderr
    return held(backup)
