"""Objectives that can't pass before their deadline, because there is too little traffic, and what then."""

from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import observation
from modelrelease.core.situation import Situation

Verdict = verdict.Verdict


def infeasible(here: Situation, status: api_run.SloStatus) -> bool:
    """Return whether an objective waits for evidence that will not come in time.

    Before the hold is over nobody has waited for it, and what breaks or is not seen is another matter.
    """
    waits = status.verdict is Verdict.INCONCLUSIVE or (
        status.verdict is Verdict.NO_DATA and status.reason == reasons.TOO_FEW_REQUESTS
    )
    return (
        waits
        and here.status.phase is api_run.Phase.HOLDING
        and here.elapsed() >= here.hold_seconds
        and status.feasibility is not None
        and not status.feasibility.reachable
        and status.name not in here.waived
    )


def policy(here: Situation, name: str) -> api_spec.WhenInfeasible:
    """Return what is to happen: as declared, and what a person approved is skipped."""
    if here.approved_infeasible:
        return api_spec.WhenInfeasible.SKIP
    return next(slo.when_infeasible for slo in here.judged_slos if slo.name == name)


def excused(here: Situation, statuses: list[api_run.SloStatus]) -> frozenset[str]:
    """Return the objectives that are not waited for.

    What was asked before the run was a return may be answered only now: of a return nothing is judged.
    """
    judged = {slo.name for slo in here.judged_slos}
    return frozenset(
        slo.name
        for slo in statuses
        if slo.name in judged
        and infeasible(here, slo)
        and policy(here, slo.name) is api_spec.WhenInfeasible.SKIP
    )


def problem(here: Situation, statuses: list[api_run.SloStatus]) -> observation.Problem | None:
    """Return why an objective holds or ends the run for want of traffic."""
    for slo in statuses:
        if not infeasible(here, slo) or policy(here, slo.name) is api_spec.WhenInfeasible.SKIP:
            continue
        assert slo.feasibility is not None
        return observation.Problem(reasons.SLO_INFEASIBLE, f"{slo.name}: {slo.feasibility.message}")
    return None


def end(here: Situation, statuses: list[api_run.SloStatus]) -> api_spec.Policy:
    """Return whether the run is rolled back for want of traffic: when any objective says so."""
    declared = {policy(here, slo.name) for slo in statuses if infeasible(here, slo)}
    rolls_back = api_spec.WhenInfeasible.ROLL_BACK in declared
    return api_spec.Policy.ROLL_BACK if rolls_back else api_spec.Policy.HOLD
