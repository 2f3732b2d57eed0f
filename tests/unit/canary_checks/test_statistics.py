"""Paired statistics of large sets: every path says what long double arithmetic says.

The paths are those that are installed: numpy always; numba and torch with their extras, as in the environment
of ``make bench-parity``, which runs this file, too.
"""

import importlib
import importlib.util
import math
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from canary_checks import parity
from canary_checks.parity import distance, statistics

LIBRARIES = {
    "numpy": "numpy",
    "compiled": "numba",
    "torch": "torch",  # in place, as numpy
    "as on a GPU": "torch",  # by torch's own operations
    "strict": "array_api_strict",  # what the standard has, and no more
}
PATHS = [path for path, module in LIBRARIES.items() if importlib.util.find_spec(module)]
ROWS = ["plain", "near", "equal", "opposite", "scaled", "denormal", "huge", "lopsided", "zero",
        "zero reference", "nan", "inf", "both inf"]  # fmt: skip
LENGTHS = {"denormal": 1e-44, "huge": 1e37}


def paired(path: str, a: np.ndarray, b: np.ndarray, **options) -> statistics.Paired:
    if path in {"torch", "as on a GPU", "strict"}:
        library = importlib.import_module(LIBRARIES[path])
        with pytest.MonkeyPatch.context() as patch:
            if path == "as on a GPU":
                patch.setattr(statistics, "_SHARED", frozenset())
            return statistics.paired(library.asarray(a), library.asarray(b), **options)
    return statistics.paired(a, b, compiled=path == "compiled", **options)


