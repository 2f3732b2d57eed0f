"""Evidence that a candidate is worse, which may be looked at after every slice of time.

An e-process is a bet against "the candidate is not worse" that is fair, or worse than fair, as long as that
is true: it exceeds 1/α with a probability of at most α, however often one looks and whenever one stops
(Ville). The average of two is one, too. Two bets are made, because each is blind where the other sees:

signs
    Which arm had the larger bad ratio in a slice, candidate or baseline? Needs no knowledge of what is
    normal; immune to errors that come in clusters and to incidents that both arms share. Slow: it needs
    several slices in a row. Bet on slices, and again on the minutes that they make up.
bad slices
    Had the slice any bad request at all? Likelier than the accepted ratio allows, whatever the clusters
    within a slice. Fast. Slices in which the baseline burns, too, are skipped.

Errors that come more regularly than by chance, one in every slice, look to the second bet like more than they
are. So it is believed only of a candidate whose bad ratio is above the accepted one (``slo/burn.py``).

Each bet is a mixture of likelihood ratios over a grid of alternatives. Their logarithms are kept as whole
micro-nats, so that a state that was written and read again goes on to exactly the same numbers.
"""

import functools
import math
from collections.abc import Sequence
from typing import Final

ALPHA: Final = 0.005
"""Probability of a false alarm of all objectives of a run together, at most."""
MICRO: Final = 1_000_000
ODDS: Final = (2.0, 4.0, 16.0, 64.0)
"""Alternatives of the signs: how much likelier than by chance the candidate is the worse arm."""
MULTIPLES: Final = (3.0, 8.0, 20.0, 50.0)
"""Alternatives of the bad slices: multiples of the accepted ratio."""
CERTAIN: Final = 1 - 1e-9
LOG_MAX: Final = 600 * MICRO
"""Evidence beyond e^600 says nothing more, and must not overflow."""

NONE: Final = (0, 0, 0, 0)
"""No evidence yet: every likelihood ratio is 1."""
Logs = tuple[int, ...]


def sign(logs: Logs, *, worse: bool, candidate: int, baseline: int) -> Logs:
    """Return the bet on signs after a slice in which the arms differed.

    Parameters
    ----------
    logs : tuple of int
        The bet so far, one logarithm for each of :data:`ODDS`.
    worse : bool
        Whether the candidate had the larger bad ratio; ties are not bet on.
    candidate, baseline : int
        Requests of the arms in the slice, above 0. An arm with more traffic meets the rare bad request more
        often: by chance its share of all, and never less than one half.
    """
    chance = max(0.5, candidate / (candidate + baseline))
    return tuple(
        _moved(log, worse, chance, odds * chance / (odds * chance + 1 - chance))
        for log, odds in zip(logs, ODDS, strict=True)
    )


def bad_slice(logs: Logs, *, bad: bool, requests: int, accepted: float) -> Logs:
    """Return the bet on bad slices after one with requests.

    Parameters
    ----------
    logs : tuple of int
        The bet so far, one logarithm for each of :data:`MULTIPLES`.
    bad : bool
        Whether any request was bad.
    requests : int
        Above 0.
    accepted : float
        The bad ratio that is not held against the candidate, in (0, 1).
    """
    good, *others = _good(accepted)
    chance = _any(requests, good)
    return tuple(
        [_moved(log, bad, chance, _any(requests, other)) for log, other in zip(logs, others, strict=True)]
    )


@functools.lru_cache(maxsize=256)
def _good(accepted: float) -> tuple[float, ...]:
    """Return the logarithm of the probability that a request is good: as accepted, and by alternative."""
    ratios = (accepted, *(min(accepted * multiple, CERTAIN) for multiple in MULTIPLES))
    return tuple(math.log1p(-ratio) for ratio in ratios)


def _any(requests: int, good: float) -> float:
    """Return the probability of at least one bad request; clusters only make it smaller."""
    return -math.expm1(requests * good)


def _moved(log: int, success: bool, chance: float, alternative: float) -> int:  # noqa: FBT001
    null, other = min(chance, CERTAIN), min(alternative, CERTAIN)
    ratio = other / null if success else (1 - other) / (1 - null)
    return min(LOG_MAX, log + round(MICRO * math.log(ratio)))


def value(*bets: Sequence[Logs]) -> float:
    """Return the average of averages: each bet is a group of mixtures of equal weight.

    Parameters
    ----------
    *bets : sequence of tuple of int
        Groups; within each all logarithms weigh the same, and all groups weigh the same.

    Returns
    -------
    float
        1 without any evidence; at 1/α a candidate that is not worse is rejected with probability α at most.
    """
    return math.fsum(map(_average, map(tuple, bets))) / len(bets)


@functools.lru_cache(maxsize=1024)  # the signs of healthy arms stay as they are for many slices
def _average(bet: tuple[Logs, ...]) -> float:
    ratios = [math.exp(log / MICRO) for logs in bet for log in logs]
    return math.fsum(ratios) / len(ratios)


def compared(signs: Logs, minute_signs: Logs) -> float:
    """Return what the signs alone are worth in the average of both bets, at the least."""
    return value((signs, minute_signs)) / 2
