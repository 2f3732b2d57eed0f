"""Which scraped processes stand behind a revision's pods, and since when each was watched.

`up` answers what a counter cannot: whether a series is missing because nothing was counted, or because
nobody looked. It has exactly the labels of the target, so each counter belongs to the `up` whose labels
it carries.
"""

import functools
import itertools
import math
import operator
import statistics
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus.answers import RawSeries
from modelrelease.slo.counters import CounterError, CounterSeries, Samples
from modelrelease.slo.observation import SliFailure

STALE_SECONDS_MIN = 30.0
STALE_INTERVALS = 5.0
HISTORY_SECONDS_MIN = 120.0
"""So late a server may find a pod that takes traffic already."""
DETAIL_MAX = 3


class SliError(Exception):
    """There is nothing to judge; carries the verdict."""

    def __init__(self, verdict: Verdict, reason: str, message: str) -> None:
        self.failure = SliFailure(verdict, reason, message)
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class JudgedPod:
    """A recorded pod of the revision that takes, or took, live traffic."""

    name: str
    started: float | None = None
    """Seconds since the epoch at which it was created, where known."""
    serving: bool = True
    """False when it is gone: what it counted counts, and nobody waits for its samples."""


@dataclass(frozen=True, slots=True)
class Target:
    """One scraped process."""

    pod: str
    labels: Mapping[str, str]
    scrapes: tuple[float, ...]
    """Times of successful scrapes, ascending."""
    observed_since: float | None
    """Since when what is not there has not been counted yet; None when that is not known."""
    series: tuple[CounterSeries, ...] = ()


def targets(
    ups: Sequence[RawSeries],
    counters: Sequence[RawSeries],
    pods: Sequence[JudgedPod],
    *,
    pod_label: str,
    start: float,
) -> tuple[Target, ...]:
    """Give each counter its target.

    Parameters
    ----------
    ups, counters : sequence of RawSeries
        Of the same pods and instants.
    pods : sequence of JudgedPod
        Whose series were asked for.
    pod_label : str
        The label that names the pod.
    start : float
        Seconds since the epoch from which requests count.

    Returns
    -------
    tuple of Target
        Those that have counters.

    Raises
    ------
    SliError
        NoData for values that are not numbers; Error for a counter that belongs to no target, or for a
        pod whose requests would be counted twice.
    """
    known = {pod.name: pod for pod in pods}
    of_pod: dict[str | None, list[tuple[int, Set[tuple[str, str]]]]] = {}
    for index, up in enumerate(ups):
        carried = {label: value for label, value in up.labels.items() if label != "__name__"}
        of_pod.setdefault(up.labels.get(pod_label), []).append((index, carried.items()))
    found: dict[int, list[CounterSeries]] = {}
    for raw in counters:
        labels = raw.labels.items()
        owners = [index for index, carried in of_pod.get(raw.labels.get(pod_label), ()) if carried <= labels]
        if len(owners) != 1:
            raise SliError(
                Verdict.ERROR,
                "LabelMismatch",
                f"a series of pod {raw.labels.get(pod_label, '?')} belongs to {len(owners)} targets: its "
                f"labels differ from those of `up`",
            )
        found.setdefault(owners[0], []).append(counter(raw))
    made = []
    for index, series in found.items():
        pod = known[ups[index].labels[pod_label]]
        seen = scrapes(ups[index])
        # A pod that was created after the start has counted nothing before it.
        new = pod.started is not None and pod.started > start
        since = pod.started if new else (seen[0] if seen else None)
        made.append(Target(pod.name, ups[index].labels, seen, since, tuple(series)))
    _once_per_pod(made)
    return tuple(made)


def counter(raw: RawSeries) -> CounterSeries:
    """Return a series as a counter.

    Raises
    ------
    SliError
        NoData for values that are not numbers, Error for what no counter can show.
    """
    if raw.histograms:
        raise SliError(
            Verdict.ERROR, "NotACounter", f"{raw.labels.get('__name__', 'a series')} is a native histogram"
        )
    try:
        return CounterSeries(raw.labels, raw.samples)
    except CounterError as error:
        named = raw.labels.get("__name__", "a series")
        if not all(map(math.isfinite, Samples.of(raw.samples).values)):
            raise SliError(Verdict.NO_DATA, "NotANumber", f"{named} is NaN or infinite") from error
        raise SliError(Verdict.ERROR, "NotACounter", f"{named}: {error}") from error


