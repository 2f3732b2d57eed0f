"""How quick the replay of a performance check is: ``python -m benchmarks.replay``.

The server is a process of its own that answers at once, so whatever is slow is the client.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Final

import numpy as np

from benchmarks import load_server, table
from canary_checks import inputs, operation
from canary_checks import vocabulary as v
from canary_checks.performance import driver, mixing, templates

RATE: Final = 1000.0
TARGET_RATE: Final = 800.0
SECONDS: Final = 10.0
WARMUP: Final = 2.0
CONCURRENCY: Final = 64
KNOWN_MILLISECONDS: Final = (0, 20)
NOTE: Final = """\
Poisson arrivals at 1,000/s over at most 64 connections for 10 s after 2 s of warm-up. The server is another
process on the same cores, both at real-time priority where that is allowed. It answers at once, or 20 ms
later, with a 384-dimensional embedding. A latency counts from the intended start; what is above the server's
own delay is the client's and the server's together."""


def measure() -> Iterator[table.Row]:
    """Yield the rows of the table."""
    with load_server.serving() as url:
        for delay in KNOWN_MILLISECONDS:
            yield from _rows(asyncio.run(_drive(f"{url}/delay={delay}", RATE)), delay)
        closed = asyncio.run(_drive(f"{url}/delay=0", None))
        yield table.Row("closed loop of 16: answers per second", closed.answered / closed.seconds, "1/s")
        yield table.Row("  share of a core", closed.processor, "")


def _rows(measured: driver.Measured, delay: int) -> Iterator[table.Row]:
    yield table.Row(
        f"server delay {delay} ms: answers per second",
        measured.answered / measured.seconds,
        "1/s",
        table.Target(TARGET_RATE, table.Bound.AT_LEAST),
    )
    yield table.Row("  share of a core", measured.processor, "", table.Target(1.0))
    added = 1000 * measured.latencies - delay
    yield table.Row("  added to the latency, p50", float(np.quantile(added, 0.5)), "ms")
    yield table.Row("  added to the latency, p99", float(np.quantile(added, 0.99)), "ms", table.Target(5.0))
    yield table.Row("  late by itself, p99", 1000 * float(np.quantile(measured.lags, 0.99)), "ms")
    yield table.Row("  errors", measured.errors, "", table.Target(0))


async def _drive(url: str, rate: float | None) -> driver.Measured:
    asked = operation.Operation(name="e", protocol=v.Protocol.OPENAI_EMBEDDINGS, model="m")
    client, writer = templates.connected(asked, url, "benchmark")
    async with client:
        asking = client.embed([inputs.Text("a text of some words")])
        template = await templates.written(asking, may_be_refused=False)
        arrivals = None
        if rate is not None:
            most = int(2 * rate * (SECONDS + WARMUP))
            arrivals = mixing.poisson(rate, SECONDS + WARMUP, most=most, seed=1) - WARMUP
        load = driver.Load(
            templates=[template],
            order=np.zeros(1, dtype=np.int64),
            arrivals=arrivals,
            concurrency=CONCURRENCY if rate is not None else 16,
            warmup_seconds=WARMUP,
            seconds=SECONDS,
            requests=1_000_000,
            timeout_seconds=10.0,
        )
        return await driver.Driver(writer, load).run()


def main() -> int:
    """Return 1 when a target is missed."""
    with contextlib.suppress(OSError):
        # Others on the same cores would be measured instead; the server inherits it.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    cores = len(os.sched_getaffinity(0))
    rows = [table.Row(f"load of the machine's {cores} cores by others", os.getloadavg()[0], "")]
    rows += measure()
    print(table.render("Replay of a load", rows, NOTE))
    return 1 if any(row.verdict == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
