"""Which preprocessing made a tensor: the golden image is prepared again in every usual way, until one fits.

A recipe that gives side A's tensor, and with one step changed gives side B's, proves that this step is what
differs.
"""

import dataclasses
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps

from canary_checks import vocabulary as v
from canary_checks.trace import blame, pixels

Contents = Mapping[str, bytes]

_ITEMS: Final = 4
_CHANNELS: Final = 3
_LONGEST_SIDE: Final = 4096
SQUASH: Final = 0
"""A `resize` that ignores the shape of the image."""

_FILTERS: Final = {
    "bicubic": PIL.Image.Resampling.BICUBIC,
    "bilinear": PIL.Image.Resampling.BILINEAR,
    "lanczos": PIL.Image.Resampling.LANCZOS,
    "box": PIL.Image.Resampling.BOX,
    "nearest": PIL.Image.Resampling.NEAREST,
}
_POINTWISE: Final = {
    "bicubic": PIL.Image.Transform.EXTENT,
    "bilinear": PIL.Image.Transform.EXTENT,
}
"""Filters that common libraries also apply without antialias."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How an image becomes what the encoder reads, but for scale and normalisation.

    Attributes
    ----------
    resize
        Length of the shorter side before the crop, in pixels, or `SQUASH`.
    interpolation, antialias
        The resize filter.
    exif
        Whether the orientation in the EXIF data is followed.
    alpha
        What lies behind transparent pixels: ``White``, ``Black``, or ``Dropped`` (their hidden colour).
    profile
        Whether the ICC profile is converted to sRGB.
    rounding
        How the longer side is rounded: ``Floor`` or ``Nearest``.
    shift
        How far the crop is off the centre, in pixels down and right.
    """

    resize: int
    interpolation: str = "bicubic"
    antialias: bool = True
    exif: bool = True
    alpha: str = "Dropped"
    profile: bool = False
    rounding: str = "Floor"
    shift: tuple[int, int] = (0, 0)


_CAUSE_OF: Final = {
    "resize": "Crop",
    "interpolation": "ResizeFilter",
    "antialias": "Antialias",
    "exif": "Exif",
    "alpha": "Alpha",
    "profile": "ColourProfile",
    "rounding": "Crop",
    "shift": "Crop",
}


def render(content: bytes, recipe: Recipe, height: int, width: int) -> pixels.Array:
    """Prepare an image.

    Parameters
    ----------
    content
        The encoded image.
    recipe
        How.
    height, width
        Of the crop, in pixels.

    Returns
    -------
    Shape ``[3, height, width]``, float32, 0 to 255.
    """
    picture: PIL.Image.Image = PIL.Image.open(io.BytesIO(content))
    if recipe.profile:
        picture = _to_srgb(picture)
    if recipe.exif:
        picture = PIL.ImageOps.exif_transpose(picture)
    if recipe.alpha != "Dropped" and picture.has_transparency_data:
        behind = PIL.Image.new("RGBA", picture.size, recipe.alpha.lower())
        picture = PIL.Image.alpha_composite(behind, picture.convert("RGBA"))
    picture = _resized(picture.convert("RGB"), recipe, height, width)
    top = (picture.height - height) // 2 + recipe.shift[0]
    left = (picture.width - width) // 2 + recipe.shift[1]
    cropped = picture.crop((left, top, left + width, top + height))
    return np.asarray(cropped, dtype=np.float32).transpose(2, 0, 1)


def _resized(picture: PIL.Image.Image, recipe: Recipe, height: int, width: int) -> PIL.Image.Image:
    size = (width, height)
    if recipe.resize != SQUASH:
        scale = recipe.resize / min(picture.size)
        sides = [min(_LONGEST_SIDE, side * scale) for side in picture.size]
        whole = [round(x) if recipe.rounding == "Nearest" else int(x + 1e-6) for x in sides]
        size = (max(whole[0], recipe.resize), max(whole[1], recipe.resize))
    if size == picture.size:
        return picture
    if recipe.antialias:
        return picture.resize(size, _FILTERS[recipe.interpolation])
    extent = (0, 0, picture.width, picture.height)
    # Unlike `resize`, a transform looks at the nearest pixels only: no antialias.
    return picture.transform(
        size, _POINTWISE[recipe.interpolation], extent, resample=_FILTERS[recipe.interpolation]
    )


