"""What a check's Job says: only a termination message that answers this very probe decides anything."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from canary_checks import result
from modelrelease.api import checks as api_checks
from modelrelease.api import constants, reasons
from modelrelease.api import run as api_run
from modelrelease.api import verdict as api_verdict
from modelrelease.checks import accelerator, custom, evidence, jobs, subjects
from modelrelease.core import accelerators, observation

Object = dict[str, Any]

_GATES_MAX = 8
_STRATA_MAX = 16


def read(
    run: observation.Run, run_uid: str, found: Iterable[Object], pods: Iterable[Object]
) -> list[observation.CheckPart]:
    """Return what the Jobs of a run have left.

    Parameters
    ----------
    run, run_uid
        The run that the Jobs belong to.
    found
        Its Jobs, of every check and attempt.
    pods
        The pods of checks, at least those of these Jobs.
    """
    known = list(pods)
    return [_part(run, run_uid, job, evidence.pods_of(job, known)) for job in found]


def _part(run: observation.Run, run_uid: str, job: Object, pods: list[Object]) -> observation.CheckPart:
    labels, said = job["metadata"].get("labels") or {}, job["metadata"].get("annotations") or {}
    check, pod_uid = labels.get(constants.LABEL_CHECK, ""), said.get(jobs.POD_UID, "")
    attempt, portion = int(said.get(jobs.ATTEMPT) or 0), int(said.get(jobs.PORTION) or 0)
    nonce = subjects.nonce(run_uid, check, attempt, pod_uid, portion)
    part = observation.CheckPart(
        check=check, attempt=attempt, pod_uid=pod_uid, portion=portion, finished=False, nonce=nonce
    )
    answer = evidence.answer_of(pods)
    if answer is not None:
        own = _own_check(run, check)
        try:
            if own is None:
                answered = result.parse_termination_message(answer.message, nonce)
                _require_subject(answered, run, check, pod_uid)
            else:
                asked = custom.answer(run, own, attempt=attempt, pod_uid=pod_uid, nonce=nonce)
                answered = _own_answer(own, asked, answer)
        except result.ResultInvalid as error:
            return _error(part, reasons.CHECK_NO_RESULT, _why(answer, str(error)))
        against = int(said.get(jobs.REFERENCES) or 0) or len(answered.references)
        skipped = not against and _compares(run, check)
        part = _answered(part, answered, evidence.kept_of(job), skipped=skipped)
        seen = accelerator.noted(said)
        return accelerators.added(part, seen) if seen is not None else part
    return _unanswered(part, job, pods)


def _require_subject(answered: result.CheckResult, run: observation.Run, check: str, pod_uid: str) -> None:
    if answered.pod_uid != pod_uid or answered.run != run.name or answered.check.name != check:
        raise result.ResultInvalid("the result is about another pod or check")


def _own_check(run: observation.Run, name: str) -> api_checks.Check | None:
    """Return a check of the team's own by its name, or None where it is one of ours."""
    checks = run.spec.judging.checks
    return next((check for check in checks if check.name == name and check.custom is not None), None)


def _own_answer(check: api_checks.Check, asked: result.Answer, answer: evidence.Answer) -> result.CheckResult:
    """Return what a team's own check says; a Job of theirs may say it by its exit code.

    That of a container which was ended from outside says nothing: many programs end with 0 or 1 when they are
    asked to.
    """
    if check.custom is None or check.custom.job is None:
        result.parse_termination_message(answer.message, asked.nonce)
        return result.parse_answer(answer.message, asked)
    ended_from_outside = answer.deleted or answer.reason == "OOMKilled"
    code = None if ended_from_outside else answer.exit_code
    return result.parse_custom(answer.message, code, asked, _time(answer.finished_time))


def _time(text: str) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _compares(run: observation.Run, name: str) -> bool:
    checks = run.spec.judging.checks
    return any(check.name == name and check.compares for check in checks)


