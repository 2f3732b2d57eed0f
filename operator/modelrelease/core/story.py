"""What goes on with a release, in words: one phase, one reason, one message.

The phase is for people and derived; machines read conditions. :mod:`modelrelease.core.presentation` puts the
story into the status.
"""

import dataclasses
import datetime
import enum
from collections.abc import Iterable

from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import cut_over, ends, judgement, observation, pods, retention, serving, target
from modelrelease.core.situation import Situation

Problem = observation.Problem


class Shown(enum.StrEnum):
    """What people read in the column PHASE."""

    PENDING = "Pending"
    STABLE = "Stable"
    SCALED_TO_ZERO = "ScaledToZero"
    QUEUED = "Queued"
    STARTING = "Starting"
    WAITING_FOR_CAPACITY = "WaitingForCapacity"
    CHECKING = "Checking"
    AWAITING_APPROVAL = "AwaitingApproval"
    SHIFTING = "Shifting"
    HOLDING = "Holding"
    BAKING = "Baking"
    RELOADING = "Reloading"
    RETURNING = "Returning"
    RETRYING = "Retrying"
    ROLLED_BACK = "RolledBack"
    REJECTED = "Rejected"
    CANCELLED = "Cancelled"
    PAUSED = "Paused"
    STALLED = "Stalled"


class Motion(enum.StrEnum):
    """Whether something moves by itself: at most one of Reconciling and Stalled."""

    SETTLED = "Settled"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    WAITING = "Waiting"
    """A person is asked: paused, or an approval."""


@dataclasses.dataclass(frozen=True, slots=True)
class Story:
    """One phase, one reason, one message."""

    shown: Shown
    motion: Motion
    reason: str
    message: str


def told(observed: observation.Observation, now: datetime.datetime) -> Story:
    """Return what goes on.

    Parameters
    ----------
    observed
        One consistent look at the release.
    now
        The present; it decides which deadlines have passed and is never told itself.
    """
    here = Situation.of(observed, now)
    return _settled(observed, now) if here is None else _under_way(here)


def _stalled(problem: Problem, shown: Shown = Shown.STALLED) -> Story:
    return Story(shown, Motion.STALLED, problem.reason, reasons.sentence(problem.message))


def _moving(shown: Shown, reason: str, message: str) -> Story:
    return Story(shown, Motion.RECONCILING, reason, reasons.sentence(message))


# --- No run is under way ------------------------------------------------------------------------------------


def _settled(observed: observation.Observation, now: datetime.datetime) -> Story:
    problem = target.state_problem(observed) or name_conflict(observed) or observed.release.problem
    if problem is not None:
        return _stalled(problem)
    if observed.release.replicas == 0:
        message = "Scaled to zero: nothing serves and no run starts."
        return Story(Shown.SCALED_TO_ZERO, Motion.SETTLED, reasons.SCALED_TO_ZERO, message)
    wanted, stable = target.target_of(observed), target.stable_of(observed)
    if wanted.problem is not None:
        return _not_tried(observed, wanted.problem)
    if wanted.revision is None:
        return _moving(Shown.PENDING, reasons.RUN_STARTED, "The first run is about to start.")
    if wanted.revision == stable:
        if observed.traffic.selects is observation.Selects.OFFERED:
            return _moving(Shown.PENDING, reasons.ADOPTING, serving.told(observed))
        return Story(Shown.STABLE, Motion.SETTLED, reasons.SERVING_STABLE, serving.told(observed))
    paused = observed.release.override.paused
    if paused is not None:
        message = f"{wanted.revision} is not tried, because a person has paused: {paused.reason}"
        return Story(Shown.PAUSED, Motion.WAITING, reasons.PAUSED, reasons.sentence(message))
    decision = target.next_run(observed, now)
    if isinstance(decision, retention.RetryDecision):
        return _later(observed, wanted.revision, decision)
    return _moving(Shown.PENDING, reasons.RUN_STARTED, f"A run of {wanted.revision} is about to start.")


