"""What happened when, from what the run remembers and the Events that are left. Pure."""

import datetime
import itertools
from collections.abc import Iterable, Iterator
from typing import Final

from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.core import observation, target
from modelrelease.report import material, model, slos

Phase = api_run.Phase

MOMENTS_MAX: Final = 200
_SAME_SECONDS: Final = 2.0
PHASES: Final = {
    Phase.QUEUED: "is queued",
    Phase.STARTING: "starts its canary, without traffic",
    Phase.CHECKING: "is checked, without traffic",
    Phase.RETURNING: "gives all traffic back",
    Phase.DONE: "is done",
}


def phases(run: observation.Run) -> Iterator[model.Phase]:
    """Yield the phases of a run, with the traffic and the requests of users in them."""
    known = run.status.phases
    for entry, following in itertools.zip_longest(known, known[1:]):
        if entry.phase is Phase.DONE:
            continue
        end = following.time if following is not None else None
        under_traffic = entry.phase in {Phase.SHIFTING, Phase.HOLDING}
        yield model.Phase(
            phase=entry.phase.value,
            step=entry.step if under_traffic else 0,
            start=entry.time,
            end=end,
            weight=entry.weight,
            requests=slos.requests_by(run.status, end) if under_traffic else None,
        )


def moments(found: material.Material) -> tuple[model.Moment, ...]:
    """Return what happened, oldest first, each thing once."""
    kept: list[model.Moment] = []
    for one in sorted(_moments(found), key=lambda moment: moment.time):
        if not _repeats(one, kept, found.run):
            kept.append(one)
    return tuple(kept[-MOMENTS_MAX:])


def _moments(found: material.Material) -> Iterator[model.Moment]:
    for event in found.told:
        yield model.Moment(time=event.time, what=event.reason, text=event.message, warning=event.warning)
    yield from _ended_checks(found)
    # Events are gone after an hour: what the run remembers takes their place.
    for one in _remembered(found.run):
        if not any(abs((event.time - one.time).total_seconds()) <= _SAME_SECONDS for event in found.told):
            yield one


def _ended_checks(found: material.Material) -> Iterator[model.Moment]:
    for check in found.run.status.checks:
        told = check.message and any(check.message in event.message for event in found.told)
        if check.completion_time is None or told:
            continue
        said = f"{check.name}: {check.message}" if check.message else f"{check.name} has ended."
        yield model.Moment(
            time=check.completion_time,
            what=check.verdict.value if check.verdict is not None else "Skipped",
            text=reasons.sentence(said),
            warning=check.verdict is not verdict.Verdict.PASS and not check.skipped,
        )


def _remembered(run: observation.Run) -> Iterator[model.Moment]:
    status, steps = run.status, target.step_count(run)
    for entry in status.phases:
        said = PHASES.get(entry.phase, f"is meant to take {entry.weight} %, in step {entry.step} of {steps}")
        yield model.Moment(time=entry.time, what=entry.phase.value, text=f"{run.spec.revision} {said}.")
    recovery = status.recovery
    if recovery is not None and recovery.seconds is not None and recovery.verdict is not None:
        yield model.Moment(
            time=recovery.since + datetime.timedelta(seconds=recovery.seconds),
            what=recovery.verdict.value,
            text=recovery.message,
            warning=recovery.verdict is not api_run.RecoveryVerdict.RECOVERED,
        )


def _repeats(one: model.Moment, before: Iterable[model.Moment], run: observation.Run) -> bool:
    """Return whether something was told before: when a run ends, its release is stalled by the same."""
    status = run.status
    ended = status.outcome is not None and one.text.startswith(f"{status.outcome.value}: ")
    return ended and one.what == status.reason and any(other.what == one.what for other in before)
