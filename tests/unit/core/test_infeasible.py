"""An objective that can't pass in time holds, is skipped or returns the release; a Fail always acts."""

import dataclasses
from typing import Any

import pytest

from modelrelease.api import run as api_run
from modelrelease.api import slo_state
from modelrelease.api import spec as api_spec
from modelrelease.api.verdict import Verdict
from modelrelease.core import comparison, lifecycle, observation, presentation, revision
from modelrelease.core.situation import Situation
from tests.unit.core import given
from tests.unit.core.given import CANDIDATE, NOW, STABLE

SCARCE = slo_state.SloFeasibility(reachable=False, message="Pass can't be reached in the 60 min left")


def said(verdict: Verdict, reason: str = "", feasible: bool = False, **more: object) -> api_run.SloStatus:
    costs = slo_state.SloFeasibility(reachable=True) if feasible else SCARCE
    return given.slo(verdict, reason).model_copy(update={"feasibility": costs} | more)


def seen(
    slo: api_run.SloStatus, policy: str = "Hold", elapsed: float = 61, **changes: Any
) -> observation.Observation:
    run = given.run(
        "Holding",
        step=1,
        elapsed=elapsed,
        live_pods=[f"{CANDIDATE}-0"],
        baseline_pods=[f"{STABLE}-0"],
        slos=[slo],
    )
    judging = run.spec.judging
    chosen = api_spec.WhenInfeasible(policy)
    slos = [declared.model_copy(update={"when_infeasible": chosen}) for declared in judging.slos]
    snapshot = judging.model_copy(update={"slos": slos})
    run = dataclasses.replace(run, spec=run.spec.model_copy(update={"judging": snapshot}))
    found = given.observed([run], candidate=1, traffic=given.WIDENED, slos=(slo,), **changes)
    desired = dataclasses.replace(found.release.desired, judging=snapshot) if found.release.desired else None
    return dataclasses.replace(found, release=dataclasses.replace(found.release, desired=desired))


def following(observed: observation.Observation) -> tuple[str, int, str] | None:
    status = lifecycle.transition(observed, NOW)
    return (status.phase.value, status.step, status.reason) if status is not None else None


TOO_FEW = said(Verdict.NO_DATA, "TooFewRequests")
APPROVED = {"approvals": [{"revision": CANDIDATE, "stage": "Infeasible", "reason": "night"}]}


@pytest.mark.parametrize(
    ("slo", "policy", "more", "expected"),
    [
        pytest.param(TOO_FEW, "Hold", {}, None, id="it holds"),
        pytest.param(TOO_FEW, "Hold", {"elapsed": 100_000}, None, id="beyond every deadline"),
        pytest.param(TOO_FEW, "Skip", {}, ("Shifting", 2, ""), id="or is skipped"),
        pytest.param(TOO_FEW, "Skip", {"elapsed": 59}, None, id="after the hold"),
        pytest.param(TOO_FEW, "RollBack", {}, ("Returning", 1, "SloInfeasible"), id="or returns"),
        pytest.param(TOO_FEW, "RollBack", {"elapsed": 59}, None, id="likewise after the hold"),
        pytest.param(TOO_FEW, "Hold", {"override": APPROVED}, ("Shifting", 2, ""), id="a person approves"),
        pytest.param(
            TOO_FEW, "RollBack", {"override": APPROVED}, ("Shifting", 2, ""), id="which outweighs the policy"
        ),
        pytest.param(
            said(Verdict.FAIL, "BudgetBurning"), "Skip", {}, ("Returning", 1, "SloFailed"), id="a Fail acts"
        ),
        pytest.param(
            said(Verdict.FAIL),
            "Hold",
            {"override": APPROVED},
            ("Returning", 1, "SloFailed"),
            id="approved, too",
        ),
        pytest.param(
            said(Verdict.INCONCLUSIVE, "NotProven"), "Skip", {}, ("Shifting", 2, ""), id="undecided"
        ),
        pytest.param(
            said(Verdict.INCONCLUSIVE, feasible=True), "Skip", {}, None, id="what can pass is waited for"
        ),
        pytest.param(
            said(Verdict.INCONCLUSIVE, feasible=True),
            "Hold",
            {"elapsed": 61 + 3600},
            ("Returning", 1, "InconclusiveDeadline"),
            id="until its deadline",
        ),
    ],
)
def test_what_follows(
    slo: api_run.SloStatus, policy: str, more: dict[str, Any], expected: tuple[str, int, str] | None
) -> None:
    assert following(seen(slo, policy, **more)) == expected


@pytest.mark.parametrize("verdict", [Verdict.ERROR, Verdict.NO_DATA])
def test_monitoring_that_breaks_is_no_want_of_traffic(verdict: Verdict) -> None:
    after = lifecycle.transition(seen(said(verdict, "Broken"), "Skip"), NOW)
    assert after is not None
    assert (after.phase, after.silent_since) == (api_run.Phase.HOLDING, NOW)


def test_people_are_asked_and_told_what_to_change() -> None:
    shown = presentation.present(seen(TOO_FEW), NOW, None)
    assert shown.phase == "AwaitingApproval"
    assert "Pass can't be reached in the 60 min left" in shown.message
    assert [c.reason for c in shown.conditions if c.type == "Paused"] == ["SloInfeasible"]


