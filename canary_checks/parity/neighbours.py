"""Whether two sets of vectors say the same about who is near whom: evidence beside the gates, never a gate.

A rotation, a permutation or another length leaves every neighbour where it was while no stored vector can be
used any more; so what is said here tells causes apart and describes a new space, and does not pass a release.

Cosine similarities are taken in float32, whose rounding is up to `TIE`: neighbours nearer to each other than
that are tied, and of all ways to break ties the one counts that lets the two sides agree most.
"""

import math
from typing import Any, Final, NamedTuple

import array_api_compat
import numpy as np
import numpy.typing as npt

TIE: Final = 5e-7
"""Largest difference between two cosine similarities that rounding alone explains."""
_SCORES: Final = 4 * 1024 * 1024
"""Similarities that are held at a time for each side, where the caller does not say how many rows."""
_EXACT: Final = 1024 * 1024
"""Elements that are converted to float64 at a time."""
_LEAST_BLOCK: Final = 16
_GROUP: Final = 32
_LEAST_ROWS: Final = 2
_AXES: Final = 2
_NOBODY: Final = -4.0
"""Below any similarity."""

# An array of any library: there is no type for it that all of them satisfy.
Array = Any
Scalars = npt.NDArray[np.float64]


class Agreement(NamedTuple):
    """How far two sets agree on each row's neighbours; shape ``[n]`` both, NaN where a row has no direction.

    Attributes
    ----------
    overlap
        Share, 0 to 1, of the k nearest neighbours that the two sides have in common.
    first
        The same of the nearest one: 1 or 0.
    """

    overlap: Scalars
    first: Scalars


class _Near(NamedTuple):
    """The neighbours of a block's rows that are, or may be, among the k nearest.

    Attributes
    ----------
    rows, columns
        Shape ``[m]``: who is a neighbour of whom.
    certain
        Shape ``[m]``: nearer than the k-th by more than a tie.
    limit
        Shape ``[r, 1]``: the similarity of the k-th.
    open
        Shape ``[r]``: how many of the k places only tied neighbours can take.
    """

    rows: Array
    columns: Array
    certain: Array
    limit: Array
    open: Array


def overlap(a: Array, b: Array, k: int, *, block: int | None = None) -> Scalars:
    """Measure which share of each row's k nearest neighbours the two sets have in common.

    Parameters, Returns and Raises are those of `agreement`, of which this is the first part.
    """
    return agreement(a, b, k, block=block).overlap


