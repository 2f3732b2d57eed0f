"""The rules about performance checks."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from modelrelease.api import performance, rule

_AT: Final = "spec.checks[*].performance"
_LIMITS: Final = ("min", "minRatio", "max", "maxRatio")
_AT_LEAST: Final = sorted(metric.value for metric in performance.AT_LEAST)
_COMPARED: Final = sorted(metric.value for metric in performance.COMPARED)
_ROOM: Final = 30
"""Seconds that a check has besides its load."""
_SOAK: Final = 900


def _fits(gate: Mapping[str, Any]) -> bool:
    least, compared = gate["metric"] in _AT_LEAST, gate["metric"] in _COMPARED
    allowed = {"min", "minRatio"} if least else {"max", "maxRatio"}
    limits = {limit for limit in _LIMITS if limit in gate}
    return bool(limits) and limits <= allowed - (set() if compared else {"minRatio", "maxRatio"})


def _limits(metric: str) -> str:
    """Return the CEL that says whether a metric is limited."""
    return f"has(self.gates) && self.gates.exists(g, g.metric == '{metric}')"


def _is_whole(mix: list[Mapping[str, Any]]) -> bool:
    sizes = [entry["upTo"] for entry in mix]
    whole = not mix or sum(Decimal(entry["share"]) for entry in mix) == 1
    return sizes == sorted(set(sizes)) and whole


def _lasts(release: Mapping[str, Any]) -> bool:
    usual = release["checkTemplate"]["activeDeadlineSeconds"]
    return all(
        (_SOAK if "soak" in load else load["durationSeconds"]) + load["warmupSeconds"] + _ROOM
        <= check.get("deadlineSeconds", usual)
        for check in release.get("checks", ())
        if (load := check.get("performance")) is not None
    )


PERFORMANCE_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="performance-limits",
        paths=(f"{_AT}.gates[*]",),
        cel=(
            f"(self.metric in {_AT_LEAST} ? ((has(self.min) || has(self.minRatio)) && !has(self.max) && "
            f"!has(self.maxRatio)) : ((has(self.max) || has(self.maxRatio)) && !has(self.min) && "
            f"!has(self.minRatio))) && (self.metric in {_COMPARED} || (!has(self.minRatio) && "
            f"!has(self.maxRatio)))"
        ),
        message=(
            "must set min or minRatio for ThroughputPerSecond, and max or maxRatio for every other metric: "
            "a ratio only for latencies, throughput, GpuSecondsPerInference and StepsPerImage"
        ),
        holds=_fits,
    ),
    rule.Rule(
        id="performance-arrivals",
        paths=(_AT,),
        field=".requestsPerSecond",
        cel=(
            "self.arrivals == 'Poisson' ? (has(self.requestsPerSecond) && "
            "double(self.requestsPerSecond) > 0.0 && double(self.requestsPerSecond) <= 10000.0) : "
            "!has(self.requestsPerSecond)"
        ),
        message=(
            "must be above 0 and at most 10000 with arrivals Poisson, and left out with Closed, which sends "
            "as soon as one is answered"
        ),
        holds=lambda load: (
            0 < Decimal(load.get("requestsPerSecond", "0")) <= 10_000  # noqa: PLR2004
            if load["arrivals"] == "Poisson"
            else "requestsPerSecond" not in load
        ),
    ),
    rule.Rule(
        id="performance-mix",
        paths=(f"{_AT}.mix",),
        cel=(
            "size(self) == 0 || (self.map(b, b.upTo).isSorted() && "
            "self.all(a, self.exists_one(b, b.upTo == a.upTo)) && "
            "self.map(b, double(b.share)).sum() > 0.9999999995 && "
            "self.map(b, double(b.share)).sum() < 1.0000000005)"
        ),
        message="must have ascending upTo, and shares that add up to 1: put it in order, or correct them",
        holds=_is_whole,
    ),
    rule.Rule(
        id="performance-price",
        paths=(_AT,),
        field=".gates",
        cel=f"has(self.cost.pricePerGpuHour) || !({_limits('PricePerInference')})",
        message="must not limit PricePerInference without cost.pricePerGpuHour: add what a GPU costs",
        holds=lambda load: (
            "pricePerGpuHour" in load["cost"]
            or all(gate["metric"] != "PricePerInference" for gate in load.get("gates", ()))
        ),
    ),
    rule.Rule(
        id="performance-soak",
        paths=(_AT,),
        field=".gates",
        cel=f"has(self.soak) || !({_limits('MemoryGrowthSharePerHour')})",
        message="must not limit MemoryGrowthSharePerHour without soak, which watches memory: add soak: {}",
        holds=lambda load: (
            "soak" in load
            or all(gate["metric"] != "MemoryGrowthSharePerHour" for gate in load.get("gates", ()))
        ),
    ),
    rule.Rule(
        id="performance-accelerator",
        paths=(f"{_AT}.accelerator.gates[*]",),
        cel="has(self.max) || (has(self.min) && self.metric != 'GpuMemoryGrowthSharePerHour')",
        message="must set max, or min where the metric is not GpuMemoryGrowthSharePerHour",
        holds=lambda gate: (
            "max" in gate or ("min" in gate and gate["metric"] != "GpuMemoryGrowthSharePerHour")
        ),
    ),
    rule.Rule(
        id="performance-live-sizes",
        paths=(f"{_AT}.live.sizes",),
        field=".charactersPerToken",
        cel="double(self.charactersPerToken) > 0.0",
        message="must be above 0: how many characters a token has on average",
        holds=lambda sizes: Decimal(sizes["charactersPerToken"]) > 0,
    ),
    rule.Rule(
        id="performance-deadline",
        paths=("spec",),
        field=".checks",
        cel=(
            "!has(self.checks) || self.checks.all(c, !has(c.performance) || "
            f"(has(c.performance.soak) ? {_SOAK} : c.performance.durationSeconds) + "
            f"c.performance.warmupSeconds + {_ROOM} <= "
            "(has(c.deadlineSeconds) ? c.deadlineSeconds : self.checkTemplate.activeDeadlineSeconds))"
        ),
        message=(
            f"must give a performance check the time of its load: deadlineSeconds of at least "
            f"durationSeconds (with soak {_SOAK}) + warmupSeconds + {_ROOM}, for each operation"
        ),
        holds=_lasts,
    ),
)
