"""A user's free PromQL: what cannot be proven of it before is checked in its answer."""

import re
from collections.abc import Sequence

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus import metrics, targets
from modelrelease.prometheus.answers import RawSeries
from modelrelease.prometheus.question import Question
from modelrelease.prometheus.targets import SliError
from modelrelease.slo.observation import Contribution

PLACEHOLDER = "$pods"
STEP_SECONDS = 15
"""Between the instants at which an expression is evaluated."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def filled(query: str, pods: Sequence[str]) -> str:
    """Return a query about these pods.

    Kubernetes' names of pods need no escape but the dot's, and that one is written as a class: so what is
    put in means the same in double quotes, single quotes and backticks, and can leave none of them.

    Raises
    ------
    ValueError
        If a name is none of a pod, or the query has no placeholder.
    """
    if PLACEHOLDER not in query:
        raise ValueError(f"the query has no {PLACEHOLDER}")
    if not pods or not all(_NAME.fullmatch(pod) for pod in pods):
        raise ValueError("no name of a pod")
    return query.replace(PLACEHOLDER, "|".join(pod.replace(".", "[.]") for pod in pods))


async def count(
    question: Question, ups: Sequence[RawSeries], queries: metrics.Queries
) -> tuple[Contribution, ...]:
    """Count by a pair of queries.

    Raises
    ------
    SliError
        If an answer is empty, says another pod than was asked for, or one pod twice.
    """
    total = await _asked(question, queries.total)
    bad = await _asked(question, queries.bad)
    pod_label = question.prometheus.source.pod_label
    for found, what in ((total, "total"), (bad, "bad")):
        if not found:
            raise SliError(
                Verdict.NO_DATA,
                "NoRequests" if what == "total" else "BadNeverSeen",
                f"the query {what} has no answer for the {len(question.pods)} pods: if that means none, let "
                f"it say 0, such as with: or 0 * (…)",
            )
    watched: dict[str, float] = {}
    for up in ups:
        scrapes = targets.scrapes(up)
        if scrapes:
            watched[up.labels[pod_label]] = min(scrapes[0], watched.get(up.labels[pod_label], scrapes[0]))
    started = {pod.name: pod.started for pod in question.pods}
    return tuple(
        Contribution(
            targets.counter(raw),
            _since(started[raw.labels[pod_label]], watched.get(raw.labels[pod_label]), question.start),
            total=weight.total,
            bad=weight.bad,
            possibly_bad=weight.bad,
        )
        for found, weight in ((total, metrics.GOOD), (bad, metrics.ALSO_BAD))
        for raw in found
    )


def _since(started: float | None, watched: float | None, start: float) -> float | None:
    return started if started is not None and started > start else watched


async def _asked(question: Question, query: str) -> tuple[RawSeries, ...]:
    pod_label = question.prometheus.source.pod_label
    # A line of its own, so that a comment at the end of the query ends there.
    text = (
        f"({filled(query, [pod.name for pod in question.pods])}\n)[{question.range_seconds}s:{STEP_SECONDS}s]"
    )
    found = await question.prometheus.matrix(text, question.now)
    question.check(found, pod_label, None)
    pods = [raw.labels[pod_label] for raw in found]
    twice = next((pod for pod in pods if pods.count(pod) > 1), None)
    if twice is not None:
        raise SliError(
            Verdict.ERROR, "SeveralSeries", f"a query answers with several series of pod {twice}: sum them"
        )
    return found
