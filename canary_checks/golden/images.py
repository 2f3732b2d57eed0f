"""Images of a golden set: bounded before they are decoded, and proof that twins differ in one property."""

import dataclasses
import io
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps

from canary_checks.golden.difference import Difference

PIXELS_LIMIT: Final = 50_000_000
_FORMATS: Final = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP"}
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = 1
# What Pillow raises on damaged files, besides its own errors.
_BROKEN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    struct.error,
    zlib.error,
    PIL.Image.DecompressionBombError,
    PIL.Image.DecompressionBombWarning,
)
# A centre crop of 0.875 of the side, as torchvision's presets make it, still shows this much.
_CENTRE: Final = 0.8
_NOISE_LEVELS: Final = 2
_PROFILE_LEVELS: Final = 3
_JPEG_LEVELS: Final = 64
_JPEG_MEAN_LEVELS: Final = 2.0

Pixels = npt.NDArray[np.uint8]


def header(content: bytes, media_type: str) -> None:
    """Look at an image without decoding it.

    Parameters
    ----------
    content
        The encoded image.
    media_type
        What it is said to be.

    Raises
    ------
    ValueError
        It is no such image, has several pictures, or more than 50 million pixels.
    """
    with _opened(content, media_type):
        pass


def size(content: bytes) -> tuple[int, int]:
    """Return the width and height of an image without decoding it, whatever of the three types it is.

    Raises
    ------
    ValueError
        As `header`.
    """
    with _opened(content, None) as image:
        return image.size


