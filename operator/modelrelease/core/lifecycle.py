"""The life of a release, from top to bottom. Read this first.

    Queued -> Starting -> Checking -> Shifting 1 -> Holding 1 -> ... -> Shifting n -> Holding n -> Done
                  any of them -> Returning -> Done

Step n is the shift to 100 %, and its hold is the bake. ``transition`` is a pure function of the persisted
status, what is observed and ``now``; it returns the next status or None, and nothing else moves a run. What
each phase asks of the children is in :mod:`modelrelease.core.traffic`.

The first release ends after Checking; a Fast run (return within the rollback window) goes from Starting to
Shifting n; a Reload (a rejected stable is replaced) goes from Queued to Shifting n and ends there.
"""

import datetime
from collections.abc import Callable
from typing import Any

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import artifacts, chronicle, judgement, observation, pods, recovery, target
from modelrelease.core.situation import Situation

Phase = api_run.Phase
Mode = api_run.Mode
Outcome = api_run.Outcome

Next = api_run.RunStatus | None


def transition(observed: observation.Observation, now: datetime.datetime) -> Next:
    """Return the active run's next status, or None when it stays as it is.

    Parameters
    ----------
    observed
        One consistent look at the release.
    now
        The API server's time; times that are already persisted win over an earlier one.
    """
    here = Situation.of(observed, now)
    if here is None:
        return None
    following = _over(here) or _abort(here) or _stop_clock(here) or judgement.record(here)
    if following is None and (not here.paused or here.status.phase is Phase.RETURNING):
        following = _FORWARD[here.status.phase](here)
    if following is None:
        return None
    return following.model_copy(
        update={
            "updated_time": here.now,
            "start_time": here.status.start_time or here.now,
            "phases": chronicle.phases(here, following),
        }
    )


def _over(here: Situation) -> Next:
    """Only a wiped status leads here: the run is over, and what it promoted must keep its traffic."""
    if target.stable_of(here.observed) != here.candidate:
        return None
    return here.status.model_copy(
        update={
            "phase": Phase.DONE,
            "clock": None,
            "outcome": here.status.outcome or Outcome.CANCELLED,
            "reason": here.status.reason or reasons.CANCELLED,
            "message": f"{here.candidate} is stable already.",
            "completion_time": here.now,
        }
    )


# --- Aborts: first match, in every phase but Returning, also while paused ---------------------------------


def _abort(here: Situation) -> Next:
    if here.status.phase is Phase.RETURNING:
        return None
    for guard in (_rejected, _cancelled, _failed, _not_wanted, _superseded, _rejudged, _exposed, _overdue):
        following = guard(here)
        if following is not None:
            return following
    return None


def _rejected(here: Situation) -> Next:
    if not target.rejected(here.observed, here.candidate):
        return None
    reason = next(
        entry.reason for entry in here.observed.release.override.rejected if entry.revision == here.candidate
    )
    return _return(here, Outcome.REJECTED, reasons.REJECTED, reasons.sentence(reason))


def _cancelled(here: Situation) -> Next:
    """End the run as a person asks; a Reload is a return, which nobody holds up."""
    entry = target.cancelled(here.observed, here.candidate)
    if entry is None or here.run.spec.attempt > entry.attempt or here.run.spec.mode is Mode.RELOAD:
        return None
    return _return(here, Outcome.CANCELLED, reasons.CANCELLED, reasons.sentence(entry.reason))


def _failed(here: Situation) -> Next:
    blame = here.candidate_pods.blame
    if blame is not None and here.status.phase is not Phase.QUEUED:
        # Other files than the pinned ones are measured, exactly: that is remembered. A crash is tried again.
        exact = blame.reason == reasons.ARTIFACT_MISMATCH and not here.observing
        return _return(here, Outcome.ROLLED_BACK, blame.reason, blame.message, failed=exact)
    if here.observing:
        return None
    failure = judgement.failure(here)
    if failure is None:
        return None
    return _return(here, Outcome.ROLLED_BACK, failure.reason, failure.message, failed=True)


def _not_wanted(here: Situation) -> Next:
    if here.candidate not in here.observed.revisions:
        return _return(
            here, Outcome.CANCELLED, reasons.REVISION_NOT_FOUND, "The candidate's revision was deleted."
        )
    wanted, stable = target.target_of(here.observed).revision, target.stable_of(here.observed)
    if wanted is None or wanted != stable:
        return None
    return _return(here, Outcome.CANCELLED, reasons.CANCELLED, f"{wanted} is wanted again.")


