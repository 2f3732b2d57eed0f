"""Pictures of a trace for people: heat maps of attention by layer and step, and decoded latents."""

import base64
import io
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL.Image

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.internals import comparison, trace

_CELL: Final = 24
_SIDE: Final = 192
_BYTES: Final = 12_000
"""Of one picture: in base64 it has to fit into a result."""
# From cold to hot, as colour maps of perception go: dark blue, teal, yellow, red.
_COLOURS: Final = np.array([[20, 24, 82], [24, 138, 141], [246, 222, 90], [190, 30, 45]], np.float64)


def pairs(
    candidate: trace.Trace, reference: trace.Trace | None, found: comparison.Difference | None
) -> tuple[schema.PicturePair, ...]:
    """Draw what a difference looks like; without a reference the candidate's attention alone."""
    made = []
    for kind in trace.AttentionKind:
        ours = _layers(candidate, kind)
        if not ours:
            continue
        theirs = _layers(reference, kind) if reference is not None else []
        made.append(
            schema.PicturePair(
                item=f"attention-{kind.lower()}",
                caption=v.sentence(
                    f"entropy of {kind.lower()} attention, 0 dark to 1 red: {len(ours)} layers downwards, in"
                    " the order in which they run, steps to the right",
                    200,
                ),
                stable=_encoded(_map(_rows(theirs))) if theirs else None,
                candidate=_encoded(_map(_rows(ours))),
            )
        )
    if found is not None and found.entropy:
        shift = _rows([np.abs(one.mean(0)) for one in found.entropy.values()])
        made.append(
            schema.PicturePair(
                item="attention-shift",
                caption="how far entropy moved, all layers by step: dark is 0, red is 0.05 and more",
                candidate=_encoded(_map(shift / 0.05)),
            )
        )
    if candidate.decoded is not None:
        before = reference.decoded if reference is not None else None
        for place, image in enumerate(candidate.decoded.images):
            known = before.images[place] if before is not None and place < len(before.images) else None
            made.append(
                schema.PicturePair(
                    item=f"decoded-{place}",
                    caption=f"the same clean latent, decoded (the middle of prompt {place + 1}'s)",
                    stable=_encoded(known) if known is not None else None,
                    candidate=_encoded(image),
                )
            )
    return tuple(made)


def _layers(seen: trace.Trace, kind: trace.AttentionKind) -> list[npt.NDArray[np.float64]]:
    return [one.entropy.astype(np.float64).mean(0) for one in seen.attention if one.kind is kind]


def _rows(layers: list[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Put layers of different numbers of steps into one array: what runs once has one value everywhere."""
    steps = max(len(one) for one in layers)
    return np.stack([one[(np.arange(steps) * len(one)) // steps] for one in layers])


def _map(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Colour values of 0…1; what is not finite is white."""
    at = np.clip(np.nan_to_num(values), 0, 1) * (len(_COLOURS) - 1)
    below = np.minimum(at.astype(int), len(_COLOURS) - 2)
    share = (at - below)[..., None]
    colours = _COLOURS[below] * (1 - share) + _COLOURS[below + 1] * share
    colours[~np.isfinite(values)] = 255
    cell = max(1, min(_CELL, _SIDE // max(values.shape)))
    return np.kron(colours, np.ones((cell, cell, 1))).round().astype(np.uint8)


def _encoded(pixels: npt.NDArray[np.uint8]) -> str:
    image = PIL.Image.fromarray(pixels)
    image.thumbnail((2 * _SIDE, 2 * _SIDE))
    content = b""
    for quality in (90, 60, 30, 5):
        target = io.BytesIO()
        image.save(target, "WEBP", quality=quality)
        content = target.getvalue()
        if len(content) <= _BYTES:
            break
        image.thumbnail((image.width * 3 // 4, image.height * 3 // 4))
    return base64.b64encode(content).decode()
