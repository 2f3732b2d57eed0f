"""How a cause shows: the patterns that name casing, truncation and pooling.

Casing and truncation are read off twin items that differ in one property. Pooling has no such twin: its
signature is the shape of the two clouds, measured on one model family, and so it is never more than `Likely`.
"""

import dataclasses
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import vocabulary as v
from canary_checks.golden import pack as golden_pack
from canary_checks.parity import movement

Rows = npt.NDArray[np.intp]

_FEWEST_TWINS: Final = 3
_FEWEST_RUNGS: Final = 3
# Pooling, measured on a real MiniLM: mean pooling served as CLS against 75 other changes of the same model.
# Damage to the weights makes a token count for more, not less; an added vector leaves its weight as it was; a
# lost layer norm makes it count for more; another space leaves nothing in common once centred.
_POOLING_MEDIAN: Final = 0.3
_POOLING_OFFSET: Final = 0.5
_POOLING_CENTRED: Final = 0.6
_POOLING_TOKEN_WEIGHT: Final = 0.8


@dataclasses.dataclass(frozen=True)
class Named:
    """A signature that fits: how sure it is, why, and what to look at next."""

    confidence: v.Confidence
    evidence: tuple[str, ...]
    next: tuple[str, ...]


def has_capitals(moved: movement.Movement) -> movement.Flags:
    """Return which items lowercasing would change."""
    return np.array([item.has_capitals for item in moved.items], dtype=np.bool_)


def has_accents(moved: movement.Movement) -> movement.Flags:
    """Return which items stripping accents would change."""
    return np.array([item.has_accents for item in moved.items], dtype=np.bool_)


def casing(moved: movement.Movement) -> Named | None:
    """Recognise a tokenizer that has lost, or gained, lowercasing.

    Rows with capitals moved, their lowercase twins did not, and one side gives both the same vector while the
    other does not. Accented rows may move along: many tokenizers strip accents only while they lowercase.

    Parameters
    ----------
    moved
        The distances; that no other row moved is for the caller to see to.

    Returns
    -------
    The evidence, `Proven` when the candidate passes on every moved row given its lowercased, accent-free
    text.
    """
    row_of = {item.id: row for row, item in enumerate(moved.items)}
    pairs = [
        (row, row_of[item.twin.of])
        for row, item in enumerate(moved.items)
        if item.twin is not None and item.twin.differs is golden_pack.Difference.CASE and moved.paired[row]
    ]
    if len(pairs) < _FEWEST_TWINS:
        return None
    cased, lower = (np.array(side) for side in zip(*pairs, strict=True))
    ours, theirs = moved.candidate[cased, lower], moved.reference[cased, lower]
    lost = (theirs <= moved.limit).all() and (ours > moved.limit).all()
    gained = (ours <= moved.limit).all() and (theirs > moved.limit).all()
    if not lost and not gained:
        return None
    evidence = [
        f"{int(moved.moved[cased].sum())} of {len(pairs)} rows with capitals moved,"
        f" {int(moved.moved[lower].sum())} of their lowercase twins"
    ]
    accented = has_accents(moved) & moved.moved
    if gained:
        evidence.append(
            "the candidate gives a text and its lowercase twin the same vector, the reference does not"
        )
        return Named(v.Confidence.LIKELY, tuple(evidence), (_CASING_NEXT,))
    evidence.append(
        f"the reference gives a text and its lowercase twin the same vector (worst {theirs.max():.1g}), the"
        f" candidate does not (nearest {ours.min():.2g})"
    )
    if accented.any():
        evidence.append(
            f"{int(accented.sum())} accented rows moved along: tokenizers strip accents while they lowercase"
        )
    confidence = v.Confidence.LIKELY
    if _folded_text_passes(moved):
        confidence = v.Confidence.PROVEN
        evidence.append(
            f"given the lowercased, accent-free text the candidate passes both gates on all"
            f" {int(moved.moved.sum())} moved rows"
        )
    return Named(confidence, tuple(evidence), (_CASING_NEXT,))


_CASING_NEXT: Final = "compare lowercase and do_lower_case in tokenizer.json and tokenizer_config.json"


def _folded_text_passes(moved: movement.Movement) -> bool:
    by_text = {item.text: row for row, item in enumerate(moved.items)}
    rows = np.flatnonzero(moved.moved)
    folded = [by_text.get(golden_pack.fold(moved.items[row].text)) for row in rows]
    known = [row for row in folded if row is not None]
    return len(known) == len(rows) and moved.would_pass(np.array(known, dtype=np.intp), rows)


@dataclasses.dataclass(frozen=True)
class _Reach:
    """How far into a text a side reads: more than `beyond` words, and at most those of the rung `last`.

    `last` is None when the side tells even the two longest texts apart.
    """

    beyond: int
    last: int | None


