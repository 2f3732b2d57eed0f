"""When a Pass may be decided, declared before the first request.

Whoever looks after every scrape and stops at the first good moment passes what should not pass. So
a Pass is decided only at the looks n₀, 2·n₀, 4·n₀ … requests, and look k may be wrong with
probability 5 % / 2^(k+1): together at most 5 %, however long a hold is extended. A look is judged on
the requests up to it, so a restarted operator finds the same looks in the same samples.

n₀ depends on the objective alone: the minimum that was asked for, or what one look needs without a
single bad request, whichever is more. Looks that could never pass spend nothing.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelrelease.slo import arms, objectives, observation, proportion

CONFIDENCE = 0.95
"""Of a Pass, over all looks together (design §6)."""

DISPERSION_MIN = 2.0
SLICES_MIN = 4
"""Fewer say nothing about clusters."""


@dataclass(frozen=True, slots=True)
class Look:
    """One pre-declared look that was reached."""

    requests: int
    """At the scrape that reached it."""
    bad: int
    """Certainly or perhaps bad among them."""
    confidence: float
    upper_bound: float
    """Of the bad ratio, in [0, 1]."""
    passed: bool


def dispersions(seen: observation.SliObservation) -> list[float]:
    """Return, as of every point, by what counts are divided because errors come in clusters.

    Parameters
    ----------
    seen : SliObservation
        Counts since the start.

    Returns
    -------
    list of float
        Pearson's index of dispersion of bad requests over slices of time, where it is above 2, else 1: a
        cluster is one event, and so many times fewer requests say as much (slo-statistics §5.3).
    """
    length = arms.slice_seconds(seen.interval)
    line = seen.line
    if not any(line.possibly_bad):
        # Nothing bad by now: no cluster either, and no arithmetic.
        return [1.0] * len(line)
    found = []
    count = present = -1
    closed = squares = 0.0
    total_before = bad_before = last_total = last_bad = 0
    for time, total_ever, bad_ever in zip(line.times, line.total, line.possibly_bad, strict=True):
        number = math.ceil(time / length)
        if number != present:
            # The slice before is whole now.
            count, closed = max(count, 0) + (last_total > total_before), closed + squares
            present, total_before, bad_before = number, last_total, last_bad
        last_total, last_bad = total_ever, bad_ever
        if not bad_ever:
            found.append(1.0)
            continue
        total, bad = total_ever - total_before, bad_ever - bad_before
        squares = bad**2 / total if total > 0 else 0.0
        slices = count + (total > 0)
        index = ((closed + squares) * total_ever / bad_ever - bad_ever) if slices >= SLICES_MIN else 0.0
        spread = index / (slices - 1) if slices >= SLICES_MIN else 1.0
        found.append(spread if spread > DISPERSION_MIN else 1.0)
    return found


def confidence(number: int) -> float:
    """Return the confidence of look 0, 1, …, which is 97.5 %, 98.75 %, and so on."""
    return 1 - (1 - CONFIDENCE) / (2 << number)


def requests_at(objective: objectives.Objective, number: int) -> int:
    """Return how many requests look 0, 1, … needs."""
    spared = math.log(1 - confidence(0)) / math.log1p(-objective.pass_limit)
    return max(objective.minimum_requests, math.ceil(spared)) << number


def passes(objective: objectives.Objective, bad: int, total: int, level: float) -> bool:
    """Tell whether so many bad requests leave no more than the pass limit possible."""
    return proportion.upper_bound(bad, total, level) <= objective.pass_limit


def reached(
    objective: objectives.Objective,
    seen: observation.SliObservation,
    now: float,
    spreads: Sequence[float] | None = None,
) -> tuple[Look, ...]:
    """Return the looks that the requests up to `now` reached, in order.

    Parameters
    ----------
    objective : Objective
        What is asked for.
    seen : SliObservation
        Counts since the start.
    now : float
        Seconds since the epoch.
    spreads : sequence of float, optional
        From :func:`dispersions`, where they are known already.

    Returns
    -------
    tuple of Look
        A scrape that jumps over several looks makes one look, with the confidence of the last.
    """
    found: list[Look] = []
    spreads = dispersions(seen) if spreads is None else spreads
    number = 0
    line = seen.line
    while True:
        index = bisect.bisect_left(line.total, requests_at(objective, number))
        if index == len(line) or line.times[index] > now:
            return tuple(found)
        events = line.events(index)
        while requests_at(objective, number + 1) <= events.total:
            number += 1
        level = confidence(number)
        spread = spreads[index]
        upper = proportion.upper_bound(events.possibly_bad / spread, events.total / spread, level)
        found.append(
            Look(
                requests=events.total,
                bad=events.possibly_bad,
                confidence=level,
                upper_bound=upper,
                passed=upper <= objective.pass_limit,
            )
        )
        number += 1