def agreement(a: Array, b: Array, k: int, *, block: int | None = None) -> Agreement:
    """Find each row's nearest other rows by cosine, in both sets, and compare.

    Parameters
    ----------
    a, b
        Shapes ``[n, d]`` and ``[n, e]``: the same items in two spaces; both of numpy, or both of torch on one
        device, whose float32 matrix products must not be made in TF32 (torch's default is right).
    k
        How many neighbours, at least 1. Where there are fewer other rows, all of them are neighbours.
    block
        How many rows are searched for at a time, against all. Both sides' similarities are held, 4 bytes each
        and half as much again to search them: by default 50 MB while n is below 260,000. It also takes a
        float32 copy of both sets.

    Returns
    -------
    The agreement. A row that has no direction on one side (zero, NaN, infinite) is nobody's neighbour.

    Raises
    ------
    TypeError
        The arrays are of another library than numpy or torch.
    ValueError
        The numbers of rows differ, or k or the block is less than 1.
    """
    xp = _library(a, b)
    if not (a.ndim == b.ndim == _AXES) or a.shape[0] != b.shape[0]:
        raise ValueError(f"cannot compare the neighbours of {tuple(a.shape)} and {tuple(b.shape)}")
    if k < 1 or (block is not None and block < 1):
        raise ValueError(f"k and the block are at least 1, not {k} and {block}")
    result = Agreement(*(np.full(a.shape[0], math.nan) for _ in Agreement._fields))
    with np.errstate(all="ignore"):
        ours, theirs = _directions(xp, a), _directions(xp, b)
    usable = ours.sound & theirs.sound
    kept = xp.nonzero(usable)[0]
    count = int(kept.shape[0])
    if count < _LEAST_ROWS:
        return result
    left, right = (
        side.unit if count == a.shape[0] else xp.take(side.unit, kept, axis=0) for side in (ours, theirs)
    )
    where = _numpy(kept)
    step = block or max(_LEAST_BLOCK, _SCORES // count)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        scores = [_similarities(xp, side, rows) for side in (left, right)]
        for place, nearest in enumerate((min(k, count - 1), 1)):
            result[place][where[rows]] = _common(xp, scores[0], scores[1], nearest)
        # Before the next ones are made, not after.
        del scores
    return result


def rank_agreement(queries_a: Array, documents_a: Array, queries_b: Array, documents_b: Array) -> Scalars:
    """Measure whether two spaces rank the same documents alike for each query, such as images for a text.

    Parameters
    ----------
    queries_a, documents_a
        Shapes ``[n, d]`` and ``[m, d]``: one space, of one library, on one device.
    queries_b, documents_b
        Shapes ``[n, e]`` and ``[m, e]``: the same items in another space.

    Returns
    -------
    Shape ``[n]``: Spearman's rank correlation of the cosine similarities, -1 to 1; tied ones share their
    mean rank. NaN where a query has no direction on one side, or a side does not tell the documents apart.
    Documents without a direction on one side are left out.

    Raises
    ------
    TypeError
        The arrays are of another library than numpy or torch.
    ValueError
        The shapes do not fit each other.
    """
    xp = _library(queries_a, documents_a, queries_b, documents_b)
    spaces = ((queries_a, documents_a), (queries_b, documents_b))
    if len({q.shape[0] for q, _ in spaces}) > 1 or len({d.shape[0] for _, d in spaces}) > 1:
        raise ValueError("the two spaces must hold the same queries and the same documents")
    if any(q.shape[1] != d.shape[1] for q, d in spaces):
        raise ValueError("queries and documents of one space must have the same dimensions")
    with np.errstate(all="ignore"):
        sides = [tuple(_directions(xp, vectors) for vectors in space) for space in spaces]
    kept = _numpy(sides[0][1].sound & sides[1][1].sound)
    asked = np.flatnonzero(_numpy(sides[0][0].sound & sides[1][0].sound))
    result = np.full(queries_a.shape[0], math.nan)
    units = [[_numpy(one.unit) for one in side] for side in sides]
    for row in asked:
        ranks = [_ranks((documents[kept] @ queries[row]).astype(np.float64)) for queries, documents in units]
        result[row] = _correlation(*ranks)
    return result


def _library(*arrays: Array) -> Any:
    """Return what the arrays are of: a search for the largest values is no part of the array API."""
    xp = array_api_compat.array_namespace(*arrays)
    if not (array_api_compat.is_numpy_namespace(xp) or array_api_compat.is_torch_namespace(xp)):
        raise TypeError(f"neighbours are found with numpy or torch, not with {xp.__name__}")
    return xp


class _Directions(NamedTuple):
    """Rows scaled to length 1, shape ``[n, d]``, float32, and which of them could be, shape ``[n]``."""

    unit: Array
    sound: Array


def _directions(xp: Any, vectors: Array) -> _Directions:
    device = array_api_compat.device(vectors)
    unit = xp.empty(tuple(vectors.shape), dtype=xp.float32, device=device)
    sound = xp.empty(vectors.shape[0], dtype=xp.bool, device=device)
    step = max(1, _EXACT // max(vectors.shape[1], 1))
    for start in range(0, vectors.shape[0], step):
        some = slice(start, start + step)
        exact = xp.astype(vectors[some], xp.float64)
        squares = xp.vecdot(exact, exact)
        unit[some] = xp.astype(exact / xp.sqrt(squares)[:, None], xp.float32)
        sound[some] = xp.isfinite(squares) & (squares > 0)
    return _Directions(unit, sound)


def _similarities(xp: Any, unit: Array, rows: slice) -> Array:
    """Return how near each of some rows is to every row, itself excluded."""
    scores = unit[rows] @ xp.permute_dims(unit, (1, 0))
    device = array_api_compat.device(unit)
    own = xp.arange(scores.shape[0], device=device)
    scores[own, own + rows.start] = _NOBODY
    return scores


def _common(xp: Any, ours: Array, theirs: Array, k: int) -> Scalars:
    """Return which share of k nearest neighbours two sides have in common, ties broken to agree the most.

    Of the neighbours that both sides may count, those certain on both are common. One that is certain on one
    side takes an open place on the other; one that is tied on both takes an open place on each, while there
    are such.
    """
    one, other = _near(xp, ours, k), _near(xp, theirs, k)
    rows = ours.shape[0]
    across = theirs[one.rows, one.columns] - xp.take(other.limit, one.rows, axis=0)[:, 0]
    possible, certain = across >= -TIE, across > TIE

    def counted(which: Array) -> npt.NDArray[np.int64]:
        return np.bincount(_numpy(one.rows[which]), minlength=rows)

    common = counted(one.certain & certain)
    mine = np.minimum(counted(~one.certain & certain), one.open)
    yours = np.minimum(counted(one.certain & possible & ~certain), other.open)
    both = counted(~one.certain & possible & ~certain)
    shared = np.minimum(both, np.minimum(one.open - mine, other.open - yours))
    return np.asarray((common + mine + yours + shared) / k)


def _near(xp: Any, scores: Array, k: int) -> _Near:
    """Find the neighbours that reach the k-th of each row, or fail to by no more than a tie."""
    if array_api_compat.is_torch_namespace(xp):
        limit = xp.topk(scores, k, dim=1).values[:, -1:]
        rows, columns = xp.nonzero(scores >= limit - TIE)
        found = scores[rows, columns]
    else:
        floor = _floor(scores, k)
        rows, columns = np.divmod(np.flatnonzero(scores >= floor - np.float32(TIE)), scores.shape[1])
        found = scores[rows, columns]
        limit = _kth(found, rows, scores.shape[0], k)
        reached = found >= limit[rows, 0] - np.float32(TIE)
        rows, columns, found = rows[reached], columns[reached], found[reached]
    certain = found > xp.take(limit, rows, axis=0)[:, 0] + TIE
    taken = np.bincount(_numpy(rows[certain]), minlength=scores.shape[0])
    return _Near(rows, columns, certain, limit, k - taken)


def _floor(scores: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.float32]:
    """Return for each row a value that its k-th largest reaches, near it: that of the groups' maxima.

    The k-th largest of the maxima of groups is no larger than that of all, and a sort of a few maxima is much
    quicker than a selection from all.
    """
    rows, columns = scores.shape
    groups = columns // _GROUP
    if groups < 2 * k:
        return np.partition(scores, columns - k, axis=1)[:, columns - k : columns - k + 1]
    # Group g holds the columns g, g + groups, g + 2 groups, ...: the maximum is one of whole rows of memory.
    maxima = scores[:, : groups * _GROUP].reshape(rows, _GROUP, groups).max(axis=1)
    return np.partition(maxima, groups - k, axis=1)[:, groups - k : groups - k + 1]


def _kth(
    found: npt.NDArray[np.float32], rows: npt.NDArray[np.intp], count: int, k: int
) -> npt.NDArray[np.float32]:
    """Return the k-th largest of what was found in each row, ``[count, 1]``; at least k were."""
    order = np.lexsort((-found, rows))
    first = np.searchsorted(rows, np.arange(count))
    return found[order[first + (k - 1)]][:, np.newaxis]


def _numpy(array: Array) -> npt.NDArray[Any]:
    """Return an array of any library as one of numpy."""
    return np.asarray(array.cpu() if array_api_compat.is_torch_array(array) else array)


def _ranks(values: Scalars) -> Scalars:
    """Return the rank of each value, from 0; those that only rounding tells apart share their mean."""
    order = np.argsort(values, kind="stable")
    group = np.concatenate([[0], np.cumsum(np.diff(values[order]) > TIE)])[: len(values)]
    places = np.arange(len(values), dtype=np.float64)
    means = np.bincount(group, places) / np.maximum(np.bincount(group), 1)
    ranks = np.empty(len(values))
    ranks[order] = means[group]
    return ranks


def _correlation(x: Scalars, y: Scalars) -> float:
    x, y = x - x.mean() if x.size else x, y - y.mean() if y.size else y
    spread = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / spread if spread else math.nan
