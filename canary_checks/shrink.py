"""A result made ever smaller, until it fits where it has to.

The steps go from what explains least to what explains most; every one of them keeps the result valid.
"""

import math
from collections.abc import Iterator

from canary_checks import schema
from canary_checks import vocabulary as v

_DIGITS = 4


def rounded(result: schema.CheckResult) -> schema.CheckResult:
    """Round what people read to four significant digits; every comparison was made on the raw numbers."""
    return result.model_copy(
        update={
            "gates": tuple(_round_gate(g) for g in result.gates),
            "measurements": tuple(_round_measurement(m) for m in result.measurements),
            "strata": tuple(s.model_copy(update={"worst": _round_optional(s.worst)}) for s in result.strata),
            "worst": tuple(
                w.model_copy(update={"values": {k: _round(x) for k, x in w.values.items()}})
                for w in result.worst
            ),
        }
    )


def ever_smaller(result: schema.CheckResult) -> Iterator[schema.CheckResult]:
    """Yield the result, then smaller and smaller ones.

    Parameters
    ----------
    result
        Any valid result.

    Yields
    ------
    Valid results of the same verdict; each holds less than the one before.
    """
    gates = tuple(sorted(result.gates, key=_severity))
    now = result.model_copy(update={"series": {}, "pictures": (), "gates": gates})
    yield now
    for update in (
        {"measurements": ()},
        {"worst": now.worst[:3]},
        {"strata": tuple(s for s in now.strata if s.failed)},
        {"worst": ()},
        {"timings": now.timings.model_copy(update={"phases_milliseconds": _load(now.timings)})},
        {"strata": ()},
    ):
        now = now.model_copy(update=update)
        yield now
    for step in (_with_fewer_passing_gates, _with_shorter_texts):
        for smaller in step(now):
            yield smaller
            now = smaller
    while len(now.gates) > 1:
        now = now.model_copy(update={"gates": now.gates[:-1], "gates_omitted": now.gates_omitted + 1})
        yield now


def _load(timings: schema.Timings) -> dict[str, int]:
    """Return the one phase that the operator reads: when the server was under load."""
    return {name: lasted for name, lasted in timings.phases_milliseconds.items() if name == "load"}


def _severity(gate: schema.Gate) -> int:
    """Rank what failed first, and what passed last: gates are dropped from the end."""
    return {v.Verdict.FAIL: 0, v.Verdict.PASS: 2}.get(gate.verdict, 1)


def _with_fewer_passing_gates(result: schema.CheckResult) -> Iterator[schema.CheckResult]:
    """Drop the passing gates that are farthest from their limit first, and keep one gate at least."""
    kept = [g for g in result.gates if g.verdict is not v.Verdict.PASS]
    kept += sorted((g for g in result.gates if g.verdict is v.Verdict.PASS), key=_closeness, reverse=True)
    total = len(kept) + result.gates_omitted
    while len(kept) > 1 and kept[-1].verdict is v.Verdict.PASS:
        kept = kept[:-1]
        yield result.model_copy(update={"gates": tuple(kept), "gates_omitted": total - len(kept)})


def _with_shorter_texts(result: schema.CheckResult) -> Iterator[schema.CheckResult]:
    now = result
    if now.diagnosis is not None:
        for update in (
            {"next": ()},
            {"excluded": now.diagnosis.excluded[:4]},
            {"evidence": now.diagnosis.evidence[:2]},
        ):
            now = now.model_copy(update={"diagnosis": now.diagnosis.model_copy(update=update)})
            yield now
    for length in (256, 120):
        now = now.model_copy(update={"message": v.sentence(now.message, length)})
        yield now
    if now.diagnosis is not None:
        bare = schema.DiagnosisReport(cause=now.diagnosis.cause, confidence=now.diagnosis.confidence)
        now = now.model_copy(update={"diagnosis": bare})
        yield now
    parties = tuple(schema.Party(role=p.role, revision=p.revision, digest=p.digest) for p in now.references)
    subject = schema.Party(role=now.subject.role, revision=now.subject.revision)
    now = now.model_copy(update={"references": parties, "subject": subject})
    yield now
    least = {"operation": None, "unit": None, "low": None, "high": None}
    gates = tuple(g.model_copy(update=least) for g in now.gates)
    now = now.model_copy(update={"gates": gates, "golden_set": None})
    yield now
    if now.evidence is not None:
        now = now.model_copy(update={"evidence": now.evidence.model_copy(update={"path": None})})
        yield now


def _closeness(gate: schema.Gate) -> float:
    """Return how near a passing gate is to its limit: 1 at the limit, 0 far from it."""
    if isinstance(gate.observed, str) or isinstance(gate.limit, str) or gate.limit == 0:
        return 0.0
    ratio = abs(gate.observed / gate.limit)
    return min(ratio, 1.0 / ratio) if ratio else 0.0


def _round(value: v.Number) -> v.Number:
    if isinstance(value, str):
        return value
    short = float(f"{value:.{_DIGITS}g}")
    # The largest floats round up to infinity, which JSON cannot say.
    return short if math.isfinite(short) else value


def _round_optional(value: v.Number | None) -> v.Number | None:
    return None if value is None else _round(value)


def _round_gate(gate: schema.Gate) -> schema.Gate:
    rounded = {name: _round(getattr(gate, name)) for name in ("observed", "limit")}
    bounds = {name: _round_optional(getattr(gate, name)) for name in ("low", "high")}
    return gate.model_copy(update=rounded | bounds)


def _round_measurement(measurement: schema.Measurement) -> schema.Measurement:
    fields = ("min", "p50", "p95", "max")
    return measurement.model_copy(update={f: _round_optional(getattr(measurement, f)) for f in fields})
