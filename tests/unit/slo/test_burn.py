import itertools
import random
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelrelease.api.verdict import Verdict
from modelrelease.slo import burn, looks, windows
from modelrelease.slo.objectives import Kind, Objective
from modelrelease.slo.observation import Boundaries, Events, Point, SliFailure, SliObservation


def availability(percent: str, minimum: int = 200) -> Objective:
    return Objective("availability", Kind.AVAILABILITY, Decimal(percent), minimum_requests=minimum)


def latency(percent: str, minimum: int = 200) -> Objective:
    return Objective("latency", Kind.LATENCY, Decimal(percent), 0.1, minimum)


def observed(*scrapes: tuple[float, int, int], **more: object) -> SliObservation:
    """Scrapes of (time, requests, bad requests) since the one before, from 0."""
    points, total, bad = [], 0, 0
    for time, requests, failed in scrapes:
        total, bad = total + requests, bad + failed
        points.append(Point(time, Events(total, bad, bad)))
    return SliObservation(0, tuple(points), **more)  # type: ignore[arg-type]


def steady(seconds: int, rate: float, bad_ratio: float, every: int = 2) -> SliObservation:
    """Return constant load with evenly spread bad requests."""
    points = []
    for time in range(every, seconds + 1, every):
        total = int(time * rate)
        points.append(
            Point(time, Events(total, int(total * bad_ratio + 1e-9), int(total * bad_ratio + 1e-9)))
        )
    return SliObservation(0, tuple(points))


def said(objective: Objective, seen: SliObservation | SliFailure, now: float) -> tuple[Verdict, str]:
    judgement = burn.judge(objective, seen, now, 0)
    assert len(judgement.message) <= 512
    return judgement.verdict, judgement.reason


@pytest.mark.parametrize(
    ("objective", "seen", "now", "verdict", "reason"),
    [
        pytest.param(
            availability("99.9"), steady(60, 4, 0), 60, Verdict.INCONCLUSIVE, "NotProven",
            id="240 perfect requests prove nothing at 99.9",
        ),
        pytest.param(
            availability("99.9"), steady(200, 4, 0), 200, Verdict.PASS, "WithinObjective",
            id="800 perfect requests do",
        ),
        pytest.param(
            availability("99"), steady(60, 4, 0), 60, Verdict.PASS, "WithinObjective", id="200 do at 99"
        ),
        pytest.param(
            availability("99.9"), observed((2, 19, 19)), 2, Verdict.NO_DATA, "TooFewRequests",
            id="nineteen bad requests at once may be one cluster",
        ),
        pytest.param(
            availability("99.9"), observed((2, 20, 20)), 2, Verdict.FAIL, "BudgetBurning",
            id="twenty are a collapse",
        ),
        pytest.param(
            availability("99.9"), observed((15, 80, 4), (30, 80, 4), (45, 80, 4)), 45,
            Verdict.INCONCLUSIVE, "NotProven", id="twelve bad requests in three slices are not believed yet",
        ),
        pytest.param(
            availability("99.9"), observed((15, 60, 3), (30, 60, 3), (45, 60, 3), (60, 60, 3)), 60,
            Verdict.FAIL, "BudgetBurning", id="twelve in four slices are",
        ),
        pytest.param(latency("95"), steady(10, 4, 0.9), 10, Verdict.FAIL, "BudgetBurning", id="90 % slow"),
        pytest.param(
            latency("95"), steady(600, 4, 0.13), 600, Verdict.FAIL, "ObjectiveViolated",
            id="13 % slow never burns, because of the cap, and is proven",
        ),
        pytest.param(latency("95"), steady(80, 4, 0.01), 80, Verdict.PASS, "WithinObjective", id="1 % slow"),
        pytest.param(
            latency("95"), steady(80, 4, 0.09), 80, Verdict.INCONCLUSIVE, "NotProven",
            id="9 % slow: neither proven good nor proven bad",
        ),
        pytest.param(
            latency("95"), steady(150, 4, 0.1), 150, Verdict.INCONCLUSIVE, "NotProven",
            id="10 % slow: over the budget for sure, over what is acceptable perhaps",
        ),
        pytest.param(
            latency("95"),
            observed((555, 25, 15), (570, 25, 15), (585, 25, 15), (600, 25, 15), (2000, 300, 0)), 2060,
            Verdict.FAIL, "ObjectiveViolated", id="what burned long ago is still proven",
        ),
        pytest.param(
            availability("99.9"), observed((600, 20_000, 0), (1300, 1000, 30), (1400, 500, 0)), 1400,
            Verdict.PASS, "WithinObjective", id="a short fault that ended does not burn the short window",
        ),
        pytest.param(
            availability("99.9", 20), observed((2, 30, 0)), 2, Verdict.INCONCLUSIVE, "NotProven",
            id="a small minimum does not make a small proof enough",
        ),
        pytest.param(
            availability("99.9"), observed(), 60, Verdict.NO_DATA, "TooFewRequests", id="no request at all"
        ),
        pytest.param(
            availability("99"), observed((2, 300, 0), blind=("a",)), 2, Verdict.NO_DATA, "StaleSamples",
            id="not passed while a serving pod is unseen",
        ),
        pytest.param(
            availability("99"), observed((2, 30, 30), blind=("a",)), 2, Verdict.FAIL, "BudgetBurning",
            id="failed by the pods that are seen",
        ),
        pytest.param(
            availability("99"), SliFailure(Verdict.ERROR, "PrometheusTimeout", "slow"), 2,
            Verdict.ERROR, "PrometheusTimeout", id="a failure is its own verdict",
        ),
    ],
)  # fmt: skip
def test_verdicts(
    objective: Objective, seen: SliObservation | SliFailure, now: float, verdict: Verdict, reason: str
) -> None:
    assert said(objective, seen, now) == (verdict, reason)


