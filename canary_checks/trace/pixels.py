"""The tensors that two processes feed their image encoders: how far apart, and what makes them equal.

The mean absolute error is measured in units of a normalised image (one standard deviation of natural photos).
Resizing the same way with another library stays below 0.005; the mildest fault, another resize filter, is at
0.02 (research, parity.md §2.7).
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import vocabulary as v
from canary_checks.trace import blame

Array = npt.NDArray[np.float32]
Exact = npt.NDArray[np.float64]
Images = Mapping[str, Array]
"""Tensors by item."""

PASS_BELOW: Final = 0.01
FAIL_ABOVE: Final = 0.02

_CHANNELS: Final = 3
_AXES: Final = 3
# Of natural photos, in the two ranges that a tensor has before it is normalised.
SIGMA_OF_UNIT: Final = 0.269
SIGMA_OF_BYTES: Final = 68.6
_LARGEST_NORMALISED: Final = 16.0
_SAME_FACTOR: Final = 0.01


@dataclasses.dataclass(frozen=True)
class Difference:
    """How two tensors of the same items differ.

    Attributes
    ----------
    items
        How many were compared.
    error_mean, error_max
        Mean and largest absolute difference of each item's pixels in normalised units; infinite where the
        shapes differ, NaN where a value is.
    """

    items: int
    error_mean: Mapping[str, float]
    error_max: Mapping[str, float]

    @property
    def worst(self) -> float:
        """Largest mean absolute error of one item; NaN when one is."""
        return float(np.max(list(self.error_mean.values()))) if self.error_mean else 0.0


def verdict_of(error: float) -> v.Verdict:
    """Judge a mean absolute error: Pass at 0.01 or less, Fail above 0.02 or NaN, in between Inconclusive."""
    if error <= PASS_BELOW:
        return v.Verdict.PASS
    return v.Verdict.INCONCLUSIVE if error <= FAIL_ABOVE else v.Verdict.FAIL


def compare(a: Images, b: Images, unit: float | None = None) -> Difference:
    """Measure how the tensors of `b` differ from those of `a`.

    Parameters
    ----------
    a, b
        The same items; any shapes.
    unit
        Standard deviation of natural photos in `a`; None takes it from the range of `a`.
    """
    scale = sigma(a) if unit is None else unit
    errors = {name: _errors(a[name], b[name], scale) for name in a}
    return Difference(
        items=len(a),
        error_mean={name: mean for name, (mean, _) in errors.items()},
        error_max={name: largest for name, (_, largest) in errors.items()},
    )


def sigma(images: Images) -> float:
    """Return the standard deviation that natural photos have in the range of some tensors.

    Parameters
    ----------
    images
        Tensors in 0 to 255, in 0 to 1, or normalised.
    """
    finite = [image[np.isfinite(image)] for image in images.values()]
    low = min((float(part.min()) for part in finite if part.size), default=0.0)
    high = max((float(part.max()) for part in finite if part.size), default=0.0)
    if max(high, -low) > _LARGEST_NORMALISED:
        return SIGMA_OF_BYTES
    return SIGMA_OF_UNIT if low >= 0.0 and high <= 1.0 else 1.0


def _errors(a: Array, b: Array, scale: float) -> tuple[float, float]:
    if a.shape != b.shape:
        return float("inf"), float("inf")
    if not a.size:
        return 0.0, 0.0
    with np.errstate(invalid="ignore"):
        apart = np.abs(b.astype(np.float64) - a.astype(np.float64)) / scale
    return float(apart.mean()), float(apart.max())


# Counterfactuals: what must be done to the tensors of A to get those of B.


def _by_channel(change: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Apply a change of ``[C, H, W]`` to an image whose channels may come last."""

    def changed(image: Array) -> Array:
        if _channels_first(image):
            return change(image)
        return np.moveaxis(change(np.moveaxis(image, -1, 0)), 0, -1)

    return changed


def _channels_first(image: Array) -> bool:
    return bool(image.shape[0] <= _CHANNELS + 1 or image.shape[-1] > _CHANNELS + 1)


def _read_as_other_layout(image: Array) -> Array:
    """Return what a reader makes of the bytes of an image whose channels it expects at the other end."""
    moved = np.moveaxis(image, 0, -1) if _channels_first(image) else np.moveaxis(image, -1, 0)
    return np.ascontiguousarray(moved).reshape(image.shape)


