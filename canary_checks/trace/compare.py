"""The stages of two processes side by side, in the order of execution: which is the first that differs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from canary_checks import vocabulary as v
from canary_checks.parity import distance, numeric
from canary_checks.trace import blame, pixels, tokens, values

TOKENS: Final = "tokens"
PIXELS: Final = "pixels"
_SHOWN: Final = 4

Side = Mapping[str, values.Value]
"""What one process makes of each item at one stage."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """How two processes differ at one stage.

    Attributes
    ----------
    name
        ``<modality>.<step>``.
    verdict
        Pass, Fail, Inconclusive (between two limits, or equal files where the served process was wanted), or
        NoData when only one side tells it.
    message
        One sentence.
    items
        How many were compared.
    differing
        Ids of the items that are not exactly the same.
    measured
        Numbers by metric, the worst of all items.
    cause
        What is to blame, where a counterfactual was tried.
    """

    name: str
    verdict: v.Verdict
    message: str
    items: int
    differing: tuple[str, ...] = ()
    measured: Mapping[str, float] = dataclasses.field(default_factory=dict)
    cause: blame.Blame | None = None


def differing(a: Side, b: Side) -> tuple[str, ...]:
    """Return the items whose values are not exactly the same, in order; of a tensor the digest decides."""
    return tuple(name for name in a if name in b and not values.same(a[name], b[name]))


def measure(name: str, a: Side, b: Side) -> dict[str, tuple[float, float]]:
    """Measure how far the tensors of some items are apart.

    Parameters
    ----------
    name
        Of the stage.
    a, b
        The values; items without data, and those whose shapes differ, are left out.

    Returns
    -------
    By item: of pixels the mean and the largest absolute error in normalised units, of another tensor
    ``1 - cos`` of the whole and the deviation of its length.
    """
    shared = [item for item in a if item in b and _shape(a[item]) == _shape(b[item])]
    ours, theirs = images_of(a, shared), images_of(b, shared)
    ours, theirs = ({item: side[item] for item in ours if item in theirs} for side in (ours, theirs))
    if name.partition(".")[2] == PIXELS:
        found = pixels.compare(ours, theirs)
        return {item: (found.error_mean[item], found.error_max[item]) for item in ours}
    flat = {item: (ours[item].reshape(1, -1), theirs[item].reshape(1, -1)) for item in ours}
    return {
        item: (float(distance.cosine(x, y)[0]), float(distance.norm_deviation(y, x)[0]))
        for item, (x, y) in flat.items()
    }


def judge(
    name: str,
    a: Side,
    b: Side,
    measured: Mapping[str, tuple[float, float]],
    *,
    numeric_class: v.NumericClass,
    artifact_only: bool = False,
) -> Stage:
    """Compare one stage.

    Parameters
    ----------
    name
        Of the stage; its step says how it is judged: tokens exactly, pixels by the mean absolute error, every
        other one by the direction and length of the whole tensor, at the numeric class.
    a, b
        The values of every item; digests are enough.
    measured
        What `measure` found for every item whose tensors differ and could be asked for.
    numeric_class
        Of the pair.
    artifact_only
        Whether a side tells what the model's files say instead of what the served process does: such a stage
        may fail, and never passes.

    Returns
    -------
    The stage, without a cause.
    """
    common = [item for item in a if item in b]
    if not common:
        return Stage(name, v.Verdict.NO_DATA, "only one side tells it", 0)
    moved = differing(a, b)
    if not moved:
        exact = "the same ids" if isinstance(a[common[0]], values.Ids) else "the same bytes"
        found = Stage(name, v.Verdict.PASS, f"{len(common)} items: {exact}", len(common))
    elif (message := _incomparable(a, b, moved, measured)) is not None:
        found = Stage(name, v.Verdict.FAIL, message, len(common), moved)
    elif isinstance(a[moved[0]], values.Ids):
        found = _of_tokens(name, ids_of(a), ids_of(b), moved)
    elif name.partition(".")[2] == PIXELS:
        found = _of_pixels(name, measured, len(common), moved)
    else:
        found = _of_tensors(name, measured, len(common), moved, numeric_class)
    if artifact_only and found.verdict is v.Verdict.PASS:
        message = f"{found.message}; that is what the model's files say, and not what the server does"
        return dataclasses.replace(found, verdict=v.Verdict.INCONCLUSIVE, message=message)
    return found


def _incomparable(
    a: Side, b: Side, moved: Sequence[str], measured: Mapping[str, tuple[float, float]]
) -> str | None:
    """Say why some items can be told apart and not measured; None when all can be measured."""
    refused = [x for x in moved if values.Failed in {type(a[x]), type(b[x])}]
    if refused:
        return f"{len(refused)} items are refused by one side only: {_list(refused)}"
    mixed = [x for x in moved if type(a[x]) is not type(b[x])]
    if mixed:
        return f"ids on one side and a tensor on the other for {len(mixed)} items: {_list(mixed)}"
    shapes = [x for x in moved if _shape(a[x]) != _shape(b[x])]
    if shapes:
        ours, theirs = _shape(a[shapes[0]]), _shape(b[shapes[0]])
        return f"shape {theirs} instead of {ours} of {len(shapes)} items: {_list(shapes)}"
    unknown = [x for x in moved if isinstance(a[x], values.Tensor) and x not in measured]
    if unknown:
        return f"other bytes in {len(unknown)} items whose tensors were not told: {_list(unknown)}"
    return None


def _of_tokens(name: str, a: tokens.Sequences, b: tokens.Sequences, moved: tuple[str, ...]) -> Stage:
    shared = [item for item in a if item in b]
    found = tokens.compare({item: a[item] for item in shared}, {item: b[item] for item in shared})
    message = (
        f"other ids in {len(found.differing)} of {found.items} texts ({_list(found.differing)}): edit"
        f" distance up to {found.edit_distance_worst:.2f}, {found.length_ratio:.2f} times as many ids"
    )
    return Stage(
        name=name,
        verdict=v.Verdict.FAIL,
        message="; ".join((message, *found.special)),
        items=found.items,
        differing=moved,
        measured={
            "TokenDifferingItems": float(len(found.differing)),
            "TokenEditDistanceWorst": found.edit_distance_worst,
            "TokenLengthRatio": found.length_ratio,
        },
    )


def _of_pixels(
    name: str, measured: Mapping[str, tuple[float, float]], count: int, moved: tuple[str, ...]
) -> Stage:
    error, largest = _worst(measured)
    verdict = pixels.verdict_of(error)
    said = {
        v.Verdict.PASS: f"at most {pixels.PASS_BELOW}: as another library resizes",
        v.Verdict.INCONCLUSIVE: (
            f"between {pixels.PASS_BELOW} and {pixels.FAIL_ABOVE}: more than another library does, less than"
            " another resize filter; look at the cause and at parity"
        ),
        v.Verdict.FAIL: f"above {pixels.FAIL_ABOVE}",
    }
    return Stage(
        name=name,
        verdict=verdict,
        message=(
            f"other pixels in {len(moved)} of {count} images ({_list(moved)}): mean absolute error"
            f" {error:.4f} in normalised units, {said[verdict]}"
        ),
        items=count,
        differing=moved,
        measured={"PixelMeanAbsoluteError": error, "PixelMaximumError": largest},
    )


def _of_tensors(
    name: str,
    measured: Mapping[str, tuple[float, float]],
    count: int,
    moved: tuple[str, ...],
    numeric_class: v.NumericClass,
) -> Stage:
    apart, length = _worst(measured)
    limits = numeric.TOLERANCES[numeric_class]
    met = apart <= limits.cosine_distance and length <= limits.norm_deviation
    return Stage(
        name=name,
        # NaN is never within a limit.
        verdict=v.Verdict.PASS if met else v.Verdict.FAIL,
        message=(
            f"other values in {len(moved)} of {count} items ({_list(moved)}): 1 − cos up to {apart:.2g},"
            f" limit {limits.cosine_distance:.2g} ({numeric_class}); length off by up to {length:.2g}"
        ),
        items=count,
        differing=moved,
        measured={"CosineDistanceWorst": apart, "NormDeviationWorst": length},
    )


def _worst(measured: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Return the largest of both numbers; NaN when one is."""
    first, second = zip(*measured.values(), strict=True)
    return float(np.max(first)), float(np.max(second))


