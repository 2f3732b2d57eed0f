"""What a performance check is asked: the load that is replayed, its mix, its price, and a soak.

In a request it is the field `performance`, which a check of kind `Performance` needs and no other kind has::

    "performance": {
      "arrivals": "Closed",            # or "Poisson", which needs requestsPerSecond
      "concurrency": 4,                # requests in flight, at most
      "requestsPerSecond": "12.5",     # Poisson only
      "durationSeconds": 60,           # per operation, warm-up excluded
      "maxRequests": 2000,             # per operation: whichever comes first
      "warmupSeconds": 5,
      "inputsPerRequest": 1,
      "mix": [{"upTo": 128, "share": "0.7"}, {"upTo": 4096, "share": "0.3"}],   # absent: the golden set's
      "sizeOf": "Input",               # or Pixels, of what is drawn
      "live": {"mix": "Measured", "windowSeconds": 86400, "requests": 12345},   # how `mix` is known
      "seed": 1,
      "hardware": {"accelerator": "NVIDIA-H200", "gpus": 1, "servers": 1},
      "price": {"perGpuHour": "2.50", "currency": "USD", "requestsPerSecond": "40"},
      "soak": {"metricsPath": "/metrics"}
    }

Every field has a default; ``{}`` is a whole question. The limits are the request's own `gates`, in the one
shape that all checks share; which metric takes which limit is in `LIMITS`, and what is judged without a gate
in `DEFAULTS`. Stable's recorded performance comes as the request's one reference of role `Stable` (or
`Recorded`): the file that an earlier check of this kind left in its evidence with `record`. It is no
reference of outputs: neither kind reads the other's. Without one the ratios are not judged, which the message
says, unless a gate declares a ratio and nothing is to be recorded (`NoData`); stable is never asked. A `live`
source and `maxRequestsPerSecond` are refused.

Nothing here imports more than pydantic, because the operator's process imports it.
"""

import enum
from decimal import Decimal
from typing import Annotated, Final, Self

import pydantic

from canary_checks import vocabulary as v

SOAK_SECONDS: Final = 900
SOAK_REQUESTS: Final = 1000
"""A soak lasts until one of these two is reached."""

LATENCY_P50: Final = "LatencyP50Milliseconds"
LATENCY_P95: Final = "LatencyP95Milliseconds"
LATENCY_P99: Final = "LatencyP99Milliseconds"
THROUGHPUT: Final = "ThroughputPerSecond"
ERROR_SHARE: Final = "ErrorShare"
GPU_SECONDS: Final = "GpuSecondsPerInference"
PRICE: Final = "PricePerInference"
STEPS: Final = "StepsPerImage"
MIX_DISTANCE: Final = "MixDistance"
MIX_UNCOVERED: Final = "MixUncovered"
MIX_DRIFT: Final = "MixDrift"
MEMORY_GROWTH: Final = "MemoryGrowthSharePerHour"
RESTARTS: Final = "Restarts"
UNREADABLE: Final = "UnreadableAnswers"
SOAK: Final = "SoakShare"
CLIENT_LAG: Final = "ClientLagMilliseconds"
CLIENT_PROCESSOR: Final = "ClientProcessorShare"
"""Judged always, or always in a soak, without a limit to replace."""

LIMITS: Final[dict[str, frozenset[str]]] = {
    LATENCY_P50: frozenset({"max", "maxRatio"}),
    LATENCY_P95: frozenset({"max", "maxRatio"}),
    LATENCY_P99: frozenset({"max", "maxRatio"}),
    THROUGHPUT: frozenset({"min", "minRatio"}),
    ERROR_SHARE: frozenset({"max"}),
    GPU_SECONDS: frozenset({"max", "maxRatio"}),
    PRICE: frozenset({"max"}),
    STEPS: frozenset({"max", "maxRatio"}),
    MIX_DISTANCE: frozenset({"max"}),
    MIX_UNCOVERED: frozenset({"max"}),
    MIX_DRIFT: frozenset({"max"}),
    MEMORY_GROWTH: frozenset({"max"}),
}
"""Which limits a gate on which metric may have."""

DEFAULTS: Final[dict[str, dict[str, float]]] = {
    LATENCY_P95: {"maxRatio": 1.25},
    THROUGHPUT: {"minRatio": 0.9},
    ERROR_SHARE: {"max": 0.01},
    GPU_SECONDS: {"maxRatio": 1.2},
    STEPS: {"maxRatio": 1.0},
    MIX_DISTANCE: {"max": 0.5},
    MIX_UNCOVERED: {"max": 0.05},
    MIX_DRIFT: {"max": 0.1},
    MEMORY_GROWTH: {"max": 0.01},
}
"""What is judged where no gate says otherwise; a gate on a metric replaces its whole entry here.

By default throughput and GPU-seconds are judged with `Closed` arrivals alone (with others the arrivals set
them), GPU-seconds where the number of GPUs is known, steps where the server tells them, memory in a soak, the
mix where one is declared.
"""

