"""How many requests users send to some pods, and how large those are."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from modelrelease.api import endpoint, live
from modelrelease.prometheus import metrics, promql
from modelrelease.prometheus.answers import RawSeries
from modelrelease.prometheus.client import Prometheus

SIZES: Final[Mapping[endpoint.Runtime, live.LiveSizes]] = {
    # docs/design/metrics.md of vLLM, and the metrics page of text-generation-inference: both histograms of
    # the prompt's tokens.
    endpoint.Runtime.VLLM: live.LiveSizes(metric="vllm:request_prompt_tokens", unit=live.SizeUnit.TOKENS),
    endpoint.Runtime.TEXT_GENERATION_INFERENCE: live.LiveSizes(
        metric="tgi_request_input_length", unit=live.SizeUnit.TOKENS
    ),
}
"""What tells the size of a text, by runtime; the others export none (docs/checks/performance.md)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """Whose requests: some pods, over a window that ends at an instant.

    Parameters
    ----------
    prometheus
        The source.
    namespace, pods
        Whose.
    window_seconds
        Whole seconds.
    at
        Seconds since the epoch.
    """

    prometheus: Prometheus
    namespace: str
    pods: Sequence[str]
    window_seconds: int
    at: float

    async def requests(self, counters: Sequence[metrics.Counter], path: str) -> dict[str, float]:
        """Return how many requests each pod has answered, whatever the answer.

        Raises
        ------
        modelrelease.prometheus.answers.QueryError
            There is no complete answer.
        """
        found: dict[str, float] = {}
        pod = self.prometheus.source.pod_label
        for counter in counters:
            # What has no weight is told apart by its status; all of it was asked.
            if counter.weight is not None and not (counter.weight.total or counter.weight.client_errors):
                continue
            wanted = (*counter.only, *counter.paths.matchers(path))
            for series in await self._increase(counter.metric, wanted, by=pod):
                name = series.labels.get(pod, "")
                found[name] = found.get(name, 0.0) + _value(series)
        return found

    async def buckets(self, metric: str) -> dict[float, float]:
        """Return a histogram's requests by the upper bounds of its buckets, cumulative; as `requests`."""
        found: dict[float, float] = {}
        for series in await self._increase(f"{metric}_bucket", (), by="le"):
            try:
                bound = float(series.labels.get("le", ""))
            except ValueError:
                continue
            if not math.isnan(bound):
                found[bound] = found.get(bound, 0.0) + _value(series)
        return found

    async def labels(self, metric: str, label: str) -> dict[str, float]:
        """Return the requests of a counter by the values of a label; as `requests`."""
        return {
            series.labels.get(label, ""): _value(series)
            for series in await self._increase(metric, (), by=label)
        }

    async def _increase(
        self, metric: str, more: Sequence[promql.Matcher], *, by: str
    ) -> tuple[RawSeries, ...]:
        source = self.prometheus.source
        asked = (
            promql.equals(source.namespace_label, self.namespace),
            promql.one_of(source.pod_label, sorted(self.pods)),
            *more,
        )
        inner = promql.selector(metric, asked, self.window_seconds)
        return await self.prometheus.vector(f"sum by ({by}) (increase({inner}))", self.at)


def _value(series: RawSeries) -> float:
    value = series.samples[0].value if series.samples else 0.0
    return value if math.isfinite(value) and value > 0 else 0.0
