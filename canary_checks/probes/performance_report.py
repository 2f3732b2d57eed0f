"""What a replay says to its reader: verdict, one sentence, measurements and the latencies for a plot."""

import math
import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from canary_checks import outdated, schema
from canary_checks import vocabulary as v
from canary_checks.parity import gates
from canary_checks.performance import driver, intervals, judging, recorded, replay
from canary_checks.probes import finding

_POINTS: Final = 1024
_SHOWN: Final = 3
_THOUSAND: Final = 1000.0
_REASONS: Final = (
    (replay.RESTARTS, "ServerRestarted"),
    (replay.ERROR_SHARE, "TooManyErrors"),
    (replay.UNREADABLE, "AnswersUnreadable"),
    ("Latency", "LatencyTooHigh"),
    ("Throughput", "ThroughputTooLow"),
    ("GpuSeconds", "CostTooHigh"),
    ("Price", "CostTooHigh"),
    ("Steps", "StepsChanged"),
    (replay.MEMORY_GROWTH, "MemoryGrows"),
)
_UNSURE: Final = (
    (replay.MIX_DRIFT, "MixMoved"),
    ("Mix", "MixUnfit"),
    (replay.SOAK, "SoakTooShort"),
)


def conclude(
    found: judging.Replayed,
    asked: replay.Performance,
    judged: tuple[schema.Gate, ...],
    references: Sequence[schema.Party],
    *,
    stable: recorded.Performed | None,
    items: int,
    remarks: Sequence[str] = (),
) -> finding.Finding:
    """Put one operation's judgement into words.

    Parameters
    ----------
    found, asked, judged
        What was measured, under which load, and what its gates say.
    references, stable
        Whom it was compared with, and what that one did.
    items
        Distinct golden items that were sent.
    remarks
        On what was compared with, and what was replayed.
    """
    verdict = gates.verdict_of(judged)
    reason = _reason(verdict, judged, found)
    return finding.Finding(
        verdict=verdict,
        reason=reason,
        message=v.sentence(
            "; ".join(
                _sentences(found, asked, judged, reason=reason, known=bool(references), remarks=remarks)
            )
        ),
        gates=judged,
        items_used=items,
        measurements=_measurements(found, asked),
        series={"latencyMilliseconds": _points(found.measured.latencies)}
        | ({} if stable is None else {"recordedLatencyMilliseconds": _points(stable.latencies)}),
        references=tuple(references),
    )


def _reason(verdict: v.Verdict, judged: Sequence[schema.Gate], found: judging.Replayed) -> str:
    bad = [gate.metric for gate in judged if gate.verdict is verdict]
    if verdict is v.Verdict.PASS:
        return "WithinLimits"
    if verdict is v.Verdict.FAIL:
        return next(reason for start, reason in _REASONS if any(m.startswith(start) for m in bad))
    if verdict is v.Verdict.NO_DATA:
        return outdated.REASON if bad == [outdated.METRIC] else "NotMeasured"
    if judging.saturated(found.measured):
        return "ClientSaturated"
    open_ = any(gate.high == "Infinity" for gate in judged if gate.verdict is verdict)
    unsure = (reason for start, reason in _UNSURE if any(m.startswith(start) for m in bad))
    return next(unsure, "TooFewAnswers" if open_ else "TooNoisy")


def _sentences(
    found: judging.Replayed,
    asked: replay.Performance,
    judged: Sequence[schema.Gate],
    *,
    reason: str,
    known: bool,
    remarks: Sequence[str],
) -> list[str]:
    """Begin with what decided: a sentence that is cut loses its end."""
    measured = found.measured
    said = []
    worst = gates.verdict_of(judged)
    if worst is not v.Verdict.PASS:
        deciding = [
            _described(gate) for gate in judged if gate.verdict is worst and gate.metric != outdated.METRIC
        ]
        if reason == "ClientSaturated":
            slow = judging.client_gates(measured)
            deciding = [_described(gate) for gate in slow if gate.verdict is not v.Verdict.PASS]
        more = f" and {len(deciding) - _SHOWN} more" if len(deciding) > _SHOWN else ""
        said += [", ".join(deciding[:_SHOWN]) + more] if deciding else []
    said += remarks
    if reason == "ClientSaturated":
        said.insert(0, "the replay measured itself: give it more processor time, or less to send")
    if reason in {"TooFewAnswers", "TooNoisy"}:
        said.append("a longer load says more")
    if measured.errors:
        said.append(f"{measured.errors} of {measured.judged} requests failed: {measured.said}")
    made = judging.estimates(found, asked)
    projected = [
        f"{_number(value)} {'GPU-hours' if name.startswith('Gpu') else asked.price.currency}"
        for name, value in judging.projected(made, asked).items()
    ]
    if projected:
        said.append(f"{' and '.join(projected)} a day at the live rate")
    if made:
        p95, rate = made[replay.LATENCY_P95], made[replay.THROUGHPUT]
        said.append(f"p95 {_range(p95)} ms, {_number(rate.point)} requests/s, {measured.answered} answers")
    said += [f"its {_described(gate)}" for gate in judged if gate.metric == "LatencyP95Ratio"][:1] * (
        worst is v.Verdict.PASS
    )
    if found.watched is not None and found.watched.growth is None:
        count = len(found.watched.times)
        told = f"the server told its memory {count} times only" if count else "the server tells no memory"
        said.append(f"{told}, so its growth was not judged")
    if not known:
        said.append("there was no recorded performance to compare with")
    return said


