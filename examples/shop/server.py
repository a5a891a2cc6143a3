"""A small HTTP server that the shop's services share: JSON answers, a health page, and an orderly end on SIGTERM."""

import json
import os
import signal
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ.get("VERSION", "1")
POD = os.environ.get("POD_NAME", f"pid {os.getpid()}")


def fetch(address, path="/", timeout=5):
    """GETs JSON from `host:port`, on a new connection."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout) as answer:
        return json.load(answer)


class Server(ThreadingHTTPServer):
    daemon_threads = False  # Requests in flight are answered before the process ends.
    request_queue_size = 128


def serve(port, answer, started=lambda: None, stopping=lambda: None):
    """Serves `answer(path)` as JSON, and /ready. `started` is called once connections are accepted. Returns after
    SIGTERM, when the last request is answered."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                status, body = 200, {"ready": True} if self.path == "/ready" else answer(self.path)
            except Exception as problem:  # What a callee did wrong is this service's 502.
                status, body = 502, {"error": f"{type(problem).__name__}: {problem}"}
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format, *arguments):
            if self.path != "/ready":
                print(f"{self.client_address[0]} {format % arguments}", flush=True)

    server = Server(("0.0.0.0", port), Handler)

    def stop(*_):
        print("SIGTERM: answering what is in flight, then leaving", flush=True)
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    started()
    print(f"serving version {VERSION} on port {port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    stopping()
    server.server_close()
