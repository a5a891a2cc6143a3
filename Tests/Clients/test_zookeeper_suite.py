"""kazoo's own tests, all but those named here, against Mangrove."""

import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent

# By the end of its name: why a test is not run.
LEFT_OUT = {
    "test_sasl.py": "SASL is refused",
    "test_client.py::TestSSLClient": "TLS is not served",
    "test_client.py::TestReconfig": "there is no ensemble to reconfigure",
    "test_client.py::TestClient::test_update_host_list": "needs three servers, of which one is stopped",
    "test_connection.py::TestReadOnlyMode": "needs three servers, of which two are stopped",
    "test_eventlet_handler.py": "tests a library of threads, which is not installed",
    "test_gevent_handler.py": "runs the tests of the client again, on a library of threads that is not installed",
    "test_build.py": "compares the version with the one that kazoo's own CI installed",
}


def run(tests, *what):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "kazoo_harness", "-p", "no:cacheprovider", "--rootdir", str(tests),
         "--no-header", "--tb=short", "-rfE", *what],
        cwd=tests, capture_output=True, text=True, timeout=900, env={**os.environ, "PYTHONPATH": str(HERE)})
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", done.stdout)}
    return done, counts, re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)


def test_kazoo_passes_its_own_tests():
    import kazoo.tests
    tests = pathlib.Path(kazoo.tests.__file__).parent
    left_out = [flag for name in LEFT_OUT
                for flag in (["--ignore", str(tests / name)] if "::" not in name else ["--deselect", name])]
    done, counts, failed = run(tests, *left_out, str(tests))
    # Some of kazoo's tests wait for fixed times, which a busy machine exceeds: a few that failed may try again.
    if failed and len(failed) <= 3:
        print(f"again: {failed}\n{done.stdout[-4000:]}")
        done, _, failed = run(tests, *failed)
    assert done.returncode == 0 and not failed, f"{failed}\n{done.stdout[-6000:]}{done.stderr[-2000:]}"
    # All but the tests named above; one is skipped for want of a library of threads.
    assert counts["passed"] >= 300, done.stdout[-3000:]
