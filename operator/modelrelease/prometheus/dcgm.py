"""DCGM's metrics of the GPU of one pod, in the window in which it was under load."""

import math
from typing import Final

from modelrelease.api import live
from modelrelease.prometheus import promql
from modelrelease.prometheus.client import Prometheus

_METRICS: Final = {
    live.AcceleratorMetric.UTILIZATION: ("DCGM_FI_DEV_GPU_UTIL", 1.0),
    # Of 0 to 1, unlike the one above.
    live.AcceleratorMetric.SM_ACTIVE: ("DCGM_FI_PROF_SM_ACTIVE", 100.0),
    live.AcceleratorMetric.MEMORY_GROWTH: ("DCGM_FI_DEV_FB_USED", 1.0),
}
_OTHERS: Final = "exported_"
"""Where Prometheus puts the pod that uses the GPU, when `pod` is the exporter's own (honor_labels: false)."""


async def series(
    prometheus: Prometheus,
    metric: live.AcceleratorMetric,
    *,
    namespace: str,
    pod: str,
    start: float,
    end: float,
) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return the samples of a metric, one series for each GPU of the pod.

    Parameters
    ----------
    prometheus
        The source.
    metric
        Which.
    namespace, pod
        Who uses the GPU.
    start, end
        Of the load, in seconds since the epoch.

    Raises
    ------
    modelrelease.prometheus.answers.QueryError
        There is no complete answer.
    """
    name, factor = _METRICS[metric]
    source = prometheus.source
    seconds = max(1, math.ceil(end - start))
    for prefix in ("", _OTHERS):
        matchers = (
            promql.equals(f"{prefix}{source.namespace_label}", namespace),
            promql.equals(f"{prefix}{source.pod_label}", pod),
        )
        found = await prometheus.matrix(promql.selector(name, matchers, seconds), end)
        if found:
            return tuple(
                tuple((sample.time, sample.value * factor) for sample in one.samples if sample.time >= start)
                for one in found
            )
    return ()
