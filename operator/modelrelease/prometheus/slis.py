"""From an SLO to counts: what to ask Prometheus, and what the answer means."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus import promql, targets
from modelrelease.prometheus.client import Prometheus, QueryError, RawSeries
from modelrelease.prometheus.runtimes import RuntimeMetrics
from modelrelease.prometheus.targets import JudgedPod, SliError, Target
from modelrelease.slo import counters
from modelrelease.slo.objectives import Objective
from modelrelease.slo.observation import (
    Boundaries,
    Contribution,
    SliFailure,
    SliObservation,
    accumulate,
)

MARGIN_SECONDS = 300
"""Fetched before the start, so that the last sample at or before it is there: as far as Prometheus
itself looks back, two scrapes at any interval up to 150 s."""
LOOKBACK_SECONDS = 6 * 3600
"""Older requests do not count any more, which bounds what a query returns. In a longer hold the start
moves, and each such span is judged by looks of its own."""
SKEW_SECONDS_MAX = 15.0
STATUS = re.compile(r"([1-5])(?:[0-9]{2}|[xX]{2})")
SAME = 1e-9
"""Relative: boundaries are decimal strings, and Prometheus 3 writes "1.0" where 2 wrote "1"."""


async def observe(
    prometheus: Prometheus,
    metrics: RuntimeMetrics,
    path: str,
    objective: Objective,
    *,
    namespace: str,
    pods: Sequence[JudgedPod],
    live_since: float,
    now: float,
) -> SliObservation | SliFailure:
    """Observe one SLO of one revision.

    Parameters
    ----------
    prometheus : Prometheus
        The source that the SLO names.
    metrics : RuntimeMetrics
        Of the endpoint's runtime.
    path : str
        Of the operation that the SLO is about.
    objective : Objective
        What will be judged.
    namespace : str
        Of the release.
    pods : sequence of JudgedPod
        Recorded pods of the revision, the gone ones too.
    live_since, now : float
        Seconds since the epoch: requests in (live_since, now] count.

    Returns
    -------
    SliObservation or SliFailure
        Whatever Prometheus or the network do; it does not raise for them.
    """
    start = max(live_since, now - LOOKBACK_SECONDS)
    question = _Question(prometheus, metrics, path, namespace, tuple(pods), start, now)
    try:
        await question.check_clock()
        ups = await question.ups()
        if objective.threshold_seconds is None:
            contributions, made = await _availability(question, ups)
            boundaries = None
        else:
            contributions, made, boundaries = await _latency(question, ups, objective.threshold_seconds)
    except QueryError as error:
        return SliFailure(Verdict.ERROR, error.reason, error.message)
    except SliError as error:
        return error.failure
    return SliObservation(
        start=start,
        points=accumulate(contributions, start, now),
        boundaries=boundaries,
        blind=targets.blind(ups, made, pods, pod_label=prometheus.source.pod_label, now=now),
        interval=targets.interval(ups),
    )


async def idle_total(
    prometheus: Prometheus,
    metrics: RuntimeMetrics,
    path: str,
    *,
    namespace: str,
    pods: Sequence[JudgedPod],
    start: float,
    end: float,
    probe_requests: int,
) -> int | SliFailure:
    """Return how many requests in (start, end] were not ours, while no user can reach the pods.

    More than none means that the selector counts something else, or that somebody reaches the canary.

    Parameters
    ----------
    prometheus, metrics, path, namespace, pods
        As for :func:`observe`.
    start, end : float
        Seconds since the epoch; let a scrape pass after the last probe.
    probe_requests : int
        What the checks sent to these pods in that time.

    Returns
    -------
    int or SliFailure
        Below 0 when our own requests are not counted: then the metric or the path is wrong.
    """
    question = _Question(prometheus, metrics, path, namespace, tuple(pods), start, end)
    try:
        ups = await question.ups()
        made = question.targets(ups, await question.counters(metrics.requests))
    except QueryError as error:
        return SliFailure(Verdict.ERROR, error.reason, error.message)
    except SliError as error:
        return error.failure
    unseen = targets.blind(ups, made, pods, pod_label=prometheus.source.pod_label, now=end)
    if unseen:
        return SliFailure(Verdict.NO_DATA, "StaleSamples", f"no fresh samples of {', '.join(unseen)}")
    counted = math.fsum(
        counters.increase(
            series,
            start,
            end,
            observed_since=target.observed_since,
            restarts=counters.resets(target.series),
        ).value
        for target in made
        for series in target.series
    )
    return round(counted) - probe_requests


@dataclass(frozen=True, slots=True)
class _Question:
    """What all queries of one observation share."""

    prometheus: Prometheus
    metrics: RuntimeMetrics
    path: str
    namespace: str
    pods: tuple[JudgedPod, ...]
    start: float
    now: float

    @property
    def range_seconds(self) -> int:
        return math.ceil(max(self.now - self.start, 0)) + MARGIN_SECONDS

    def matchers(self) -> tuple[promql.Matcher, ...]:
        source = self.prometheus.source
        return (
            promql.equals(source.namespace_label, self.namespace),
            promql.one_of(source.pod_label, sorted(pod.name for pod in self.pods)),
        )

    async def check_clock(self) -> None:
        """Refuse to compare times of clocks that differ: requests before the start would count."""
        ahead = await self.prometheus.now() - self.now
        if abs(ahead) > SKEW_SECONDS_MAX:
            side = "ahead of" if ahead > 0 else "behind"
            raise SliError(
                Verdict.ERROR, "ClockSkew", f"Prometheus' clock is {abs(ahead):.0f} s {side} the cluster's"
            )

    async def ups(self) -> tuple[RawSeries, ...]:
        """Return `up` of every target of the pods."""
        if not self.pods:
            raise SliError(Verdict.NO_DATA, "NoPods", "no pod of the candidate has taken live traffic yet")
        found = await self._raw(promql.selector("up", self.matchers(), self.range_seconds))
        if not found:
            source = self.prometheus.source
            raise SliError(
                Verdict.NO_DATA,
                "NotScraped",
                f"Prometheus scrapes none of the {len(self.pods)} pods (it would say "
                f"{source.namespace_label}={self.namespace!r} and {source.pod_label}={self.pods[0].name!r})",
            )
        return found

    async def counters(self, metric: str, *extra: promql.Matcher) -> tuple[RawSeries, ...]:
        """Return the raw samples of users' requests."""
        matchers = (*self.matchers(), *self.metrics.matchers(self.path), *extra)
        return await self._raw(promql.selector(metric, matchers, self.range_seconds))

    def targets(self, ups: Sequence[RawSeries], found: Sequence[RawSeries]) -> tuple[Target, ...]:
        pod_label = self.prometheus.source.pod_label
        return targets.targets(ups, found, self.pods, pod_label=pod_label, start=self.start)

    def nothing(self, metric: str) -> SliError:
        return SliError(
            Verdict.NO_DATA,
            "NoRequests",
            f"Prometheus scrapes the pods, but has no {metric} for path {self.path!r}: no request yet, or "
            f"the path or the runtime is wrong",
        )

    async def _raw(self, query: str) -> tuple[RawSeries, ...]:
        found = await self.prometheus.matrix(query, self.now)
        source = self.prometheus.source
        targets.check_labels(
            found,
            {
                source.namespace_label: frozenset({self.namespace}),
                source.pod_label: frozenset(pod.name for pod in self.pods),
            },
        )
        return found


