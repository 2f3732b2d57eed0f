"""What DCGM's samples of a GPU under load allow to say: busy enough, starved, or filling up. Pure."""

import dataclasses
import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from modelrelease.api import live, reasons
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.core import observation, verdict

Metric = live.AcceleratorMetric
Series = Sequence[tuple[float, float]]
"""Time in seconds and value, ascending, of one GPU."""

LEAST_SAMPLES: Final = 5
LEAST_FOR_SLOPE: Final = 8
_STUDENT: Final = 2.776
"""97.5 % of Student's t for five samples: for more of them too, because neighbours in time are alike."""
_NORMAL: Final = 1.959964
_MOST: Final = 120
_HOUR: Final = 3600.0
_SETTLING: Final = 0.1
"""The first tenth fills caches and pools, which is no leak; as in a soak."""


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """The gates of one check, and one sentence about them."""

    gates: tuple[api_run.GateStatus, ...]
    message: str

    @property
    def verdict(self) -> Verdict:
        """The gate that weighs most."""
        return verdict.worst(gate.verdict for gate in self.gates) or Verdict.NO_DATA


@dataclasses.dataclass(frozen=True, slots=True)
class _Interval:
    low: float
    point: float
    high: float
    samples: int


def judge(asked: Sequence[live.AcceleratorGate], found: Mapping[Metric, Sequence[Series]]) -> Judged:
    """Judge a GPU by the samples of the window of a load; of several GPUs each one alone.

    Parameters
    ----------
    asked
        The bounds.
    found
        Series by metric, one for each GPU; values in the metric's own unit.

    Returns
    -------
    A gate for each bound. Pass or Fail where the interval of every, or of one, GPU says so, else
    `Inconclusive`; `NoData` where there are too few samples.
    """
    gates = tuple(
        _gate(one.metric, name, float(limit), found.get(one.metric, ()))
        for one in asked
        for name, limit in (("min", one.min), ("max", one.max))
        if limit is not None
    )
    return Judged(gates, "; ".join(_sentence(gate) for gate in gates))


def unknown(asked: Sequence[live.AcceleratorGate], why: str) -> Judged:
    """Return `NoData` for every bound."""
    return dataclasses.replace(judge(asked, {}), message=reasons.shortened(why, 400))


def _gate(metric: Metric, name: str, limit: float, series: Sequence[Series]) -> api_run.GateStatus:
    made = [found for one in series if (found := _estimate(metric, one)) is not None]
    said = api_run.GateStatus(
        metric=metric.value,
        verdict=Verdict.NO_DATA,
        operator="<=" if name == "max" else ">=",
        limit=f"{limit:.4g}",
        against="Absolute",
        samples=sum(len(one) for one in series),
    )
    if not made or len(made) < len(series):
        return said
    verdicts = [_verdict(one, limit, upper=name == "max") for one in made]
    worst = verdict.worst(verdicts) or Verdict.NO_DATA
    shown = made[verdicts.index(worst)]
    return said.model_copy(update={"verdict": worst, "observed": f"{shown.point:.4g}"})


def _verdict(found: _Interval, limit: float, *, upper: bool) -> Verdict:
    inside = found.high <= limit if upper else found.low >= limit
    outside = found.low > limit if upper else found.high < limit
    if inside:
        return Verdict.PASS
    return Verdict.FAIL if outside else Verdict.INCONCLUSIVE


def _estimate(metric: Metric, series: Series) -> _Interval | None:
    values = [value for _, value in series]
    if not all(math.isfinite(value) for value in values):
        return None
    if metric is Metric.MEMORY_GROWTH:
        return _growth(series[int(len(series) * _SETTLING) :])
    if len(values) < LEAST_SAMPLES:
        return None
    half = _STUDENT * statistics.stdev(values) / math.sqrt(len(values))
    mean = statistics.fmean(values)
    return _Interval(mean - half, mean, mean + half, len(values))


def _growth(series: Series) -> _Interval | None:
    """Return the slope as a share per hour: Theil and Sen's, with Kendall's interval (Sen, JASA 63, 1968)."""
    thinned = series[:: max(1, -(-len(series) // _MOST))]
    count = len(thinned)
    middle = statistics.median([value for _, value in thinned]) if thinned else 0.0
    if count < LEAST_FOR_SLOPE or middle <= 0:
        return None
    slopes = sorted(_slopes(thinned))
    if not slopes:
        return None
    spread = _NORMAL * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    factor = _HOUR / middle
    return _Interval(slopes[low] * factor, statistics.median(slopes) * factor, slopes[high] * factor, count)


def _slopes(series: Series) -> Iterator[float]:
    for (earlier, before), (later, after) in itertools.combinations(series, 2):
        if later > earlier:
            yield (after - before) / (later - earlier)


def _sentence(gate: api_run.GateStatus) -> str:
    sign = "≤" if gate.operator == "<=" else "≥"
    if gate.verdict is Verdict.NO_DATA:
        return f"{gate.metric} has {gate.samples} samples under the load, too few to judge"
    why = ""
    if gate.verdict is not Verdict.PASS and gate.operator == ">=":
        why = ": the GPU waits for something else" if gate.verdict is Verdict.FAIL else ""
    return f"{gate.metric} {gate.observed}, limit {sign} {gate.limit}{why}"


def added(part: observation.CheckPart, judged: Judged) -> observation.CheckPart:
    """Return what a check said together with what its GPU showed meanwhile.

    Parameters
    ----------
    part
        With a verdict.
    judged
        Of the same pod, in the window of its load.
    """
    if part.verdict is None or part.skipped:
        return part
    gates = sorted((*part.gates, *judged.gates), key=lambda gate: gate.verdict is Verdict.PASS)
    both = verdict.worst((part.verdict, judged.verdict))
    if both is part.verdict:
        message = f"{part.message}; {judged.message}"
        return dataclasses.replace(part, gates=tuple(gates[:8]), message=reasons.shortened(message, 512))
    return dataclasses.replace(
        part,
        verdict=both,
        gates=tuple(gates[:8]),
        reason=reasons.ACCELERATOR_OUT_OF_BOUNDS if both is Verdict.FAIL else reasons.ACCELERATOR_UNKNOWN,
        message=reasons.shortened(f"{judged.message}; {part.message}", 512),
    )
