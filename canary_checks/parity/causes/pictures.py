"""Images that undo what a wrong server does to them: the candidate is asked, to see whether it then is right.

Everything starts from the picture as the *reference* sees it (its twins tell how it takes orientation,
transparency, profiles, and with which filter it makes which square), stored as plain pixels that need no
interpretation.
"""

import dataclasses
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps

from canary_checks import inputs
from canary_checks.golden import images
from canary_checks.golden import pack as golden_pack

Difference = golden_pack.Difference
Picture = PIL.Image.Image
Values = npt.NDArray[np.float64]
_FILTERS: Final = PIL.Image.Resampling
_TURNS: Final = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
_SRGB: Final = PIL.ImageCms.createProfile("sRGB")
_SMALL: Final = 32
_MOST_BYTES: Final = 1 << 26
SIDES: Final = (224, 336, 384)
_FRAMES: Final = (16, 12, 6)
_GAMMAS: Final = (2.2, 1 / 2.2)
_FILTER_OF: Final = {
    Difference.RESIZED_BICUBIC: _FILTERS.BICUBIC,
    Difference.RESIZED_BILINEAR: _FILTERS.BILINEAR,
    Difference.RESIZED_LANCZOS: _FILTERS.LANCZOS,
    Difference.RESIZED_NEAREST: _FILTERS.NEAREST,
}
# What most servers normalise by; 0..1 and -1..1 are the last two.
_NORMALISATIONS: Final = {
    "CLIP's": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "ImageNet's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "no": ((0.0,) * 3, (1.0,) * 3),
    "0.5 and 0.5": ((0.5,) * 3, (0.5,) * 3),
}


@dataclasses.dataclass(frozen=True)
class Taken:
    """How the reference takes what servers take differently, as far as its rows tell.

    Attributes
    ----------
    upright
        It heeds the orientation tag.
    ground
        What it lays transparency on; empty when it drops it.
    converted
        It converts colour profiles to sRGB.
    filtered, square
        The filter and the way of making a square with which it reads 224 x 224; None when not known.
    """

    upright: bool = False
    ground: str = ""
    converted: bool = False
    filtered: Difference | None = None
    square: Difference | None = None


@dataclasses.dataclass(frozen=True)
class Edit:
    """One way of undoing.

    Attributes
    ----------
    name, cause
        Of the trial, and what is proven by it.
    touches
        Whether it changes a picture at all.
    apply
        From the picture as the reference sees it to the picture to send.
    """

    name: str
    cause: str
    touches: Callable[[images.Picture], bool]
    apply: Callable[[Picture], Picture]


class Album:
    """The decoded images of a golden set.

    Parameters
    ----------
    originals
        The images as they are asked; rows that cannot be decoded are left out, and all when they are too
        many.
    taken
        How the reference takes them.
    """

    def __init__(self, originals: Sequence[inputs.Input], taken: Taken) -> None:
        self._taken = taken
        self._seen: dict[int, Picture] = {}
        self._small: dict[int, Values] = {}
        self.pictures: dict[int, images.Picture] = {}
        if sum(len(one.content) for one in originals) > _MOST_BYTES:
            return
        for row, one in enumerate(originals):
            if isinstance(one, inputs.Image):
                try:
                    self.pictures[row] = images.decode(one.content)
                except ValueError:
                    continue

    def touched(self, edit: Edit, count: int) -> npt.NDArray[np.bool_]:
        """Say which of the first `count` rows an edit changes."""
        return np.array([row in self.pictures and edit.touches(self.pictures[row]) for row in range(count)])

    def made(self, edit: Edit, row: int) -> inputs.Image:
        """Return what to send in the place of a row."""
        return stored(edit.apply(self.seen(row)))

    def small(self, row: int) -> Values:
        """Return some of the values of a picture, 0 to 1, shape ``[32, 32, 3]``."""
        if row not in self._small:
            small = self.seen(row).resize((_SMALL, _SMALL), _FILTERS.NEAREST)
            self._small[row] = np.asarray(small) / 255
        return self._small[row]

    def seen(self, row: int) -> Picture:
        """Return a picture as the reference sees it, before any resize."""
        if row not in self._seen:
            self._seen[row] = _seen(self.pictures[row], self._taken)
        return self._seen[row]


