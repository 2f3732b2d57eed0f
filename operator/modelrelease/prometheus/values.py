"""Values of pods held against a bound: saturation, queues, restarts. Each sample of a pod is one event."""

import itertools
import math
from collections.abc import Sequence

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus import metrics, targets
from modelrelease.prometheus.answers import RawSeries
from modelrelease.prometheus.question import Question
from modelrelease.prometheus.targets import JudgedPod, SliError
from modelrelease.slo import counters
from modelrelease.slo.observation import Events, Point, SliObservation

SCRAPED_BY = ("job", "instance")


async def observe(question: Question, threshold: metrics.Threshold) -> SliObservation:
    """Observe how many samples of the pods broke a bound.

    A pod with several series, such as one for each GPU, breaks it when any of them does. `up` is not asked:
    an exporter says `up` of itself. So a pod is seen when its own values are fresh.

    Raises
    ------
    SliError
        If the pods have no such series, or its values are no numbers.
    """
    pod_label = threshold.pod_label or question.prometheus.source.pod_label
    found = await question.select(
        threshold.metric,
        threshold.only,
        pod_label=pod_label,
        namespace_label=threshold.namespace_label,
    )
    if not found:
        raise SliError(
            Verdict.NO_DATA,
            "NoSeries",
            f"Prometheus has no {threshold.metric} of the {len(question.pods)} pods (it would say "
            f"{pod_label}={question.pods[0].name!r})",
        )
    pods = {pod.name: pod for pod in question.pods}
    worst: dict[tuple[float, str], bool] = {}
    for raw in found:
        name = raw.labels[pod_label]
        for time, value in _values(question, threshold, raw, pods[name]):
            if question.start < time <= question.now:
                worst[time, name] = worst.get((time, name), False) or threshold.beyond(value)
    _scraped_once(found, pod_label)
    seen = [
        RawSeries({pod_label: raw.labels[pod_label]}, _seen(counters.Samples.of(raw.samples).times))
        for raw in found
    ]
    return SliObservation(
        start=question.start,
        points=_points(worst),
        blind=targets.blind(seen, (), question.pods, pod_label=pod_label, now=question.now),
        interval=targets.interval(seen),
    )


def _seen(times: tuple[float, ...]) -> counters.Samples:
    """Return samples of an `up` of such scrapes."""
    return counters.Samples(times, (1.0,) * len(times))


def _values(
    question: Question, threshold: metrics.Threshold, raw: RawSeries, pod: JudgedPod
) -> list[tuple[float, float]]:
    if raw.histograms or not all(math.isfinite(sample.value) for sample in raw.samples):
        raise SliError(Verdict.NO_DATA, "NotANumber", f"{threshold.metric} is NaN, infinite or no number")
    if not threshold.increase:
        return [(sample.time, sample.value) for sample in raw.samples]
    try:
        series = counters.CounterSeries(raw.labels, raw.samples)
    except counters.CounterError as error:
        raise SliError(Verdict.ERROR, "NotACounter", f"{threshold.metric}: {error}") from error
    born = pod.started if pod.started is not None and pod.started > question.start else None
    added = list(counters.deltas(series, question.start, question.now, observed_since=born))
    grown = itertools.accumulate(sample.value for sample in added)
    return [(sample.time, value) for sample, value in zip(added, grown, strict=True)]


def _scraped_once(found: Sequence[RawSeries], pod_label: str) -> None:
    by: dict[str, set[tuple[str, ...]]] = {}
    for raw in found:
        by.setdefault(raw.labels[pod_label], set()).add(
            tuple(raw.labels.get(label, "") for label in SCRAPED_BY)
        )
    twice = sorted(pod for pod, scraped in by.items() if len(scraped) > 1)
    if twice:
        raise SliError(
            Verdict.ERROR,
            "ScrapedTwice",
            f"the values of pod {twice[0]} come from {len(by[twice[0]])} targets",
        )


def _points(worst: dict[tuple[float, str], bool]) -> tuple[Point, ...]:
    points: list[Point] = []
    total = bad = 0
    for time, group in itertools.groupby(sorted(worst), key=lambda key: key[0]):
        for key in group:
            total, bad = total + 1, bad + worst[key]
        points.append(Point(time, Events(total, bad, bad)))
    return tuple(points)
