"""Paired statistics of two large sets of vectors, in one pass and little memory.

The same numbers as in `canary_checks.parity.distance`, for sets of millions of rows: those functions keep the
whole set in float64, this one keeps one float64 for each row. Any array that follows the array API will do,
torch's on a GPU too; torch's on a CPU are read as numpy's, in place. With the extra ``kernels`` (numba) a
compiled loop takes over for sets on a CPU that are large enough to pay for its start.

The cosine distance comes from the difference, ``1 - cos = (|a-b|^2 - (|a|-|b|)^2) / (2 |a| |b|)``, where each
sum is float64: an error of 1e-16 times the ratio of the lengths, so rows of very different lengths are scaled
to length 1 first. ``1 - dot(a, b)`` in float32 bottoms out at 2e-7.
"""

import collections
import concurrent.futures
import dataclasses
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import array_api_compat
import numpy as np

QUANTILES: Final = (0.5, 0.95, 0.99)
_BLOCK: Final = 48 * 1024
"""Elements that are converted to float64 at a time: they fit a core's cache."""
_BLOCK_OF_OTHERS: Final = 1024 * 1024
"""The same for a library that spreads each operation over threads or a GPU: enough to keep them busy."""
_SPAN: Final = 4 * 1024 * 1024
"""Elements that one call of a kernel covers."""
_LOPSIDED: Final = 1e4
"""Ratio of squared lengths from which rows are scaled to length 1 first."""
_AXES: Final = 2
_PAYS: Final = 2 * 1024**3
"""Bytes from which the compiled kernel wins although it must be loaded first."""
_MOST_THREADS: Final = 8
_SHARED: Final = frozenset({"torch.float16", "torch.float32", "torch.float64"})
"""Types that numpy has, too."""
_KERNELS: Final = "canary_checks.parity.kernels"

# An array of any library: there is no type for it that all of them satisfy.
Array = Any


class Worst(NamedTuple):
    """The largest value of a statistic and its row; NaN and None when no row has one."""

    value: float
    row: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paired:
    """How far two sets of ``rows`` vectors are apart, row by row, `b` being the reference.

    Attributes
    ----------
    rows
        Of each set.
    compared
        Rows that have a length and a direction on both sides; the statistics are over these alone.
    non_finite
        Of `a` and of `b`: rows with NaN or an infinity, or so long that their squares overflow float64.
    zero
        Of `a` and of `b`: rows of length zero.
    cosine
        Worst ``1 - cos``, 0 to 2.
    cosine_quantiles
        Quantiles of ``1 - cos``, interpolated linearly; NaN when nothing was compared.
    norm
        Worst ``| |a|/|b| - 1 |``.
    relative
        Worst ``|a - b| / |b|``.
    absolute
        Largest ``|a - b|`` of an element; NaN when nothing was compared.
    mean_shift
        Length of the mean of ``a - b``; NaN when nothing was compared.
    """

    rows: int
    compared: int
    non_finite: tuple[int, int]
    zero: tuple[int, int]
    cosine: Worst
    cosine_quantiles: Mapping[float, float]
    norm: Worst
    relative: Worst
    absolute: float
    mean_shift: float


class Sums(NamedTuple):
    """What a kernel takes from some rows; float64, the first three of shape ``[m]``.

    Attributes
    ----------
    ours, theirs, difference
        Squared lengths of a, b and a - b.
    shift
        Shape ``[d]``: the sum of ``a - b`` over the rows that are compared.
    peak
        The largest ``|a - b|`` of those rows, at least 0.
    """

    ours: Array
    theirs: Array
    difference: Array
    shift: Array
    peak: Array


Kernel = Callable[[Array, Array], Sums]


def paired(
    a: Array, b: Array, *, quantiles: Sequence[float] = QUANTILES, compiled: bool | None = None
) -> Paired:
    """Compare two sets of vectors row by row.

    Parameters
    ----------
    a, b
        Shape ``[n, d]`` both, of one library, on one device, of real floating types; `b` is the reference.
        A mapped file is read once, front to back. Beside the inputs it takes 16 bytes a row and some 20 MB.
    quantiles
        Of ``1 - cos``, each from 0 to 1.
    compiled
        Whether to use the compiled kernel, which reads what lies in the machine's memory; None uses it where
        it is installed and the sets are so large (or it is loaded already) that it is quicker.

    Returns
    -------
    The statistics.

    Raises
    ------
    TypeError
        The arrays are no floats, or of two libraries.
    ValueError
        The shapes differ or are not two-dimensional; a quantile is out of range; or the compiled kernel is
        demanded of arrays that it cannot read.
    ModuleNotFoundError
        The compiled kernel is demanded and numba is not installed.
    """
    xp = array_api_compat.array_namespace(a, b)
    if a.ndim != _AXES or a.shape != b.shape or not a.shape[1]:
        raise ValueError(f"cannot pair {tuple(a.shape)} with {tuple(b.shape)}")
    if not (xp.isdtype(a.dtype, "real floating") and xp.isdtype(b.dtype, "real floating")):
        raise TypeError(f"cannot compare {a.dtype} with {b.dtype}: floats are wanted")
    if not all(0 <= quantile <= 1 for quantile in quantiles):
        raise ValueError(f"a quantile is from 0 to 1: {list(quantiles)}")
    a, b = _without_copy(a), _without_copy(b)
    xp = array_api_compat.array_namespace(a, b)
    kernel = _kernel(xp, a, b, compiled=compiled)
    total = _Total(xp, a)
    for start, part in _streamed(xp, kernel, a, b):
        total.add(start, part)
    return total.concluded(quantiles)


