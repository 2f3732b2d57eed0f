"""What one SLO says about a candidate under live traffic: rule R2.

Fail
    Burning: in a long *and* its short window (:mod:`modelrelease.slo.windows`) the bad ratio exceeds the burn
    factor × budget, in several slices of time and far above the baseline. Or collapsed: most requests of
    the last minute failed. Or worse: the evidence of the whole run (:mod:`modelrelease.slo.evidence`) has
    reached what chance reaches with a probability of 0.5 %. Or violated: the lower bound of the bad ratio
    since the start exceeds what a Pass accepts, and the baseline does not explain it.
Pass
    At a pre-declared look (:mod:`modelrelease.slo.looks`) the upper bound of the bad ratio was within
    the pass limit, and it still is. "Not burning" alone is not Pass.
NoData
    Too few requests, or serving pods that Prometheus does not see.
Inconclusive
    Enough requests for the minimum, not enough evidence; or the baseline burns, too: an incident of both.

All judging is a pure function of the samples and of a state that is a fold over earlier ones, so a restarted
operator comes to the same verdict.
"""

import bisect
import math
from dataclasses import dataclass

from modelrelease.api import slo_state
from modelrelease.api.verdict import Verdict
from modelrelease.slo import arms, evidence, looks, objectives, observation, proportion, state, windows
from modelrelease.slo.looks import Look

PROOF_CONFIDENCE = 0.999
PROOF_BAD = 20
"""So many bad requests prove a violation below the minimum of requests, too."""
COLLAPSE_SECONDS = 60.0
COLLAPSE_RATIO = 0.5
"""Most requests of the last minute failed: neither chance nor a cluster, so several slices are not needed."""
CLIENT_ERRORS_FACTOR = 10.0
"""How much stronger the evidence of more 4xx must be than that of more bad requests."""
CLIENT_ERRORS_MIN = 0.05
"""So many of all answers at least: a single client that sends nonsense to one pod changes no contract."""
PROOF_BAD_SLICED = 10
"""And so many are needed at any number of requests, in :data:`windows.BAD_SLICES` slices."""
EVIDENCE_TOLD_MAX = 1e6


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
    burn_rates: tuple[windows.BurnRate, ...] = ()
    upper_bound: float | None = None
    """Of the bad ratio at 95 %, now; None without a request."""
    looks: tuple[Look, ...] = ()
    state: slo_state.SloState | None = None
    """To go on from."""


def judge(
    objective: objectives.Objective,
    seen: observation.SliObservation | observation.SliFailure,
    now: float,
    live_since: float,
    *,
    baseline: arms.Baseline | observation.SliFailure = arms.Baseline(),  # noqa: B008 - frozen
    known: slo_state.SloState | None = None,
    judged_together: int = 1,
) -> Judgement:
    """Judge one SLO.

    Parameters
    ----------
    objective : Objective
        What is asked for.
    seen : SliObservation or SliFailure
        What Prometheus knows, from ``known.through`` or before; a failure becomes its own verdict.
    now : float
        Seconds since the epoch.
    live_since : float
        Seconds since the epoch at which what is judged began: the step's start, so that evidence
        gathered at a smaller share of traffic does not pass a larger one.
    baseline : Baseline or SliFailure
        What the candidate is compared with; where it should be there and can't be read, nothing is judged.
    known : SloState or None
        The evidence of the run so far; None begins at `live_since`.
    judged_together : int
        How many objectives the run has: they share the probability of a false alarm.

    Returns
    -------
    Judgement
        Never raises for what Prometheus can say. With the same totals, more bad requests never turn
        Fail into something else.
    """
    for failure in (seen, baseline):
        if isinstance(failure, observation.SliFailure):
            message = _capped(failure.message)
            return Judgement(objective.name, failure.verdict, failure.reason, message, state=known)
    assert isinstance(seen, observation.SliObservation)
    assert isinstance(baseline, arms.Baseline)
    known = known if known is not None else state.begin(live_since, seen.interval)
    known = state.advance(known, seen, baseline, objective.budget, now)
    if known.recorded is not None:
        recorded = observation.Events(known.recorded.requests, known.recorded.bad, known.recorded.bad)
        baseline = arms.Baseline(baseline.live, recorded)
    seen = seen.since(live_since)
    live_since = max(live_since, seen.start)
    events = seen.until(now)
    rates = tuple(
        windows.burn_rate(window, objective, seen, baseline, now=now, live_since=live_since)
        for window in windows.WINDOWS
    )
    spreads = looks.dispersions(seen)
    reached = looks.reached(objective, seen, now, spreads)
    case = _Case(
        objective, seen, baseline, known, now, live_since, judged_together, _spread(seen, spreads, now)
    )
    verdict, reason, message = (
        _burning(case, rates)
        or _collapsed(case)
        or _worse(case)
        or _violated(case)
        or _no_data(objective, events, seen.blind)
        or _shared(case, rates)
        or _pass_or_inconclusive(case, events, reached)
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
        upper_bound=_upper(case, events) if events.total else None,
        looks=reached,
        state=known,
    )


