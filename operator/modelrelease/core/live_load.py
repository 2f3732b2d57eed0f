"""How stable's users ask: what Prometheus counted becomes a rate and a mix of sizes."""

import dataclasses
import decimal
import math
import re
from collections.abc import Mapping
from typing import Final

from modelrelease.api import live

LEAST_REQUESTS: Final = 100
"""Fewer make no mix."""
BINS_MAX: Final = 32
LARGEST: Final = 1_000_000_000
_PLACES: Final = 6
_SIDES: Final = re.compile(r"([0-9]{1,5})\s*[xX×*]\s*([0-9]{1,5})")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


@dataclasses.dataclass(frozen=True, slots=True)
class Bin:
    """The share of requests of a size above the bin before and at most ``up_to``; decimal."""

    up_to: int
    share: str


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of users' requests to stable.

    Parameters
    ----------
    window_seconds
        How far back.
    requests
        Counted in that time.
    rate
        Per second; empty where it is not known.
    wanted
        Whether the mix was to be measured.
    mix
        Adds up to 1; empty where it is not known.
    pixels
        Whether its sizes are pixels that are drawn, and not sizes of what is sent.
    remark
        Why something is not known.
    """

    window_seconds: int
    requests: int = 0
    rate: str = ""
    wanted: bool = False
    mix: tuple[Bin, ...] = ()
    pixels: bool = False
    remark: str = ""


def of_histogram(counts: Mapping[float, float], asked: live.LiveSizes) -> tuple[Bin, ...]:
    """Make a mix of the buckets of a histogram.

    Parameters
    ----------
    counts
        Requests by the upper bound of their bucket, cumulative; infinity for all.
    asked
        The unit.

    Returns
    -------
    A mix; empty where fewer than `LEAST_REQUESTS` were counted.
    """
    total = counts.get(math.inf, 0.0)
    if not total >= LEAST_REQUESTS:
        return ()
    parts: dict[int, float] = {}
    before = 0.0
    for bound in sorted(counts):
        size = _size(bound, asked)
        # A scrape in between may leave a bucket behind the one below it.
        parts[size] = parts.get(size, 0.0) + max(0.0, counts[bound] - before)
        before = max(before, counts[bound])
    return _mix(parts)


def of_labels(counts: Mapping[str, float], asked: live.LiveSizes) -> tuple[Bin, ...]:
    """Make a mix of requests counted by a label that holds their size; what is no size is left out.

    Parameters
    ----------
    counts
        Requests by the label's value.
    asked
        The unit.
    """
    parts: dict[int, float] = {}
    for text, count in counts.items():
        sides = _SIDES.fullmatch(text.strip())
        number = _NUMBER.fullmatch(text.strip())
        if sides is not None:
            size = float(int(sides[1]) * int(sides[2]))
        elif number is not None:
            size = float(number[0])
        else:
            continue
        if size >= 1 and count > 0:
            place = _size(size, asked)
            parts[place] = parts.get(place, 0.0) + count
    return _mix(parts) if sum(parts.values()) >= LEAST_REQUESTS else ()


def rate(counts: Mapping[str, float], ages: Mapping[str, float], window_seconds: int) -> str:
    """Return the requests per second of all pods, as a decimal; empty where none was counted.

    Parameters
    ----------
    counts
        Requests in the window, by pod.
    ages
        Seconds since each pod began.
    window_seconds
        Of the counts.
    """
    found = sum(
        count / max(1.0, min(float(window_seconds), ages.get(pod, float(window_seconds))))
        for pod, count in counts.items()
    )
    return f"{found:.6f}" if math.isfinite(found) and 0 < found < LARGEST else ""


def _size(bound: float, asked: live.LiveSizes) -> int:
    if math.isinf(bound):
        return LARGEST
    factor = float(asked.characters_per_token) if asked.unit is live.SizeUnit.TOKENS else 1.0
    return int(min(max(1.0, math.ceil(bound * factor)), LARGEST))


def _mix(parts: Mapping[int, float]) -> tuple[Bin, ...]:
    """Return shares that add up to exactly 1, of at most `BINS_MAX` bins, always the same ones."""
    edges = sorted(parts)
    every = -(-len(edges) // BINS_MAX)
    # The last edge of each group: a bin reaches up to it.
    groups = [edges[start : start + every] for start in range(0, len(edges), every)]
    counted = [sum(parts[edge] for edge in group) for group in groups]
    total = sum(counted)
    unit = decimal.Decimal(1).scaleb(-_PLACES)
    shares = [decimal.Decimal(count / total).quantize(unit) for count in counted]
    largest = max(range(len(shares)), key=shares.__getitem__)
    shares[largest] += 1 - sum(shares)
    return tuple(Bin(group[-1], f"{share:f}") for group, share in zip(groups, shares, strict=True))


def seen(
    nothing: Seen,
    *,
    counts: Mapping[str, float],
    ages: Mapping[str, float],
    mix: tuple[Bin, ...],
    remark: str,
) -> Seen:
    """Put what was counted together; the rest is as `nothing` has it."""
    return dataclasses.replace(
        nothing,
        requests=round(sum(counts.values())),
        rate=rate(counts, ages, nothing.window_seconds),
        mix=mix,
        remark=remark,
    )


def with_remark(nothing: Seen, remark: str) -> Seen:
    """Return that nothing is known, and why."""
    return dataclasses.replace(nothing, remark=remark)
