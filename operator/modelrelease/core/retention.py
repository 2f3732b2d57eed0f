"""What is forgotten, and what is tried again.

Only a ``Fail`` is remembered, on its ControllerRevision; runs are history, and history is bounded. Whatever
ended without a Fail is tried again: a few times when the revision may be to blame, for ever when only
capacity was missing.
"""

import dataclasses
import datetime
from collections.abc import Collection, Iterable, Sequence

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import observation

Outcome = api_run.Outcome


# --- Retry --------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class RetryDecision:
    """Whether a run of a revision may begin now."""

    allowed: bool
    attempt: int
    """Of the run that begins now or later."""
    at: datetime.datetime | None = None
    """When it may begin; None when now, or when only a person can let it begin."""
    reason: str = ""
    """Why not now, in the words of reasons.py."""


def retry_due(  # noqa: PLR0917 - what is tried, by which rules, when
    runs: Sequence[observation.Run],
    revision: str,
    digest: str,
    policy: api_spec.RetryPolicy,
    retry: api_spec.Retry | None,
    now: datetime.datetime,
) -> RetryDecision:
    """Return whether the revision may be tried now, as which attempt, or when.

    Whether a remembered Fail forbids it is :func:`modelrelease.core.target.remembered_fail`'s question: who
    asks here after a Fail has a person's word, by a waiver, a force or a retry.

    Parameters
    ----------
    runs
        The release's runs, oldest first, none of this revision under way.
    revision, digest
        What would be tried, and what it would be judged by.
    policy
        How often and how soon again.
    retry
        A person's wish: the run that is judged must be of this attempt or a later one.
    now
        The present.
    """
    earlier = [run for run in runs if run.spec.revision == revision]
    last = max((run.spec.attempt for run in earlier), default=0)
    asked = retry.attempt if retry is not None and retry.revision == revision else 0
    if last < asked:
        return RetryDecision(allowed=True, attempt=max(last + 1, asked))
    attempt = last + 1
    tried = [run for run in _trailing(runs, revision, digest) if run.spec.attempt >= asked]
    if not tried or not _paced(tried[-1].status, first_fail=_fails(tried) == 1):
        return RetryDecision(allowed=True, attempt=attempt)
    if sum(_counts(run.status) for run in tried) > policy.limit:
        return RetryDecision(allowed=False, attempt=attempt, reason=reasons.RETRIES_EXHAUSTED)
    ended = tried[-1].status.completion_time or now
    due = ended + datetime.timedelta(seconds=policy.backoff_seconds)
    if now < due:
        return RetryDecision(allowed=False, attempt=attempt, at=due, reason=reasons.RETRY_LATER)
    return RetryDecision(allowed=True, attempt=attempt)


def _trailing(runs: Sequence[observation.Run], revision: str, digest: str) -> list[observation.Run]:
    """Return the newest runs of this very attempt to release: another revision in between is a new start."""
    found: list[observation.Run] = []
    for run in reversed(runs):
        if run.spec.revision != revision or run.spec.judging_digest != digest:
            break
        if run.status.outcome is Outcome.PROMOTED:
            break
        found.append(run)
    return found[::-1]


def _fails(runs: Iterable[observation.Run]) -> int:
    return sum(run.status.failed for run in runs)


def _capacity(status: api_run.RunStatus) -> bool:
    return status.reason in reasons.CAPACITY | reasons.UNSTARTABLE


def _counts(status: api_run.RunStatus) -> bool:
    """Whether the run is one of those that the limit is about."""
    return status.outcome is Outcome.ROLLED_BACK and not _capacity(status)


def _paced(status: api_run.RunStatus, *, first_fail: bool) -> bool:
    """Whether the next run waits: after silence, crashes or a lack of capacity.

    A person who cancelled, rejected or superseded a run has decided; so has one who let a first Fail pass.
    A second Fail under the same waiver waits, or it would spin.
    """
    if status.failed and first_fail:
        return False
    return _counts(status) or _capacity(status)


# --- Retention ----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Doomed:
    """What may be deleted, oldest first."""

    revisions: tuple[str, ...] = ()
    """ControllerRevisions, each with its empty Deployment."""
    runs: tuple[str, ...] = ()
    """Names of runs; their Jobs and evidence go with them."""


