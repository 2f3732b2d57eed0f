"""From an SLO of the API to what it asks for, and to the series that count for it."""

from dataclasses import dataclass
from decimal import Decimal

from modelrelease.api import endpoint as endpoints
from modelrelease.api import series, spec
from modelrelease.prometheus import metrics, promql
from modelrelease.prometheus.runtimes import RUNTIMES
from modelrelease.slo import objectives

_UNITS = {
    series.Unit.SECONDS: 1.0,
    series.Unit.MILLISECONDS: 1e3,
    series.Unit.MICROSECONDS: 1e6,
}


def of(slo: spec.Slo, endpoint: endpoints.Endpoint) -> metrics.Series:
    """Return what counts for an SLO: the user's own series, or those of its runtime."""
    own = slo.prometheus
    if own is None:
        return RUNTIMES[slo.runtime or endpoint.runtime]
    if own.ratio is not None:
        return metrics.RequestMetrics(_ratio(own.ratio))
    if own.histogram is not None:
        histogram = own.histogram
        return metrics.RequestMetrics(
            latency=metrics.Latency(
                histogram.metric, _UNITS[histogram.unit], only=_matchers(histogram.labels)
            )
        )
    if own.threshold is not None:
        return _threshold(own.threshold)
    if own.queries is not None:
        return metrics.Queries(own.queries.total, own.queries.bad)
    raise ValueError(f"SLO {slo.name} has no series")  # the API server refuses it


@dataclass(frozen=True, slots=True)
class Wording:
    """How people call what is counted, and what a bad one did."""

    events: str = "requests"
    wrong: str = ""


def wording(slo: spec.Slo) -> Wording:
    """Return the words for what an SLO counts; a runtime's requests have their own."""
    own = slo.prometheus
    if own is None or own.histogram is not None:
        return Wording()
    if own.threshold is None:
        return Wording("events", "were bad")
    threshold = own.threshold
    bound = f"above {threshold.max}" if threshold.max is not None else f"below {threshold.min}"
    return Wording("samples", f"had {threshold.metric} {bound}")


def threshold_milliseconds(slo: spec.Slo) -> int | None:
    """Return what is too slow; None where an SLO is not about time."""
    if slo.latency is not None:
        return slo.latency.threshold_milliseconds
    histogram = slo.prometheus.histogram if slo.prometheus is not None else None
    return None if histogram is None else histogram.threshold_milliseconds


def objective_of(slo: spec.Slo) -> objectives.Objective:
    """Return what a declared SLO asks for."""
    threshold, words = threshold_milliseconds(slo), wording(slo)
    return objectives.Objective(
        name=slo.name,
        kind=objectives.Kind.AVAILABILITY if threshold is None else objectives.Kind.LATENCY,
        objective_percent=Decimal(slo.objective),
        threshold_seconds=None if threshold is None else threshold / 1000,
        minimum_requests=slo.minimum_requests,
        events=words.events,
        wrong=words.wrong,
    )


def _ratio(ratio: series.Ratio) -> tuple[metrics.Counter, ...]:
    """Return the two counters of a ratio; what is not seen never makes it look better."""
    absent = metrics.Absent
    bad = absent.FINE if ratio.when_absent is series.WhenAbsent.ZERO else absent.UNPROVEN
    if ratio.total is None:
        chosen = ((ratio.good, metrics.GOOD, absent.FINE), (ratio.bad, metrics.BAD, bad))
    elif ratio.bad is None:
        chosen = (
            (ratio.total, metrics.BAD, absent.NO_REQUESTS),
            (ratio.good, metrics.GOOD_AMONG_BAD, absent.FINE),
        )
    else:
        chosen = ((ratio.total, metrics.GOOD, absent.NO_REQUESTS), (ratio.bad, metrics.ALSO_BAD, bad))
    return tuple(
        metrics.Counter(selection.metric, weight, only=_matchers(selection.labels), absent=when)
        for selection, weight, when in chosen
        if selection is not None
    )


def _threshold(threshold: series.Threshold) -> metrics.Threshold:
    return metrics.Threshold(
        threshold.metric,
        maximum=None if threshold.max is None else float(Decimal(threshold.max)),
        minimum=None if threshold.min is None else float(Decimal(threshold.min)),
        increase=threshold.kind is series.ValueKind.INCREASE,
        only=_matchers(threshold.labels),
        pod_label=threshold.pod_label,
        namespace_label=threshold.namespace_label,
    )


def _matchers(labels: list[series.LabelMatch]) -> tuple[promql.Matcher, ...]:
    chosen = {series.Operator.IN: promql.one_of, series.Operator.NOT_IN: promql.none_of}
    return tuple(chosen[match.operator](match.label, match.values) for match in labels)
