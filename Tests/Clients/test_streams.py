"""kubectl exec, attach, cp, port-forward against real processes."""

import json
import os
import pty
import re
import select
import socket
import subprocess
import time

import pytest

from conftest import CLIENTS, until


def pod(name, namespace, command, **more):
    container = {"name": "main", "image": "host", "command": command, **more}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace},
                       "spec": {"terminationGracePeriodSeconds": 2, "containers": [container]}})


@pytest.fixture
def web(platform, namespace):
    answers = "import socket; socket.create_connection(('127.0.0.1', 8080)).close()"
    platform.apply(pod("web", namespace, ["python3", "-m", "http.server", "8080", "--bind", "127.0.0.1"],
                       readinessProbe={"exec": {"command": ["python3", "-c", answers]}, "periodSeconds": 1}))
    platform.kubectl("wait", "pod/web", "-n", namespace, "--for=condition=Ready", "--timeout=30s")
    return namespace


def command(platform, *words):
    return ["kubectl", "--kubeconfig", str(platform.state / "kubeconfig"), *words]


def in_terminal(words, *dialogue, seconds=20):
    """Runs a program on a terminal of 100 by 40; each (expected, answer) is typed when its text has been seen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", 'stty cols 100 rows 40; exec "$@"', "sh", *words])
    seen, deadline, rest = "", time.monotonic() + seconds, list(dialogue)
    while time.monotonic() < deadline:
        if rest and re.search(rest[0][0], seen):
            os.write(terminal, rest.pop(0)[1].encode())
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                more = os.read(terminal, 65536)
            except OSError:
                break
            if not more:
                break
            seen += more.decode(errors="replace")
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen


def test_exec_streams_and_exit_codes(platform, web):
    done = platform.kubectl("exec", "web", "-n", web, "--", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert "err\n" in done.stderr and "exit code 3" in done.stderr
    assert platform.kubectl("exec", "-i", "web", "-n", web, "--", "wc", "-c", text="x" * 300_000).strip() == "300000"
    missing = platform.kubectl("exec", "web", "-n", web, "--", "no-such-program", check=False)
    assert missing.returncode != 0 and "executable file not found in $PATH" in missing.stderr
    wrong = platform.kubectl("exec", "web", "-n", web, "-c", "other", "--", "true", check=False)
    assert "container other is not valid for pod web" in wrong.stderr
    # In the pod's own world: its host name, its processes, its network.
    assert platform.kubectl("exec", "web", "-n", web, "--", "hostname").strip() == "web"
    assert "http.server" in platform.kubectl("exec", "web", "-n", web, "--", "ps", "ax")


def test_exec_with_a_terminal(platform, web):
    words = command(platform, "exec", "-it", "web", "-n", web, "--", "sh")
    code, seen = in_terminal(words, ("[#$] $", "stty size; test -t 0 && echo on a terminal\n"),
                             ("on a terminal\r", "exit 7\n"))
    assert code == 7, seen
    assert "40 100" in seen


def test_nothing_of_a_command_outlives_its_client(platform, web):
    client = subprocess.Popen(command(platform, "exec", "-i", "web", "-n", web, "--", "sleep", "4242"),
                              stdin=subprocess.PIPE)
    listing = lambda: platform.kubectl("exec", "web", "-n", web, "--", "ps", "ax", "-o", "args")
    until("the command runs", lambda: "sleep 4242" in listing())
    client.kill()
    client.wait()
    until("the command is gone", lambda: "sleep 4242" not in listing())


def test_attach(platform, namespace):
    platform.apply(pod("echo", namespace, ["sh", "-c", "while read line; do echo got $line; done; echo over"],
                       stdin=True, stdinOnce=True))
    platform.kubectl("wait", "pod/echo", "-n", namespace, "--for=condition=Ready", "--timeout=30s")
    said = platform.kubectl("attach", "-i", "echo", "-n", namespace, text="one\ntwo\n")
    assert "got one\ngot two\nover" in said
    assert "got two" in platform.kubectl("logs", "echo", "-n", namespace, "--previous")


def test_run_with_a_terminal(platform, namespace):
    words = command(platform, "run", "-it", "shell", "-n", namespace, "--image=host", "--restart=Never", "--", "bash")
    code, seen = in_terminal(words, ("[#$] $|press enter", "\n"), ("[#$] $", "hostname; tty; exit 4\n"))
    assert "shell" in seen and "/dev/" in seen
    until("the pod's end", lambda: platform.objects("pod", "shell", "-n", namespace)["status"]["phase"] == "Failed")


def test_copy_both_ways(platform, web, tmp_path):
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(3_000_000))
    platform.kubectl("cp", str(there), f"{web}/web:/srv/blob")
    platform.kubectl("cp", f"{web}/web:/srv/blob", str(back))
    assert back.read_bytes() == there.read_bytes()


def test_port_forward(platform, web, command=command):
    with subprocess.Popen(command(platform, "port-forward", "pod/web", "-n", web, ":8080", ":9"),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as forward:
        try:
            ports = {}
            while len(ports) < 2:
                found = re.search(r"127.0.0.1:(\d+) -> (\d+)", forward.stdout.readline())
                if found:
                    ports[found.group(2)] = int(found.group(1))
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", ports["8080"]), timeout=10) as there:
                    there.sendall(b"GET /etc/hostname HTTP/1.0\r\n\r\n")
                    answer = b""
                    while more := there.recv(65536):
                        answer += more
                assert answer.startswith(b"HTTP/1.0 200") and answer.endswith(b"web\n")
            with socket.create_connection(("127.0.0.1", ports["9"]), timeout=10) as nobody:
                assert nobody.recv(10) == b""
        finally:
            forward.terminate()
            refused = forward.stderr.read()
    assert "connection refused" in refused


def older(platform, *words):
    """kubectl 1.30, told to stream as all before it did: over SPDY/3.1."""
    return ["env", "KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false", "KUBECTL_PORT_FORWARD_WEBSOCKETS=false",
            str(CLIENTS / "v30" / "kubectl"), "--kubeconfig", str(platform.state / "kubeconfig"), *words]


def test_clients_of_before_websockets(platform, web, tmp_path):
    def run(*words, text=None):
        return subprocess.run(older(platform, *words), capture_output=True, text=True, input=text, timeout=60)
    done = run("exec", "web", "-n", web, "-v=8", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert "err\n" in done.stderr and "exit code 3" in done.stderr
    assert "Upgrade: SPDY/3.1" in done.stderr and "Upgrade: websocket" not in done.stderr
    assert run("exec", "-i", "web", "-n", web, "--", "wc", "-c", text="x" * 300_000).stdout.strip() == "300000"
    missing = run("exec", "web", "-n", web, "--", "no-such-program")
    assert missing.returncode != 0 and "executable file not found in $PATH" in missing.stderr
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(3_000_000))
    assert run("cp", str(there), f"{web}/web:/srv/older").returncode == 0
    assert run("cp", f"{web}/web:/srv/older", str(back)).returncode == 0
    assert back.read_bytes() == there.read_bytes()
    words = older(platform, "exec", "-it", "web", "-n", web, "--", "sh")
    code, seen = in_terminal(words, ("[#$] $", "stty size; test -t 0 && echo on a terminal\n"),
                             ("on a terminal\r", "exit 7\n"))
    assert code == 7 and "40 100" in seen, seen


def test_ports_are_forwarded_without_websockets(platform, web):
    test_port_forward(platform, web, command=older)