def _not_tried(observed: observation.Observation, problem: Problem) -> Story:
    """Tell why the spec's revision is not the target: mostly the end of its last run."""
    if problem.reason == reasons.CANCELLED:
        said = f"{problem.message} {serving.told(observed)}"
        return _stalled(Problem(problem.reason, said), Shown.CANCELLED)
    if problem.reason not in {reasons.ROLLED_BACK, reasons.REJECTED}:
        return _stalled(problem)
    shown = Shown.REJECTED if problem.reason == reasons.REJECTED else Shown.ROLLED_BACK
    desired = observed.release.desired
    run = ends.last_run(observed, desired.revision) if desired is not None else None
    ended = run is not None and run.status.outcome is not api_run.Outcome.PROMOTED
    if run is None or not ended:
        return _stalled(Problem(problem.reason, f"{problem.message} {serving.told(observed)}"), shown)
    failed = run.status.failed and problem.reason == reasons.ROLLED_BACK
    reason = run.status.reason if failed and run.status.reason else problem.reason
    return _stalled(Problem(reason, ends.aftermath(observed, run)), shown)


def _later(observed: observation.Observation, revision: str, decision: retention.RetryDecision) -> Story:
    run = ends.last_run(observed, revision)
    past = ends.aftermath(observed, run) if run is not None else serving.told(observed)
    if decision.at is None:
        reason = run.status.reason if run is not None and run.status.reason else decision.reason
        message = f"{past} It is not tried again by itself: change the spec, or set spec.override.retry."
        return _stalled(Problem(reason, message), Shown.ROLLED_BACK)
    message = f"{past} Attempt {decision.attempt} starts at {decision.at:%Y-%m-%d %H:%M:%S} UTC."
    if run is not None and run.status.reason in {reasons.IMAGE_NOT_FOUND, *reasons.UNSTARTABLE}:
        # Unlike a crash it will be the same again, unless somebody does something: that is no progress.
        rolled_back = run.status.outcome is api_run.Outcome.ROLLED_BACK
        shown = Shown.ROLLED_BACK if rolled_back else Shown.CANCELLED
        return _stalled(Problem(run.status.reason, message), shown)
    return _moving(Shown.RETRYING, decision.reason, message)


def name_conflict(observed: observation.Observation) -> Problem | None:
    """Return that the Service's name is somebody else's, or that it can't be taken over as it is offered."""
    if observed.offer_problem:
        said = reasons.not_adoptable(observed.release.name, observed.offer_problem)
        return Problem(reasons.NAME_CONFLICT, said)
    if observed.traffic.selects is not observation.Selects.FOREIGN:
        return None
    return Problem(reasons.NAME_CONFLICT, reasons.name_conflict(observed.release.name))


# --- A run is under way -------------------------------------------------------------------------------------


def _under_way(here: Situation) -> Story:
    if here.status.phase is api_run.Phase.RETURNING:
        to = f"to {here.stable}" if here.stable else "from users"
        message = f"All traffic goes back {to}. {ends.ending(here.run)}"
        return _moving(Shown.RETURNING, here.status.reason or reasons.RETURNING, message)
    problem = obstacle(here)
    if problem is not None:
        return _stalled(problem)
    paused = here.observed.release.override.paused
    if paused is not None:
        message = f"{here.candidate} is paused in {here.status.phase}: {paused.reason}"
        return Story(Shown.PAUSED, Motion.WAITING, reasons.PAUSED, reasons.sentence(message))
    scarce = _scarce(here)
    if scarce is not None:
        message = reasons.sentence(f"{here.candidate} waits for an approval or for traffic: {scarce.message}")
        return Story(Shown.AWAITING_APPROVAL, Motion.WAITING, scarce.reason, message)
    stage = awaited_approval(here)
    if stage is not None:
        message = reasons.awaiting_approval(stage.value, here.candidate)
        return Story(Shown.AWAITING_APPROVAL, Motion.WAITING, reasons.AWAITING_APPROVAL, message)
    return _progress(here)


