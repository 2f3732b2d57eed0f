"""``status``: what is served, what is tried, how far it is, and what can be done. Pure."""

import dataclasses
import datetime
import enum
from collections.abc import Mapping, Sequence

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.cli.mrel import objects
from modelrelease.core import observation, target

Phase = api_run.Phase


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """A revision and its pods."""

    revision: str
    model_version: str = ""
    ready: int | None = None
    """None where pods may not be read."""
    pods: int | None = None
    waiting: str = ""
    """Why a pod is not Ready, in the scheduler's or the kubelet's words."""
    starting_seconds: float | None = None
    """Since the youngest pod that is not Ready was scheduled."""


@dataclasses.dataclass(frozen=True, slots=True)
class CheckLine:
    """How far one check is."""

    name: str
    state: str
    """A verdict, Skipped, ``running`` or ``waiting``."""
    seconds: float | None = None
    attempt: int = 1
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class SloLine:
    """What one objective says."""

    name: str
    verdict: str
    objective: str
    requests: int
    bad: int
    minimum: int
    burn: float | None
    """Bad ratio over the budget's; None without requests."""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    run: str
    attempt: int
    mode: str
    phase: str
    outcome: str
    reason: str
    step: int
    weights: tuple[int, ...]
    """Of the steps, the last one 100."""
    started: datetime.datetime | None
    ended: datetime.datetime | None
    checks: tuple[CheckLine, ...] = ()
    slos: tuple[SloLine, ...] = ()
    elapsed_seconds: float | None = None
    hold_seconds: int | None = None
    """Of the step that is watched now."""
    clock_stopped: bool = False
    left_seconds: float | None = None
    """At least; of the holds that remain. None where nothing is timed."""
    deadline_seconds: int | None = None
    """Of starting a canary."""


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """Everything that ``status`` tells; the fields are what ``-o json`` prints."""

    namespace: str
    name: str
    phase: str
    message: str
    since: datetime.datetime | None
    conditions: Mapping[str, str]
    """Reason of each condition that is True."""
    stable: Served | None
    candidate: Served | None
    weight: int
    verdict: str
    generation: int
    observed_generation: int
    progress: Progress | None
    overrides: tuple[str, ...]
    silent_seconds: float
    """For how long the operator has owed an answer; 0 while it owes none."""
    by_hand: tuple[str, ...]
    """Commands that give the traffic back to stable without the operator."""
    notices: tuple[str, ...]
    choices: tuple[str, ...]


class Waits(enum.StrEnum):
    """What ``status --wait`` makes of a release."""

    GOES_ON = "GoesOn"
    RELEASED = "Released"
    STOPPED = "Stopped"


def awaited(release: objects.Release) -> Waits:
    """Return whether what the spec asks for is released, or will not be by itself.

    The generation decides first, so that an old success is never taken for the one that is waited for.
    """
    if release.behind:
        return Waits.GOES_ON
    if release.is_true("Stalled"):
        return Waits.STOPPED
    overridden = release.condition("Overridden")
    # Whoever has paused or pinned decides when what the spec asks for is tried.
    pinned = overridden is not None and overridden.reason == reasons.PINNED
    if release.is_true("Reconciling") or release.is_true("Paused") or pinned:
        return Waits.GOES_ON
    return Waits.RELEASED if release.is_true("Ready") else Waits.GOES_ON


# --- Looking ------------------------------------------------------------------------------------------------


def standing(
    release: objects.Release,
    runs: Sequence[observation.Run],
    pods: Sequence[observation.Pod] | None,
    now: datetime.datetime,
    *,
    operator_down_seconds: float = 0.0,
) -> Standing:
    """Return how a release stands.

    Parameters
    ----------
    release
        The object.
    runs
        Its runs, oldest first.
    pods
        Its serving pods; None where they may not be read.
    now
        The present.
    operator_down_seconds
        For how long the operator's own Deployment has had no Ready pod; 0 when it has one, or when that is
        not known.
    """
    said = release.status
    run = next((one for one in runs if one.name == said.current_run), None)
    if run is None:
        run = next(reversed(runs), None)
    silent = max(release.silent_for(now), operator_down_seconds)
    silent = silent if silent > objects.SILENT_SECONDS else 0.0
    stable = _served(said.stable.revision, said.stable.model_version, pods, now) if said.stable else None
    trying = said.candidate
    candidate = _served(trying.revision, trying.model_version, pods, now) if trying else None
    telling = next((c for c in release.status.conditions if _tells(c.type) and c.status == "True"), None)
    return Standing(
        namespace=release.namespace,
        name=release.name,
        phase=said.phase or "Pending",
        message=said.message or "The operator has not said anything about it yet.",
        since=telling.last_transition_time if telling is not None else None,
        conditions={c.type: c.reason for c in said.conditions if c.status == "True"},
        stable=stable,
        candidate=candidate,
        weight=said.weight,
        verdict=said.verdict,
        generation=release.generation,
        observed_generation=said.observed_generation,
        progress=_progress(run, now) if run is not None else None,
        overrides=overrides(release.override),
        silent_seconds=silent,
        by_hand=by_hand(release) if silent else (),
        notices=_notices(release, pods),
        choices=_choices(release, run),
    )