@dataclasses.dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes
    ----------
    stored
        In its own mode, not turned by its orientation tag.
    orientation
        1 to 8, the value of the EXIF tag; 1 without one.
    profile
        The ICC profile, or None.
    """

    stored: PIL.Image.Image
    orientation: int
    profile: bytes | None

    @property
    def rgb(self) -> Pixels:
        """The stored colours, shape ``[height, width, 3]``: what a server sees that heeds no tag."""
        return np.asarray(self.stored.convert("RGB"))

    @property
    def has_alpha(self) -> bool:
        """Whether it can be transparent."""
        return self.stored.mode in {"RGBA", "LA", "PA"} or "transparency" in self.stored.info

    @property
    def plain(self) -> bool:
        """Whether nothing but its pixels says how it looks."""
        return self.orientation == _UPRIGHT and self.profile is None and not self.has_alpha


def decode(content: bytes) -> Picture:
    """Decode an image, whatever of the three types it is.

    Parameters
    ----------
    content
        The encoded image.

    Raises
    ------
    ValueError
        As `header`, or it is damaged.
    """
    with _opened(content, None) as image:
        try:
            image.load()
            orientation = int(image.getexif().get(_ORIENTATION, _UPRIGHT))
        except _BROKEN as error:
            raise ValueError(f"it is damaged: {error}") from error
        profile = image.info.get("icc_profile")
        return Picture(image.copy(), orientation, bytes(profile) if profile else None)


def differ_only_in(difference: Difference, content: bytes, twin: bytes) -> bool:
    """Say whether an image differs from its twin in nothing but the named property.

    Parameters
    ----------
    difference
        The property.
    content, twin
        The encoded images.

    Returns
    -------
    False also for a property that images do not have, and for two equal files.

    Raises
    ------
    ValueError
        One of them cannot be decoded.
    """
    only = _ONLY.get(difference)
    if only is None or content == twin:
        return False
    return only(decode(content), decode(twin))


def unsmoothed(image: PIL.Image.Image, side: int) -> PIL.Image.Image:
    """Resize to a square as servers do without antialiasing: bilinear between the four nearest pixels."""
    step = image.width / side, image.height / side
    return image.transform(
        (side, side),
        PIL.Image.Transform.AFFINE,
        (step[0], 0, 0, 0, step[1], 0),
        resample=PIL.Image.Resampling.BILINEAR,
    )


def squared(image: PIL.Image.Image, side: int, difference: Difference) -> PIL.Image.Image:
    """Make a square of an image in one of the three ways that servers have, with a bicubic filter."""
    filtered = PIL.Image.Resampling.BICUBIC
    if difference is Difference.SQUASHED:
        return image.resize((side, side), filtered)
    if difference is Difference.LETTERBOXED:
        return PIL.ImageOps.pad(image, (side, side), filtered, color="black")
    scale = side / min(image.size)
    width, height = (max(side, int(length * scale)) for length in image.size)
    left, top = (width - side) // 2, (height - side) // 2
    return image.resize((width, height), filtered).crop((left, top, left + side, top + side))


def _opened(content: bytes, media_type: str | None) -> PIL.Image.Image:
    formats = list(_FORMATS.values()) if media_type is None else [_FORMATS[media_type]]
    try:
        with warnings.catch_warnings():
            # Pillow warns of what may be a bomb: our own limit, below, is the stricter one.
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            image = PIL.Image.open(io.BytesIO(content), formats=formats)
    except _BROKEN as error:
        wanted = media_type or "a JPEG, PNG or WebP"
        raise ValueError(f"it is no {wanted} image that can be read") from error
    if image.width * image.height > PIXELS_LIMIT:
        raise ValueError(f"it has {image.width} x {image.height} pixels, more than {PIXELS_LIMIT:,}")
    if getattr(image, "n_frames", 1) != 1:
        raise ValueError("it holds more than one picture")
    return image


def _same_stored(image: Picture, twin: Picture) -> bool:
    return image.stored.mode == twin.stored.mode and np.array_equal(
        np.asarray(image.stored), np.asarray(twin.stored)
    )


def _same(one: Pixels, other: Pixels, levels: float = 0, mean: float = 256) -> bool:
    if one.shape != other.shape:
        return False
    apart = np.abs(one.astype(np.int16) - other)
    return bool(apart.max(initial=0) <= levels and apart.mean() <= mean)


def _is_exif(image: Picture, twin: Picture) -> bool:
    tagged = image.orientation != _UPRIGHT and twin.orientation == _UPRIGHT
    return tagged and image.profile == twin.profile and _same_stored(image, twin)


def _is_upright(image: Picture, twin: Picture) -> bool:
    if image.orientation == _UPRIGHT or not twin.plain:
        return False
    tagged = image.stored.convert("RGB")
    tagged.getexif()[_ORIENTATION] = image.orientation
    shown = np.asarray(PIL.ImageOps.exif_transpose(tagged))
    # The twin was encoded again: JPEG rounds a turned block differently.
    return _same(shown, twin.rgb, _JPEG_LEVELS, _JPEG_MEAN_LEVELS)


def _on(ground: int) -> Callable[[Picture, Picture], bool]:
    def only(image: Picture, twin: Picture) -> bool:
        if not image.has_alpha or not twin.plain:
            return False
        shown = image.stored.convert("RGBA")
        sheet = PIL.Image.new("RGBA", shown.size, (ground, ground, ground, 255))
        return _same(np.asarray(PIL.Image.alpha_composite(sheet, shown).convert("RGB")), twin.rgb)

    return only


def _is_converted(image: Picture, twin: Picture) -> bool:
    if image.profile is None or not twin.plain:
        return False
    try:
        shown = PIL.ImageCms.profileToProfile(
            image.stored.convert("RGB"),
            PIL.ImageCms.ImageCmsProfile(io.BytesIO(image.profile)),
            PIL.ImageCms.createProfile("sRGB"),
        )
    except (PIL.ImageCms.PyCMSError, OSError) as error:
        raise ValueError(f"its colour profile cannot be read: {error}") from error
    return shown is not None and _same(np.asarray(shown), twin.rgb, _PROFILE_LEVELS)


def _is_grey(image: Picture, twin: Picture) -> bool:
    grey = np.asarray(image.stored.convert("RGB").convert("L").convert("RGB"))
    return image.plain and twin.plain and not _same(image.rgb, grey) and _same(grey, twin.rgb)


def _pixels(only: Callable[[Pixels], Pixels]) -> Callable[[Picture, Picture], bool]:
    """Make the proof that the twin's pixels are this function of the item's, and not the item's own."""

    def proof(image: Picture, twin: Picture) -> bool:
        changed = only(image.rgb)
        return image.plain and twin.plain and not _same(image.rgb, twin.rgb) and _same(changed, twin.rgb)

    return proof


