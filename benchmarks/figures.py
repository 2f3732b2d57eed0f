"""The few statistics that the tables need."""

import math
import time
from collections.abc import Callable, Sequence


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed; NaN of none."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the least-squares slope of y over x; NaN when every x is the same."""
    x_mean, y_mean = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    spread = math.fsum((x - x_mean) ** 2 for x in xs)
    if not spread:
        return math.nan
    return math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread


def fastest(*calls: Callable[[], object], seconds: float = 1.0) -> list[float]:
    """Return the seconds of the fastest call of each: what a busy machine adds is never negative.

    They take turns, so that a slow moment of the machine meets all of them.
    """
    best, began = [math.inf] * len(calls), time.perf_counter()
    while time.perf_counter() - began < seconds:
        for index, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[index] = min(best[index], time.perf_counter() - start)
    return best
