"""Which input goes when: the golden set's own mix or a declared one, and how far the two are apart."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from canary_checks.performance import replay


@dataclasses.dataclass(frozen=True)
class Mixed:
    """A seeded order of inputs.

    Attributes
    ----------
    order
        Shape ``[requests, inputs]``, int64: the places of the inputs of each request.
    distance
        Total variation between the declared histogram and the inputs' own, 0 to 1; None without a declared
        one.
    uncovered
        Share of the declared requests of sizes that no input has; theirs go to the other bins. None without a
        declared mix.
    drift
        How far users' mix of today is from the one that is replayed, because stable was recorded under it;
        None where the mix is not measured or nothing was recorded.
    """

    order: npt.NDArray[np.int64]
    distance: float | None
    uncovered: float | None
    drift: float | None = None


def mixed(
    sizes: Sequence[int], bins: Sequence[replay.Bin], *, requests: int, inputs: int, seed: int
) -> Mixed:
    """Put inputs in an order.

    Parameters
    ----------
    sizes
        Of the inputs that there are, at least one.
    bins
        The declared mix; empty for the inputs as they are, each as often as the others.
    requests, inputs
        How many requests, and inputs in each of them. Those of one request are of one bin.
    seed
        Equal seeds give equal orders.

    Returns
    -------
    The order and what it is worth. Where no input is of any bin, `uncovered` is 1 and all inputs are used.
    """
    chance = np.random.default_rng(seed)
    everything = np.arange(len(sizes))
    if not bins:
        return Mixed(_cycled(everything, requests * inputs, chance).reshape(requests, inputs), None, None)
    edges = [one.up_to for one in bins]
    place = np.searchsorted(edges, sizes, side="left")
    shares = np.array([float(one.share) for one in bins])
    own = np.bincount(place, minlength=len(bins) + 1) / len(sizes)
    # The last place is of inputs beyond the last bin, which nobody asked for.
    distance = 0.5 * float(np.abs(own[: len(bins)] - shares).sum() + own[len(bins)])
    members = [everything[place == number] for number in range(len(bins))]
    covered = np.array([len(one) > 0 for one in members])
    uncovered = float(shares[~covered].sum())
    wanted = np.where(covered, shares, 0.0)
    if not wanted.sum():
        order = _cycled(everything, requests * inputs, chance).reshape(requests, inputs)
        return Mixed(order, distance, 1.0)
    drawn = chance.choice(len(bins), size=requests, p=wanted / wanted.sum())
    order = np.empty((requests, inputs), dtype=np.int64)
    for number, one in enumerate(members):
        rows = np.flatnonzero(drawn == number)
        if rows.size:
            order[rows] = _cycled(one, rows.size * inputs, chance).reshape(rows.size, inputs)
    return Mixed(order, distance, uncovered)


def _cycled(places: npt.NDArray[np.int64], count: int, chance: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return so many places, each of them once before any of them again."""
    rounds = -(-count // len(places))
    return np.concatenate([chance.permutation(places) for _ in range(rounds)])[:count]


def poisson(rate: float, seconds: float, *, most: int, seed: int) -> npt.NDArray[np.float64]:
    """Return the arrival times of a Poisson process.

    Parameters
    ----------
    rate
        Per second, above 0.
    seconds
        Arrivals lie before.
    most
        How many at most.
    seed
        Equal seeds give equal times.

    Returns
    -------
    Shape ``[n]``, ascending, in seconds from the start.
    """
    chance = np.random.default_rng(seed)
    times = np.cumsum(chance.exponential(1 / rate, size=most))
    return times[times < seconds]
