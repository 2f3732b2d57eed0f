"""Rule R2 beside a baseline: what only a comparison can tell, and what it takes back."""

import random

import pytest

from modelrelease.api.verdict import Verdict
from modelrelease.slo import arms, burn, evidence
from modelrelease.slo.observation import Events, Point, SliFailure, SliObservation
from tests.unit.slo.test_burn import availability

SLICES = 40
NOW = 15.0 * SLICES + 25


def line(
    ratio: float, *, seed: int, rate: int = 100, refused: float = 0.0, start: float = -300
) -> SliObservation:
    """Return a scrape every 15 s, with so many requests in each."""
    chance, points, counted = random.Random(seed), [], Events()
    for number in range(-20, SLICES):
        bad = sum(chance.random() < ratio for _ in range(rate))
        counted = counted + Events(rate, bad, bad, sum(chance.random() < refused for _ in range(rate)))
        points.append(Point(15.0 * number + 14, counted))
    return SliObservation(start, tuple(points), interval=15.0)


def judged(ours: SliObservation, baseline: arms.Baseline | SliFailure, together: int = 1) -> burn.Judgement:
    return burn.judge(availability("99.9"), ours, NOW, 0, baseline=baseline, judged_together=together)


def test_a_candidate_that_is_only_a_little_worse_is_found_beside_stable() -> None:
    found = judged(line(0.0045, seed=1, rate=200), arms.Baseline(line(0.0005, seed=2, rate=200)))
    assert (found.verdict, found.reason) == (Verdict.FAIL, "WorseThanStable")
    assert "of stable's designated pods" in found.message
    assert "200 is proof" in found.message


def test_an_incident_of_both_holds_and_does_not_roll_back() -> None:
    ours, theirs = line(0.05, seed=3), line(0.05, seed=4)
    assert judged(ours, arms.Baseline()).verdict is Verdict.FAIL
    found = judged(ours, arms.Baseline(theirs))
    assert (found.verdict, found.reason) == (Verdict.INCONCLUSIVE, "SharedIncident")
    assert "an incident of both" in found.message


def test_a_collapse_beside_a_collapse_is_an_incident_too() -> None:
    found = judged(line(0.9, seed=3), arms.Baseline(line(0.9, seed=4)))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert judged(line(0.9, seed=3), arms.Baseline(line(0.001, seed=4))).verdict is Verdict.FAIL


def test_in_the_bake_what_stable_did_in_its_last_day_is_accepted() -> None:
    usual = arms.Baseline(None, Events(100_000, 800, 800))
    assert judged(line(0.009, seed=5), usual).verdict is not Verdict.FAIL
    assert judged(line(0.009, seed=5), arms.Baseline()).verdict is Verdict.FAIL
    found = judged(line(0.06, seed=5), usual)
    assert found.verdict is Verdict.FAIL
    assert "in 24 h before" in found.message


def test_what_clients_may_send_must_not_change() -> None:
    found = judged(line(0, seed=6, refused=0.2), arms.Baseline(line(0, seed=7, refused=0.01)))
    assert (found.verdict, found.reason) == (Verdict.FAIL, "ClientErrorsRose")
    alike = judged(line(0, seed=6, refused=0.2), arms.Baseline(line(0, seed=7, refused=0.2)))
    assert alike.verdict is Verdict.PASS
    few = judged(line(0, seed=6, refused=0.03), arms.Baseline(line(0, seed=7, refused=0.0)))
    assert few.verdict is Verdict.PASS  # one client that sends nonsense to one pod


def test_errors_that_come_like_clockwork_are_no_more_than_they_are() -> None:
    """One in every slice, below the budget: a prober that fails every time proves no worse model."""
    points = [Point(15.0 * n + 14, Events(150 * (n + 1), n + 1, n + 1)) for n in range(SLICES)]
    ours = SliObservation(0, tuple(points), interval=15.0)
    found = burn.judge(availability("99"), ours, NOW, 0)
    assert found.state is not None
    assert found.state.peak / evidence.MICRO > 6  # e^6 times likelier than by chance
    assert found.verdict is Verdict.PASS
    assert burn.judge(availability("99.5"), ours, NOW, 0).verdict is Verdict.FAIL
    beside = burn.judge(availability("99"), ours, NOW, 0, baseline=arms.Baseline(line(0, seed=2, rate=150)))
    assert (beside.verdict, beside.reason) == (Verdict.FAIL, "WorseThanStable")


def test_objectives_share_the_probability_of_a_false_alarm() -> None:
    ours, theirs = line(0.0045, seed=1, rate=200), arms.Baseline(line(0.0005, seed=2, rate=200))
    alone = judged(ours, theirs)
    assert alone.state is not None
    proof = alone.state.peak / evidence.MICRO
    many = round(evidence.ALPHA * 2.718281828**proof) + 1
    assert judged(ours, theirs, many).reason != alone.reason


@pytest.mark.parametrize(
    "failure",
    [SliFailure(Verdict.ERROR, "PrometheusTimeout", "slow"), SliFailure(Verdict.NO_DATA, "Stale", "old")],
)
def test_a_baseline_that_cannot_be_read_is_judged_neither_way_and_counts_nothing(failure: SliFailure) -> None:
    earlier = judged(line(0.001, seed=1), arms.Baseline(line(0.001, seed=2)))
    found = burn.judge(
        availability("99.9"), line(0.9, seed=1), NOW + 60, 0, baseline=failure, known=earlier.state
    )
    assert (found.verdict, found.reason) == (failure.verdict, failure.reason)
    assert found.state == earlier.state


def test_clusters_of_errors_prove_less() -> None:
    spread = [Point(15.0 * n + 14, Events(100 * (n + 1), (n + 1) // 4, (n + 1) // 4)) for n in range(SLICES)]
    burst = [Point(15.0 * n + 14, Events(100 * (n + 1), bad := 10 * (n >= 20), bad)) for n in range(SLICES)]
    even, clustered = (
        judged(SliObservation(0, tuple(points), interval=15.0), arms.Baseline()) for points in (spread, burst)
    )
    assert even.bad == clustered.bad == 10
    assert even.upper_bound is not None
    assert clustered.upper_bound is not None
    assert clustered.upper_bound > 1.5 * even.upper_bound
