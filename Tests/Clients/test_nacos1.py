"""The Nacos 1.x client shares its package's name with the 3.x one, so its tests run in an environment of their own."""

import os
import pathlib
import subprocess

from conftest import NACOS, ROOT


def test_nacos_1_client(platform):
    suite = pathlib.Path(__file__).parent / "nacos1"
    done = subprocess.run(
        [str(ROOT / ".venv-nacos1" / "bin" / "python"), "-m", "pytest", "-q", "--rootdir", str(suite), "--noconftest", str(suite)],
        env=os.environ | {"MANGROVE_NACOS": NACOS}, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
