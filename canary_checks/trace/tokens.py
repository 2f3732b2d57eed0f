"""Token ids of two processes: how far apart, and which change of the text or of the ids makes them equal.

Ids are exact: any difference fails, whatever the numeric class.
"""

import dataclasses
import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np

from canary_checks import vocabulary as v
from canary_checks.trace import blame

Ids = tuple[int, ...]
Sequences = Mapping[str, Ids]
"""Ids by item."""
Asked = Mapping[str, Mapping[str, Ids | None]]
"""By variant, then by item: ids of the changed text, None where a side cannot be asked (a recording)."""

_EDGE: Final = 2
"""Special tokens at one end of a sequence, at most."""
_SHOWN: Final = 6


@dataclasses.dataclass(frozen=True)
class Difference:
    """How two tokenizers differ on the same texts.

    Attributes
    ----------
    items
        How many were compared.
    differing
        Those whose ids are not the same.
    edit_distance_worst, edit_distance_mean
        Levenshtein distance by the longer length, 0 to 1; the mean over all items.
    length_ratio
        All ids of `b` by all ids of `a`.
    special
        What is said about the first and last ids that all items share.
    """

    items: int
    differing: tuple[str, ...]
    edit_distance_worst: float
    edit_distance_mean: float
    length_ratio: float
    special: tuple[str, ...]


def compare(a: Sequences, b: Sequences) -> Difference:
    """Measure how the ids of `b` differ from those of `a`.

    Parameters
    ----------
    a, b
        The same items.
    """
    distances = {name: edit_distance(a[name], b[name]) for name in a}
    longest = sum(len(ids) for ids in a.values())
    return Difference(
        items=len(a),
        differing=tuple(name for name in a if a[name] != b[name]),
        edit_distance_worst=max(distances.values(), default=0.0),
        edit_distance_mean=sum(distances.values()) / len(a) if a else 0.0,
        length_ratio=sum(len(b[name]) for name in a) / longest if longest else 1.0,
        special=tuple(_special(a, b)),
    )


def edit_distance(a: Ids, b: Ids) -> float:
    """Return the Levenshtein distance of two sequences by the longer length, from 0 to 1."""
    longest = max(len(a), len(b))
    head = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[head:], b[head:]
    tail = next(
        (i for i, (x, y) in enumerate(zip(reversed(a), reversed(b), strict=False)) if x != y),
        min(len(a), len(b)),
    )
    left, right = np.array(a[: len(a) - tail]), np.array(b[: len(b) - tail])
    row = np.arange(len(right) + 1)
    places = np.arange(len(right) + 1)
    for done, token in enumerate(left, start=1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (right != token))
        # An insertion continues from the left: the running minimum of cost minus place, plus place.
        row = np.minimum.accumulate(np.concatenate(([done], changed)) - places) + places
    return float(row[-1]) / longest if longest else 0.0


def _special(a: Sequences, b: Sequences) -> Iterator[str]:
    for place, word in ((0, "first"), (-1, "last")):
        ours, theirs = ({ids[place] for ids in side.values() if ids} for side in (a, b))
        if len(a) > 1 and len(ours) == 1 and ours != theirs:
            common = f"{min(theirs)}" if len(theirs) == 1 else "none in common"
            yield f"the {word} id of every item is {min(ours)} on one side and {common} on the other"


# Counterfactuals on the text: one side is asked about changed texts.


def _squeeze(text: str) -> str:
    return " ".join(text.split())


def _mojibake(text: str) -> str:
    return text.encode().decode("latin-1")


def _around_ideographs(text: str) -> str:
    return re.sub(r"([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])", r" \1 ", text)


def strip_accents(text: str) -> str:
    """Decompose a text (NFD) and drop the non-spacing marks, as BERT's normaliser does."""
    return "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")


