"""What candidate and baseline counted, slice of time by slice of time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from modelrelease.slo import observation

SLICE_SECONDS: Final = 15
"""At least; longer where Prometheus scrapes less often."""
SETTLE_SECONDS: Final = 5.0
"""Beyond a scrape interval: samples of a slice that ended so long ago have arrived."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a candidate is compared with."""

    live: observation.SliObservation | None = None
    """Designated stable pods, as many as the candidate serves with; None in the bake, or unseen."""
    recorded: observation.Events | None = None
    """Stable's requests of the last 24 h, as they were recorded before it took no more traffic."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What both arms counted in one slice."""

    end: int
    """Seconds since the epoch, a multiple of the slice's length."""
    candidate: observation.Events
    baseline: observation.Events


def slice_seconds(interval: float) -> int:
    """Return the length of slices for a scrape interval in seconds: whole scrapes fit into it."""
    return SLICE_SECONDS * max(1, math.ceil(interval / SLICE_SECONDS))


def settled(now: float, interval: float, length: int) -> int:
    """Return the end of the last slice whose samples have arrived."""
    return math.floor((now - interval - SETTLE_SECONDS) / length) * length


def slices(
    candidate: observation.SliObservation,
    baseline: observation.SliObservation | None,
    after: int,
    until: int,
    length: int,
) -> Iterator[Slice]:
    """Yield the slices in (after, until], those without a request of the candidate, too.

    Parameters
    ----------
    candidate, baseline : SliObservation
        Counted from `after` or before.
    after, until : int
        Seconds since the epoch, multiples of `length`.
    length : int
        Seconds, above 0.
    """
    seen = candidate.until(after)
    beside = baseline.until(after) if baseline is not None else observation.Events()
    for end in range(after + length, until + 1, length):
        now = candidate.until(end)
        other = baseline.until(end) if baseline is not None else beside
        yield Slice(end, (now - seen).mended(), (other - beside).mended())
        seen, beside = now, other
