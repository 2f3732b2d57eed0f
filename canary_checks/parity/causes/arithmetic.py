"""The network itself: its weights, and the precision that it and its answers are kept in."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks.parity import distance, movement
from canary_checks.parity.causes import cause, extent, identity

Floats = npt.NDArray[np.float64]
Rounding = Callable[[movement.Vectors], movement.Vectors]

_PRECISION_MEDIAN: Final = 0.2
_ROUNDED_AWAY: Final = 0.25
_ROUNDS: Final = 60
_FEWEST_ROWS: Final = 16
_CENTRED_VALUES: Final = 1e-5
_OFF_CENTRE: Final = 20.0
# Measured on MiniLM: 48 pairs of poolings of eight models keep at least 0.77 of who resembles whom, or move
# by one
# vector for more than 0.58; 23 garblings of the texts share less than 0.23 of their movement.
RELATIONS: Final = 0.70
_LEAST_SHARE: Final = 0.25
MOST_SHARE: Final = 0.55
_MORE_ALIKE: Final = 0.2
_NO_DECAY: Final = 0.2
_WEIGHTS_NEXT: Final = "compare the SHA-256 of every weight file of both revisions, and the log of the load"
_PRECISION_NEXT: Final = "compare dtype and quantisation of both revisions"


def precision(moved: movement.Movement) -> cause.Named | None:
    """Recognise answers that were rounded: every value is one of few, and the reference rounds to them."""
    rows = moved.whole & moved.moved
    if extent.everywhere(moved) is not None or not rows.any():
        return None
    ours, theirs = moved.ours[rows], moved.theirs[rows]
    before = float(np.median(moved.own[rows]))
    for name, rounded in (
        ("binary values (signs)", _signs),
        ("8-bit integers times a scale", _eight_bits),
        ("float16", _half),
        ("bfloat16", _brain),
    ):
        if not _is(ours, rounded) or _is(theirs, rounded):
            continue
        after = float(np.median(distance.cosine(ours, rounded(theirs))))
        if after > _ROUNDED_AWAY * before:
            continue
        return cause.likely(
            f"every value of the candidate is one of {name}",
            f"rounded likewise the reference's vectors come nearer (median 1 − cos {before:.2g} to"
            f" {after:.2g})",
            next_step="compare in what type both servers store and send vectors (encoding_format,"
            " output_dtype)",
            sole=True,
        )
    return None


def _is(vectors: movement.Vectors, rounded: Rounding) -> bool:
    made = rounded(vectors)
    scale = np.abs(vectors).max(axis=1, keepdims=True)
    return bool((np.abs(made - vectors) <= 1e-6 * scale).all())


def _signs(vectors: movement.Vectors) -> movement.Vectors:
    size = np.abs(vectors).mean(axis=1, keepdims=True)
    return np.asarray(np.where(vectors < 0, -size, size), dtype=np.float32)


def _eight_bits(vectors: movement.Vectors) -> movement.Vectors:
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 127
    return np.asarray(np.round(vectors / scale) * scale, dtype=np.float32)


def _half(vectors: movement.Vectors) -> movement.Vectors:
    return vectors.astype(np.float16).astype(np.float32)


def _brain(vectors: movement.Vectors) -> movement.Vectors:
    raw = np.ascontiguousarray(vectors, dtype=np.float32).view(np.uint32)
    kept = (raw + np.uint32(0x7FFF) + ((raw >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.asarray(kept.view(np.float32))


def _precision_contradicted(moved: movement.Movement) -> str | None:
    everywhere = extent.everywhere(moved)
    if everywhere is not None or moved.shape is None:
        return everywhere
    if moved.shape.median > _PRECISION_MEDIAN:
        return f"half of the rows moved by more than {moved.shape.median:.2f}: no usable precision does that"
    return None


def weights(moved: movement.Movement) -> cause.Named | None:
    """Recognise other weights, by what no change of the texts, the pooling or the vectors does."""
    if _not_weights(moved) is not None or not moved.steady or int(moved.whole.sum()) < _FEWEST_ROWS:
        return None
    ours, theirs = moved.ours[moved.whole].astype(np.float64), moved.theirs[moved.whole].astype(np.float64)
    return _last_norm(moved, ours, theirs) or _new_norm(moved, ours, theirs) or _relations(moved)


def _not_weights(moved: movement.Movement) -> str | None:
    other = identity.folded(moved)
    return extent.everywhere(moved) or (other.sentence() if other is not None else None)


def _last_norm(moved: movement.Movement, ours: Floats, theirs: Floats) -> cause.Named | None:
    """Recognise the factors and offsets of a last layer norm, before vectors are scaled to length 1.

    ``theirs_i = a_i (f ⊙ ours_i) + b_i g``: f and g are found on every second row, in turns with the two
    numbers of each row; the other half has to pass with them. The candidate's values must be centred on 0 in
    each vector, as a layer norm without factors leaves them: else a whitening step fits as well.
    """
    if not _is_new(moved, ours, theirs):
        return None
    x, y = ours[::2], theirs[::2]
    factor, offset = np.ones(x.shape[1]), (y - x).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        for _ in range(_ROUNDS):
            a, b = _two_each(x * factor, offset, y)
            scaled = x * a[:, np.newaxis]
            factor, offset = _two_each(scaled.T, b, y.T)
        a, b = _two_each(ours * factor, offset, theirs)
        made = ours * factor * a[:, np.newaxis] + b[:, np.newaxis] * offset
    if not moved.cured_by(made, moved.whole):
        return None
    return cause.proven(
        "with a factor and an offset for each dimension, before vectors are scaled to length 1, every"
        " row passes both"
        " gates",
        "both were found on every second row; the other half passes with them",
        "the values of each vector have the mean 0, as a layer norm without factors and offsets leaves them",
        next_step="look for weights that were not loaded: names that do not match, strict=False",
    )


def _two_each(x: Floats, common: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Fit each row of y by a multiple of its row of x and a multiple of one common vector."""
    xx, xc, cc = np.square(x).sum(axis=1), x @ common, common @ common
    xy, cy = (x * y).sum(axis=1), y @ common
    det = xx * cc - xc**2
    return (xy * cc - xc * cy) / det, (xx * cy - xc * xy) / det


