"""How a run ended, in words: the outcome, its cause, and what users had of it."""

from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.core import observation, serving


def last_run(observed: observation.Observation, revision: str) -> observation.Run | None:
    """Return the newest run of a revision."""
    return next((run for run in reversed(observed.runs) if run.spec.revision == revision), None)


def aftermath(observed: observation.Observation, run: observation.Run) -> str:
    """Tell how a run ended, who serves now, and whether users met the candidate."""
    candidate, met = run.spec.revision, run.status.live_since is not None
    users = reasons.was_live(candidate) if met else reasons.never_live(candidate)
    return f"{ending(run)} {serving.told(observed)} {users}"


def ending(run: observation.Run) -> str:
    """Tell the outcome and its cause in one sentence."""
    said = run.status.message
    if run.status.reason == reasons.CHECK_FAILED:
        # The one that decided: another may have failed that is only reported, or was waived then.
        failing = (check for check in run.status.checks if check.verdict is verdict.Verdict.FAIL)
        failed = next((check for check in failing if said.startswith(f"{check.name} failed")), None)
        if failed is not None:
            said = _check_failed(failed)
    outcome = run.status.outcome or reasons.RETURNED
    told = reasons.sentence(f"{outcome}: {said}" if said else str(outcome))
    files = run.status.artifact.changed_files if run.status.artifact is not None else []
    if files and run.status.reason == reasons.CHECK_FAILED:
        return f"{told} {reasons.changed_files(files)}"
    return told


def _check_failed(status: api_run.CheckStatus) -> str:
    """Tell that a check failed, with its likely cause."""
    cause = ""
    if status.diagnosis is not None:
        cause = f", cause {status.diagnosis.cause} ({status.diagnosis.confidence})"
    return f"{status.name} failed{cause}: {status.message}"