def _superseded(here: Situation) -> Next:
    wanted = target.target_of(here.observed).revision
    # What can't start is no reason to wait: the next one may be its correction.
    waits = here.strategy.on_supersede is api_spec.OnSupersede.QUEUE and here.candidate_pods.refused is None
    queued = here.final or waits
    if wanted in {None, here.candidate} or queued:
        return None
    return _return(here, Outcome.SUPERSEDED, reasons.SUPERSEDED, f"{wanted} is wanted instead.")


def _rejudged(here: Situation) -> Next:
    desired = here.observed.release.desired
    if (
        desired is None
        or desired.revision != here.candidate
        or desired.judging_digest == here.run.spec.judging_digest
        or here.final
        or here.run.spec.mode is Mode.RELOAD
    ):
        return None
    return _return(
        here,
        Outcome.SUPERSEDED,
        reasons.SUPERSEDED,
        "What the run is judged by was edited: it starts again with the same pods.",
        keep_pods=True,
    )


def _exposed(here: Situation) -> Next:
    """Take the canary away from a foreign Service that began to select it."""
    if not here.observed.exposed_by or here.status.phase not in {Phase.STARTING, Phase.CHECKING}:
        return None
    return _enter(here, Phase.QUEUED, checks=judgement.voided(here), checked_pods=[])


def _overdue(here: Situation) -> Next:
    if here.paused:
        return None
    expired = judgement.expired(here) or _startup_expired(here)
    if expired is None:
        return None
    return _return(here, expired.outcome, expired.problem.reason, expired.problem.message)


def _startup_expired(here: Situation) -> judgement.Expired | None:
    """Capacity first: what no scheduler has placed yet can't be late to start."""
    status, standing = here.status, here.candidate_pods
    if status.phase not in {Phase.STARTING, Phase.SHIFTING} or here.run.spec.mode is Mode.RELOAD:
        return None
    canary = here.strategy.canary
    if standing.waiting is not None:
        if here.elapsed() < canary.capacity_deadline_seconds:
            return None
        within = f"within {canary.capacity_deadline_seconds} s"
        problem = observation.Problem(
            reasons.CAPACITY_DEADLINE, f"No capacity {within}: {standing.waiting.message}"
        )
        if standing.refused is not None:
            said = f"It could not start {within}: {standing.refused.message}"
            problem = observation.Problem(standing.refused.reason, said)
        return judgement.Expired(Outcome.CANCELLED, problem)
    scheduled = standing.unready_since
    started = scheduled if scheduled is not None else here.now
    if (here.now - started).total_seconds() < canary.startup_deadline_seconds:
        return None
    return judgement.Expired(
        Outcome.ROLLED_BACK,
        observation.Problem(
            reasons.STARTUP_DEADLINE,
            f"The candidate was not Ready within {canary.startup_deadline_seconds} s of being scheduled. "
            f"{standing.message}".rstrip(),
        ),
    )


def _return(
    here: Situation,
    outcome: api_run.Outcome,
    reason: str,
    message: str,
    *,
    failed: bool = False,
    keep_pods: bool = False,
) -> api_run.RunStatus:
    return here.status.model_copy(
        update={
            "phase": Phase.RETURNING,
            # The clock of Returning starts when traffic is seen to be back, for the drain.
            "clock": None,
            "silent_since": None,
            "outcome": outcome,
            "failed": failed,
            "keep_pods": keep_pods,
            "reason": reason,
            "message": message[:1024],
            "checks": list(here.latest_checks),
            "slos": judgement.latest_slos(here),
        }
    )


# --- The clock stands still while a person has paused, or while an SLO is silent -------------------------


def _stop_clock(here: Situation) -> Next:
    if here.status.phase is Phase.RETURNING:
        return None
    silent = here.status.phase is Phase.HOLDING and judgement.silent(here)
    update: dict[str, Any] = {}
    clock = here.stopped(stop=here.paused or silent)
    if clock is not None:
        update["clock"] = clock
    if silent is (here.status.silent_since is None):
        update["silent_since"] = here.now if silent else None
        update["slos"] = judgement.latest_slos(here)
    return here.status.model_copy(update=update) if update else None


# --- Forward ------------------------------------------------------------------------------------------------


def _enter(here: Situation, phase: api_run.Phase, step: int = 0, **update: Any) -> api_run.RunStatus:
    return here.status.model_copy(
        update={
            "phase": phase,
            "step": step,
            "clock": api_run.Clock(start_time=here.now),
            "silent_since": None,
            **update,
        }
    )