def _is_new(moved: movement.Movement, ours: Floats, theirs: Floats) -> bool:
    """Say whether each of our vectors has the mean 0 to rounding, and the reference's do not."""
    means = [
        np.abs(side.mean(axis=1)) / distance.norms(side) * np.sqrt(side.shape[1]) for side in (ours, theirs)
    ]
    # What the class allows each value to be off by averages out over the dimensions.
    rounding = max(_CENTRED_VALUES, 3 * np.sqrt(2 * moved.limit / ours.shape[1]))
    return bool(means[0].max() <= rounding and np.median(means[1]) > _OFF_CENTRE * means[0].max())


def _new_norm(moved: movement.Movement, ours: Floats, theirs: Floats) -> cause.Named | None:
    """Recognise a last layer norm as it is before training: factors 1, offsets 0."""
    if not _is_new(moved, ours, theirs):
        return None
    centred = theirs - theirs.mean(axis=1, keepdims=True)
    if np.median(distance.cosine(ours, centred)) < _PRECISION_MEDIAN * np.median(moved.own[moved.whole]):
        return None
    return cause.likely(
        "the values of each of the candidate's vectors have the mean 0 to rounding, the reference's do not",
        "a layer norm leaves them so before it is trained: its factors and offsets were not loaded",
        next_step="look for weights that were not loaded: names that do not match, strict=False",
        sole=True,
    )


def _relations(moved: movement.Movement) -> cause.Named | None:
    """Recognise that who resembles whom has changed, as neither the texts nor the pooling explains."""
    shape, slope = moved.shape, extent.decay(moved)
    if shape is None or slope is None or abs(slope) > _NO_DECAY:
        return None
    if (
        shape.relations > RELATIONS
        or not _LEAST_SHARE <= shape.offset_share <= MOST_SHARE
        or shape.more_alike < _MORE_ALIKE
    ):
        return None
    return cause.likely(
        f"every row moved, long texts as far as short ones (slope {slope:.2f})",
        f"who resembles whom has changed (correlation {shape.relations:.2f}): another pooling of the same"
        " states keeps"
        " it, or moves all rows by one vector",
        f"the candidate tells texts apart less well (mean cosine {shape.more_alike:+.2f}): misread texts"
        " stay apart",
        next_step=_WEIGHTS_NEXT,
    )


TABLE: Final = (
    cause.Cause(
        name="Precision",
        contradiction=_precision_contradicted,
        signature=precision,
        next=_PRECISION_NEXT,
    ),
    cause.Cause(
        name="Weights",
        contradiction=_not_weights,
        signature=weights,
        compatible=frozenset({"Pooling", "Vocabulary", "TokenTypes", "PromptPrefix", "SpecialTokens"}),
        next=_WEIGHTS_NEXT,
    ),
)
