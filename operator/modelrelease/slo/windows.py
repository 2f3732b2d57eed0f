"""How fast a candidate burns its error budget, and what a burning window needs before it is believed.

The windows and factors are those of slo-statistics §5.2 (10 min/1 min at 14.4, 30 min/5 min at 6), capped by
the time since the start of live traffic and by 20 % bad requests. A series that was born minutes ago has no
long window that smooths chance away, and one incident makes both arms burn. So a window that burns is
believed only with enough bad requests, in several slices of time, and far above the baseline.
"""

import bisect
import functools
import itertools
import math
import operator
from dataclasses import dataclass

from modelrelease.slo import arms, objectives, observation, proportion

CHANCE = 5e-5
"""Probability that a window of a candidate exactly at its budget has enough bad requests to burn at
the earliest moment; repeated turns about double it (slo-statistics §1.3)."""
BAD_SLICES = 4
"""In so many slices of time at least there were bad requests: clusters of errors are one event."""
BASELINE_FACTOR = 3.0
"""So many times the baseline's bad ratio, in the same windows: an incident that both share is no fault."""
SEARCH_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """A pair of windows that must burn together; the short one ends the alarm soon after the fault."""

    name: str
    long_seconds: float
    short_seconds: float
    factor: float
    minimum_bad: int
    """Of the long window, at least; :func:`minimum_bad` may ask for more."""


WINDOWS = (
    BurnWindow("fast", long_seconds=600, short_seconds=60, factor=14.4, minimum_bad=10),
    BurnWindow("slow", long_seconds=1800, short_seconds=300, factor=6.0, minimum_bad=10),
)


@dataclass(frozen=True, slots=True)
class BurnRate:
    """How fast one pair of windows spends the budget; 1 spends exactly the budget."""

    window: BurnWindow
    long: float
    short: float
    limit: float
    """The factor after the cap."""
    total: int
    bad: int
    """Both of the long window."""
    seconds: float
    """Of the long window, capped by the time since the start."""
    minimum_bad: int
    bad_slices: int
    """Slices of the long window with bad requests."""
    above_limit: bool
    """Both windows burn, whatever the baseline does."""
    shared: bool
    """The baseline burns nearly as fast: an incident of both."""
    burning: bool


@functools.lru_cache(maxsize=256)
def minimum_bad(ratio: float, budget: float, floor: int) -> int:
    """Return how many bad requests a burning window needs.

    Parameters
    ----------
    ratio : float
        The bad ratio above which the window burns; above `budget`.
    budget : float
        Allowed bad ratio, in (0, 1).
    floor : int
        At least so many.

    Returns
    -------
    int
        The smallest k ≥ floor such that k bad requests among the fewest that they may be among,
        k/ratio, have a probability of at most 5e-5 under the budget. That is 5 for a factor of 14.4,
        and more where the cap makes the factor small.
    """

    def by_chance(bad: int) -> float:
        return proportion.tail(bad, max(bad, math.floor(bad / ratio)), budget)

    high = floor
    while by_chance(high) > CHANCE:
        if high > SEARCH_MAX:
            return high  # a budget of nearly 100 %: nothing is ever burning
        high *= 2
    low = max(floor, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if by_chance(middle) > CHANCE else (low, middle)
    return low


def burn_rate(
    window: BurnWindow,
    objective: objectives.Objective,
    seen: observation.SliObservation,
    baseline: arms.Baseline,
    *,
    now: float,
    live_since: float,
) -> BurnRate:
    """Measure one pair of windows.

    Parameters
    ----------
    window : BurnWindow
        Which one.
    objective : Objective
        What is asked for.
    seen : SliObservation
        The candidate.
    baseline : Baseline
        What it is compared with.
    now, live_since : float
        Seconds since the epoch; a window reaches back to `live_since` at most.
    """
    long_start = max(now - window.long_seconds, live_since)
    short_start = max(now - window.short_seconds, live_since)
    long, short = seen.between(long_start, now), seen.between(short_start, now)
    ratio = objective.burn_ratio(window.factor)
    needed = minimum_bad(ratio, objective.budget, window.minimum_bad)
    slices = bad_slices(seen, long_start, now)
    above = _ratio(long) > ratio and _ratio(short) > ratio
    shared = not all(
        stands_out(counted, baseline, start, now)
        for counted, start in ((long, long_start), (short, short_start))
    )
    return BurnRate(
        window=window,
        long=_ratio(long) / objective.budget,
        short=_ratio(short) / objective.budget,
        limit=ratio / objective.budget,
        total=long.total,
        bad=long.bad,
        seconds=now - long_start,
        minimum_bad=needed,
        bad_slices=slices,
        above_limit=above,
        shared=shared,
        burning=above and not shared and long.bad >= needed and slices >= BAD_SLICES,
    )


def bad_slices(seen: observation.SliObservation, start: float, end: float) -> int:
    """Return in how many slices of (start, end] there was a bad request."""
    length = arms.slice_seconds(seen.interval)
    line = seen.line
    first, last = bisect.bisect_right(line.times, start), bisect.bisect_right(line.times, end)
    counted = line.bad[first:last]
    before = (line.bad[first - 1] if first else 0, *counted)
    rose = itertools.compress(line.times[first:last], map(operator.gt, counted, before))
    return len({math.ceil(time / length) for time in rose})


def stands_out(counted: observation.Events, baseline: arms.Baseline, start: float, end: float) -> bool:
    """Tell whether a bad ratio is far above the baseline's in (start, end].

    Half a bad request is added to the baseline, so that few requests without any say little. Where nobody
    took traffic beside the candidate, stable's recorded ratio stands in: an incident now is not in it.
    """
    live = baseline.live.between(start, end) if baseline.live is not None else observation.Events()
    beside = live if live.total else baseline.recorded
    if beside is None or not beside.total:
        return True
    return _ratio(counted) >= BASELINE_FACTOR * (beside.bad + 0.5) / beside.total


def _ratio(events: observation.Events) -> float:
    return events.bad / events.total if events.total else 0.0