def doomed(observed: observation.Observation, promoted: Sequence[str]) -> Doomed:
    """Return what exceeds the limits and nobody needs.

    Parameters
    ----------
    observed
        One consistent look at the release.
    promoted
        :func:`modelrelease.core.target.promotions`: the stored promoted revisions, newest first.
    """
    return Doomed(revisions=_doomed_revisions(observed, promoted), runs=_doomed_runs(observed, promoted[:1]))


def _doomed_revisions(observed: observation.Observation, promoted: Sequence[str]) -> tuple[str, ...]:
    kept = _needed(observed, promoted)
    spare = sorted(
        (revision for revision in observed.revisions.values() if revision.name not in kept), key=_recency
    )
    excess = len(spare) - observed.release.revision_history_limit
    return tuple(revision.name for revision in spare[: max(0, excess)] if _empty(revision))


def _needed(observed: observation.Observation, promoted: Sequence[str]) -> set[str]:
    """Return the revisions that serve, may serve next, or that somebody named."""
    override = observed.release.override
    refused = {entry.revision for entry in override.rejected}
    single = (override.pinned, override.forced, override.retry, override.cancelled, override.debug)
    named = [*single, *override.approvals, *override.waivers]
    kept = refused | {entry.revision for entry in named if entry is not None}
    # Stable, and the one that replaces it when a person rejects it.
    kept |= {*promoted[:1], *[name for name in promoted[1:] if name not in refused][:1]}
    kept |= {observed.traffic.revision} - {""}
    if observed.release.desired is not None:
        kept.add(observed.release.desired.revision)
    for run in observed.runs:
        if run.status.phase is not api_run.Phase.DONE:
            kept |= {run.spec.revision} | ({run.spec.stable} if run.spec.stable else set())
    kept |= {revision.name for revision in observed.revisions.values() if revision.anchor_of}
    return kept


def _recency(revision: observation.Revision) -> tuple[bool, float, str]:
    """Sort what was never promoted before what was, then by age: a series of failures drops no good one."""
    time = revision.promoted_time or revision.created_time
    return (revision.promoted_time is not None, time.timestamp() if time else 0.0, revision.name)


def _empty(revision: observation.Revision) -> bool:
    desired = revision.deployment.desired if revision.deployment else 0
    return desired == 0 and all(pod.finished for pod in revision.pods)


def _doomed_runs(observed: observation.Observation, stable: Collection[str]) -> tuple[str, ...]:
    kept = _needed_runs(observed, stable)
    spare = [run.name for run in observed.runs if run.name not in kept]
    excess = len(observed.runs) - observed.release.run_history_limit
    return tuple(spare[: max(0, excess)])


def _needed_runs(observed: observation.Observation, stable: Collection[str]) -> set[str]:
    """Return the runs that are under way, unrecorded, counted, or tell how stable became stable."""
    kept = {run.name for run in observed.runs if run.status.phase is not api_run.Phase.DONE}
    kept |= {run.name for run in observed.runs if _unrecorded(observed, run)}
    promoting = [
        run.name
        for run in observed.runs
        if run.spec.revision in stable and run.status.outcome is Outcome.PROMOTED
    ]
    kept |= set(promoting[-1:])
    desired, retry = observed.release.desired, observed.release.override.retry
    # Its newest run keeps a revision's attempts counting: else an old retry would be due again.
    for revision in {entry.revision for entry in (desired, retry) if entry is not None}:
        kept |= {run.name for run in [r for r in observed.runs if r.spec.revision == revision][-1:]}
    if desired is not None:
        # A retry policy can be longer than the history.
        counted = _trailing(observed.runs, desired.revision, desired.judging_digest)
        limit = desired.judging.strategy.retry_policy.limit
        kept |= {run.name for run in counted[-limit - 1 :]}
    return kept


def _unrecorded(observed: observation.Observation, run: observation.Run) -> bool:
    """Whether the run's outcome is not yet on its ControllerRevision, which outlives it."""
    revision, status = observed.revisions.get(run.spec.revision), run.status
    if revision is None:
        return False
    if status.failed:
        return run.spec.judging_digest not in revision.failed_digests
    done = status.completion_time
    if status.outcome is not Outcome.PROMOTED or done is None:
        return False
    return revision.promoted_time is None or revision.promoted_time < done
