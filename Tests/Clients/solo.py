"""A platform of a test's own that a test may kill: no pods (it is nobody's), and only the interfaces it is asked for."""

import os
import pathlib
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOBODY = 65534


class Solo:
    def __init__(self, directory, api, *flags, zookeeper=None):
        self.binary = os.environ.get("MANGROVE", str(ROOT / ".build" / "debug" / "mangrove"))
        self.directory = pathlib.Path(directory)
        self.state, self.log = self.directory / "state", self.directory / "log"
        self.api, self.zookeeper, self.flags = api, zookeeper, flags
        self.identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        if self.identity:
            os.chown(self.directory, NOBODY, NOBODY)
        self.process = None

    @property
    def address(self):
        return f"127.0.0.1:{self.zookeeper}"

    def start(self):
        with open(self.log, "ab") as log:
            begins = log.tell()
            self.process = subprocess.Popen(
                [self.binary, "up", "--state", str(self.state), "--api-listen", f"127.0.0.1:{self.api}", "--nacos-listen", "off",
                 "--eureka-listen", "off", "--zookeeper-listen", self.address if self.zookeeper else "off", *self.flags],
                stdout=log, stderr=subprocess.STDOUT, cwd="/", **self.identity)
        deadline = time.monotonic() + 60
        while "Mangrove is ready" not in self.log.read_text()[begins:]:
            assert self.process.poll() is None, f"mangrove ended:\n{self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"mangrove is not ready:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.02)
        return self

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def command(self, *words):
        return subprocess.run([self.binary, *words, "--state", str(self.state)], capture_output=True, text=True,
                              cwd="/", **self.identity)

    def word(self, letters):
        """The answer to a four-letter word."""
        with socket.create_connection(("127.0.0.1", self.zookeeper), timeout=10) as connection:
            connection.sendall(letters.encode())
            answer = b""
            while part := connection.recv(65536):
                answer += part
        return answer.decode()
