"""What evidence costs at the traffic that is seen, for the status of an objective."""

import datetime
from typing import Final

from modelrelease.api import reasons, slo_state, verdict
from modelrelease.api import run as api_run
from modelrelease.controller import comparing, judging
from modelrelease.slo import arms, burn, feasibility, objectives, observation, state

SEEN_SECONDS: Final = 60.0
"""A rate is the candidate's own after so long; until then it is expected to be the baseline's."""
COUNT_MAX: Final = 2_147_483_647


async def before_traffic(
    objective: objectives.Objective,
    observe: comparing.Observe,
    subject: judging.Subject,
    now: datetime.datetime,
) -> api_run.SloStatus:
    """Return what evidence will cost in the first step, by what stable's pods are asked now.

    Parameters
    ----------
    objective
        What is asked for.
    observe
        Asks Prometheus.
    subject
        Of a run that is checked.
    now
        The present.
    """
    until = now.timestamp()
    seen = await observe(subject.baseline, until - state.VETO_SECONDS, until)
    costs = None
    # Stable may be younger than that: what it was asked since it serves tells its rate.
    since = max(until - state.VETO_SECONDS, min(subject.stable_since or 0.0, until))
    if isinstance(seen, observation.SliObservation) and since < until:
        counted = seen.between(since, until)
        rate = counted.total / (until - since) * subject.share
        usual = counted.bad / counted.total if counted.total else 0.0
        # As likely as not it is chance that more than the budget was bad in five minutes.
        expected = min(usual, objective.budget)
        costs = _status(
            objective,
            feasibility.assess(objective, rate, expected, deadline_seconds=subject.wait_seconds),
        )
    return api_run.SloStatus(
        name=objective.name,
        verdict=verdict.Verdict.NO_DATA,
        reason=reasons.NOT_LIVE,
        message="No user meets the candidate yet",
        observed_time=now,
        feasibility=costs,
    )


def feasibility_of(
    objective: objectives.Objective,
    judged: burn.Judgement,
    baseline: arms.Baseline | observation.SliFailure,
    subject: judging.Subject,
    now: float,
) -> slo_state.SloFeasibility | None:
    """Return what is feasible; None while nothing is known of the traffic, or nothing can be judged.

    Parameters
    ----------
    objective
        What is asked for.
    judged
        The judgement of now.
    baseline
        Stable beside the candidate: its traffic is what the candidate's will be like.
    subject
        Says since when the step is judged, and until when.
    now
        Seconds since the epoch.
    """
    if subject.deadline is None or judged.state is None:
        return None
    elapsed = now - subject.since.timestamp()
    rate = _rate(judged, baseline, elapsed, now)
    if rate is None:
        return None
    recorded = judged.state.recorded
    usual = recorded.bad / recorded.requests if recorded is not None and recorded.requests else 0.0
    found = feasibility.assess(
        objective,
        rate,
        min(usual, 1.0),
        deadline_seconds=subject.deadline - now,
        counted=observation.Events(judged.total, judged.bad, judged.bad),
    )
    return _status(objective, found)


def _status(objective: objectives.Objective, found: feasibility.Feasibility) -> slo_state.SloFeasibility:
    return slo_state.SloFeasibility(
        reachable=found.reachable,
        requests_per_second=f"{found.rate:.3g}",
        requests_needed=_whole(found.requests_as_expected),
        seconds_needed=_whole(found.seconds_as_expected),
        smallest_seen=_percent(found.detectable_ratio),
        largest_hidden=_percent(found.hidden_ratio),
        message=feasibility.told(objective, found)[:512],
    )


def _rate(
    judged: burn.Judgement, baseline: arms.Baseline | observation.SliFailure, elapsed: float, now: float
) -> float | None:
    if elapsed >= SEEN_SECONDS:
        return judged.total / elapsed
    live = baseline.live if isinstance(baseline, arms.Baseline) else None
    return (
        live.between(now - state.VETO_SECONDS, now).total / state.VETO_SECONDS if live is not None else None
    )


def _percent(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio * 100:.3g}"


def _whole(value: float | None) -> int | None:
    return None if value is None else min(round(value), COUNT_MAX)
