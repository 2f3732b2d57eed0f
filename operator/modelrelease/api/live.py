"""What a performance check learns from Prometheus: how users ask stable, how busy the candidate's GPU was."""

import enum
from typing import Annotated

import pydantic

from modelrelease.api import base

PositiveDecimal = Annotated[str, pydantic.Field(max_length=19, pattern=base.POSITIVE_DECIMAL)]
MetricName = Annotated[
    str, pydantic.Field(min_length=1, max_length=200, pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")
]
LabelName = Annotated[str, pydantic.Field(min_length=1, max_length=128, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class SizeUnit(enum.StrEnum):
    """What the metric counts in."""

    CHARACTERS = "Characters"
    BYTES = "Bytes"
    TOKENS = "Tokens"
    PIXELS = "Pixels"
    """Of the image that is drawn."""


class LiveSizes(base.ApiModel):
    """The metric that tells how large users' requests are."""

    metric: MetricName
    """A classic histogram, without _bucket; with ``label`` a counter of requests."""
    label: LabelName | None = None
    """Of the counter: holds a size, as a number or as 1024x768."""
    unit: SizeUnit = SizeUnit.CHARACTERS
    characters_per_token: PositiveDecimal = "4"
    """With Tokens: how they become the characters that golden texts are measured in."""


class Live(base.ApiModel):
    """The mix and the rate are those of stable's users, as one of the Prometheus sources tells."""

    source: base.DnsLabel = "default"
    window_seconds: Annotated[int, pydantic.Field(ge=300, le=604_800)] = 86_400
    """So far back; of pods that are younger, since they began."""
    sizes: LiveSizes | None = None
    """By default the runtime's own, where it has one; without any the mix stays as declared."""


class AcceleratorMetric(enum.StrEnum):
    """What DCGM tells of a GPU while the load lasts."""

    UTILIZATION = "GpuUtilizationPercent"
    """DCGM_FI_DEV_GPU_UTIL: the share of time in which anything ran on it."""
    SM_ACTIVE = "SmActivePercent"
    """DCGM_FI_PROF_SM_ACTIVE: how many of its processors were busy."""
    MEMORY_GROWTH = "GpuMemoryGrowthSharePerHour"
    """The slope of DCGM_FI_DEV_FB_USED, as a share of it."""


class AcceleratorGate(base.ApiModel):
    """A bound on one metric of the candidate's GPU, under the load alone."""

    metric: AcceleratorMetric
    min: PositiveDecimal | None = None
    """Below it the GPU starves: it waits for the processor, the disk or the network."""
    max: PositiveDecimal | None = None


class Accelerator(base.ApiModel):
    """DCGM's metrics of the candidate's GPU, in the window of the load."""

    source: base.DnsLabel = "default"
    gates: Annotated[
        list[AcceleratorGate], base.ListMap(("metric",)), pydantic.Field(min_length=1, max_length=3)
    ]
