"""Which revision is stable, which one is wanted, and whether a run must begin."""

import dataclasses
import datetime

from modelrelease.api import checks as api_checks
from modelrelease.api import constants, reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import observation, retention


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """The revision that should end up with all traffic; None when there is nothing to serve."""

    revision: str | None
    problem: observation.Problem | None = None
    """Why the spec's own revision is not the target, for people."""


def promotions(observed: observation.Observation) -> list[str]:
    """Return the promoted revisions that are still stored, the newest promotion first.

    A run that ended in promotion counts before its mark is on the ControllerRevision, so that a crash between
    the two changes nothing.
    """
    times: dict[str, datetime.datetime] = {
        revision.name: revision.promoted_time
        for revision in observed.revisions.values()
        if revision.promoted_time is not None
    }
    for run in observed.runs:
        done = run.status.completion_time
        if run.status.outcome is api_run.Outcome.PROMOTED and done is not None:
            known = times.get(run.spec.revision)
            if run.spec.revision in observed.revisions and (known is None or known < done):
                times[run.spec.revision] = done
    return sorted(times, key=lambda name: (times[name], name), reverse=True)


def stable_of(observed: observation.Observation) -> str | None:
    """Return the last fully promoted revision, also when it has since been rejected."""
    return next(iter(promotions(observed)), None)


def rejected(observed: observation.Observation, revision: str | None) -> bool:
    """Return whether a person has rejected the revision."""
    return any(entry.revision == revision for entry in observed.release.override.rejected)


def forced(observed: observation.Observation, revision: str) -> bool:
    """Return whether a person has forced the revision: its verdicts are only reported."""
    entry = observed.release.override.forced
    return entry is not None and entry.revision == revision


def cancelled(observed: observation.Observation, revision: str) -> api_spec.Cancelled | None:
    """Return a person's word that ends the attempts at a revision; a retry of a later one outweighs it."""
    entry, retry = observed.release.override.cancelled, observed.release.override.retry
    if entry is None or entry.revision != revision:
        return None
    later = retry is not None and retry.revision == revision and retry.attempt > entry.attempt
    return None if later else entry


def waived(observed: observation.Observation, revision: str) -> frozenset[str]:
    """Return the names of the checks and SLOs that a person waived for the revision."""
    return frozenset(w.check for w in observed.release.override.waivers if w.revision == revision)


def active_run(observed: observation.Observation) -> observation.Run | None:
    """Return the run that is under way: the newest that is not Done."""
    return next((run for run in reversed(observed.runs) if run.status.phase is not api_run.Phase.DONE), None)


def state_problem(observed: observation.Observation) -> observation.Problem | None:
    """Return why the stored state contradicts the live traffic, so that nothing may move.

    After a restore the ControllerRevisions' marks and the live selector are all that is left. A selector
    pinned to a revision that was never promoted is a run deleted by hand, and goes back to stable.
    """
    pinned = observed.traffic.revision
    if observed.traffic.selects is not observation.Selects.PINNED or active_run(observed) is not None:
        return None
    order = promotions(observed)
    if not order:
        return observation.Problem(
            reasons.STATE_UNKNOWN,
            f"Traffic is pinned to {pinned}, but no stored revision is marked as promoted: nothing is moved. "
            f"{_mark_by_hand(observed, pinned)}",
        )
    if pinned in order[1:]:
        return observation.Problem(
            reasons.STATE_UNKNOWN,
            f"Traffic is pinned to {pinned}, but {order[0]} was promoted after it: nothing is moved. "
            f"{_mark_by_hand(observed, pinned)}",
        )
    return None


def _mark_by_hand(observed: observation.Observation, revision: str) -> str:
    return (
        f"If {revision} is right, annotate the ControllerRevision {observed.release.name}-{revision} with "
        f"{constants.GROUP}/promoted-time and the present time."
    )


def target_of(observed: observation.Observation) -> Target:
    """Return the wanted revision: rejected > pinned > spec, and never one whose Fail is remembered."""
    order = promotions(observed)
    stable = next(iter(order), None)
    if stable is not None and rejected(observed, stable):
        fallback = next((name for name in order if not rejected(observed, name)), None)
        if fallback is not None:
            return Target(fallback)
    return _unrejected(observed, stable)


def _unrejected(observed: observation.Observation, stable: str | None) -> Target:
    release = observed.release
    run = active_run(observed)
    if release.override.pinned is not None:
        pinned = release.override.pinned.revision
        if rejected(observed, pinned):
            return Target(
                stable,
                observation.Problem(reasons.REJECTED, f"{pinned} is pinned and rejected: nothing is moved."),
            )
        if pinned in observed.revisions:
            return _uncancelled(observed, stable, pinned)
        return Target(
            stable,
            observation.Problem(
                reasons.REVISION_NOT_FOUND, f"The pinned revision {pinned} is not stored: nothing is moved."
            ),
        )
    if release.desired is None:
        return Target(run.spec.revision if run else stable, release.problem)
    wanted = release.desired.revision
    if rejected(observed, wanted):
        if wanted == stable:
            return Target(
                stable,
                observation.Problem(
                    reasons.NOTHING_TO_RETURN_TO,
                    f"{wanted} is rejected, but no other promoted revision is stored: it keeps serving.",
                ),
            )
        return Target(
            stable,
            observation.Problem(
                reasons.REJECTED, f"{wanted} is rejected: it is not tried until the spec changes."
            ),
        )
    if wanted != stable and remembered_fail(observed, wanted, release.desired.judging_digest):
        return Target(
            stable,
            observation.Problem(
                reasons.ROLLED_BACK, f"{wanted} has failed and is not tried again until it changes."
            ),
        )
    return _uncancelled(observed, stable, wanted)


