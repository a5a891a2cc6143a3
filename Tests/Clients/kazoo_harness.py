"""A pytest plugin that runs kazoo's own tests against Mangrove: it stands in for kazoo's cluster of ZooKeeper servers.

`stop()` of the only server is kill -9, and `run()` starts it again on what it had stored.
"""

import os
import pathlib
import sys
import tempfile
import types

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from solo import Solo  # noqa: E402

API, ZOOKEEPER = 16453, 12281


class Server(Solo):
    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def run(self):
        if not self.running:
            self.start()

    def stop(self):
        self.kill()


class Cluster:
    def __init__(self, **_):
        self.servers = [Server(tempfile.mkdtemp(prefix="kazoo-"), API, zookeeper=ZOOKEEPER)]

    def __getitem__(self, place):
        return self.servers[place]

    def __iter__(self):
        return iter(self.servers)

    def start(self):
        for server in self.servers:
            server.run()

    def terminate(self):
        """Called after each class of tests; the platform stays up for the next, and ends with the run."""

    def get_logs(self):
        return [server.log.read_text()[-5000:] for server in self.servers]


os.environ["ZOOKEEPER_VERSION"] = "3.8.0"
stand_in = types.ModuleType("kazoo.testing.common")
stand_in.ZookeeperCluster = Cluster
sys.modules["kazoo.testing.common"] = stand_in


def pytest_unconfigure(config):
    from kazoo.testing import harness
    for server in harness.CLUSTER or []:
        if server.running:
            server.kill()
