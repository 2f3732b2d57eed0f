"""Twins that are one and the same to a network, or are not: a matter of what comes before it.

Texts of the same tokens have the same vector, whatever the weights are; and texts that one side tells apart
reach its network as different tokens. So where the two sides disagree about this, something before the
network differs, whatever else does.
"""

import dataclasses
import functools
from typing import Final

import numpy as np

from canary_checks.golden import pack as golden_pack
from canary_checks.parity import movement
from canary_checks.parity.causes import extent, twins

Difference = golden_pack.Difference
# What tokenizers and what is before them may fold; how texts of other words come together is the network's.
_FOLDED: Final = (
    Difference.CASE,
    Difference.CASE_AND_ACCENTS,
    Difference.ACCENTS,
    Difference.WHITESPACE,
    Difference.SPACING,
    Difference.INVISIBLE,
    Difference.COMPATIBILITY,
    Difference.NORMALIZATION,
)
_FEWEST: Final = 2


@dataclasses.dataclass(frozen=True)
class Folded:
    """Twins that one side takes for the same text and the other does not."""

    differs: golden_pack.Difference
    pairs: int
    by_candidate: bool

    def sentence(self) -> str:
        """Say it."""
        one, other = ("candidate", "reference") if self.by_candidate else ("reference", "candidate")
        return (
            f"{self.pairs} texts are the same as their twins ({self.differs}) to the {one}, and not to the"
            f" {other}: the network is given other tokens"
        )


@functools.lru_cache(maxsize=4)
def folded(moved: movement.Movement) -> Folded | None:
    """Return the first property that one side folds away and the other does not.

    Returns
    -------
    None when both sides agree, when the candidate does not answer alike twice, alone and in a batch, or when
    it tells no texts apart at all.
    """
    if not moved.steady or moved.alone is None or not moved.alone <= moved.limit:
        return None
    rows = extent.plain(moved) & moved.whole
    if not rows.any() or np.median(moved.candidate[np.ix_(rows, rows)]) <= twins.APART * moved.limit:
        return None
    for differs in _FOLDED:
        both = twins.pairs(moved, differs)
        if both is None:
            continue
        ours, theirs = moved.candidate[both], moved.reference[both]
        merged = int(((ours <= moved.limit) & (theirs > twins.APART * moved.limit)).sum())
        split = int(((theirs <= moved.limit) & (ours > twins.APART * moved.limit)).sum())
        if max(merged, split) >= _FEWEST:
            return Folded(differs, max(merged, split), by_candidate=merged >= split)
    return None