async def _availability(
    question: _Question, ups: Sequence[RawSeries]
) -> tuple[list[Contribution], tuple[Target, ...]]:
    """Count answers by the class of their status: 5xx is bad, 4xx is the caller's mistake."""
    metric = question.metrics.requests
    made = question.targets(ups, await question.counters(metric))
    if not made:
        raise question.nothing(metric)
    contributions = []
    for target in made:
        restarts = counters.resets(target.series)
        for series in target.series:
            digit = _status_class(series.labels, question.metrics.status_labels)
            counts = 0 if digit == "4" else 1
            failed = 1 if digit == "5" else 0
            contributions.append(
                Contribution(
                    series,
                    target.observed_since,
                    restarts,
                    total=counts,
                    bad=failed,
                    possibly_bad=failed,
                    client_errors=1 - counts,
                )
            )
    return contributions, made


def _status_class(labels: Mapping[str, str], status_labels: Sequence[str]) -> str:
    for label in status_labels:
        if label in labels:
            match = STATUS.fullmatch(labels[label])
            if match is None:
                raise SliError(
                    Verdict.ERROR, "UnknownStatus", f"{label}={labels[label][:32]!r} is no HTTP status"
                )
            return match[1]
    raise SliError(
        Verdict.ERROR,
        "UnknownStatus",
        f"a series of requests has none of the labels {', '.join(status_labels)}",
    )


