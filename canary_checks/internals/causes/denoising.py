"""The network that takes the noise away: whether it listens to the text, its adapters, its weights."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from canary_checks.internals import comparison, trace
from canary_checks.internals.causes import cause, contrast, reading

Change = contrast.Change
_DEAF: Final = 0.5
_SPREAD: Final = 0.1
_COLLAPSE_NEXT: Final = (
    "compare the weights and the attention processor of the named layer, and what encoder_hidden_states it is"
    " given"
)
_ADAPTER_NEXT: Final = (
    "compare which adapters (LoRA) both servers load, at which scale, and whether they are fused"
)
_WEIGHTS_NEXT: Final = (
    "compare the SHA-256 of the denoiser's weights of both revisions, and the log of the load"
)


def upstream(seen: contrast.Contrast) -> str | None:
    """Say what differs before the denoiser's first answer, None where all it is given is the same."""
    if seen.tokenizers:
        return "the encoders are given other token ids"
    if any(seen.same(name) is False for name in seen.encoders):
        return "the text encoders' output differs already"
    if seen.started_alike is False:
        return "the denoiser is given other noise, or another timestep"
    return None


def _before(seen: contrast.Contrast) -> str | None:
    """Contradict what acts inside of the denoiser."""
    before = upstream(seen)
    if before is not None:
        return before
    first = seen.same(contrast.FIRST)
    return "given the same, the denoiser's first answer is the same" if first else None


def conditioning_collapse(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise a denoiser that no longer hears the text, or attention that collapsed."""
    if _before(seen) is not None or seen.steady is False or _told_otherwise(seen):
        return None
    deaf, spread = _deafness(seen), _spread(seen)
    lines = []
    if deaf is not None:
        step, share = deaf
        lines.append(
            "conditional and unconditional predictions differ by"
            f" {share:.2g} of what they did in the reference (step {step + 1}): the text is hardly heard"
        )
    if spread is not None:
        layer, step, before, after = spread
        how = "over all keys alike" if after > before else "on single keys"
        lines.append(
            f"attention of {layer} is spread {how} at step {step + 1}: normalised entropy {after:.2f}"
            f" instead of {before:.2f}; layers before it did not move"
        )
    if not lines:
        return None
    return cause.likely(*lines, next_step=_COLLAPSE_NEXT, sole=True)


def _told_otherwise(seen: contrast.Contrast) -> bool:
    return any(seen.passed(Change(clip_skip=skip)) for skip in reading.SKIPS) or _adapter_cures(seen)


def _deafness(seen: contrast.Contrast) -> tuple[int, float] | None:
    """Return the step with the least guidance left, and how much; None where the text is heard."""
    ours, theirs = seen.candidate.latents, seen.reference.latents
    if ours is None or theirs is None or ours.guidance is None or theirs.guidance is None:
        return None
    if ours.guidance.shape != theirs.guidance.shape:
        return None
    share = np.median(ours.guidance / np.maximum(theirs.guidance, 1e-12), axis=0)
    # At the first step the two sides are given the same noise; later ones only say where it is worst.
    if not share[0] <= _DEAF:
        return None
    return int(np.argmin(share)), float(share.min())


def _spread(seen: contrast.Contrast) -> tuple[str, int, float, float] | None:
    """Return the first layer that moved, where it reads text and moved far: with step and both values."""
    first = seen.first_layer(*contrast.DENOISERS)
    if first is None:
        return None
    theirs = {comparison.name(one): one for one in seen.reference.attention}[first]
    ours = {comparison.name(one): one for one in seen.candidate.attention}[first]
    if theirs.kind is trace.AttentionKind.SELF:
        return None
    shift = seen.layers[first]
    if not abs(shift[0]) >= _SPREAD:
        return None
    step = int(np.nanargmax(np.abs(shift)))
    return first, step, float(theirs.entropy[:, step].mean()), float(ours.entropy[:, step].mean())


def adapter(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise an adapter that is not loaded, or at another scale."""
    theirs, ours = (dict(side.adapters) for side in seen.stated)
    differ = sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name))
    cure = next(
        (change for change, trial in seen.trials.items() if change.adapter is not None and trial.passed), None
    )
    if cure is not None:
        how = "without the adapter" if cure.adapter == 0 else f"with the adapter at scale {cure.adapter:g}"
        return cause.proven(f"{how}, every gate passes", next_step=_ADAPTER_NEXT)
    if not differ or _before(seen) is not None:
        return None
    said = ", ".join(f"{name} ({_scale(ours, name)} instead of {_scale(theirs, name)})" for name in differ)
    return cause.likely(f"the adapters differ: {said}", next_step=_ADAPTER_NEXT)


def _scale(adapters: Mapping[str, float], name: str) -> str:
    scale = adapters.get(name)
    return "not loaded" if scale is None else f"scale {scale:g}"


def _adapter_cures(seen: contrast.Contrast) -> bool:
    return any(change.adapter is not None and trial.passed for change, trial in seen.trials.items())


def _adapter_contradicted(seen: contrast.Contrast) -> str | None:
    if _adapter_cures(seen):
        return None
    before = _before(seen)
    if before is not None:
        return before
    theirs, ours = (side.adapters for side in seen.stated)
    tried = [change.adapter for change in seen.trials if change.adapter is not None]
    if tried:
        return f"the gates fail with an adapter at scale {', '.join(f'{one:g}' for one in tried)} too"
    # Where nothing is stated, an adapter that was fused looks like other weights.
    return "both sides state the same adapters" if ours and ours == theirs else None


def weights(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise a denoiser that answers the very same otherwise, in no way that is known better."""
    if seen.same(contrast.FIRST) is not False or _before(seen) is not None or seen.steady is False:
        return None
    far = seen.stages[contrast.FIRST]
    if seen.candidate.dtype != seen.reference.dtype and far <= contrast.ROUNDING:
        return None
    layer = seen.first_layer(*contrast.DENOISERS)
    where = f"; attention moves first in {layer}, at step 1" if layer else "; attention does not move"
    return cause.likely(
        "given the same token ids, states, noise and timestep, the denoiser's first answer differs (relative"
        f" distance {far:.2g}){where}",
        next_step=_WEIGHTS_NEXT,
    )


def _weights_contradicted(seen: contrast.Contrast) -> str | None:
    before = _before(seen)
    if before is not None:
        return before
    return "only the layer differs that the text is taken from" if _told_otherwise(seen) else None


def _collapse_contradicted(seen: contrast.Contrast) -> str | None:
    before = _before(seen)
    if before is not None:
        return before
    if _told_otherwise(seen):
        return "only the layer differs that the text is taken from, or an adapter"
    # Where the first layer to move is the first that reads the text, it may read something else.
    heard = _deafness(seen) is None and _spread(seen) is None and seen.conditioning_first() is None
    return "the text is heard as it was, and layers that do not read it moved first" if heard else None


TABLE: Final = (
    cause.Cause(
        name="ConditioningCollapse",
        contradiction=_collapse_contradicted,
        signature=conditioning_collapse,
        next=_COLLAPSE_NEXT,
    ),
    cause.Cause(
        name="Adapter",
        contradiction=_adapter_contradicted,
        signature=adapter,
        next=_ADAPTER_NEXT,
        compatible=frozenset({"DenoiserWeights"}),
    ),
    cause.Cause(
        name="DenoiserWeights",
        contradiction=_weights_contradicted,
        signature=weights,
        compatible=frozenset({"Adapter"}),
        next=_WEIGHTS_NEXT,
    ),
)
