"""The tensors that locked images become, against those that a reference recorded by digest.

Equal digests are proof. Other digests are no verdict by themselves: another library resizes a little
differently. But the mean of each channel is told with every digest, and the absolute difference of two means
is never larger than the mean absolute error of the tensors: what is too much there is too much.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.contracts import stated
from canary_checks.parity import gates, numeric
from canary_checks.trace import blame, pixels

DIFFERENCES: Final = "PixelDifferingItems"
ERROR: Final = "PixelMeanAbsoluteError"
_SHOWN: Final = 4
_CHANNELS: Final = 3
_ENOUGH: Final = 6
"""Images that a factor and an offset for each channel are fitted to, at least."""
_EXPLAINED: Final = 0.1
"""An explanation leaves at most this share of what was unexplained."""
_UNIFORM: Final = 0.02
_LARGEST_NORMALISED: Final = 16.0

Means = npt.NDArray[np.float64]
Pictures = Mapping[str, stated.Picture]
Judgement = tuple[schema.Gate | None, str, blame.Blame | None]


def judge(
    told: stated.Statements, before: stated.Statements | None, against: gates.Against
) -> Iterator[Judgement]:
    """Compare the tensors of locked images with the recorded ones.

    Parameters
    ----------
    told
        By the candidate.
    before
        What the reference told when it was recorded.
    against
        Whose it is.

    Returns
    -------
    Nothing when one side tells none. When all are equal, a gate that says so. Else a sentence, with a gate
    that fails where a shape is another, or where the channel means alone prove an error above
    `pixels.FAIL_ABOVE`; and no gate where they do not: then parity judges.
    """
    known = before.pictures if before is not None else {}
    shared = [name for name in known if name in told.pictures]
    if not shared:
        return
    moved = [name for name in shared if known[name].digest != told.pictures[name].digest]
    if not moved:
        yield gates.exactly(DIFFERENCES, 0, 0, samples=len(shared), against=against), "", None
        return
    sentence = (
        f"other pixels than {against} in {len(moved)} of {len(shared)} images"
        f" ({', '.join(moved[:_SHOWN])}{', …' if len(moved) > _SHOWN else ''})"
    )
    shapes = [name for name in moved if known[name].shape != told.pictures[name].shape]
    if shapes:
        ours, theirs = known[shapes[0]].shape, told.pictures[shapes[0]].shape
        gate = gates.exactly(DIFFERENCES, len(shapes), 0, samples=len(shared), against=against)
        yield gate, f"{sentence}: shape {theirs} instead of {ours}", _turned(ours, theirs)
        return
    yield _by_means(_means(known, told.pictures, moved), sentence, against)


def _turned(ours: Sequence[int], theirs: Sequence[int]) -> blame.Blame | None:
    """Say whether two shapes have the same axes in another order."""
    if sorted(ours) != sorted(theirs):
        return None
    words = f"the tensors have the shape {tuple(theirs)}, which is {tuple(ours)} in another order of axes"
    return blame.Blame("AxisLayout", v.Confidence.LIKELY, (words,))


def _by_means(means: tuple[Means, Means], sentence: str, against: gates.Against) -> Judgement:
    """Judge by what the means of the channels prove."""
    ours, theirs = means
    if not ours.size:
        return None, sentence, None
    error = float((np.abs(theirs - ours).mean(axis=1) / _sigma(ours)).max())
    sentence += f": mean absolute error at least {error:.4f}"
    if error <= pixels.FAIL_ABOVE:
        return None, f"{sentence}, which parity judges", None
    limit = numeric.Limit(pixels.FAIL_ABOVE, v.Basis.CLASS_FLOOR)
    gate = gates.at_most(ERROR, error, limit, samples=len(ours), against=against)
    return gate, f"{sentence}, above {pixels.FAIL_ABOVE}", _explain(ours, theirs)


def _means(known: Pictures, told: Pictures, moved: Sequence[str]) -> tuple[Means, Means]:
    """Return the channel means of both sides, shape ``[n, c]``, of the images that have them on both."""
    channels = max((len(known[name].mean) for name in moved), default=0)
    both = [name for name in moved if channels == len(known[name].mean) == len(told[name].mean)]
    ours, theirs = (
        np.array([side[name].mean for name in both]).reshape(len(both), channels) for side in (known, told)
    )
    return ours, theirs


def _sigma(means: Means) -> float:
    """Return the standard deviation of natural photos in the range that the channel means lie in."""
    if np.abs(means).max() > _LARGEST_NORMALISED:
        return pixels.SIGMA_OF_BYTES
    return pixels.SIGMA_OF_UNIT if means.min() >= 0.0 and means.max() <= 1.0 else 1.0


def _explain(ours: Means, theirs: Means) -> blame.Blame | None:
    """Say what one factor and offset for each channel explain, with the channels as they are or reversed.

    Parameters
    ----------
    ours, theirs
        Shape ``[n, c]``: channel means of the reference and of the candidate.
    """
    if ours.shape[1] != _CHANNELS or len(ours) < _ENOUGH:
        return None
    apart = float(np.abs(theirs - ours).mean())
    straight, factors = _fit(ours, theirs)
    turned, _ = _fit(ours[:, ::-1], theirs)
    if turned <= _EXPLAINED * min(apart, straight):
        words = f"the recorded channel means fit in reverse order: error {turned:.4f}, else {straight:.4f}"
        return blame.Blame("ChannelOrder", v.Confidence.LIKELY, (words,))
    if straight <= _EXPLAINED * apart:
        uniform = float(factors.max() - factors.min()) <= _UNIFORM * float(np.abs(factors).max())
        shown = ", ".join(f"{factor:.4g}" for factor in factors)
        words = f"a factor and an offset for each channel give the candidate's channel means: factors {shown}"
        return blame.Blame("ValueScale" if uniform else "MeanStd", v.Confidence.LIKELY, (words,))
    return None


def _fit(source: Means, target: Means) -> tuple[float, Means]:
    """Fit ``target = factor * source + offset`` for each channel; return the mean error and the factors."""
    errors, factors = [], []
    for x, y in zip(source.T, target.T, strict=True):
        design = np.stack([x, np.ones_like(x)], axis=1)
        solution, *_ = np.linalg.lstsq(design, y, rcond=None)
        errors.append(np.abs(design @ solution - y).mean())
        factors.append(solution[0])
    return float(np.mean(errors)), np.array(factors)
