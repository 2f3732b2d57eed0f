"""What the numbers of a replay allow to say: a limit is kept or broken where the whole interval says so."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import numpy as np

from canary_checks import failure, request, schema
from canary_checks import vocabulary as v
from canary_checks.performance import driver, intervals, memory, mixing, recorded, replay

_LATENCIES: Final = {replay.LATENCY_P50: 0.5, replay.LATENCY_P95: 0.95, replay.LATENCY_P99: 0.99}
_THOUSAND: Final = 1000.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_LEAST_ANSWERS: Final = 30
"""From so many on, a load without any error passes, though its interval may reach beyond the limit."""
_LAG_SECONDS: Final = 0.002
_LAG_SHARE: Final = 0.1
_BUSY: Final = 0.9

Against = Literal["Absolute", "Stable", "Recorded"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replayed:
    """One operation's replay, and what is needed to judge it.

    Attributes
    ----------
    measured, mixed
        What came of the load, and how representative it was.
    unreadable, looked
        How many answers were looked at, and how many of them the protocol cannot read.
    steps
        Mean number of steps that the answers tell, or None.
    watched
        Of a soak: what its metrics told.
    """

    measured: driver.Measured
    mixed: mixing.Mixed
    unreadable: int = 0
    looked: int = 0
    steps: float | None = None
    watched: memory.Series | None = None


class Limits:
    """The limits of a check: its defaults, and the gates that replace them.

    Raises
    ------
    CheckError
        ``InvalidRequest``: a gate that this check would ignore.
    """

    def __init__(self, gates: Sequence[request.GateOverride], asked: replay.Performance) -> None:
        self._declared: dict[str, dict[str, float]] = {}
        for gate in gates:
            why = replay.refused_limit(gate.metric, frozenset(gate.limits()))
            if why is not None:
                raise failure.CheckError("InvalidRequest", why)
            if any(limit < 0 for limit in gate.limits().values()):
                raise failure.CheckError("InvalidRequest", f"{gate.metric}: a limit is at least 0")
            self._declared[gate.metric] = gate.limits()
        self._by_answers = asked.arrivals is replay.Arrivals.CLOSED

    def of(self, metric: str) -> Iterator[tuple[str, float, v.Basis]]:
        """Yield the limits of a metric: name, value and where it comes from."""
        if metric in self._declared:
            for name, value in self._declared[metric].items():
                yield name, value, v.Basis.DECLARED
            return
        if metric in {replay.THROUGHPUT, replay.GPU_SECONDS} and not self._by_answers:
            return
        for name, value in replay.DEFAULTS.get(metric, {}).items():
            yield name, value, v.Basis.DEFAULT

    def declared(self, metric: str) -> bool:
        """Whether somebody asked for a limit on this metric."""
        return metric in self._declared


def client_gates(measured: driver.Measured) -> tuple[schema.Gate, ...]:
    """Judge the replay itself: where it is slow, the numbers are its own and nothing else may be concluded.

    Parameters
    ----------
    measured
        What a load measured.

    Returns
    -------
    Gates that are Pass or Inconclusive, or NoData of a load that was over at once: how late the process was
    at its 95th percentile, which may be a tenth of the latencies', and its share of a core.
    """
    samples = len(measured.lags)
    lag, latency = _p95(measured.lags), _p95(measured.latencies)
    most = max(_LAG_SECONDS, _LAG_SHARE * latency if math.isfinite(latency) else 0.0)
    return tuple(
        schema.Gate(
            metric=metric,
            verdict=_at_most(observed, limit) if samples else v.Verdict.NO_DATA,
            observed=observed,
            operator="<=",
            limit=limit,
            basis=v.Basis.DEFAULT,
            samples=samples,
        )
        for metric, observed, limit in (
            (replay.CLIENT_LAG, lag * _THOUSAND, most * _THOUSAND),
            (replay.CLIENT_PROCESSOR, measured.processor, _BUSY),
        )
    )


def saturated(measured: driver.Measured) -> bool:
    """Whether the client and not the server was the bottleneck."""
    return any(gate.verdict is v.Verdict.INCONCLUSIVE for gate in client_gates(measured))


def _at_most(observed: float, limit: float) -> v.Verdict:
    return v.Verdict.PASS if observed <= limit else v.Verdict.INCONCLUSIVE


def _p95(values: driver.Scalars) -> float:
    return float(np.quantile(values, 0.95, method="higher")) if values.size else 0.0


def judge(
    found: Replayed,
    asked: replay.Performance,
    limits: Limits,
    stable: recorded.Performed | None,
    against: Against = "Stable",
) -> tuple[schema.Gate, ...]:
    """Judge one operation.

    Parameters
    ----------
    found
        What its replay measured.
    asked
        The load.
    limits
        What may be.
    stable
        What it is compared with, under the same load; None judges no ratio.
    against
        What `stable` is called.

    Returns
    -------
    The gates. A metric with a declared limit that could not be measured is `NoData`.
    """
    measured = found.measured
    judge_one = _Judge(limits, against, unsure=saturated(measured))
    judge_one.errors(measured)
    judge_one.gates += client_gates(measured)
    judge_one.exact(replay.UNREADABLE, found.unreadable, samples=found.looked)
    ours, theirs = estimates(found, asked), _estimates_of(stable, asked)
    for metric in (*_LATENCIES, replay.THROUGHPUT, replay.GPU_SECONDS, replay.PRICE):
        judge_one.interval(metric, ours.get(metric), theirs.get(metric), measured.answered)
    steps = [None if x is None else intervals.Interval(x, x, x) for x in (found.steps, _steps(stable))]
    judge_one.certain(replay.STEPS, steps[0], steps[1], found.looked)
    for metric, value in (
        (replay.MIX_DISTANCE, found.mixed.distance),
        (replay.MIX_UNCOVERED, found.mixed.uncovered),
        (replay.MIX_DRIFT, found.mixed.drift),
    ):
        judge_one.representative(metric, value, found.mixed.order.shape[0])
    if found.watched is not None:
        judge_one.soak(found, found.watched)
    elif limits.declared(replay.MEMORY_GROWTH):
        judge_one.interval(replay.MEMORY_GROWTH, None, None, 0)
    return tuple(judge_one.gates)


def estimates(found: Replayed, asked: replay.Performance) -> dict[str, intervals.Interval]:
    """Return what a replay tells of latency, throughput and price, as far as it tells; latencies in ms."""
    measured = found.measured
    if not measured.latencies.size:
        return {}
    throughput = intervals.rate(measured.completed, max(measured.seconds, 1e-9))
    return _estimated(measured.latencies, throughput, asked)


def _estimates_of(
    stable: recorded.Performed | None, asked: replay.Performance
) -> dict[str, intervals.Interval]:
    return {} if stable is None else _estimated(stable.latencies, stable.throughput, asked)


def _steps(stable: recorded.Performed | None) -> float | None:
    return None if stable is None else stable.said.steps


def _estimated(
    latencies: driver.Scalars, throughput: intervals.Interval, asked: replay.Performance
) -> dict[str, intervals.Interval]:
    made = {metric: intervals.quantile(latencies, q).times(_THOUSAND) for metric, q in _LATENCIES.items()}
    made[replay.THROUGHPUT] = throughput
    gpus = asked.hardware.gpus
    if gpus:
        made[replay.GPU_SECONDS] = throughput.times(asked.inputs_per_request).inverse().times(gpus)
        if asked.price.per_gpu_hour is not None:
            price = float(asked.price.per_gpu_hour) / _HOUR
            made[replay.PRICE] = made[replay.GPU_SECONDS].times(price)
    return made


def projected(made: Mapping[str, intervals.Interval], asked: replay.Performance) -> dict[str, float]:
    """Return GPU-hours and cost per day at stable's live rate, where rate, GPUs and price are known."""
    rate, gpu_seconds = asked.price.requests_per_second, made.get(replay.GPU_SECONDS)
    if rate is None or gpu_seconds is None or not math.isfinite(gpu_seconds.point):
        return {}
    inferences = float(rate) * _DAY * asked.inputs_per_request
    found = {"GpuHoursPerDay": inferences * gpu_seconds.point / _HOUR}
    if replay.PRICE in made:
        found["CostPerDay"] = inferences * made[replay.PRICE].point
    return found


