"""Exact bounds for a proportion, from counts alone.

Clopper–Pearson needs no normal approximation, which is what fails where it matters here: few bad
requests, or none. Pure Python, because the operator's process carries no numerics.
"""

import functools
import math
import statistics
from typing import Final

EPSILON = 1e-15
TINY = 1e-300
ITERATIONS_MAX = 20_000
"""The fraction converges in O(sqrt(max(a, b))) steps: enough for 10^8 requests."""
PRECISION = 1e-12
"""Relative, of a bound."""
STEPS_MAX = 100
LOG_MAX = 700.0
_NORMAL: Final = statistics.NormalDist()


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b).

    Parameters
    ----------
    a, b : float
        Shapes, above 0.
    x : float
        In [0, 1].

    Returns
    -------
    float
        In [0, 1]; relative error about 1e-12 in the tested range.

    Raises
    ------
    ValueError
        If an argument is out of range.
    ArithmeticError
        If the continued fraction does not converge (a or b far above 10^8).

    Notes
    -----
    DLMF 8.17.22, evaluated by the modified Lentz method. The fraction converges fast only for
    x < (a + 1) / (a + b + 2); on the other side I_x(a, b) = 1 − I_{1−x}(b, a) (DLMF 8.17.4).
    """
    if a <= 0 or b <= 0 or not 0 <= x <= 1:
        raise ValueError(f"incomplete_beta({a}, {b}, {x}) is out of range")
    if x in (0, 1):
        return float(x)
    return _cumulated(a, b, x, _front(a, b, x))


def _front(a: float, b: float, x: float) -> float:
    """Return x^a (1 − x)^b / B(a, b): what stands before the fraction, and x (1 − x) times the density."""
    return math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )


def _cumulated(a: float, b: float, x: float, front: float) -> float:
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of DLMF 8.17.22 by the modified Lentz method."""
    c = 1.0
    d = 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, ITERATIONS_MAX):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _off_zero(1 + even * d)
        c = _off_zero(1 + even / c)
        value *= d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _off_zero(1 + odd * d)
        c = _off_zero(1 + odd / c)
        value *= d * c
        if abs(d * c - 1) < EPSILON:
            return value
    raise ArithmeticError(f"incomplete_beta does not converge for a={a}, b={b}, x={x}")


def _off_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def tail(bad: int, total: int, ratio: float) -> float:
    """Return P(X ≥ bad) for X ~ Binomial(total, ratio) (DLMF 8.17.5)."""
    _check(bad, total)
    if bad == 0:
        return 1.0
    return incomplete_beta(bad, total - bad + 1, ratio)


@functools.lru_cache(maxsize=16_384)  # a look is judged again at every turn after it, of all releases
def upper_bound(bad: float, total: float, confidence: float) -> float:
    """Return the one-sided Clopper–Pearson upper bound of a proportion.

    Parameters
    ----------
    bad, total : float
        Observed; 0 ≤ bad ≤ total. Fractions come from counts that were divided by their dispersion.
    confidence : float
        In (0, 1), such as 0.95.

    Returns
    -------
    float
        The largest ratio at which `bad` or fewer still happen with probability 1 − confidence;
        1 when nothing was observed.

    Raises
    ------
    ValueError
        If the counts are impossible.

    Notes
    -----
    Clopper and Pearson, Biometrika 26 (1934) 404–413. With no bad request it is
    1 − (1 − confidence)^(1/total), about 3/total at 95 %.
    """
    _check(bad, total)
    if bad == total:
        return 1.0
    return _solve(bad + 1, total - bad, confidence)


@functools.lru_cache(maxsize=4096)
def lower_bound(bad: int, total: int, confidence: float) -> float:
    """Return the one-sided Clopper–Pearson lower bound of a proportion; see :func:`upper_bound`."""
    _check(bad, total)
    if bad == 0:
        return 0.0
    return _solve(bad, total - bad + 1, 1 - confidence)


def _solve(a: float, b: float, probability: float) -> float:
    """Return the x at which I_x(a, b), which rises with x, reaches a probability.

    Newton's method, kept within what is known to hold the solution: some four evaluations.
    """
    low, high = 0.0, 1.0
    x = _near(a, b, probability)
    for _ in range(STEPS_MAX):
        front = _front(a, b, x)
        over = _cumulated(a, b, x, front) - probability
        if over < 0:
            low = x
        else:
            high = x
        following = x - over * x * (1 - x) / front if front > TINY else low
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - x) <= PRECISION * following:
            return following
        x = following
    return x


def _near(a: float, b: float, probability: float) -> float:
    """Return an estimate of the x at which I_x(a, b) reaches a probability: Abramowitz and Stegun 26.5.22."""
    x = 0.0
    if a == 1:  # without a bad request, which is most common, that is the solution itself
        x = -math.expm1(math.log1p(-probability) / b)
    elif a > 1 and b >= 1:
        over_a, over_b = 1 / (2 * a - 1), 1 / (2 * b - 1)
        y = _NORMAL.inv_cdf(1 - probability)
        shift, mean = (y * y - 3) / 6, 2 / (over_a + over_b)
        w = y * math.sqrt(mean + shift) / mean - (over_b - over_a) * (shift + 5 / 6 - 2 / (3 * mean))
        x = a / (a + b * math.exp(min(2 * w, LOG_MAX)))
    return x if 0 < x < 1 else a / (a + b)


def _check(bad: float, total: float) -> None:
    if not 0 <= bad <= total:
        raise ValueError(f"{bad} bad of {total} requests is impossible")
