import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api import slo_state
from modelrelease.slo import arms, state
from modelrelease.slo.observation import Events, Point, SliObservation

START, BUDGET = 1_800_000_000, 0.001


def line(
    seed: int, slices: int = 60, rate: int = 40, ratio: float = 0.004, refused: float = 0.0
) -> SliObservation:
    """Return a scrape every 15 s, from five minutes before the start."""
    chance, points, counted = random.Random(seed), [], Events()
    for number in range(-20, slices):
        total = chance.randint(0, 2 * rate)
        bad = sum(chance.random() < ratio for _ in range(total))
        rejected = sum(chance.random() < refused for _ in range(total))
        counted = counted + Events(total, bad, bad, rejected)
        points.append(Point(START + 15 * number + 12.0, counted))
    return SliObservation(START - 300, tuple(points), interval=15.0)


def at(slices: float) -> float:
    """Return when so many slices have settled."""
    return START + 15 * slices + 15 + arms.SETTLE_SECONDS


def folded(
    ours: SliObservation, theirs: SliObservation | None, times: list[float], **more: object
) -> slo_state.SloState:
    known = state.begin(START, 15)
    for time in times:
        known = state.advance(known, ours, arms.Baseline(theirs, **more), BUDGET, time)  # type: ignore[arg-type]
        known = slo_state.SloState.model_validate_json(known.model_dump_json(by_alias=True))
    return known


@given(st.lists(st.floats(0, 60), max_size=8), st.integers(0, 5))
def test_a_restarted_operator_comes_to_the_same_state_from_whichever_earlier_one(
    stops: list[float], seed: int
) -> None:
    ours, theirs = line(seed), line(seed + 100, ratio=0.001)
    once = folded(ours, theirs, [at(60)])
    assert folded(ours, theirs, [*(at(stop) for stop in sorted(stops)), at(60)]) == once
    assert folded(ours, theirs, [at(60), at(60), at(30)]) == once


def test_every_request_is_counted_once() -> None:
    ours, theirs = line(1), line(2)
    known = folded(ours, theirs, [at(number) for number in range(61)])
    assert known.through == START + 60 * 15
    counted = ours.until(known.through) - ours.until(START)
    assert (known.candidate.requests, known.candidate.bad) == (counted.total, counted.bad)
    beside = theirs.until(known.through) - theirs.until(START)
    assert (known.baseline.requests, known.baseline.bad) == (beside.total, beside.bad)


def test_what_has_not_settled_is_not_counted_yet() -> None:
    known = folded(line(1), line(2), [at(4) - 0.1])
    assert known.through == START + 3 * 15


def test_the_worse_arm_gathers_evidence_and_the_other_does_not() -> None:
    good, bad = line(3, ratio=0.0005), line(4, ratio=0.05)
    worse, better = folded(bad, good, [at(60)]), folded(good, bad, [at(60)])
    assert worse.peak > 20 * 1_000_000 > 1_000_000 > better.peak
    assert (worse.worse, worse.better) == (better.better, better.worse)


def test_an_incident_of_both_arms_is_not_held_against_the_candidate() -> None:
    ours, theirs = line(5, ratio=0.03), line(6, ratio=0.03)
    assert folded(ours, None, [at(60)]).peak > 20 * 1_000_000
    assert folded(ours, theirs, [at(60)]).peak < 4 * 1_000_000


def test_more_refused_requests_are_evidence_of_their_own() -> None:
    ours, theirs = line(7, ratio=0.0, refused=0.1), line(8, ratio=0.0, refused=0.01)
    known = folded(ours, theirs, [at(60)])
    assert known.client_error_peak > 5 * 1_000_000
    assert known.peak == pytest.approx(0, abs=1_000_000)


def test_arms_with_other_traffic_are_not_compared() -> None:
    known = folded(line(1, rate=40), line(2, rate=5), [at(60)])
    assert known.worse + known.better <= 2


def test_stable_is_recorded_once_and_raises_what_is_accepted() -> None:
    known = folded(line(1), None, [at(10), at(60)], recorded=Events(100_000, 1_000, 1_000))
    assert known.recorded == slo_state.Counted(requests=100_000, bad=1_000)
    assert state.accepted(BUDGET, known.recorded) == pytest.approx(0.0105, abs=0.0002)
    assert state.accepted(BUDGET, None) == state.accepted(BUDGET, slo_state.Counted()) == BUDGET


def test_a_slow_scrape_makes_long_slices() -> None:
    assert [arms.slice_seconds(interval) for interval in (0, 5, 15, 15.1, 60)] == [15, 15, 15, 30, 60]
    assert state.begin(START + 1, 30).through == START + 30


def test_the_state_is_small() -> None:
    largest = 2**53 - 1
    counted = slo_state.Counted(requests=largest, bad=largest, client_errors=largest)
    logs = [-largest] * 4
    known = slo_state.SloState(
        since=largest, through=largest, slice_seconds=3600, candidate=counted, baseline=counted,
        recorded=counted, worse=2**31 - 1, better=2**31 - 1, signs=logs, minute_signs=logs, bad_slices=logs,
        client_error_signs=logs, minute_candidate=counted, minute_baseline=counted, peak=-largest,
        client_error_peak=-largest,
    )  # fmt: skip
    assert len(known.model_dump_json(by_alias=True)) <= 4096