async def _latency(
    question: _Question, ups: Sequence[RawSeries], threshold: float
) -> tuple[list[Contribution], tuple[Target, ...], Boundaries]:
    """Count slow answers from the buckets around the threshold, never by interpolation between them."""
    metric = question.metrics.latency_buckets
    known = await _boundaries(question, metric)
    if not known:
        raise question.nothing(metric)
    at_most = [value for value in known.values() if value <= threshold or _same(value, threshold)]
    at_least = [value for value in known.values() if value >= threshold or _same(value, threshold)]
    edges = Boundaries(max(at_most, default=0.0), min(at_least, default=math.inf))
    wanted = [text for text, value in known.items() if value in (edges.lower, edges.upper, math.inf)]
    made = question.targets(ups, await question.counters(metric, promql.one_of("le", sorted(wanted))))
    needed = {value for value in (edges.lower, edges.upper, math.inf) if value > 0}
    contributions = []
    for target in made:
        _complete(target, known, needed)
        restarts = counters.resets(target.series)
        for series in target.series:
            edge = known[series.labels["le"]]
            whole = 1 if edge == math.inf else 0
            contributions.append(
                Contribution(
                    series,
                    target.observed_since,
                    restarts,
                    total=whole,
                    bad=whole - (edge == edges.upper),
                    possibly_bad=whole - (edge == edges.lower),
                )
            )
    return contributions, made, edges


async def _boundaries(question: _Question, metric: str) -> dict[str, float]:
    """Return the upper boundaries of all buckets, as Prometheus writes them."""
    matchers = (*question.matchers(), *question.metrics.matchers(question.path))
    selector = promql.selector(metric, matchers, question.range_seconds)
    found = await question.prometheus.vector(f"group by (le) (last_over_time({selector}))", question.now)
    known = {}
    for series in found:
        text = series.labels.get("le", "")
        try:
            known[text] = float(text)
        except ValueError:
            known[text] = math.nan
        if math.isnan(known[text]):
            raise SliError(Verdict.ERROR, "BucketsDiffer", f"{metric} has a bucket le={text[:32]!r}")
    return known


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=SAME)


def _complete(target: Target, known: Mapping[str, float], needed: set[float]) -> None:
    """Make sure that each histogram has each needed bucket exactly once."""
    histograms: dict[frozenset[tuple[str, str]], list[float]] = {}
    for series in target.series:
        identity = frozenset(item for item in series.labels.items() if item[0] != "le")
        histograms.setdefault(identity, []).append(known[series.labels["le"]])
    for edges in histograms.values():
        if sorted(edges) != sorted(needed):
            raise SliError(
                Verdict.ERROR,
                "BucketsDiffer",
                f"pod {target.pod} has a histogram without the same buckets as the others",
            )
