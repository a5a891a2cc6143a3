"""Apache Curator 5, the distribution's, doing what Dubbo, Spring Cloud and SOFA do with it."""

import pathlib
import shutil
import subprocess

import pytest

from conftest import ZOOKEEPER

HERE = pathlib.Path(__file__).parent
JARS = pathlib.Path("/usr/share/java")
NAMES = ["curator-client", "curator-framework", "curator-recipes", "curator-x-discovery", "zookeeper", "zookeeper-jute", "guava",
         "slf4j-api", "jackson-core", "jackson-databind", "jackson-annotations", "netty-all", "metrics-core", "snappy-java"]


def test_curator_does_what_frameworks_do_with_it(tmp_path):
    if not shutil.which("javac"):
        pytest.skip("there is no javac here; scripts/setup installs one")
    missing = [name for name in NAMES[:6] if not (JARS / f"{name}.jar").exists()]
    if missing:
        pytest.skip(f"{JARS} has no {', '.join(missing)}; scripts/setup installs them")
    path = ":".join(str(JARS / f"{name}.jar") for name in NAMES)
    subprocess.run(["javac", "-nowarn", "-d", str(tmp_path), "-cp", path, str(HERE / "curator" / "CuratorClients.java")],
                   check=True, capture_output=True, text=True)
    done = subprocess.run(["java", "-cp", f"{path}:{tmp_path}", "CuratorClients", ZOOKEEPER], capture_output=True, text=True,
                          timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert done.stdout.split("\n")[:-1] == ["interface level", "application level", "sofa", "tables", "recipes"]
