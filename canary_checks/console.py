"""A result as a person reads it in a terminal: one screen for each check, from the result alone."""

from collections.abc import Iterator

from canary_checks import schema
from canary_checks import vocabulary as v

_STRATA_SHOWN = 12


def lines(result: schema.CheckResult) -> Iterator[str]:
    """Describe a result.

    Parameters
    ----------
    result
        Any result.

    Yields
    ------
    Lines of text without line ends, the verdict first.
    """
    seconds = (result.timings.completion_time - result.timings.start_time).total_seconds()
    yield f"{result.verdict.upper():<12} {result.check.name:<14} {result.message}"
    yield f"{'':<12} {seconds:.1f} s, {result.requests.sent} requests, {result.requests.failed} failed"
    for gate in result.gates:
        sign = "FAIL" if gate.verdict is v.Verdict.FAIL else gate.verdict.lower()
        yield (
            f"  {sign:<10} {gate.metric:<26} {_shown(gate.observed):>10} {gate.operator}"
            f" {_shown(gate.limit):<9} {gate.against:<9} n={gate.samples} ({gate.basis})"
        )
    touched = [s for s in result.strata if s.failed][:_STRATA_SHOWN]
    if touched:
        yield "  moved      " + "  ".join(f"{s.name} {s.failed}/{s.items}" for s in touched)
    if result.worst:
        yield "  worst      " + "  ".join(
            f"{w.item} {_shown(w.values.get('cosineDistance', 'NaN'))}" for w in result.worst
        )
    if result.diagnosis is not None:
        yield from _blame(result.diagnosis)


def _blame(diagnosis: schema.DiagnosisReport) -> Iterator[str]:
    yield f"  CAUSE      {diagnosis.cause} ({diagnosis.confidence.lower()})"
    for text in diagnosis.evidence:
        yield f"    because  {text}"
    for excluded in diagnosis.excluded:
        yield f"    not      {excluded.cause}: {excluded.because}"
    if diagnosis.left:
        yield f"    left     {', '.join(diagnosis.left)}"
    for text in diagnosis.next:
        yield f"    next     {text}"


def _shown(value: v.Number) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
