import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from canary_checks.performance import intervals, mixing, replay
from tests.unit.canary_checks import loads

TRIALS = 200
# 95 % of 200 trials are 190; the seeds are fixed.
ENOUGH = 183


def covered(truth: float, found: list[intervals.Interval]) -> int:
    return sum(one.low <= truth <= one.high for one in found)


@pytest.mark.parametrize("q", [0.5, 0.95])
def test_the_interval_of_a_quantile_holds_the_truth(q):
    truth = math.exp(0.2 * scipy.stats.norm.ppf(q))
    found = [intervals.quantile(loads.lognormal(1.0, 500, seed=seed), q) for seed in range(TRIALS)]
    assert covered(truth, found) >= ENOUGH
    assert np.median([one.high / one.low for one in found]) < (1.08 if q == 0.5 else 1.2)


def correlated(seed: int, count: int = 2000) -> np.ndarray:
    """Noise that remembers: a server whose neighbours come and go."""
    chance = np.random.default_rng(seed)
    noise = chance.standard_normal(count)
    for place in range(1, count):
        noise[place] = 0.9 * noise[place - 1] + math.sqrt(1 - 0.81) * noise[place]
    return np.exp(0.2 * noise)


def test_an_interval_knows_that_neighbours_in_time_depend_on_each_other():
    series = [correlated(seed) for seed in range(60)]
    found = [intervals.quantile(one, 0.5) for one in series]
    shuffled = [intervals.quantile(np.random.default_rng(1).permutation(one), 0.5) for one in series]
    assert covered(1.0, found) >= 50
    assert covered(1.0, shuffled) < 40, "what ignores the order is too sure of itself"


def test_the_interval_of_a_ratio_holds_the_truth():
    found = [
        intervals.ratio(
            intervals.quantile(loads.lognormal(1.25, 400, seed=seed), 0.95),
            intervals.quantile(loads.lognormal(1.0, 400, seed=seed + 10_000), 0.95),
        )
        for seed in range(TRIALS)
    ]
    assert covered(1.25, found) >= ENOUGH


def test_the_interval_of_a_rate_holds_the_truth():
    found = [
        intervals.rate(np.random.default_rng(seed).poisson(30, intervals.BATCHES).astype(float), 60.0)
        for seed in range(TRIALS)
    ]
    assert covered(10.0, found) >= ENOUGH


@pytest.mark.parametrize(("q", "least"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_too_few_samples_leave_the_upper_bound_open(q, least):
    def spread(count: int) -> np.ndarray:
        """Values whose large ones come evenly, so that every sample counts."""
        stride = next(s for s in range(int(count * 0.618), 0, -1) if math.gcd(s, count) == 1)
        return 1.0 + np.arange(count) * stride % count

    assert intervals.quantile(spread(least - 1), q).high == math.inf
    assert intervals.quantile(spread(least), q).high < math.inf


@given(st.integers(1, 400), st.floats(0.05, 0.95))
@settings(max_examples=60)
def test_the_ranks_are_the_exact_ones(count, q):
    found = intervals.quantile(np.arange(1.0, count + 1), q)
    effective = count / intervals.inflation(np.arange(1.0, count + 1) > found.point, 1 - q)
    if effective == count:
        # As many samples below the bound as its rank says: the probability that the quantile is outside.
        below = 0 if found.low == 0 else int(found.low)
        above = count + 1 if found.high == math.inf else int(found.high)
        missed = scipy.stats.binom.cdf(below - 1, count, q) + scipy.stats.binom.sf(above - 1, count, q)
        assert missed <= 0.05 + 1e-9
    assert found.low <= found.point <= found.high


@given(st.integers(0, 400), st.integers(1, 400))
@settings(max_examples=60)
def test_a_share_has_the_interval_of_clopper_and_pearson(count, total):
    count = min(count, total)
    found = intervals.share(count, total)
    known = scipy.stats.binomtest(count, total).proportion_ci(0.95, method="exact")
    assert found.low == pytest.approx(known.low, abs=1e-9)
    assert found.high == pytest.approx(known.high, abs=1e-9)


estimates = st.tuples(st.floats(1e-3, 1e3), st.floats(1, 10), st.floats(1, 10)).map(
    lambda said: intervals.Interval(said[0] / said[1], said[0], said[0] * said[2])
)


@given(estimates, estimates)
def test_a_ratio_lies_in_its_interval_and_turns_around(one, other):
    found, turned = intervals.ratio(one, other), intervals.ratio(other, one)
    assert found.low <= found.point * (1 + 1e-9)
    assert found.point <= found.high * (1 + 1e-9)
    assert found.low * turned.high == pytest.approx(1.0)
    # Never wider than the two worst cases together.
    assert found.high <= one.high / other.low * (1 + 1e-9)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ((1.0, 2.0, math.inf), (1.0, 1.0, 1.0)),
        ((0.0, 2.0, 3.0), (0.0, 1.0, math.inf)),
        ((1.0, math.inf, math.inf), (1.0, 1.0, 2.0)),
        ((1.0, math.inf, math.inf), (1.0, math.inf, math.inf)),
        ((0.0, 0.0, 1.0), (0.0, 0.0, 1.0)),
    ],
)
def test_what_is_open_stays_open(ours, theirs):
    found = intervals.ratio(intervals.Interval(*ours), intervals.Interval(*theirs))
    assert not math.isnan(found.low)
    assert not math.isnan(found.high)
    assert found.low <= found.high
    assert found.high == math.inf


