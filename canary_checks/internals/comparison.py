"""Two traces beside each other: how far apart they are, number by number, and where first.

Steps are compared in order. Where a model's own default number of steps changed, they are compared at the
same share of the way, and the difference then tells of the change.
"""

import dataclasses
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import failure
from canary_checks.internals import trace

Scalars = npt.NDArray[np.float64]
_LATE: Final = 0.75
"""From where on a channel's sign counts: a quarter of the steps is left."""
_BEST: Final = 100.0
_QUIET: Final = 0.01
"""Of a channel's variance: decibels would magnify the rounding of a mean² below it (-20 dB)."""


@dataclasses.dataclass(frozen=True)
class Place:
    """A layer, and one of its steps from 0."""

    name: str
    step: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a candidate is from a reference at the same prompts and seeds.

    Attributes
    ----------
    prompts
        How many were compared.
    mismatched
        Indices of the prompts of which any encoder was given other ids.
    entropy
        By layer, in the order in which they run: ``dH``, shape ``[prompts, steps]``; of the steps that the
        reference has.
    missing
        Layers and stages that only one side has.
    snr
        Of `floored_snr`, shape ``[steps + 1, channels]``, dB; None without latents of the same channels.
    flips
        Places ``[step, channel]`` late on the way where a mean changed its sign.
    distance
        ``|r_t - b_t|`` in shares of the mean ``b_t`` of the prompt, shape ``[prompts, steps]``; None without.
    guidance
        The same of ``|cond - uncond|``.
    psnr
        Of each stored latent, dB, at most 100; None where nothing was decoded by both.
    stages
        By name, in order: relative distance of the outputs, shape ``[prompts]``; infinite where they have
        another size.
    """

    prompts: int
    mismatched: tuple[int, ...]
    entropy: dict[str, Scalars]
    missing: tuple[str, ...]
    snr: Scalars | None
    flips: tuple[tuple[int, int], ...]
    distance: Scalars | None
    guidance: Scalars | None
    psnr: Scalars | None
    stages: dict[str, Scalars]

    def entropy_worst(self) -> tuple[float, Place] | None:
        """Return the largest ``|dH|``, mean over prompts, and where it is; None without attention."""
        found: tuple[float, Place] | None = None
        for name, shift in self.entropy.items():
            size = np.abs(shift.mean(0))
            step = int(np.argmax(np.where(np.isfinite(size), size, np.inf)))
            value = float(size[step])
            if found is None or _size(value) > _size(found[0]):
                found = value, Place(name, step)
        return found

    def entropy_mean(self) -> float:
        """Return the mean ``|dH|`` over layers, steps and prompts; NaN without attention."""
        parts = [np.abs(shift).mean() for shift in self.entropy.values()]
        return float(np.mean(parts)) if parts else float("nan")


def _size(value: float) -> float:
    """Order numbers with what is none as the largest."""
    return value if math.isfinite(value) else math.inf


def name(one: trace.Attention) -> str:
    """Return what a layer is called."""
    return f"{one.component}.{one.layer}" if one.layer else one.component


def compare(candidate: trace.Trace, reference: trace.Trace) -> Difference:
    """Compare two traces of the same prompts; the reference may have fewer.

    Raises
    ------
    CheckError
        ``ReferenceMismatch``: other prompts, seeds or another library.
    """
    count = min(len(candidate.prompts), len(reference.prompts))
    ours, theirs = trace.first(candidate, count), trace.first(reference, count)
    for what in ("library", "prompts", "seeds"):
        if getattr(ours, what) != getattr(theirs, what):
            raise failure.CheckError(
                "ReferenceMismatch",
                f"the reference was recorded with other {what}: it says nothing of these, record it again",
            )
    entropy, one_sided = _entropy(ours, theirs)
    stages, unshared = _stages(ours, theirs)
    snr, flips = _channels(ours.latents, theirs.latents)
    return Difference(
        prompts=count,
        mismatched=_mismatched(ours, theirs),
        entropy=entropy,
        missing=(*one_sided, *unshared),
        snr=snr,
        flips=flips,
        distance=_shift(ours.latents, theirs.latents, "distance"),
        guidance=_shift(ours.latents, theirs.latents, "guidance"),
        psnr=_psnr(ours.decoded, theirs.decoded),
        stages=stages,
    )


def _at(values: npt.NDArray[np.float32], steps: int) -> Scalars:
    """Take as many steps as another series has, at the same share of the way; steps are axis 1."""
    own = values.shape[1]
    places = ((np.arange(steps) + 0.5) * own / steps).astype(int)
    return np.asarray(values[:, places], dtype=np.float64)


def _mismatched(ours: trace.Trace, theirs: trace.Trace) -> tuple[int, ...]:
    mine = {one.tokenizer: one.ids for one in ours.tokens}
    known = {one.tokenizer: one.ids for one in theirs.tokens}
    return tuple(
        row
        for row in range(len(ours.prompts))
        if {k: ids[row] for k, ids in mine.items()} != {k: ids[row] for k, ids in known.items()}
    )


def _entropy(ours: trace.Trace, theirs: trace.Trace) -> tuple[dict[str, Scalars], tuple[str, ...]]:
    mine = {name(one): one for one in ours.attention}
    known = {name(one): one for one in theirs.attention}
    shifts = {}
    for key, one in known.items():
        if key in mine:
            before = one.entropy.astype(np.float64)
            after = _at(mine[key].entropy, before.shape[1])
            # What neither side could tell (a layer that has one key alone) is no difference.
            neither = np.isnan(before) & np.isnan(after)
            shifts[key] = np.where(neither, 0.0, after - before)
    return shifts, tuple(sorted(mine.keys() ^ known.keys()))


def _stages(ours: trace.Trace, theirs: trace.Trace) -> tuple[dict[str, Scalars], tuple[str, ...]]:
    mine = {one.name: one for one in ours.stages}
    found = {}
    for one in theirs.stages:
        if one.name not in mine:
            continue
        other = mine[one.name]
        apart = np.linalg.norm(other.sketch.astype(np.float64) - one.sketch, axis=1)
        lengths = np.abs(other.norm.astype(np.float64) - one.norm)
        with np.errstate(divide="ignore", invalid="ignore"):
            far = np.maximum(apart, lengths) / one.norm
        far = np.where((apart == 0) & (lengths == 0), 0.0, far)
        found[one.name] = np.where(other.size == one.size, far, np.inf)
    return found, tuple(sorted(mine.keys() ^ {one.name for one in theirs.stages}))


def _channels(
    ours: trace.Latents | None, theirs: trace.Latents | None
) -> tuple[Scalars | None, tuple[tuple[int, int], ...]]:
    if ours is None or theirs is None or ours.mean.shape[2] != theirs.mean.shape[2]:
        return None, ()
    steps = theirs.mean.shape[1]
    aligned = dataclasses.replace(
        ours,
        mean=_at(ours.mean, steps).astype(np.float32),
        variance=_at(ours.variance, steps).astype(np.float32),
    )
    flipped = aligned.sign() * theirs.sign() < 0
    flipped[: int(np.ceil((steps - 1) * _LATE))] = False
    places = tuple((int(step), int(channel)) for step, channel in np.argwhere(flipped))
    return floored_snr(aligned) - floored_snr(theirs), places


def floored_snr(latents: trace.Latents) -> Scalars:
    """Return `trace.Latents.snr_db` with a floor: ``10 log10(E[mean²] / E[variance] + 0.01)``."""
    return np.asarray(10 * np.log10(10 ** (latents.snr_db() / 10) + _QUIET))


def _shift(ours: trace.Latents | None, theirs: trace.Latents | None, what: str) -> Scalars | None:
    before = None if theirs is None else getattr(theirs, what)
    after = None if ours is None else getattr(ours, what)
    if before is None or after is None or not before.shape[1]:
        return None
    known = before.astype(np.float64)
    moved = np.abs(_at(after, known.shape[1]) - known)
    # Of the mean step: the last ones are so short that rounding a latent is a large part of them.
    mean = np.maximum(known.mean(1, keepdims=True), np.finfo(np.float32).tiny)
    return np.asarray(moved / mean)


def _psnr(ours: trace.Decoded | None, theirs: trace.Decoded | None) -> Scalars | None:
    if ours is None or theirs is None or ours.images.shape != theirs.images.shape:
        return None
    if ours.latents.shape != theirs.latents.shape or not np.array_equal(ours.latents, theirs.latents):
        return None
    error = np.square(ours.images.astype(np.float64) - theirs.images).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        made = 20 * np.log10(255.0) - 10 * np.log10(error)
    return np.asarray(np.minimum(made, _BEST) if ours.finite else np.zeros_like(made))