Outcome = tuple[Verdict, str, str]


@dataclass(frozen=True, slots=True)
class _Case:
    """Everything that a Fail may rest on."""

    objective: objectives.Objective
    seen: observation.SliObservation
    baseline: arms.Baseline
    state: slo_state.SloState
    now: float
    since: float
    judged_together: int
    spread: float
    """By which counts are divided, as of now."""


def _burning(case: _Case, rates: tuple[windows.BurnRate, ...]) -> Outcome | None:
    for rate in rates:
        if rate.burning:
            return (
                Verdict.FAIL,
                "BudgetBurning",
                f"{_share(case, rate.bad, rate.total)} in the last "
                f"{rate.seconds:.0f} s {case.objective.bad}: the budget of {_percent(case.objective.budget)} "
                f"burns {rate.long:.1f}× as fast as allowed (limit {rate.limit:.1f}×)"
                f"{_beside(case, case.now - rate.seconds)}",
            )
    return None


def _collapsed(case: _Case) -> Outcome | None:
    start = max(case.now - COLLAPSE_SECONDS, case.since)
    last = case.seen.between(start, case.now)
    limit = max(COLLAPSE_RATIO, case.objective.pass_limit)
    if (
        last.bad < PROOF_BAD
        or proportion.lower_bound(last.bad, last.total, PROOF_CONFIDENCE) <= limit
        or not windows.stands_out(last, case.baseline, start, case.now)
    ):
        return None
    return (
        Verdict.FAIL,
        "BudgetBurning",
        f"{_share(case, last.bad, last.total)} in the last "
        f"{case.now - start:.0f} s {case.objective.bad}{_beside(case, start)}",
    )


def _worse(case: _Case) -> Outcome | None:
    """Judge by the evidence of the whole run; it stays proof once it was."""
    limit = math.log(case.judged_together / evidence.ALPHA)
    found = case.state
    compared_alone = math.log(evidence.compared(tuple(found.signs), tuple(found.minute_signs)))
    believed = compared_alone >= limit or state.exceeds(found, case.objective.budget)
    if found.peak / evidence.MICRO >= limit and believed:
        ours, theirs = found.candidate, found.baseline
        compared = (
            f", beside {theirs.bad} of {theirs.requests} of stable's designated pods; of the "
            f"{found.worse + found.better} slices of {found.slice_seconds} s in which they differed it was "
            f"the worse one in {found.worse}"
            if theirs.requests
            else ""
        )
        return (
            Verdict.FAIL,
            "WorseThanStable" if theirs.requests else "WorseThanAccepted",
            f"{_share(case, ours.bad, ours.requests)} of the candidate {case.objective.bad}{compared}: "
            f"evidence {_evidence(found.peak)}, and {math.exp(limit):.0f} is proof",
        )
    ours, theirs = found.candidate, found.baseline
    refused, beside = _refused(ours), _refused(theirs)
    proof = limit + math.log(CLIENT_ERRORS_FACTOR)
    stands_out = refused >= max(CLIENT_ERRORS_MIN, windows.BASELINE_FACTOR * beside)
    if stands_out and found.client_error_peak / evidence.MICRO >= proof:
        return (
            Verdict.FAIL,
            "ClientErrorsRose",
            f"the candidate refused {ours.client_errors} requests with 4xx ({ours.requests} others), stable "
            f"{theirs.client_errors} ({theirs.requests} others): what clients may send has changed",
        )
    return None


def _refused(counted: slo_state.Counted) -> float:
    answers = counted.requests + counted.client_errors
    return counted.client_errors / answers if answers else 0.0


