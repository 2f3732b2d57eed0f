"""Clopper–Pearson bounds of whole arrays, without bounds: by the tail probability at a limit."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

TINY: Final = 1e-300
PRECISION: Final = 1e-10
STEPS_MAX: Final = 3000

_LOG_GAMMA: Final = np.frompyfunc(math.lgamma, 1, 1)


def incomplete_beta(a: Floats, b: Floats, x: float) -> Floats:
    """Return the regularised incomplete beta function I_x(a, b).

    Parameters
    ----------
    a, b : ndarray of float64, shape (n,)
        Above 0.
    x : float
        In (0, 1).
    """
    if not a.size:
        return np.zeros(0)
    swapped = x > (a + 1) / (a + b + 2)
    first, second = np.where(swapped, b, a), np.where(swapped, a, b)
    at = np.where(swapped, 1 - x, x)
    logs = [np.asarray(_LOG_GAMMA(value), np.float64) for value in (first + second, first, second)]
    front = np.exp(logs[0] - logs[1] - logs[2] + first * np.log(at) + second * np.log1p(-at)) / first
    found = front * _fraction(first, second, at)
    return np.asarray(np.clip(np.where(swapped, 1 - found, found), 0.0, 1.0), np.float64)


def _fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    """Return the continued fraction of DLMF 8.17.22 by the modified Lentz method."""
    c = np.ones_like(a)
    d = 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d.copy()
    for m in range(1, STEPS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _off_zero(1 + even * d)
        c = _off_zero(1 + even / c)
        value = value * d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _off_zero(1 + odd * d)
        c = _off_zero(1 + odd / c)
        value = value * d * c
        if np.all(np.abs(d * c - 1) < PRECISION):
            break
    return value


def _off_zero(values: Floats) -> Floats:
    return np.where(np.abs(values) > TINY, values, TINY)


def upper_within(bad: Floats, total: Floats, confidence: float, limit: float) -> Bools:
    """Tell where the upper bound of bad/total is at most a limit.

    Parameters
    ----------
    bad, total : ndarray of float64, shape (n,)
        0 ≤ bad ≤ total; they need not be whole.
    confidence, limit : float
        Both in (0, 1).
    """
    within = np.zeros(bad.shape, np.bool_)
    asked = total > bad
    within[asked] = incomplete_beta(bad[asked] + 1, total[asked] - bad[asked], limit) >= confidence
    return within


def lower_above(bad: Floats, total: Floats, confidence: float, limit: float) -> Bools:
    """Tell where the lower bound of bad/total is above a limit; parameters as of :func:`upper_within`."""
    above = np.zeros(bad.shape, np.bool_)
    asked = (bad > 0) & (bad > limit * total)
    above[asked] = incomplete_beta(bad[asked], total[asked] - bad[asked] + 1, limit) < 1 - confidence
    return above
