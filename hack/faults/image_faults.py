"""The 25 faults and 6 benign changes of the image model, each as one variant of serving it."""

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import PIL.Image

from hack.faults import image_model, minilm

Floats = npt.NDArray[Any]
V = image_model.Variant
_FILTERS: Final = PIL.Image.Resampling


def _swapped(pixels: Floats) -> Floats:
    return pixels[:, :, ::-1]


def _grey(pixels: Floats) -> Floats:
    return np.repeat(np.round(pixels @ np.array([[0.299], [0.587], [0.114]], dtype=np.float32)), 3, axis=2)


def _linear(pixels: Floats) -> Floats:
    return np.asarray(255 * (pixels / 255) ** 2.2)


def _mirrored(pixels: Floats) -> Floats:
    return pixels[:, ::-1]


def _misread(pixels: Floats) -> Floats:
    """Read rows of pixels as if they were planes of colours."""
    return np.ascontiguousarray(pixels).reshape(3, *pixels.shape[:2]).transpose(1, 2, 0)


def _transposed(pixels: Floats) -> Floats:
    return pixels.transpose(1, 0, 2)


_VARIANTS: Final[dict[str, image_model.Variant]] = {
    "RGB/BGR swap": V(edit=_swapped),
    "bilinear instead of bicubic (PIL, antialias)": V(resize=image_model.pillow(_FILTERS.BILINEAR)),
    "Lanczos instead of bicubic": V(resize=image_model.pillow(_FILTERS.LANCZOS)),
    "nearest resize": V(resize=image_model.pillow(_FILTERS.NEAREST)),
    "bicubic without antialias (tensor, old torchvision default)": V(
        resize=image_model.tensor(cubic=True, smooth=False)
    ),
    "bilinear without antialias (OpenCV-like)": V(resize=image_model.tensor(cubic=False, smooth=False)),
    "seed staging: ToTensor+Norm -> Resize bilinear (no aa)": V(
        resize=image_model.tensor(cubic=False, smooth=False), early=True
    ),
    "crop off by one pixel": V(shift=1),
    "centre-crop missing (squash resize)": V(squash=True),
    # 110 to 96 is 256 to 224: here the reference does without the margin, and the candidate has it.
    "resize 96 instead of 110 before crop": V(shorter=256),
    "mean/std 0.5/0.5 (CLIP/Inception style)": V(mean_std=image_model.HALF),
    "OpenAI-CLIP mean/std": V(mean_std=image_model.CLIP),
    "mean/std applied in BGR order to RGB": V(
        mean_std=(image_model.IMAGENET[0][::-1], image_model.IMAGENET[1][::-1])
    ),
    "no mean/std normalisation (0..1)": V(mean_std=image_model.NONE),
    "normalised twice": V(again=True),
    "0..255 input not scaled": V(divide=1.0),
    "scaled twice (/255/255)": V(divide=255.0**2),
    "grey-scale converted": V(edit=_grey),
    "EXIF rotation ignored (90deg)": V(upright=False),
    "alpha dropped": V(background=None),
    "colour profile ignored": V(convert=False),
    "gamma 2.2 / linear-light": V(edit=_linear),
    "horizontal flip": V(edit=_mirrored),
    "HWC read as CHW (reshape, no transpose)": V(edit=_misread),
    "H/W transposed": V(edit=_transposed),
}
_BENIGN: Final[dict[str, image_model.Variant]] = {
    "bit-identical re-run": V(),
    "batch size 1": V(rows_at_once=0),
    "fp16 whole model": V(operand=minilm.fp16, result=minilm.fp16),
    "bf16 whole model": V(operand=minilm.bf16, result=minilm.bf16),
    "tensor bicubic+antialias (float, no uint8 rounding) vs PIL": V(
        resize=image_model.tensor(cubic=True, smooth=True)
    ),
    "normalise->resize order, bicubic antialias tensor": V(
        resize=image_model.tensor(cubic=True, smooth=True), early=True
    ),
}

Make = Callable[[], image_model.Model]


def _made(variants: dict[str, image_model.Variant]) -> dict[str, Make]:
    return {name: functools.partial(image_model.Model, variant) for name, variant in variants.items()}


def right() -> image_model.Model:
    """Make the model as the reference is recorded from it."""
    return image_model.Model(V())


FAULTS: Final = _made(_VARIANTS)
BENIGN: Final = _made(_BENIGN)
