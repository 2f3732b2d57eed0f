"""Alerts for the objectives of a release: multi-window burn rates, in the form that Sloth generates.

These watch what serves, for months, beside every release; what judges a candidate is the operator's own rule
(docs/slo-judging.md). Each alert names the revision, which the names of the pods tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from modelrelease.api import endpoint as endpoints
from modelrelease.api import spec
from modelrelease.prometheus import metrics, promql, queries, series

PERIOD_DAYS: Final = 30
RUNBOOKS: Final = "docs/alerts/"
REVISION: Final = "r[0-9a-f]{10}"
RECORD: Final = "modelrelease:bad_ratio:rate"
WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two windows that must burn together: the long one says that it matters, the short that it goes on."""

    long: str
    short: str
    share: float
    """Of the period's budget."""
    hours: float
    """In which the share is spent."""

    def factor(self, period_days: int) -> float:
        """Return how many times faster than allowed the budget burns then."""
        return self.share * period_days * 24 / self.hours


@dataclass(frozen=True, slots=True)
class Level:
    """One alert of an objective."""

    alert: str
    severity: str
    pairs: tuple[Pair, ...]
    keep_firing_for: str
    """Hysteresis: so long it stays when the windows fall below their limits."""


LEVELS: Final = (
    Level(
        "ModelReleaseBudgetBurnsFast",
        "page",
        (
            Pair("1h", "5m", 0.02, 1),
            Pair("6h", "30m", 0.05, 6),
            # More than half of the budget would be gone in a day: that makes a page of what was a ticket.
            Pair("2h", "30m", 0.5, 24),
        ),
        "10m",
    ),
    Level(
        "ModelReleaseBudgetBurnsSlowly",
        "ticket",
        (Pair("1d", "2h", 0.1, 24), Pair("3d", "6h", 0.1, 72)),
        "1h",
    ),
)


def rules(
    name: str,
    namespace: str,
    release: spec.ReleaseSpec,
    *,
    period_days: int = PERIOD_DAYS,
    pod_label: str = "pod",
    namespace_label: str = "namespace",
    runbooks: str = RUNBOOKS,
) -> dict[str, Any]:
    """Return a PrometheusRule for the objectives of a release.

    Parameters
    ----------
    name, namespace : str
        Of the ModelRelease.
    release : ReleaseSpec
        What it says. Bounds on values (``prometheus.threshold``) have no budget and are left out.
    period_days : int
        Of the error budget.
    pod_label, namespace_label : str
        As the source of the objectives writes them.
    runbooks : str
        Where their pages are: what goes before an alert's name.

    Returns
    -------
    A manifest with one group of recording rules and alerts for each objective.
    """
    place = _Place(name, namespace, pod_label, namespace_label)
    groups = []
    for slo in release.slos:
        parts = _ratio(place, release, slo)
        if parts is not None:
            ratio = "\n/\n".join(parts)
            labels = {"namespace": namespace, "release": name, "slo": slo.name}
            burning = _Burning(name, slo, labels, period_days, runbooks)
            recorded = [
                {
                    "record": f"{RECORD}{window}",
                    "expr": ratio.replace("$window", window),
                    "labels": dict(labels),
                }
                for window in WINDOWS
            ]
            alerts = [burning.alert(level) for level in LEVELS]
            groups.append({"name": f"modelrelease-{name}-{slo.name}", "rules": [*recorded, *alerts]})
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": f"{name}-slos", "namespace": namespace},
        "spec": {"groups": groups},
    }