def obstacle(here: Situation) -> Problem | None:
    """Return what keeps the run from going on until somebody does something."""
    return (
        name_conflict(here.observed)
        or _exposed(here)
        or here.observed.release.problem
        or target.target_of(here.observed).problem
        or _refused(here)
        or _no_room(here)
        or _held_by_evidence(here)
    )


def _exposed(here: Situation) -> Problem | None:
    services = here.observed.exposed_by
    return Problem(reasons.CANARY_EXPOSED, reasons.exposed(services)) if services else None


def _refused(here: Situation) -> Problem | None:
    refused = here.candidate_pods.refused
    if refused is None:
        return None
    return Problem(refused.reason, f"{here.candidate} can't start. {refused.message}")


def _no_room(here: Situation) -> Problem | None:
    release = here.observed.release
    if here.status.phase is not api_run.Phase.QUEUED or here.replicas < 1 or here.canary_replicas >= 1:
        return None
    return Problem(reasons.NO_ROOM_FOR_CANARY, reasons.no_room(release.max_surge, release.max_unavailable))


def _held_by_evidence(here: Situation) -> Problem | None:
    phase = here.status.phase
    overdue = judgement.overdue_evidence(here)
    if overdue is not None and not here.observing and overdue.reason != reasons.SLO_INFEASIBLE:
        return overdue
    if phase is api_run.Phase.CHECKING and judgement.checks_done(here):
        if not judgement.outputs_stored(here):
            message = f"{here.candidate} passed, but its outputs are not stored yet: no traffic moves before."
            return Problem(reasons.REFERENCE_NOT_RECORDED, message)
        if here.crosses_space:
            return cut_over.required(here)
        mixed = pods.mixed(here.status.checked_pods)
        if mixed is not None:
            return mixed
    if phase in {api_run.Phase.STARTING, api_run.Phase.SHIFTING} and here.crosses_space:
        fast = here.run.spec.mode is api_run.Mode.FAST
        return cut_over.required(here) if fast or phase is api_run.Phase.SHIFTING else None
    if phase in {api_run.Phase.SHIFTING, api_run.Phase.HOLDING}:
        return here.drift
    return None


def _scarce(here: Situation) -> Problem | None:
    """Return that a person is asked, because there is too little traffic for an objective."""
    if here.status.phase is not api_run.Phase.HOLDING or here.observing:
        return None
    overdue = judgement.overdue_evidence(here)
    return overdue if overdue is not None and overdue.reason == reasons.SLO_INFEASIBLE else None


def awaited_approval(here: Situation) -> api_spec.Approval | None:
    """Return the gate that only a person can open, when nothing else is left to wait for."""
    phase, next_is_last = here.status.phase, here.status.step + 1 == here.last_step
    before_full = next_is_last and not here.approved(api_spec.Approval.BEFORE_FULL)
    if phase is api_run.Phase.STARTING and here.run.spec.mode is api_run.Mode.FAST and before_full:
        return api_spec.Approval.BEFORE_FULL if len(here.warm_pods) >= here.canary_replicas else None
    if phase is api_run.Phase.CHECKING and judgement.checks_done(here):
        if not here.approved(api_spec.Approval.BEFORE_TRAFFIC):
            return api_spec.Approval.BEFORE_TRAFFIC
        return api_spec.Approval.BEFORE_FULL if before_full and here.stable is not None else None
    if phase is api_run.Phase.HOLDING and before_full:
        done = here.elapsed() >= here.hold_seconds and judgement.slos_pass(here)
        return api_spec.Approval.BEFORE_FULL if done else None
    return None


def _progress(here: Situation) -> Story:
    match here.status.phase:
        case api_run.Phase.QUEUED:
            return _moving(Shown.QUEUED, reasons.QUEUED, f"{here.candidate} waits for its turn.")
        case api_run.Phase.STARTING:
            return _starting(here)
        case api_run.Phase.CHECKING:
            return _checking(here)
        case api_run.Phase.SHIFTING:
            return _shifting(here)
        case _:
            return _holding(here)


