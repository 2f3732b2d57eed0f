"""Which Events people see, and what they say: one for each step of the life, one for each reason to stall."""

import datetime
from typing import Final

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import status as api_status
from modelrelease.cluster import api, events, manifests
from modelrelease.core import observation, target

Phase = api_run.Phase

STALLED: Final = "Stalled"
OVERRIDDEN: Final = "Overridden"
PAUSED: Final = "Paused"

_REASONS: Final = {
    Phase.QUEUED: reasons.QUEUED,
    Phase.STARTING: reasons.CANARY_STARTING,
    Phase.CHECKING: reasons.CHECKING,
    Phase.SHIFTING: reasons.SHIFTING,
    Phase.HOLDING: reasons.HOLDING,
}


def transition(
    owner: manifests.Owner, run: observation.Run, status: api_run.RunStatus, now: datetime.datetime
) -> api.Object | None:
    """Return the Event of a transition, or None for one that only took note of something."""
    before = run.status
    if (before.phase, before.step, before.outcome) == (status.phase, status.step, status.outcome):
        return None
    ended = status.phase is Phase.DONE and status.outcome is not api_run.Outcome.PROMOTED
    told = status.reason if status.outcome is not None else _REASONS.get(status.phase, "")
    reason = reasons.RETURNED if ended else told
    return events.event(
        owner,
        f"{run.name}/{status.phase}/{status.step}/{status.completion_time or status.updated_time}",
        reason or status.phase.value,
        _sentence(run, status),
        now,
        warning=not ended and status.outcome not in {None, api_run.Outcome.PROMOTED},
    )


def _sentence(run: observation.Run, status: api_run.RunStatus) -> str:
    revision, step, steps = run.spec.revision, status.step, target.step_count(run)
    if status.phase is Phase.DONE and status.outcome is not api_run.Outcome.PROMOTED:
        return reasons.returned(revision, run.spec.stable)
    if status.outcome is not None:
        return reasons.sentence(status.message or f"{revision} is {status.outcome}")
    checks = reasons.counted(len(run.spec.judging.checks), "check")
    return {
        Phase.QUEUED: f"{revision} waits to be started.",
        Phase.STARTING: f"The canary of {revision} starts, without traffic.",
        Phase.CHECKING: f"The canary of {revision} is Ready: {checks} to pass.",
        Phase.SHIFTING: f"Traffic shifts to {revision}: step {step} of {steps}.",
        Phase.HOLDING: f"Step {step} of {steps} of {revision} is reached and watched.",
    }.get(status.phase, f"{revision} is {status.phase}.")


def stalled(
    owner: manifests.Owner,
    before: api_status.ReleaseStatus,
    after: api_status.ReleaseStatus,
    now: datetime.datetime,
) -> api.Object | None:
    """Return the Event of a new reason to stall, or None."""
    known, found = _stalled(before), _stalled(after)
    if found is None or (known is not None and known.reason == found.reason):
        return None
    about = f"stalled/{after.observed_generation}/{after.current_run}"
    return events.event(owner, about, found.reason, found.message, now, warning=True)


def overrides(
    owner: manifests.Owner,
    before: api_status.ReleaseStatus,
    after: api_status.ReleaseStatus,
    now: datetime.datetime,
) -> tuple[api.Object, ...]:
    """Return the Events of what people have said since, and of what they have taken back."""
    found = []
    for kind in (OVERRIDDEN, PAUSED):
        was, told = _spoken(before, kind), _spoken(after, kind)
        if told == was:
            continue
        about = f"override/{kind}/{after.observed_generation}"
        reason, message = told or (reasons.OVERRIDE_REMOVED, f"Taken back: {was[1]}" if was else "")
        found.append(events.event(owner, about, reason, message, now, warning=told is not None))
    return tuple(found)


def _spoken(status: api_status.ReleaseStatus, kind: str) -> tuple[str, str] | None:
    """Return reason and message of a person's word; waiting for an approval is none."""
    found = next((one for one in status.conditions if one.type == kind), None)
    if found is None or found.status is not api_status.ConditionStatus.TRUE:
        return None
    asks = kind == PAUSED and found.reason != reasons.PAUSED
    return None if asks else (found.reason, found.message)


def _stalled(status: api_status.ReleaseStatus) -> api_status.Condition | None:
    return next(
        (
            condition
            for condition in status.conditions
            if condition.type == STALLED and condition.status is api_status.ConditionStatus.TRUE
        ),
        None,
    )