_BOTH: Final = "fold"
VARIANTS: Final[dict[str, tuple[str, str, Callable[[str], str]]]] = {
    "lower": ("Casing", "lowercases the text", str.lower),
    "strip": ("Accents", "strips accents", strip_accents),
    _BOTH: ("Casing", "lowercases the text and strips accents", lambda text: strip_accents(text.lower())),
    "nfc": ("UnicodeForm", "normalises the text to NFC", lambda text: unicodedata.normalize("NFC", text)),
    "nfkc": ("UnicodeForm", "normalises the text to NFKC", lambda text: unicodedata.normalize("NFKC", text)),
    "squeeze": ("Whitespace", "folds white space", _squeeze),
    "ideographs": ("Cjk", "separates ideographs", _around_ideographs),
    "latin1": ("Encoding", "reads UTF-8 as Latin-1", _mojibake),
    "escape": ("HtmlEscaping", "escapes HTML", html.escape),
    "full stop": ("Punctuation", "drops a full stop at the end", lambda text: text.rstrip(".")),
    "query": ("PromptPrefix", "adds the prefix 'query: '", lambda text: "query: " + text),
    "passage": ("PromptPrefix", "adds the prefix 'passage: '", lambda text: "passage: " + text),
}
"""By name: the cause, what a tokenizer does that has it, and the same done to the text."""