def _queued(here: Situation) -> Next:
    if here.observed.exposed_by or here.observed.traffic.selects is observation.Selects.FOREIGN:
        return None
    if here.observed.traffic.selects is observation.Selects.OFFERED and here.stable is not None:
        # Stable takes the Service over first: until then no share of its users can be given to anybody.
        return None
    if here.canary_replicas < 1 or here.replicas < 1:
        return None
    if here.run.spec.mode is Mode.RELOAD and not here.crosses_space:
        return _shift(here, here.last_step)
    return _enter(here, Phase.STARTING)


def _starting(here: Situation) -> Next:
    if pods.yield_needed(here.stable_pods, here.now):
        # It is Ready still: only a turn without a transition takes its pods away.
        return None
    ready = here.warm_pods
    if len(ready) < here.canary_replicas or (here.crosses_space and here.run.spec.mode is Mode.FAST):
        return None
    if here.run.spec.mode is Mode.FAST:
        return _shift(here, here.last_step)
    return _enter(
        here,
        Phase.CHECKING,
        checked_pods=[pods.checked(pod) for pod in ready],
        artifact=artifacts.status_of(here, ready),
    )


def _checking(here: Situation) -> Next:
    if judgement.pods_replaced(here) or pods.yield_needed(here.stable_pods, here.now):
        return _enter(here, Phase.STARTING, checks=judgement.voided(here), checked_pods=[])
    again = judgement.retried(here)
    if again is not None:
        return here.status.model_copy(update={"checks": again})
    if (
        not judgement.checks_done(here)
        or not judgement.outputs_stored(here)
        or not here.approved(api_spec.Approval.BEFORE_TRAFFIC)
        or here.crosses_space
        or pods.mixed(here.status.checked_pods) is not None
    ):
        return None
    if here.stable is None:
        return _promote(here, reasons.FIRST_RELEASE)
    return _shift(here, 1)


def _shift(here: Situation, step: int) -> Next:
    if step == here.last_step and not here.approved(api_spec.Approval.BEFORE_FULL):
        return None
    live_since = here.status.live_since or here.now
    return _enter(here, Phase.SHIFTING, step, live_since=live_since)


def _shifting(here: Situation) -> Next:
    return _enter(here, Phase.HOLDING, here.status.step) if _effective(here) else None


def _effective(here: Situation) -> bool:
    """Whether users get this step: its pods Ready, its traffic observed, its product the tested one."""
    if here.drift is not None:
        return False
    if not here.final:
        return (
            here.widened
            and here.candidate_pods.ready >= here.split.candidate
            and here.stable_pods.ready >= here.split.stable
        )
    # Scaled to zero nobody serves, and nothing is measured: that is no hold.
    return here.pinned_to(here.candidate) and here.candidate_pods.ready >= max(1, here.replicas)


def _holding(here: Situation) -> Next:
    if not _effective(here):
        return _enter(here, Phase.SHIFTING, here.status.step)
    if here.elapsed() < here.hold_seconds or not judgement.slos_pass(here):
        return None
    if not here.final:
        return _shift(here, here.status.step + 1)
    if here.run.spec.mode is Mode.RELOAD and here.stable_pods.present:
        return None
    return _promote(here, reasons.PROMOTED)


def _promote(here: Situation, reason: str) -> api_run.RunStatus:
    return here.status.model_copy(
        update={
            "phase": Phase.DONE,
            "clock": None,
            "silent_since": None,
            "outcome": Outcome.PROMOTED,
            "reason": reason,
            "message": reasons.promoted(here.candidate, _words(here))[:1024],
            "slos": judgement.latest_slos(here),
            "completion_time": here.now,
        }
    )


def _words(here: Situation) -> list[str]:
    """Return the words of people without which it may not have been promoted: the run remembers them."""
    override, candidate = here.observed.release.override, here.candidate
    forced = [f"forced: {one.reason}" for one in [override.forced] if one and one.revision == candidate]
    waived = [f"{one.check} waived: {one.reason}" for one in override.waivers if one.revision == candidate]
    return forced + waived


def _returning(here: Situation) -> Next:
    back = here.stable is None or (here.pinned_to(here.stable) and here.stable_pods.ready >= 1)
    if here.status.clock is None:
        again = recovery.begun(here) if back else None
        return _enter(here, Phase.RETURNING, here.status.step, recovery=again) if back else None
    if not back or (here.candidate_pods.present and not here.status.keep_pods):
        return None
    return here.status.model_copy(update={"phase": Phase.DONE, "clock": None, "completion_time": here.now})


_FORWARD: dict[api_run.Phase, Callable[[Situation], Next]] = {
    Phase.QUEUED: _queued,
    Phase.STARTING: _starting,
    Phase.CHECKING: _checking,
    Phase.SHIFTING: _shifting,
    Phase.HOLDING: _holding,
    Phase.RETURNING: _returning,
}