def _tells(kind: str) -> bool:
    return kind in {"Reconciling", "Stalled", "Paused"}


def _served(
    revision: str, version: str, pods: Sequence[observation.Pod] | None, now: datetime.datetime
) -> Served:
    if pods is None:
        return Served(revision, version)
    own = [pod for pod in pods if pod.revision == revision and not pod.terminating and not pod.finished]
    unready = [pod for pod in own if not pod.ready]
    scheduled = [pod.scheduled_time for pod in unready if pod.scheduled_time is not None]
    return Served(
        revision,
        version,
        ready=sum(pod.ready for pod in own),
        pods=len(own),
        waiting=next((text for pod in unready if (text := _waiting(pod))), ""),
        starting_seconds=(now - max(scheduled)).total_seconds() if scheduled else None,
    )


def _waiting(pod: observation.Pod) -> str:
    if pod.unschedulable_message:
        return pod.unschedulable_message
    for container in pod.containers:
        if container.waiting_reason not in {"", "ContainerCreating", "PodInitializing"}:
            restarts = f", {reasons.counted(container.restarts, 'restart')}" if container.restarts else ""
            said = f": {container.waiting_message}" if container.waiting_message else ""
            return f"{container.name} {container.waiting_reason}{restarts}{said}"
    return ""


def _progress(run: observation.Run, now: datetime.datetime) -> Progress:
    status, strategy = run.status, run.spec.judging.strategy
    active = status.phase is not Phase.DONE
    known = {check.name: check for check in status.checks}
    last = target.step_count(run)
    returns = run.spec.mode in {api_run.Mode.FAST, api_run.Mode.RELOAD}
    weights = () if returns else tuple(step.weight for step in strategy.steps)
    hold = None
    if status.phase is Phase.HOLDING and status.step >= 1:
        hold = strategy.bake_seconds if status.step >= last else strategy.steps[status.step - 1].hold_seconds
    checks = () if returns else tuple(run.spec.judging.checks)
    return Progress(
        run=run.name,
        attempt=run.spec.attempt,
        mode=run.spec.mode.value,
        phase=status.phase.value,
        outcome=status.outcome.value if status.outcome is not None else "",
        reason=status.reason,
        step=status.step,
        weights=(*weights, 100),
        started=status.start_time,
        ended=status.completion_time,
        checks=tuple(_check(known.get(check.name), check.name, now, active=active) for check in checks),
        slos=tuple(_slo(slo, run) for slo in status.slos),
        elapsed_seconds=_elapsed(status.clock, now),
        hold_seconds=hold,
        clock_stopped=status.clock is not None and status.clock.stopped_since is not None,
        left_seconds=_left(run, now) if active and status.phase is not Phase.RETURNING else None,
        deadline_seconds=strategy.canary.startup_deadline_seconds if status.phase is Phase.STARTING else None,
    )


def _check(
    status: api_run.CheckStatus | None, name: str, now: datetime.datetime, *, active: bool
) -> CheckLine:
    if status is None:
        return CheckLine(name, "waiting" if active else "-")
    if status.skipped:
        return CheckLine(name, "Skipped", message=status.message)
    if status.verdict is None:
        state = "running" if active and status.start_time is not None else "waiting" if active else "-"
        seconds = (now - status.start_time).total_seconds() if status.start_time is not None else None
        return CheckLine(name, state, seconds if active else None, status.attempt, status.message)
    took = None
    if status.start_time is not None and status.completion_time is not None:
        took = (status.completion_time - status.start_time).total_seconds()
    cause = ""
    if status.diagnosis is not None:
        cause = f"{status.diagnosis.cause} ({status.diagnosis.confidence}): "
    return CheckLine(name, status.verdict.value, took, status.attempt, f"{cause}{status.message}")


def _slo(slo: api_run.SloStatus, run: observation.Run) -> SloLine:
    declared = next((one for one in run.spec.judging.slos if one.name == slo.name), None)
    budget = (100.0 - float(declared.objective)) / 100.0 if declared is not None else 0.0
    return SloLine(
        name=slo.name,
        verdict=slo.verdict.value,
        objective=declared.objective if declared is not None else "",
        requests=slo.requests,
        bad=slo.bad,
        minimum=declared.minimum_requests if declared is not None else 0,
        burn=slo.bad / slo.requests / budget if slo.requests and budget > 0 else None,
        message=slo.message,
    )


