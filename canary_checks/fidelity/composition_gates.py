"""Whether images still look as they should: drawn, legible, of the same colours, heeding mask and prompt.

What is compared with stable is paired, prompt by prompt. A mean is judged with its interval, so that another
seed's pictures are no failure; similarity of pictures is never judged.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.fidelity import limits as demanded
from canary_checks.fidelity import outcomes
from canary_checks.fidelity.outcomes import Column
from canary_checks.golden import pack as golden_pack
from canary_checks.parity import gates, numeric, rates

_BLANK: Final = 2.0
"""Standard deviation in levels below which an image shows nothing."""
_NOISE: Final = 0.4
"""Correlation of neighbouring pixels below which an image is noise; photographs have more than 0.9."""
_LOW: Final = 5.0
"""The percentile that stands for the worst image: a reader errs in one of a hundred."""
_THREE: Final = 2.393980
"""Of the normal distribution: 95 % for three channels together (Bonferroni); the worst one speaks."""
_TAIL: Final = 2.0 / 1.5
"""How much more than the median ratio the 95th percentile may be."""
_LEVEL: Final = 1.0 / 255.0

Scalars = npt.NDArray[np.float64]


def judge(
    found: outcomes.Outcomes,
    stable: outcomes.Outcomes | None,
    items: tuple[golden_pack.Item, ...],
    limits: demanded.Limits,
) -> list[schema.Gate]:
    """Judge everything but the texts.

    Parameters
    ----------
    found
        The candidate's.
    stable
        The same prompts' of stable, or None.
    items
        The prompts of the rows.
    limits
        Of the check.

    Returns
    -------
    A gate for everything that the prompts allow to be said.
    """
    return [
        *_counts(found, items, limits),
        *_legibility(found, limits),
        *_objects(found, stable, items, limits),
        *_mask(found, limits),
        *(_colours(found, stable, items, limits) if stable is not None else ()),
        *(_margins(found, stable, limits) if stable is not None else ()),
        *(_edits(found, stable, limits) if stable is not None else ()),
    ]


def _counts(
    found: outcomes.Outcomes, items: tuple[golden_pack.Item, ...], limits: demanded.Limits
) -> list[schema.Gate]:
    drawn = found.drawn
    asked = np.array(
        [
            (one.generation.width or 0, one.generation.height or 0) if one.generation is not None else (0, 0)
            for one in items
        ],
        dtype=np.float64,
    )
    size = found.columns((Column.WIDTH, Column.HEIGHT))
    blank, noise = _blank(found), _noise(found)
    counted = {
        demanded.BROKEN: (found.count(outcomes.State.BROKEN), len(items)),
        demanded.REFUSED: (found.count(outcomes.State.REFUSED), len(items)),
        demanded.BLANK: (int(blank.sum()), int(drawn.sum())),
        demanded.NOISE: (int(noise.sum()), int(drawn.sum())),
        demanded.DUPLICATE: (int((found.column(Column.DUPLICATE) == 1)[drawn].sum()), int(drawn.sum())),
    }
    sized = drawn & (asked > 0).all(axis=1)
    if sized.any():
        counted[demanded.WRONG_SIZE] = (int((size != asked)[sized].any(axis=1).sum()), int(sized.sum()))
    return [
        gates.at_most(metric, float(count), limits.of(metric, "max"), samples=samples)
        for metric, (count, samples) in counted.items()
    ]


def _blank(found: outcomes.Outcomes) -> npt.NDArray[np.bool_]:
    """Return which images show nothing at all."""
    return np.asarray(found.drawn & (found.column(Column.SPREAD) < _BLANK))


def _noise(found: outcomes.Outcomes) -> npt.NDArray[np.bool_]:
    """Return which images are noise."""
    return np.asarray(found.drawn & ~_blank(found) & (found.column(Column.SMOOTHNESS) < _NOISE))


def _pictures(found: outcomes.Outcomes) -> npt.NDArray[np.bool_]:
    """Return which images are worth comparing: the others have been counted."""
    return found.drawn & ~_blank(found) & ~_noise(found)


def _legibility(found: outcomes.Outcomes, limits: demanded.Limits) -> list[schema.Gate]:
    judged = []
    for metric, column, percentile in (
        (demanded.CONFIDENCE, Column.CONFIDENCE, 50.0),
        (demanded.GLYPH_HEIGHT, Column.GLYPH_HEIGHT, _LOW),
        (demanded.CONTRAST, Column.CONTRAST, 50.0),
        (demanded.MARGIN, Column.MARGIN, _LOW),
    ):
        values = _known(found.column(column))
        if values.size:
            observed = float(np.percentile(values, percentile))
            judged.append(_at_least(metric, observed, limits.of(metric, "min"), samples=values.size))
    return judged


def _objects(
    found: outcomes.Outcomes,
    stable: outcomes.Outcomes | None,
    items: tuple[golden_pack.Item, ...],
    limits: demanded.Limits,
) -> list[schema.Gate]:
    wanted = np.array(
        [math.nan if one.drawn is None or one.drawn.objects is None else one.drawn.objects for one in items]
    )
    counted = found.column(Column.OBJECTS)
    rows = np.isfinite(counted)
    right = (counted == wanted).astype(np.float64)
    judged = []
    least = limits.maybe(demanded.OBJECTS, "min")
    if least is not None and rows.any():
        interval = rates.wilson(right[rows])
        verdict = _verdict(interval.estimate >= least.value, interval.high < least.value)
        judged.append(_rate(interval, verdict, least, samples=int(rows.sum())))
    if stable is None:
        return judged
    before = stable.column(Column.OBJECTS)
    both = rows & np.isfinite(before)
    if both.any():
        most = limits.of(demanded.OBJECTS, "maxDrop")
        known = (before == wanted).astype(np.float64)[both]
        lost = rates.drop(known, right[both])
        limit = numeric.Limit(float(known.mean()) - most.value, most.basis)
        verdict = _verdict(lost.estimate <= most.value + 1e-9, lost.low > most.value)
        interval = rates.wilson(right[both])
        judged.append(_rate(interval, verdict, limit, samples=int(both.sum()), against="Stable"))
    return judged


def _rate(
    interval: rates.Interval,
    verdict: v.Verdict,
    limit: numeric.Limit,
    *,
    samples: int,
    against: gates.Against = "Absolute",
) -> schema.Gate:
    return schema.Gate(
        metric=demanded.OBJECTS,
        against=against,
        verdict=verdict,
        observed=interval.estimate,
        operator=">=",
        limit=limit.value,
        basis=limit.basis,
        samples=samples,
        low=interval.low,
        high=interval.high,
    )


def _mask(found: outcomes.Outcomes, limits: demanded.Limits) -> list[schema.Gate]:
    leaks = _known(found.column(Column.MASK_LEAK))
    limit = limits.of(demanded.MASK_LEAK, "max")
    return (
        [gates.at_most(demanded.MASK_LEAK, gates.worst(leaks), limit, samples=leaks.size)]
        if leaks.size
        else []
    )


def _colours(
    found: outcomes.Outcomes,
    stable: outcomes.Outcomes,
    items: tuple[golden_pack.Item, ...],
    limits: demanded.Limits,
) -> list[schema.Gate]:
    both = _pictures(found) & _pictures(stable)
    # A small edit of a prompt is drawn like the prompt itself: counted twice, it would feign certainty.
    alone = both & np.array([item.twin is None for item in items])
    if not alone.any():
        return []
    columns = (Column.RED, Column.GREEN, Column.BLUE)
    shift = (found.columns(columns) - stable.columns(columns))[alone]
    cast = [
        _mean(demanded.COLOUR_CAST, shift[:, c], limits.of(demanded.COLOUR_CAST, "max"), z=_THREE)
        for c in range(3)
    ]
    saturation = (found.column(Column.SATURATION) - stable.column(Column.SATURATION))[alone]
    ratio = float(
        found.column(Column.LEVELS)[both].sum() / max(1.0, float(stable.column(Column.LEVELS)[both].sum()))
    )
    least = limits.of(demanded.LEVELS, "minRatio")
    return [
        # The channel that is worst by verdict, then by size, speaks for the three.
        min(cast, key=lambda gate: (gates.PRECEDENCE.index(gate.verdict), -float(gate.observed))),
        _mean(demanded.SATURATION, saturation, limits.of(demanded.SATURATION, "max")),
        _at_least(demanded.LEVELS, ratio, least, samples=int(both.sum()), against="Stable"),
    ]


def _margins(
    found: outcomes.Outcomes, stable: outcomes.Outcomes, limits: demanded.Limits
) -> list[schema.Gate]:
    moved = _known(np.abs(found.column(Column.MARGIN) - stable.column(Column.MARGIN)))
    if not moved.size:
        return []
    limit = limits.of(demanded.MARGIN_SHIFT, "max")
    return [
        gates.at_most(
            demanded.MARGIN_SHIFT, float(np.median(moved)), limit, samples=moved.size, against="Stable"
        )
    ]


def _edits(found: outcomes.Outcomes, stable: outcomes.Outcomes, limits: demanded.Limits) -> list[schema.Gate]:
    """Judge how much more a small edit of the prompt moves the image than it did before."""
    now, before = found.column(Column.EDIT_DISTANCE), stable.column(Column.EDIT_DISTANCE)
    # Two images that hardly differ on either side have no ratio worth a name: one level is added to both.
    ratios = _known(((now + _LEVEL) / (before + _LEVEL))[_pictures(found) & _pictures(stable)])
    if not ratios.size:
        return []
    limit = limits.of(demanded.PROMPT_DISTANCE, "maxRatio")
    tail = numeric.Limit(limit.value * _TAIL, limit.basis)
    return [
        gates.at_most(
            f"{demanded.PROMPT_DISTANCE}{name}", value, bound, samples=ratios.size, against="Stable"
        )
        for name, value, bound in (
            ("Median", float(np.median(ratios)), limit),
            ("P95", float(np.percentile(ratios, 95)), tail),
        )
    ]


def _mean(metric: str, shifts: Scalars, limit: numeric.Limit, z: float = rates.Z) -> schema.Gate:
    """Judge how far a mean has certainly moved: the part of the shift that its interval does not take back.

    Pictures of another seed move as well, this way and that; what all of them share is left of it.
    """
    mean = abs(float(shifts.mean()))
    half = z * float(shifts.std(ddof=1)) / math.sqrt(len(shifts)) if len(shifts) > 1 else math.inf
    moved = gates.at_most(metric, max(0.0, mean - half), limit, samples=len(shifts), against="Stable")
    return moved.model_copy(update={"low": max(0.0, mean - half), "high": v.number(mean + half)})


def _verdict(holds: bool, broken: bool) -> v.Verdict:  # noqa: FBT001 - both ends of an interval
    if holds:
        return v.Verdict.PASS
    return v.Verdict.FAIL if broken else v.Verdict.INCONCLUSIVE


def _at_least(
    metric: str,
    observed: float,
    limit: numeric.Limit,
    *,
    samples: int,
    against: gates.Against = "Absolute",
) -> schema.Gate:
    return schema.Gate(
        metric=metric,
        against=against,
        verdict=v.Verdict.PASS if observed >= limit.value else v.Verdict.FAIL,
        observed=observed,
        operator=">=",
        limit=limit.value,
        basis=limit.basis,
        samples=samples,
    )


def _known(values: Scalars) -> Scalars:
    return values[np.isfinite(values)]