def _other_layout(image: Array) -> Array:
    return np.moveaxis(image, 0, -1) if _channels_first(image) else np.moveaxis(image, -1, 0)


_EXACT: Final[dict[str, tuple[str, Callable[[Array], Array]]]] = {
    "in reverse order of channels (RGB for BGR)": ("ChannelOrder", _by_channel(lambda x: x[::-1])),
    "mirrored left to right": ("Flip", _by_channel(lambda x: x[:, :, ::-1])),
    "mirrored top to bottom": ("Flip", _by_channel(lambda x: x[:, ::-1])),
    "turned by 90°": ("Exif", _by_channel(lambda x: np.rot90(x, 1, (1, 2)))),
    "turned by 180°": ("Exif", _by_channel(lambda x: np.rot90(x, 2, (1, 2)))),
    "turned by 270°": ("Exif", _by_channel(lambda x: np.rot90(x, 3, (1, 2)))),
    "with height and width exchanged": ("AxisLayout", _by_channel(lambda x: x.transpose(0, 2, 1))),
    "with the channels at the other end": ("AxisLayout", _other_layout),
    "with the memory of HWC read as CHW": ("AxisLayout", _read_as_other_layout),
}


def explain(
    a: Images, b: Images, mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None
) -> blame.Blame | None:
    """Find one change of the tensors of A that makes those of B of them, for every item.

    Parameters
    ----------
    a, b
        The same items, at least one of them differing.
    mean, std
        What A says that it normalises by, to recognise a side that does not.

    Returns
    -------
    ``Proven`` when exactly one change brings the worst item's error to 0.01 or less, ``Likely`` when the
    items cannot tell two apart, None when no change does.
    """
    a, b = ({name: _squeezed(image) for name, image in side.items()} for side in (a, b))
    if any(image.ndim != _AXES for image in (*a.values(), *b.values())):
        return None
    if not all(np.isfinite(image).all() for image in (*a.values(), *b.values())):
        return None
    found = _exact(a, b)
    if not found and all(a[name].shape == b[name].shape for name in a):
        found = [*_affine(a, b, mean, std), *_grey(a, b)]
    return blame.choose(found)


def _squeezed(image: Array) -> Array:
    return image[0] if image.ndim == _AXES + 1 and image.shape[0] == 1 else image


def _exact(a: Images, b: Images) -> list[blame.Blame]:
    unit = sigma(a)
    fitting = []
    for words, (cause, change) in _EXACT.items():
        error = compare({name: change(image) for name, image in a.items()}, b, unit).worst
        if error <= PASS_BELOW:
            evidence = f"A's pixels {words} are B's: error {error:.4f}, limit {PASS_BELOW}"
            fitting.append(blame.Blame(cause, v.Confidence.PROVEN, (evidence,)))
    return fitting


@dataclasses.dataclass(frozen=True)
class Fit:
    """The best ``a = factor b + offset`` for each channel, over every pixel of every item.

    Attributes
    ----------
    factor, offset
        Shape ``[channels]``.
    error
        Worst item's mean absolute error that is left, in units of a normalised image.
    """

    factor: Exact
    offset: Exact
    error: float


def fit(a: Images, b: Images, *, reverse: bool = False) -> Fit:
    """Fit each channel of A to one of B.

    Parameters
    ----------
    a, b
        The same items, ``[C, H, W]`` or ``[H, W, C]``, of the same shapes.
    reverse
        Whether to B's channels in reverse order.
    """
    ours = {name: _flat(image) for name, image in a.items()}
    theirs = {name: _flat(image)[::-1] if reverse else _flat(image) for name, image in b.items()}
    x, y = (np.concatenate([side[name] for name in a], axis=1) for side in (theirs, ours))
    mean_x, mean_y = x.mean(axis=1), y.mean(axis=1)
    spread = ((x - mean_x[:, np.newaxis]) ** 2).mean(axis=1)
    together = ((x - mean_x[:, np.newaxis]) * (y - mean_y[:, np.newaxis])).mean(axis=1)
    factor = np.divide(together, spread, out=np.zeros_like(spread), where=spread > 0)
    offset = mean_y - factor * mean_x
    unit = sigma(a)
    left = [
        float(np.abs(factor[:, np.newaxis] * theirs[name] + offset[:, np.newaxis] - ours[name]).mean()) / unit
        for name in a
    ]
    return Fit(factor, offset, max(left))