def _elapsed(clock: api_run.Clock | None, now: datetime.datetime) -> float | None:
    if clock is None:
        return None
    end = clock.stopped_since or now
    return max(0.0, (end - clock.start_time).total_seconds() - clock.stopped_seconds)


def _left(run: observation.Run, now: datetime.datetime) -> float | None:
    """Return the least time until the end: what is left of this hold, and the later ones."""
    status, strategy, mode = run.status, run.spec.judging.strategy, run.spec.mode
    if mode in {api_run.Mode.FIRST, api_run.Mode.RELOAD}:
        return None
    fast = mode is api_run.Mode.FAST
    holds = [*(() if fast else (step.hold_seconds for step in strategy.steps)), strategy.bake_seconds]
    done = status.step - 1 if status.phase is Phase.HOLDING else max(0, status.step - 1)
    if status.phase in {Phase.QUEUED, Phase.STARTING, Phase.CHECKING}:
        return float(sum(holds))
    rest = float(sum(holds[done:]))
    if status.phase is Phase.HOLDING:
        rest -= min(_elapsed(status.clock, now) or 0.0, float(holds[done]))
    return rest


def overrides(override: api_spec.Override) -> tuple[str, ...]:
    """Return what people have said, one sentence for each word."""
    said: list[str] = []
    if override.paused is not None:
        said.append(f"paused: {override.paused.reason}")
    for verb, one in (("pinned", override.pinned), ("forced", override.forced)):
        if one is not None:
            said.append(f"{verb} {one.revision}: {one.reason}")
    said += [f"rejected {one.revision}: {one.reason}" for one in override.rejected]
    said += [f"approved {one.revision} {one.stage.value}: {one.reason}" for one in override.approvals]
    said += [f"waived {one.check} for {one.revision}: {one.reason}" for one in override.waivers]
    if override.retry is not None:
        retry = override.retry
        said.append(f"retry of {retry.revision}, attempt {retry.attempt}: {retry.reason}")
    if override.cancelled is not None:
        ended = override.cancelled
        said.append(f"cancelled {ended.revision}, attempt {ended.attempt}: {ended.reason}")
    if override.debug is not None:
        kept = override.debug
        said.append(f"canary of {kept.revision} kept for {kept.seconds} s if it fails: {kept.reason}")
    return tuple(said)


def by_hand(release: objects.Release) -> tuple[str, ...]:
    """Return the two commands that give users the stable revision back while the operator is gone."""
    stable = release.status.stable
    if stable is None:
        return ()
    replicas = release.spec.replicas if isinstance(release.spec, api_spec.ReleaseSpec) else 1
    kubectl = f"kubectl -n {release.namespace}"
    pinned = f'{{"spec":{{"selector":{{"modelrelease.dev/revision":"{stable.revision}"}}}}}}'
    return (
        f"{kubectl} scale deployment {objects.child(release.name, stable.revision)} --replicas={replicas}",
        f"{kubectl} patch service {release.name} -p '{pinned}'",
    )


def _notices(release: objects.Release, pods: Sequence[observation.Pod] | None) -> tuple[str, ...]:
    found = []
    seen = release.status.observed_generation
    if release.behind and seen > 0:
        found.append(
            f"The operator has seen generation {seen}; the spec is at {release.generation}, so what stands "
            "here may be about the one before."
        )
    if release.unknown:
        found.append(
            f"Written by an operator of another version; not shown: {', '.join(release.unknown)}. Install "
            "the same version of the plugin."
        )
    if pods is None:
        found.append("Pods may not be read with these permissions, so none are counted.")
    drift = release.condition("ConfigDrift")
    if drift is not None and drift.status == "True":
        found.append(drift.message)
    return tuple(found)


def _choices(release: objects.Release, run: observation.Run | None) -> tuple[str, ...]:
    """Return the commands that make sense now."""
    here = f"kubectl mrel {{}} {release.name} -n {release.namespace} --reason …"
    phase, told = release.status.phase, release.status
    if phase == "AwaitingApproval":
        return (here.format("approve"), here.format("reject"))
    if phase == "Paused":
        return (here.format("resume"),)
    explain = f"kubectl mrel explain {release.name} -n {release.namespace}"
    if phase in {"RolledBack", "Stalled", "Cancelled"}:
        return (explain, here.format("retry")) if told.candidate is not None else (explain,)
    if phase in {"Rejected", "Retrying", "Returning"}:
        return (explain,)
    active = run is not None and run.status.phase is not Phase.DONE
    return (here.format("pause"), here.format("cancel"), here.format("reject")) if active else ()