@pytest.mark.parametrize(
    ("counts", "verdict", "reason"),
    [
        (Events(400, 0, 4), Verdict.PASS, "WithinObjective"),
        (Events(400, 0, 300), Verdict.INCONCLUSIVE, "ThresholdBetweenBuckets"),
        (Events(400, 300, 390), Verdict.FAIL, "BudgetBurning"),
        (Events(400, 35, 60), Verdict.INCONCLUSIVE, "NotProven"),
    ],
)
def test_a_threshold_between_buckets_is_judged_from_both_sides(
    counts: Events, verdict: Verdict, reason: str
) -> None:
    seen = SliObservation(0, (Point(10, counts),), boundaries=Boundaries(0.1, 0.5))
    assert said(latency("95"), seen, 10) == (verdict, reason)
    judgement = burn.judge(latency("95"), seen, 10, 0)
    assert judgement.upper_bound is not None
    assert judgement.upper_bound > counts.possibly_bad / counts.total
    assert [(look.bad, look.passed) for look in judgement.looks] == [
        (counts.possibly_bad, verdict is Verdict.PASS)
    ]
    if verdict is not Verdict.FAIL:
        assert "between the buckets 100 ms and 500 ms" in judgement.message


def test_client_errors_are_told_and_judge_nothing() -> None:
    seen = SliObservation(0, (Point(10, Events(400, 0, 0, client_errors=5000)),))
    judgement = burn.judge(availability("99"), seen, 10, 0)
    assert (judgement.verdict, judgement.total) == (Verdict.PASS, 400)
    assert "5000 answers with 4xx" in judgement.message


def test_windows_are_capped_by_the_time_since_the_start() -> None:
    rates = burn.judge(availability("99.9"), steady(40, 4, 0), 40, 0).burn_rates
    assert [rate.seconds for rate in rates] == [40, 40]
    rates = burn.judge(availability("99.9"), steady(4000, 4, 0), 4000, 0).burn_rates
    assert [rate.seconds for rate in rates] == [600, 1800]


