"""The rules about what an SLO counts: a runtime's metrics, or a user's own series."""

from collections.abc import Mapping
from typing import Any, Final

from modelrelease.api import endpoint as endpoints
from modelrelease.api import rule, series

_SHAPES: Final = ("ratio", "histogram", "threshold", "queries")
_COUNTS: Final = ("total", "good", "bad")
_BOUNDS: Final = ("max", "min")
_PAIR: Final = 2

WITHOUT_LATENCY: Final = (endpoints.Runtime.TRITON.value,)
"""Runtimes that have no histogram of whole answers."""
WITHOUT_COUNTS: Final = (endpoints.Runtime.KSERVE.value,)
"""Runtimes that do not count answers by whether they failed."""

_RUNTIME: Final = "(has(s.runtime) ? s.runtime : self.endpoint.runtime)"


def _counted_by(release: Mapping[str, Any], kind: str, without: tuple[str, ...]) -> bool:
    return all(
        slo.get("runtime", release["endpoint"]["runtime"]) not in without
        for slo in release["slos"]
        if kind in slo
    )


SERIES_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="slo-latency-runtime",
        paths=("spec",),
        field=".slos",
        cel=f"self.slos.all(s, !has(s.latency) || !({_RUNTIME} in {list(WITHOUT_LATENCY)}))",
        message=(
            "must not have latency with Triton, which has no histogram of whole answers: set the SLO's "
            "runtime to that of a proxy in the pod, such as Istio, or give prometheus.histogram"
        ),
        holds=lambda release: _counted_by(release, "latency", WITHOUT_LATENCY),
    ),
    rule.Rule(
        id="slo-availability-runtime",
        paths=("spec",),
        field=".slos",
        cel=f"self.slos.all(s, !has(s.availability) || !({_RUNTIME} in {list(WITHOUT_COUNTS)}))",
        message=(
            "must not have availability with KServe, which does not count failed answers: set the SLO's "
            "runtime to that of a proxy in the pod, such as Istio, or give prometheus.ratio"
        ),
        holds=lambda release: _counted_by(release, "availability", WITHOUT_COUNTS),
    ),
    rule.Rule(
        id="slo-own-series",
        paths=("spec.slos[*]",),
        field=".prometheus",
        cel="!has(self.prometheus) || (!has(self.runtime) && !has(self.operation))",
        message="must not go with runtime or operation, which say nothing about your own series: remove them",
        holds=lambda slo: "prometheus" not in slo or not {"runtime", "operation"} & set(slo),
    ),
    rule.Rule(
        id="series-one-of",
        paths=("spec.slos[*].prometheus",),
        cel=rule.one_of(_SHAPES),
        message="must have exactly one of ratio, histogram, threshold and queries",
        holds=lambda own: rule.has_one_of(own, _SHAPES),
    ),
    rule.Rule(
        id="ratio-pair",
        paths=("spec.slos[*].prometheus.ratio",),
        cel=f"[{', '.join(f'has(self.{field})' for field in _COUNTS)}].filter(x, x).size() == {_PAIR}",
        message="must have exactly two of total, good and bad: the third follows",
        holds=lambda ratio: sum(field in ratio for field in _COUNTS) == _PAIR,
    ),
    rule.Rule(
        id="ratio-absent",
        paths=("spec.slos[*].prometheus.ratio",),
        field=".whenAbsent",
        cel="!has(self.whenAbsent) || has(self.bad)",
        message="must be left out without bad, because what is not seen is then never good: remove it",
        holds=lambda ratio: "whenAbsent" not in ratio or "bad" in ratio,
    ),
    rule.Rule(
        id="threshold-bound",
        paths=("spec.slos[*].prometheus.threshold",),
        cel=rule.one_of(_BOUNDS),
        message="must have exactly one of max and min",
        holds=lambda threshold: rule.has_one_of(threshold, _BOUNDS),
    ),
    rule.Rule(
        id="query-pods",
        paths=("spec.slos[*].prometheus.queries.total", "spec.slos[*].prometheus.queries.bad"),
        cel=f"self.contains('{series.PODS}')",
        message=(
            f"must hold {series.PODS} as the matcher of the label that names the pod, or it would count "
            f"other revisions: write it inside the braces of each selector"
        ),
        holds=lambda query: series.PODS in query,
    ),
)
