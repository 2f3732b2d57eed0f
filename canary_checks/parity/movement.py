"""What moved: the distances that a diagnosis reasons on, between and inside a candidate and a reference."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks.golden import pack as golden_pack
from canary_checks.parity import distance

Flags = npt.NDArray[np.bool_]
Scalars = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.intp]

# Twins that differ in a token or two: how far apart they are says how much one token counts.
_SMALL_DIFFERENCES: Final = frozenset(
    {
        golden_pack.Difference.NUMBER,
        golden_pack.Difference.PUNCTUATION,
        golden_pack.Difference.PROMPT,
        golden_pack.Difference.REPETITION,
    }
)
CURED: Final = 0.2
"""To what part of itself a movement shrinks at least, when what caused it is undone.

At a coarse numeric class many changes bring a row from just beyond the limit to just below it; a cause that
is undone leaves nothing but noise.
"""
_LEAST_ROWS: Final = 2
_LEAST_PAIRS: Final = 3


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
    relations
        Correlation of the cosines among the candidate's rows with those among the reference's, over all
        pairs: 1 means that the same texts resemble each other.
    more_alike
        Mean cosine among the candidate's rows less that among the reference's.
    token_weight
        How far one or two tokens move a text in the candidate over the same in the reference, each relative
        to how far apart plain texts are: 1 means that a token counts as much as before. NaN where it cannot
        be said.
    """

    median: float
    offset_share: float
    centred_cosine: float
    relations: float
    more_alike: float
    token_weight: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of asking the candidate otherwise, and putting its answers in the place of the first ones.

    Attributes
    ----------
    asked
        How many rows were asked anew.
    complete
        Whether every row that the change touches was asked; a trial ends early when a sample of them fails.
    passed
        Whether it is complete and every row of the golden set passes both gates then.
    before, after
        Median ``1 - cos`` of the rows that were asked anew.
    share
        Which part of them passes both gates, 0 to 1.
    """

    asked: int
    complete: bool
    passed: bool
    before: float
    after: float
    share: float

    @property
    def proves(self) -> bool:
        """Whether every row passes both gates, and not because what moved was near the limit anyway."""
        return self.complete and self.passed and self.after <= CURED * self.before


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Movement:
    """All that is known of a candidate against one reference; matrices are ``1 - cos``, NaN without a vector.

    Attributes
    ----------
    items
        The golden items, n of them.
    ours, theirs
        Shape ``[n, d]``, float32: the rows of the candidate and of the reference.
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
    trials
        What the candidate answered when it was asked otherwise, by the name of the change.
    """

    items: tuple[golden_pack.Item, ...]
    ours: Vectors
    theirs: Vectors
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
    relations: tuple[golden_pack.Relation, ...] = ()
    trials: Mapping[str, Trial] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def whole(self) -> Flags:
        """Shape ``[n]``: rows that both sides have, with finite values and a direction."""
        return self.paired & distance.finite_rows(self.ours) & distance.finite_rows(self.theirs)

    @property
    def own(self) -> Scalars:
        """Shape ``[n]``: ``1 - cos`` of each row to its own reference."""
        return np.asarray(np.diag(self.across))

    @property
    def steady(self) -> bool:
        """Whether the candidate was seen to answer the same question twice alike."""
        return self.repeat is not None and self.repeat <= self.repeat_limit

    def passing(self, vectors: Scalars | Vectors, rows: Flags | None = None) -> Flags:
        """Say which rows pass both gates when `vectors` stand in the candidate's place.

        Parameters
        ----------
        vectors
            Shape ``[n, d]``, or ``[m, d]`` for the m rows that `rows` names.
        rows
            Shape ``[n]``; None for all.

        Returns
        -------
        Shape ``[n]`` or ``[m]``.
        """
        theirs = self.theirs if rows is None else self.theirs[rows]
        near = distance.cosine(vectors, theirs) <= self.limit
        return np.asarray(near & (distance.norm_deviation(vectors, theirs) <= self.norm_limit))

    def cured_by(self, vectors: Scalars, rows: Flags) -> bool:
        """Say whether `vectors`, in the place of the candidate's `rows`, explain all that moved.

        Parameters
        ----------
        vectors
            Shape ``[m, d]``.
        rows
            Shape ``[n]``, m of them true; all rows that moved must be among them.

        Returns
        -------
        Whether each passes both gates, and the rows that had moved are nearer by far.
        """
        if not self.passing(vectors, rows).all():
            return False
        moved = self.moved[rows]
        after = distance.cosine(vectors, self.theirs[rows])[moved]
        lengths = distance.norm_deviation(vectors, self.theirs[rows])[moved]
        before = self.own[rows][moved], np.abs(np.diag(self.norm_ratio)[rows][moved] - 1.0)
        turned = np.median(after) <= CURED * np.median(before[0])
        return bool(turned or np.median(lengths) <= CURED * np.median(before[1]))

    def eligible(self) -> Flags:
        """Shape ``[n, n]``: whether the candidate's row i passes both gates as the reference's row j."""
        with np.errstate(invalid="ignore"):
            long_as = np.abs(self.norm_ratio - 1.0) <= self.norm_limit
            return np.asarray((self.across <= self.limit) & long_as)

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
    relations: Sequence[golden_pack.Relation] = (),
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
    relations
        Of the golden set; those of other items are left out.

    Returns
    -------
    The movement; about ``3 n^2 d`` operations, so n is a golden set and not a corpus.
    """
    lengths = distance.norms(candidate), distance.norms(reference)
    with np.errstate(invalid="ignore", divide="ignore"):
        norm_ratio = lengths[0][:, np.newaxis] / lengths[1][np.newaxis, :]
    known = {item.id for item in items}
    inside_candidate = distance.every_pair(candidate, candidate)
    inside_reference = distance.every_pair(reference, reference)
    return Movement(
        items=items,
        ours=candidate,
        theirs=reference,
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
        relations=tuple(one for one in relations if one.item in known and one.of in known),
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
    relations, more_alike = _relations(usable, inside)
    return Shape(
        median=float(np.median(distance.cosine(ours, theirs))),
        offset_share=float(common @ common) / squared if squared > 0 else 0.0,
        centred_cosine=float(np.nanmedian(centred)) if np.isfinite(centred).any() else 1.0,
        relations=relations,
        more_alike=more_alike,
        token_weight=_token_weight(items, usable, inside, limit),
    )


def _relations(usable: Flags, inside: tuple[Scalars, Scalars]) -> tuple[float, float]:
    """Compare who resembles whom: the correlation, and how much more alike the candidate's rows are."""
    upper = np.triu_indices(int(usable.sum()), 1)
    ours, theirs = (1.0 - side[np.ix_(usable, usable)][upper] for side in inside)
    if len(ours) < _LEAST_PAIRS or not ours.std() > 0 or not theirs.std() > 0:
        return 1.0, 0.0
    return float(np.corrcoef(ours, theirs)[0, 1]), float(ours.mean() - theirs.mean())


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
