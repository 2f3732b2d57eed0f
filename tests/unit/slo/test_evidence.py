import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.slo import evidence

REQUESTS = st.integers(1, 5000)


def ratios(before: evidence.Logs, after: evidence.Logs) -> list[float]:
    return [math.exp((b - a) / evidence.MICRO) for a, b in zip(before, after, strict=True)]


@given(REQUESTS, REQUESTS, st.floats(0, 1))
def test_a_bet_on_signs_is_fair_at_most_while_the_candidate_is_not_worse(
    candidate: int, baseline: int, share: float
) -> None:
    chance = share * max(0.5, candidate / (candidate + baseline))
    won, lost = (
        ratios(
            evidence.NONE, evidence.sign(evidence.NONE, worse=worse, candidate=candidate, baseline=baseline)
        )
        for worse in (True, False)
    )
    for win, loss in zip(won, lost, strict=True):
        assert chance * win + (1 - chance) * loss <= 1 + 1e-5


@given(REQUESTS, st.floats(1e-5, 0.3), st.floats(0, 1))
def test_a_bet_on_bad_slices_is_fair_at_most_while_no_more_than_accepted_is_bad(
    requests: int, accepted: float, share: float
) -> None:
    chance = -math.expm1(requests * math.log1p(-accepted * share))
    won, lost = (
        ratios(
            evidence.NONE, evidence.bad_slice(evidence.NONE, bad=bad, requests=requests, accepted=accepted)
        )
        for bad in (True, False)
    )
    for win, loss in zip(won, lost, strict=True):
        assert chance * win + (1 - chance) * loss <= 1 + 1e-4


def test_nine_slices_in_a_row_are_much_and_eight_against_eight_are_nothing() -> None:
    logs = evidence.NONE
    for _ in range(9):
        logs = evidence.sign(logs, worse=True, candidate=150, baseline=150)
    assert evidence.value((logs,)) > 100
    for worse in [False, True] * 8:
        logs = evidence.sign(logs, worse=worse, candidate=150, baseline=150)
    assert evidence.value((logs,)) < 30
    level = evidence.NONE
    for worse in [False, True] * 8:
        level = evidence.sign(level, worse=worse, candidate=150, baseline=150)
    assert evidence.value((level,)) < 1


def test_an_arm_with_twice_the_traffic_is_expected_to_meet_the_rare_error_twice_as_often() -> None:
    alike, more = (
        evidence.sign(evidence.NONE, worse=True, candidate=candidate, baseline=100)
        for candidate in (100, 200)
    )
    assert max(more) < max(alike)


@pytest.mark.parametrize("count", [10, 100_000])
def test_evidence_is_bounded_and_starts_at_one(count: int) -> None:
    assert evidence.value((evidence.NONE, evidence.NONE), (evidence.NONE,)) == 1
    logs = evidence.NONE
    for _ in range(min(count, 2000)):
        logs = evidence.bad_slice(logs, bad=True, requests=1, accepted=1e-6)
    assert max(logs) <= evidence.LOG_MAX
    assert math.isfinite(evidence.value((logs,)))
