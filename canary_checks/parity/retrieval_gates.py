"""What is demanded of retrieval: an absolute share, or hardly less than what Stable finds.

Rates are judged by their intervals: `Pass` where the whole interval is on the right side of the limit, `Fail`
where all of it is on the wrong one, else `Inconclusive`; with fewer than 100 queries there is no data.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from canary_checks import failure, known_queries, request, schema
from canary_checks import vocabulary as v
from canary_checks.parity import gates, rates

LEAST_RATIO: Final = 0.95
"""Of Stable's recall by default: what teams ask of a new space before they rebuild their index for it."""
_LIMITS: Final = frozenset({"min", "minRatio", "maxDrop"})


@dataclasses.dataclass(frozen=True)
class Demand:
    """What one metric has to reach.

    Attributes
    ----------
    metric, kind, k
        ``RecallAt10``, and its parts.
    least
        An absolute share; None demands none.
    ratio, most_lost
        Of the reference's value: which share must be reached, or how much may be lost; at most one of them.
    basis
        Whether somebody declared it.
    """

    metric: str
    kind: str
    k: int
    least: float | None
    ratio: float | None
    most_lost: float | None
    basis: v.Basis

    @property
    def compares(self) -> bool:
        """Whether it needs a reference."""
        return self.ratio is not None or self.most_lost is not None

    def allowed(self, before: float) -> float:
        """Return how much may be lost of a reference's value."""
        return self.most_lost if self.most_lost is not None else (1.0 - (self.ratio or 0.0)) * before


def demands(overrides: Sequence[request.GateOverride], ks: Sequence[int]) -> tuple[Demand, ...]:
    """Return what is demanded: what was declared, and of any other recall to be hardly less than before.

    Parameters
    ----------
    overrides
        From the request.
    ks
        How many of the nearest documents are looked at.

    Raises
    ------
    CheckError
        ``InvalidRequest``: a gate that this check would ignore, or a limit that no share can have.
    """
    declared = {one.metric: _declared(one, ks) for one in overrides}
    default = [
        Demand(metric, "Recall", k, None, LEAST_RATIO, None, v.Basis.DEFAULT)
        for k in ks
        if (metric := known_queries.recall(k)) not in declared
    ]
    return (*declared.values(), *default)


def _declared(override: request.GateOverride, ks: Sequence[int]) -> Demand:
    parts = known_queries.split(override.metric)
    if parts is None or parts[1] not in ks:
        names = ", ".join(name(k) for k in ks for name in (known_queries.recall, known_queries.precision))
        raise failure.CheckError(
            "InvalidRequest", f"this check has no limit on {override.metric} to replace, only on {names}"
        )
    limits = override.limits()
    if not set(limits) <= _LIMITS or {"minRatio", "maxDrop"} <= set(limits):
        raise failure.CheckError(
            "InvalidRequest", f"{override.metric} takes `min`, and one of `minRatio` and `maxDrop`"
        )
    if not all(0 <= limit <= 1 for limit in limits.values()):
        raise failure.CheckError(
            "InvalidRequest", f"{override.metric} is a share: its limits are from 0 to 1"
        )
    return Demand(
        override.metric,
        *parts,
        limits.get("min"),
        limits.get("minRatio"),
        limits.get("maxDrop"),
        v.Basis.DECLARED,
    )


def judge(
    demand: Demand, found: rates.Scalars, before: Mapping[gates.Against, rates.Scalars]
) -> list[schema.Gate]:
    """Judge one metric.

    Parameters
    ----------
    demand
        What it has to reach.
    found
        Shape ``[queries]``: of the candidate; at least one.
    before
        The same of each reference.

    Returns
    -------
    A gate for each limit that can be judged: without a reference those on a loss are none.
    """
    judged = []
    if demand.least is not None:
        interval = rates.wilson(found)
        verdict = _verdict(interval.low >= demand.least, interval.high < demand.least, len(found))
        judged.append(
            _gate(demand, "Absolute", verdict, reached=interval, limit=demand.least, samples=len(found))
        )
    for against, reference in before.items() if demand.compares else ():
        lost, known = rates.drop(reference, found), float(reference.mean())
        allowed = demand.allowed(known)
        verdict = _verdict(lost.high <= allowed, lost.low > allowed, len(found))
        reached = rates.Interval(known - lost.high, known - lost.estimate, known - lost.low)
        judged.append(
            _gate(demand, against, verdict, reached=reached, limit=known - allowed, samples=len(found))
        )
    return judged


def _verdict(holds: bool, broken: bool, samples: int) -> v.Verdict:  # noqa: FBT001 - both ends of an interval
    if samples < rates.LEAST_SAMPLES:
        return v.Verdict.NO_DATA
    if holds:
        return v.Verdict.PASS
    return v.Verdict.FAIL if broken else v.Verdict.INCONCLUSIVE


def _gate(
    demand: Demand,
    against: gates.Against,
    verdict: v.Verdict,
    *,
    reached: rates.Interval,
    limit: float,
    samples: int,
) -> schema.Gate:
    return schema.Gate(
        metric=demand.metric,
        against=against,
        verdict=verdict,
        observed=reached.estimate,
        low=reached.low,
        high=reached.high,
        operator=">=",
        limit=limit,
        basis=demand.basis,
        samples=samples,
    )
