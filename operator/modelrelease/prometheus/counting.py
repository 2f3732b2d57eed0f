"""Counts of good and bad requests from counters."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus import metrics, promql, targets
from modelrelease.prometheus.answers import RawSeries
from modelrelease.prometheus.question import Question
from modelrelease.prometheus.targets import SliError, Target
from modelrelease.slo import counters
from modelrelease.slo.observation import Contribution

STATUS = re.compile(r"([1-5])(?:[0-9]{2}|[xX]{2})?")
SEEN_SECONDS = 3600
"""How far back anybody's series proves that a selector can match."""

Identity = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Counted:
    """What counters say of some pods."""

    contributions: tuple[Contribution, ...]
    targets: tuple[Target, ...]


async def count(question: Question, ups: Sequence[RawSeries], counted: Sequence[metrics.Counter]) -> Counted:
    """Count requests by what their series mean.

    Parameters
    ----------
    question : Question
        Whom and when.
    ups : sequence of RawSeries
        Of the pods' targets.
    counted : sequence of Counter
        What to count; several may select the same series, whose meanings add up.

    Raises
    ------
    SliError
        If nothing was counted, or what was cannot be understood.
    """
    found = await asyncio.gather(
        *(
            question.select(counter.metric, (*counter.paths.matchers(question.path), *counter.only))
            for counter in counted
        )
    )
    for counter, series in zip(counted, found, strict=True):
        if not series and counter.absent is not metrics.Absent.FINE:
            await _absent(question, counter)
    if not any(found):
        if not counted:  # the API server refuses it; an older object may have it
            raise SliError(Verdict.ERROR, "NoCounters", "the runtime does not count failed answers")
        raise question.nothing(counted[0].metric)
    weights: dict[Identity, metrics.Weight] = {}
    by_metric: dict[str, dict[Identity, RawSeries]] = {}
    for counter, series in zip(counted, found, strict=True):
        for raw in series:
            identity = frozenset(raw.labels.items())
            weights[identity] = weights.get(identity, metrics.Weight()) + _weight(raw.labels, counter)
            by_metric.setdefault(counter.metric, {})[identity] = raw
    made = [target for series in by_metric.values() for target in _targets(question, ups, series)]
    contributions = tuple(
        Contribution(
            series,
            target.observed_since,
            restarts,
            total=weight.total,
            bad=weight.bad,
            possibly_bad=weight.bad,
            client_errors=weight.client_errors,
        )
        for target, restarts in zip(made, _restarts(made), strict=True)
        for series in target.series
        for weight in [weights[frozenset(series.labels.items())]]
    )
    return Counted(contributions, tuple(made))


def _targets(
    question: Question, ups: Sequence[RawSeries], series: Mapping[Identity, RawSeries]
) -> tuple[Target, ...]:
    pod_label = question.prometheus.source.pod_label
    return targets.targets(
        ups, tuple(series.values()), question.pods, pod_label=pod_label, start=question.start
    )


def _restarts(made: Sequence[Target]) -> list[tuple[float, ...]]:
    """Return when each target's process restarted, which any of its metrics may show."""
    of: dict[Identity, list[counters.CounterSeries]] = {}
    for target in made:
        of.setdefault(frozenset(target.labels.items()), []).extend(target.series)
    known = {labels: counters.resets(series) for labels, series in of.items()}
    return [known[frozenset(target.labels.items())] for target in made]


async def _absent(question: Question, counter: metrics.Counter) -> None:
    """Say why a counter that must be there is not.

    A failure's series is born with the first failure: that nobody has ever seen one may mean that there was
    none, or that its name or a label is wrong. What the other pods of the namespace have counted tells.
    """
    if counter.absent is metrics.Absent.NO_REQUESTS:
        raise question.nothing(counter.metric)
    namespace = promql.equals(question.prometheus.source.namespace_label, question.namespace)
    anywhere = promql.selector(counter.metric, (namespace, *counter.only), SEEN_SECONDS)
    if not await question.prometheus.vector(f"group(last_over_time({anywhere}))", question.now):
        raise SliError(
            Verdict.NO_DATA,
            "BadNeverSeen",
            f"no pod of namespace {question.namespace!r} has had a series of bad requests ({counter.metric}) "
            f"within an hour: none was bad, or the selector is wrong; whenAbsent: Zero says that it is right",
        )


def _weight(labels: Mapping[str, str], counter: metrics.Counter) -> metrics.Weight:
    if counter.weight is not None:
        return counter.weight
    for label in counter.status_labels:
        if label in labels:
            return _by_status(label, labels, counter)
    raise SliError(
        Verdict.ERROR,
        "UnknownStatus",
        f"a series of requests has none of the labels {', '.join(counter.status_labels)}",
    )


def _by_status(label: str, labels: Mapping[str, str], counter: metrics.Counter) -> metrics.Weight:
    status = labels[label]
    if status == counter.unanswered:
        return metrics.CLIENT_ERROR
    match = STATUS.fullmatch(status)
    if match is None or (len(status) == 1) != counter.first_digit:
        raise SliError(Verdict.ERROR, "UnknownStatus", f"{label}={status[:32]!r} is no HTTP status")
    if match[1] in "45":
        return metrics.CLIENT_ERROR if match[1] == "4" else metrics.BAD
    failed = any(labels.get(name, "") not in fine for name, fine in counter.failed_labels)
    return metrics.BAD if failed else metrics.GOOD