def test_a_slope_holds_the_truth_and_is_not_bent_by_outliers():
    times = np.linspace(0, 900, 180)
    found = []
    for seed in range(100):
        chance = np.random.default_rng(seed)
        values = 100 + 0.01 * times + chance.standard_normal(180)
        values[chance.integers(0, 180, 5)] += 50
        made = intervals.slope(times, values)
        assert made is not None
        found.append(made)
    assert covered(0.01, found) >= 88
    assert np.median([one.high - one.low for one in found]) < 0.002


def test_a_slope_of_few_points_is_none_and_of_a_plateau_is_exactly_nothing():
    times = np.arange(7.0)
    assert intervals.slope(times, times) is None
    assert intervals.slope(np.arange(50.0), np.full(50, 3.0)) == intervals.Interval(0.0, 0.0, 0.0)
    assert intervals.slope(np.zeros(50), np.arange(50.0)) is None


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=40),
    st.integers(1, 60),
    st.integers(1, 3),
    st.integers(0, 9),
)
def test_every_input_goes_once_before_any_goes_again(sizes, requests, inputs, seed):
    found = mixing.mixed(sizes, (), requests=requests, inputs=inputs, seed=seed)
    again = mixing.mixed(sizes, (), requests=requests, inputs=inputs, seed=seed)
    assert found.order.shape == (requests, inputs)
    assert (found.order == again.order).all()
    counts = np.bincount(found.order.ravel(), minlength=len(sizes))
    assert counts.max() - counts.min() <= 1
    assert found.distance is None


BINS = (replay.Bin(up_to=100, share="0.25"), replay.Bin(up_to=1000, share="0.75"))


@pytest.mark.parametrize(
    ("sizes", "distance", "uncovered"),
    [
        ([50, 500, 600, 700], 0.0, 0.0),
        ([50, 60, 70, 500], 0.5, 0.0),
        ([500], 0.25, 0.25),
        ([50], 0.75, 0.75),
        ([5000], 1.0, 1.0),
        ([100, 101, 102, 5000], 0.25, 0.0),
    ],
)
def test_a_mix_knows_how_far_the_golden_set_is_from_it(sizes, distance, uncovered):
    found = mixing.mixed(sizes, BINS, requests=4000, inputs=1, seed=3)
    assert found.distance == pytest.approx(distance)
    assert found.uncovered == pytest.approx(uncovered)
    if uncovered == 0:
        small = (np.array(sizes)[found.order] <= 100).mean()
        assert small == pytest.approx(0.25, abs=0.03)


def test_the_inputs_of_one_request_are_of_one_bin():
    found = mixing.mixed([50, 60, 500, 600], BINS, requests=200, inputs=3, seed=3)
    small = found.order < 2
    assert (small.all(axis=1) | (~small).all(axis=1)).all()


def test_arrivals_are_those_of_a_poisson_process():
    times = mixing.poisson(50.0, 100.0, most=10_000, seed=4)
    gaps = np.diff(times)
    assert 4800 < len(times) < 5200
    assert scipy.stats.kstest(gaps, "expon", args=(0, 1 / 50)).pvalue > 0.01
    assert (mixing.poisson(50.0, 100.0, most=10, seed=4) == times[:10]).all()
    assert (mixing.poisson(50.0, 100.0, most=10, seed=5) != times[:10]).any()
