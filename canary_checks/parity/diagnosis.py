"""Blame: which cause explains what moved, which causes the evidence rules out, and which are left.

Each cause is one line of a table: what contradicts it and, where this release can name it, its signature. A
cause is named only when its signature fits and every rival is contradicted; `Proven` means that a
counterfactual was found in the answers themselves: given the folded or the shortened text, every moved row
passes both gates.
"""

import dataclasses
from collections.abc import Callable
from typing import Final

import numpy as np

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.parity import movement, signatures

UNKNOWN: Final = "Unknown"
_PRECISION_MEDIAN: Final = 0.2
_NOTHING_IN_COMMON: Final = 0.3
_UNTOUCHED: Final = 0.05


@dataclasses.dataclass(frozen=True)
class _Cause:
    """One line of the table.

    Attributes
    ----------
    name
        CamelCase.
    contradiction
        Returns why the cause cannot explain the movement, or None.
    signature
        Returns how the cause shows, or None; causes without one are never named, only excluded or left.
    compatible
        Causes that need not be contradicted before this one is named.
    """

    name: str
    contradiction: Callable[[movement.Movement], str | None]
    signature: Callable[[movement.Movement], signatures.Named | None] | None = None
    compatible: frozenset[str] = frozenset()


def diagnose(moved: movement.Movement) -> schema.DiagnosisReport:
    """Name the cause of a movement, or say what is excluded and what is left.

    Parameters
    ----------
    moved
        The distances of a comparison in which at least one row is beyond a limit.

    Returns
    -------
    A named cause with its confidence, or `Unknown`; never more than the evidence carries.
    """
    contradicted = {cause.name: cause.contradiction(moved) for cause in _TABLE}
    excluded = tuple(
        schema.Excluded(cause=name, because=v.sentence(because, 200))
        for name, because in contradicted.items()
        if because is not None
    )
    left = tuple(name for name, because in contradicted.items() if because is None)
    for cause in _TABLE:
        if cause.signature is None or cause.name not in left:
            continue
        named = cause.signature(moved)
        if named is None or set(left) - {cause.name} - cause.compatible:
            continue
        return schema.DiagnosisReport(
            cause=cause.name,
            confidence=named.confidence,
            evidence=tuple(v.sentence(line, 200) for line in named.evidence),
            excluded=excluded,
            left=tuple(name for name in left if name != cause.name) if _is_open(named) else (),
            next=tuple(v.sentence(line, 200) for line in named.next),
        )
    return schema.DiagnosisReport(
        cause=UNKNOWN,
        confidence=v.Confidence.UNKNOWN,
        evidence=tuple(v.sentence(line, 200) for line in _what_moved(moved)),
        excluded=excluded,
        left=left,
        next=_next_steps(left),
    )


def _is_open(named: signatures.Named) -> bool:
    return named.confidence is not v.Confidence.PROVEN


def _what_moved(moved: movement.Movement) -> list[str]:
    strata = list(dict.fromkeys(item.stratum for item in moved.items))
    counts = [(s, int(moved.moved[moved.rows(s)].sum()), len(moved.rows(s))) for s in strata]
    lines = ["moved: " + (", ".join(f"{s} {n}/{of}" for s, n, of in counts if n) or "none")]
    if any(not n for _, n, _ in counts):
        lines.append("untouched: " + ", ".join(s for s, n, _ in counts if not n))
    if moved.shape is not None:
        lines.append(
            f"1 − cos median {moved.shape.median:.2g}; {moved.shape.offset_share:.0%} of the movement is one"
            f" vector; without it the rows agree to a cosine of {moved.shape.centred_cosine:.2f}"
        )
    return lines


def _next_steps(left: tuple[str, ...]) -> tuple[str, ...]:
    steps = {
        "Accents": "compare strip_accents in tokenizer.json and tokenizer_config.json of both revisions",
        "RowOrder": "send one text at a time and in a batch, and compare the order of the vectors",
        "Weights": "compare the SHA-256 of every weight file of both revisions",
        "Normalization": "compare the last module of both revisions: one of them scales vectors to length 1",
        "Nondeterminism": "look for dropout left on, or sampling: the model must be in evaluation mode",
        "PaddingMask": "send a text alone and beside a longer one: the attention mask must hide the padding",
        "PromptPrefix": "compare the default prompt of both revisions",
        "InputLimit": "compare the longest input that both servers accept",
        "NonFinite": "look for overflow in half precision, or corrupt weights",
    }
    return tuple(steps[name] for name in left if name in steps)[:4]


def _count(moved: movement.Movement, rows: movement.Flags) -> tuple[int, int]:
    known = rows & moved.paired
    return int((known & moved.moved).sum()), int(known.sum())


def _untouched_plain(moved: movement.Movement) -> str | None:
    """Contradict causes that touch every row: plain texts that did not move.

    Below a limit is not untouched: at a coarse class a little noise on every row leaves some rows
    below it. Untouched is what moved by a small part of what the moved rows moved by.
    """
    own = np.diag(moved.across)
    plain = np.array([item.stratum == "plain" for item in moved.items]) & moved.paired
    far = own[moved.moved & moved.paired]
    if not far.size:
        return None
    untouched = int((own[plain] <= _UNTOUCHED * np.median(far)).sum())
    of = int(plain.sum())
    return f"{untouched} of {of} plain rows did not move" if untouched else None