def _starting(here: Situation) -> Story:
    standing = here.candidate_pods
    if pods.yield_needed(here.stable_pods, here.now):
        message = f"The canary made room for a stable pod. {here.stable_pods.message}"
        return _moving(Shown.WAITING_FOR_CAPACITY, reasons.YIELDED, message)
    return _waiting(here) or _moving(
        Shown.STARTING, reasons.CANARY_STARTING, f"{here.candidate} starts. {standing.message}"
    )


def _waiting(here: Situation) -> Story | None:
    problem = here.candidate_pods.waiting
    if problem is None or problem.reason not in reasons.CAPACITY:
        return None
    return _moving(Shown.WAITING_FOR_CAPACITY, problem.reason, f"{here.candidate} waits. {problem.message}")


def _checking(here: Situation) -> Story:
    statuses = here.latest_checks
    spoken = [status for status in statuses if status.verdict is not None or status.skipped]
    running = judgement.next_check(here)
    tail = _asking(here, running) if running is not None else _unresolved(statuses)
    message = f"{here.candidate} is checked: {len(spoken)} of {len(statuses)} done, {tail}"
    costs = [
        slo.feasibility.message
        for slo in judgement.latest_slos(here)
        if slo.feasibility is not None and not slo.feasibility.reachable
    ]
    told = message.removesuffix(", ")
    return _moving(
        Shown.CHECKING, reasons.CHECKING, f"{reasons.sentence(told)} {costs[0]}" if costs else told
    )


def _asking(here: Situation, running: api_run.CheckStatus) -> str:
    """Return what the check does; a node with room for its pod may be long in coming."""
    of_it = (running.name, running.attempt)
    waits = (p.message for p in here.observed.parts if (p.check, p.attempt) == of_it and not p.finished)
    why = next(filter(None, waits), "")
    return f"{running.name} waits: {why}" if why else f"{running.name} runs"


def _unresolved(statuses: Iterable[api_run.CheckStatus]) -> str:
    passed = verdict.Verdict.PASS
    held = next((s for s in statuses if s.verdict is not passed and (s.verdict or s.skipped)), None)
    return f"{held.name} said {held.verdict or 'Skipped'}: {held.message}" if held is not None else ""


def _shifting(here: Situation) -> Story:
    if here.run.spec.mode is api_run.Mode.RELOAD:
        message = f"{here.candidate} is loaded again, without checks. {here.candidate_pods.message}"
        return _moving(Shown.RELOADING, reasons.RELOADING, message)
    weight = 100 if here.final else here.split.attained_weight
    detail = here.candidate_pods.message or here.stable_pods.message
    waiting = _waiting(here)
    if waiting is not None:
        return waiting
    return _moving(Shown.SHIFTING, reasons.SHIFTING, f"{here.candidate} goes to {weight} %. {detail}")


def _holding(here: Situation) -> Story:
    slos = [
        f"{slo.name} is {slo.verdict}: {slo.message}"
        for slo in judgement.latest_slos(here)
        if slo.verdict is not verdict.Verdict.PASS
    ]
    stopped = " The clock stands still." if here.status.silent_since is not None else ""
    detail = f" {reasons.sentence(slos[0])}{stopped}" if slos else ""
    costs = [
        slo.feasibility.message
        for slo in judgement.latest_slos(here)
        if slo.feasibility is not None and slo.verdict is not verdict.Verdict.PASS
    ]
    detail += f" {reasons.sentence(costs[0])}" if costs else ""
    if here.run.spec.mode is api_run.Mode.RELOAD:
        return _moving(Shown.RELOADING, reasons.RELOADING, f"{here.candidate} serves; the old pods drain.")
    share = "serves 100" if here.final else f"takes {here.split.attained_weight}"
    message = f"{here.candidate} {share} % and is watched for {here.hold_seconds} s.{detail}"
    if here.final:
        return _moving(Shown.BAKING, reasons.BAKING, message)
    return _moving(Shown.HOLDING, reasons.HOLDING, message)
