"""A model server that takes as long as its path says: ``python -m benchmarks.load_server``.

It answers every POST with one small embedding (or image), as quickly as asyncio can. Its path tells it to
behave worse::

    /delay=20,jitter=5,seed=3/v1/embeddings      20 ms and an exponential 5 ms more
    /fail=0.1/…  /busy=0.5/…                     so many requests get 500 or 429
    /steps=30/v1/images/generations              an image instead, and with how many steps it was drawn
    /stall=0.5:1.0/…                             for 1 s, 0.5 s after the first request, nothing is answered
    /leak=0.01/metrics  /restart=3/metrics       memory grows with each look; the 4th sees a new process

It writes its port on standard output and ends when its standard input is closed.
"""

import asyncio
import base64
import contextlib
import json
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Final

_VECTOR: Final = [0.0123456] * 384
_OK: Final = json.dumps(
    {
        "object": "list",
        "data": [{"index": 0, "object": "embedding", "embedding": _VECTOR}],
        "model": "m",
        "usage": {"prompt_tokens": 5},
    }
).encode()
_ROW: Final = b"\0" + b"\x80" * 64
_PNG: Final = base64.b64encode(
    b"\x89PNG\r\n\x1a\n"
    + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)),
            (b"IDAT", zlib.compress(_ROW * 64)),
            (b"IEND", b""),
        )
    )
).decode()
_REASONS: Final = {200: "OK", 429: "Too Many Requests", 500: "Internal Server Error"}


class Behaviour:
    """What one path asks for; equal seeds give equal sequences."""

    def __init__(self, text: str) -> None:
        said = dict(part.partition("=")[::2] for part in text.split(",") if "=" in part)
        self._chance = random.Random(int(said.get("seed", "1")))
        self._delay, self._jitter = float(said.get("delay", "0")), float(said.get("jitter", "0"))
        self._fail, self._busy = float(said.get("fail", "0")), float(said.get("busy", "0"))
        start, _, length = said.get("stall", "0:0").partition(":")
        self._stall = float(start), float(start) + float(length)
        self._leak, self._restart = float(said.get("leak", "0")), int(said.get("restart", "0"))
        self._steps = int(said.get("steps", "0"))
        self._first: float | None = None
        self._looks = 0

    def image(self) -> bytes:
        """Return the answer of a generator."""
        return json.dumps({"data": [{"b64_json": _PNG}], "steps": self._steps}).encode()

    def answer(self, now: float) -> tuple[int, float]:
        """Return the status of the next answer and the seconds until it."""
        self._first = now if self._first is None else self._first
        draw = self._chance.random()
        status = 500 if draw < self._fail else 429 if draw < self._fail + self._busy else 200
        seconds = self._delay / 1000
        if self._jitter:
            seconds += self._chance.expovariate(1000 / self._jitter)
        since = now - self._first
        if self._stall[0] <= since < self._stall[1]:
            seconds += self._stall[1] - since
        return status, seconds

    def metrics(self) -> bytes:
        """Return what Prometheus would scrape."""
        self._looks += 1
        started = 200 if self._restart and self._looks > self._restart else 100
        memory = 1e9 * (1 + self._leak * self._looks)
        return (
            f"# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {memory:.1f}\n"
            f"process_start_time_seconds {started}\n"
        ).encode()


class Connection(asyncio.Protocol):
    """One connection; requests are answered in their order."""

    def __init__(self, behaviours: dict[str, Behaviour]) -> None:
        self._behaviours = behaviours
        self._transport: asyncio.WriteTransport | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while True:
            head, mark, rest = self._read.partition(b"\r\n\r\n")
            if not mark:
                return
            lower = head.lower()
            _, named, after = lower.partition(b"content-length:")
            length = int(after.split(b"\r\n", 1)[0]) if named else 0
            if len(rest) < length:
                return
            self._read = rest[length:]
            self._asked(head.split(b" ", 2)[1].decode())

    def _asked(self, path: str) -> None:
        first = path.strip("/").split("/")[0]
        behaviour = self._behaviours.setdefault(first, Behaviour(first))
        if path.endswith("/metrics"):
            self._answer(200, behaviour.metrics())
            return
        loop = asyncio.get_running_loop()
        status, seconds = behaviour.answer(loop.time())
        body = _OK if status == 200 else b"{}"
        if status == 200 and "/images/" in path:
            body = behaviour.image()
        if seconds > 0:
            loop.call_later(seconds, self._answer, status, body)
        else:
            self._answer(status, body)

    def _answer(self, status: int, body: bytes) -> None:
        assert self._transport is not None
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Yield the URL of such a server, in a process of its own; its path says how it behaves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


async def serve(ended: Callable[[], bytes]) -> None:
    """Serve until `ended` returns."""
    behaviours: dict[str, Behaviour] = {}
    server = await asyncio.get_running_loop().create_server(lambda: Connection(behaviours), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await asyncio.to_thread(ended)


if __name__ == "__main__":
    asyncio.run(serve(sys.stdin.buffer.read))
