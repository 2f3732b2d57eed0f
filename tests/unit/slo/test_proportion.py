import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from modelrelease.slo import proportion

COUNTS = st.integers(1, 200_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total)))
CONFIDENCES = st.sampled_from([0.5, 0.95, 0.975, 0.99, 0.999, 1 - 1e-6])


@given(
    a=st.floats(0.5, 1e5), b=st.floats(0.5, 1e5), x=st.floats(0, 1, allow_nan=False, allow_subnormal=False)
)
def test_the_incomplete_beta_function_is_scipys(a: float, b: float, x: float) -> None:
    assert proportion.incomplete_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-7, abs=1e-12)


@given(counts=COUNTS, confidence=CONFIDENCES)
def test_the_bounds_are_quantiles_of_scipys_beta_distribution(
    counts: tuple[int, int], confidence: float
) -> None:
    bad, total = counts
    upper = 1.0 if bad == total else stats.beta.ppf(confidence, bad + 1, total - bad)
    lower = 0.0 if bad == 0 else stats.beta.ppf(1 - confidence, bad, total - bad + 1)
    assert proportion.upper_bound(bad, total, confidence) == pytest.approx(upper, rel=1e-6, abs=1e-12)
    assert proportion.lower_bound(bad, total, confidence) == pytest.approx(lower, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(
    ("total", "bad", "percent"),
    [(180, 0, 1.65), (180, 1, 2.61), (180, 2, 3.46), (600, 0, 0.50), (600, 1, 0.79), (1800, 2, 0.35)],
)
def test_the_bounds_are_those_of_the_published_table(total: int, bad: int, percent: float) -> None:
    assert 100 * proportion.upper_bound(bad, total, 0.95) == pytest.approx(percent, abs=0.006)


@given(counts=COUNTS, confidence=CONFIDENCES)
def test_the_bounds_enclose_what_was_seen_and_rise_with_bad_requests(
    counts: tuple[int, int], confidence: float
) -> None:
    bad, total = counts
    upper, lower = (f(bad, total, confidence) for f in (proportion.upper_bound, proportion.lower_bound))
    assert 0 <= lower <= bad / total <= upper <= 1
    if bad < total:
        assert proportion.upper_bound(bad + 1, total, confidence) >= upper
        assert proportion.lower_bound(bad + 1, total, confidence) >= lower


@given(counts=COUNTS, ratio=st.floats(1e-6, 1 - 1e-6))
def test_the_tail_is_the_binomials(counts: tuple[int, int], ratio: float) -> None:
    bad, total = counts
    assert proportion.tail(bad, total, ratio) == pytest.approx(
        stats.binom.sf(bad - 1, total, ratio), rel=1e-6, abs=1e-12
    )


def test_without_a_bad_request_the_bound_is_the_rule_of_three() -> None:
    assert proportion.upper_bound(0, 1000, 0.95) == pytest.approx(1 - 0.05 ** (1 / 1000))
    assert proportion.upper_bound(0, 0, 0.95) == 1


@pytest.mark.parametrize("bad", [0.0, 0.02, 1.5])
@pytest.mark.parametrize("good", [1 / 30, 0.4, 1.0, 2.5])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_counts_that_were_divided_by_their_dispersion_have_bounds_too(
    bad: float, good: float, confidence: float
) -> None:
    upper = special.betaincinv(bad + 1, good, confidence)
    assert proportion.upper_bound(bad, bad + good, confidence) == pytest.approx(upper, rel=1e-6)


@pytest.mark.parametrize(("bad", "total"), [(-1, 3), (4, 3), (0, -1)])
def test_impossible_counts_are_refused(bad: int, total: int) -> None:
    for function in (proportion.upper_bound, proportion.lower_bound, proportion.tail):
        with pytest.raises(ValueError, match="impossible"):
            function(bad, total, 0.95)


@pytest.mark.parametrize(("a", "b", "x"), [(0, 1, 0.5), (1, -1, 0.5), (1, 1, 1.1), (1, 1, math.nan)])
def test_arguments_out_of_range_are_refused(a: float, b: float, x: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        proportion.incomplete_beta(a, b, x)
