"""Slow requests from the buckets around a threshold, never by interpolation between them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus import counting, metrics, native, promql, targets
from modelrelease.prometheus.answers import RawSeries
from modelrelease.prometheus.question import Question
from modelrelease.prometheus.targets import SliError, Target
from modelrelease.slo import counters
from modelrelease.slo.observation import Boundaries, Contribution

SAME = 1e-9
"""Relative: boundaries are decimal strings, and Prometheus 3 writes "1.0" where 2 wrote "1"."""


@dataclasses.dataclass(frozen=True, slots=True)
class Timed:
    """What a histogram says of some pods."""

    contributions: tuple[Contribution, ...]
    targets: tuple[Target, ...]
    boundaries: Boundaries
    """In seconds, whatever the histogram counts in."""

    @property
    def requests(self) -> counting.Counted:
        """Every request once: the last bucket alone."""
        whole = tuple(
            dataclasses.replace(
                target, series=tuple(one for one in target.series if float(one.labels["le"]) == math.inf)
            )
            for target in self.targets
        )
        return counting.Counted((), whole)


async def count(
    question: Question, ups: Sequence[RawSeries], latency: metrics.Latency, threshold_seconds: float
) -> Timed:
    """Count answers that took longer than a threshold, from both sides of it.

    Parameters
    ----------
    question : Question
        Whom and when.
    ups : sequence of RawSeries
        Of the pods' targets.
    latency : Latency
        The histogram; native where there is no classic one.
    threshold_seconds : float
        Slower is bad.

    Raises
    ------
    SliError
        If nothing was timed, or the buckets cannot be understood.
    """
    threshold = threshold_seconds * latency.units_per_second
    matchers = (*latency.paths.matchers(question.path), *latency.only)
    known = await _boundaries(question, latency.buckets, matchers)
    if known:
        edges, found = await _classic(question, latency.buckets, matchers, known, threshold)
    else:
        edges, found = native.cumulative(await question.select(latency.metric, matchers), threshold)
        if not found:
            raise question.nothing(latency.buckets)
        known = {series.labels["le"]: float(series.labels["le"]) for series in found}
    pod_label = question.prometheus.source.pod_label
    made = targets.targets(ups, found, question.pods, pod_label=pod_label, start=question.start)
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
    per_second = latency.units_per_second
    seconds = Boundaries(edges.lower / per_second, edges.upper / per_second)
    return Timed(tuple(contributions), made, seconds)


async def _classic(
    question: Question,
    metric: str,
    matchers: Sequence[promql.Matcher],
    known: Mapping[str, float],
    threshold: float,
) -> tuple[Boundaries, tuple[RawSeries, ...]]:
    at_most = [value for value in known.values() if value <= threshold or _same(value, threshold)]
    at_least = [value for value in known.values() if value >= threshold or _same(value, threshold)]
    edges = Boundaries(max(at_most, default=0.0), min(at_least, default=math.inf))
    wanted = [text for text, value in known.items() if value in (edges.lower, edges.upper, math.inf)]
    return edges, await question.select(metric, (*matchers, promql.one_of("le", sorted(wanted))))


async def _boundaries(
    question: Question, metric: str, matchers: Sequence[promql.Matcher]
) -> dict[str, float]:
    """Return the upper boundaries of all buckets, as Prometheus writes them."""
    found = await question.boundaries(metric, matchers)
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
