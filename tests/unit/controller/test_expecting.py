"""What evidence costs, told before any user meets the candidate and at every step."""

import asyncio
import dataclasses
import datetime
from collections.abc import Sequence
from decimal import Decimal

import pytest

from modelrelease.api import reasons, verdict
from modelrelease.controller import comparing, expecting, judging
from modelrelease.prometheus import targets
from modelrelease.slo import arms, burn, objectives, observation, state
from tests.unit.core import given
from tests.unit.core.given import CANDIDATE, NOW, STABLE

OBJECTIVE = objectives.Objective("latency", objectives.Kind.AVAILABILITY, Decimal("99.9"))


def steady(rate: float, since: float, until: float) -> observation.SliObservation:
    points = tuple(
        observation.Point(at, observation.Events(round(rate * (at - since))))
        for at in (since + 15 * number for number in range(1, int((until - since) / 15) + 1))
    )
    return observation.SliObservation(since, points, interval=15.0)


def subject(stable_seconds: float = 3600) -> judging.Subject:
    run = given.run("Checking", elapsed=30)
    pods = tuple(given.pod(STABLE, index, ready_time=given.ago(stable_seconds)) for index in range(2))
    stable = given.revision(STABLE, promoted=5_000, desired=2, pods=pods)
    found = judging.Subject.of("ns", given.observed([run], candidate=1, revisions=[stable]))
    assert found is not None
    return found


@pytest.mark.parametrize(("rate", "reachable"), [(10.0, True), (0.3, False)])
def test_while_it_is_checked_stables_traffic_tells_what_a_pass_will_cost(
    rate: float, reachable: bool
) -> None:
    asked = []

    async def observe(pods: Sequence[targets.JudgedPod], since: float, until: float) -> comparing.Observed:
        asked.extend(pod.name for pod in pods)
        return steady(rate, since, until)

    said = asyncio.run(expecting.before_traffic(OBJECTIVE, observe, subject(), NOW))
    assert asked == [f"{STABLE}-0", f"{STABLE}-1"]
    assert (said.verdict, said.reason) == (verdict.Verdict.NO_DATA, reasons.NOT_LIVE)
    assert said.feasibility is not None
    assert said.feasibility.reachable is reachable
    assert float(said.feasibility.requests_per_second) == pytest.approx(rate * 0.33, rel=0.05)
    assert said.feasibility.requests_needed == 613
    assert ("can't be reached in the 61 min left" in said.feasibility.message) is not reachable


@pytest.mark.parametrize("age", [60.0, 120.0, 299.0, 300.0, 4000.0])
def test_stable_that_is_younger_than_five_minutes_tells_its_own_rate(age: float) -> None:
    now = NOW.timestamp()

    async def observe(pods: Sequence[targets.JudgedPod], since: float, until: float) -> comparing.Observed:
        assert (since, until) == (now - state.VETO_SECONDS, now)
        began = max(since, now - age)
        return dataclasses.replace(steady(10.0, began, until), start=since)

    said = asyncio.run(expecting.before_traffic(OBJECTIVE, observe, subject(age), NOW))
    assert said.feasibility is not None
    assert float(said.feasibility.requests_per_second) == pytest.approx(3.3, rel=0.07)


def test_stable_that_only_begins_to_serve_tells_nothing() -> None:
    async def observe(pods: Sequence[targets.JudgedPod], since: float, until: float) -> comparing.Observed:
        return steady(10.0, since, until)

    said = asyncio.run(expecting.before_traffic(OBJECTIVE, observe, subject(0), NOW))
    assert said.feasibility is None


def test_a_monitoring_that_is_silent_tells_nothing() -> None:
    async def observe(pods: Sequence[targets.JudgedPod], since: float, until: float) -> comparing.Observed:
        return observation.SliFailure(verdict.Verdict.NO_DATA, "NotScraped", "nobody scrapes")

    said = asyncio.run(expecting.before_traffic(OBJECTIVE, observe, subject(), NOW))
    assert said.feasibility is None


def test_a_first_release_and_one_without_objectives_are_not_asked_about() -> None:
    first = given.run("Checking", mode="First", elapsed=30)
    assert judging.Subject.of("ns", given.observed([first], candidate=1, first=True)) is None
    without = given.run("Checking", elapsed=30, judging={"slos": []})
    assert judging.Subject.of("ns", given.observed([without], candidate=1)) is None


def test_under_traffic_the_subject_knows_with_whom_the_candidate_is_compared_and_until_when() -> None:
    recorded = state.begin(0, 15)
    slo = given.slo(verdict.Verdict.INCONCLUSIVE).model_copy(update={"state": recorded})
    run = given.run(
        "Holding",
        step=1,
        elapsed=20,
        live_pods=[f"{CANDIDATE}-0"],
        baseline_pods=[f"{STABLE}-1", f"{STABLE}-9"],
        live_since=given.ago(50),
        slos=[slo],
    )
    found = judging.Subject.of("ns", given.observed([run], candidate=1, traffic=given.WIDENED))
    assert found is not None
    assert [(pod.name, pod.serving) for pod in found.baseline] == [
        (f"{STABLE}-1", True),
        (f"{STABLE}-9", False),
    ]
    assert found.known == {"latency": recorded}
    assert found.live_since == given.ago(50)
    assert found.deadline == (NOW - datetime.timedelta(seconds=20)).timestamp() + 60 + 3600


def judged(seconds: float, rate: float, baseline: arms.Baseline) -> tuple[burn.Judgement, judging.Subject]:
    run = given.run("Holding", step=1, elapsed=seconds, live_pods=[f"{CANDIDATE}-0"])
    found = judging.Subject.of("ns", given.observed([run], candidate=1, traffic=given.WIDENED))
    assert found is not None
    since = found.since.timestamp()
    seen = steady(rate, since, NOW.timestamp())
    return burn.judge(OBJECTIVE, seen, NOW.timestamp(), since, baseline=baseline), found


def test_at_first_a_step_expects_the_baselines_traffic_and_then_its_own() -> None:
    now = NOW.timestamp()
    beside = arms.Baseline(steady(5.0, now - 600, now))
    early, found = judged(30, 1.0, beside)
    said = expecting.feasibility_of(OBJECTIVE, early, beside, found, now)
    assert said is not None
    assert said.requests_per_second == "5"
    late, found = judged(300, 1.0, beside)
    said = expecting.feasibility_of(OBJECTIVE, late, beside, found, now)
    assert said is not None
    assert (said.requests_per_second, said.reachable) == ("1", True)
    assert said.seconds_needed == 313
    alone, found = judged(30, 1.0, arms.Baseline())
    assert expecting.feasibility_of(OBJECTIVE, alone, arms.Baseline(), found, now) is None