class _Judge:
    """Collects gates."""

    def __init__(self, limits: Limits, against: Against, *, unsure: bool) -> None:
        self.gates: list[schema.Gate] = []
        self._limits = limits
        self._against = against
        self._unsure = unsure

    def interval(
        self, metric: str, ours: intervals.Interval | None, theirs: intervals.Interval | None, samples: int
    ) -> None:
        """Judge an estimate, and its ratio to stable's."""
        for name, limit, basis in self._limits.of(metric):
            if name.endswith("Ratio"):
                if theirs is None:
                    continue
                made = None if ours is None else intervals.ratio(ours, theirs)
                self._add(_ratio(metric), made, name, (limit, basis), samples=samples, against=self._against)
            elif ours is not None or basis is v.Basis.DECLARED:
                self._add(metric, ours, name, (limit, basis), samples=samples, against="Absolute")

    def certain(
        self, metric: str, ours: intervals.Interval | None, theirs: intervals.Interval | None, samples: int
    ) -> None:
        """Judge what the server tells of itself: how late the replay was does not touch it."""
        unsure, self._unsure = self._unsure, False
        self.interval(metric, ours, theirs, samples)
        self._unsure = unsure

    def _add(
        self,
        metric: str,
        made: intervals.Interval | None,
        name: str,
        limit: tuple[float, v.Basis],
        *,
        samples: int,
        against: Against,
    ) -> None:
        upper = name.startswith("max")
        if made is None or not samples:
            verdict = v.Verdict.NO_DATA
        elif self._unsure:
            verdict = v.Verdict.INCONCLUSIVE
        else:
            verdict = verdict_of(made, limit[0], upper=upper)
        known = made or intervals.Interval(math.nan, math.nan, math.nan)
        self.gates.append(
            schema.Gate(
                metric=metric,
                against=against,
                verdict=verdict,
                observed=v.number(known.point),
                low=None if made is None else v.number(made.low),
                high=None if made is None else v.number(made.high),
                operator="<=" if upper else ">=",
                limit=limit[0],
                basis=limit[1],
                samples=samples,
            )
        )

    def errors(self, measured: driver.Measured) -> None:
        """Judge the share of requests without a usable answer."""
        made = intervals.share(measured.errors, measured.judged)
        for _, limit, basis in self._limits.of(replay.ERROR_SHARE):
            if not measured.judged:
                verdict = v.Verdict.NO_DATA
            elif not measured.errors and measured.judged >= _LEAST_ANSWERS:
                verdict = v.Verdict.PASS
            else:
                verdict = verdict_of(made, limit, upper=True)
            self.gates.append(
                schema.Gate(
                    metric=replay.ERROR_SHARE,
                    verdict=verdict,
                    observed=v.number(made.point),
                    low=made.low,
                    high=made.high,
                    operator="<=",
                    limit=limit,
                    basis=basis,
                    samples=measured.judged,
                )
            )

    def exact(self, metric: str, observed: int, *, samples: int) -> None:
        """Judge a count that must be 0."""
        met = v.Verdict.PASS if not observed else v.Verdict.FAIL
        self.gates.append(
            schema.Gate(
                metric=metric,
                verdict=met if samples else v.Verdict.NO_DATA,
                observed=observed,
                operator="==",
                limit=0,
                basis=v.Basis.EXACT,
                samples=samples,
            )
        )

    def representative(self, metric: str, value: float | None, samples: int) -> None:
        """Judge the mix: beyond its limit nothing is broken, but the numbers are of something else."""
        for _, limit, basis in self._limits.of(metric):
            if value is None and basis is not v.Basis.DECLARED:
                continue
            verdict = v.Verdict.NO_DATA
            if value is not None:
                verdict = _at_most(value, limit)
            self.gates.append(
                schema.Gate(
                    metric=metric,
                    verdict=verdict,
                    observed=v.number(math.nan if value is None else value),
                    operator="<=",
                    limit=limit,
                    basis=basis,
                    samples=samples,
                )
            )

    def soak(self, found: Replayed, watched: memory.Series) -> None:
        """Judge what only shows after a while."""
        measured = found.measured
        gone = measured.outcomes.get(driver.Outcome.UNREACHED, 0)
        self.exact(
            replay.RESTARTS,
            watched.restarts + (1 if gone and not watched.restarts else 0),
            samples=measured.judged,
        )
        lasted = max(measured.seconds / replay.SOAK_SECONDS, measured.judged / replay.SOAK_REQUESTS)
        self.gates.append(
            schema.Gate(
                metric=replay.SOAK,
                verdict=v.Verdict.PASS if lasted >= 1 else v.Verdict.INCONCLUSIVE,
                observed=lasted,
                operator=">=",
                limit=1.0,
                basis=v.Basis.DEFAULT,
                samples=measured.judged,
            )
        )
        growth = watched.growth
        if growth is not None or self._limits.declared(replay.MEMORY_GROWTH):
            self.certain(replay.MEMORY_GROWTH, growth, None, len(watched.times) if growth else 0)


def verdict_of(made: intervals.Interval, limit: float, *, upper: bool) -> v.Verdict:
    """Return Pass or Fail where the whole interval lies on one side of the limit, else Inconclusive."""
    if math.isnan(made.point):
        return v.Verdict.INCONCLUSIVE
    inside = made.high <= limit if upper else made.low >= limit
    outside = made.low > limit if upper else made.high < limit
    if inside:
        return v.Verdict.PASS
    return v.Verdict.FAIL if outside else v.Verdict.INCONCLUSIVE


def _ratio(metric: str) -> str:
    for unit in ("Milliseconds", "PerSecond", "PerInference", "PerImage"):
        metric = metric.removesuffix(unit)
    return f"{metric}Ratio"