def _without_copy(array: Array) -> Array:
    """Return numpy's view of a tensor that lies in the machine's memory; anything else as it is."""
    if not array_api_compat.is_torch_array(array):
        return array
    plain = array.detach()
    return plain.numpy() if plain.device.type == "cpu" and str(plain.dtype) in _SHARED else plain


def _kernel(xp: Any, a: Array, b: Array, *, compiled: bool | None) -> Kernel:
    """Choose how rows are summed."""
    possible = array_api_compat.is_numpy_namespace(xp)
    if compiled and not possible:
        raise ValueError("the compiled kernel reads what lies in the machine's memory, in a type of numpy's")
    if compiled is None and possible:
        pays = _KERNELS in sys.modules or a.nbytes + b.nbytes >= _PAYS
        compiled = pays and importlib.util.find_spec("numba") is not None
    if compiled:
        # Not at the top: numba takes longer to import than a small set to compare.
        from canary_checks.parity import kernels  # noqa: PLC0415

        return kernels.sums
    block = _BLOCK if possible else _BLOCK_OF_OTHERS
    return lambda ours, theirs: _summed(xp, ours, theirs, block)


class _Part(NamedTuple):
    """The statistics of some rows.

    Attributes
    ----------
    counts
        Rows compared, not finite in a and in b, zero in a and in b.
    cosine
        Shape ``[m]``, infinite where a row is not compared.
    worst
        Of `cosine`, norm and relative difference, its row being counted from the first of the part; minus
        infinity when nothing was compared.
    shift, peak
        As in `Sums`.
    """

    counts: tuple[int, ...]
    cosine: Array
    worst: tuple[Worst, ...]
    shift: Array
    peak: float


