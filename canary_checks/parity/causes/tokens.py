"""How a text becomes tokens: how many are read, and which ids they get."""

import collections
import dataclasses
import re
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import vocabulary as v
from canary_checks.golden import difference
from canary_checks.parity import matching, movement
from canary_checks.parity.causes import cause, extent

_FEWEST_RUNGS: Final = 3
_FEWEST_SHARED: Final = 2
_WORD: Final = re.compile(r"\w+|[^\w\s]")
_TRUNCATION_NEXT: Final = (
    "compare max_seq_length, model_max_length and the server's own input limit of both revisions"
)
_VOCABULARY_NEXT: Final = "compare the SHA-256 of tokenizer.json, vocab.txt and merges.txt of both revisions"
EXCHANGED: Final = "two words exchanged"


@dataclasses.dataclass(frozen=True)
class _Reach:
    """How far into a text a side reads: more than `beyond` words, and at most those of the rung `last`.

    `last` is None when the side tells even the two longest texts apart.
    """

    beyond: int
    last: int | None


def truncation(moved: movement.Movement) -> cause.Named | None:
    """Recognise a changed input limit, where no other row moved.

    Of ever longer beginnings of one text, a side that reads no further gives the longer one the vector of the
    shorter one. The rows that moved must be just those beyond the shorter of the two limits.

    Parameters
    ----------
    moved
        The distances.

    Returns
    -------
    The evidence, `Proven` when the moved rows pass both gates as the text cut at the limit.
    """
    ladder = _ladder(moved)
    if len(ladder) < _FEWEST_RUNGS or _truncation_contradicted(moved) is not None:
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
    return cause.Named(
        v.Confidence.PROVEN if proven else v.Confidence.LIKELY,
        tuple(evidence),
        (_TRUNCATION_NEXT,),
        sole=True,
    )


def _ladder(moved: movement.Movement) -> movement.Rows:
    """Return the rows of the one text that is given in ever longer beginnings, shortest first."""
    row_of = {item.id: row for row, item in enumerate(moved.items)}
    rows = set()
    for row, item in enumerate(moved.items):
        if item.twin is not None and item.twin.differs is difference.Difference.LENGTH:
            rows |= {row, row_of[item.twin.of]}
    usable = [row for row in rows if moved.paired[row]]
    return np.array(sorted(usable, key=lambda row: moved.items[row].words), dtype=np.intp)