def _described(gate: schema.Gate) -> str:
    sign = {"<=": "≤", ">=": "≥", "==": "="}[gate.operator]
    between = ""
    if gate.low is not None and gate.high is not None and gate.low != gate.high:
        between = f" ({_number(gate.low)} to {_number(gate.high)})"
    return f"{gate.metric} {_number(gate.observed)}{between}, limit {sign} {_number(gate.limit)}"


def _range(one: intervals.Interval) -> str:
    return f"{_number(one.point)} ({_number(one.low)} to {_number(one.high)})"


def _number(value: v.Number) -> str:
    if isinstance(value, str) or not math.isfinite(value):
        return {"inf": "∞", "Infinity": "∞", "nan": "unknown", "NaN": "unknown"}.get(str(value), str(value))
    return f"{value:.3g}" if abs(value) < _THOUSAND else f"{value:.0f}"


def _measurements(found: judging.Replayed, asked: replay.Performance) -> tuple[schema.Measurement, ...]:
    measured = found.measured
    made = judging.estimates(found, asked)
    rows = [_distribution("LatencyMilliseconds", measured.latencies * _THOUSAND, "ms")]
    rows += [_estimate(name, one, measured.answered, _unit(name, asked)) for name, one in made.items()]
    rows += [
        _single(name, value, measured.answered, asked.price.currency if name == "CostPerDay" else "GPU h")
        for name, value in judging.projected(made, asked).items()
    ]
    if found.steps is not None:
        rows.append(_single(replay.STEPS, found.steps, found.looked, None))
    if found.mixed.distance is not None and found.mixed.uncovered is not None:
        rows.append(_single(replay.MIX_DISTANCE, found.mixed.distance, len(found.mixed.order), None))
        rows.append(_single(replay.MIX_UNCOVERED, found.mixed.uncovered, len(found.mixed.order), None))
    if found.mixed.drift is not None:
        rows.append(_single(replay.MIX_DRIFT, found.mixed.drift, len(found.mixed.order), None))
    for stage, seconds in measured.stages.items():
        name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", stage))[:40]
        rows.append(_distribution(f"Stage{name}Milliseconds", seconds * _THOUSAND, "ms"))
    rows.append(_distribution("ClientLagMilliseconds", measured.lags * _THOUSAND, "ms"))
    rows.append(_single("ClientProcessorShare", measured.processor, len(measured.lags), None))
    watched = found.watched
    if watched is not None and watched.resident:
        rows.append(_distribution("MemoryBytes", np.array(watched.resident), "B"))
        if watched.growth is not None:
            rows.append(_estimate(replay.MEMORY_GROWTH, watched.growth, len(watched.times), None))
    return tuple(rows)


def _unit(name: str, asked: replay.Performance) -> str | None:
    if name == replay.PRICE:
        return asked.price.currency
    return "ms" if name.endswith("Milliseconds") else None


def _distribution(metric: str, values: driver.Scalars, unit: str) -> schema.Measurement:
    known = gates.summary(metric, values[np.isfinite(values)])
    slowest = {"max": "Infinity"} if not np.isfinite(values).all() else {}
    return known.model_copy(update={"unit": unit} | slowest)


def _estimate(metric: str, one: intervals.Interval, samples: int, unit: str | None) -> schema.Measurement:
    """Show an estimate as the middle of its interval."""
    return schema.Measurement(
        metric=metric,
        unit=unit,
        samples=samples,
        min=v.number(one.low),
        p50=v.number(one.point),
        max=v.number(one.high),
    )


def _single(metric: str, value: float, samples: int, unit: str | None) -> schema.Measurement:
    return schema.Measurement(metric=metric, unit=unit, samples=samples, p50=v.number(value))


def _points(latencies: driver.Scalars) -> tuple[v.Number, ...]:
    """Return latencies in the order of time, every n-th of many."""
    every = max(1, -(-len(latencies) // _POINTS))
    return tuple(v.number(float(f"{seconds * _THOUSAND:.4g}")) for seconds in latencies[::every])
