"""A small vision transformer with fixed random weights in numpy, and every way to prepare its pixels wrongly.

A transformer with random weights ranks faults of preprocessing like a trained one (research/parity.md §2.7).
The right preparation is done by Pillow: upright, over white, in sRGB, the shorter side brought to 224 by a
bicubic filter, centre crop, 0..1, mean and standard deviation.
"""

import dataclasses
import functools
import io
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps
import scipy.special

from hack.faults import minilm

SIDE: Final = 224
_PATCH: Final = 32
_WIDTH: Final = 192
_LAYERS: Final = 4
_HEADS: Final = 3
_DIMENSIONS: Final = 256
CLIP: Final = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Final = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
NONE: Final = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

Floats = npt.NDArray[Any]
Resize = Callable[[Any, tuple[int, int]], Floats]


def pillow(resample: PIL.Image.Resampling) -> Resize:
    """Resize as Pillow does: smoothed, rounded to 8 bits."""
    return lambda image, size: np.asarray(image.resize(size, resample)).astype(np.float32)


BICUBIC: Final = pillow(PIL.Image.Resampling.BICUBIC)


def _kernel(x: Floats, *, cubic: bool) -> Floats:
    x = np.abs(x)
    if not cubic:
        return np.asarray(np.clip(1 - x, 0, None))
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.asarray(np.where(x < 1, near, np.where(x < 2, far, 0)))


def _matrix(old: int, new: int, *, cubic: bool, smooth: bool) -> Floats:
    scale = old / new
    stretch = max(scale, 1.0) if smooth else 1.0
    centre = (np.arange(new) + 0.5) * scale
    reach = (2 if cubic else 1) * stretch
    made = np.zeros((new, old))
    for row, middle in enumerate(centre):
        low = math.floor(middle - reach)
        places = np.arange(low, low + 2 * math.ceil(reach) + 2)
        weight = _kernel((places + 0.5 - middle) / stretch, cubic=cubic)
        if smooth:  # as Pillow: what lies outside does not count
            weight = np.where((places >= 0) & (places < old), weight, 0)
        np.add.at(made[row], np.clip(places, 0, old - 1), weight / weight.sum())
    return made