def test_what_happened_before_the_step_is_not_judged() -> None:
    burned = [(40 + 20 * number, 250, 225) for number in range(4)]
    seen = observed(*burned, (200, 400, 0))
    assert said(latency("95"), seen, 200)[0] is Verdict.FAIL
    judgement = burn.judge(latency("95"), seen, 200, 100)
    assert (judgement.verdict, judgement.total, judgement.bad) == (Verdict.PASS, 400, 0)


def test_evidence_of_a_smaller_step_passes_no_larger_one() -> None:
    seen = observed((100, 1000, 0), (110, 40, 0))
    assert said(latency("95"), seen, 110)[0] is Verdict.PASS
    assert burn.judge(latency("95"), seen, 110, 100).verdict is Verdict.NO_DATA


def test_a_pass_needs_a_look_and_the_present() -> None:
    at_look = observed((50, 200, 9))  # one more than look 0 accepts
    later = observed((50, 200, 9), (60, 60, 0))
    look_1 = observed((50, 200, 9), (90, 200, 0))
    worse = observed((50, 200, 0), (90, 60, 18))
    assert said(latency("95"), at_look, 50) == (Verdict.INCONCLUSIVE, "AwaitingLook")
    assert said(latency("95"), later, 60) == (Verdict.INCONCLUSIVE, "AwaitingLook")
    assert said(latency("95"), look_1, 90)[0] is Verdict.PASS
    assert said(latency("95"), worse, 90)[0] is not Verdict.PASS
    unclear = SliObservation(0, (Point(50, Events(200, 0, 0)), Point(60, Events(260, 0, 60))))
    assert said(latency("95"), unclear, 60)[0] is Verdict.INCONCLUSIVE


def test_looks_are_declared_by_the_objective_alone() -> None:
    assert [looks.requests_at(latency("95"), number) for number in range(3)] == [200, 400, 800]
    assert [looks.requests_at(availability("99.9"), number) for number in range(3)] == [613, 1226, 2452]
    assert [looks.confidence(number) for number in range(2)] == pytest.approx([0.975, 0.9875])
    assert sum(1 - looks.confidence(number) for number in range(40)) == pytest.approx(0.05)


def test_a_restarted_operator_that_saw_no_turn_in_between_finds_the_same_looks() -> None:
    seen = steady(400, 3, 0.03)
    turns = [burn.judge(latency("95"), seen, now, 0).looks for now in range(0, 402, 2)]
    assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(turns))
    assert [look.requests for look in turns[-1]] == [204, 402, 804]


def test_a_scrape_that_jumps_over_looks_makes_one() -> None:
    (look,) = burn.judge(latency("95"), observed((60, 900, 0)), 60, 0).looks
    assert (look.requests, look.confidence) == (900, looks.confidence(2))


OBJECTIVES = st.sampled_from(
    [availability("99.9"), availability("99"), latency("95"), latency("90"), latency("70"), latency("40")]
)
SCRAPES = st.lists(
    st.tuples(st.integers(1, 400), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300)),
    min_size=1,
    max_size=15,
)
BADNESS = {Verdict.PASS: 0, Verdict.NO_DATA: 1, Verdict.INCONCLUSIVE: 1, Verdict.FAIL: 2}


@given(OBJECTIVES, SCRAPES, st.sampled_from([2.0, 20.0, 300.0]))
@example(latency("95"), [(2, 200, 8, 1)], 2.0)
def test_with_the_same_totals_more_bad_requests_never_make_a_verdict_better(
    objective: Objective, scrapes: list[tuple[int, int, int, int]], every: float
) -> None:
    less, more = [], []
    for number, (_, total, bad, extra) in enumerate(scrapes, start=1):
        less.append((number * every, total, min(bad, total)))
        more.append((number * every, total, min(bad + extra, total)))
    now = len(scrapes) * every
    better, worse = (burn.judge(objective, observed(*line), now, 0) for line in (less, more))
    assert BADNESS[worse.verdict] >= BADNESS[better.verdict]


