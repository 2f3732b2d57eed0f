"""Send a steady, bounded stream of embedding requests to one address, and print counters.

Requests start at fixed times whether or not earlier ones came back (an open loop: a slow server does not slow
its users down), up to a number in flight; what would exceed it is counted as skipped. Half of the requests
use a new connection each, so that a Service can send it to another pod. The target must be on a private
network, and the program ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

MOST_SECONDS = 3600.0
MOST_RATE = 100.0
REPORT_SECONDS = 5.0
OK = range(200, 300)
NAMES = ("Berlin", "Warsaw", "Northern Wholesale", "Hamburg", "Maria Novak", "ACME", "DIN 4102")
PHRASES = (
    "the warehouse near the harbour ships this article every week",
    "customers read a short description before they decide",
    "it names the material, the size and the purpose",
    "what comes in the box and what has to be bought separately",
    "how it compares with the two articles that are most like it",
    "which complaints were heard during the last twelve months",
    "the guarantee lasts two years and covers the battery as well",
    "it must not be washed above thirty degrees",
    "spare parts are kept for at least ten years",
)
QUERIES = ("red running shoes", "waterproof jacket for children", "How do I return a Damaged ITEM?")


@dataclass(frozen=True)
class Options:
    """What to send, where and for how long.

    Parameters
    ----------
    url : str
        The address of the embedding endpoint.
    model : str
        The model's name in the requests.
    rate : float
        Requests per second.
    seconds : float
        How long to send.
    concurrency : int
        The most requests in flight.
    timeout : float
        How long one request may take, in seconds.
    seed : int
        Of the texts.
    """

    url: str
    model: str = "minilm"
    rate: float = 8.0
    seconds: float = 600.0
    concurrency: int = 32
    timeout: float = 10.0
    seed: int = 1


@dataclass
class Counters:
    """Outcomes of requests; latencies are in seconds."""

    sent: int = 0
    skipped: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    def record(self, outcome: str, latency: float) -> None:
        """Count one finished request: its status code, or the name of the error."""
        self.outcomes[outcome] += 1
        self.latencies.append(latency)

    def summary(self) -> dict[str, object]:
        """Return what a line of output says about these requests."""
        succeeded = sum(count for outcome, count in self.outcomes.items() if is_ok(outcome))
        return {
            "sent": self.sent,
            "ok": succeeded,
            "error": self.outcomes.total() - succeeded,
            "skipped": self.skipped,
            "outcomes": dict(self.outcomes),
            **{f"p{share}_ms": percentile(self.latencies, share) for share in (50, 95, 99)},
        }


def is_ok(outcome: str) -> bool:
    """Tell whether an outcome is a status code of success."""
    return outcome.isdigit() and int(outcome) in OK


def percentile(latencies: Sequence[float], share: int) -> float | None:
    """Return the smallest latency that `share` percent of the requests kept, in milliseconds."""
    if not latencies:
        return None
    rank = -(-len(latencies) * share // 100)
    return round(sorted(latencies)[max(rank, 1) - 1] * 1000, 1)


def texts(seed: int) -> Iterator[str]:
    """Give texts without end, with capitals: every second one has 140 to 170 words, the others are short.

    A long one costs MiniLM some 75 ms of CPU. A pod limited to 110m gets 11 ms in each period of 100 ms, and
    needs two thirds of a second for it, before anybody waits in front of it; on a machine one and a half
    times as fast, still half a second. A pod with two CPUs takes less where all is three times as slow.
    """
    choose = random.Random(seed)  # noqa: S311 - texts, not secrets
    while True:
        length = choose.randint(140, 155)
        long: list[str] = []
        while len(long) < length:
            long += f"{choose.choice(NAMES)}: {choose.choice(PHRASES)}.".split()
        yield " ".join(long)
        yield f"{choose.choice(QUERIES)} {choose.choice(NAMES)}"


def require_private(url: str) -> None:
    """Refuse an address that is not on a private network: this is a tool for one's own test cluster."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SystemExit(f"{url} is no HTTP address")
    for *_, address in socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM):
        if ipaddress.ip_address(address[0]).is_global:
            raise SystemExit(f"{parts.hostname} is {address[0]}, which is not on a private network")