def variants(texts: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return, for each variant that changes any of some texts, the texts that it changes, by item."""
    made = {
        name: {item: change(text) for item, text in texts.items() if change(text) not in {text, ""}}
        for name, (_, _, change) in VARIANTS.items()
    }
    return {name: changed for name, changed in made.items() if changed}


def by_text(a: Sequences, b: Sequences, asked_a: Asked, asked_b: Asked) -> list[blame.Blame]:
    """Find which side changes the text before it tokenizes.

    Side B applies a change exactly when A makes of every changed text what B makes of the original.

    Parameters
    ----------
    a, b
        Ids of the original texts.
    asked_a, asked_b
        By variant: what each side makes of the texts that `variants` changed.

    Returns
    -------
    Every change that explains all items, the simplest first; ``Likely`` where a side could not be asked about
    each of them.
    """
    fitting: list[blame.Blame] = []
    for name in VARIANTS:
        if name == _BOTH and fitting:
            # One of the two does already.
            continue
        for side, told, originals, results in (("B", asked_a, a, b), ("A", asked_b, b, a)):
            found = _fits(name, side, told.get(name, {}), originals, results)
            if found is not None:
                fitting.append(found)
    return fitting


def _fits(
    name: str, side: str, changed: Mapping[str, Ids | None], originals: Sequences, results: Sequences
) -> blame.Blame | None:
    answers = {item: changed.get(item, ids) for item, ids in originals.items()}
    if any(ids is not None and ids != results[item] for item, ids in answers.items()):
        return None
    differing = [item for item in originals if originals[item] != results[item]]
    answered = [item for item in differing if answers[item] is not None]
    if not answered:
        return None
    cause, does, _ = VARIANTS[name]
    other = {"A": "B", "B": "A"}[side]
    whole = len(answered) == len(differing)
    count = f"all {len(differing)}" if whole else f"{len(answered)} of the {len(differing)}"
    evidence = (
        f"{side} {does} and {other} does not: given such texts, {other} answers {side}'s ids for {count} that"
        " differ"
    )
    return blame.Blame(cause, v.Confidence.PROVEN if whole else v.Confidence.LIKELY, (evidence,))


# Counterfactuals on the ids alone.


def by_ids(a: Sequences, b: Sequences) -> blame.Blame | None:
    """Find one operation on ids that makes those of one side those of the other, for every item.

    Parameters
    ----------
    a, b
        The same items, at least one of them differing.

    Returns
    -------
    The cause, or None.
    """
    for name, other, longer, shorter in (("B", "A", a, b), ("A", "B", b, a)):
        # Of the pair, `shorter` belongs to the side `name`.
        found = (
            _truncated(name, other, longer, shorter)
            or _without_special(name, longer, shorter)
            or _prefixed(other, longer, shorter)
            or _padded(other, longer, shorter)
        )
        if found is not None:
            return found
    return _renumbered(a, b)


def _truncated(name: str, other: str, longer: Sequences, shorter: Sequences) -> blame.Blame | None:
    differing = [item for item in longer if longer[item] != shorter[item]]
    lengths = {len(shorter[item]) for item in differing}
    same = [item for item in longer if item not in differing]
    if len(lengths) != 1 or any(len(longer[item]) > min(lengths) for item in same):
        return None
    limit = min(lengths)
    for side, cut in (("right", _cut_right), ("left", _cut_left)):
        for kept in range(_EDGE + 1):
            if all(cut(longer[item], limit, kept) == shorter[item] for item in differing):
                return blame.Blame(
                    "Truncation",
                    v.Confidence.PROVEN,
                    (f"{name} cuts at {limit} ids on the {side}: so cut, {other}'s ids are {name}'s",),
                )
    return None


def _cut_right(ids: Ids, limit: int, kept: int) -> Ids | None:
    """Cut to a length, keeping special tokens at the end."""
    return ids[: limit - kept] + ids[len(ids) - kept :] if len(ids) > limit >= kept else None


def _cut_left(ids: Ids, limit: int, kept: int) -> Ids | None:
    return ids[:kept] + ids[len(ids) - limit + kept :] if len(ids) > limit >= kept else None


def _without_special(name: str, longer: Sequences, shorter: Sequences) -> blame.Blame | None:
    for head in range(_EDGE):
        for tail in range(_EDGE):
            if head + tail == 0:
                continue
            edges = {ids[:head] + ids[len(ids) - tail :] for ids in longer.values()}
            trimmed = {item: ids[head : len(ids) - tail] for item, ids in longer.items()}
            if len(edges) == 1 and len(longer) > 1 and trimmed == dict(shorter):
                missing = ", ".join(str(x) for x in min(edges))
                return blame.Blame(
                    "SpecialTokens",
                    v.Confidence.PROVEN,
                    (f"{name} does not add the special ids {missing}; without them the ids are equal",),
                )
    return None


def _prefixed(other: str, longer: Sequences, shorter: Sequences) -> blame.Blame | None:
    added = {len(longer[item]) - len(shorter[item]) for item in longer}
    size = min(added)
    if len(added) != 1 or size < 1 or len(longer) < _EDGE:
        return None
    for head in range(_EDGE):
        blocks = {ids[head : head + size] for ids in longer.values()}
        removed = {item: ids[:head] + ids[head + size :] for item, ids in longer.items()}
        if len(blocks) == 1 and removed == dict(shorter):
            shown = ", ".join(str(x) for x in min(blocks)[:_SHOWN])
            return blame.Blame(
                "PromptPrefix",
                v.Confidence.PROVEN,
                (f"{other} begins every text with the {size} ids {shown}: without them the ids are equal",),
            )
    return None


def _padded(other: str, longer: Sequences, shorter: Sequences) -> blame.Blame | None:
    tails = {longer[item][len(shorter[item]) :] for item in longer if longer[item] != shorter[item]}
    fill = {x for tail in tails for x in tail}
    begins = all(longer[item][: len(ids)] == ids for item, ids in shorter.items())
    if not begins or len(fill) != 1 or len({len(ids) for ids in longer.values()}) != 1:
        return None
    return blame.Blame(
        "PaddingMask",
        v.Confidence.LIKELY,
        (f"{other} pads to {len(next(iter(longer.values())))} ids with {min(fill)}: harmless if masked",),
    )


def _renumbered(a: Sequences, b: Sequences) -> blame.Blame | None:
    if any(len(a[item]) != len(b[item]) for item in a):
        return None
    pairs = {(x, y) for item in a for x, y in zip(a[item], b[item], strict=True)}
    # Each id has one counterpart and each counterpart one id, or it is no renumbering.
    if len({x for x, _ in pairs}) != len(pairs) or len({y for _, y in pairs}) != len(pairs):
        return None
    moved = [(x, y) for x, y in pairs if x != y]
    steps = {y - x for x, y in moved}
    if len(steps) == 1 and len(moved) == len(pairs):
        return blame.Blame(
            "Vocabulary",
            v.Confidence.PROVEN,
            (f"every id of B is A's {min(steps):+d}: one of the two vocabularies is shifted",),
        )
    shown = ", ".join(f"{x} → {y}" for x, y in sorted(moved)[:_SHOWN])
    return blame.Blame(
        "Vocabulary",
        v.Confidence.LIKELY,
        (f"texts are divided alike, but {len(moved)} of {len(pairs)} tokens have another id: {shown}",),
    )


def explain(a: Sequences, b: Sequences, asked_a: Asked, asked_b: Asked) -> blame.Blame:
    """Say why two processes make different ids of the same texts; parameters as of `by_text`."""
    ids = by_ids(a, b)
    # What the text shows comes first: it says the same as the ids in better words.
    fitting = [*by_text(a, b, asked_a, asked_b), *([ids] if ids is not None else [])]
    proven = [one for one in fitting if one.confidence is v.Confidence.PROVEN] or fitting
    return blame.choose(proven) or blame.nobody(
        f"none of {len(VARIANTS)} changes of the text and no cut, prefix, padding or renumbering of ids"
        " explains every item: compare tokenizer.json"
    )
