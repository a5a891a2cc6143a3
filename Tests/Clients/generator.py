"""An open-loop load: requests leave at a constant rate whatever the answers do, half of them on new connections and half on
kept ones. A request that was sent is never sent again: any end but a whole answer of 200 is a failure. A kept connection that
its server has ended in between is replaced before the next request, as every client does.

Prints one line of JSON when its standard input ends.
"""

import asyncio
import json
import sys
import time

HOST, PORT, RATE, KEPT = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
PATIENCE = 10


class Load:
    def __init__(self):
        self.seconds, self.failures, self.versions = {"new": [], "kept": []}, [], {}
        self.kept = [None] * KEPT
        self.turns = [asyncio.Lock() for _ in range(KEPT)]

    async def exchange(self, reader, writer, keeps):
        """Whether the connection may be used again."""
        writer.write(f"GET / HTTP/1.1\r\nHost: x\r\nConnection: {'keep-alive' if keeps else 'close'}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith((b"http/1.1 200", b"http/1.0 200")), head[:40]
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        version = body.split()[0].decode() if body.split() else ""
        self.versions[version] = self.versions.get(version, 0) + 1
        return b"connection: close" not in head and not head.startswith(b"http/1.0")

    async def new(self):
        reader, writer = await asyncio.open_connection(HOST, PORT)
        try:
            await self.exchange(reader, writer, False)
        finally:
            writer.close()

    async def on_kept(self, slot):
        async with self.turns[slot]:
            if self.kept[slot] and self.kept[slot][0].at_eof():
                self.kept[slot][1].close()
                self.kept[slot] = None
            if not self.kept[slot]:
                self.kept[slot] = await asyncio.open_connection(HOST, PORT)
            lives = False
            try:
                lives = await self.exchange(*self.kept[slot], True)
            finally:
                if not lives:
                    self.kept[slot][1].close()
                    self.kept[slot] = None

    async def one(self, number, began):
        kind = "kept" if KEPT and number % 2 else "new"
        try:
            await asyncio.wait_for(self.on_kept(number // 2 % KEPT) if kind == "kept" else self.new(), PATIENCE)
            self.seconds[kind].append(time.monotonic() - began)
        except Exception as failure:  # Whatever it is, the request was lost.
            self.failures.append(f"{kind} at {began:.3f}: {type(failure).__name__} {failure}")

    async def run(self):
        ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        under_way, began, number = set(), time.monotonic(), 0
        while not ended.done():
            due = began + number / RATE
            await asyncio.sleep(max(0, due - time.monotonic()))
            # Measured from when it was due, so that a stall of the generator is not hidden.
            task = asyncio.create_task(self.one(number, due))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            number += 1
        await asyncio.gather(*under_way)
        every = sorted(self.seconds["new"] + self.seconds["kept"])
        print(json.dumps({
            "requests": number, "failures": len(self.failures), "examples": self.failures[:5],
            "new": len(self.seconds["new"]), "kept": len(self.seconds["kept"]), "versions": self.versions,
            "seconds": time.monotonic() - began, "p50_ms": every[len(every) // 2] * 1000 if every else 0,
            "p99_ms": every[int(len(every) * 0.99)] * 1000 if every else 0,
            "slowest_ms": every[-1] * 1000 if every else 0}))


asyncio.run(Load().run())