def _reach(
    inside: movement.Scalars, ladder: movement.Rows, words: npt.NDArray[np.int64], limit: float
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


def words(text: str) -> frozenset[str]:
    """Return the words and signs of a text as an uncased tokenizer sees them."""
    return frozenset(_WORD.findall(difference.fold(text)))


def guilty(moved: movement.Movement) -> collections.Counter[str]:
    """Return the words that only moved rows hold, with how many rows hold them."""
    innocent: set[str] = set()
    suspects: collections.Counter[str] = collections.Counter()
    for item, has_moved, paired in zip(moved.items, moved.moved, moved.paired, strict=True):
        if not paired:
            continue
        if has_moved:
            suspects.update(words(item.text))
        else:
            innocent |= words(item.text)
    return collections.Counter({word: n for word, n in suspects.items() if word not in innocent})


def cover(moved: movement.Movement) -> list[str]:
    """Choose few words of which every moved row holds one and no other row does; empty if there are none."""
    suspects = guilty(moved)
    rows = [
        words(item.text) & set(suspects)
        for item, m in zip(moved.items, moved.moved & moved.paired, strict=True)
        if m
    ]
    if not all(rows):
        return []
    chosen: list[str] = []
    while rows:
        tally = collections.Counter(word for row in rows for word in sorted(row))
        chosen.append(tally.most_common(1)[0][0])
        rows = [row for row in rows if chosen[-1] not in row]
    return chosen


def exchanged(text: str, one: str, other: str) -> str:
    """Put each of two words in the place of the other."""
    swap = {one: other, other: one}
    return _WORD.sub(lambda found: swap.get(difference.fold(found[0]), found[0]), text)


def vocabulary(moved: movement.Movement) -> cause.Named | None:
    """Recognise words that became other tokens: texts that hold them moved, whatever else they hold.

    Plain rows without them did not move at all; every moved row has a word that no unmoved row has, and one
    such word at least is in several rows, of which all moved.
    """
    trial = moved.trials.get(EXCHANGED)
    if trial is not None and trial.proves:
        pair = " and ".join(repr(word) for word in cover(moved)[:2])
        return cause.proven(
            f"with {pair} exchanged in the texts the candidate passes both gates on every row",
            next_step=_VOCABULARY_NEXT,
        )
    if extent.untouched_plain(moved) is None or _vocabulary_contradicted(moved) is not None:
        return None
    n, of = extent.count(moved, np.ones(len(moved.items), dtype=np.bool_))
    chosen = cover(moved)
    shared = [word for word in chosen if guilty(moved)[word] >= _FEWEST_SHARED]
    # Signs that a cleaning step may have removed are no matter of the vocabulary alone.
    if not shared or not any(word.isalnum() for word in chosen):
        return None
    shown = ", ".join(repr(word) for word in chosen[:4]) + (" and others" if len(chosen) > 4 else "")  # noqa: PLR2004
    return cause.likely(
        f"{n} of {of} texts moved, the others did not: it depends on the words",
        f"every moved text holds a word that no unmoved text holds, such as {shown}",
        f"{shared[0]!r} is in {guilty(moved)[shared[0]]} texts, and all of them moved",
        next_step=_VOCABULARY_NEXT,
    )


def _vocabulary_contradicted(moved: movement.Movement) -> str | None:
    """Contradict words as the cause: a text of nothing but words that are right elsewhere moved."""
    long = np.array([item.stratum == "long" for item in moved.items])
    n, of_others = extent.count(moved, ~long)
    if not n:
        return f"0 of {of_others} short rows moved"
    agree = extent.directions_agree(moved)
    if agree is not None:
        return agree
    only_longer = int((moved.moved & moved.whole & (moved.own <= moved.limit)).sum())
    if only_longer:
        return f"{only_longer} rows changed in length alone"
    if extent.untouched_plain(moved) is not None and not cover(moved):
        return "texts moved whose every word is in texts that did not"
    if matching.order(moved) is not None:
        return "the moved rows hold each other's vectors"
    return None


def _truncation_contradicted(moved: movement.Movement) -> str | None:
    long = np.array([item.stratum == "long" for item in moved.items])
    n, of = extent.count(moved, long)
    others, of_others = extent.count(moved, ~long)
    if n == 0:
        return f"0 of {of} long rows moved"
    if others and not _reads_nothing(moved):
        return f"{others} of {of_others} short rows moved too"
    return extent.directions_agree(moved)


def _reads_nothing(moved: movement.Movement) -> bool:
    """Say whether the candidate gives one vector to all beginnings of one text, the shortest too."""
    ladder = _ladder(moved)
    if len(ladder) < _FEWEST_RUNGS:
        return False
    ours, theirs = (side[ladder[1:], ladder[:-1]] for side in (moved.candidate, moved.reference))
    return bool((ours <= moved.limit).all() and theirs[0] > moved.limit)


_TEXT: Final = frozenset({v.Modality.TEXT})

TABLE: Final = (
    cause.Cause(
        name="Truncation",
        contradiction=_truncation_contradicted,
        signature=truncation,
        next=_TRUNCATION_NEXT,
        modalities=_TEXT,
    ),
    cause.Cause(
        name="Vocabulary",
        contradiction=_vocabulary_contradicted,
        signature=vocabulary,
        next=_VOCABULARY_NEXT,
        modalities=_TEXT,
    ),
)
