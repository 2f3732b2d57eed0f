"""How prompts are read: the tokenizers and the text encoders."""

from typing import Final

import numpy as np

from canary_checks.internals import trace
from canary_checks.internals.causes import cause, contrast

Change = contrast.Change
TOKENS: Final = Change(tokens=True)
SKIPS: Final = (1, 2)
_LOST: Final = 1e-3
_CUT: Final = 0.9
_TOKENS_NEXT: Final = "compare tokenizer files (vocab.json, merges.txt, tokenizer.json) and model_max_length"
_ENCODER_NEXT: Final = (
    "compare config.json and the SHA-256 of the weights of the text encoder, and which of its layers the"
    " pipeline takes (clip_skip)"
)


def tokenisation(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise other token ids for the same prompts."""
    if not seen.tokenizers or _cut(seen) is not None:
        return None
    return _named(seen, _first_difference(seen), _TOKENS_NEXT)


def truncation(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise prompts that end earlier than they did, and are the same up to there."""
    longest = _cut(seen)
    if longest is None:
        return None
    what = f"{', '.join(seen.tokenizers)}: prompts are the same up to {longest} tokens, and cut there"
    return _named(seen, what, "compare model_max_length and the pipeline's max_sequence_length")


def _named(seen: contrast.Contrast, what: str, next_step: str) -> cause.Named:
    if seen.passed(TOKENS):
        return cause.proven(what, "given the reference's token ids, every gate passes", next_step=next_step)
    rest = seen.trials.get(TOKENS)
    if rest is None:
        return cause.observed(what, next_step=next_step)
    left = contrast.Contrast(reference=seen.reference, candidate=rest.seen, limits=seen.limits)
    return cause.observed(
        what,
        f"it is not all: given the reference's token ids, {left.broken or 'a gate'} still differs",
        next_step=next_step,
    )


def _rows(seen: contrast.Contrast, name: str) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Return the prompts whose ids differ: their place, ours without padding, theirs without padding."""
    ours, theirs = _of(seen.candidate, name), _of(seen.reference, name)
    if ours is None or theirs is None:
        return []
    return [
        (row, _bare(mine, ours.padding), _bare(other, theirs.padding))
        for row, (mine, other) in enumerate(zip(ours.ids, theirs.ids, strict=False))
        if mine != other
    ]


def _of(side: trace.Trace, name: str) -> trace.Tokens | None:
    return next((one for one in side.tokens if one.tokenizer == name), None)


def _bare(ids: tuple[int, ...], padding: int | None) -> tuple[int, ...]:
    """Take the padding off the end, and leave one of it: CLIP pads with its end of text."""
    end = len(ids)
    while padding is not None and end > 1 and ids[end - 1] == padding and ids[end - 2] == padding:
        end -= 1
    return ids[:end]


def _cut(seen: contrast.Contrast) -> int | None:
    """Return the most tokens of a prompt that the candidate cuts, None where that is not what differs."""
    longest = 0
    for name in seen.tokenizers:
        rows = _rows(seen, name)
        if not rows:
            return None
        for _, mine, other in rows:
            # The last id of a cut prompt is the end of text.
            same = len(mine) <= len(other) and mine[:-1] == other[: len(mine) - 1]
            if not same:
                return None
            longest = max(longest, len(mine) if len(mine) < len(other) else 0)
    return longest or None


def _first_difference(seen: contrast.Contrast) -> str:
    name = seen.tokenizers[0]
    rows = _rows(seen, name)
    row, mine, other = rows[0]
    place = next(
        (at for at, pair in enumerate(zip(mine, other, strict=False)) if pair[0] != pair[1]),
        min(len(mine), len(other)),
    )
    total = len(seen.reference.prompts)
    return (
        f"{name}: {len(rows)} of {total} prompts have other ids, the first at token {place} of prompt"
        f" {row + 1} ({_id(mine, place)} instead of {_id(other, place)})"
    )


def _id(ids: tuple[int, ...], place: int) -> str:
    return str(ids[place]) if place < len(ids) else "none"


def text_encoder(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise encoders that make other states of the same ids, or whose other layer is taken."""
    if seen.tokenizers:
        return None
    skipped = next((skip for skip in SKIPS if seen.passed(Change(clip_skip=skip))), None)
    if skipped is not None:
        return cause.proven(
            f"with {skipped} of the text encoder's last layers skipped, every gate passes",
            next_step="compare clip_skip and num_hidden_layers of both revisions",
        )
    moved = [name for name in seen.encoders if seen.same(name) is False]
    missing = _missing(seen)
    if missing:
        return cause.observed(
            f"{', '.join(missing)} does not run, or its output is empty; in the reference it is not",
            next_step="look in the log of the load for a text encoder that was left out (None, drop_t5)",
        )
    if not moved or seen.steady is False or _small(seen, moved):
        return None
    layer = seen.first_layer(*moved)
    where = f", first in {layer}" if layer else ""
    kept = [name for name in seen.encoders if name not in moved]
    return cause.likely(
        f"the token ids are the same, and {', '.join(moved)} makes other states of them (relative distance"
        f" {max(seen.stages[name] for name in moved):.2g}){where}",
        *([f"untouched: {', '.join(kept)}"] if kept else []),
        next_step=_ENCODER_NEXT,
        sole=True,
    )


def _small(seen: contrast.Contrast, stages: list[str]) -> bool:
    """Tell whether the movement is one that rounding alone could make, where the numbers are others."""
    other = seen.candidate.dtype != seen.reference.dtype
    return other and all(seen.stages[name] <= contrast.ROUNDING for name in stages)


def _missing(seen: contrast.Contrast) -> list[str]:
    ours = {one.name: one for one in seen.candidate.stages}
    missing = []
    for stage in seen.reference.stages:
        if not stage.name.startswith(contrast.TEXT):
            continue
        mine = ours.get(stage.name)
        if mine is None or bool((mine.norm <= _LOST * stage.norm).all() and np.all(stage.norm > 0)):
            missing.append(stage.name)
    return missing


def _encoder_contradicted(seen: contrast.Contrast) -> str | None:
    if seen.tokenizers or not seen.encoders or _missing(seen):
        return None
    if any(seen.same(name) is False for name in seen.encoders):
        return None
    if any(seen.passed(Change(clip_skip=skip)) for skip in SKIPS):
        return None
    if seen.same(contrast.FIRST) is False and not all(
        Change(clip_skip=skip) in seen.trials for skip in SKIPS
    ):
        layer = seen.conditioning_first()
        if layer:
            # The encoder's last states are the same; the denoiser may yet be given those of another layer.
            return None
    return "every text encoder's output is the same"


def _tokens_contradicted(seen: contrast.Contrast) -> str | None:
    return None if seen.tokenizers else "every encoder was given the same token ids"


TOKENS_TABLE: Final = (
    cause.Cause(
        name="Tokenisation",
        contradiction=lambda seen: (
            _tokens_contradicted(seen) or ("the ids are the same up to a cut" if _cut(seen) else None)
        ),
        signature=tokenisation,
        next=_TOKENS_NEXT,
    ),
    cause.Cause(
        name="Truncation",
        contradiction=cause.unless("no prompt is cut earlier than it was", truncation),
        signature=truncation,
    ),
)
TABLE: Final = (
    *TOKENS_TABLE,
    cause.Cause(
        name="TextEncoder", contradiction=_encoder_contradicted, signature=text_encoder, next=_ENCODER_NEXT
    ),
)