def test_a_hold_tells_what_a_pass_costs() -> None:
    costs = slo_state.SloFeasibility(reachable=True, message="Pass takes about 5 min more")
    shown = presentation.present(
        seen(said(Verdict.INCONCLUSIVE, "NotProven", feasibility=costs), elapsed=10), NOW, None
    )
    assert shown.message.endswith("Pass takes about 5 min more.")


def test_what_a_pass_costs_stands_in_the_status_as_long_as_the_run_goes_forward() -> None:
    observed = seen(TOO_FEW)
    shown = presentation.present(observed, NOW, None).feasibility
    assert [(one.name, one.reachable, one.message) for one in shown] == [("latency", False, SCARCE.message)]
    (run,) = observed.runs
    for phase in (api_run.Phase.RETURNING, api_run.Phase.DONE):
        after = run.status.model_copy(update={"phase": phase, "outcome": api_run.Outcome.ROLLED_BACK})
        ended = dataclasses.replace(observed, runs=(dataclasses.replace(run, status=after),))
        assert presentation.present(ended, NOW, None).feasibility == []


def test_numbers_that_move_are_told_as_they_were_recorded() -> None:
    observed = seen(TOO_FEW)
    moved = SCARCE.model_copy(update={"requests_per_second": "0.2"})
    newer = dataclasses.replace(observed, slos=(TOO_FEW.model_copy(update={"feasibility": moved}),))
    before, after = (presentation.present(each, NOW, None).feasibility for each in (observed, newer))
    assert before == after


# --- With whom the candidate is compared --------------------------------------------------------------------


def designated(observed: observation.Observation) -> list[str]:
    here = Situation.of(observed, NOW)
    assert here is not None
    return comparison.baseline_pods(here)


def test_as_many_stable_pods_are_designated_as_the_candidate_serves_with() -> None:
    run = given.run("Shifting", step=1)
    assert designated(given.observed([run], stable=3, candidate=2, traffic=given.WIDENED)) == [
        f"{STABLE}-0",
        f"{STABLE}-1",
    ]
    assert designated(given.observed([run], stable=1, candidate=2, traffic=given.WIDENED)) == [f"{STABLE}-0"]
    final = given.run("Holding", step=2, baseline_pods=[f"{STABLE}-0"])
    assert designated(given.observed([final], candidate=2, traffic=given.pinned(CANDIDATE))) == []


def test_designated_pods_stay_until_they_are_gone() -> None:
    run = given.run("Holding", step=1, baseline_pods=[f"{STABLE}-2"])
    assert designated(given.observed([run], stable=3, candidate=1, traffic=given.WIDENED)) == [f"{STABLE}-2"]
    assert designated(given.observed([run], stable=2, candidate=1, traffic=given.WIDENED)) == [f"{STABLE}-0"]


def test_evidence_is_recorded_at_first_and_about_once_a_minute() -> None:
    def judged(through: int | None) -> list[api_run.SloStatus]:
        state = (
            slo_state.SloState(since=0, through=through, slice_seconds=15) if through is not None else None
        )
        return [given.slo(Verdict.PASS).model_copy(update={"state": state})]

    assert comparison.record_due(judged(15), judged(None))
    assert not comparison.record_due(judged(60), judged(15))
    assert comparison.record_due(judged(75), judged(15))
    assert not comparison.record_due(judged(None), judged(15))


def test_what_is_declared_acts_at_once_and_restarts_nothing() -> None:
    skip = seen(TOO_FEW, "Skip")
    assert skip.release.desired is not None
    hold = given.judging()
    assert revision.judging_digest(hold) == revision.judging_digest(skip.release.desired.judging)
    live = revision.with_live_fields(hold, skip.release.desired.judging)
    assert live.slos[0].when_infeasible is api_spec.WhenInfeasible.SKIP


# --- Before any user meets the candidate --------------------------------------------------------------------

NOT_LIVE = said(Verdict.NO_DATA, "NotLive")


def test_what_a_pass_will_cost_is_recorded_and_told_while_checks_run() -> None:
    run = given.run("Checking")
    after = lifecycle.transition(given.observed([run], candidate=1, slos=(NOT_LIVE,)), NOW)
    assert after is not None
    assert (after.phase, after.slos) == (api_run.Phase.CHECKING, [NOT_LIVE])
    told = dataclasses.replace(run, status=after)
    again = given.observed([told], candidate=1, slos=(NOT_LIVE,))
    assert lifecycle.transition(again, NOW) is None
    shown = presentation.present(again, NOW, None)
    assert (shown.phase, shown.verdict) == ("Checking", "")
    assert shown.message.endswith("Pass can't be reached in the 60 min left.")


def test_what_was_said_before_traffic_stops_no_clock_under_it() -> None:
    run = given.run("Holding", step=1, elapsed=1, slos=[NOT_LIVE], live_pods=[f"{CANDIDATE}-0"])
    run = dataclasses.replace(run, status=run.status.model_copy(update={"baseline_pods": [f"{STABLE}-0"]}))
    after = lifecycle.transition(given.observed([run], candidate=1, traffic=given.WIDENED), NOW)
    assert after is None or (after.clock is not None and after.clock.stopped_since is None)
