"""Gates: an observed number, a limit, and nothing in between."""

import math
from collections.abc import Mapping, Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from canary_checks import failure, request, schema
from canary_checks import vocabulary as v
from canary_checks.parity import numeric

COSINE_DISTANCE_WORST: Final = "CosineDistanceWorst"
NORM_DEVIATION_WORST: Final = "NormDeviationWorst"
REPEAT_DISTANCE_WORST: Final = "RepeatDistanceWorst"
REPEAT_NORM_DEVIATION_WORST: Final = "RepeatNormDeviationWorst"
BATCH_DISTANCE_WORST: Final = "BatchDistanceWorst"
UNIT_NORM_DEVIATION_WORST: Final = "UnitNormDeviationWorst"
DIMENSIONS: Final = "Dimensions"

Against = Literal["Absolute", "Stable", "Anchor", "Recorded"]
Scalars = npt.NDArray[np.float64]


class Limits:
    """The limits of one check: its defaults, replaced by what the request overrides.

    Parameters
    ----------
    overrides
        From the request.
    adjustable
        Metrics of this check that have an upper limit to replace.

    Raises
    ------
    CheckError
        ``InvalidRequest``: an override that this check would ignore.
    """

    def __init__(self, overrides: Sequence[request.GateOverride], adjustable: frozenset[str]) -> None:
        self._declared: dict[str, float] = {}
        for override in overrides:
            if override.metric not in adjustable:
                raise failure.CheckError(
                    "InvalidRequest",
                    f"this check has no limit on {override.metric} to replace, only on"
                    f" {', '.join(sorted(adjustable))}",
                )
            limits = override.limits()
            if set(limits) != {"max"} or limits["max"] < 0:
                raise failure.CheckError(
                    "InvalidRequest", f"{override.metric} takes `max`, at least 0, and nothing else"
                )
            self._declared[override.metric] = limits["max"]

    def of(self, metric: str, default: numeric.Limit) -> numeric.Limit:
        """Return the declared limit of a metric, or else the default."""
        declared = self._declared.get(metric)
        return default if declared is None else numeric.Limit(declared, v.Basis.DECLARED)


def at_most(
    metric: str,
    observed: float,
    limit: numeric.Limit,
    *,
    samples: int,
    against: Against = "Absolute",
    operation: str | None = None,
) -> schema.Gate:
    """Judge ``observed <= limit``.

    Parameters
    ----------
    metric
        What was observed.
    observed
        Any float; one that is not finite fails.
    limit
        The largest value that passes.
    samples
        How many rows the observation rests on; without any there is no data to pass on.
    against
        What it was compared with.
    operation
        Which operation of the endpoint, where there are several.

    Returns
    -------
    The gate, with the verdict Pass, Fail or (without samples) NoData.
    """
    if samples == 0:
        verdict = v.Verdict.NO_DATA
    else:
        verdict = v.Verdict.PASS if math.isfinite(observed) and observed <= limit.value else v.Verdict.FAIL
    return schema.Gate(
        metric=metric,
        operation=operation,
        against=against,
        verdict=verdict,
        observed=v.number(observed),
        operator="<=",
        limit=limit.value,
        basis=limit.basis,
        samples=samples,
    )


def exactly(
    metric: str, observed: int, wanted: int, *, samples: int, against: Against = "Absolute"
) -> schema.Gate:
    """Judge ``observed == wanted``, two counts; without samples the verdict is NoData."""
    met = v.Verdict.PASS if observed == wanted else v.Verdict.FAIL
    return schema.Gate(
        metric=metric,
        against=against,
        verdict=met if samples else v.Verdict.NO_DATA,
        observed=observed,
        operator="==",
        limit=wanted,
        basis=v.Basis.EXACT,
        samples=samples,
    )


PRECEDENCE: Final = (
    v.Verdict.FAIL,
    v.Verdict.ERROR,
    v.Verdict.INCONCLUSIVE,
    v.Verdict.NO_DATA,
    v.Verdict.PASS,
)
"""Which verdict speaks for several: the first of these that is among them."""


def verdict_of(gates: Sequence[schema.Gate]) -> v.Verdict:
    """Combine gates: Fail > Error > Inconclusive > NoData > Pass; no gate at all is NoData."""
    return min((gate.verdict for gate in gates), key=PRECEDENCE.index, default=v.Verdict.NO_DATA)


def worst(values: Scalars) -> float:
    """Return the largest value, NaN when one of them is, and 0 when there are none."""
    return float(np.max(values)) if values.size else 0.0


def summary(
    metric: str, values: Scalars, *, against: str | None = None, item: str | None = None
) -> schema.Measurement:
    """Describe how values are distributed.

    Parameters
    ----------
    metric
        What they are.
    values
        Shape ``[n]``; empty is allowed.
    against
        What they were measured against.
    item
        Id of the item with the largest.

    Returns
    -------
    Minimum, median, 95th percentile and maximum.
    """
    if not values.size:
        return schema.Measurement(metric=metric, against=against, samples=0)
    low, middle, high, top = (float(np.quantile(values, q)) for q in (0.0, 0.5, 0.95, 1.0))
    return schema.Measurement(
        metric=metric,
        against=against,
        samples=values.size,
        min=v.number(low),
        p50=v.number(middle),
        p95=v.number(high),
        max=v.number(top),
        worst_item=item,
    )


def describe(gate: schema.Gate) -> str:
    """Say in a few words what a gate saw, such as ``CosineDistanceWorst 0.84 > 1e-09 (Stable)``."""
    sign = (
        {"<=": ">", ">=": "<", "==": "≠"}[gate.operator] if gate.verdict is v.Verdict.FAIL else gate.operator
    )
    shown: Mapping[str, object] = {
        "observed": f"{gate.observed:.3g}" if isinstance(gate.observed, float) else gate.observed,
        "limit": f"{gate.limit:.3g}" if isinstance(gate.limit, float) else gate.limit,
    }
    against = "" if gate.against == "Absolute" else f" against {gate.against}"
    return f"{gate.metric} {shown['observed']} {sign} {shown['limit']}{against}"