def _to_srgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    embedded = picture.info.get("icc_profile")
    if not embedded:
        return picture
    target = PIL.ImageCms.createProfile("sRGB")
    source = PIL.ImageCms.ImageCmsProfile(io.BytesIO(embedded))
    changed = PIL.ImageCms.profileToProfile(picture.convert("RGB"), source, target, outputMode="RGB")
    return changed if changed is not None else picture


def explain(
    a: pixels.Images, b: pixels.Images, contents: Contents, resizes: Sequence[int] = ()
) -> blame.Blame | None:
    """Find the one step of preprocessing in which two sides differ.

    Parameters
    ----------
    a, b
        Tensors ``[3, H, W]`` or ``[H, W, 3]`` of the same items, at least one of them differing.
    contents
        The encoded image of each item.
    resizes
        Lengths of the shorter side before the crop that the two sides state, besides the usual ones.

    Returns
    -------
    ``Proven`` when side A's recipe is found and changing exactly one step of it gives B's tensors; ``Likely``
    when two different changes do; None when A's recipe is not among the usual ones, or no change does.
    """
    # What differs tells most, what does not keeps an explanation honest.
    worst_first = pixels.compare(a, b).error_mean
    chosen = sorted(a, key=lambda name: -worst_first[name])[:_ITEMS]
    ours = {name: _first(a[name]) for name in chosen}
    theirs = {name: _first(b[name]) for name in chosen}
    if any(
        x.ndim != _CHANNELS or x.shape[0] != _CHANNELS or x.shape != y.shape
        for x, y in zip(ours.values(), theirs.values(), strict=True)
    ):
        return None
    pictures = {name: contents[name] for name in chosen}
    sides = list(dict.fromkeys([*resizes, *_resizes(min(x.shape[1] for x in ours.values()))]))
    for name, known, other in (("A", ours, theirs), ("B", theirs, ours)):
        found = identify(known, pictures, sides)
        if found is None:
            continue
        recipe, fitted = found
        fitting = [
            (
                error,
                blame.Blame(
                    _CAUSE_OF[step], v.Confidence.PROVEN, (_sentence(name, step, recipe, changed, error),)
                ),
            )
            for changed, step, error in _changes((recipe, fitted), known, other, pictures, sides)
            if error <= pixels.PASS_BELOW
        ]
        if fitting:
            return blame.choose([one for _, one in sorted(fitting, key=lambda pair: pair[0])])
    return None


def _first(image: pixels.Array) -> pixels.Array:
    squeezed = image[0] if image.ndim == _CHANNELS + 1 and image.shape[0] == 1 else image
    if squeezed.ndim == _CHANNELS and squeezed.shape[0] != _CHANNELS and squeezed.shape[-1] == _CHANNELS:
        return np.moveaxis(squeezed, -1, 0)
    return squeezed


def identify(
    images: pixels.Images, contents: Contents, sides: Sequence[int]
) -> tuple[Recipe, pixels.Fit] | None:
    """Find the recipe of some tensors, whatever their scale and normalisation.

    Parameters
    ----------
    images
        Shape ``[3, H, W]`` each.
    contents
        The encoded images.
    sides
        Lengths of the shorter side before the crop to try.

    Returns
    -------
    The recipe that fits best and the scale and offset of each channel that go with it; None when the best
    one's error is above 0.01.
    """
    best: tuple[Recipe, pixels.Fit] | None = None
    for recipe in _usual(sides, contents):
        fitted = pixels.fit(images, _rendered(recipe, images, contents))
        if best is None or fitted.error < best[1].error:
            best = recipe, fitted
    return best if best is not None and best[1].error <= pixels.PASS_BELOW else None


