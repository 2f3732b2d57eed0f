"""Realistic mistakes in the core, each of which a simulation worth its time has to find."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Final
from unittest import mock

from modelrelease.api import constants, reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.cluster import manifests
from modelrelease.controller import loop
from modelrelease.core import (
    artifacts,
    infeasible,
    judgement,
    lifecycle,
    observation,
    planner,
    pods,
    references,
    situation,
    target,
    traffic,
)
from modelrelease.core import verdict as core_verdict

Patch = Callable[[contextlib.ExitStack], None]


def _replace(module: Any, name: str, new: Any) -> Patch:
    return lambda stack: stack.enter_context(mock.patch.object(module, name, new))


def _forward(phase: api_run.Phase, new: Any) -> Patch:
    return lambda stack: stack.enter_context(mock.patch.dict(lifecycle._FORWARD, {phase: new}))


def _pinned(observed: observation.Observation, revision: str) -> observation.Traffic:
    return observation.Traffic(observation.Selects.PINNED, revision)


def _no_data_passes(original: Any = core_verdict.gate_slos) -> Any:
    def gate_slos(required: Any, statuses: Any, **options: Any) -> Any:
        passing = [
            s.model_copy(update={"verdict": verdict.Verdict.PASS})
            if s.verdict is verdict.Verdict.NO_DATA
            else s
            for s in statuses
        ]
        return original(required, passing, **options)

    return gate_slos


def _checking_is_live(original: Any = traffic._traffic) -> Any:
    def of(here: situation.Situation) -> observation.Traffic:
        if here.status.phase is api_run.Phase.CHECKING and here.stable is not None:
            return observation.Traffic(observation.Selects.WIDENED)
        return original(here)

    return of


def _pin_early(here: situation.Situation) -> observation.Traffic:
    return observation.Traffic(observation.Selects.PINNED, here.candidate)


def _hold_by_phase(here: situation.Situation) -> float:
    """The clock of the run, not of the hold."""
    since = here.status.live_since or here.now
    return (here.now - since).total_seconds() + (
        here.now - (here.status.start_time or here.now)
    ).total_seconds()


def _hold_not_restarted(here: situation.Situation) -> Any:
    """A hold goes on whatever becomes of its pods and its traffic."""
    if here.elapsed() < here.hold_seconds or not judgement.slos_pass(here):
        return None
    if not here.final:
        return lifecycle._shift(here, here.status.step + 1)
    return lifecycle._promote(here, "Promoted")


def _ignore_terminating(original: Any = planner._count) -> Any:
    def count(revision: Any, *, serving: bool) -> planner.RevisionPods:
        return dataclasses.replace(original(revision, serving=serving), terminating=0)

    return count


def _forget_floor(original: Any = planner.plan) -> Any:
    def plan(state: Any, targets: Any, order: Any, ceiling: int, floor: int) -> Any:
        return original(state, targets, order, ceiling, 0)

    return plan


def _error_is_fail(here: situation.Situation) -> Any:
    found = [c for c in here.latest_checks if c.verdict in {verdict.Verdict.ERROR, verdict.Verdict.FAIL}]
    return observation.Problem("CheckFailed", "it did not pass") if found else None


def _reject_unless_paused(original: Any = target.rejected) -> Any:
    def rejected(observed: observation.Observation, revision: str | None) -> bool:
        return observed.release.override.paused is None and original(observed, revision)

    return rejected


def _supersede_in_bake(here: situation.Situation) -> Any:
    wanted = target.target_of(here.observed).revision
    if wanted in {None, here.candidate}:
        return None
    return here.status.model_copy(
        update={
            "phase": api_run.Phase.DONE,
            "outcome": api_run.Outcome.SUPERSEDED,
            "completion_time": here.now,
        }
    )


def _done_at_once(here: situation.Situation) -> Any:
    """Forgets the drain: Done while the candidate still has traffic and pods."""
    return here.status.model_copy(
        update={"phase": api_run.Phase.DONE, "clock": None, "completion_time": here.now}
    )


def _returned_when_pinned(here: situation.Situation) -> Any:
    """Never drains: the candidate's pods stay."""
    return here.candidate_pods.desired