def totals(
    name: str,
    namespace: str,
    release: spec.ReleaseSpec,
    window: str,
    *,
    pod_label: str = "pod",
    namespace_label: str = "namespace",
) -> dict[str, str]:
    """Return by objective the PromQL of how many events a second were counted in a window, by revision.

    Parameters
    ----------
    name, namespace, release, pod_label, namespace_label
        As for :func:`rules`.
    window : str
        Such as ``1h``.
    """
    place = _Place(name, namespace, pod_label, namespace_label)
    found = ((slo.name, _ratio(place, release, slo)) for slo in release.slos)
    return {slo: parts[1].replace("$window", window) for slo, parts in found if parts is not None}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the pods of a release are."""

    name: str
    namespace: str
    pod_label: str
    namespace_label: str

    @property
    def matchers(self) -> tuple[promql.Matcher, ...]:
        pods = promql.matching(self.pod_label, f"{self.name}-{REVISION}-.*")
        return promql.equals(self.namespace_label, self.namespace), pods


def _ratio(place: _Place, release: spec.ReleaseSpec, slo: spec.Slo) -> tuple[str, str] | None:
    path = _path(release, slo)
    return _Ratio(place.name, place.matchers, place.pod_label, path).of(slo, release.endpoint)


def _path(release: spec.ReleaseSpec, slo: spec.Slo) -> str:
    operations = release.endpoint.all_operations()
    operation = next((one for one in operations if one.name == slo.operation), operations[0])
    return operation.path or operation.usual_path(release.model.served_name)


@dataclass(frozen=True, slots=True)
class _Terms:
    """PromQL of what is added and of what is taken away; ``$window`` stands for the range."""

    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Ratio:
    """Makes the ratio of bad to all requests, by revision."""

    name: str
    place: tuple[promql.Matcher, ...]
    pod_label: str
    path: str

    def of(self, slo: spec.Slo, endpoint: endpoints.Endpoint) -> tuple[str, str] | None:
        """Return bad and all events with ``$window`` in them; None where an objective has no budget."""
        counted = series.of(slo, endpoint)
        threshold = series.threshold_milliseconds(slo)
        if isinstance(counted, metrics.Threshold):
            return None
        if isinstance(counted, metrics.Queries):
            return self._ratio(self._query(counted.bad), self._query(counted.total))
        if threshold is None:
            return self._ratio(
                self._counted(counted.counters, "bad"), self._counted(counted.counters, "total")
            )
        if counted.latency is None:
            return None
        return self._timed(counted.latency, threshold / 1000)

    def _ratio(self, bad: _Terms, total: _Terms) -> tuple[str, str]:
        return self._events(bad), self._events(total)

    def _events(self, terms: _Terms) -> str:
        plus = self._sum(terms.plus)
        if not terms.minus:
            return plus
        return f"({plus} - ({self._sum(terms.minus)} or 0 * {plus}))"

    def _sum(self, terms: Sequence[str]) -> str:
        # Each has a label of its own: rate() drops the metric's name, and `or` would join what is alike.
        union = " or ".join(
            f'label_replace({term}, "term", "{number}", "", "")' for number, term in enumerate(terms)
        )
        found = f'"revision", "$1", "{self.pod_label}", "{self.name}-({REVISION})-.*"'
        return f"sum by (revision) (label_replace({union}, {found}))"

    def _rate(self, metric: str, matchers: Sequence[promql.Matcher]) -> str:
        return f"rate({promql.selector(metric, (*self.place, *matchers))}[$window])"

    def _query(self, query: str) -> _Terms:
        written = query.replace(queries.PLACEHOLDER, f"{self.name}-{REVISION}-.*")
        return _Terms((f"rate(({written}\n)[$window:1m])",))

    def _counted(self, counters: Sequence[metrics.Counter], what: str) -> _Terms:
        plus: list[str] = []
        minus: list[str] = []
        for counter in counters:
            base = (*counter.paths.matchers(self.path), *counter.only)
            if counter.weight is None:
                plus += [self._rate(counter.metric, (*base, *more)) for more in _by_status(counter, what)]
                continue
            weight = counter.weight.bad if what == "bad" else counter.weight.total
            if weight:
                (plus if weight > 0 else minus).append(self._rate(counter.metric, base))
        return _Terms(tuple(plus), tuple(minus))

    def _timed(self, latency: metrics.Latency, seconds: float) -> tuple[str, str]:
        edge = seconds * latency.units_per_second
        base = (*latency.paths.matchers(self.path), *latency.only)
        written = sorted({f"{edge:g}", repr(float(edge))})  # "1" in Prometheus 2, "1.0" in 3
        fast = self._rate(latency.buckets, (*base, promql.one_of("le", written)))
        every = self._rate(latency.buckets, (*base, promql.equals("le", "+Inf")))
        quick, total = self._sum((fast,)), self._sum((every,))
        return f"({total} - {quick})", total


def _by_status(counter: metrics.Counter, what: str) -> list[tuple[promql.Matcher, ...]]:
    """Return the matchers of bad answers, or of all that count: once for each label of a status."""
    rest = "" if counter.first_digit else ".."
    wanted = f"5{rest}" if what == "bad" else f"[1235]{rest}"
    found: list[tuple[promql.Matcher, ...]] = []
    for index, label in enumerate(counter.status_labels):
        absent = tuple(promql.equals(earlier, "") for earlier in counter.status_labels[:index])
        found.append((*absent, promql.matching(label, wanted)))
        if what == "bad":
            found += [
                (*absent, promql.matching(label, f"[123]{rest}"), promql.none_of(name, sorted(fine)))
                for name, fine in counter.failed_labels
            ]
    return found


@dataclass(frozen=True, slots=True)
class _Burning:
    """The alerts of one objective."""

    name: str
    slo: spec.Slo
    labels: dict[str, str]
    period_days: int
    runbooks: str

    def alert(self, level: Level) -> dict[str, Any]:
        """Return one alert."""
        budget = float((100 - Decimal(self.slo.objective)) / 100)
        chosen = ",".join(str(promql.equals(label, value)) for label, value in self.labels.items())
        pairs = []
        for pair in level.pairs:
            limit = f"{pair.factor(self.period_days):g} * {budget:g}"
            both = " and ".join(
                f"{RECORD}{window}{{{chosen}}} > ({limit})" for window in (pair.short, pair.long)
            )
            pairs.append(f"({both})")
        return {
            "alert": level.alert,
            "expr": "\nor\n".join(pairs),
            "for": "2m",
            "keep_firing_for": level.keep_firing_for,
            "labels": {**self.labels, "severity": level.severity, "team": "ml"},
            "annotations": {
                "summary": (
                    f"{self.name}: {self.slo.name} burns its error budget ({self.slo.objective} % over "
                    f"{self.period_days} days), revision {{{{ $labels.revision }}}}"
                ),
                "description": "{{ $value | humanizePercentage }} of the requests are bad.",
                "runbook_url": f"{self.runbooks}{level.alert}.md",
            },
        }