def _answered(
    part: observation.CheckPart,
    answered: result.CheckResult,
    kept: evidence.Kept | None,
    *,
    skipped: bool,
) -> observation.CheckPart:
    """Return a part with its verdict; it is finished when what explains it is kept or known to be lost."""
    found = api_verdict.Verdict(answered.verdict.value)
    # Without a reference an absolute Fail counts, and a probe that broke is tried again, or it would leave no
    # outputs for the next release; everything else compared nothing.
    skipped = skipped and found not in {api_verdict.Verdict.FAIL, api_verdict.Verdict.ERROR}
    blamed = answered.diagnosis
    diagnosis = None
    if blamed is not None:
        diagnosis = api_run.Diagnosis(cause=blamed.cause, confidence=blamed.confidence.value)
    return dataclasses.replace(
        part,
        finished=kept is not None or answered.evidence is None,
        verdict=found,
        reason=answered.reason,
        message=answered.message,
        skipped=skipped,
        diagnosis=diagnosis,
        gates=_gates(answered),
        strata=tuple(s.name[:64] for s in answered.strata if s.failed)[:_STRATA_MAX],
        requests=answered.requests.sent,
        evidence=kept.evidence if kept is not None else "",
        outputs=kept.outputs if kept is not None else None,
    )


def _gates(answered: result.CheckResult) -> tuple[api_run.GateStatus, ...]:
    """Return the gates that people see: those that do not pass first."""
    passing = result.Verdict.PASS
    ordered = sorted(answered.gates, key=lambda gate: gate.verdict is passing)
    return tuple(
        api_run.GateStatus(
            metric=gate.metric,
            verdict=api_verdict.Verdict(gate.verdict.value),
            observed=_number(gate.observed),
            operator=gate.operator,
            limit=_number(gate.limit),
            against=gate.against,
            samples=gate.samples,
        )
        for gate in ordered[:_GATES_MAX]
    )


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _unanswered(
    part: observation.CheckPart, job: Mapping[str, Any], pods: list[Object]
) -> observation.CheckPart:
    """Return the part of a Job without an answer: still running, evicted, or ended by whatever ended it."""
    ended = _ended(job)
    if ended is None:
        return dataclasses.replace(part, message=_waits_for(pods)[:512])
    if pods and all(evidence.disrupted(pod) for pod in pods):
        message = "The check's pod was evicted before it had finished."
        return dataclasses.replace(part, finished=True, disrupted=True, message=message)
    if ended.get("reason") == "DeadlineExceeded":
        seconds = (job.get("spec") or {}).get("activeDeadlineSeconds")
        waiting = _waits_for(pods)
        message = f"The check did not end within {seconds} s{f': {waiting}' if waiting else '.'}"
        return _error(part, reasons.CHECK_NO_RESULT, message)
    detail = str(ended.get("message") or ended.get("reason") or "its pod is gone")
    return _error(part, reasons.CHECK_NO_RESULT, f"The check's Job ended without a result: {detail}")


def _ended(job: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the condition by which a Job has ended."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    for condition in conditions:
        if condition.get("type") in {"Complete", "Failed"} and condition.get("status") == "True":
            return dict(condition)
    return None


def _waits_for(pods: Iterable[Object]) -> str:
    """Return why the newest pod of a check does not run, as far as Kubernetes says it."""
    for pod in pods:
        status = pod.get("status") or {}
        for container in status.get("containerStatuses") or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") not in {None, "ContainerCreating", "PodInitializing"}:
                return f"{waiting['reason']}: {waiting.get('message') or 'no message'}"
        for condition in status.get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return f"{condition.get('reason')}: {condition.get('message') or 'no message'}"
    return ""


def _why(answer: evidence.Answer, said: str) -> str:
    """Return one sentence on an answer that can't be believed."""
    if answer.reason == "OOMKilled":
        return "The check was killed for its memory: raise its resources or spec.checkTemplate.resources."
    if answer.exit_code not in {0, None}:
        return f"The check ended with exit code {answer.exit_code}: {said}."
    return f"{said[:1].upper()}{said[1:]}."


def _error(part: observation.CheckPart, reason: str, message: str) -> observation.CheckPart:
    return dataclasses.replace(
        part, finished=True, verdict=api_verdict.Verdict.ERROR, reason=reason, message=message[:512]
    )