def _streamed(xp: Any, kernel: Kernel, a: Array, b: Array) -> Iterator[tuple[int, _Part]]:
    """Yield the first row and the statistics of one span of rows after the other."""
    rows, width = a.shape
    spans = list(_slices(rows, _SPAN // width))

    def part(span: slice) -> tuple[int, _Part]:
        with np.errstate(all="ignore"):
            ours, theirs = a[span, :], b[span, :]
            return span.start, _part(xp, ours, theirs, kernel(ours, theirs))

    # torch has threads of its own.
    alone = not array_api_compat.is_numpy_namespace(xp)
    workers = 1 if alone else min(len(os.sched_getaffinity(0)), _MOST_THREADS, len(spans))
    if workers <= 1:
        yield from map(part, spans)
        return
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting: collections.deque[concurrent.futures.Future[tuple[int, _Part]]] = collections.deque()
        # As many at once as there are threads, and one to wait: all at once would be all the results, too.
        for span in spans:
            waiting.append(pool.submit(part, span))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()


def _slices(rows: int, step: int) -> Iterator[slice]:
    for start in range(0, rows, max(1, step)):
        yield slice(start, min(start + max(1, step), rows))


def _summed(xp: Any, a: Array, b: Array, block: int) -> Sums:
    """Sum with the operations of the array API, a block at a time."""
    rows, width = a.shape
    parts = [_block(xp, a[some, :], b[some, :]) for some in _slices(rows, block // width)]
    if len(parts) == 1:
        return parts[0]
    return Sums(
        ours=xp.concat([part.ours for part in parts]),
        theirs=xp.concat([part.theirs for part in parts]),
        difference=xp.concat([part.difference for part in parts]),
        shift=xp.sum(xp.stack([part.shift for part in parts]), axis=0),
        peak=xp.max(xp.stack([part.peak for part in parts])),
    )


def _block(xp: Any, a: Array, b: Array) -> Sums:
    # `astype` copies, also from float64: the difference may take the place of ours.
    difference, theirs = xp.astype(a, xp.float64), xp.astype(b, xp.float64)
    squares = xp.vecdot(difference, difference), xp.vecdot(theirs, theirs)
    difference -= theirs
    squared = xp.vecdot(difference, difference)
    sound = _sound(xp, *squares, squared)
    if not bool(xp.all(sound)):
        difference = xp.where(sound[:, None], difference, xp.zeros_like(difference))
    peak = xp.maximum(xp.max(difference), -xp.min(difference))
    return Sums(*squares, squared, xp.sum(difference, axis=0), peak)


def _sound(xp: Any, ours: Array, theirs: Array, difference: Array) -> Array:
    """Return which rows have a length and a direction on both sides, and a distance."""
    return (ours > 0) & (theirs > 0) & xp.isfinite(ours) & xp.isfinite(theirs) & xp.isfinite(difference)


def _part(xp: Any, a: Array, b: Array, sums: Sums) -> _Part:
    """Make statistics of sums."""
    sound = _sound(xp, *sums[:3])
    ours, theirs = xp.sqrt(sums.ours), xp.sqrt(sums.theirs)
    apart = xp.maximum(sums.difference - (ours - theirs) ** 2, xp.zeros_like(ours))
    cosine = apart / (2.0 * ours * theirs)
    lopsided = sound & (xp.maximum(sums.ours / sums.theirs, sums.theirs / sums.ours) > _LOPSIDED)
    if bool(xp.any(lopsided)):
        cosine = xp.where(lopsided, _between_directions(xp, a, b), cosine)
    norm, relative = xp.abs(ours / theirs - 1.0), xp.sqrt(sums.difference) / theirs
    non_finite = (~xp.isfinite(squares) for squares in sums[:2])
    zero = (squares == 0 for squares in sums[:2])
    return _Part(
        counts=tuple(int(xp.count_nonzero(rows)) for rows in (sound, *non_finite, *zero)),
        cosine=xp.where(sound, cosine, xp.full_like(cosine, math.inf)),
        worst=tuple(_worst(xp, sound, values) for values in (cosine, norm, relative)),
        shift=sums.shift,
        peak=float(sums.peak),
    )


def _between_directions(xp: Any, a: Array, b: Array) -> Array:
    """Measure ``1 - cos`` of rows that are scaled to length 1 first, a block at a time."""
    parts = []
    for some in _slices(a.shape[0], _BLOCK // a.shape[1]):
        exact = [xp.astype(side[some, :], xp.float64) for side in (a, b)]
        ours, theirs = (side / xp.sqrt(xp.vecdot(side, side))[:, None] for side in exact)
        ours -= theirs
        parts.append(0.5 * xp.vecdot(ours, ours))
    return xp.concat(parts)


def _worst(xp: Any, sound: Array, values: Array) -> Worst:
    known = xp.where(sound, values, xp.full_like(values, -math.inf))
    row = int(xp.argmax(known))
    return Worst(float(known[row]), row)


class _Total:
    """What is known of the rows so far.

    Parameters
    ----------
    xp
        The library of the arrays.
    a
        One of the two sets: its shape and its device.
    """

    def __init__(self, xp: Any, a: Array) -> None:
        self._xp = xp
        self._rows, width = a.shape
        device = array_api_compat.device(a)
        self._cosine = xp.empty(self._rows, dtype=xp.float64, device=device)
        self._shift = xp.zeros(width, dtype=xp.float64, device=device)
        self._counts = [0] * 5
        self._worst = [Worst(-math.inf, None)] * 3
        self._peak = 0.0

    def add(self, start: int, part: _Part) -> None:
        """Take in the rows from `start` on."""
        self._cosine[start : start + part.cosine.shape[0]] = part.cosine
        self._counts = [sum(pair) for pair in zip(self._counts, part.counts, strict=True)]
        for place, worst in enumerate(part.worst):
            if worst.value > self._worst[place].value and worst.row is not None:
                self._worst[place] = Worst(worst.value, start + worst.row)
        self._shift += part.shift
        self._peak = max(self._peak, part.peak)

    def concluded(self, quantiles: Sequence[float]) -> Paired:
        """Return the statistics of all rows."""
        xp = self._xp
        compared, *counts = self._counts
        cosine, norm, relative = self._worst if compared else [Worst(math.nan, None)] * 3
        ordered = xp.sort(self._cosine)
        shift = math.sqrt(float(xp.vecdot(self._shift, self._shift)))
        return Paired(
            rows=self._rows,
            compared=compared,
            non_finite=(counts[0], counts[1]),
            zero=(counts[2], counts[3]),
            cosine=cosine,
            cosine_quantiles={q: _quantile(ordered, compared, q) for q in quantiles},
            norm=norm,
            relative=relative,
            absolute=self._peak if compared else math.nan,
            mean_shift=shift / compared if compared else math.nan,
        )


def _quantile(ordered: Array, count: int, share: float) -> float:
    """Interpolate linearly between the first `count` values, which are ordered."""
    if not count:
        return math.nan
    position = share * (count - 1)
    below = math.floor(position)
    low, high = float(ordered[below]), float(ordered[min(below + 1, count - 1)])
    return low + (high - low) * (position - below)