def _is_crop(image: Picture, twin: Picture) -> bool:
    if not (image.plain and twin.plain) or image.stored.size != twin.stored.size:
        return False
    width, height = image.stored.size
    side = min(width, height) if width != height else int(min(width, height) * _CENTRE)
    top, left = (height - side) // 2, (width - side) // 2
    centre = np.s_[top : top + side, left : left + side]
    return _same(image.rgb[centre], twin.rgb[centre]) and not _same(image.rgb, twin.rgb)


def _is_shift(image: Picture, twin: Picture) -> bool:
    one, other = image.rgb, twin.rgb
    plain = image.plain and twin.plain and one.shape == other.shape
    return plain and _same(one[:, 1:], other[:, :-1]) and not _same(one, other)


def _is_noise(image: Picture, twin: Picture) -> bool:
    one, other = image.rgb, twin.rgb
    return image.plain and twin.plain and _same(one, other, _NOISE_LEVELS) and not _same(one, other)


def _resized(filtered: PIL.Image.Resampling) -> Callable[[Picture, Picture], bool]:
    def only(image: Picture, twin: Picture) -> bool:
        if not _is_smaller_square(image, twin):
            return False
        return _same(np.asarray(image.stored.convert("RGB").resize(twin.stored.size, filtered)), twin.rgb)

    return only


def _is_smaller_square(image: Picture, twin: Picture) -> bool:
    square = len({*image.stored.size}) == 1 and len({*twin.stored.size}) == 1
    return image.plain and twin.plain and square and twin.stored.width < image.stored.width


def _is_unsmoothed(image: Picture, twin: Picture) -> bool:
    made = unsmoothed(image.stored.convert("RGB"), twin.stored.width)
    return _is_smaller_square(image, twin) and _same(np.asarray(made), twin.rgb)


def _squared(difference: Difference) -> Callable[[Picture, Picture], bool]:
    def only(image: Picture, twin: Picture) -> bool:
        if not (image.plain and twin.plain) or image.stored.width == image.stored.height:
            return False
        made = squared(image.stored.convert("RGB"), twin.stored.width, difference)
        return _same(np.asarray(made), twin.rgb)

    return only


_ONLY: Final[dict[Difference, Callable[[Picture, Picture], bool]]] = {
    Difference.EXIF: _is_exif,
    Difference.UPRIGHT: _is_upright,
    Difference.ALPHA_DROPPED: lambda image, twin: (
        image.has_alpha and twin.plain and _same(image.rgb, twin.rgb)
    ),
    Difference.ALPHA_ON_WHITE: _on(255),
    Difference.ALPHA_ON_BLACK: _on(0),
    Difference.COLOUR_PROFILE: lambda image, twin: (
        image.profile is not None
        and twin.profile is None
        and image.orientation == twin.orientation
        and _same_stored(image, twin)
    ),
    Difference.CONVERTED: _is_converted,
    Difference.STORAGE: lambda image, twin: image.plain and twin.plain and _same(image.rgb, twin.rgb),
    Difference.GREY: _is_grey,
    Difference.CHANNELS: _pixels(lambda rgb: rgb[:, :, ::-1]),
    Difference.FLIP: _pixels(lambda rgb: rgb[:, ::-1]),
    Difference.TRANSPOSED: _pixels(lambda rgb: rgb.transpose(1, 0, 2)),
    Difference.CROP: _is_crop,
    Difference.SHIFT: _is_shift,
    Difference.NOISE: _is_noise,
    Difference.RESIZED_BICUBIC: _resized(PIL.Image.Resampling.BICUBIC),
    Difference.RESIZED_BILINEAR: _resized(PIL.Image.Resampling.BILINEAR),
    Difference.RESIZED_LANCZOS: _resized(PIL.Image.Resampling.LANCZOS),
    Difference.RESIZED_NEAREST: _resized(PIL.Image.Resampling.NEAREST),
    Difference.RESIZED_UNSMOOTHED: _is_unsmoothed,
    Difference.SQUASHED: _squared(Difference.SQUASHED),
    Difference.CENTRE_CROPPED: _squared(Difference.CENTRE_CROPPED),
    Difference.LETTERBOXED: _squared(Difference.LETTERBOXED),
}
