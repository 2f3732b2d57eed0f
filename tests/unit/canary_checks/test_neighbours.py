"""Neighbours: exact, ties broken in favour of agreement, the same with every library that is installed."""

import importlib
import importlib.util
import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy import stats

from canary_checks.parity import neighbours

PATHS = [path for path in ("numpy", "torch") if importlib.util.find_spec(path)]


def of(path: str, *arrays: np.ndarray) -> list:
    return [importlib.import_module(path).asarray(array) for array in arrays]


def normal(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def best_by_search(a: np.ndarray, b: np.ndarray, k: int) -> list[float]:
    """Try every way to break the ties of every row."""

    def choices(vectors: np.ndarray, row: int) -> list[set[int]]:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        near = {other: round(float(unit[row] @ unit[other]), 5) for other in range(len(unit)) if other != row}
        limit = sorted(near.values())[-k]
        certain = {other for other, score in near.items() if score > limit}
        tied = [other for other, score in near.items() if score == limit]
        return [certain | set(some) for some in itertools.combinations(tied, k - len(certain))]

    return [max(len(x & y) for x in choices(a, row) for y in choices(b, row)) / k for row in range(len(a))]


# Few small whole numbers: many rows are equal or equally near, and what is not is far apart.
small = st.lists(st.tuples(*[st.integers(-1, 2)] * 3).filter(any), min_size=7, max_size=7)


@pytest.mark.parametrize("path", PATHS)
@given(small, small, st.integers(1, 6), st.integers(1, 8))
@example([(1, 0, 0)] * 7, [(0, 1, 0)] * 7, 3, 2)
def test_the_overlap_is_the_best_over_all_ways_to_break_ties(path, one, other, k, block):
    a, b = np.array(one, dtype=np.float32), np.array(other, dtype=np.float32)
    found = neighbours.agreement(*of(path, a, b), k, block=block)
    np.testing.assert_allclose(found.overlap, best_by_search(a, b, k), rtol=1e-12)
    np.testing.assert_allclose(found.first, best_by_search(a, b, 1), rtol=1e-12)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("rows", "k", "block"), [(60, 5, None), (700, 10, 64), (700, 10, 699), (2100, 3, None)]
)
def test_without_ties_it_is_what_a_full_sort_finds(path, rows, k, block):
    a = normal(rows, 24, 1)
    b = a + 0.3 * normal(rows, 24, 2)

    def nearest(vectors: np.ndarray) -> np.ndarray:
        unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.argsort(-(unit @ unit.T - 9 * np.eye(rows)), axis=1)[:, :k]

    wanted = [len({*x} & {*y}) / k for x, y in zip(nearest(a), nearest(b), strict=True)]
    # A pair that is nearer than float32 can tell counts as tied.
    assert np.abs(neighbours.overlap(*of(path, a, b), k, block=block) - wanted).sum() <= 1 / k


@pytest.mark.parametrize("path", PATHS)
def test_a_rotation_a_permutation_and_lengths_leave_every_neighbour(path):
    a = normal(300, 16, 3)
    rotation, _ = np.linalg.qr(normal(16, 16, 4))
    for b in (a @ rotation, a[:, ::-1].copy(), a * np.linspace(0.1, 90, 300, dtype=np.float32)[:, None]):
        assert neighbours.overlap(*of(path, a, b), 10).min() == 1


@pytest.mark.parametrize("path", PATHS)
def test_another_space_shares_what_chance_gives_and_the_order_of_rows_counts(path):
    a = normal(500, 32, 5)
    assert neighbours.overlap(*of(path, a, normal(500, 8, 6)), 10).mean() < 0.06
    assert neighbours.overlap(*of(path, a, np.roll(a, 1, axis=0)), 10).mean() < 0.06


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_a_row_without_a_direction_is_nobodys_neighbour_and_has_no_overlap(path, bad):
    a = normal(50, 8, 7)
    b = a.copy()
    b[[3, 9]] = bad
    seen = neighbours.agreement(*of(path, a, b), 4)
    assert np.flatnonzero(np.isnan(seen.overlap)).tolist() == [3, 9]
    assert np.nanmin(seen.overlap) == 1
    assert np.flatnonzero(np.isnan(seen.first)).tolist() == [3, 9]


@pytest.mark.parametrize("path", PATHS)
def test_where_there_are_fewer_rows_than_k_all_are_neighbours(path):
    a = normal(4, 8, 8)
    assert neighbours.overlap(*of(path, a, normal(4, 8, 9)), 10).tolist() == [1, 1, 1, 1]
    assert np.isnan(neighbours.overlap(*of(path, a[:1], a[:1]), 10)).all()
    assert neighbours.overlap(*of(path, a[:0], a[:0]), 10).shape == (0,)


@pytest.mark.parametrize(
    ("rows", "k", "block", "said"),
    [((3, 4), 1, None, "neighbours of"), ((3, 3), 0, None, "at least 1"), ((3, 3), 1, 0, "at least 1")],
)
def test_what_has_no_neighbours_is_said(rows, k, block, said):
    with pytest.raises(ValueError, match=said):
        neighbours.overlap(normal(rows[0], 2, 1), normal(rows[1], 2, 1), k, block=block)


@pytest.mark.parametrize("path", PATHS)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30))
def test_ranks_agree_as_spearman_says(path, seed, documents):
    space, other = (
        (normal(6, width, seed + width), normal(documents, width, seed + width + 1)) for width in (12, 7)
    )
    seen = neighbours.rank_agreement(*of(path, *space, *other))
    for row, value in enumerate(seen):
        scores = [
            (side / np.linalg.norm(side, axis=1, keepdims=True)) @ asked[row] / np.linalg.norm(asked[row])
            for asked, side in (space, other)
        ]
        assume(all(np.diff(np.sort(side)).min() > 2 * neighbours.TIE for side in scores))
        assert value == pytest.approx(stats.spearmanr(*scores).statistic, abs=1e-9)


@pytest.mark.parametrize("path", PATHS)
def test_ranks_of_equal_documents_are_shared_and_bad_rows_left_out(path):
    queries = normal(5, 8, 1)
    documents = np.repeat(normal(10, 8, 2), 2, axis=0)
    swapped = documents.reshape(10, 2, 8)[:, ::-1].reshape(20, 8).copy()
    swapped[0] = math.nan
    asked = queries.copy()
    asked[2] = 0
    seen = neighbours.rank_agreement(*of(path, queries, documents, asked, swapped))
    assert np.isnan(seen).tolist() == [False, False, True, False, False]
    assert np.nanmin(seen) == pytest.approx(1)
    same = np.repeat(documents[:1], 20, axis=0)
    assert np.isnan(neighbours.rank_agreement(*of(path, queries, documents, queries, same))).all()
    assert (neighbours.rank_agreement(*of(path, queries, documents, queries, -documents)) < -0.99).all()


def test_ranks_need_the_same_items_and_one_space_each():
    a, b = normal(3, 4, 1), normal(5, 4, 2)
    with pytest.raises(ValueError, match="same queries"):
        neighbours.rank_agreement(a, b, a, b[:4])
    with pytest.raises(ValueError, match="same dimensions"):
        neighbours.rank_agreement(a, b, a[:, :3], b)