def _directions_agree(moved: movement.Movement) -> str | None:
    """Contradict every cause but the length of the vectors when nothing but the length differs."""
    own = np.diag(moved.across)[moved.paired]
    if np.isfinite(own).all() and (own <= moved.limit).all() and (moved.moved & moved.paired).any():
        return "directions agree on every row, only lengths differ"
    return None


def _casing(moved: movement.Movement) -> str | None:
    capitals, accents = signatures.has_capitals(moved), signatures.has_accents(moved)
    n, of = _count(moved, capitals & ~accents)
    others, of_others = _count(moved, ~capitals & ~accents)
    if n == 0:
        return f"0 of {of} rows with capitals alone moved"
    if others:
        return f"{others} of {of_others} rows without capitals or accents moved too"
    return _directions_agree(moved)


def _accents(moved: movement.Movement) -> str | None:
    capitals, accents = signatures.has_capitals(moved), signatures.has_accents(moved)
    n, of = _count(moved, accents)
    others, of_others = _count(moved, ~accents & ~capitals)
    cased, of_cased = _count(moved, capitals & ~accents)
    if n == 0:
        return f"0 of {of} rows with accents moved"
    if cased:
        return f"{cased} of {of_cased} rows with capitals and no accents moved too"
    if others:
        return f"{others} of {of_others} rows without accents moved too"
    return _directions_agree(moved)


def _truncation(moved: movement.Movement) -> str | None:
    long = np.array([item.stratum == "long" for item in moved.items])
    n, of = _count(moved, long)
    others, of_others = _count(moved, ~long)
    if n == 0:
        return f"0 of {of} long rows moved"
    if others:
        return f"{others} of {of_others} short rows moved too"
    return _directions_agree(moved)


def _tokenizer(moved: movement.Movement) -> str | None:
    """Contradict a tokenizer that splits some texts otherwise."""
    long = np.array([item.stratum == "long" for item in moved.items])
    others, of_others = _count(moved, ~long)
    return f"0 of {of_others} short rows moved" if not others else _directions_agree(moved)


def _pooling(moved: movement.Movement) -> str | None:
    untouched = _untouched_plain(moved) or _directions_agree(moved)
    if untouched is not None or moved.shape is None:
        return untouched
    if moved.shape.centred_cosine < _NOTHING_IN_COMMON:
        return f"the rows have nothing in common (cosine {moved.shape.centred_cosine:.2f} after centring)"
    return None


def _everywhere(moved: movement.Movement) -> str | None:
    return _untouched_plain(moved) or _directions_agree(moved)


def _precision(moved: movement.Movement) -> str | None:
    everywhere = _everywhere(moved)
    if everywhere is not None or moved.shape is None:
        return everywhere
    if moved.shape.median > _PRECISION_MEDIAN:
        return f"half of the rows moved by more than {moved.shape.median:.2f}: no usable precision does that"
    return None


def _row_order(moved: movement.Movement) -> str | None:
    """Contradict exchanged rows, unless every moved row is found under another item, on both sides."""
    rows = np.flatnonzero(moved.moved & moved.paired)
    same = moved.across <= moved.limit
    np.fill_diagonal(same, val=False)
    if len(rows) > 1 and same[rows, :].any(axis=1).all() and same[:, rows].any(axis=0).all():
        return None
    return "the moved rows are not each other's"


def _normalization(moved: movement.Movement) -> str | None:
    if _directions_agree(moved) is not None:
        return None
    own = np.abs(np.diag(moved.norm_ratio)[moved.paired] - 1.0)
    if not (own > moved.norm_limit).any():
        return f"lengths agree to {np.nanmax(own, initial=0.0):.1g}"
    return "directions moved, not lengths alone"


def _nondeterminism(moved: movement.Movement) -> str | None:
    if moved.repeat is None or not moved.repeat <= moved.repeat_limit:
        return None
    return f"asked again, moved rows come back within {moved.repeat:.1g}"


def _padding(moved: movement.Movement) -> str | None:
    if moved.alone is None or not moved.alone <= moved.limit:
        return None
    return f"alone and in a batch, moved rows are the same within {moved.alone:.1g}"


def _input_limit(moved: movement.Movement) -> str | None:
    one_sided = int((moved.moved & ~moved.paired).sum())
    return None if one_sided else "both sides accept and refuse the same items"


def _non_finite(moved: movement.Movement) -> str | None:
    finite = np.isfinite(np.diag(moved.across)[moved.paired]).all()
    return "every vector is finite" if finite else None


_TABLE: Final = (
    _Cause("Casing", _casing, signatures.casing, frozenset({"Tokenizer"})),
    _Cause("Truncation", _truncation, signatures.truncation),
    _Cause("Pooling", _pooling, signatures.pooling, frozenset({"Tokenizer", "PromptPrefix", "Weights"})),
    _Cause("Accents", _accents),
    _Cause("Tokenizer", _tokenizer),
    _Cause("PromptPrefix", _everywhere),
    _Cause("Weights", _everywhere),
    _Cause("Precision", _precision),
    _Cause("RowOrder", _row_order),
    _Cause("Normalization", _normalization),
    _Cause("Nondeterminism", _nondeterminism),
    _Cause("PaddingMask", _padding),
    _Cause("InputLimit", _input_limit),
    _Cause("NonFinite", _non_finite),
)
