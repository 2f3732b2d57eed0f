"""The status of a ModelRelease: a pure function of its run, its revisions and its children.

Nothing here is read back as state; only ``lastTransitionTime`` is carried over. A release in which nothing
happens has the same status in every turn, so it costs no write.
"""

import datetime
from typing import Final

from modelrelease.api import constants, reasons, status, verdict
from modelrelease.api import run as api_run
from modelrelease.core import observation, serving, story, target, traffic
from modelrelease.core import override as core_override
from modelrelease.core import verdict as core_verdict
from modelrelease.core.situation import Situation

HISTORY_MAX: Final = 10

TRUE, FALSE = status.ConditionStatus.TRUE, status.ConditionStatus.FALSE
Said = tuple[str, status.ConditionStatus, str, str]
"""A condition without its times: type, status, reason, message."""


def present(
    observed: observation.Observation,
    now: datetime.datetime,
    previous: status.ReleaseStatus | None,
) -> status.ReleaseStatus:
    """Return the status that people and machines read.

    Parameters
    ----------
    observed
        One consistent look at the release.
    now
        The time of transitions that are seen for the first time.
    previous
        The status as it stands, for the times of what has not changed.
    """
    told = story.told(observed, now)
    before = previous.conditions if previous is not None else []
    generation = observed.release.generation
    run = target.active_run(observed) or next(reversed(observed.runs), None)
    return status.ReleaseStatus(
        observed_generation=generation,
        conditions=[
            status.condition(before, kind, value, reason, message, generation=generation, now=now)
            for kind, value, reason, message in _conditions(observed, now, told)
        ],
        phase=told.shown,
        message=status.clipped(told.message),
        stable=_stable(observed),
        candidate=_candidate(observed, run),
        weight=_weight(observed),
        verdict=_verdict(observed, run, now),
        overridden=_flag(observed),
        current_run=run.name if run is not None else "",
        feasibility=_feasibility(observed),
        replicas=sum(_serving_pods(observed)),
        selector=_selector(observed),
        history=_history(observed),
    )


# --- Conditions ---------------------------------------------------------------------------------------------


def _conditions(observed: observation.Observation, now: datetime.datetime, told: story.Story) -> list[Said]:
    return [
        _ready(observed),
        *_motion(told),
        _paused(observed, told),
        _overridden(observed),
        *_domain(observed, now),
    ]


def _ready(observed: observation.Observation) -> Said:
    """Whether a verified revision serves: True during a canary and after a return."""
    if observed.release.replicas == 0:
        return "Ready", TRUE, reasons.SCALED_TO_ZERO, "Scaled to zero, as asked."
    promoted = target.promotions(observed)
    if not promoted:
        return "Ready", FALSE, reasons.NO_STABLE, "No revision was promoted yet, so none serves."
    ready = serving.ready_pods(observed)
    if not ready:
        return "Ready", FALSE, reasons.NOT_SERVING, serving.told(observed)
    run = target.active_run(observed)
    baking = run is not None and list(ready) == [run.spec.revision] and promoted[0] not in ready
    reason = reasons.SERVING_CANDIDATE if baking else reasons.SERVING_STABLE
    return "Ready", TRUE, reason, serving.told(observed)


def _motion(told: story.Story) -> list[Said]:
    """Return Reconciling and Stalled, never both True."""
    moving = told.motion is story.Motion.RECONCILING
    stalled = told.motion is story.Motion.STALLED
    settled = reasons.PAUSED if told.motion is story.Motion.WAITING else reasons.SETTLED
    return [
        ("Reconciling", TRUE, told.reason, told.message)
        if moving
        else ("Reconciling", FALSE, reasons.SETTLED if stalled else settled, ""),
        ("Stalled", TRUE, told.reason, told.message)
        if stalled
        else ("Stalled", FALSE, reasons.NOT_STALLED, ""),
    ]


