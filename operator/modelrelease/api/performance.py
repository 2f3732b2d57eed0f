"""Performance and cost: a load is replayed against the canary, and compared with what stable did as one."""

import enum
from typing import Annotated

import pydantic

from modelrelease.api import base
from modelrelease.api import live as lives

PositiveDecimal = Annotated[str, pydantic.Field(max_length=19, pattern=base.POSITIVE_DECIMAL)]


class Arrivals(enum.StrEnum):
    """When the next request is sent."""

    CLOSED = "Closed"
    """As soon as one is answered: ``concurrency`` requests are always in flight."""
    POISSON = "Poisson"
    """When a random schedule of ``requestsPerSecond`` says so, as users do."""


class PerformanceMetric(enum.StrEnum):
    """What is bounded."""

    LATENCY_P50 = "LatencyP50Milliseconds"
    LATENCY_P95 = "LatencyP95Milliseconds"
    LATENCY_P99 = "LatencyP99Milliseconds"
    THROUGHPUT = "ThroughputPerSecond"
    ERROR_SHARE = "ErrorShare"
    GPU_SECONDS = "GpuSecondsPerInference"
    PRICE = "PricePerInference"
    STEPS = "StepsPerImage"
    MIX_DISTANCE = "MixDistance"
    MIX_UNCOVERED = "MixUncovered"
    MIX_DRIFT = "MixDrift"
    MEMORY_GROWTH = "MemoryGrowthSharePerHour"


AT_LEAST = frozenset({PerformanceMetric.THROUGHPUT})
"""Metrics of which more is better: they have ``min`` and ``minRatio``, others ``max`` and ``maxRatio``."""
COMPARED = frozenset(
    {
        PerformanceMetric.LATENCY_P50,
        PerformanceMetric.LATENCY_P95,
        PerformanceMetric.LATENCY_P99,
        PerformanceMetric.THROUGHPUT,
        PerformanceMetric.GPU_SECONDS,
        PerformanceMetric.STEPS,
    }
)
"""Metrics that are compared with Stable's record, and so have a ratio."""


class PerformanceGate(base.ApiModel):
    """A bound on one metric, in place of the check's own."""

    metric: PerformanceMetric
    min: PositiveDecimal | None = None
    max: PositiveDecimal | None = None
    min_ratio: PositiveDecimal | None = None
    """Of Stable's recorded value."""
    max_ratio: PositiveDecimal | None = None
    """Of Stable's recorded value."""


class SizeBin(base.ApiModel):
    """The share of requests whose input is larger than the bin before and at most ``upTo``."""

    up_to: Annotated[int, pydantic.Field(ge=1, le=1_000_000_000)]
    """Characters of a text, bytes of an image."""
    share: PositiveDecimal


class Cost(base.ApiModel):
    """What the projections are made of; gates on a price need ``pricePerGpuHour``."""

    price_per_gpu_hour: PositiveDecimal | None = None
    currency: Annotated[str, pydantic.Field(max_length=3, pattern=base.CURRENCY)] = "USD"
    requests_per_second: PositiveDecimal | None = None
    """Of the live traffic that is projected to a day, where ``live`` does not tell it."""


class Soak(base.ApiModel):
    """The load lasts 15 minutes or 1,000 requests, while the server's memory and restarts are watched."""

    metrics_path: Annotated[str, pydantic.Field(max_length=253, pattern=base.PATH)] = "/metrics"
    metrics_port: Annotated[int, pydantic.Field(ge=1, le=65_535)] | None = None
    """By default the model's own."""
    interval_seconds: Annotated[int, pydantic.Field(ge=1, le=60)] = 5


class Performance(base.ApiModel):
    """Latency, throughput and cost under a declared load, against what Stable's own check recorded."""

    golden_set: base.DnsLabel | None = None
    """Which of ``goldenSets`` is sent; by default the built-in one of each operation's modality."""
    operations: (
        Annotated[list[base.DnsLabel], base.ListSet(), pydantic.Field(min_length=1, max_length=8)] | None
    ) = None
    """Which of ``endpoint.operations`` are asked, one after the other; by default all."""
    arrivals: Arrivals = Arrivals.CLOSED
    concurrency: Annotated[int, pydantic.Field(ge=1, le=256)] = 4
    """Most requests in flight at a time."""
    requests_per_second: PositiveDecimal | None = None
    """With Poisson alone."""
    duration_seconds: Annotated[int, pydantic.Field(ge=1, le=7200)] = 60
    """Of each operation, without its warm-up."""
    max_requests: Annotated[int, pydantic.Field(ge=1, le=1_000_000)] = 2000
    """Of each operation: it ends with whichever comes first."""
    warmup_seconds: Annotated[int, pydantic.Field(ge=0, le=600)] = 5
    request_timeout_seconds: Annotated[int, pydantic.Field(ge=1, le=600)] = 60
    inputs_per_request: Annotated[int, pydantic.Field(ge=1, le=256)] = 1
    mix: Annotated[list[SizeBin], pydantic.Field(max_length=32)] = pydantic.Field(default_factory=list)
    """How large users' inputs are; by default as the golden set's. With live: while that is not known."""
    live: lives.Live | None = None
    """Measure the mix and the rate of stable's users in place of declaring them."""
    accelerator: lives.Accelerator | None = None
    """Judge what DCGM tells of the candidate's GPU under the load."""
    cost: Cost = Cost()
    soak: Soak | None = None
    gates: Annotated[list[PerformanceGate], base.ListMap(("metric",)), pydantic.Field(max_length=12)] = (
        pydantic.Field(default_factory=list)
    )
