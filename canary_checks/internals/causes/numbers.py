"""In which numbers a model computes, and whether twice the same."""

from typing import Final

import numpy as np

from canary_checks.internals.causes import cause, contrast

Change = contrast.Change
EVALUATION: Final = Change(evaluation=True)
FULL_PRECISION: Final = Change(full_precision=True)
_COARSE: Final = frozenset({"float16", "bfloat16"})
_PRECISION_NEXT: Final = (
    "compare the type that each component is stored and loaded in; a float16 VAE may overflow"
)
_STEADY_NEXT: Final = "look for dropout left on (model.train()), and for kernels that sum in no fixed order"


def non_finite(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise values that are not finite where the reference's are."""
    theirs = {one.name: one for one in seen.reference.stages}
    lost = [
        one.name
        for one in seen.candidate.stages
        if not np.isfinite(one.norm).all() and one.name in theirs and np.isfinite(theirs[one.name].norm).all()
    ]
    decoded = seen.candidate.decoded is not None and not seen.candidate.decoded.finite
    if not lost and not decoded:
        return None
    return cause.observed(
        f"values that are not finite, first in: {lost[0] if lost else contrast.DECODER}",
        next_step="load the named part in float32 (force_upcast of a VAE), and compare its weights",
    )


def nondeterminism(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise a model that gives other numbers for the same prompt and seed."""
    if seen.steady is not False or seen.again is None:
        return None
    twin = contrast.Contrast(reference=seen.candidate, candidate=seen.again, limits=seen.limits)
    lines = [f"run again with the same prompts and seeds, it differs from itself, first in: {twin.broken}"]
    if twin.broken in twin.stages:
        lines[0] += f" (relative distance {twin.stages[twin.broken]:.2g})"
    if seen.passed(EVALUATION):
        return cause.proven(*lines, "in evaluation mode, every gate passes", next_step=_STEADY_NEXT)
    return cause.likely(*lines, next_step=_STEADY_NEXT, sole=True)


def _nondeterminism_contradicted(seen: contrast.Contrast) -> str | None:
    return "run again, it is the same" if seen.steady else None


def precision(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise rounding: fewer bits are stated, and nothing moved farther than they allow."""
    if seen.passed(FULL_PRECISION):
        return cause.proven("computed in float32, every gate passes", next_step=_PRECISION_NEXT)
    fewer = coarser(seen)
    if fewer is None or _precision_contradicted(seen) is not None:
        return None
    return cause.likely(fewer, f"nothing moved by more than {_farthest(seen):.2g}", next_step=_PRECISION_NEXT)


def coarser(seen: contrast.Contrast) -> str | None:
    """Say which numbers of the candidate have fewer bits than the reference's, None where none."""
    theirs, ours = (dict(side.dtypes) for side in seen.stated)
    parts = [f"{name} in {ours[name]}" for name in ours if _fewer(ours[name], theirs.get(name, ""))]
    if parts:
        return f"weights are stored in fewer bits: {', '.join(parts)}"
    if _fewer(seen.candidate.dtype, seen.reference.dtype):
        return f"computed in {seen.candidate.dtype} instead of {seen.reference.dtype}"
    return None


def _fewer(ours: str, theirs: str) -> bool:
    return ours != theirs and ours in _COARSE and theirs not in {"", ours}


def _farthest(seen: contrast.Contrast) -> float:
    """Return the relative distance of the first stage that broke: later ones amplify it."""
    return seen.stages[seen.broken] if seen.broken is not None else 0.0


def _precision_contradicted(seen: contrast.Contrast) -> str | None:
    if seen.passed(FULL_PRECISION):
        return None
    if FULL_PRECISION in seen.trials and coarser(seen) is None:
        return "computed in float32, the gates fail as before"
    far = _farthest(seen)
    if not far <= contrast.ROUNDING:
        return f"{seen.broken} moved by {far:.2g}: no usable precision does that"
    return None if coarser(seen) else "both sides state the same types of numbers"


TABLE: Final = (
    cause.Cause(
        name="NonFinite",
        contradiction=cause.unless("every value is finite", non_finite),
        signature=non_finite,
    ),
    cause.Cause(
        name="Nondeterminism",
        contradiction=_nondeterminism_contradicted,
        signature=nondeterminism,
        next=_STEADY_NEXT,
    ),
    cause.Cause(
        name="Precision",
        contradiction=_precision_contradicted,
        signature=precision,
        compatible=frozenset({"Adapter", "Decoder", "DenoiserWeights", "TextEncoder"}),
        next=_PRECISION_NEXT,
    ),
)