def _uncancelled(observed: observation.Observation, stable: str | None, wanted: str) -> Target:
    """Return the wanted revision, unless a person has ended the attempts at it; stable can't be cancelled."""
    ended = cancelled(observed, wanted)
    if ended is None or wanted == stable:
        return Target(wanted)
    problem = observation.Problem(reasons.CANCELLED, reasons.cancelled(wanted, ended.reason))
    return Target(stable, problem)


def remembered_fail(observed: observation.Observation, revision: str, digest: str) -> bool:
    """Return whether (revision, judging digest) has failed and no person asked to try it again."""
    attempts = [
        run.spec.attempt
        for run in observed.runs
        if run.spec.revision == revision and run.spec.judging_digest == digest and run.status.failed
    ]
    stored = observed.revisions.get(revision)
    if not attempts and (stored is None or digest not in stored.failed_digests):
        return False
    if forced(observed, revision) or waived(observed, revision):
        return False
    retry = observed.release.override.retry
    return not (retry is not None and retry.revision == revision and retry.attempt > max(attempts, default=0))


def mode_of(observed: observation.Observation, revision: str) -> api_run.Mode:
    """Return what a run of the revision has to prove."""
    order = promotions(observed)
    if not order:
        return api_run.Mode.FIRST
    if rejected(observed, order[0]) and revision in order:
        return api_run.Mode.RELOAD
    desired = observed.release.desired
    window = desired.judging.strategy.rollback_window.revisions if desired else len(order)
    stored = observed.revisions.get(revision)
    fails = stored.failed_digests if stored else frozenset()
    if revision in order[1 : window + 1] and not fails:
        return api_run.Mode.FAST
    return api_run.Mode.FULL


@dataclasses.dataclass(frozen=True, slots=True)
class NextRun:
    """A run that must be created."""

    name: str
    spec: api_run.RunSpec


def next_run(
    observed: observation.Observation, now: datetime.datetime
) -> NextRun | retention.RetryDecision | None:
    """Return the run to create, when it is too early for it the retry's decision, or None."""
    target = target_of(observed).revision
    stable = stable_of(observed)
    release = observed.release
    judged = judged_by(observed, target)
    if (
        target is None
        or target == stable
        or judged is None
        or (release.override.paused is not None and mode_of(observed, target) is not api_run.Mode.RELOAD)
        or release.replicas == 0
        or active_run(observed) is not None
        or state_problem(observed) is not None
    ):
        return None
    digest, judging = judged
    decision = retention.retry_due(
        observed.runs, target, digest, judging.strategy.retry_policy, release.override.retry, now
    )
    if not decision.allowed:
        return decision
    return NextRun(
        name=f"{release.name}-{target}-{decision.attempt}",
        spec=api_run.RunSpec(
            release_name=release.name,
            release_uid=release.uid,
            revision=target,
            stable=stable,
            stable_numeric_class=observed.revisions[stable].numeric_class if stable else None,
            attempt=decision.attempt,
            mode=mode_of(observed, target),
            judging_digest=digest,
            judging=judging,
        ),
    )


def judged_by(observed: observation.Observation, revision: str | None) -> tuple[str, api_run.Judging] | None:
    """Return digest and snapshot for a run of the revision.

    A return to a stored revision must work with an invalid spec: then its last run's snapshot serves, which
    a Reload and a Fast run need for nothing but their deadlines and drain.
    """
    desired = observed.release.desired
    if desired is not None:
        return desired.judging_digest, desired.judging
    for run in reversed(observed.runs):
        if run.spec.revision == revision:
            return run.spec.judging_digest, run.spec.judging
    last = next(reversed(observed.runs), None)
    return (last.spec.judging_digest, last.spec.judging) if last else None


def step_count(run: observation.Run) -> int:
    """Return n: the declared steps and the final shift to 100 % with its bake."""
    if run.spec.mode in {api_run.Mode.FAST, api_run.Mode.RELOAD}:
        return 1
    return len(run.spec.judging.strategy.steps) + 1


def observing(observed: observation.Observation, run: observation.Run) -> bool:
    """Return whether verdicts are only reported for this run."""
    enforcement = run.spec.judging.enforcement
    return enforcement is api_checks.Enforcement.OBSERVE or forced(observed, run.spec.revision)