def _seen(picture: images.Picture, taken: Taken) -> Picture:
    image = picture.stored
    if taken.upright and picture.orientation in _TURNS:
        image = image.transpose(_TURNS[picture.orientation])
    if picture.has_alpha and taken.ground:
        over = image.convert("RGBA")
        image = PIL.Image.alpha_composite(PIL.Image.new("RGBA", over.size, taken.ground), over)
    image = image.convert("RGB")
    if taken.converted and picture.profile is not None:
        try:
            own = PIL.ImageCms.ImageCmsProfile(io.BytesIO(picture.profile))
            image = PIL.ImageCms.profileToProfile(image, own, _SRGB) or image
        except (OSError, PIL.ImageCms.PyCMSError):
            return image
    return image


def stored(image: Picture) -> inputs.Image:
    """Store pixels, and nothing but pixels, without loss."""
    plain = PIL.Image.fromarray(np.asarray(image.convert("RGB")))
    held = io.BytesIO()
    plain.save(held, "PNG", compress_level=1)
    return inputs.Image(held.getvalue(), "image/png")


def edits(taken: Taken) -> list[Edit]:
    """Return every way of undoing, from those that touch few pictures to those that touch all."""
    found = [
        Edit("turned as the reference turns it", "Exif", lambda p: p.orientation != 1, _as_it_is),
        Edit("without transparency, as the reference shows it", "Alpha", lambda p: p.has_alpha, _as_it_is),
        Edit(
            "without its profile, as the reference shows it",
            "ColourProfile",
            lambda p: p.profile is not None,
            _as_it_is,
        ),
        Edit("with red and blue exchanged", "ChannelOrder", _any, _swapped),
        Edit("without colours", "Greyscale", _coloured, lambda image: image.convert("L")),
    ]
    for side, filtered, shape in _ways(taken):
        found.extend(_placed(side, filtered, shape))
    found.append(Edit("as a halftone of the two darkest levels", "ValueScale", _any, _halftone))
    return found


def _ways(taken: Taken) -> list[tuple[int, Difference, Difference]]:
    shapes = [taken.square] if taken.square else [Difference.CENTRE_CROPPED, Difference.SQUASHED]
    if taken.filtered:
        return [(SIDES[0], taken.filtered, shape) for shape in shapes]
    return [
        (side, filtered, shapes[0])
        for side in SIDES
        for filtered in (Difference.RESIZED_BICUBIC, Difference.RESIZED_BILINEAR)
    ]


def _placed(side: int, filtered: Difference, shape: Difference) -> list[Edit]:
    how = f"brought to {side} pixels ({_name(filtered)}, {_name(shape)})"

    def made(image: Picture) -> Picture:
        return squared(image, side, filtered, shape)

    found = [
        Edit(f"{how}", "Geometry", lambda p: p.stored.size != (side, side), made),
        Edit(f"{how} and mirrored", "Flip", _any, lambda p: PIL.ImageOps.mirror(made(p))),
        Edit(f"{how} and upside down", "Flip", _any, lambda p: PIL.ImageOps.flip(made(p))),
        Edit(
            f"{how} and transposed",
            "AxisLayout",
            _any,
            lambda p: made(p).transpose(PIL.Image.Transpose.TRANSPOSE),
        ),
        Edit(f"{how}, planes stored as pixels", "AxisLayout", _any, lambda p: _planes(made(p))),
        Edit(f"{how}, pixels stored as planes", "AxisLayout", _any, lambda p: _pixels(made(p))),
    ]
    found.extend(
        Edit(f"{how} in a frame of {frame} pixels", "Crop", _any, functools.partial(_framed, made, frame))
        for frame in _FRAMES
    )
    return found


def squared(image: Picture, side: int, filtered: Difference, shape: Difference) -> Picture:
    """Make a square of a picture as a server does."""
    resample = _FILTER_OF.get(filtered, _FILTERS.BICUBIC)
    if shape is Difference.SQUASHED:
        return image.resize((side, side), resample)
    if shape is Difference.LETTERBOXED:
        return PIL.ImageOps.pad(image, (side, side), resample, color="black")
    scale = side / min(image.size)
    width, height = (max(side, int(length * scale)) for length in image.size)
    left, top = (width - side) // 2, (height - side) // 2
    return image.resize((width, height), resample).crop((left, top, left + side, top + side))