def _skip_outputs(here: situation.Situation) -> bool:
    return True


def _any_approval(self: situation.Situation, stage: Any) -> bool:
    return self.strategy.approval is not stage or bool(self.observed.release.override.approvals)


def _drift_but(forgotten: str, original: Any = pods.drift) -> Any:
    """Looks at the image or the GPU alone."""

    def drift(checked_pods: Any, present: Any) -> Any:
        found = original(checked_pods, present)
        return None if found is not None and found.reason == forgotten else found

    return drift


async def _wait_for_room(self: loop.Operator) -> bool:
    """For ever: a release that hangs keeps the room."""
    return await self._room.acquire()


def _all_serving(release: str, selected: observation.Traffic, original: Any = manifests.selector) -> Any:
    """Widened to whatever serves: the release is forgotten."""
    found = original(release, selected)
    wide = selected.selects is observation.Selects.WIDENED
    return {k: v for k, v in found.items() if k != constants.LABEL_RELEASE} if wide else found


def _mixed_spaces(stack: contextlib.ExitStack) -> None:
    """Stable of another vector space is an opponent like any other, and may share traffic."""
    stack.enter_context(mock.patch.object(situation.Situation, "crosses_space", False))
    stack.enter_context(mock.patch.object(references, "_shares", return_value=True))


MUTANTS: Final[dict[str, Patch]] = {
    "pin S without a Ready pod": _replace(traffic, "_never_empty", _pinned),
    "promote without a Pass of the SLOs": _replace(judgement, "slos_pass", lambda here: True),
    "too little traffic is a Pass": _replace(
        infeasible, "policy", lambda here, name: api_spec.WhenInfeasible.SKIP
    ),
    "NoData is a Pass": _replace(core_verdict, "gate_slos", _no_data_passes()),
    "traffic while Checking": _replace(traffic, "_traffic", _checking_is_live()),
    "pin C before it can serve": _replace(traffic, "_final_traffic", _pin_early),
    "the hold counts from the run's start": _replace(situation.Situation, "elapsed", _hold_by_phase),
    "the hold is not restarted": _forward(api_run.Phase.HOLDING, _hold_not_restarted),
    "terminating pods are not counted": _replace(planner, "_count", _ignore_terminating()),
    "the floor is forgotten": _replace(planner, "plan", _forget_floor()),
    "Done without the drain": _forward(api_run.Phase.RETURNING, _done_at_once),
    "the candidate's pods are never taken away": _replace(
        traffic, "_returning_target", _returned_when_pinned
    ),
    "a Fail is tried again": _replace(target, "remembered_fail", lambda observed, revision, digest: False),
    "an Error is remembered as a Fail": _replace(judgement, "failure", _error_is_fail),
    "a reject is ignored while paused": _replace(target, "rejected", _reject_unless_paused()),
    "a third revision ends the bake at once": _replace(lifecycle, "_superseded", _supersede_in_bake),
    "the checks need not have passed": _replace(judgement, "checks_done", lambda here: True),
    "outputs need not be stored": _replace(judgement, "outputs_stored", _skip_outputs),
    "any approval will do": _replace(situation.Situation, "approved", _any_approval),
    "one portion of a check is enough": _replace(
        situation.Situation, "portions", lambda self, check: range(1)
    ),
    "vector spaces share traffic": _mixed_spaces,
    "other files are a crash like any other": _replace(pods, "_artifact_blame", lambda pod: None),
    "files are not looked at": _replace(artifacts, "status_of", lambda here, ready: None),
    "another image is promoted unchecked": _replace(pods, "drift", _drift_but(reasons.IMAGE_DRIFT)),
    "other GPUs are promoted unchecked": _replace(pods, "drift", _drift_but(reasons.HARDWARE_UNTESTED)),
    "whoever hangs keeps the others waiting": _replace(loop.Operator, "_entered", _wait_for_room),
    "a widened Service finds every release's pods": _replace(manifests, "selector", _all_serving),
    "the canary never yields": _replace(pods, "yield_needed", lambda stable, now: False),
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """Let the core have this mistake."""
    with contextlib.ExitStack() as stack:
        MUTANTS[name](stack)
        yield
