"""From the latent to the picture: its scale, the decoder, the order of the channels."""

import dataclasses
from typing import Final

import numpy as np

from canary_checks.internals import comparison, trace
from canary_checks.internals.causes import cause, contrast

Change = contrast.Change
_ALIKE: Final = 0.9
"""Cosine of the latents' sketches from which one is a multiple of the other."""
_CONSTANT: Final = 0.25
"""How far the length of a difference may be from that of a constant: sketches tell it within about 9 %."""
_DECODER_NEXT: Final = "compare config.json and the SHA-256 of the weights of the VAE of both revisions"
_SCALE_NEXT: Final = "compare scaling_factor and shift_factor in the VAE's config.json of both revisions"
_ORDER_NEXT: Final = "look for RGB read as BGR between the decoder and the image (cv2)"


def factor(seen: contrast.Contrast) -> float | None:
    """Return by what the candidate's latents have to be multiplied to be the reference's, before the decoder.

    Returns
    -------
    None where the latents are the same, or no multiple of each other, or differ before they are scaled.
    """
    if seen.same(contrast.LATENTS) is not False or seen.same(contrast.LAST) is not True:
        return None
    ours, theirs = _stage(seen.candidate), _stage(seen.reference)
    if ours is None or theirs is None or offset(seen) is not None:
        return None
    mine, other = ours.sketch.astype(np.float64), theirs.sketch.astype(np.float64)
    by = float((mine * other).sum() / max(float(np.square(mine).sum()), 1e-30))
    cosine = by * np.linalg.norm(mine) / max(float(np.linalg.norm(other)), 1e-30)
    return by if cosine >= _ALIKE and by > 0 else None


def offset(seen: contrast.Contrast) -> float | None:
    """Return what has to be added to the candidate's latents to make them the reference's.

    Returns
    -------
    None where they do not differ by one constant alone.
    """
    if seen.same(contrast.LATENTS) is not False or seen.same(contrast.LAST) is not True:
        return None
    ours, theirs = _stage(seen.candidate), _stage(seen.reference)
    if ours is None or theirs is None:
        return None
    added = theirs.mean.astype(np.float64) - ours.mean
    constant = np.abs(added) * np.sqrt(theirs.size)
    whole = np.linalg.norm(ours.sketch.astype(np.float64) - theirs.sketch, axis=1)
    alike = np.abs(constant - whole) <= _CONSTANT * whole
    return (
        float(np.median(added))
        if bool(alike.all()) and np.ptp(added) <= _CONSTANT * abs(added).max()
        else None
    )


def _stage(side: trace.Trace) -> trace.Stage | None:
    return next((one for one in side.stages if one.name == contrast.LATENTS), None)


def latent_scale(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise latents that are right, and handed to the decoder larger or smaller, or moved."""
    by, added = factor(seen), offset(seen)
    if added is not None:
        change = Change(latent_offset=added)
        what = f"the last latents are the same, and the decoder is given them with {-added:.3g} added"
        cure = f"with {added:.3g} added, every gate passes"
    elif by is not None:
        change = Change(latent_scale=by)
        what = f"the last latents are the same, and the decoder is given them {1 / by:.3g} times as large"
        cure = f"multiplied by {by:.3g}, every gate passes"
    else:
        return None
    if seen.passed(change):
        return cause.proven(what, cure, next_step=_SCALE_NEXT)
    return cause.likely(what, next_step=_SCALE_NEXT, sole=True)


def channel_order(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise red and blue in each other's place: exchanged back, the images are the reference's."""
    ours, theirs = seen.candidate.decoded, seen.reference.decoded
    if seen.decoder_alike is not False or ours is None or theirs is None:
        return None
    exchanged = dataclasses.replace(
        seen.candidate, decoded=dataclasses.replace(ours, images=np.ascontiguousarray(ours.images[..., ::-1]))
    )
    turned = comparison.compare(exchanged, seen.reference).psnr
    before = seen.difference.psnr
    if (
        before is None
        or turned is None
        or not (turned >= seen.limits.psnr).all()
        or not (turned > before).all()
    ):
        return None
    what = (
        f"with red and blue exchanged, the reference's latents decode to its images ({turned.min():.0f} dB)"
    )
    if seen.same(contrast.LATENTS) is False:
        return cause.observed(what, "it is not all: the latents differ as well", next_step=_ORDER_NEXT)
    return cause.proven(what, "everything before the decoder is the same", next_step=_ORDER_NEXT)


def decoder(seen: contrast.Contrast) -> cause.Named | None:
    """Recognise a decoder that makes other images of the very same latents."""
    if _decoder_contradicted(seen) is not None or seen.steady is False or latent_scale(seen) is not None:
        return None
    if channel_order(seen) is not None:
        return None
    psnr = seen.difference.psnr
    worst = float(psnr.min()) if psnr is not None else None
    what = (
        f"the reference's latents decode to other images (PSNR {worst:.0f} dB, limit {seen.limits.psnr:g})"
        if worst is not None and seen.decoder_alike is False
        else f"the latents are the same, and the decoded images are not (relative distance"
        f" {seen.stages[contrast.DECODER]:.2g})"
    )
    kept = seen.same(contrast.LATENTS)
    return cause.likely(
        what, *(["every stage before the decoder is the same"] if kept else []), next_step=_DECODER_NEXT
    )


def _decoder_contradicted(seen: contrast.Contrast) -> str | None:
    if seen.decoder_alike:
        return "the reference's latents decode to the same images"
    if seen.decoder_alike is None and not (
        seen.same(contrast.LATENTS) is True and seen.same(contrast.DECODER) is False
    ):
        return "nothing differs between the latents and the images"
    return None


TABLE: Final = (
    cause.Cause(
        name="LatentScale",
        contradiction=cause.unless("the decoder is given no multiple of the right latents", latent_scale),
        signature=latent_scale,
        next=_SCALE_NEXT,
    ),
    cause.Cause(
        name="ChannelOrder",
        contradiction=cause.unless(
            "with red and blue exchanged the images stay wrong, or none is", channel_order
        ),
        signature=channel_order,
        next=_ORDER_NEXT,
    ),
    cause.Cause(name="Decoder", contradiction=_decoder_contradicted, signature=decoder, next=_DECODER_NEXT),
)
