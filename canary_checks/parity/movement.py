"""What moved: the distances that a diagnosis reasons on, between and inside a candidate and a reference."""

import dataclasses
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks.golden import pack as golden_pack
from canary_checks.parity import distance

Flags = npt.NDArray[np.bool_]
Scalars = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]

# Twins that differ in a token or two: how far apart they are says how much one token counts.
_SMALL_DIFFERENCES: Final = frozenset(
    {
        golden_pack.Difference.NUMBER,
        golden_pack.Difference.PUNCTUATION,
        golden_pack.Difference.PROMPT,
        golden_pack.Difference.REPETITION,
    }
)
_LEAST_ROWS: Final = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """How the two clouds of rows lie to each other, over the paired rows.

    Attributes
    ----------
    median
        Median ``1 - cos`` of the pairs.
    offset_share
        Share, 0 to 1, of the mean squared movement that is one vector, the same for every row.
    centred_cosine
        Median cosine of the pairs after each side's mean is taken away: 1 means that both say the same about
        each text apart from that one vector, 0 that they have nothing in common.
    token_weight
        How far one or two tokens move a text in the candidate over the same in the reference, each relative
        to how far apart plain texts are: 1 means that a token counts as much as before. NaN where it cannot
        be said.
    """

    median: float
    offset_share: float
    centred_cosine: float
    token_weight: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Movement:
    """All that is known of a candidate against one reference; matrices are ``1 - cos``, NaN without a vector.

    Attributes
    ----------
    items
        The golden items, n of them.
    across
        Shape ``[n, n]``: the candidate's row i against the reference's row j. Off the diagonal it says what
        would have been, had the candidate been given another text.
    candidate, reference
        Shape ``[n, n]``: rows of one side among themselves.
    norm_ratio
        Shape ``[n, n]``: the candidate's length i over the reference's length j.
    paired
        Shape ``[n]``: both sides embedded the item.
    moved
        Shape ``[n]``: beyond a limit, or embedded by one side only.
    limit, norm_limit
        On ``1 - cos`` and on the norm-ratio deviation; texts closer than `limit` are the same text to a
        model.
    shape
        How the clouds lie; None when there are too few pairs.
    repeat, alone
        Worst ``1 - cos`` of rows that the candidate was asked again, in the same batch and alone; None if not
        asked.
    repeat_limit
        The limit on `repeat`.
    """

    items: tuple[golden_pack.Item, ...]
    across: Scalars
    candidate: Scalars
    reference: Scalars
    norm_ratio: Scalars
    paired: Flags
    moved: Flags
    limit: float
    norm_limit: float
    shape: Shape | None
    repeat: float | None
    alone: float | None
    repeat_limit: float

    def rows(self, *strata: str) -> npt.NDArray[np.intp]:
        """Return the rows of some strata."""
        return np.flatnonzero([item.stratum in strata for item in self.items])

    def would_pass(self, given: npt.NDArray[np.intp], wanted: npt.NDArray[np.intp]) -> bool:
        """Say whether the candidate's rows `given` pass both gates as the reference's rows `wanted`."""
        near = self.across[given, wanted] <= self.limit
        long_as = np.abs(self.norm_ratio[given, wanted] - 1.0) <= self.norm_limit
        return bool((near & long_as).all())


def measure(
    items: tuple[golden_pack.Item, ...],
    candidate: Vectors,
    reference: Vectors,
    *,
    paired: Flags,
    moved: Flags,
    limit: float,
    norm_limit: float,
    repeat: float | None,
    alone: float | None,
    repeat_limit: float,
) -> Movement:
    """Measure every distance that a diagnosis may need.

    Parameters
    ----------
    items
        The golden items, n of them.
    candidate, reference
        Shape ``[n, d]``, float32; NaN where a side has no vector.
    paired, moved, limit, norm_limit, repeat, alone, repeat_limit
        As in `Movement`.

    Returns
    -------
    The movement; about ``3 n^2 d`` operations, so n is a golden set and not a corpus.
    """
    lengths = distance.norms(candidate), distance.norms(reference)
    with np.errstate(invalid="ignore", divide="ignore"):
        norm_ratio = lengths[0][:, np.newaxis] / lengths[1][np.newaxis, :]
    inside_candidate = distance.every_pair(candidate, candidate)
    inside_reference = distance.every_pair(reference, reference)
    return Movement(
        items=items,
        across=distance.every_pair(candidate, reference),
        candidate=inside_candidate,
        reference=inside_reference,
        norm_ratio=norm_ratio,
        paired=paired,
        moved=moved,
        limit=limit,
        norm_limit=norm_limit,
        shape=_shape(
            items,
            candidate,
            reference,
            paired=paired,
            inside=(inside_candidate, inside_reference),
            limit=limit,
        ),
        repeat=repeat,
        alone=alone,
        repeat_limit=repeat_limit,
    )


def _shape(
    items: tuple[golden_pack.Item, ...],
    candidate: Vectors,
    reference: Vectors,
    *,
    paired: Flags,
    inside: tuple[Scalars, Scalars],
    limit: float,
) -> Shape | None:
    usable = paired & distance.finite_rows(candidate) & distance.finite_rows(reference)
    if usable.sum() < _LEAST_ROWS:
        return None
    ours, theirs = distance.directions(candidate[usable]), distance.directions(reference[usable])
    shift = ours - theirs
    squared = float(np.einsum("nd,nd->n", shift, shift).mean())
    common = shift.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = 1.0 - distance.cosine(ours - ours.mean(axis=0), theirs - theirs.mean(axis=0))
    return Shape(
        median=float(np.median(distance.cosine(ours, theirs))),
        offset_share=float(common @ common) / squared if squared > 0 else 0.0,
        centred_cosine=float(np.nanmedian(centred)) if np.isfinite(centred).any() else 1.0,
        token_weight=_token_weight(items, usable, inside, limit),
    )


def _token_weight(
    items: tuple[golden_pack.Item, ...], usable: Flags, inside: tuple[Scalars, Scalars], limit: float
) -> float:
    row_of = {item.id: row for row, item in enumerate(items)}
    plain = np.flatnonzero(usable & np.array([item.stratum == "plain" for item in items]))
    pairs = [
        (row, row_of[item.twin.of])
        for row, item in enumerate(items)
        if item.twin is not None and item.twin.differs in _SMALL_DIFFERENCES
    ]
    told_apart = [
        (a, b)
        for a, b in pairs
        if usable[a] and usable[b] and inside[1][a, b] > limit and inside[0][a, b] > 0
    ]
    if len(plain) < _LEAST_ROWS or not told_apart:
        return float("nan")
    left, right = (np.array(side) for side in zip(*told_apart, strict=True))
    upper = np.triu_indices(len(plain), 1)
    scale = [float(np.mean(side[np.ix_(plain, plain)][upper])) for side in inside]
    if min(scale) <= 0:
        return float("nan")
    ratios = (inside[0][left, right] / scale[0]) / (inside[1][left, right] / scale[1])
    return float(np.median(ratios))
