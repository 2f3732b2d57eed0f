"""Wilson's interval, and that of the difference of two paired rates."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from canary_checks.parity import rates

shares = st.lists(
    st.tuples(st.floats(0, 1, allow_subnormal=False), st.floats(0, 1, allow_subnormal=False)),
    min_size=1,
    max_size=40,
)


def paired(both: int, before: int, after: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    old = [1.0] * (both + before) + [0.0] * (after + neither)
    new = [1.0] * both + [0.0] * before + [1.0] * after + [0.0] * neither
    return np.array(old), np.array(new)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    # The textbook's: 81 of 263 (Newcombe 1998, table I), and the ends.
    [(81, 263, 0.2553, 0.3662), (0, 100, 0.0, 0.0370), (100, 100, 0.9630, 1.0)],
)
def test_wilsons_interval(hits, of, low, high):
    found = rates.wilson(np.array([1.0] * hits + [0.0] * (of - hits)))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert found.estimate == hits / of


def test_the_interval_of_a_paired_difference_is_the_published_one():
    # Newcombe 1998 (paired data), method 10: 20, 12, 2 and 16 of 50.
    found = rates.drop(*paired(20, 12, 2, 16))
    assert (found.low, found.estimate, found.high) == pytest.approx((0.0562, 0.2, 0.3292), abs=5e-5)


def test_what_is_equal_row_by_row_is_told_more_exactly_than_what_is_equal_on_average():
    alike, unlike = rates.drop(*paired(80, 0, 0, 20)), rates.drop(*paired(60, 20, 20, 0))
    assert alike.estimate == unlike.estimate == 0
    assert alike.high < 0.5 * unlike.high


@hypothesis.given(shares)
def test_intervals_are_around_the_estimate_and_turn_with_the_sides(pairs):
    before, after = (np.array(side) for side in zip(*pairs, strict=True))
    found, turned = rates.drop(before, after), rates.drop(after, before)
    assert -1 <= found.low <= found.estimate <= found.high <= 1
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    alone = rates.wilson(after)
    assert 0 <= alone.low <= alone.estimate <= alone.high <= 1


@pytest.mark.parametrize(("rate", "kept"), [(0.9, 0.6), (0.8, 0.5), (0.97, 0.3)])
def test_the_interval_holds_the_truth_in_95_of_100_cases(rate, kept):
    chance, lost, inside, cases = np.random.default_rng(5), 0.05, 0, 1000
    for _ in range(cases):
        before = (chance.random(100) < rate).astype(float)
        anew = (chance.random(100) < rate - lost).astype(float)
        after = np.where(chance.random(100) < kept, before, anew)
        found = rates.drop(before, after)
        inside += found.low <= (1 - kept) * lost <= found.high
    assert inside >= 0.935 * cases
