"""Rates with what is known of them: Wilson's interval, and that of the difference of two paired rates.

A rate here is the mean of values between 0 and 1, one for each sample: yes or no, or a share. The variance of
a share is at most that of a yes or no of the same mean, so an interval for the latter is never too narrow.
"""

import dataclasses
import math
from typing import Final

import numpy as np
import numpy.typing as npt

LEAST_SAMPLES: Final = 100
"""A rate of fewer samples has no data: its interval is wider than any difference that matters."""
Z: Final = 1.959963984540054
"""Of a two-sided interval of 95 %."""

Scalars = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate, and between which values the truth is with 95 % confidence."""

    low: float
    estimate: float
    high: float


def wilson(values: Scalars) -> Interval:
    """Return Wilson's score interval of a rate.

    Parameters
    ----------
    values
        Shape ``[n]``, each from 0 to 1, at least one.
    """
    n, p = len(values), float(np.mean(values))
    center = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    # The ends are exactly 0 and 1 where the rate is, but for rounding.
    return Interval(max(0.0, min(center - half, p)), p, min(1.0, max(center + half, p)))


def drop(before: Scalars, after: Scalars) -> Interval:
    """Return the interval of how much a rate has fallen, of the same samples before and after.

    Newcombe's hybrid score interval for paired proportions (Statistics in Medicine 17, 1998, method 10): the
    two Wilson intervals, joined by what the pairs have in common.

    Parameters
    ----------
    before, after
        Shape ``[n]`` both, each from 0 to 1, at least one; row i is the same sample.
    """
    old, new = wilson(before), wilson(after)
    fallen = old.estimate - new.estimate
    common = _correlation(before, after)
    down, up = old.estimate - old.low, old.high - old.estimate
    below, above = new.estimate - new.low, new.high - new.estimate
    low = fallen - math.sqrt(max(0.0, down * down - 2 * common * down * above + above * above))
    high = fallen + math.sqrt(max(0.0, up * up - 2 * common * up * below + below * below))
    return Interval(max(-1.0, low), fallen, min(1.0, high))


def _correlation(before: Scalars, after: Scalars) -> float:
    """Return phi of two paired rates, with Newcombe's correction for continuity.

    Shares are measured against the variance of a yes or no, as in the intervals: the closer they really lie
    together, the less is claimed.
    """
    n, p, q = len(before), float(np.mean(before)), float(np.mean(after))
    together = float(np.mean(before * after)) - p * q
    if together > 0:
        together = max(0.0, together - 1 / (2 * n))
    spread = math.sqrt(p * (1 - p) * q * (1 - q))
    return max(-1.0, min(1.0, together / spread)) if spread > 0 else 0.0
