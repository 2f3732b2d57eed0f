"""What one SLO says about a candidate under live traffic.

Fail
    Burning: in a long *and* its short window the bad ratio exceeds the burn factor × budget, with
    enough bad requests that chance does not explain them. Or proven: the lower bound of the bad
    ratio since the start exceeds what a Pass accepts.
Pass
    At a pre-declared look (:mod:`modelrelease.slo.looks`) the upper bound of the bad ratio was within
    the pass limit, and it still is. "Not burning" alone is not Pass.
NoData
    Too few requests, or serving pods that Prometheus does not see.
Inconclusive
    Enough requests for the minimum, not enough evidence.

Windows and factors are those of slo-statistics §5.2 (10 min/1 min at 14.4, 30 min/5 min at 6), capped
by the time since the start of live traffic and by 20 % bad requests. All judging is a pure function
of the samples, so a restarted operator comes to the same verdict.
"""

import functools
import math
from dataclasses import dataclass

from modelrelease.api.verdict import Verdict
from modelrelease.slo import looks, objectives, observation, proportion
from modelrelease.slo.looks import Look

CHANCE = 5e-5
"""Probability that a window of a candidate exactly at its budget has enough bad requests to burn at
the earliest moment; repeated turns about double it (slo-statistics §1.3)."""
PROOF_CONFIDENCE = 0.999
PROOF_BAD = 20
"""So many bad requests prove a violation below the minimum of requests, too."""
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
    BurnWindow("fast", long_seconds=600, short_seconds=60, factor=14.4, minimum_bad=5),
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
    burning: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one SLO, and what it rests on."""

    name: str
    verdict: Verdict
    reason: str
    """CamelCase, for conditions and metrics."""
    message: str
    """One sentence for people, at most 512 characters."""
    total: int = 0
    bad: int = 0
    burn_rates: tuple[BurnRate, ...] = ()
    upper_bound: float | None = None
    """Of the bad ratio at 95 %, now; None without a request."""
    looks: tuple[Look, ...] = ()


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
    now: float,
    live_since: float,
) -> BurnRate:
    """Measure one pair of windows; parameters as for :func:`judge`."""
    long_start = max(now - window.long_seconds, live_since)
    long = seen.between(long_start, now)
    short = seen.between(max(now - window.short_seconds, live_since), now)
    ratio = objective.burn_ratio(window.factor)
    needed = minimum_bad(ratio, objective.budget, window.minimum_bad)
    return BurnRate(
        window=window,
        long=_ratio(long) / objective.budget,
        short=_ratio(short) / objective.budget,
        limit=ratio / objective.budget,
        total=long.total,
        bad=long.bad,
        seconds=now - long_start,
        minimum_bad=needed,
        burning=_ratio(long) > ratio and _ratio(short) > ratio and long.bad >= needed,
    )


def _ratio(events: observation.Events) -> float:
    return events.bad / events.total if events.total else 0.0


def judge(
    objective: objectives.Objective,
    seen: observation.SliObservation | observation.SliFailure,
    now: float,
    live_since: float,
) -> Judgement:
    """Judge one SLO.

    Parameters
    ----------
    objective : Objective
        What is asked for.
    seen : SliObservation or SliFailure
        What Prometheus knows; a failure becomes its own verdict.
    now : float
        Seconds since the epoch.
    live_since : float
        Seconds since the epoch at which what is judged began: the step's start, so that evidence
        gathered at a smaller share of traffic does not pass a larger one.

    Returns
    -------
    Judgement
        Never raises for what Prometheus can say. With the same totals, more bad requests never turn
        Fail into something else, nor anything else into Pass.
    """
    if isinstance(seen, observation.SliFailure):
        return Judgement(objective.name, seen.verdict, seen.reason, _capped(seen.message))
    seen = seen.since(live_since)
    live_since = max(live_since, seen.start)
    events = seen.until(now)
    rates = tuple(burn_rate(window, objective, seen, now, live_since) for window in WINDOWS)
    reached = looks.reached(objective, seen, now)
    upper = (
        proportion.upper_bound(events.possibly_bad, events.total, looks.CONFIDENCE) if events.total else None
    )
    verdict, reason, message = (
        _fail(objective, events, rates)
        or _no_data(objective, events, seen.blind)
        or _pass_or_inconclusive(objective, events, reached, seen)
    )
    if events.client_errors:
        message += f"; {events.client_errors} answers with 4xx count as neither good nor bad"
    return Judgement(
        name=objective.name,
        verdict=verdict,
        reason=reason,
        message=_capped(message),
        total=events.total,
        bad=events.bad,
        burn_rates=rates,
        upper_bound=upper,
        looks=reached,
    )


Outcome = tuple[Verdict, str, str]


def _fail(
    objective: objectives.Objective, events: observation.Events, rates: tuple[BurnRate, ...]
) -> Outcome | None:
    for rate in rates:
        if rate.burning:
            return (
                Verdict.FAIL,
                "BudgetBurning",
                f"{rate.bad} of {rate.total} requests ({_percent(rate.bad / rate.total)}) in the last "
                f"{rate.seconds:.0f} s {objective.bad}: the budget of {_percent(objective.budget)} burns "
                f"{rate.long:.1f}× as fast as allowed (limit {rate.limit:.1f}×)",
            )
    enough = events.total >= objective.minimum_requests or events.bad >= PROOF_BAD
    if enough and events.total:
        lower = proportion.lower_bound(events.bad, events.total, PROOF_CONFIDENCE)
        if lower > objective.pass_limit:
            return (
                Verdict.FAIL,
                "ObjectiveViolated",
                f"{events.bad} of {events.total} requests {objective.bad}: at least {_percent(lower)} with "
                f"99.9 % confidence, and {_percent(objective.pass_limit)} would be acceptable",
            )
    return None


def _no_data(
    objective: objectives.Objective, events: observation.Events, blind: tuple[str, ...]
) -> Outcome | None:
    if blind:
        return (
            Verdict.NO_DATA,
            "StaleSamples",
            f"Prometheus has no fresh samples of serving pods: {_names(blind)}",
        )
    if events.total < objective.minimum_requests:
        return (
            Verdict.NO_DATA,
            "TooFewRequests",
            f"{events.total} of the {objective.minimum_requests} requests that a judgement needs",
        )
    return None


def _pass_or_inconclusive(
    objective: objectives.Objective,
    events: observation.Events,
    reached: tuple[Look, ...],
    seen: observation.SliObservation,
) -> Outcome:
    upper = proportion.upper_bound(events.possibly_bad, events.total, looks.CONFIDENCE)
    limit = objective.pass_limit
    counted = f"{events.possibly_bad} of {events.total} requests {objective.bad}"
    bound = f"at most {_percent(upper)} with 95 % confidence"
    edges = seen.boundaries
    if edges and edges.lower != edges.upper:
        counted = (
            f"between {events.bad} and {events.possibly_bad} of {events.total} requests {objective.bad}, "
            f"which lies between the buckets {objectives.milliseconds(edges.lower)} and "
            f"{objectives.milliseconds(edges.upper)}"
        )
    within = upper <= limit
    if within and any(look.passed for look in reached):
        return Verdict.PASS, "WithinObjective", f"{counted}: {bound}, {_percent(limit)} are acceptable"
    if events.bad != events.possibly_bad and looks.passes(
        objective, events.bad, events.total, looks.CONFIDENCE
    ):
        return Verdict.INCONCLUSIVE, "ThresholdBetweenBuckets", f"{counted}; use one of them as the threshold"
    following = looks.requests_at(objective, 0)
    while following <= events.total:
        following *= 2
    wait = f"the next look is at {following} requests"
    if within:
        return Verdict.INCONCLUSIVE, "AwaitingLook", f"{counted}: {bound}; {wait}"
    return (
        Verdict.INCONCLUSIVE,
        "NotProven",
        f"{counted}: {bound}, and Pass needs {_percent(limit)}; {wait}",
    )


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.3g} %"


def _names(pods: tuple[str, ...]) -> str:
    return ", ".join(pods[:3]) + (f" and {len(pods) - 3} more" if len(pods) > 3 else "")  # noqa: PLR2004


def _capped(message: str) -> str:
    return message if len(message) <= MESSAGE_MAX else message[: MESSAGE_MAX - 1] + "…"


MESSAGE_MAX = 512
"""Of the API's status field."""