def _usual(sides: Sequence[int], contents: Contents) -> Iterator[Recipe]:
    opened = [PIL.Image.open(io.BytesIO(content)) for content in contents.values()]
    turned = any(picture.getexif().get(0x0112, 1) != 1 for picture in opened)
    clear = any(picture.has_transparency_data for picture in opened)
    profiled = any(picture.info.get("icc_profile") for picture in opened)
    filters = [(name, True) for name in _FILTERS] + [(name, False) for name in _POINTWISE]
    for resize, (interpolation, antialias), exif, alpha, profile, rounding in itertools.product(
        sides,
        filters,
        (True, False) if turned else (True,),
        ("Dropped", "White", "Black") if clear else ("Dropped",),
        (False, True) if profiled else (False,),
        ("Floor", "Nearest"),
    ):
        if resize != SQUASH or rounding == "Floor":
            yield Recipe(resize, interpolation, antialias, exif, alpha, profile, rounding)


def _resizes(side: int) -> list[int]:
    """Return the usual lengths of the shorter side before a crop to `side`."""
    return list(dict.fromkeys([side, SQUASH, *(round(side * by) for by in (256 / 224, 248 / 224, 1 / 0.9))]))


def _rendered(recipe: Recipe, images: pixels.Images, contents: Contents) -> pixels.Images:
    return {
        name: render(contents[name], recipe, image.shape[1], image.shape[2]) for name, image in images.items()
    }


def _changes(
    found: tuple[Recipe, pixels.Fit],
    known: pixels.Images,
    other: pixels.Images,
    contents: Contents,
    sides: Sequence[int],
) -> Iterator[tuple[Recipe, str, float]]:
    """Change one step of the recipe of one side and measure how far that is from the other side's tensors."""
    recipe, fitted = found
    unit = pixels.sigma(known)
    for changed, step in _neighbours(recipe, sides):
        made = _normalised(changed, fitted, known, contents)
        yield changed, step, pixels.compare(made, other, unit).worst


def _sentence(name: str, step: str, recipe: Recipe, changed: Recipe, error: float) -> str:
    other = {"A": "B", "B": "A"}[name]
    said, instead = _word(getattr(recipe, step)), _word(getattr(changed, step))
    return (
        f"images prepared as {name} does ({step} {said}), but with {step} {instead}, are {other}'s pixels:"
        f" error {error:.4f}, limit {pixels.PASS_BELOW}"
    )


def _normalised(
    recipe: Recipe, fitted: pixels.Fit, images: pixels.Images, contents: Contents
) -> pixels.Images:
    factor, offset = (x.astype(np.float32)[:, np.newaxis, np.newaxis] for x in (fitted.factor, fitted.offset))
    return {name: x * factor + offset for name, x in _rendered(recipe, images, contents).items()}


def _neighbours(recipe: Recipe, sides: Sequence[int]) -> Iterator[tuple[Recipe, str]]:
    """Give every recipe that differs in one step, and the name of the step."""
    for name in _FILTERS:
        if name != recipe.interpolation and (recipe.antialias or name in _POINTWISE):
            yield dataclasses.replace(recipe, interpolation=name), "interpolation"
    if recipe.interpolation in _POINTWISE:
        yield dataclasses.replace(recipe, antialias=not recipe.antialias), "antialias"
    for resize in sides:
        if resize != recipe.resize:
            yield dataclasses.replace(recipe, resize=resize), "resize"
    for alpha in ("Dropped", "White", "Black"):
        if alpha != recipe.alpha:
            yield dataclasses.replace(recipe, alpha=alpha), "alpha"
    yield dataclasses.replace(recipe, exif=not recipe.exif), "exif"
    yield dataclasses.replace(recipe, profile=not recipe.profile), "profile"
    if recipe.resize != SQUASH:
        other = {"Floor": "Nearest", "Nearest": "Floor"}[recipe.rounding]
        yield dataclasses.replace(recipe, rounding=other), "rounding"
    for shift in [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]:
        if shift != recipe.shift:
            yield dataclasses.replace(recipe, shift=shift), "shift"


def _word(value: object) -> str:
    if value == SQUASH and not isinstance(value, bool):
        return "without keeping the shape"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
