"""Intervals of what a replay measured, so that noise is seen as noise. No distribution is assumed.

A quantile has the order statistics around it as its interval, their ranks by the exact binomial
distribution (David and Nagaraja, "Order Statistics", 7.1). Latencies of one server are not independent: the
number of samples is first divided by how much more the share above the quantile varies between batches than
chance alone would make it vary (batch means; Law, "Simulation Modeling and Analysis", 9.5). A rate has
Student's interval of its batch means. Two intervals become that of a ratio by their logarithms' distances
from the points, squared and added (MOVER; Zou and Donner, Statistics in Medicine 27, 2008). A share has the
Clopper-Pearson interval. A slope is Theil and Sen's, with Kendall's interval (Sen, JASA 63, 1968).
"""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Scalars = npt.NDArray[np.float64]

CONFIDENCE: Final = 0.95
_TAIL: Final = (1 - CONFIDENCE) / 2
_NORMAL: Final = 1.959964
BATCHES: Final = 20
_STUDENT: Final = 2.093024
"""97.5 % of Student's t with `BATCHES` - 1 degrees of freedom."""
_LEAST_BATCHES: Final = 8
_LEAST_IN_BATCH: Final = 5
_BISECTIONS: Final = 60
_BLOCKS: Final = 40
_LEAST_POINTS: Final = 8
_OVERFLOW: Final = 700.0


class Interval(NamedTuple):
    """An estimate between two bounds that hold the truth with `CONFIDENCE`; infinite where none is known."""

    low: float
    point: float
    high: float

    def times(self, factor: float) -> "Interval":
        """Return the interval of a positive multiple."""
        return Interval(self.low * factor, self.point * factor, self.high * factor)

    def inverse(self) -> "Interval":
        """Return the interval of the reciprocal of something positive."""
        return Interval(*(1 / x if x > 0 else math.inf for x in (self.high, self.point, self.low)))


def quantile(samples: Scalars, q: float) -> Interval:
    """Estimate a quantile of something that is at least 0.

    Parameters
    ----------
    samples
        Shape ``[n]`` in the order of time, at least one; infinity is a value above all others.
    q
        Between 0 and 1.

    Returns
    -------
    The interval. Too few samples leave it open: the upper bound of a 95th percentile needs 72, of a 99th 368.
    """
    ordered = np.sort(samples)
    count = len(ordered)
    point = float(ordered[min(count - 1, math.ceil(q * count) - 1)])
    effective = max(1, int(count / inflation(samples > point, 1 - q)))
    cumulated = np.cumsum(np.exp(_log_binomial(effective, q)))
    below = int(np.searchsorted(cumulated, _TAIL, side="right"))
    above = int(np.searchsorted(cumulated, 1 - _TAIL, side="left")) + 1
    low, high = 0.0, math.inf
    if below > 0:
        low = float(ordered[max(0, math.floor(below / effective * count) - 1)])
    if above <= effective:
        high = float(ordered[min(count, math.ceil(above / effective * count)) - 1])
    return Interval(low, point, high)


def inflation(above: npt.NDArray[np.bool_], share: float) -> float:
    """Return how many times more a share varies between batches than independent samples would let it.

    Parameters
    ----------
    above
        Shape ``[n]`` in the order of time.
    share
        The share of True, between 0 and 1.

    Returns
    -------
    At least 1; 1 where there are too few samples to tell.
    """
    batches = min(BATCHES, len(above) // _LEAST_IN_BATCH)
    if batches < _LEAST_BATCHES:
        return 1.0
    length = len(above) // batches
    means = above[: batches * length].reshape(batches, length).mean(axis=1)
    return max(1.0, float(means.var(ddof=1)) * length / (share * (1 - share)))


def rate(counts: Scalars, seconds: float) -> Interval:
    """Estimate a rate from how much was counted in each of `BATCHES` equal spans of time.

    Parameters
    ----------
    counts
        Shape ``[BATCHES]``.
    seconds
        Of all of them together, above 0.
    """
    rates = counts * (BATCHES / seconds)
    point = float(rates.mean())
    room = _STUDENT * float(rates.std(ddof=1)) / math.sqrt(BATCHES)
    return Interval(max(0.0, point - room), point, point + room)


def ratio(ours: Interval, theirs: Interval) -> Interval:
    """Return the interval of the ratio of two independent estimates of something positive."""
    if not (0 < ours.point < math.inf and 0 < theirs.point < math.inf):
        point = math.nan if ours.point == theirs.point else _divided(ours.point, theirs.point)
        low = ours.low / theirs.high if 0 < theirs.high < math.inf else 0.0
        return Interval(low, point, _divided(ours.high, theirs.low))
    down = math.hypot(_log(ours.point) - _log(ours.low), _log(theirs.high) - _log(theirs.point))
    up = math.hypot(_log(ours.high) - _log(ours.point), _log(theirs.point) - _log(theirs.low))
    point = ours.point / theirs.point
    return Interval(point * math.exp(-down), point, point * math.exp(up) if up < _OVERFLOW else math.inf)


def _divided(above: float, below: float) -> float:
    return above / below if below > 0 else math.inf


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf


def share(count: int, total: int) -> Interval:
    """Return the Clopper-Pearson interval of a share; 0 to 1 without samples."""
    if not total:
        return Interval(0.0, math.nan, 1.0)
    low = 0.0 if not count else 1 - _upper_bound(total - count, total)
    high = 1.0 if count == total else _upper_bound(count, total)
    return Interval(low, count / total, high)


def _upper_bound(count: int, total: int) -> float:
    """Return the largest share at which so few are not too improbable."""
    chosen = np.arange(count + 1, dtype=np.float64)
    ways = _log_ways(total)[: count + 1]
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        terms = ways + chosen * math.log(middle) + (total - chosen) * math.log1p(-middle)
        if float(np.exp(terms).sum()) > _TAIL:
            low = middle
        else:
            high = middle
    return high


def _log_ways(total: int) -> Scalars:
    """Return the logarithms of the binomial coefficients; shape ``[total + 1]``."""
    place = np.arange(1, total + 1, dtype=np.float64)
    return np.concatenate([[0.0], np.cumsum(np.log((total - place + 1) / place))])


def _log_binomial(total: int, probability: float) -> Scalars:
    chosen = np.arange(total + 1, dtype=np.float64)
    return np.asarray(
        _log_ways(total) + chosen * math.log(probability) + (total - chosen) * math.log1p(-probability)
    )


def slope(times: Scalars, values: Scalars) -> Interval | None:
    """Estimate a trend that some outliers do not bend.

    Parameters
    ----------
    times, values
        Shape ``[n]`` each, times ascending. More than 40 become the medians of 40 blocks: neighbours in time
        depend on each other, and would feign certainty.

    Returns
    -------
    Change of the value per unit of time, or None with fewer than 8 samples.
    """
    if len(times) < _LEAST_POINTS:
        return None
    if len(times) > _BLOCKS:
        blocks = np.array_split(np.arange(len(times)), _BLOCKS)
        times = np.array([times[block].mean() for block in blocks])
        values = np.array([np.median(values[block]) for block in blocks])
    earlier, later = np.triu_indices(len(times), k=1)
    apart = times[later] - times[earlier]
    slopes = np.sort((values[later] - values[earlier])[apart > 0] / apart[apart > 0])
    if not slopes.size:
        return None
    count = len(times)
    spread = _NORMAL * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return Interval(float(slopes[low]), float(np.median(slopes)), float(slopes[high]))
