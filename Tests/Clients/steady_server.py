"""A well-behaved HTTP server: when it is told to stop it answers what comes, says that the connection ends, and leaves when
nobody is connected any more."""

import asyncio
import os
import signal
import time

VERSION, POD = os.environ.get("VERSION", "1"), os.environ.get("POD_NAME", "")


class Server:
    def __init__(self):
        self.connections, self.stopping = set(), asyncio.Event()
        self.last = time.monotonic()

    async def serve(self, reader, writer):
        self.connections.add(writer)
        self.last = time.monotonic()
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.last = time.monotonic()
                ends = self.stopping.is_set() or b"connection: close" in head.lower()
                body = f"{VERSION} {POD}\n".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s"
                             % (len(body), b"close" if ends else b"keep-alive", body))
                await writer.drain()
                if ends:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    async def run(self):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stopping.set)
        async with await asyncio.start_server(self.serve, "0.0.0.0", 8080, backlog=1024):
            await self.stopping.wait()
            # Whoever is connected is answered once more; whoever is silent for long has to see the end.
            while self.connections and time.monotonic() - self.last < 5:
                await asyncio.sleep(0.02)


if os.environ.get("BROKEN"):
    raise SystemExit("this version does not work")
asyncio.run(Server().run())