def _flat(image: Array) -> Exact:
    first = image if _channels_first(image) else np.moveaxis(image, -1, 0)
    return np.asarray(first.reshape(first.shape[0], -1), dtype=np.float64)


def _affine(
    a: Images, b: Images, mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> list[blame.Blame]:
    fitting = []
    straight, reverse = fit(a, b), fit(a, b, reverse=True)
    if straight.error <= PASS_BELOW:
        fitting.append(_named(straight, mean, std, sigma(a)))
    if reverse.error <= PASS_BELOW:
        words = f"B's channels in reverse order, {_numbers(reverse)}, are A's: error {reverse.error:.4f}"
        fitting.append(
            blame.Blame(
                "ChannelOrder",
                v.Confidence.PROVEN,
                (words + f", limit {PASS_BELOW}", "mean and std are then applied to the wrong channels"),
            )
        )
    return fitting


def _named(
    found: Fit, mean: tuple[float, ...] | None, std: tuple[float, ...] | None, unit: float
) -> blame.Blame:
    words = f"B's pixels {_numbers(found)} are A's: error {found.error:.4f}, limit {PASS_BELOW}"
    factor, offset = float(found.factor.mean()), found.offset
    known = mean is not None and std is not None and len(mean) == len(found.factor) == len(std)
    centre = np.array(mean) / np.array(std) if known else None
    if np.ptp(found.factor) <= _SAME_FACTOR * np.abs(found.factor).max():
        if np.abs(offset).max() <= PASS_BELOW * unit:
            return blame.Blame("ValueScale", v.Confidence.PROVEN, (words,))
        # Values on another scale, of which mean / std is then subtracted all the same, leave this offset.
        if centre is not None and np.allclose(offset, (factor - 1) * centre, rtol=0.02, atol=0.02):
            before = f"before mean and std, B's values are {1 / factor:.4g} times A's"
            return blame.Blame("ValueScale", v.Confidence.PROVEN, (words, before))
    if centre is not None:
        for largest, values in ((1.0, "0 to 1"), (255.0, "0 to 255")):
            plain = 1.0 / (largest * np.array(std))
            if np.allclose(found.factor, plain, rtol=0.02) and np.allclose(offset, -centre, atol=0.02):
                said = f"these are A's own mean and std: B does not normalise its values of {values}"
                return blame.Blame("MeanStd", v.Confidence.PROVEN, (words, said))
    elif (np.sign(offset) == np.sign(factor - 1)).all():
        unsure = "A does not say its mean and std: a scale that is wrong before them would look alike"
        return blame.Blame("MeanStd", v.Confidence.LIKELY, (words, unsure))
    return blame.Blame("MeanStd", v.Confidence.PROVEN, (words,))


def _numbers(found: Fit) -> str:
    factors = ", ".join(f"{x:.4g}" for x in found.factor)
    offsets = ", ".join(f"{x:.4g}" for x in found.offset)
    return f"times [{factors}] plus [{offsets}]"


def _grey(a: Images, b: Images) -> list[blame.Blame]:
    """Recognise a side whose three channels are one mixture of the other's."""
    fitting = []
    for name, colour, grey in (("B", a, b), ("A", b, a)):
        y = np.concatenate([_flat(image) for image in grey.values()], axis=1)
        x = np.concatenate([_flat(image) for image in colour.values()], axis=1)
        if len(x) != _CHANNELS:
            continue
        design = np.concatenate([x, np.ones((1, x.shape[1]))])
        mixture, *_ = np.linalg.lstsq(design.T, y.T, rcond=None)
        error = float(np.abs(design.T @ mixture - y.T).mean()) / sigma(grey)
        # One row of weights for all three channels, up to a factor: what a luminance is.
        weights = mixture[:_CHANNELS]
        _, strength, _ = np.linalg.svd(weights)
        if error <= PASS_BELOW and strength[1] <= _SAME_FACTOR * strength[0]:
            words = f"every channel of {name} is one mixture of the other's: error {error:.4f}"
            fitting.append(blame.Blame("Greyscale", v.Confidence.PROVEN, (words,)))
    return fitting