def _once_per_pod(made: Sequence[Target]) -> None:
    by_pod = sorted(made, key=lambda target: target.pod)
    for pod, group in itertools.groupby(by_pod, key=lambda target: target.pod):
        several = list(group)
        if len(several) > 1:
            where = ", ".join(
                sorted(
                    f"{target.labels.get('job', '?')} {target.labels.get('instance', '?')}"
                    for target in several
                )
            )
            raise SliError(
                Verdict.ERROR,
                "ScrapedTwice",
                f"pod {pod} is scraped as {len(several)} targets ({where}): every request would count "
                f"{len(several)} times",
            )


def check_labels(series: Sequence[RawSeries], expected: Mapping[str, frozenset[str]]) -> None:
    """Make sure that an answer is about what was asked.

    Raises
    ------
    SliError
        Error, if a series is there twice, or a label has a value that was not asked for: a proxy or a
        federation rewrites labels.
    """
    several = {frozenset(raw.labels.items()) for raw in series}
    if len(several) < len(series):
        raise SliError(
            Verdict.ERROR,
            "DuplicateSeries",
            "Prometheus answered with two series of the same labels: each request would count twice",
        )
    for raw in series:
        for label, values in expected.items():
            if raw.labels.get(label) not in values:
                raise SliError(
                    Verdict.ERROR,
                    "LabelMismatch",
                    f"asked for {label} {_some(values)}, and Prometheus answered about "
                    f"{raw.labels.get(label, 'a series without it')!r}",
                )


def interval(ups: Sequence[RawSeries]) -> float:
    """Return the typical time between scrapes in seconds; 0 when none can be seen."""
    return _typical_gap(tuple(Samples.of(up.samples).times for up in ups))


@functools.lru_cache(maxsize=4)  # an observation asks thrice, and hours of many pods must not be held
def _typical_gap(scraped: tuple[tuple[float, ...], ...]) -> float:
    gaps: list[float] = []
    for times in scraped:
        gaps += list(map(operator.sub, times[1:], times))
    return statistics.median(gaps) if gaps else 0.0


def blind(
    ups: Sequence[RawSeries],
    made: Sequence[Target],
    pods: Sequence[JudgedPod],
    *,
    pod_label: str,
    now: float,
) -> tuple[str, ...]:
    """Return the serving pods that were not scraped lately: max(30 s, five scrape intervals).

    Where a pod has counters, the scrapes of their targets decide, the latest of each; others do not help.
    """
    limit = max(STALE_SECONDS_MIN, STALE_INTERVALS * interval(ups))
    latest: dict[str, float] = {}
    for up in ups:
        pod = up.labels[pod_label]
        latest[pod] = max(latest.get(pod, -math.inf), *scrapes(up)[-1:], -math.inf)
    for pod, group in itertools.groupby(sorted(made, key=lambda one: one.pod), key=lambda one: one.pod):
        latest[pod] = min(_newest(target) for target in group)
    return tuple(
        sorted(pod.name for pod in pods if pod.serving and now - latest.get(pod.name, -math.inf) > limit)
    )


def scrapes(up: RawSeries) -> tuple[float, ...]:
    """Return when a target was scraped with success."""
    line = Samples.of(up.samples)
    if line.values.count(1.0) == len(line):
        return line.times
    return tuple(time for time, value in line if value == 1)


def _newest(target: Target) -> float:
    """Return when a target's counters were seen last: a scrape without them has not seen them."""
    scraped = target.scrapes[-1] if target.scrapes else -math.inf
    return min(scraped, max(series.samples[-1].time for series in target.series if series.samples))


def check_history(
    ups: Sequence[RawSeries], made: Sequence[Target], pods: Sequence[JudgedPod], start: float
) -> None:
    """Make sure that serving pods were watched since the start, or their first requests are lost.

    Parameters
    ----------
    ups : sequence of RawSeries
        Of the pods.
    made : sequence of Target
        Their targets with counters.
    pods : sequence of JudgedPod
        Whose.
    start : float
        Seconds since the epoch from which requests count.

    Raises
    ------
    SliError
        NoData, if Prometheus came later: it has lost its newest samples, or found the pod late.
    """
    limit = max(HISTORY_SECONDS_MIN, STALE_INTERVALS * interval(ups))
    # One that was created later has counted from 0, and loses nothing.
    older = {
        pod.name for pod in pods if pod.serving and not (pod.started is not None and pod.started > start)
    }
    for target in made:
        watched = target.observed_since
        if target.pod in older and watched is not None and watched > start + limit:
            raise SliError(
                Verdict.NO_DATA,
                "HistoryLost",
                f"Prometheus has no samples of pod {target.pod} before {watched - start:.0f} s after live "
                f"traffic began: what it counted until then is lost",
            )


def _some(values: frozenset[str]) -> str:
    first = sorted(values)[:DETAIL_MAX]
    return ", ".join(first) + (" …" if len(values) > DETAIL_MAX else "")
