"""The compiled kernel of `canary_checks.parity.statistics`; numba, which comes with the extra ``kernels``.

Only that module imports this one, and only for sets that are large enough: numba takes a second to start.
"""

import math
from collections.abc import Callable
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from canary_checks.parity import statistics

Vectors = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]

# Sums may be taken in any order, which lets the compiler use vector registers. It may not take it for granted
# that there are no NaN and no infinities: rows that have them are to be found.
_ANY_ORDER: Final = {"arcp", "contract", "nsz", "reassoc"}


def sums(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> statistics.Sums:
    """Sum some rows; the loops release the interpreter's lock.

    Parameters
    ----------
    a, b
        Shape ``[m, d]`` both, of any real floating type.

    Returns
    -------
    The sums.
    """
    ours, theirs = _native(a), _native(b)
    squares, shift = np.empty((3, len(ours))), np.zeros(ours.shape[1])
    peak, sound = _every_row(ours, theirs, squares, shift)
    if not sound:
        shift = np.zeros(ours.shape[1])
        peak = _sound_rows(ours, theirs, squares, shift)
    return statistics.Sums(squares[0], squares[1], squares[2], shift, np.float64(peak))


def _native(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Return vectors in a form that the kernel reads, without a copy where they are so already."""
    if vectors.dtype.itemsize >= np.float64().itemsize:
        return np.ascontiguousarray(vectors, dtype=np.float64)
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _pair(ours: Vectors, theirs: Vectors, shift: Floats) -> tuple[float, float, float, float]:
    """Return the squared lengths of two rows and of their difference, and the largest ``|difference|``."""
    x = y = z = 0.0
    peak = np.int64(0)
    for j in range(ours.shape[0]):
        p, q = np.float64(ours[j]), np.float64(theirs[j])
        r = p - q
        x += p * p
        y += q * q
        z += r * r
        shift[j] += r
        # Floats without a sign are ordered as their bits are, and only integers have a fast maximum here.
        bits = np.float64(abs(r)).view(np.int64)
        peak = bits if bits > peak else peak  # noqa: FURB136
    return x, y, z, np.int64(peak).view(np.float64)


def _all_rows(ours: Vectors, theirs: Vectors, squares: Floats, shift: Floats) -> tuple[float, bool]:
    """Sum rows; when one of them is not sound, the shift and the largest difference mean nothing."""
    peak, sound = 0.0, True
    for i in range(ours.shape[0]):
        x, y, z, largest = _row(ours[i], theirs[i], shift)
        squares[0, i], squares[1, i], squares[2, i] = x, y, z
        sound &= _is_sound(x, y, z)
        peak = max(peak, largest)
    return peak, sound


def _rows_that_are_sound(ours: Vectors, theirs: Vectors, squares: Floats, shift: Floats) -> float:
    """Sum the shift anew, over the sound rows, and return their largest difference."""
    peak = 0.0
    for i in range(ours.shape[0]):
        if _is_sound(squares[0, i], squares[1, i], squares[2, i]):
            peak = max(peak, _row(ours[i], theirs[i], shift)[3])
    return peak


def _has_direction(a: float, b: float, difference: float) -> bool:
    return a > 0 and b > 0 and math.isfinite(a) and math.isfinite(b) and math.isfinite(difference)


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function at its first call, and keep the result on disk where there is a place for it."""
    try:
        made: Callable[..., Any] = numba.njit(nogil=True, cache=True, **options)(function)
    except RuntimeError:
        # A read-only file system, as in a container.
        made = numba.njit(nogil=True, **options)(function)
    return made


_row = _compiled(_pair, fastmath=_ANY_ORDER)
_is_sound = _compiled(_has_direction)
_every_row = _compiled(_all_rows)
_sound_rows = _compiled(_rows_that_are_sound)
