"""An open-loop load: requests leave at a constant rate whatever the answers do, each on a new connection."""

import threading
import time
import urllib.request


class Load:
    """Sends `rate` requests a second to the URLs in turn until stopped; every answer other than 200 is a failure."""

    MOST_IN_FLIGHT = 200

    def __init__(self, urls, rate):
        self.urls, self.rate = urls, rate
        self.lock = threading.Lock()
        self.seconds, self.failures, self.versions = [], [], set()
        self.slots = threading.Semaphore(self.MOST_IN_FLIGHT)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        """Stops sending and waits for the answers on the way."""
        self.stopped.set()
        self.thread.join()
        for _ in range(self.MOST_IN_FLIGHT):
            self.slots.acquire()

    def _run(self):
        due, number = time.monotonic(), 0
        while not self.stopped.is_set():
            url = self.urls[number % len(self.urls)]
            if self.slots.acquire(timeout=1):
                threading.Thread(target=self._send, args=(url, due)).start()
            else:
                with self.lock:
                    self.failures.append(f"{url}: {self.MOST_IN_FLIGHT} requests are already waiting")
            number += 1
            due += 1 / self.rate
            self.stopped.wait(max(0, due - time.monotonic()))

    def _send(self, url, due):
        """Times from when the request was due, so that a stall is not hidden by the requests it delayed."""
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                answer.read()
            with self.lock:
                self.seconds.append(time.monotonic() - due)
        except Exception as problem:
            body = problem.read().decode(errors="replace") if hasattr(problem, "read") else ""
            with self.lock:
                self.failures.append(f"{url}: {problem} {body}".strip())
        finally:
            self.slots.release()