Positive = Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]


class Arrivals(enum.StrEnum):
    """When the next request is sent: on an answer, or when a random schedule says so."""

    CLOSED = "Closed"
    POISSON = "Poisson"


class SizeOf(enum.StrEnum):
    """What the size of a request is: of a text its characters, of an image its bytes, or the pixels drawn."""

    INPUT = "Input"
    PIXELS = "Pixels"


class Bin(v.Model):
    """The share of requests of a size above the bin before and at most `up_to`."""

    up_to: Annotated[int, pydantic.Field(ge=1, le=1_000_000_000)]
    share: Positive


class Hardware(v.Model):
    """What answers: a record of other hardware is no reference. An absent field is not compared."""

    accelerator: v.Short | None = None
    gpus: Annotated[int, pydantic.Field(ge=0, le=1024)] | None = None
    """Of all servers behind the URL together."""
    servers: Annotated[int, pydantic.Field(ge=1, le=1024)] = 1


class Price(v.Model):
    """What a GPU costs, and how many requests a day has."""

    per_gpu_hour: Positive | None = None
    currency: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Z]{3}$")] = "USD"
    requests_per_second: Positive | None = None
    """Of stable's live traffic; None projects nothing."""


class MixSource(enum.StrEnum):
    """Where the mix of a load comes from."""

    DECLARED = "Declared"
    MEASURED = "Measured"
    UNKNOWN = "Unknown"
    """It was to be measured and could not be: `mix` is what is declared for that case, or empty."""


class Live(v.Model):
    """What was seen of the requests that stable gets from its users, just before the check."""

    mix: MixSource = MixSource.DECLARED
    window_seconds: Annotated[int, pydantic.Field(ge=1, le=31_536_000)]
    requests: v.Count = 0
    remark: v.Sentence | None = None
    """Why something is not known."""


class Soak(v.Model):
    """A load that lasts, while the server's memory and its restarts are watched."""

    metrics_path: Annotated[str, pydantic.StringConstraints(pattern=r"^/[!-~]{0,255}$")] = "/metrics"
    metrics_port: Annotated[int, pydantic.Field(ge=1, le=65_535)] | None = None
    """None for the port of the URL."""
    interval_seconds: Annotated[int, pydantic.Field(ge=1, le=60)] = 5


class Performance(v.Model):
    """The load of a performance check and what is known of its price."""

    arrivals: Arrivals = Arrivals.CLOSED
    concurrency: Annotated[int, pydantic.Field(ge=1, le=256)] = 4
    requests_per_second: Positive | None = None
    duration_seconds: Annotated[int, pydantic.Field(ge=1, le=7200)] = 60
    max_requests: Annotated[int, pydantic.Field(ge=1, le=1_000_000)] = 2000
    warmup_seconds: Annotated[int, pydantic.Field(ge=0, le=600)] = 5
    request_timeout_seconds: Annotated[int, pydantic.Field(ge=1, le=600)] = 60
    inputs_per_request: Annotated[int, pydantic.Field(ge=1, le=256)] = 1
    mix: Annotated[tuple[Bin, ...], pydantic.Field(max_length=32)] = ()
    size_of: SizeOf = SizeOf.INPUT
    live: Live | None = None
    """None where nobody was asked about users' requests."""
    seed: Annotated[int, pydantic.Field(ge=0, le=2**31 - 1)] = 1
    hardware: Hardware = Hardware()
    price: Price = Price()
    soak: Soak | None = None

    @pydantic.model_validator(mode="after")
    def _is_one_load(self) -> Self:
        if (self.arrivals is Arrivals.POISSON) is (self.requests_per_second is None):
            raise ValueError("requestsPerSecond belongs to the arrivals Poisson, which need it")
        if self.requests_per_second is not None and not 0 < float(self.requests_per_second) <= 10_000:  # noqa: PLR2004
            raise ValueError("requestsPerSecond must be above 0 and at most 10000")
        edges = [one.up_to for one in self.mix]
        if edges != sorted(set(edges)):
            raise ValueError("the bins of a mix must have ascending upTo")
        if self.mix and sum(Decimal(one.share) for one in self.mix) != 1:
            raise ValueError("the shares of a mix must add up to 1")
        return self


def refused_limit(metric: str, limits: frozenset[str]) -> str | None:
    """Say why a gate of a performance check cannot be meant.

    Parameters
    ----------
    metric
        Of the gate.
    limits
        The names of its limits.

    Returns
    -------
    One sentence, or None for a gate that can.
    """
    known = LIMITS.get(metric)
    if known is None:
        return f"this check has no limit on {metric} to replace, only on {', '.join(sorted(LIMITS))}"
    if not limits <= known:
        return f"{metric} takes {' and '.join(f'`{name}`' for name in sorted(known))}, and nothing else"
    return None
