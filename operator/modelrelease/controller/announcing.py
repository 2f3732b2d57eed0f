"""Which Events people see, and what they say: one for each step of the life, one for each reason to stall."""

import datetime
from typing import Final

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api import status as api_status
from modelrelease.cluster import api, events, manifests
from modelrelease.core import observation, story, target
from modelrelease.core import recovery as core_recovery

Phase = api_run.Phase

OWED: Final = datetime.timedelta(minutes=15)
"""How long an Event that was not written is worth being written; Events live for an hour or more."""

TOLD: Final = frozenset({story.Shown.CANCELLED, story.Shown.REJECTED, story.Shown.ROLLED_BACK})
"""Where a release stalls because its run has ended so: people were told of that already."""

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
    owner: manifests.Owner,
    run: observation.Run,
    status: api_run.RunStatus,
    now: datetime.datetime,
    said: api_spec.Override | None = None,
) -> api.Object | None:
    """Return the Event of a transition, or None for one that only took note of something.

    Parameters
    ----------
    owner
        The release.
    run
        Before it.
    status
        After it.
    now
        When.
    said
        What people have said: an approval and a retry are told by the transition that they have allowed.
    """
    before = run.status
    if (before.phase, before.step, before.outcome) == (status.phase, status.step, status.outcome):
        return None
    return _of_transition(owner, run, status, now, said)


def again(
    owner: manifests.Owner,
    run: observation.Run,
    now: datetime.datetime,
    said: api_spec.Override | None = None,
) -> api.Object | None:
    """Return the Event of the transition that was written last, which a killed operator may owe.

    To be asked once by a new operator. It is the same Event, so one that was written is not written again; an
    old one may have expired, and is owed to nobody. Where something was noted after the transition, its Event
    came before that.
    """
    status = run.status
    if status.updated_time is None or now - status.updated_time > OWED:
        return None
    if status.phase is Phase.DONE:
        last = status.completion_time == status.updated_time
    elif status.phase is Phase.RETURNING:
        last = status.clock is None
    else:
        last = status.clock is not None and status.clock.start_time == status.updated_time
    return _of_transition(owner, run, status, now, said) if last else None


def _of_transition(
    owner: manifests.Owner,
    run: observation.Run,
    status: api_run.RunStatus,
    now: datetime.datetime,
    said: api_spec.Override | None,
) -> api.Object:
    ended = status.phase is Phase.DONE and status.outcome is not api_run.Outcome.PROMOTED
    told = status.reason if status.outcome is not None else _REASONS.get(status.phase, "")
    reason = reasons.RETURNED if ended else told
    moment = status.completion_time or status.updated_time or now
    return events.event(
        owner,
        # As precise as what is persisted: a new operator comes to the same name.
        f"{run.name}/{status.phase}/{status.step}/{moment.isoformat(timespec='milliseconds')}",
        reason or status.phase.value,
        " ".join([_sentence(run, status), *_allowed(run, status, said)]),
        now,
        warning=not ended and status.outcome not in {None, api_run.Outcome.PROMOTED},
    )


def _allowed(run: observation.Run, status: api_run.RunStatus, said: api_spec.Override | None) -> list[str]:
    """Return the words of people without which it would not have come to this."""
    if said is None:
        return []
    revision, retry = run.spec.revision, said.retry
    if status.phase is Phase.STARTING and retry is not None:
        asked_for = (retry.revision, retry.attempt) == (revision, run.spec.attempt)
        return [reasons.sentence(f"A person asked for this attempt: {retry.reason}")] if asked_for else []
    step = status.step if status.phase is Phase.SHIFTING else 0
    opened = {
        api_spec.Stage.BEFORE_TRAFFIC: step == 1,
        api_spec.Stage.BEFORE_FULL: step == target.step_count(run),
        api_spec.Stage.INFEASIBLE: step > 1 or status.outcome is api_run.Outcome.PROMOTED,
    }
    return [
        reasons.sentence(f"Approved ({one.stage}): {one.reason}")
        for one in said.approvals
        if one.revision == revision and opened[one.stage]
    ]


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


def recovery(owner: manifests.Owner, settled: core_recovery.Settled, now: datetime.datetime) -> api.Object:
    """Return the Event of the verdict on a return."""
    said = settled.recovery
    reason = reasons.RECOVERY_UNDECIDED
    if said.verdict is not None and said.verdict is not api_run.RecoveryVerdict.UNDECIDED:
        reason = said.verdict.value
    warning = said.verdict is not api_run.RecoveryVerdict.RECOVERED
    return events.event(owner, f"{settled.run.name}/recovery", reason, said.message, now, warning=warning)


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


def asked(
    owner: manifests.Owner,
    before: api_status.ReleaseStatus,
    after: api_status.ReleaseStatus,
    now: datetime.datetime,
) -> api.Object | None:
    """Return the Event that a person is waited for, or None."""
    known, found = _asks(before), _asks(after)
    if found is None or found == known:
        return None
    condition = next(one for one in after.conditions if one.type == PAUSED)
    about = f"asked/{after.observed_generation}/{after.current_run}/{found}"
    return events.event(owner, about, condition.reason, condition.message, now)


def misnamed(owner: manifests.Owner, said: str, now: datetime.datetime) -> api.Object:
    """Return the Event that a release names somebody whom nobody knows, one for each sentence."""
    reason = reasons.UNKNOWN_NOTIFICATION_TARGET
    return events.event(owner, f"misnamed/{said}", reason, said, now, warning=True)


def _asks(status: api_status.ReleaseStatus) -> str | None:
    """Return what a person is asked: the gate, or only why, where the sentence holds numbers that move."""
    found = next((one for one in status.conditions if one.type == PAUSED), None)
    if found is None or found.status is not api_status.ConditionStatus.TRUE or found.reason == reasons.PAUSED:
        return None
    return found.message if found.reason == reasons.AWAITING_APPROVAL else found.reason


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
