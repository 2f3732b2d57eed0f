"""What each phase asks of the children: the traffic object first, then pods, then check Jobs."""

import datetime
from collections.abc import Mapping

from modelrelease.api import run as api_run
from modelrelease.core import judgement, observation, planner, pods, target, wanted
from modelrelease.core.situation import Situation

Phase = api_run.Phase
Traffic = observation.Traffic
Selects = observation.Selects


def wanted_of(observed: observation.Observation, now: datetime.datetime) -> wanted.Wanted:
    """Return the children that fit the persisted phase, or that keep things as they are."""
    here = Situation.of(observed, now)
    marks = _marks(observed)
    if here is None or here.candidate == target.stable_of(observed):
        return _settled(observed, marks)
    traffic = _taken_over(observed, _traffic(here))
    return wanted.Wanted(
        traffic=traffic,
        targets=_targets(here),
        order=_order(here),
        protected=_protected(here, traffic),
        jobs=_jobs(here),
        marks=marks,
    )


def _settled(observed: observation.Observation, marks: tuple[wanted.Mark, ...]) -> wanted.Wanted:
    """No run is under way: stable serves everything, or nothing moves because nobody knows better."""
    stable = target.stable_of(observed)
    if target.state_problem(observed) is not None or (stable is None and not observed.runs):
        return wanted.Wanted(
            traffic=observed.traffic,
            targets={
                revision.name: revision.deployment.desired
                for revision in observed.revisions.values()
                if revision.deployment is not None
            },
            marks=marks,
        )
    if stable is None:
        return wanted.Wanted(traffic=_taken_over(observed, Traffic(Selects.NOTHING)), targets={}, marks=marks)
    return wanted.Wanted(
        traffic=_taken_over(observed, _never_empty(observed, stable)),
        targets={stable: observed.release.replicas},
        order=(stable,),
        protected=(stable,),
        marks=marks,
    )


def _taken_over(observed: observation.Observation, traffic: Traffic) -> Traffic:
    """Take a Service that is offered over in one write, once what is selected can serve all its users."""
    if observed.traffic.selects is not Selects.OFFERED:
        return traffic
    ready = sum(
        pod.ready
        for known in observed.revisions.values()
        if traffic.selects is Selects.WIDENED or traffic == Traffic(Selects.PINNED, known.name)
        for pod in known.pods
    )
    enough = ready >= max(1, observed.release.replicas) and not observed.offer_problem
    return traffic if enough else observed.traffic


def _never_empty(observed: observation.Observation, revision: str) -> Traffic:
    """Pin to the revision, unless that would leave the Ready pods that users reach now for none at all."""
    now = observed.traffic
    ready = {name: any(pod.ready for pod in known.pods) for name, known in observed.revisions.items()}
    if ready.get(revision, False) or now.selects in {Selects.NOTHING, Selects.FOREIGN, Selects.OFFERED}:
        return Traffic(Selects.PINNED, revision)
    reached = any(ready.values()) if now.selects is Selects.WIDENED else ready.get(now.revision, False)
    return now if reached else Traffic(Selects.PINNED, revision)


# --- Traffic ------------------------------------------------------------------------------------------------


def _traffic(here: Situation) -> Traffic:
    phase, observed = here.status.phase, here.observed
    if here.stable is None:
        return Traffic(Selects.NOTHING)
    if phase in {Phase.SHIFTING, Phase.HOLDING}:
        return _final_traffic(here) if here.final else _split_traffic(here)
    return _never_empty(observed, here.stable)


def _split_traffic(here: Situation) -> Traffic:
    """Widen once the candidate holds no more than its share and no third revision would be caught.

    A candidate of which a pod is not what was checked gets no more users than it has, here and at the end.
    """
    assert here.stable is not None
    if here.widened:
        return here.observed.traffic
    candidate, stable = here.candidate_pods, here.stable_pods
    share_kept = candidate.alive <= here.split.candidate and stable.ready >= min(
        here.split.stable, stable.desired
    )
    if _third_present(here) or candidate.ready == 0 or not share_kept or here.drift is not None:
        return _never_empty(here.observed, here.stable)
    return Traffic(Selects.WIDENED)


def _final_traffic(here: Situation) -> Traffic:
    """Widened until the candidate alone can serve, then pinned to it, in one write."""
    assert here.stable is not None
    if here.pinned_to(here.candidate):
        return _never_empty(here.observed, here.candidate)
    ready, untested = here.candidate_pods.ready, here.drift is not None
    if ready >= max(1, here.floor) and not untested:
        return Traffic(Selects.PINNED, here.candidate)
    if ready == 0 or untested or _third_present(here):
        return here.observed.traffic if here.widened else _never_empty(here.observed, here.stable)
    return Traffic(Selects.WIDENED)


def _third_present(here: Situation) -> bool:
    """Whether a widened selector would catch pods of a revision that is neither stable nor candidate."""
    return any(
        pods.classify(revision, here.now).present
        for revision in here.observed.revisions.values()
        if revision.name not in {here.stable, here.candidate}
    )


# --- Pods ---------------------------------------------------------------------------------------------------


