"""A server's memory and its restarts while it works, from its own metrics."""

import asyncio
import dataclasses
import re
import time
from typing import Final
from urllib import parse

import numpy as np

from canary_checks.performance import intervals, replay, wire

_SECONDS: Final = 5.0
_MOST: Final = 10_000
_HOUR: Final = 3600.0
# The first tenth fills caches and pools, which is no leak.
_SETTLING: Final = 0.1
_LINE: Final = re.compile(
    rb"^(process_resident_memory_bytes|process_start_time_seconds)(?:\{[^}\n]*\})? +([0-9.eE+-]{1,40})",
    re.MULTILINE,
)


@dataclasses.dataclass
class Series:
    """What was seen of one process.

    Attributes
    ----------
    times, resident
        Seconds and bytes.
    starts
        When the process said it was started: more than one value is a restart.
    """

    times: list[float] = dataclasses.field(default_factory=list)
    resident: list[float] = dataclasses.field(default_factory=list)
    starts: list[float] = dataclasses.field(default_factory=list)

    @property
    def restarts(self) -> int:
        """How often a younger process answered; of several, each tells of itself when its turn comes."""
        return sum(1 for n, after in enumerate(self.starts) if n and after > max(self.starts[:n]))

    @property
    def growth(self) -> intervals.Interval | None:
        """Change of the memory per hour as a share of what it was, or None with too few samples."""
        skipped = int(len(self.times) * _SETTLING)
        resident = np.array(self.resident[skipped:])
        found = intervals.slope(np.array(self.times[skipped:]), resident)
        return None if found is None else found.times(_HOUR / float(np.median(resident)))


class Watch:
    """Reads a server's metrics from time to time until it is cancelled."""

    def __init__(self, url: str, soak: replay.Soak) -> None:
        parts = parse.urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        port = soak.metrics_port or parts.port
        authority = f"{host}:{port}" if port else str(host)
        self._connection = wire.Connection(wire.Target.of(f"{parts.scheme}://{authority}{soak.metrics_path}"))
        self._interval = float(soak.interval_seconds)
        self.series = Series()

    async def run(self) -> None:
        """Sample until cancelled."""
        try:
            while len(self.series.times) < _MOST:
                await self.sample()
                await asyncio.sleep(self._interval)
        finally:
            self._connection.close()

    async def sample(self) -> None:
        """Look once; a server that does not tell, or not now, leaves no trace."""
        try:
            async with asyncio.timeout(_SECONDS):
                status, _, body = await self._connection.exchange("GET", {"accept": "text/plain"}, b"")
        except (TimeoutError, wire.Unreached, wire.Broken):
            # That is said where memory would be judged; a server that is gone shows in the requests.
            return
        if status == 200:  # noqa: PLR2004
            self._note(body)

    def _note(self, body: bytes) -> None:
        found: dict[bytes, float] = {}
        for name, number in _LINE.findall(body):
            try:
                found.setdefault(name, float(number))
            except ValueError:
                continue
        resident = found.get(b"process_resident_memory_bytes")
        if resident is not None and 0 < resident < float("inf"):
            self.series.times.append(time.monotonic())
            self.series.resident.append(resident)
        started = found.get(b"process_start_time_seconds")
        if started is not None:
            self.series.starts.append(started)