def pair(kind: str, width: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    a = random.standard_normal(width) * LENGTHS.get(kind, 1.0)
    b = a * (1 + 1e-4 * random.standard_normal(width))
    match kind:
        case "plain":
            b = random.standard_normal(width)
        case "equal":
            b = a
        case "opposite":
            b = -a
        case "scaled":
            b = 3 * a
        case "lopsided":
            a, b = 1e30 * a, 1e-30 * b
        case "zero":
            a = 0 * a
        case "zero reference":
            b = 0 * b
        case "nan":
            b = np.where(np.arange(width) == width // 2, math.nan, b)
        case "inf":
            a = np.where(np.arange(width) == width // 2, math.inf, a)
        case "both inf":
            a, b = (np.where(np.arange(width) == 0, math.inf, side) for side in (a, b))
    return a, b


def sets(kinds: list[str], width: int, seed: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    rows = [pair(kind, width, random) for kind in kinds]
    with np.errstate(over="ignore"):
        return tuple(np.array(side, dtype=dtype).reshape(-1, width) for side in zip(*rows, strict=True))


class Oracle:
    """The definitions, row by row, in long double."""

    def __init__(self, a: np.ndarray, b: np.ndarray) -> None:
        with np.errstate(all="ignore"):
            a, b = a.astype(np.longdouble), b.astype(np.longdouble)
            ours, theirs = (np.sqrt((side**2).sum(axis=1)) for side in (a, b))
            self.non_finite = tuple(int((~np.isfinite(side)).sum()) for side in (ours, theirs))
            self.zero = tuple(int((side == 0).sum()) for side in (ours, theirs))
            sound = np.isfinite(ours) & np.isfinite(theirs) & (ours > 0) & (theirs > 0)
            directions = a / ours[:, None] - b / theirs[:, None]
            every = {
                "cosine": (directions**2).sum(axis=1) / 2,
                "norm": np.abs(ours / theirs - 1),
                "relative": np.sqrt(((a - b) ** 2).sum(axis=1)) / theirs,
            }
        self.rows = {name: np.where(sound, values, -1) for name, values in every.items()}
        self.cosines = every["cosine"][sound].astype(np.float64)
        self.compared = int(sound.sum())
        difference = a[sound] - b[sound] if sound.any() else np.zeros((1, a.shape[1]), np.longdouble)
        self.absolute = float(np.abs(difference).max())
        self.mean_shift = float(np.sqrt((difference.mean(axis=0) ** 2).sum()))
        self.typical_shift = float(np.sqrt((np.abs(difference).mean(axis=0) ** 2).sum()))


def check(seen: statistics.Paired, wanted: Oracle) -> None:
    assert (seen.compared, seen.non_finite, seen.zero) == (wanted.compared, wanted.non_finite, wanted.zero)
    if not wanted.compared:
        assert [seen.cosine.row, seen.norm.row, seen.relative.row] == [None] * 3
        assert all(map(math.isnan, [seen.cosine.value, seen.absolute, seen.mean_shift]))
        assert all(map(math.isnan, seen.cosine_quantiles.values()))
        return
    for name, values in wanted.rows.items():
        worst = getattr(seen, name)
        near = {"rel": 1e-9, "abs": 1e-13}
        assert worst.value == pytest.approx(float(values.max()), **near), name
        assert worst.value == pytest.approx(float(values[worst.row]), **near), name
    for share, value in seen.cosine_quantiles.items():
        assert value == pytest.approx(float(np.quantile(wanted.cosines, share)), rel=1e-9, abs=1e-13)
    assert seen.absolute == pytest.approx(wanted.absolute, rel=1e-12)
    assert seen.mean_shift == pytest.approx(wanted.mean_shift, rel=1e-9, abs=1e-13 * wanted.typical_shift)


@pytest.mark.parametrize("path", PATHS)
@given(
    kinds=st.lists(st.sampled_from(ROWS), min_size=1, max_size=24),
    width=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from(["float32", "float64"]),
)
@example(kinds=ROWS, width=33, seed=1, dtype="float32")
@example(kinds=["nan", "zero"], width=3, seed=1, dtype="float32")
def test_every_path_says_what_the_definitions_say(path, kinds, width, seed, dtype):
    a, b = sets(kinds, width, seed, dtype)
    check(paired(path, a, b), Oracle(a, b))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("span", [1, 2, 7, 1000])
def test_rows_are_counted_once_wherever_the_spans_and_blocks_end(path, span, monkeypatch):
    monkeypatch.setattr(statistics, "_SPAN", span * 8)
    monkeypatch.setattr(statistics, "_BLOCK", 3 * 8)
    monkeypatch.setattr(statistics, "_BLOCK_OF_OTHERS", 3 * 8)
    a, b = sets(["near", "scaled", "nan", "plain", "zero", "inf", "equal"] * 5, 8, 1, "float32")
    check(paired(path, a, b), Oracle(a, b))


@pytest.mark.parametrize("path", PATHS)
def test_the_gates_functions_say_the_same(path):
    a, b = sets(["plain", "near", "scaled", "equal"] * 16, 384, 2, "float32")
    seen = paired(path, a, b, quantiles=(0, 0.5, 1))
    assert seen.cosine.value == pytest.approx(distance.cosine(a, b).max(), rel=1e-12)
    assert seen.norm.value == pytest.approx(distance.norm_deviation(a, b).max(), rel=1e-12)
    assert seen.cosine_quantiles[1] == seen.cosine.value
    assert seen.cosine_quantiles[0] == pytest.approx(0, abs=1e-16)


@pytest.mark.parametrize("path", PATHS)
def test_identical_sets_are_zero_apart_to_the_last_bit(path):
    a, _ = sets(["plain", "denormal", "huge"] * 9, 96, 3, "float32")
    seen = paired(path, a, a.copy())
    assert (seen.cosine.value, seen.norm.value, seen.relative.value) == (0, 0, 0)
    assert (seen.absolute, seen.mean_shift) == (0, 0)


@pytest.mark.parametrize("path", PATHS)
def test_a_difference_is_seen_where_a_dot_product_in_float32_sees_none(path):
    a = np.zeros((1, 384), dtype=np.float32)
    a[0, 0] = 1
    b = a.copy()
    b[0, 1] = 1e-6
    assert paired(path, a, b).cosine.value == pytest.approx(5e-13, rel=1e-6)


@pytest.mark.parametrize("path", PATHS)
def test_no_rows_are_nothing_compared(path):
    empty = np.empty((0, 8), dtype=np.float32)
    seen = paired(path, empty, empty)
    assert (seen.rows, seen.compared) == (0, 0)
    assert math.isnan(seen.cosine.value)
    assert math.isnan(seen.cosine_quantiles[0.5])


@pytest.mark.parametrize("path", PATHS)
def test_rows_with_gaps_are_read_as_they_are(path):
    a, b = (side[::3, ::2] for side in sets(["plain", "near"] * 8, 64, 4, "float32"))
    check(paired(path, a, b), Oracle(a, b))


@pytest.mark.parametrize("path", [path for path in PATHS if path != "strict"])
def test_half_precision_is_read_as_it_is(path):
    a, b = sets(["plain", "near"] * 8, 64, 4, "float16")
    if LIBRARIES[path] != "torch":
        check(paired(path, a, b), Oracle(a, b))
        return
    # A type that numpy has not, of a tensor that has a gradient.
    torch = importlib.import_module("torch")
    ours, theirs = (torch.asarray(side).to(torch.bfloat16).requires_grad_() for side in (a, b))
    exact = [side.detach().float().numpy() for side in (ours, theirs)]
    check(statistics.paired(ours, theirs), Oracle(*exact))
    with pytest.raises(ValueError, match="compiled kernel"):
        statistics.paired(ours, theirs, compiled=True)


@pytest.mark.parametrize("path", [path for path in PATHS if path in {"numpy", "compiled", "torch"}])
def test_memory_is_some_bytes_a_row_and_a_few_blocks_whatever_the_width(path):
    a = np.ones((20_000, 768), dtype=np.float32)
    paired(path, a[:1], a[:1])
    tracemalloc.start()
    paired(path, a, a)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6 + 16 * len(a), f"the sets are {2 * a.nbytes} bytes"


@pytest.mark.parametrize("path", [path for path in PATHS if path in {"numpy", "compiled"}])
def test_a_file_is_mapped_and_left_as_it_was(path, tmp_path):
    a, b = sets(["plain", "near"] * 8, 64, 5, "float32")
    for name, side in (("a", a), ("b", b)):
        np.save(tmp_path / name, side)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "ab"]
    check(paired(path, *mapped), Oracle(a, b))


@pytest.mark.parametrize(
    ("a", "b", "options", "error", "said"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), {}, ValueError, "cannot pair"),
        (np.ones(3), np.ones(3), {}, ValueError, "cannot pair"),
        (np.ones((2, 0)), np.ones((2, 0)), {}, ValueError, "cannot pair"),
        (np.ones((2, 3), int), np.ones((2, 3)), {}, TypeError, "floats are wanted"),
        (np.ones((2, 3), complex), np.ones((2, 3)), {}, TypeError, "floats are wanted"),
        (np.ones((2, 3)), np.ones((2, 3)), {"quantiles": [1.5]}, ValueError, "from 0 to 1"),
    ],
)
def test_what_cannot_be_compared_is_said(a, b, options, error, said):
    with pytest.raises(error, match=said):
        statistics.paired(a, b, **options)


def test_the_compiled_kernel_is_not_imported_for_a_set_that_is_too_small_to_pay(monkeypatch):
    monkeypatch.delitem(sys.modules, "canary_checks.parity.kernels", raising=False)
    monkeypatch.delattr(parity, "kernels", raising=False)
    monkeypatch.setitem(sys.modules, "numba", None)
    check(statistics.paired(*(rows := sets(["near"] * 9, 64, 6, "float32"))), Oracle(*rows))
    with pytest.raises(ModuleNotFoundError):
        statistics.paired(*rows, compiled=True)
