"""What becomes of a text before the network: proven by sending edited texts, or seen on edited twins.

A candidate that lost an edit passes when the edited texts are sent in place of the texts. One that makes an
edit too many gives each touched text the vector that the reference gives to its edited twin.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Final

import numpy as np

from canary_checks import inputs
from canary_checks import vocabulary as v
from canary_checks.golden import difference
from canary_checks.parity import edits, experiments, movement
from canary_checks.parity.causes import cause, extent, identity, tokens

# How much farther than a limit twins have to be apart, to say which of them a vector belongs to.
_APART: Final = 4.0
# Of the rows that an edit touches, some are the same to the model; the others move.
_LEAST_SHARE: Final = 0.3
_MOST_TOLD: Final = 0.8
# Slope of `extent.decay`: below the first a few tokens more or less are seen to be diluted, above the second
# nothing is.
_DILUTED: Final = -0.25
_NOT_DILUTED: Final = -0.05
_NEARER: Final = 0.5
_MUCH_NEARER: Final = 0.35
_FOLDS: Final = {
    "Casing": (difference.Difference.CASE, difference.Difference.CASE_AND_ACCENTS),
    "Accents": (difference.Difference.ACCENTS,),
}
_TOUCH_ALL: Final = frozenset({"PromptPrefix", "SpecialTokens"})
_NEXT: Final = {
    "Casing": "compare do_lower_case in tokenizer_config.json and the normalizer in tokenizer.json",
    "Accents": "compare strip_accents in tokenizer.json and tokenizer_config.json of both revisions",
    "Cjk": "compare handle_chinese_chars in tokenizer.json and tokenizer_config.json of both revisions",
    "UnicodeForm": "compare the normalizer in tokenizer.json, and what a gateway does to Unicode",
    "Whitespace": "compare what both servers, and gateways before them, do to white space",
    "HtmlEscaping": "look for a template, a gateway or a client library that escapes texts",
    "Encoding": "look for a body that is read in another encoding than UTF-8: a charset header, a proxy,"
    " a file",
    "Punctuation": "look for a cleaning step before the tokenizer",
    "PromptPrefix": "compare the default prompt of both revisions (prompts, default_prompt_name, input_type)",
    "SpecialTokens": "compare add_special_tokens and the post-processor in tokenizer.json of both revisions",
}


@dataclasses.dataclass(frozen=True)
class _Explained:
    """An edit that explains the movement.

    Attributes
    ----------
    edit
        Which.
    undone
        The candidate passes on edited texts; else it gives texts the vectors of their edited twins.
    rows
        How many rows say so.
    proven
        Whether they are all that moved.
    """

    edit: edits.Edit
    undone: bool
    rows: int
    proven: bool


def _edited(moved: movement.Movement) -> dict[edits.Edit, tuple[str, ...]]:
    return _edited_texts(tuple(item.text for item in moved.items))


@functools.lru_cache(maxsize=4)
def _edited_texts(texts: tuple[str, ...]) -> dict[edits.Edit, tuple[str, ...]]:
    """Edit the texts of a golden set: once for all references, and before and after asking otherwise."""
    return {edit: tuple(edit.apply(text) for text in texts) for edit in edits.for_texts(texts)}


def touched(moved: movement.Movement, edit: edits.Edit) -> movement.Flags:
    """Return the rows whose text an edit changes."""
    made = _edited(moved)[edit]
    return np.array([text != item.text for text, item in zip(made, moved.items, strict=True)])


def changes(moved: movement.Movement) -> list[experiments.Change]:
    """Return what to ask for each edit; prompts and special tokens only where plain rows moved."""
    plain_moved = extent.untouched_plain(moved) is None
    return [
        experiments.Change(edit.name, touched(moved, edit), lambda row, made=made: inputs.Text(made[row]))  # type: ignore[misc]
        for edit, made in _edited(moved).items()
        if plain_moved or edit.cause not in _TOUCH_ALL
    ]


@functools.lru_cache(maxsize=4)
def _place(moved: movement.Movement) -> dict[str, int]:
    return {item.text: row for row, item in enumerate(moved.items) if moved.whole[row]}


@functools.lru_cache(maxsize=4)
def _explained(moved: movement.Movement) -> _Explained | None:
    """Choose the edit that explains every moved row and touches the fewest; None when two causes tie."""
    if not (moved.moved & moved.paired).any():
        return None
    found: list[tuple[int, _Explained]] = []
    open_ = [
        edit
        for edit in _edited(moved)
        if _could_be(moved, touched(moved, edit))
        and not (edit.cause == "Casing" and _capitals_untouched(moved))
    ]
    for edit in open_:
        one = _undone(moved, edit)
        if one is not None:
            found.append((int(touched(moved, edit).sum()), one))
    if not found:
        for edit in open_:
            one = _redone(moved, edit)
            if one is not None:
                found.append((-one.rows, one))
    if not found:
        return None
    fewest = min(size for size, _ in found)
    best = [one for size, one in found if size == fewest]
    return best[0] if len({one.edit.cause for one in best}) == 1 else None


def _could_be(moved: movement.Movement, rows: movement.Flags) -> bool:
    """Say whether an edit can be what moved: its rows hold all that moved, and not many more."""
    n, of = extent.count(moved, rows)
    return n == int((moved.moved & moved.paired).sum()) and n >= _LEAST_SHARE * of


def _capitals_untouched(moved: movement.Movement) -> str | None:
    """Contradict casing: rows with capitals and no accents that did not move."""
    capitals = np.array([item.has_capitals and not item.has_accents for item in moved.items])
    n, of = extent.count(moved, capitals)
    return f"0 of {of} rows with capitals alone moved" if of and not n else None


def _undone(moved: movement.Movement, edit: edits.Edit) -> _Explained | None:
    trial = moved.trials.get(edit.name)
    if trial is not None:
        return _Explained(edit, undone=True, rows=trial.asked, proven=True) if trial.proves else None
    # Without a request: some of the edited texts are other items of the golden set.
    made, place, passes = _edited(moved)[edit], _place(moved), moved.eligible()
    rows = np.flatnonzero(moved.moved & moved.paired)
    if not all(made[row] in place and passes[place[made[row]], row] for row in rows):
        return None
    if not _cured(moved, rows, np.array([place[made[row]] for row in rows]), undone=True):
        return None
    return _Explained(edit, undone=True, rows=len(rows), proven=True)


def _cured(moved: movement.Movement, rows: movement.Rows, twins: movement.Rows, *, undone: bool) -> bool:
    """Say whether rows are nearer by far as their twins: given the twin's text, or as the twin's vector."""
    after = moved.across[twins, rows] if undone else moved.across[rows, twins]
    return bool(np.median(after) <= movement.CURED * np.median(moved.own[rows]))


def _redone(moved: movement.Movement, edit: edits.Edit) -> _Explained | None:
    rows = touched(moved, edit)
    made, place, passes = _edited(moved)[edit], _place(moved), moved.eligible()
    pairs = [
        (row, place[made[row]])
        for row in np.flatnonzero(rows & moved.whole)
        if made[row] in place and moved.reference[row, place[made[row]]] > _APART * moved.limit
    ]
    # A text with a special token in it, say, may escape the edit: it did not move, and says nothing.
    told = [(row, twin) for row, twin in pairs if moved.moved[row]]
    if len(told) < max(1.0, _MOST_TOLD * len(pairs)) or not all(passes[row, twin] for row, twin in told):
        return None
    pairs = told
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    if not _cured(moved, left, right, undone=False):
        return None
    whole = len(pairs) == int((moved.moved & moved.paired).sum())
    return _Explained(edit, undone=False, rows=len(pairs), proven=whole)


def _signature(name: str) -> Callable[[movement.Movement], cause.Named | None]:
    def signature(moved: movement.Movement) -> cause.Named | None:
        found = _explained(moved)
        if found is None or found.edit.cause != name:
            return None
        n, of = extent.count(moved, touched(moved, found.edit))
        confidence = v.Confidence.PROVEN if found.proven else v.Confidence.LIKELY
        if found.undone:
            said = (
                f"sent texts {found.edit.name}, the candidate passes both gates on every row",
                f"{found.rows} rows rest on it; no row moved whose text that leaves as it is",
            )
        else:
            said = (
                f"{found.rows} texts have the vector that the reference gives to their twin"
                f" {found.edit.name}",
                f"no row moved whose text that leaves as it is; {n} of {of} others did",
            )
        return cause.Named(confidence, said, (_NEXT[name],), sole=True)

    return signature


def _tried(moved: movement.Movement, name: str) -> list[movement.Trial]:
    return [
        moved.trials[edit.name] for edit in _edited(moved) if edit.cause == name and edit.name in moved.trials
    ]


def _contradiction(name: str) -> Callable[[movement.Movement], str | None]:
    def contradiction(moved: movement.Movement) -> str | None:
        agree = extent.directions_agree(moved)
        if agree is not None:
            return agree
        if name in _TOUCH_ALL:
            return extent.untouched_plain(moved) or _does_not_dilute(moved)
        found = _explained(moved)
        if found is not None and found.edit.cause == name:
            return None
        if name == "Casing" and (untouched := _capitals_untouched(moved)) is not None:
            return untouched
        of_cause = [edit for edit in _edited(moved) if edit.cause == name]
        rows = np.any([touched(moved, edit) for edit in of_cause], axis=0)
        n, of = extent.count(moved, rows)
        others, of_others = extent.count(moved, ~rows)
        if n == 0:
            return f"0 of {of} rows that it touches moved"
        folded = identity.folded(moved)
        if folded is not None and folded.differs in _FOLDS.get(name, ()):
            # Texts that it does not touch may be changed by the same step, such as into capitals.
            return None
        if others:
            return f"{others} of {of_others} rows that it leaves as they are moved too"
        if not _signs_alone(moved, name) and not any(
            _could_be(moved, touched(moved, edit)) for edit in of_cause
        ):
            return f"{n} of {of} rows that it touches moved"
        if _tried(moved, name) and found is not None:
            return f"the rows pass with texts {found.edit.name}, which is less"
        return None

    return contradiction


def _signs_alone(moved: movement.Movement, name: str) -> bool:
    """Say whether nothing but signs of punctuation tells the moved texts: some of them may be removed."""
    return name == "Punctuation" and not any(word.isalnum() for word in tokens.cover(moved))


def _does_not_dilute(moved: movement.Movement) -> str | None:
    slope = extent.decay(moved)
    pure = slope is not None and slope <= extent.PURE_DILUTION and extent.contextual(moved)
    if slope is None or (slope <= _NOT_DILUTED and not pure):
        return None
    if pure:
        return f"long texts hardly moved (slope {slope:.2f}): the states of their tokens are what they were"
    return f"long texts move as far as short ones (slope {slope:.2f}): tokens added or lost dilute"


def prompt_prefix(moved: movement.Movement) -> cause.Named | None:
    """Recognise another prompt, where none that we know proves it.

    The movement is diluted by the length of the text, and one known prompt brings the rows much nearer than
    any other change of the text does: the reference's prompt, in front of which the candidate puts its own.
    """
    exact = _signature("PromptPrefix")(moved)
    if exact is not None:
        return exact
    slope, tried = extent.decay(moved), _tried(moved, "PromptPrefix")
    if extent.everywhere(moved) or slope is None or slope > _DILUTED or _does_not_dilute(moved) or not tried:
        return None
    names = [edit for edit in _edited(moved) if edit.cause == "PromptPrefix" and edit.name in moved.trials]
    best = min(names, key=lambda edit: moved.trials[edit.name].after)
    nearest = moved.trials[best.name]
    specials = [one.after for one in _tried(moved, "SpecialTokens")]
    if nearest.after > _NEARER * nearest.before or (specials and min(specials) < 2 * nearest.after):
        return None
    return cause.likely(
        f"long texts moved less than short ones (slope {slope:.2f}): some tokens before or after each"
        " text differ",
        f"{best.name}, the rows come nearer (median 1 − cos {nearest.before:.2g} to {nearest.after:.2g})",
        "special tokens do not bring them as near",
        next_step=_NEXT["PromptPrefix"],
        sole=True,
    )


def special_tokens(moved: movement.Movement) -> cause.Named | None:
    """Recognise special tokens that are lost, or no longer counted, where sending them does not prove it."""
    exact = _signature("SpecialTokens")(moved)
    if exact is not None:
        return exact
    slope, tried = extent.decay(moved), _tried(moved, "SpecialTokens")
    if extent.everywhere(moved) or slope is None or slope > _DILUTED or _does_not_dilute(moved) or not tried:
        return None
    nearest = min(tried, key=lambda trial: trial.after)
    prompts = [one.after for one in _tried(moved, "PromptPrefix")]
    if nearest.after > _MUCH_NEARER * nearest.before or (prompts and min(prompts) < 2 * nearest.after):
        return None
    return cause.likely(
        f"long texts moved less than short ones (slope {slope:.2f}): some tokens before or after each"
        " text differ",
        "with the special tokens written into the texts the rows come nearer (median 1 − cos"
        f" {nearest.before:.2g} to {nearest.after:.2g})",
        "no prompt that we know brings them as near",
        next_step=_NEXT["SpecialTokens"],
        sole=True,
    )


_OWN: Final = {"PromptPrefix": prompt_prefix, "SpecialTokens": special_tokens}

TABLE: Final = tuple(
    cause.Cause(
        name=name,
        contradiction=_contradiction(name),
        signature=_OWN.get(name, _signature(name)),
        next=step,
        modalities=frozenset({v.Modality.TEXT}),
    )
    for name, step in _NEXT.items()
)
