"""pods/proxy, services/proxy and nodes/proxy: through kubectl, kubectl proxy and the Python client."""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from kubernetes import client, config

from conftest import service, until

# Answers with what it was asked; streams a line at a time; changes the protocol on request.
SERVER = r"""
import http.server, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/echo":
            self.send_response(101); self.send_header("Upgrade", "echo"); self.send_header("Connection", "Upgrade")
            self.end_headers()
            while line := self.rfile.readline():
                self.wfile.write(line.upper())
            return
        if self.path == "/stream":
            self.send_response(200); self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
            for number in range(3):
                self.wfile.write(b"2\r\n%d\n\r\n" % number); self.wfile.flush(); time.sleep(0.3)
            return self.wfile.write(b"0\r\n\r\n")
        if self.path == "/page":
            page = b'<a href="/there">/there</a> <img src=x.png> <a href="http://elsewhere/there">'
            self.send_response(200); self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page))); self.end_headers()
            return self.wfile.write(page)
        if self.path == "/moved":
            self.send_response(302); self.send_header("Location", "/there"); self.send_header("Content-Length", "0")
            return self.end_headers()
        said = f"{self.command} {self.path} {body.decode()} {self.headers.get('Authorization')} {self.headers.get('X-Own')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said))); self.end_headers()
        if self.command != "HEAD": self.wfile.write(said)
    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = answer
    def log_message(self, *words): pass
import ssl, threading
secure = http.server.ThreadingHTTPServer(("", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/pair/tls.crt", "/pair/tls.key")
secure.socket = context.wrap_socket(secure.socket, server_side=True)
threading.Thread(target=secure.serve_forever).start()
http.server.ThreadingHTTPServer(("", 8080), Handler).serve_forever()
"""


@pytest.fixture
def web(platform, pods, namespace, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=web", "-keyout",
                    str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.crt")], check=True, capture_output=True)
    platform.kubectl("create", "secret", "tls", "pair", "-n", namespace, f"--cert={tmp_path}/tls.crt", f"--key={tmp_path}/tls.key")
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": namespace, "labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 1, "volumes": [{"name": "pair", "secret": {"secretName": "pair"}}], "containers": [{
            "name": "main", "volumeMounts": [{"name": "pair", "mountPath": "/pair"}], "image": "host", "command": [sys.executable, "-u", "-c", SERVER],
            "ports": [{"name": "http", "containerPort": 8080}],
            "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}]}}))
    platform.apply(service("web", namespace))
    platform.kubectl("wait", "pod/web", "-n", namespace, "--for=condition=Ready", "--timeout=30s")
    return namespace


def test_requests_are_handed_on(platform, web):
    raw = lambda path, *more: platform.kubectl("get", "--raw", f"/api/v1/namespaces/{web}/{path}", *more, check=False)
    assert raw("pods/web/proxy/a/b?c=d").stdout == "GET /a/b?c=d  None None\n"
    assert raw("pods/web:8080/proxy/").stdout == "GET /  None None\n"
    until("the service has its endpoint", lambda: raw("services/web/proxy/x").stdout == "GET /x  None None\n")
    assert raw("services/web:http/proxy/x").stdout == raw("services/http:web:80/proxy/x").stdout == "GET /x  None None\n"
    # What cannot be reached is said.
    assert "error trying to reach service: dial tcp" in raw("pods/web:81/proxy/").stderr
    assert "no service port 9 found" in raw("services/web:9/proxy/").stderr
    assert "not found" in raw("pods/none/proxy/").stderr
    api = client.CoreV1Api(config.new_client_from_config(str(platform.state / "kubeconfig")))
    assert api.connect_post_namespaced_pod_proxy_with_path("web", web, "p").startswith("POST /p")
    assert api.connect_get_namespaced_service_proxy_with_path("web", web, "q").startswith("GET /q")
    # The client's own token is nobody else's.
    token = (platform.state / "pki" / "admin.token").read_text().strip()
    done = subprocess.run(
        ["curl", "-sk", "-H", f"Authorization: Bearer {token}", "-H", "X-Own: kept", "-d", "body",
         f"https://127.0.0.1:16443/api/v1/namespaces/{web}/pods/web/proxy/fo%2Frm"], capture_output=True, text=True)
    assert done.stdout == "POST /fo%2Frm body None kept\n"


def test_only_addresses_of_the_cluster_are_reached(platform, web):
    """An endpoint that somebody wrote by hand leads neither to the server itself nor to a cloud's metadata."""
    node = platform.objects("nodes")["items"][0]["metadata"]["name"]
    assert platform.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz") == "ok"
    assert '"web"' in platform.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/pods")
    assert json.loads(platform.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))["node"]["nodeName"] == node
    fake = {"status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "phase": "Running"}}
    platform.apply(json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "liar", "namespace": web},
        "spec": {"nodeName": "elsewhere", "containers": [{"name": "main", "image": "host", "command": ["true"]}]}}))
    platform.kubectl("patch", "pod", "liar", "-n", web, "--subresource=status", "-p", json.dumps(fake))
    done = platform.kubectl("get", "--raw", f"/api/v1/namespaces/{web}/pods/liar:6443/proxy/", check=False)
    assert "address not allowed" in done.stderr
    platform.kubectl("delete", "pod", "liar", "-n", web, "--force", "--grace-period=0")


def test_streams_redirects_and_upgrades(platform, web):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    proxy = subprocess.Popen(["kubectl", "--kubeconfig", str(platform.state / "kubeconfig"), "proxy", f"--port={port}",
                              "--reject-paths=^$"], stdout=subprocess.DEVNULL)
    base = f"/api/v1/namespaces/{web}/pods/web/proxy"
    try:
        until("kubectl proxy listens", lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/version").status == 200)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{base}/stream") as answer:
            times = []
            for number in range(3):
                assert answer.readline() == b"%d\n" % number
                times.append(time.monotonic())
        assert times[2] - times[0] > 0.3, "lines come as they are written"
        head = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}",
                               f"http://127.0.0.1:{port}{base}/moved"], capture_output=True, text=True).stdout
        assert head == f"302 http://127.0.0.1:{port}{base}/there"
        bare = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}",
                               f"http://127.0.0.1:{port}{base}"], capture_output=True, text=True).stdout
        assert bare == f"301 http://127.0.0.1:{port}{base}/"
        shown = urllib.request.urlopen(f"http://127.0.0.1:{port}{base}/page").read().decode()
        assert shown == f'<a href="{base}/there">/there</a> <img src=x.png> <a href="http://elsewhere/there">'
        for way in (base, base.replace("pods/web", "pods/https:web:8443")):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
                link.sendall(f"GET {way}/echo HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".encode())
                stream = link.makefile("rb")
                assert b"101" in stream.readline()
                while stream.readline().strip():
                    pass
                for word in (b"one\n", b"two\n"):
                    link.sendall(word)
                    assert stream.readline() == word.upper()
    finally:
        proxy.terminate()
        proxy.wait()