class Load:
    """One run.

    Parameters
    ----------
    options : Options
        What to send, where and for how long.
    kept, fresh : httpx.AsyncClient
        The clients of half the requests each: one keeps its connections, one never does.
    """

    def __init__(self, options: Options, kept: httpx.AsyncClient, fresh: httpx.AsyncClient) -> None:
        self._options = options
        self._clients = (kept, fresh)
        self._texts = texts(options.seed)
        self._flying: set[asyncio.Task[None]] = set()
        self._window = Counters()
        self.total = Counters()
        self._started = time.monotonic()
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Send until the time is over or `stop` is set, wait for what is in flight, print the totals."""
        reporter = asyncio.create_task(self._report())
        self._started = time.monotonic()
        for number in range(int(self._options.rate * self._options.seconds)):
            if await self._stopped(self._started + number / self._options.rate):
                break
            self._start(number)
        reporter.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reporter
        await asyncio.gather(*self._flying)
        self._print(self.total, final=True)

    async def _stopped(self, until: float) -> bool:
        """Wait until a time, and tell whether the run was stopped before."""
        delay = max(0.0, until - time.monotonic())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), delay)
        return self.stop.is_set()

    def _start(self, number: int) -> None:
        if len(self._flying) >= self._options.concurrency:
            self._window.skipped += 1
            self.total.skipped += 1
            return
        self._window.sent += 1
        self.total.sent += 1
        # Long and short texts alternate, so the clients change after each pair: both send both.
        client = self._clients[number // 2 % 2]
        task = asyncio.create_task(self._send(client, next(self._texts)))
        self._flying.add(task)
        task.add_done_callback(self._flying.discard)

    async def _send(self, client: httpx.AsyncClient, text: str) -> None:
        began = time.monotonic()
        body = {"model": self._options.model, "input": [text]}
        try:
            outcome = str((await client.post(self._options.url, json=body)).status_code)
        except httpx.HTTPError as error:
            outcome = type(error).__name__
        latency = time.monotonic() - began
        self._window.record(outcome, latency)
        self.total.record(outcome, latency)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            window, self._window = self._window, Counters()
            self._print(window, final=False)

    def _print(self, counters: Counters, *, final: bool) -> None:
        seconds = round(time.monotonic() - self._started, 1)
        line = {"seconds": seconds, "final": final, "flying": len(self._flying), **counters.summary()}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


async def generate(options: Options) -> None:
    """Run the load to its end, or until the process is asked to end."""
    few = httpx.Limits(max_connections=options.concurrency, max_keepalive_connections=4)
    none = httpx.Limits(max_connections=options.concurrency, max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(timeout=options.timeout, limits=few, trust_env=False) as kept,
        httpx.AsyncClient(timeout=options.timeout, limits=none, trust_env=False) as fresh,
    ):
        load = Load(options, kept, fresh)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, load.stop.set)
        await load.run()


def parse(arguments: Sequence[str] | None, environment: Mapping[str, str]) -> Options:
    """Read the command line; each option may also be a variable, such as ``LOADGEN_RATE``."""
    parser = argparse.ArgumentParser(prog="loadgen", description=__doc__)
    for name, kind, words in (
        ("url", str, "the embedding endpoint, such as http://search:80/v1/embeddings"),
        ("model", str, "the model's name in the requests"),
        ("rate", float, f"requests per second, at most {MOST_RATE:.0f}"),
        ("seconds", float, f"how long to send, at most {MOST_SECONDS:.0f}"),
        ("concurrency", int, "the most requests in flight"),
        ("timeout", float, "how long one request may take, in seconds"),
        ("seed", int, "of the texts"),
    ):
        given = environment.get(f"LOADGEN_{name.upper()}")
        default = given if given is not None else getattr(Options, name, None)
        parser.add_argument(f"--{name}", type=kind, default=default, required=default is None, help=words)
    options = Options(**vars(parser.parse_args(arguments)))
    if not 0 < options.rate <= MOST_RATE or not 0 < options.seconds <= MOST_SECONDS:
        parser.error(f"0 < rate ≤ {MOST_RATE:.0f} and 0 < seconds ≤ {MOST_SECONDS:.0f}")
    if options.concurrency < 1 or options.timeout <= 0:
        parser.error("concurrency and timeout must be positive")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the options and send."""
    options = parse(arguments, os.environ)
    require_private(options.url)
    asyncio.run(generate(options))


if __name__ == "__main__":
    main()