def _paused(observed: observation.Observation, told: story.Story) -> Said:
    paused = observed.release.override.paused
    if paused is not None:
        return "Paused", TRUE, reasons.PAUSED, paused.reason
    if told.motion is story.Motion.WAITING:
        return "Paused", TRUE, told.reason, told.message
    return "Paused", FALSE, reasons.NOT_PAUSED, ""


def _overridden(observed: observation.Observation) -> Said:
    """Whether a person's word weighs more than the operator's, for a revision that matters now."""
    override, here = observed.release.override, core_override.in_play(observed)
    found: list[tuple[str, str]] = []
    if override.pinned is not None:
        found.append((reasons.PINNED, f"Pinned to {override.pinned.revision}: {override.pinned.reason}"))
    if override.forced is not None and override.forced.revision in here:
        found.append((reasons.FORCED, f"Forced {override.forced.revision}: {override.forced.reason}"))
    found += [
        (reasons.WAIVED, f"Waived {entry.check} for {entry.revision}: {entry.reason}")
        for entry in override.waivers
        if entry.revision in here
    ]
    found += [
        (reasons.REJECTED, f"Rejected {entry.revision}: {entry.reason}")
        for entry in override.rejected
        if entry.revision in here
    ]
    if override.cancelled is not None and override.cancelled.revision in here:
        said = f"Cancelled {override.cancelled.revision}: {override.cancelled.reason}"
        found.append((reasons.CANCELLED, said))
    if override.debug is not None and override.debug.revision in here:
        said = f"Keeps the canary of {override.debug.revision} if it fails: {override.debug.reason}"
        found.append((reasons.CANARY_KEPT, said))
    if not found:
        return "Overridden", FALSE, reasons.NO_OVERRIDE, ""
    return "Overridden", TRUE, found[0][0], " ".join(reasons.sentence(text) for _, text in found)


def _flag(observed: observation.Observation) -> str:
    """Return the word for the column: what people see of the conditions Overridden and Paused."""
    _, value, reason, _ = _overridden(observed)
    if value is TRUE:
        return reason
    return reasons.PAUSED if observed.release.override.paused is not None else ""


def _domain(observed: observation.Observation, now: datetime.datetime) -> list[Said]:
    """Return the conditions that are there only while they are True."""
    found = _recovery(observed)
    if observed.config_drift:
        message = reasons.config_drift(observed.config_drift)
        found.append(("ConfigDrift", TRUE, reasons.CONFIG_DRIFT, message))
    edited = sorted(
        revision.name
        for revision in observed.revisions.values()
        if revision.deployment is not None and not revision.deployment.template_matches
    )
    if edited:
        message = reasons.template_reverted(", ".join(edited))
        found.append(("TemplateReverted", TRUE, reasons.TEMPLATE_REVERTED, message))
    desired = observed.release.desired
    artifact = desired.judging.model.artifact if desired is not None else None
    if artifact is not None and not artifact.pinned:
        message = reasons.artifact_unverified(artifact.uri)
        found.append((reasons.ARTIFACT_UNVERIFIED, TRUE, reasons.ARTIFACT_UNVERIFIED, message))
    here = Situation.of(observed, now)
    if here is not None and here.stable is not None and _splitting(here) and here.split.rounded:
        weight = here.strategy.steps[here.status.step - 1].weight
        message = reasons.weight_rounded(weight, here.split.attained_weight, here.replicas)
        found.append(("WeightRounded", TRUE, reasons.WEIGHT_ROUNDED, message))
    return found


def _recovery(observed: observation.Observation) -> list[Said]:
    """Return what the newest run's return has cured."""
    recovery = observed.runs[-1].status.recovery if observed.runs else None
    if recovery is None or recovery.verdict in {None, api_run.RecoveryVerdict.UNDECIDED}:
        return []
    said = str(recovery.verdict)
    return [(said, TRUE, said, recovery.message)]


def _splitting(here: Situation) -> bool:
    return here.status.phase in {api_run.Phase.SHIFTING, api_run.Phase.HOLDING} and not here.final


# --- Who serves, who is tried -------------------------------------------------------------------------------


