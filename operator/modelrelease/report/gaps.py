"""What is still open about a run, and what nobody has recorded. Pure."""

from collections.abc import Iterable, Iterator

from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.report import material, model, people


def missing(
    found: material.Material, checks: Iterable[model.Check], objectives: Iterable[model.Slo]
) -> Iterator[str]:
    """Yield what the report can't say, because nobody has recorded it or it may not be read."""
    status = found.run.status
    if found.evidence_unread:
        yield f"Evidence could not be read: {found.evidence_unread}"
    if found.events_unread:
        yield f"Events could not be read: {found.events_unread}"
    if found.revisions_unread:
        yield "The stored revisions may not be read, so nothing says what changed."
    if not status.phases:
        yield "When each phase began is not recorded: an operator before this version ran it."
    if not found.told and not found.events_unread:
        yield "No Event of this run is left (Kubernetes forgets them, mostly after an hour)."
    lost = [one.name for one in checks if one.verdict and not one.results]
    if lost and not found.evidence_unread:
        yield f"The full results of {', '.join(lost)} are not kept: only what the run remembers is shown."
    more = [name for name, known in found.results.items() if len(known) > model.RESULTS_MAX]
    if more:
        yield f"Of {', '.join(more)} more results are kept than the {model.RESULTS_MAX} that are shown."
    for slo in objectives:
        if slo.reason != reasons.NOT_LIVE and not slo.looks:
            yield f"How {slo.name} came about over time is not recorded: only its last judgement is shown."
    if found.unknown:
        yield f"Not compared with stable, because nobody recorded it: {', '.join(found.unknown)}."
    if any(people.people(found)):
        yield "Who has spoken is not recorded here: the API server's audit log knows the user."


def questions(found: model.Report) -> Iterator[str]:
    """Yield what people have to find out: the beginning of a postmortem."""
    deciding = [one for one in found.checks if one.verdict not in {"", verdict.Verdict.PASS.value}]
    for check in deciding:
        diagnosis = next((one.diagnosis for one in check.results if one.diagnosis is not None), None)
        if check.verdict == verdict.Verdict.FAIL.value and check.cause in {"", "Unknown"}:
            left = f" Left: {', '.join(diagnosis.left)}." if diagnosis is not None and diagnosis.left else ""
            yield f"What made {check.name} fail? No known cause fits.{left}"
        elif check.verdict == verdict.Verdict.FAIL.value:
            yield f"How did {check.cause} get in, and what would have shown it before the release?"
        else:
            yield f"Why could {check.name} not be decided ({check.verdict}: {check.reason})?"
    if found.reason == reasons.SLO_FAILED:
        yield "Why did every check pass what users then met? Which row or load would have shown it?"
    recovery = found.recovery
    if recovery is not None and recovery.verdict == api_run.RecoveryVerdict.NOT_FIXED_BY_RETURN.value:
        yield "What do both revisions share that fails now: inputs, a dependency, the nodes?"
    elif recovery is not None and recovery.verdict != api_run.RecoveryVerdict.RECOVERED.value:
        yield "Has the return cured it? Nobody could tell."
    if any(
        word.kind in {"forced", reasons.FORCED} or word.kind.startswith("waived") for word in found.people
    ):
        yield "Was the override needed, and does it still have to stand?"
    if found.tone is model.Tone.BAD and not found.changes and found.attempt.stable:
        yield "What differs from stable? Nothing that is recorded does."