def _violated(case: _Case) -> Outcome | None:
    objective, events = case.objective, case.seen.until(case.now)
    if events.total < objective.minimum_requests and events.bad < PROOF_BAD:
        return None
    lower = proportion.lower_bound(events.bad, events.total, PROOF_CONFIDENCE)
    if (
        lower <= objective.pass_limit
        or events.bad < PROOF_BAD_SLICED
        or windows.bad_slices(case.seen, case.since, case.now) < windows.BAD_SLICES
        or not windows.stands_out(events, case.baseline, case.since, case.now)
    ):
        return None
    return (
        Verdict.FAIL,
        "ObjectiveViolated",
        f"{events.bad} of {events.total} {objective.events} {objective.bad}: at least {_percent(lower)} with "
        f"99.9 % confidence, and {_percent(objective.pass_limit)} would be acceptable"
        f"{_beside(case, case.since)}",
    )


def _shared(case: _Case, rates: tuple[windows.BurnRate, ...]) -> Outcome | None:
    """Judge neither way while both arms burn: it passes, and then the candidate is seen alone."""
    rate = next((rate for rate in rates if rate.above_limit and rate.shared), None)
    if rate is None:
        return None
    return (
        Verdict.INCONCLUSIVE,
        "SharedIncident",
        f"{_share(case, rate.bad, rate.total)} in the last {rate.seconds:.0f} s {case.objective.bad}"
        f"{_beside(case, case.now - rate.seconds)}: an incident of both, not of the candidate",
    )


def _share(case: _Case, bad: int, total: int) -> str:
    return f"{bad} of {total} {case.objective.events} ({_percent(bad / total if total else 0.0)})"


def _beside(case: _Case, start: float) -> str:
    live = case.baseline.live
    counted = live.between(start, case.now) if live is not None else observation.Events()
    if counted.total:
        return f"; of stable's designated pods {counted.bad} of {counted.total}"
    recorded = case.baseline.recorded
    if recorded is not None and recorded.total:
        return f"; of stable {recorded.bad} of {recorded.total} in 24 h before"
    return ""


def _evidence(peak: int) -> str:
    found = math.exp(min(peak / evidence.MICRO, 700.0))
    return f"{found:.0f}" if found < EVIDENCE_TOLD_MAX else f"over {EVIDENCE_TOLD_MAX:.0g}"


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
            f"{events.total} of the {objective.minimum_requests} {objective.events} that a judgement needs",
        )
    return None


def _pass_or_inconclusive(case: _Case, events: observation.Events, reached: tuple[Look, ...]) -> Outcome:
    objective, seen = case.objective, case.seen
    upper = _upper(case, events)
    limit = objective.pass_limit
    counted = f"{events.possibly_bad} of {events.total} {objective.events} {objective.bad}"
    bound = f"at most {_percent(upper)} with 95 % confidence"
    edges = seen.boundaries
    if edges and edges.lower != edges.upper:
        counted = (
            f"between {events.bad} and {events.possibly_bad} of {events.total} {objective.events} "
            f"{objective.bad}, which lies between the buckets {objectives.milliseconds(edges.lower)} and "
            f"{objectives.milliseconds(edges.upper)}"
        )
    within = upper <= limit
    if within and any(look.passed for look in reached):
        return Verdict.PASS, "WithinObjective", f"{counted}: {bound}, {_percent(limit)} are acceptable"
    certain = proportion.upper_bound(events.bad, events.total, looks.CONFIDENCE)
    if events.bad != events.possibly_bad and certain <= limit:
        return Verdict.INCONCLUSIVE, "ThresholdBetweenBuckets", f"{counted}; use one of them as the threshold"
    following = looks.requests_at(objective, 0)
    while following <= events.total:
        following *= 2
    wait = f"the next look is at {following} {objective.events}"
    if within:
        return Verdict.INCONCLUSIVE, "AwaitingLook", f"{counted}: {bound}; {wait}"
    return (
        Verdict.INCONCLUSIVE,
        "NotProven",
        f"{counted}: {bound}, and Pass needs {_percent(limit)}; {wait}",
    )


def _spread(seen: observation.SliObservation, spreads: list[float], now: float) -> float:
    index = bisect.bisect_right(seen.line.times, now)
    return spreads[index - 1] if index else 1.0


def _upper(case: _Case, events: observation.Events) -> float:
    bad, total = events.possibly_bad / case.spread, events.total / case.spread
    return proportion.upper_bound(bad, total, looks.CONFIDENCE)


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.3g} %"


def _names(pods: tuple[str, ...]) -> str:
    return ", ".join(pods[:3]) + (f" and {len(pods) - 3} more" if len(pods) > 3 else "")  # noqa: PLR2004


def _capped(message: str) -> str:
    return message if len(message) <= MESSAGE_MAX else message[: MESSAGE_MAX - 1] + "…"


MESSAGE_MAX = 512
"""Of the API's status field."""
