"""What all queries of one observation share, and the words for what they did not find."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus import batches, promql, targets
from modelrelease.prometheus.answers import RawSeries
from modelrelease.prometheus.client import Prometheus
from modelrelease.prometheus.targets import JudgedPod, SliError

MARGIN_SECONDS = 300
"""Fetched before the start, so that the last sample at or before it is there: as far as Prometheus
itself looks back, two scrapes at any interval up to 150 s."""
SKEW_SECONDS_MAX = 15.0


@dataclass(frozen=True, slots=True)
class Question:
    """One observation: whom it is about, and when.

    Parameters
    ----------
    prometheus : Prometheus
        The source.
    path : str
        Of the requests that count.
    namespace : str
        Of the release.
    pods : tuple of JudgedPod
        Of the revision.
    start, now : float
        Seconds since the epoch: requests in (start, now] count.
    since : float
        How far back samples are fetched, at most `start` less the margin.
    """

    prometheus: Prometheus
    path: str
    namespace: str
    pods: tuple[JudgedPod, ...]
    start: float
    now: float
    since: float

    @property
    def range_seconds(self) -> int:
        """Of every query, in whole seconds."""
        return math.ceil(max(self.now - self.since, 0))

    async def clock_ahead(self, present: float) -> float:
        """Return by how many seconds Prometheus' clock is ahead of the cluster's.

        Parameters
        ----------
        present : float
            By the cluster's clock, in seconds since the epoch.

        Raises
        ------
        SliError
            If they differ so much that requests before the start would count.
        """
        ahead = await self.prometheus.now() - present
        if abs(ahead) > SKEW_SECONDS_MAX:
            side = "ahead of" if ahead > 0 else "behind"
            raise SliError(
                Verdict.ERROR, "ClockSkew", f"Prometheus' clock is {abs(ahead):.0f} s {side} the cluster's"
            )
        return ahead

    async def ups(self) -> tuple[RawSeries, ...]:
        """Return `up` of every target of the pods."""
        found = await self.select("up")
        if not found:
            source = self.prometheus.source
            raise SliError(
                Verdict.NO_DATA,
                "NotScraped",
                f"Prometheus scrapes none of the {len(self.pods)} pods (it would say "
                f"{source.namespace_label}={self.namespace!r} and {source.pod_label}={self.pods[0].name!r})",
            )
        return found

    async def select(
        self,
        metric: str,
        matchers: Sequence[promql.Matcher] = (),
        *,
        pod_label: str | None = None,
        namespace_label: str | None = None,
    ) -> tuple[RawSeries, ...]:
        """Return the raw samples of the pods' series; the labels are the source's where none are given."""
        by_pod = pod_label or self.prometheus.source.pod_label
        by_namespace = namespace_label or self.prometheus.source.namespace_label
        found = await self.prometheus.select(
            self._ask(batches.Wanted.SAMPLES, metric, matchers, by_pod, by_namespace)
        )
        self.check(found, by_pod, by_namespace)
        return found

    async def boundaries(self, metric: str, matchers: Sequence[promql.Matcher]) -> tuple[RawSeries, ...]:
        """Return one series for each pod and value of ``le`` of a classic histogram."""
        source = self.prometheus.source
        by_pod, by_namespace = source.pod_label, source.namespace_label
        found = await self.prometheus.select(
            self._ask(batches.Wanted.BOUNDARIES, metric, matchers, by_pod, by_namespace)
        )
        self.check(found, by_pod, by_namespace)
        return found

    def _ask(
        self,
        wanted: batches.Wanted,
        metric: str,
        matchers: Sequence[promql.Matcher],
        pod_label: str,
        namespace_label: str,
    ) -> batches.Ask:
        return batches.Ask(
            wanted,
            metric,
            tuple(matchers),
            namespace_label,
            pod_label,
            self.namespace,
            tuple(sorted(pod.name for pod in self.pods)),
            self.now,
            self.range_seconds,
        )

    def check(self, found: Sequence[RawSeries], pod_label: str, namespace_label: str | None) -> None:
        """Make sure that an answer is about these pods."""
        expected = {pod_label: frozenset(pod.name for pod in self.pods)}
        if namespace_label is not None:
            expected[namespace_label] = frozenset({self.namespace})
        targets.check_labels(found, expected)

    def nothing(self, metric: str) -> SliError:
        """Return that no request was seen, where somebody looks."""
        return SliError(
            Verdict.NO_DATA,
            "NoRequests",
            f"Prometheus scrapes the pods, but has no {metric} for path {self.path!r}: no request yet, or "
            f"the path or the runtime is wrong",
        )