def truncation(moved: movement.Movement) -> Named | None:
    """Recognise a changed input limit.

    Of ever longer beginnings of one text, a side that reads no further gives the longer one the vector of the
    shorter one. The rows that moved must be just those beyond the shorter of the two limits.

    Parameters
    ----------
    moved
        The distances; that no short row moved is for the caller to see to.

    Returns
    -------
    The evidence, `Proven` when the moved rows pass both gates as the text cut at the limit.
    """
    ladder = _ladder(moved)
    if len(ladder) < _FEWEST_RUNGS:
        return None
    words = np.array([moved.items[row].words for row in ladder])
    ours, theirs = (
        _reach(moved.candidate, ladder, words, moved.limit),
        _reach(moved.reference, ladder, words, moved.limit),
    )
    if ours is None or theirs is None:
        return None
    shorter = _shorter(ours, theirs, words)
    if shorter is None or shorter.last is None:
        return None
    limit = int(words[shorter.last])
    must_move = words > limit
    must_stay = words <= shorter.beyond
    if not moved.moved[ladder][must_move].all() or moved.moved[ladder][must_stay].any():
        return None
    rows = np.flatnonzero(moved.moved & moved.paired)
    cut = np.full(len(rows), ladder[shorter.last])
    cuts_earlier = shorter is ours
    proven = moved.would_pass(rows, cut) if cuts_earlier else moved.would_pass(cut, rows)
    who, other = ("candidate", "reference") if cuts_earlier else ("reference", "candidate")
    place = (
        f"after {limit} words" if proven else f"after more than {shorter.beyond} and at most {limit} words"
    )
    evidence = [
        f"the {who} cuts texts {place}: from there on a longer text gets the vector of a shorter one",
        f"the {other} tells them apart",
        f"{len(rows)} longer rows moved, {int(must_stay.sum())} shorter rows of the same text did not",
    ]
    if proven and cuts_earlier:
        evidence.append(f"the moved rows are what the reference gives to the first {limit} words")
    elif proven:
        evidence.append(
            f"given the first {limit} words the candidate passes both gates on all {len(rows)} moved rows"
        )
    return Named(
        v.Confidence.PROVEN if proven else v.Confidence.LIKELY,
        tuple(evidence),
        ("compare max_seq_length, model_max_length and the server's own input limit of both revisions",),
    )


def _ladder(moved: movement.Movement) -> Rows:
    """Return the rows of the one text that is given in ever longer beginnings, shortest first."""
    row_of = {item.id: row for row, item in enumerate(moved.items)}
    rows = set()
    for row, item in enumerate(moved.items):
        if item.twin is not None and item.twin.differs is golden_pack.Difference.LENGTH:
            rows |= {row, row_of[item.twin.of]}
    usable = [row for row in rows if moved.paired[row]]
    return np.array(sorted(usable, key=lambda row: moved.items[row].words), dtype=np.intp)


def _reach(
    inside: movement.Scalars, ladder: Rows, words: npt.NDArray[np.int64], limit: float
) -> _Reach | None:
    """Read off how far a side reads, or None when its rungs do not part once and for all."""
    apart = inside[ladder[1:], ladder[:-1]] > limit
    told = int(apart.sum())
    if not apart[:told].all():
        return None
    if told == len(apart):
        return _Reach(int(words[-2]), None)
    return _Reach(int(words[told - 1]) if told else 0, told)


def _shorter(ours: _Reach, theirs: _Reach, words: npt.NDArray[np.int64]) -> _Reach | None:
    """Return the reach that is surely the shorter one."""
    for one, other in ((ours, theirs), (theirs, ours)):
        if one.last is not None and words[one.last] <= other.beyond:
            return one
    return None


def pooling(moved: movement.Movement) -> Named | None:
    """Recognise another way of making one vector of tokens: one token's vector where it was their mean.

    Every row moved far; more than half of the movement is one vector; without it the rows still agree; and a
    single token counts clearly less than it did, as it does where it is not averaged in. Damaged or other
    weights do not show all four. The reverse change and pooling by the maximum are not told from a lost layer
    norm: not named.

    Parameters
    ----------
    moved
        The distances; that every plain row moved is for the caller to see to.

    Returns
    -------
    The evidence, at most `Likely`.
    """
    shape = moved.shape
    if shape is None or not (
        shape.median >= _POOLING_MEDIAN
        and shape.offset_share >= _POOLING_OFFSET
        and shape.centred_cosine >= _POOLING_CENTRED
        and shape.token_weight <= _POOLING_TOKEN_WEIGHT
    ):
        return None
    return Named(
        v.Confidence.LIKELY,
        (
            f"every row moved (1 − cos median {shape.median:.2f})",
            f"{shape.offset_share:.0%} of the movement is one vector, the same for every text",
            f"without it the rows still agree (cosine {shape.centred_cosine:.2f}): the same model speaks",
            f"a single token counts {shape.token_weight:.2f} times as much as in the reference",
        ),
        ("compare 1_Pooling/config.json, or the server's pooling option, of both revisions",),
    )
