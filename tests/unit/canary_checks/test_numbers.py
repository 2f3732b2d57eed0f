"""Distances, numeric classes and gates."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import failure, request
from canary_checks import vocabulary as v
from canary_checks.parity import distance, gates, numeric

CLASSES = st.sampled_from(list(numeric.TOLERANCES))
angles = st.floats(1e-7, math.pi)
lengths = st.floats(1e-3, 1e3)


@given(angles, lengths, lengths, st.integers(2, 400), st.integers(0, 2**32 - 1))
def test_the_distance_of_a_known_angle_is_exact_whatever_the_lengths(angle, one, other, width, seed):
    random = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(random.standard_normal((width, 2)))
    a = one * basis[:, 0]
    b = other * (math.cos(angle) * basis[:, 0] + math.sin(angle) * basis[:, 1])
    wanted = 2 * math.sin(angle / 2) ** 2
    assert distance.cosine(a[None], b[None])[0] == pytest.approx(wanted, rel=1e-6, abs=1e-30)
    assert distance.norm_deviation(a[None], b[None])[0] == pytest.approx(
        abs(one / other - 1), rel=1e-9, abs=1e-15
    )


def test_a_distance_of_one_part_in_ten_to_the_twelfth_is_seen_where_a_dot_product_sees_none():
    a = np.zeros((1, 384), dtype=np.float32)
    a[0, 0] = 1
    b = a.copy()
    b[0, 1] = 1e-6
    assert distance.cosine(a, b)[0] == pytest.approx(5e-13, rel=1e-6)
    assert np.float32(1) - np.float32((a * b).sum()) == 0


def test_every_pair_is_what_cosine_says_of_each():
    random = np.random.default_rng(1)
    a, b = random.standard_normal((5, 7)), random.standard_normal((4, 7))
    each = [[distance.cosine(x[None], y[None])[0] for y in b] for x in a]
    np.testing.assert_allclose(distance.every_pair(a, b), each, rtol=1e-14)
    assert distance.every_pair(a[:0], b).shape == (0, 4)


@pytest.mark.parametrize("row", [[0, 0], [math.nan, 1], [math.inf, 1], [1e39, 0]])
def test_a_row_without_a_direction_is_not_a_number_and_not_finite(row):
    with np.errstate(over="ignore"):
        bad = np.array([row, [3, 4]], dtype=np.float32)
    good = np.array([[3, 4], [6, 8]], dtype=np.float32)
    assert distance.finite_rows(bad).tolist() == [False, True]
    assert np.isnan(distance.cosine(bad, good)).tolist() == [True, False]
    assert distance.cosine(bad, good)[1] == 0


def test_rows_are_paired_only_in_the_same_shape():
    with pytest.raises(ValueError, match="cannot pair"):
        distance.cosine(np.ones((2, 3)), np.ones((2, 4)))


@given(CLASSES, st.one_of(st.none(), st.floats(0, 1)))
def test_a_calibrated_limit_stays_between_floor_and_ceiling(numeric_class, noise):
    floor = numeric.TOLERANCES[numeric_class].cosine_distance
    limit = numeric.calibrated(floor, noise)
    assert floor <= limit.value <= 4 * floor
    if noise is None or 3 * noise <= floor:
        assert limit == numeric.Limit(floor, v.Basis.CLASS_FLOOR)
    elif 3 * noise < 4 * floor:
        assert limit == numeric.Limit(3 * noise, v.Basis.CALIBRATED)
    else:
        assert limit == numeric.Limit(4 * floor, v.Basis.CLASS_CEILING)


# Worst benign and mildest real fault of 65, each in its class: research, parity.md §2.4 and §2.5.
@pytest.mark.parametrize(
    ("numeric_class", "benign", "fault"),
    [("fp32", 1.6e-12, 3.8e-6), ("tf32", 8.6e-7, 8.5e-4), ("fp16", 3.7e-6, 8.5e-4), ("bf16", 1.5e-4, 8.5e-4),
     ("int8", 3.4e-3, 2.1e-2), ("fp8", 1.9e-2, 8.7e-2)],
)  # fmt: skip
def test_each_class_passes_its_worst_benign_and_fails_its_mildest_fault(numeric_class, benign, fault):
    limit = numeric.calibrated(numeric.TOLERANCES[v.NumericClass(numeric_class)].cosine_distance, None)
    assert gates.at_most("CosineDistanceWorst", benign, limit, samples=106).verdict == "Pass"
    assert gates.at_most("CosineDistanceWorst", fault, limit, samples=106).verdict == "Fail"


def test_a_limit_of_zero_is_the_gate_of_bit_equal_rows():
    rows = np.random.default_rng(1).standard_normal((8, 384)).astype(np.float32)
    other = rows.copy()
    other[3, 5] = np.nextafter(other[3, 5], np.float32(9))
    exact = gates.Limits([override(max="0")], frozenset({"CosineDistanceWorst"})).of(
        "CosineDistanceWorst", numeric.Limit(1e-9, v.Basis.CLASS_FLOOR)
    )
    for answered, verdict in ((rows, "Pass"), (other, "Fail")):
        worst = gates.worst(distance.cosine(answered, rows))
        assert gates.at_most("CosineDistanceWorst", worst, exact, samples=8).verdict == verdict


def test_classes_are_ordered_by_every_tolerance():
    rows = list(numeric.TOLERANCES.values())
    for field in ("cosine_distance", "norm_deviation", "repeat_distance", "repeat_norm_deviation"):
        values = [getattr(row, field) for row in rows]
        assert values == sorted(values)
    assert all(row.repeat_distance < row.cosine_distance for row in rows)
    assert list(numeric.TOLERANCES) == list(v.NumericClass)
    assert numeric.worse([v.NumericClass.BF16, v.NumericClass.FP32]) == "bf16"
    assert numeric.worse([v.NumericClass.TF32, v.NumericClass.FP32]) == "tf32"
    assert numeric.worse([v.NumericClass.INT8, v.NumericClass.FP8]) == "fp8"


@given(st.floats(), st.floats(0, 1e300), st.integers(0, 200))
def test_a_gate_passes_only_what_was_measured_and_is_within_the_limit(observed, limit, samples):
    gate = gates.at_most(
        "CosineDistanceWorst", observed, numeric.Limit(limit, v.Basis.DECLARED), samples=samples
    )
    if samples == 0:
        assert gate.verdict == "NoData"
    else:
        assert (gate.verdict == "Pass") == (math.isfinite(observed) and observed <= limit)


@pytest.mark.parametrize(
    ("verdicts", "combined"),
    [
        ([], "NoData"),
        (["Pass"], "Pass"),
        (["Pass", "NoData"], "NoData"),
        (["NoData", "Inconclusive"], "Inconclusive"),
        (["Inconclusive", "Error"], "Error"),
        (["Error", "Fail"], "Fail"),
        (["Pass", "Fail"], "Fail"),
    ],
)
def test_gates_combine_by_precedence(verdicts, combined):
    samples = {"Pass": (0.0, 1), "Fail": (2.0, 1), "NoData": (0.0, 0)}
    made = []
    for verdict in verdicts:
        observed, n = samples.get(verdict, (0.0, 1))
        gate = gates.at_most("CosineDistanceWorst", observed, numeric.Limit(1, v.Basis.DECLARED), samples=n)
        made.append(gate.model_copy(update={"verdict": v.Verdict(verdict)}))
    assert gates.verdict_of(made) == combined


def override(**limits: str) -> request.GateOverride:
    return request.GateOverride(metric="CosineDistanceWorst", **limits)


def test_an_override_replaces_the_limit_and_says_so():
    limits = gates.Limits([override(max="0.25")], frozenset({"CosineDistanceWorst"}))
    default = numeric.Limit(1e-9, v.Basis.CLASS_FLOOR)
    assert limits.of("CosineDistanceWorst", default) == numeric.Limit(0.25, v.Basis.DECLARED)
    assert limits.of("NormDeviationWorst", default) == default


@pytest.mark.parametrize(
    ("gate", "adjustable"),
    [
        (override(max="1"), {"NormDeviationWorst"}),
        (override(min="1"), {"CosineDistanceWorst"}),
        (override(max="1", max_ratio="2"), {"CosineDistanceWorst"}),
        (override(max="-1"), {"CosineDistanceWorst"}),
    ],
)
def test_an_override_that_would_be_ignored_is_a_bad_request(gate, adjustable):
    with pytest.raises(failure.CheckError) as caught:
        gates.Limits([gate], frozenset(adjustable))
    assert caught.value.reason == "InvalidRequest"


def test_the_worst_of_values_is_not_hidden_by_one_that_is_no_number():
    assert math.isnan(gates.worst(np.array([0.1, math.nan])))
    assert gates.worst(np.array([])) == 0
    assert gates.summary("Norm", np.array([0.1, math.nan])).max == "NaN"