def first_difference(stages: Sequence[Stage]) -> Stage | None:
    """Return the first stage, in the order of execution, that fails; else the first that is not certain."""
    for verdict in (v.Verdict.FAIL, v.Verdict.INCONCLUSIVE):
        for stage in stages:
            if stage.verdict is verdict and stage.differing:
                return stage
    return None


def in_order(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """Merge the stages of two processes, each in its order of execution; A's wins where they disagree."""
    merged = list(a)
    for place, name in enumerate(b):
        if name in merged:
            continue
        before = [merged.index(earlier) for earlier in b[:place] if earlier in merged]
        merged.insert(max(before) + 1 if before else 0, name)
    return merged


def of_tokens(step: str) -> bool:
    """Say whether a step makes token ids: ``tokens``, or ``tokens_2`` of a second text encoder."""
    return step == TOKENS or step.startswith(f"{TOKENS}_")


def ids_of(side: Side) -> dict[str, tuple[int, ...]]:
    """Return the token ids of the items that have any."""
    return {item: one.ids for item, one in side.items() if isinstance(one, values.Ids)}


def images_of(side: Side, items: Sequence[str]) -> dict[str, pixels.Array]:
    """Return the tensors of some items, those whose data are at hand."""
    found = {item: side[item] for item in items}
    return {
        item: one.data
        for item, one in found.items()
        if isinstance(one, values.Tensor) and one.data is not None
    }


def _shape(value: values.Value) -> tuple[int, ...]:
    return value.shape if isinstance(value, values.Tensor) else ()


def _list(items: Sequence[str]) -> str:
    return ", ".join(items[:_SHOWN]) + (", …" if len(items) > _SHOWN else "")