def _targets(here: Situation) -> Mapping[str, int]:
    phase = here.status.phase
    if here.stable is None:
        return {here.candidate: 0 if phase in {Phase.QUEUED, Phase.RETURNING} else here.canary_replicas}
    if phase is Phase.RETURNING:
        return {here.stable: here.replicas, here.candidate: _returning_target(here)}
    if phase in {Phase.STARTING, Phase.CHECKING}:
        stable, canary = planner.check_targets(here.replicas, here.ceiling, here.canary_replicas)
        if pods.yield_needed(here.stable_pods, here.now):
            return {here.stable: here.replicas, here.candidate: 0}
        return {here.stable: stable, here.candidate: canary}
    if phase in {Phase.SHIFTING, Phase.HOLDING} and not here.final:
        return {here.stable: here.split.stable, here.candidate: here.split.candidate}
    if phase in {Phase.SHIFTING, Phase.HOLDING}:
        return {here.stable: _standby(here), here.candidate: here.replicas}
    kept = 0 if here.observed.exposed_by else here.candidate_pods.desired
    return {here.stable: here.replicas, here.candidate: min(kept, here.ceiling - here.replicas)}


def _standby(here: Situation) -> int:
    """The warm rest of the old revision: within the surge, and none of it once a rejected one has drained."""
    if here.run.spec.mode is not api_run.Mode.RELOAD:
        return max(0, here.ceiling - here.replicas)
    drained = here.status.phase is Phase.HOLDING and here.elapsed() >= here.strategy.drain_seconds
    return 0 if drained else min(here.stable_pods.desired, max(0, here.ceiling - here.replicas))


def _returning_target(here: Situation) -> int:
    """Connections drain first; a failed canary may stay for a look, but yields to whatever is wanted next.

    None stays, and none comes back, where users of a foreign Service would reach it.
    """
    room = max(0, min(here.canary_replicas, here.ceiling - here.replicas))
    kept = 0 if here.observed.exposed_by else min(room, here.candidate_pods.desired)
    if here.status.keep_pods and kept:
        return kept
    if here.status.live_since is None:
        drain = 0
    elif here.status.clock is None:
        return here.candidate_pods.desired if here.stable_pods.ready else 0
    else:
        drain = here.strategy.drain_seconds
    if here.elapsed() < drain and here.status.clock is not None:
        return here.candidate_pods.desired
    settled = target.target_of(here.observed).revision == target.stable_of(here.observed)
    failed = here.status.outcome is api_run.Outcome.ROLLED_BACK
    if failed and settled and here.elapsed() < drain + here.retain_seconds:
        return kept
    return 0


def _order(here: Situation) -> tuple[str, ...]:
    if here.stable is None:
        return (here.candidate,)
    if here.status.phase in {Phase.SHIFTING, Phase.HOLDING} and here.final:
        return (here.candidate, here.stable)
    return (here.stable, here.candidate)


def _protected(here: Situation, traffic: Traffic) -> tuple[str, ...]:
    if traffic.selects is Selects.WIDENED and here.stable is not None:
        return (here.stable, here.candidate)
    return (traffic.revision,) if traffic.selects is Selects.PINNED else ()


# --- Jobs and marks -----------------------------------------------------------------------------------------


def _jobs(here: Situation) -> tuple[wanted.CheckJob, ...]:
    # A cache may know a run before its revision.
    known = here.candidate in here.observed.revisions
    if here.status.phase is not Phase.CHECKING or here.paused or not known:
        return ()
    check = judgement.next_check(here)
    if check is None:
        return ()
    tested = here.tested(next(known for known in here.required_checks if known.name == check.name))
    pods_tested = [pod for pod in here.observed.revisions[here.candidate].pods if pod.uid in tested]
    due = [
        wanted.CheckJob(check.name, check.attempt, pod, portion)
        for pod in pods_tested
        if (portion := judgement.next_portion(here, check, pod.uid)) is not None
    ]
    # Stable serves users meanwhile: where it is asked too, it is asked by one check at a time.
    return tuple(due[:1] if judgement.asks_stable(here, check.name) else due)


def _marks(observed: observation.Observation) -> tuple[wanted.Mark, ...]:
    """Facts that finished runs have proven and that their ControllerRevisions do not carry yet."""
    marks = []
    for run in observed.runs:
        revision, status = observed.revisions.get(run.spec.revision), run.status
        if revision is None or status.phase is not Phase.DONE:
            continue
        done = status.completion_time
        if status.outcome is api_run.Outcome.PROMOTED and done is not None:
            if revision.promoted_time is None or revision.promoted_time < done:
                marks.append(wanted.Mark(run.spec.revision, promoted_by=run.name))
        elif status.failed and run.spec.judging_digest not in revision.failed_digests:
            marks.append(wanted.Mark(run.spec.revision, failed_digest=run.spec.judging_digest))
    return tuple(marks)


def attained_weight(observed: observation.Observation, candidate: str) -> int:
    """Return the percentage of Ready, selected pods that are the candidate's."""
    traffic = observed.traffic
    ready = {name: sum(pod.ready for pod in known.pods) for name, known in observed.revisions.items()}
    if traffic.selects is Selects.PINNED:
        return 100 if traffic.revision == candidate else 0
    total = sum(ready.values())
    if traffic.selects is not Selects.WIDENED or total == 0:
        return 0
    return round(100 * ready.get(candidate, 0) / total)
