"""Which rows moved and how far: what many causes are contradicted by."""

import functools
import re
from typing import Final

import numpy as np

from canary_checks import vocabulary as v
from canary_checks.golden import difference
from canary_checks.parity import movement

PURE_DILUTION: Final = -1.15
"""Slope of `decay` below which nothing but the average over tokens can have changed.

A few tokens more or less in an average of n turn it by 1/n, so that 1 − cos falls with the square of the
length (measured with its special tokens left out of the average: −1.35). Where attention sees other tokens
too, every state moves, and 1 − cos falls more slowly (measured with prompts and lost special tokens: −0.27
to −0.93).
"""
_APART: Final = 4.0
_UNTOUCHED: Final = 0.05
_FEWEST: Final = 8
_PIECE: Final = re.compile(r"\w+|[^\w\s]")
# A plain item is one that no special handling of any server touches.
_PLAIN: Final = frozenset({"plain", "photo", "native", "square"})


def modality(moved: movement.Movement) -> v.Modality:
    """Return what the items are."""
    return moved.items[0].modality


@functools.lru_cache(maxsize=4)
def plain(moved: movement.Movement) -> movement.Flags:
    """Return the paired rows that have nothing special about them; all paired rows when there are none."""
    rows = np.array([item.stratum in _PLAIN for item in moved.items]) & moved.paired
    return rows if rows.any() else moved.paired


@functools.lru_cache(maxsize=4)
def pieces(moved: movement.Movement) -> movement.Scalars:
    """Return about how many tokens each text has, at least 1."""
    return np.array([max(1, len(_PIECE.findall(item.text))) for item in moved.items], dtype=np.float64)


def untouched_plain(moved: movement.Movement) -> str | None:
    """Contradict causes that touch every row: plain items that did not move.

    Below a limit is not untouched: at a coarse class a little noise on every row leaves some rows
    below it. Untouched is what moved by a small part of what the moved rows moved by.
    """
    far = moved.own[moved.paired & ~(moved.own <= moved.limit)]
    if not far.size:
        return None
    rows = plain(moved)
    untouched = int((moved.own[rows] <= _UNTOUCHED * np.median(far)).sum())
    # A row or two may hardly move by chance; a cause that touches all of them leaves no more.
    few = untouched <= max(1, 0.05 * rows.sum()) and (moved.own[rows] > moved.limit).all()
    return f"{untouched} of {int(rows.sum())} plain rows did not move" if untouched and not few else None


def directions_agree(moved: movement.Movement) -> str | None:
    """Contradict every cause but the length of the vectors when nothing but the length differs."""
    own = moved.own[moved.paired]
    if np.isfinite(own).all() and (own <= moved.limit).all() and (moved.moved & moved.paired).any():
        return "directions agree on every row, only lengths differ"
    return None


def everywhere(moved: movement.Movement) -> str | None:
    """Contradict causes that turn every row."""
    return untouched_plain(moved) or directions_agree(moved)


def count(moved: movement.Movement, rows: movement.Flags) -> tuple[int, int]:
    """Return how many of some rows moved, and how many of them there are."""
    known = rows & moved.paired
    return int((known & moved.moved).sum()), int(known.sum())


@functools.lru_cache(maxsize=4)
def decay(moved: movement.Movement) -> float | None:
    """Say how the movement depends on the length of a text.

    It is the slope of ``log(1 − cos)`` over ``log(pieces)``. A fixed number of tokens too much or too few is
    diluted by the others, so that long texts move less: the slope is clearly below 0. What every token
    suffers from does not dilute.

    Returns
    -------
    None when too few rows of different length moved.
    """
    rows = moved.whole & (moved.own > moved.limit)
    length = pieces(moved)
    if int(rows.sum()) < _FEWEST or np.ptp(np.log(length[rows])) < 1:
        return None
    slope, _ = np.polyfit(np.log(length[rows] + 2), np.log(moved.own[rows]), 1)
    return float(slope)


@functools.lru_cache(maxsize=4)
def contextual(moved: movement.Movement) -> bool:
    """Say whether tokens see each other: else a prompt dilutes as purely as a token that is not counted does.

    A mean of tokens that do not is the same for a text and for the text said twice, on the side at least that
    adds nothing to it.
    """
    row_of = {item.id: row for row, item in enumerate(moved.items)}
    pairs = [
        (row_of[one.item], row_of[one.of])
        for one in moved.relations
        if one.differs is difference.Difference.REPETITION
    ]
    if not pairs:
        return False
    rows, twins = (np.array(side) for side in zip(*pairs, strict=True))
    nearest = min(float(np.nanmedian(side[rows, twins])) for side in (moved.candidate, moved.reference))
    return nearest > _APART * moved.limit
