"""Whether the text in the images can still be read: the share of right texts, alone and beside stable's.

Pass when the share is at least 0.85 and its Wilson lower bound at least 0.80; Fail when the upper bound is
below 0.85, or when more than 5 points of stable's share are lost over 100 prompts or more; else Inconclusive.
A number that was declared takes the place of 0.85, and the lower bound stays 0.05 below it.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.fidelity import limits as demanded
from canary_checks.fidelity import outcomes, spelling
from canary_checks.fidelity.outcomes import Column
from canary_checks.parity import gates, numeric, rates

SLACK: Final = 0.05
"""How far below the limit the lower bound may lie for a Pass."""

Rates = npt.NDArray[np.float64]


def judge(
    found: outcomes.Outcomes, stable: outcomes.Outcomes | None, limits: demanded.Limits
) -> list[schema.Gate]:
    """Judge the texts.

    Parameters
    ----------
    found
        The candidate's.
    stable
        The same prompts' of stable, or None.
    limits
        Of the check.

    Returns
    -------
    No gate where no prompt asks for a text.
    """
    errors = found.column(Column.ERROR_RATE)
    known = np.isfinite(errors)
    if not known.any():
        return []
    judged = [_absolute(right(errors[known]), limits.of(demanded.TEXT_FIDELITY, "min"))]
    most = limits.maybe(demanded.ERROR_RATE, "max")
    if most is not None:
        judged.append(
            gates.at_most(demanded.ERROR_RATE, float(errors[known].mean()), most, samples=int(known.sum()))
        )
    if stable is not None:
        before = stable.column(Column.ERROR_RATE)
        both = known & np.isfinite(before)
        if both.any():
            judged.append(_drop(right(before[both]), right(errors[both]), limits))
            judged.append(_rise(before[both], errors[both], limits))
    return judged


def right(errors: Rates) -> Rates:
    """Return 1 for each text that counts as right, else 0."""
    return (errors <= spelling.RIGHT).astype(np.float64)


def _absolute(rights: Rates, limit: numeric.Limit) -> schema.Gate:
    interval = rates.wilson(rights)
    if interval.estimate >= limit.value and interval.low >= limit.value - SLACK:
        verdict = v.Verdict.PASS
    else:
        verdict = v.Verdict.FAIL if interval.high < limit.value else v.Verdict.INCONCLUSIVE
    return schema.Gate(
        metric=demanded.TEXT_FIDELITY,
        verdict=verdict,
        observed=interval.estimate,
        operator=">=",
        limit=limit.value,
        basis=limit.basis,
        samples=len(rights),
        low=interval.low,
        high=interval.high,
    )


def _drop(before: Rates, after: Rates, limits: demanded.Limits) -> schema.Gate:
    limit = limits.of(demanded.TEXT_FIDELITY, "maxDrop")
    known, observed = float(before.mean()), float(after.mean())
    interval = rates.wilson(after)
    return schema.Gate(
        metric=demanded.TEXT_FIDELITY,
        against="Stable",
        verdict=_within(known - observed, limit.value, len(after)),
        observed=observed,
        operator=">=",
        limit=known - limit.value,
        basis=limit.basis,
        samples=len(after),
        low=interval.low,
        high=interval.high,
    )


def _rise(before: Rates, after: Rates, limits: demanded.Limits) -> schema.Gate:
    limit = limits.of(demanded.ERROR_RATE, "maxRise")
    known, observed = float(before.mean()), float(after.mean())
    return schema.Gate(
        metric=demanded.ERROR_RATE,
        against="Stable",
        verdict=_within(observed - known, limit.value, len(after)),
        observed=observed,
        operator="<=",
        limit=known + limit.value,
        basis=limit.basis,
        samples=len(after),
    )


def _within(change: float, limit: float, samples: int) -> v.Verdict:
    # The rounding of a difference of two means is no change.
    if change <= limit + 1e-9:
        return v.Verdict.PASS
    return v.Verdict.FAIL if samples >= rates.LEAST_SAMPLES else v.Verdict.INCONCLUSIVE