@given(OBJECTIVES, SCRAPES)
def test_no_data_and_no_pass_below_the_minimum(
    objective: Objective, scrapes: list[tuple[int, int, int, int]]
) -> None:
    line = [(2.0 * n, total, min(bad, total)) for n, (_, total, bad, _) in enumerate(scrapes, start=1)]
    judgement = burn.judge(objective, observed(*line), 2.0 * len(scrapes), 0)
    few = judgement.total < objective.minimum_requests
    assert judgement.verdict in ({Verdict.NO_DATA, Verdict.FAIL} if few else set(BADNESS) - {Verdict.NO_DATA})
    if judgement.verdict is Verdict.PASS:
        assert judgement.upper_bound is not None
        assert judgement.upper_bound <= objective.pass_limit


@given(OBJECTIVES, st.sampled_from(windows.WINDOWS))
def test_a_burning_window_asks_for_no_more_than_20_percent_and_no_less_than_a_pass_accepts(
    objective: Objective, window: windows.BurnWindow
) -> None:
    ratio = objective.burn_ratio(window.factor)
    assert objective.budget < objective.pass_limit <= ratio < 1
    assert ratio <= max(0.2, objective.pass_limit)


def test_minimum_counts_are_those_of_the_research_and_grow_where_the_cap_bites() -> None:
    fast, slow = windows.WINDOWS
    assert fast.minimum_bad == slow.minimum_bad == 10
    assert windows.minimum_bad(14.4 * 0.001, 0.001, 1) == 5
    assert windows.minimum_bad(6 * 0.001, 0.001, slow.minimum_bad) == 10
    assert windows.minimum_bad(0.2, 0.05, fast.minimum_bad) == 12
    assert windows.minimum_bad(0.2, 0.1, fast.minimum_bad) == 36


def lives(
    objective: Objective, bad_ratio: float, *, runs: int, scrapes: list[int], seed: int
) -> list[Verdict]:
    """Return the first Pass or Fail of seeded lives at 4 requests per second.

    Parameters
    ----------
    objective, bad_ratio
        What is asked for, and what the candidate does.
    runs : int
        Lives.
    scrapes : list of int
        Total requests at each scrape.
    seed : int
        Of the chance.
    """
    chance = random.Random(seed)
    verdicts = []
    for _ in range(runs):
        points: list[Point] = []
        bad = before = 0
        decided = Verdict.INCONCLUSIVE
        for total in scrapes:
            bad += sum(chance.random() < bad_ratio for _ in range(total - before))
            before = total
            points.append(Point(total / 4, Events(total, bad, bad)))
            verdict = burn.judge(objective, SliObservation(0, tuple(points)), total / 4, 0).verdict
            if verdict in (Verdict.PASS, Verdict.FAIL):
                decided = verdict
                break
        verdicts.append(decided)
    return verdicts


def test_a_candidate_at_the_pass_limit_seldom_passes_however_often_one_looks() -> None:
    objective = latency("95")
    looks_only = [200, 400, 800, 1600, 3200]  # nothing passes between two looks that did not at the first
    verdicts = lives(objective, objective.pass_limit, runs=400, scrapes=looks_only, seed=7)
    assert 0 < verdicts.count(Verdict.PASS) <= 29  # 5 % are 20; more than 29 have a probability of 2 %


def test_a_candidate_at_its_budget_does_not_fail() -> None:
    verdicts = lives(latency("95"), 0.05, runs=30, scrapes=list(range(8, 401, 8)), seed=11)
    assert verdicts.count(Verdict.FAIL) == 0


def test_the_demo_fails_its_throttled_candidate_at_once_and_passes_its_healthy_one() -> None:
    scrapes = list(range(8, 201, 8))  # every 2 s, for 50 s
    assert set(lives(latency("90"), 0.8, runs=20, scrapes=scrapes[:20], seed=3)) == {Verdict.FAIL}
    assert set(lives(latency("90"), 0.02, runs=20, scrapes=scrapes, seed=5)) == {Verdict.PASS}
