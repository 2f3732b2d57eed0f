"""What Prometheus counted of users' requests becomes a mix that a load can be drawn from."""

import decimal
import math

import hypothesis
import pytest
from hypothesis import strategies as st

from modelrelease.api import live
from modelrelease.core import live_load

CHARACTERS = live.LiveSizes(metric="m")
TOKENS = live.LiveSizes(metric="m", unit=live.SizeUnit.TOKENS)
PIXELS = live.LiveSizes(metric="m", label="size", unit=live.SizeUnit.PIXELS)


def shares(mix: tuple[live_load.Bin, ...]) -> dict[int, float]:
    return {one.up_to: float(one.share) for one in mix}


def test_buckets_are_cumulative_and_the_last_one_has_no_bound():
    counts = {10.0: 700.0, 100.0: 900.0, math.inf: 1000.0}
    assert shares(live_load.of_histogram(counts, CHARACTERS)) == {10: 0.7, 100: 0.2, live_load.LARGEST: 0.1}
    assert list(shares(live_load.of_histogram(counts, TOKENS))) == [40, 400, live_load.LARGEST]


def test_a_size_is_a_number_or_two_sides_and_nothing_else():
    counts = {
        "512x512": 60.0,
        "1024x768": 30.0,
        "262144": 30.0,
        "auto": 900.0,
        "": 5.0,
        "0x0": 4.0,
        "-3": 1.0,
    }
    assert shares(live_load.of_labels(counts, PIXELS)) == {512 * 512: 0.75, 1024 * 768: 0.25}


@pytest.mark.parametrize("total", [0.0, 99.0, math.nan])
def test_few_requests_make_no_mix(total):
    assert live_load.of_histogram({10.0: total, math.inf: total}, CHARACTERS) == ()
    assert live_load.of_labels({"512x512": total}, PIXELS) == ()


@hypothesis.given(
    st.dictionaries(st.floats(0.1, 1e12), st.floats(0, 1e12), max_size=80), st.floats(100, 1e12)
)
@hypothesis.example({0.1: 5.0, 0.2: 3.0}, 100.0)
def test_every_mix_is_one_that_a_load_can_have(counts, total):
    mix = live_load.of_histogram(counts | {math.inf: total}, CHARACTERS)
    assert 0 < len(mix) <= live_load.BINS_MAX
    assert sum(decimal.Decimal(one.share) for one in mix) == 1
    assert all(decimal.Decimal(one.share) >= 0 for one in mix)
    edges = [one.up_to for one in mix]
    assert edges == sorted(set(edges))
    assert 1 <= edges[0] <= edges[-1] <= live_load.LARGEST


def test_the_bins_are_the_same_whatever_was_counted():
    edges = [float(10 * n) for n in range(1, 60)]
    few = live_load.of_histogram(dict.fromkeys(edges, 0.0) | {math.inf: 200.0}, CHARACTERS)
    many = live_load.of_histogram({e: e for e in edges} | {math.inf: 900.0}, CHARACTERS)
    assert [one.up_to for one in few] == [one.up_to for one in many]


def test_a_rate_counts_young_pods_since_they_began():
    counts, ages = {"old": 8640.0, "young": 60.0}, {"old": 1e6, "young": 600.0}
    assert float(live_load.rate(counts, ages, 86_400)) == pytest.approx(0.2)
    assert live_load.rate({}, {}, 86_400) == ""
    assert live_load.rate({"p": 0.0}, {}, 86_400) == ""