def _stable(observed: observation.Observation) -> status.StableStatus | None:
    name = target.stable_of(observed)
    if name is None:
        return None
    revision = observed.revisions[name]
    promoting = [
        run.status.completion_time
        for run in observed.runs
        if run.spec.revision == name and run.status.outcome is api_run.Outcome.PROMOTED
    ]
    times = [time for time in [revision.promoted_time, *promoting] if time is not None]
    return status.StableStatus(
        revision=name, model_version=revision.model_version, promoted_time=max(times, default=None)
    )


def _candidate(
    observed: observation.Observation, run: observation.Run | None
) -> status.CandidateStatus | None:
    """Return the revision that is tried, or that was tried last and still is the wanted one."""
    if run is None or run.spec.revision == target.stable_of(observed):
        return None
    desired = observed.release.desired
    wanted = desired is None or desired.revision == run.spec.revision
    if run.status.phase is api_run.Phase.DONE and not wanted:
        return None
    stored = observed.revisions.get(run.spec.revision)
    version = stored.model_version if stored is not None and stored.model_version else ""
    return status.CandidateStatus(
        revision=run.spec.revision, model_version=version or run.spec.judging.model.version
    )


def _weight(observed: observation.Observation) -> int:
    run = target.active_run(observed)
    if run is None or run.spec.revision == target.stable_of(observed):
        return 0
    return traffic.attained_weight(observed, run.spec.revision)


def _verdict(observed: observation.Observation, run: observation.Run | None, now: datetime.datetime) -> str:
    """Return the verdict that wins so far; a Pass only when nothing is left to be said."""
    if run is None:
        return ""
    spoken = [check.verdict for check in run.status.checks if check.verdict is not None]
    spoken += [slo.verdict for slo in run.status.slos if slo.reason != reasons.NOT_LIVE]
    winner = core_verdict.worst(spoken)
    here = Situation.of(observed, now)
    pending = here is not None and (
        any(check.verdict is None and not check.skipped for check in run.status.checks)
        or (here.status.phase is api_run.Phase.HOLDING and len(run.status.slos) < len(here.judged_slos))
    )
    return "" if winner is None or (winner is verdict.Verdict.PASS and pending) else winner.value


def _feasibility(observed: observation.Observation) -> list[status.ObjectiveFeasibility]:
    """Return what the run has recorded: what was seen a moment ago would cost a write at every look."""
    run = target.active_run(observed)
    if run is None or run.status.phase is api_run.Phase.RETURNING:
        return []
    return [
        status.ObjectiveFeasibility(name=slo.name, **dict(slo.feasibility))
        for slo in run.status.slos
        if slo.feasibility is not None
    ]


# --- For autoscalers, and the past --------------------------------------------------------------------------


def _serving_pods(observed: observation.Observation) -> list[int]:
    """Return the pods, Ready or not, of the revisions that serve: idle canaries don't drag averages down."""
    selected = observed.traffic
    return [
        sum(not pod.terminating and not pod.finished for pod in revision.pods)
        for name, revision in observed.revisions.items()
        if selected.selects is observation.Selects.WIDENED
        or (selected.selects is observation.Selects.PINNED and selected.revision == name)
    ]


def _selector(observed: observation.Observation) -> str:
    parts = {
        constants.LABEL_RELEASE: observed.release.name,
        constants.LABEL_ROLE: constants.ROLE_SERVING,
    }
    if observed.traffic.selects is observation.Selects.PINNED:
        parts[constants.LABEL_REVISION] = observed.traffic.revision
    return ",".join(f"{key}={value}" for key, value in sorted(parts.items()))


def _history(observed: observation.Observation) -> list[status.HistoryEntry]:
    ended = [run for run in observed.runs if run.status.outcome is not None]
    return [
        status.HistoryEntry(
            revision=run.spec.revision,
            attempt=run.spec.attempt,
            outcome=run.status.outcome,
            reason=run.status.reason,
            completion_time=run.status.completion_time,
        )
        for run in ended[::-1][:HISTORY_MAX]
        if run.status.outcome is not None and run.status.phase is api_run.Phase.DONE
    ]
