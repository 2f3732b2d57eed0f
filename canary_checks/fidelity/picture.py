"""An image that a generator answered with: decoded within bounds, measured, and kept as a thumbnail."""

import dataclasses
import hashlib
import io
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import PIL.Image

from canary_checks.fidelity import objects, reading
from canary_checks.golden import images

PIXELS_LIMIT: Final = 4096 * 4096
"""More is no image that anybody asked for."""
SKETCH: Final = 32
"""Side of the sketch that pairs of images are compared by."""
THUMBNAIL: Final = 112
_MEASURED: Final = 512
"""Side to which colours are measured; what is larger is sampled."""
_LOW, _HIGH = 2.0, 98.0

Pixels = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Look:
    """What an image looks like, as far as it can be said in numbers.

    Attributes
    ----------
    size
        Width and height in pixels.
    mean
        Of red, green and blue, 0 to 255.
    saturation
        Mean of HSV's saturation, 0 to 1.
    levels
        Different values, mean of the three channels, 1 to 256.
    spread
        Standard deviation of the luminance, in levels.
    smoothness
        Correlation of the luminance with that of the next pixels: near 1 for any picture, near 0 for noise.
    sketch
        Shape ``[32, 32, 3]``.
    fingerprint
        SHA-256 of the pixels.
    """

    size: tuple[int, int]
    mean: tuple[float, float, float]
    saturation: float
    levels: float
    spread: float
    smoothness: float
    sketch: Pixels
    fingerprint: bytes


def decode(content: bytes) -> PIL.Image.Image:
    """Decode an answer within bounds.

    Parameters
    ----------
    content
        The encoded image: JPEG, PNG or WebP.

    Returns
    -------
    In RGB, transparency on white.

    Raises
    ------
    ValueError
        It is no such image, damaged, has several pictures or too many pixels; the message says which.
    """
    width, height = images.size(content)
    if width * height > PIXELS_LIMIT:
        raise ValueError(f"it has {width} × {height} pixels, more than {PIXELS_LIMIT:,}".replace(",", " "))
    found = images.decode(content)
    if not found.has_alpha:
        return found.stored.convert("RGB")
    shown = found.stored.convert("RGBA")
    ground = PIL.Image.new("RGBA", shown.size, (255, 255, 255, 255))
    return PIL.Image.alpha_composite(ground, shown).convert("RGB")


def look(image: PIL.Image.Image) -> Look:
    """Measure an image in RGB."""
    rgb = np.asarray(image)
    step = max(1, max(image.size) // _MEASURED)
    sample = rgb[::step, ::step].astype(np.float32)
    high, low = sample.max(axis=2), sample.min(axis=2)
    # The next pixel of the image itself, not of the sample.
    corner = (0, 0, min(image.width, _MEASURED), min(image.height, _MEASURED))
    luminance = np.asarray(image.crop(corner).convert("L"), dtype=np.float32)
    return Look(
        size=image.size,
        mean=(float(sample[..., 0].mean()), float(sample[..., 1].mean()), float(sample[..., 2].mean())),
        saturation=float(np.mean((high - low) / np.maximum(high, 1.0))),
        levels=float(np.mean([len(np.unique(rgb[..., channel])) for channel in range(3)])),
        spread=float(sample.mean(axis=2).std()),
        smoothness=_smoothness(luminance),
        sketch=np.asarray(image.resize((SKETCH, SKETCH), PIL.Image.Resampling.BOX)),
        fingerprint=hashlib.sha256(repr(image.size).encode() + rgb.tobytes()).digest(),
    )


def _smoothness(luminance: npt.NDArray[np.float32]) -> float:
    found = []
    for one, other in ((luminance[1:], luminance[:-1]), (luminance[:, 1:], luminance[:, :-1])):
        if one.size > 1 and one.std() > 0 and other.std() > 0:
            found.append(float(np.corrcoef(one.ravel(), other.ravel())[0, 1]))
    return min(found, default=1.0)


def contrast(image: PIL.Image.Image, words: Sequence[reading.Word]) -> float:
    """Return how much the words stand out: WCAG's contrast ratio of ink and ground, the median of the words.

    Parameters
    ----------
    image
        In RGB.
    words
        With their boxes, at least one.

    Returns
    -------
    1 (nothing to see) to 21 (black on white).
    """
    ratios = []
    for word in words:
        box = (word.left, word.top, word.left + word.width, word.top + word.height)
        part = np.asarray(image.crop(box)).reshape(-1, 3)
        if part.size:
            # sRGB to linear, near enough for a ratio.
            light = (part / 255.0) ** 2.2 @ np.array([0.2126, 0.7152, 0.0722])
            low, high = np.percentile(light, (_LOW, _HIGH))
            ratios.append((high + 0.05) / (low + 0.05))
    return float(np.median(ratios)) if ratios else 1.0


def margin(size: tuple[int, int], words: Sequence[reading.Word]) -> float:
    """Return the smallest distance of a word from a border, in shares of that side; at least one word."""
    width, height = size
    left, top = min(w.left for w in words) / width, min(w.top for w in words) / height
    right = 1 - max(w.left + w.width for w in words) / width
    bottom = 1 - max(w.top + w.height for w in words) / height
    return float(min(left, top, right, bottom))


def count_objects(image: PIL.Image.Image, words: Sequence[reading.Word]) -> int:
    """Count objects of plain colour on a plain ground, besides the words."""
    return objects.count(image, [(w.left, w.top, w.width, w.height) for w in words])


def distance(one: Pixels, other: Pixels) -> float:
    """Return the mean difference of two sketches, 0 to 1."""
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).mean() / 255.0)


def thumbnail(image: PIL.Image.Image) -> bytes:
    """Return a small WebP of an image, 1 to 4 KiB."""
    small = image.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), PIL.Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.save(written, "WEBP", quality=45, method=4)
    return written.getvalue()
