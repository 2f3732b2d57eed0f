"""Which mix is replayed where users' own was measured: stable's record and the candidate need the same."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np

from canary_checks.performance import recorded, replay

_HOUR: Final = 3600
_DECIMALS: Final = 6
_BEYOND: Final = 1 << 40
"""Larger than all bins."""


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A mix.

    Attributes
    ----------
    bins
        What is replayed; empty for the golden set's own.
    drift
        See `mixing.Mixed.drift`.
    comparable
        Whether what was recorded is of this mix, or near enough to it to be replayed instead.
    remark
        What the reader should know; empty without a mix that was to be measured.
    """

    bins: tuple[replay.Bin, ...]
    drift: float | None = None
    comparable: bool = True
    remark: str = ""


def choose(
    load: replay.Performance, sizes: Sequence[int], known: recorded.Performed | None, limit: float
) -> Chosen:
    """Choose what is replayed.

    Parameters
    ----------
    load
        What was asked for.
    sizes
        Of the golden set's inputs.
    known
        What was recorded of stable; None where there is nothing.
    limit
        How far users' mix may have moved since then.

    Returns
    -------
    The recorded mix, where users' is still near it or could not be measured now; else the one of the load.
    """
    live = load.live
    if live is None or live.mix is replay.MixSource.DECLARED:
        return Chosen(load.mix)
    measured = live.mix is replay.MixSource.MEASURED
    if not measured:
        because = live.remark or "nobody could be asked"
        instead = "the recorded" if known else "the declared" if load.mix else "the golden set's own"
        return Chosen(
            known.said.bins if known else load.mix,
            remark=f"users' mix could not be measured ({because}): {instead} one was replayed",
        )
    seen = f"users' mix of {live.requests} requests in {live.window_seconds / _HOUR:g} h"
    if known is None:
        return Chosen(load.mix, remark=f"{seen} was replayed")
    before = known.said.bins or histogram(sizes, load.mix)
    moved = distance(load.mix, before, exact=load.size_of is replay.SizeOf.PIXELS)
    if known.said.size_of is not load.size_of:
        moved = 1.0
    if moved <= limit:
        return Chosen(
            known.said.bins, moved, remark=f"{seen} is {moved:.2g} from the recorded one, as replayed"
        )
    return Chosen(
        load.mix,
        moved,
        comparable=False,
        remark=f"{seen} is {moved:.2g} from the one that stable was recorded under, so no ratio was judged",
    )


def histogram(sizes: Sequence[int], edges: Sequence[replay.Bin]) -> tuple[replay.Bin, ...]:
    """Return how sizes spread over the bins of another mix; what is larger than all of them is left out."""
    place = np.searchsorted([one.up_to for one in edges], sizes, side="left")
    own = np.bincount(place, minlength=len(edges) + 1) / max(1, len(sizes))
    return tuple(
        replay.Bin(up_to=one.up_to, share=f"{share:.{_DECIMALS}f}")
        for one, share in zip(edges, own[: len(edges)], strict=True)
    )


def distance(one: Sequence[replay.Bin], other: Sequence[replay.Bin], *, exact: bool) -> float:
    """Return the total variation between two mixes: the share of requests that would have to change sizes.

    Parameters
    ----------
    one, other
        Each adds up to 1 or less; what is missing is larger than all bins.
    exact
        Whether a bin is one size, such as the pixels of 512 × 512, and not all up to it. Otherwise mixes of
        different bins are compared over the bounds that both have.

    Returns
    -------
    0 (equal) to 1 (nothing in common, also where no bound is).
    """
    parts = [{each.up_to: float(each.share) for each in bins} for bins in (one, other)]
    for part in parts:
        part[_BEYOND] = max(0.0, 1.0 - sum(part.values()))
    if exact:
        places = sorted(parts[0].keys() | parts[1].keys())
        rows = [np.array([part.get(place, 0.0) for place in places]) for part in parts]
    else:
        common = sorted(parts[0].keys() & parts[1].keys() - {_BEYOND})
        if not common:
            return 1.0
        rows = [_coarse(part, common) for part in parts]
    return float(min(1.0, 0.5 * np.abs(rows[0] - rows[1]).sum()))


def _coarse(part: dict[int, float], edges: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    found = np.zeros(len(edges) + 1)
    for up_to, share in part.items():
        found[int(np.searchsorted(edges, up_to, side="left"))] += share
    return found
