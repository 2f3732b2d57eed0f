"""A user's own series of an SLO: by selectors, and as the last resort by free PromQL.

Nothing here reaches PromQL unescaped but ``queries``, whose answer is held against the asked pods.
"""

import enum
from typing import Annotated, Final

import pydantic

from modelrelease.api import base

METRIC: Final = r"^[a-zA-Z_:][a-zA-Z0-9_:]*$"
LABEL: Final = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
PODS: Final = '=~"$pods"'
"""What a free query must hold: the matcher of the label that names the pod."""

MetricName = Annotated[str, pydantic.Field(min_length=1, max_length=200, pattern=METRIC)]
LabelName = Annotated[str, pydantic.Field(min_length=1, max_length=128, pattern=LABEL)]
LabelText = Annotated[str, pydantic.Field(max_length=128)]
Query = Annotated[str, pydantic.Field(min_length=1, max_length=2048)]


class Operator(enum.StrEnum):
    """Whether the label must, or must not, have one of the values."""

    IN = "In"
    NOT_IN = "NotIn"


class LabelMatch(base.ApiModel):
    """A condition on one label; the values are exact, never patterns."""

    label: LabelName
    operator: Operator = Operator.IN
    values: Annotated[list[LabelText], base.ListSet(), pydantic.Field(min_length=1, max_length=16)]
    """The empty one stands for a label that is not there."""


Labels = Annotated[list[LabelMatch], base.ListMap(("label",)), pydantic.Field(max_length=8)]


class Selection(base.ApiModel):
    """Some series of one metric; the operator adds the namespace and the pods."""

    metric: MetricName
    labels: Labels = pydantic.Field(default_factory=list)


class WhenAbsent(enum.StrEnum):
    """What it means that no series of bad requests was ever seen."""

    NO_DATA = "NoData"
    ZERO = "Zero"


class Ratio(base.ApiModel):
    """A share of requests, or of anything else that is counted: exactly two of total, good and bad."""

    total: Selection | None = None
    good: Selection | None = None
    bad: Selection | None = None
    when_absent: WhenAbsent | None = None
    """With bad: whether a series of it that nobody has ever seen means none, or a mistake (the default)."""


class Unit(enum.StrEnum):
    """In what a histogram counts."""

    SECONDS = "Seconds"
    MILLISECONDS = "Milliseconds"
    MICROSECONDS = "Microseconds"


class Histogram(base.ApiModel):
    """The share of what took no longer than a threshold; classic or native."""

    metric: MetricName
    """Without _bucket."""
    labels: Labels = pydantic.Field(default_factory=list)
    unit: Unit = Unit.SECONDS
    threshold_milliseconds: Annotated[int, pydantic.Field(ge=1, le=3_600_000)]


class ValueKind(enum.StrEnum):
    """What of a metric is held against the bound."""

    GAUGE = "Gauge"
    INCREASE = "Increase"


class Threshold(base.ApiModel):
    """A value of each pod that must stay within a bound, at the objective's share of its samples."""

    metric: MetricName
    labels: Labels = pydantic.Field(default_factory=list)
    kind: ValueKind = ValueKind.GAUGE
    """Gauge: the value itself. Increase: how much a counter has grown since live traffic began."""
    max: base.DecimalString | None = None
    min: base.DecimalString | None = None
    pod_label: LabelName | None = None
    """Where an exporter writes the pod, such as exported_pod; by default as the source says."""
    namespace_label: LabelName | None = None
    """The same for the namespace."""


class Queries(base.ApiModel):
    """Free PromQL of two cumulative counts: the last resort, because nothing can prove what it counts."""

    total: Query
    """Such as sum by (pod) (answers_total{pod=~"$pods"}): a value that only grows, for each pod."""
    bad: Query


class OwnSeries(base.ApiModel):
    """What is counted, where no runtime's metrics say it: exactly one of these."""

    ratio: Ratio | None = None
    histogram: Histogram | None = None
    threshold: Threshold | None = None
    queries: Queries | None = None
