"""A model of transformers, which has neither sampler nor decoder: the first block that breaks says where."""

from typing import Final

from canary_checks.internals.causes import cause, contrast

_NEXT: Final = "compare the SHA-256 of every weight file of both revisions, and the log of the load"


def weights(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise blocks that make other states of the same ids."""
    if _contradicted(seen) is not None or seen.broken is None or seen.steady is False:
        return None
    far = seen.stages[seen.broken]
    if seen.candidate.dtype != seen.reference.dtype and far <= contrast.ROUNDING:
        return None
    before = list(seen.stages)[: list(seen.stages).index(seen.broken)]
    kept = f"untouched before it: {', '.join(before[-3:])}" if before else "nothing runs before it"
    return cause.likely(
        f"given the same token ids, {seen.broken} is the first stage that differs (relative distance"
        f" {far:.2g})",
        kept,
        next_step=_NEXT,
    )


def _contradicted(seen: contrast.Contrast) -> str | None:
    if seen.tokenizers:
        return "the model is given other token ids"
    return "every stage is the same" if seen.broken is None else None


TABLE: Final = (cause.Cause(name="Weights", contradiction=_contradicted, signature=weights, next=_NEXT),)
