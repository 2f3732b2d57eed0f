"""From an SLO to counts: what to ask Prometheus, and what the answer means."""

from collections.abc import Sequence

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus import counting, idle, latency, metrics, queries, question, targets, values
from modelrelease.prometheus.answers import QueryError, RawSeries
from modelrelease.prometheus.client import Prometheus
from modelrelease.prometheus.targets import JudgedPod, SliError
from modelrelease.slo.objectives import Objective
from modelrelease.slo.observation import Contribution, SliFailure, SliObservation, accumulate

LOOKBACK_SECONDS = 6 * 3600
"""Older requests do not count any more, which bounds what a query returns. In a longer hold the start
moves, and each such span is judged by looks of its own."""
IDLE_SECONDS_MAX = 3600
"""How far before the start a time without users is looked at."""


async def observe(
    prometheus: Prometheus,
    series: metrics.Series,
    path: str,
    objective: Objective,
    *,
    namespace: str,
    pods: Sequence[JudgedPod],
    live_since: float,
    now: float,
    present: float | None = None,
    idle_times: Sequence[idle.Idle] = (),
) -> SliObservation | SliFailure:
    """Observe one SLO of one revision.

    Parameters
    ----------
    prometheus : Prometheus
        The source that the SLO names.
    series : Series
        What counts: of the runtime, or the user's own.
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
    present : float, optional
        The cluster's clock, where `now` lies in the past.
    idle_times : sequence of Idle
        When no user reached the pods: series that moved then count something else.

    Returns
    -------
    SliObservation or SliFailure
        Whatever Prometheus or the network do; it does not raise for them.
    """
    start = max(live_since, now - LOOKBACK_SECONDS)
    watched = [span for span in idle_times if start - span.start <= IDLE_SECONDS_MAX]
    since = min([start - question.MARGIN_SECONDS, *(span.start for span in watched)])
    asked = question.Question(prometheus, path, namespace, tuple(pods), start, now, since)
    if not pods:
        return SliFailure(Verdict.NO_DATA, "NoPods", "no pod of the candidate has taken live traffic yet")
    try:
        ahead = await asked.clock_ahead(now if present is None else present)
        if isinstance(series, metrics.Threshold):
            return await values.observe(asked, series)
        return await _requests(asked, series, objective, watched, ahead)
    except QueryError as error:
        return SliFailure(Verdict.ERROR, error.reason, error.message)
    except SliError as error:
        return error.failure


async def _requests(
    asked: question.Question,
    series: metrics.RequestMetrics | metrics.Queries,
    objective: Objective,
    watched: Sequence[idle.Idle],
    ahead: float,
) -> SliObservation:
    ups = await asked.ups()
    boundaries = None
    made: tuple[targets.Target, ...] = ()
    contributions: tuple[Contribution, ...]
    if isinstance(series, metrics.Queries):
        contributions = await queries.count(asked, ups, series)
    elif objective.threshold_seconds is None:
        counted = await counting.count(asked, ups, series.counters)
        idle.check(counted, watched, ahead)
        contributions, made = counted.contributions, counted.targets
    else:
        timed = await latency.count(asked, ups, _latency(series), objective.threshold_seconds)
        idle.check(timed.requests, watched, ahead)
        contributions, made, boundaries = timed.contributions, timed.targets, timed.boundaries
    targets.check_history(ups, made, asked.pods, asked.start)
    return SliObservation(
        start=asked.start,
        points=accumulate(contributions, asked.start, asked.now),
        boundaries=boundaries,
        blind=_blind(asked, ups, made),
        interval=targets.interval(ups),
    )


def _latency(series: metrics.RequestMetrics) -> metrics.Latency:
    if series.latency is None:  # the API server refuses it; an older object may have it
        raise SliError(Verdict.ERROR, "NoHistogram", "the runtime has no histogram of how long answers took")
    return series.latency


def _blind(
    asked: question.Question, ups: Sequence[RawSeries], made: Sequence[targets.Target]
) -> tuple[str, ...]:
    pod_label = asked.prometheus.source.pod_label
    return targets.blind(ups, made, asked.pods, pod_label=pod_label, now=asked.now)