def _name(difference: Difference) -> str:
    return {
        Difference.SQUASHED: "squeezed",
        Difference.CENTRE_CROPPED: "cropped",
        Difference.LETTERBOXED: "padded",
    }.get(difference, difference.value.removeprefix("Resized").lower())


def _framed(made: Callable[[Picture], Picture], frame: int, image: Picture) -> Picture:
    return PIL.ImageOps.expand(made(image), frame, "grey")


def _any(_: images.Picture) -> bool:
    return True


def _coloured(picture: images.Picture) -> bool:
    pixels = picture.rgb
    return picture.profile is not None or bool((pixels != pixels[:, :, :1]).any())


def _as_it_is(image: Picture) -> Picture:
    return image


def _swapped(image: Picture) -> Picture:
    return PIL.Image.fromarray(np.ascontiguousarray(np.asarray(image)[:, :, ::-1]))


def _planes(image: Picture) -> Picture:
    """Lay out pixels so that who reads them as planes of colours gets the picture."""
    pixels = np.asarray(image)
    return PIL.Image.fromarray(np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(pixels.shape))


def _pixels(image: Picture) -> Picture:
    pixels = np.asarray(image)
    planes = np.ascontiguousarray(pixels).reshape(3, *pixels.shape[:2])
    return PIL.Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


@dataclasses.dataclass(frozen=True)
class Levels:
    """Undoes what was made of values, as far as 256 levels between black and white go.

    Attributes
    ----------
    name, cause
        As of an edit.
    change
        From values of 0 to 1, shape ``[height, width, 3]``, to what would have to be sent.
    """

    name: str
    cause: str
    change: Callable[[Values], Values]

    def lost(self, values: Values) -> float:
        """Return the share of some values, 0 to 1, that would be darker than black or brighter than white."""
        made = self.change(values)
        return float(((made < 0) | (made > 1)).mean())

    def apply(self, image: Picture) -> Picture:
        """Return the picture to send."""
        made = np.clip(np.round(255 * self.change(np.asarray(image) / 255)), 0, 255)
        return PIL.Image.fromarray(made.astype(np.uint8))


def levels() -> Iterator[Levels]:
    """Return every way of undoing what was made of values."""
    yield Levels("at half their values", "", lambda x: x / 2)
    for power in _GAMMAS:
        yield Levels(f"with values raised to {power:.3g}", "Gamma", functools.partial(_raised, power))
    every = {name: tuple(np.array(values) for values in pair) for name, pair in _NORMALISATIONS.items()}
    for name in ("CLIP's", "ImageNet's"):
        mean, deviation = every[name]
        every[f"{name} (BGR)"] = mean[::-1], deviation[::-1]
    # The candidate's x' has to be so that (x' - m') / s' = (x - m) / s.
    for ours, (mean, deviation) in every.items():
        for theirs, (wanted_mean, wanted) in every.items():
            if ours != theirs and not (ours.endswith(")") and theirs.endswith(")")):
                factor = deviation / wanted
                yield Levels(
                    f"with values that undo {ours} mean and deviation for {theirs}",
                    "MeanStd",
                    functools.partial(_affine, factor, mean - wanted_mean * factor),
                )
    for name in ("CLIP's", "ImageNet's", "0.5 and 0.5"):
        mean, deviation = every[name]
        yield Levels(
            f"with values that undo {name} mean and deviation, once of twice",
            "MeanStd",
            functools.partial(_affine, deviation, mean),
        )


def _raised(power: float, x: Values) -> Values:
    return np.asarray(x**power)


def _affine(factor: Values, offset: Values, x: Values) -> Values:
    return factor * x + offset


def _halftone(image: Picture) -> Picture:
    """Keep the mean of each place in the levels 0 and 1 of 256: all that counts where values are 255-fold."""
    planes = [np.asarray(plane.convert("1")).astype(np.uint8) for plane in image.split()]
    return PIL.Image.fromarray(np.stack(planes, axis=2))