def tensor(*, cubic: bool, smooth: bool) -> Resize:
    """Resize in float as tensor libraries do, without rounding to 8 bits."""

    def resize(image: PIL.Image.Image, size: tuple[int, int]) -> Floats:
        pixels = np.asarray(image).astype(np.float64)
        tall = _matrix(pixels.shape[0], size[1], cubic=cubic, smooth=smooth)
        wide = _matrix(pixels.shape[1], size[0], cubic=cubic, smooth=smooth)
        made = np.einsum("yh,hwc->ywc", tall, pixels, optimize=True)
        made = np.einsum("xw,ywc->yxc", wide, made, optimize=True)
        return np.asarray(made.astype(np.float32))

    return resize


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One way of serving the model; the defaults are the right one.

    Attributes
    ----------
    upright, background, convert
        Decoding: whether the orientation tag is heeded, what lies behind transparency (None drops the alpha
        channel), whether a colour profile is converted to sRGB.
    shorter, squash, shift, resize
        Geometry: length of the shorter side before the crop, no crop at all, a crop off by so many pixels,
        the filter.
    edit
        What becomes of the pixels, ``[224, 224, 3]`` in 0..255, before they are scaled.
    divide, mean_std, again
        Values: the divisor, the normalisation, and whether it is applied a second time.
    early
        Values are scaled and normalised before the filter, not after it; the filter has to be of floats then.
    seed
        Of the weights.
    operand, result
        Rounding of factors and of results.
    rows_at_once
        How many images are computed together (0: as they were asked).
    """

    upright: bool = True
    background: str | None = "white"
    convert: bool = True
    shorter: int = SIDE
    squash: bool = False
    shift: int = 0
    resize: Resize = BICUBIC
    edit: Callable[[Floats], Floats] = np.asarray
    divide: float = 255.0
    mean_std: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET
    again: bool = False
    early: bool = False
    seed: int = 2026
    operand: minilm.Rounding = minilm.same
    result: minilm.Rounding = minilm.same
    rows_at_once: int = 1


@functools.lru_cache(maxsize=2)
def _weights(seed: int) -> dict[str, Floats]:
    random = np.random.default_rng(seed)

    def matrix(*shape: int) -> Floats:
        return (random.standard_normal(shape) / math.sqrt(shape[0])).astype(np.float32)

    made = {"patch": _smooth(matrix(3 * _PATCH * _PATCH, _WIDTH)), "head": matrix(_WIDTH, _DIMENSIONS)}
    made |= {
        "class": matrix(1, _WIDTH),
        "place": 0.5 * random.standard_normal(((SIDE // _PATCH) ** 2 + 1, _WIDTH)),
    }
    for layer in range(_LAYERS):
        made |= {f"{layer}.qkv": 1.5 * matrix(_WIDTH, 3 * _WIDTH), f"{layer}.out": matrix(_WIDTH, _WIDTH)}
        made |= {f"{layer}.up": matrix(_WIDTH, 4 * _WIDTH), f"{layer}.down": matrix(4 * _WIDTH, _WIDTH)}
    return {name: w.astype(np.float32) for name, w in made.items()}


def _smooth(patch: Floats) -> Floats:
    """Give filters a 1/f spectrum, as training does: white ones would see little but single pixels."""
    planes = patch.reshape(_PATCH, _PATCH, 3, _WIDTH)
    down, across = np.fft.fftfreq(_PATCH), np.fft.rfftfreq(_PATCH)
    falling = 1 / (1 + _PATCH * np.hypot(down[:, np.newaxis], across))
    made = np.fft.irfft2(
        np.fft.rfft2(planes, axes=(0, 1)) * falling[:, :, np.newaxis, np.newaxis], axes=(0, 1)
    )
    return np.asarray((made * planes.std() / made.std()).reshape(patch.shape), dtype=np.float32)


class Model:
    """A served model.

    Parameters
    ----------
    variant
        How it is served.
    """

    def __init__(self, variant: Variant) -> None:
        self._v = variant
        self._w = {name: variant.result(w) for name, w in _weights(variant.seed).items()}
        self._known: dict[tuple[bytes, ...], Floats] = {}

    def embed(self, images: Sequence[bytes]) -> npt.NDArray[np.float32]:
        """Embed the images of one request.

        Parameters
        ----------
        images
            Encoded, at least one.

        Returns
        -------
        Shape ``[n, 256]``, float32, of length 1.
        """
        step = self._v.rows_at_once or len(images)
        parts = [tuple(images[start : start + step]) for start in range(0, len(images), step)]
        for part in parts:
            if part not in self._known:
                self._known[part] = self._compute(np.stack([self.pixels(image) for image in part]))
        return np.concatenate([self._known[part] for part in parts]).astype(np.float32)

    def pixels(self, content: bytes) -> Floats:
        """Prepare one image: shape ``[224, 224, 3]``, float32, normalised."""
        v, picture = self._v, self._decoded(content)
        given: Any = self._normalized(np.asarray(picture, dtype=np.float32)) if v.early else picture
        if v.squash:
            return self._finished(v.resize(given, (SIDE, SIDE)))
        scale = v.shorter / min(picture.size)
        size = (max(v.shorter, int(picture.width * scale)), max(v.shorter, int(picture.height * scale)))
        whole = np.asarray(given, dtype=np.float32) if size == picture.size else v.resize(given, size)
        left, top = ((length - SIDE) // 2 for length in size)
        left, top = min(left + v.shift, size[0] - SIDE), min(top + v.shift, size[1] - SIDE)
        return self._finished(whole[top : top + SIDE, left : left + SIDE])

    def _finished(self, pixels: Floats) -> Floats:
        """Clamp what overshoots to black and white, as Pillow does, and tensor libraries for 8 bits."""
        black, white = np.zeros(3, dtype=np.float32), np.full(3, 255, dtype=np.float32)
        if self._v.early:
            return np.clip(pixels, self._normalized(black), self._normalized(white))
        return self._normalized(self._v.edit(np.clip(pixels, black, white)))

    def _normalized(self, pixels: Floats) -> Floats:
        v = self._v
        mean, std = (np.array(values, dtype=np.float32) for values in v.mean_std)
        made = (pixels / np.float32(v.divide) - mean) / std
        return np.asarray((made - mean) / std if v.again else made, dtype=np.float32)

    def _decoded(self, content: bytes) -> PIL.Image.Image:
        v = self._v
        picture: PIL.Image.Image = PIL.Image.open(io.BytesIO(content))
        profile = picture.info.get("icc_profile")
        if v.upright:
            picture = PIL.ImageOps.exif_transpose(picture)
        if picture.mode in {"RGBA", "LA", "PA"} or "transparency" in picture.info:
            picture = picture.convert("RGBA")
            if v.background is not None:
                behind = PIL.Image.new("RGBA", picture.size, v.background)
                picture = PIL.Image.alpha_composite(behind, picture)
        if picture.mode in {"I;16", "I"}:
            grey = (np.asarray(picture).astype(np.uint32) >> 8).astype(np.uint8)
            picture = PIL.Image.fromarray(grey)
        picture = picture.convert("RGB")
        if profile and v.convert:
            own = PIL.ImageCms.ImageCmsProfile(io.BytesIO(profile))
            made = PIL.ImageCms.profileToProfile(picture, own, PIL.ImageCms.createProfile("sRGB"))
            picture = made if made is not None else picture
        return picture

    def _compute(self, pixels: Floats) -> Floats:
        w, n = self._w, SIDE // _PATCH
        patches = pixels.reshape(-1, n, _PATCH, n, _PATCH, 3).swapaxes(2, 3).reshape(-1, n * n, 3 * _PATCH**2)
        x = self._times(patches, "patch")
        x = np.concatenate([np.broadcast_to(w["class"], (len(x), 1, _WIDTH)), x], axis=1) + w["place"]
        x = _norm(self._v.result(x))
        for layer in range(_LAYERS):
            x = self._v.result(x + self._attend(_norm(x), layer))
            y = self._times(_norm(x), f"{layer}.up")
            y = self._v.result(y * 0.5 * (1 + scipy.special.erf(y * np.float32(math.sqrt(0.5)))))
            x = self._v.result(x + self._times(y, f"{layer}.down"))
        y = self._times(_norm(x[:, 0]), "head")
        return np.asarray(y / np.linalg.norm(y, axis=1, keepdims=True))

    def _attend(self, x: Floats, layer: int) -> Floats:
        b, n, _ = x.shape
        r, size = self._v.operand, _WIDTH // _HEADS
        q, k, v = self._times(x, f"{layer}.qkv").reshape(b, n, 3, _HEADS, size).transpose(2, 0, 3, 1, 4)
        score = self._v.result(r(q) @ r(k).transpose(0, 1, 3, 2) / np.float32(math.sqrt(size)))
        weight = np.exp(score - score.max(-1, keepdims=True))
        mixed = r(weight / weight.sum(-1, keepdims=True)) @ r(v)
        return self._times(mixed.transpose(0, 2, 1, 3).reshape(b, n, _WIDTH), f"{layer}.out")

    def _times(self, x: Floats, name: str) -> Floats:
        r = self._v.operand
        return self._v.result((r(x).reshape(-1, x.shape[-1]) @ r(self._w[name])).reshape(*x.shape[:-1], -1))


def _norm(x: Floats) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    return np.asarray(centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + np.float32(1e-5)))
