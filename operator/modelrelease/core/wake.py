"""When the next turn is due although nothing changes: pacing follows from persisted times."""

import datetime
from collections.abc import Iterator

from modelrelease.api import run as api_run
from modelrelease.core import judgement, observation, pods, recovery, retention, target
from modelrelease.core.situation import Situation

Phase = api_run.Phase


def wake_time(observed: observation.Observation, now: datetime.datetime) -> datetime.datetime | None:
    """Return the earliest later moment at which time alone may change what the core decides.

    A deadline that is already past but held (paused, policy Hold) asks for no turn of its own.
    """
    here = Situation.of(observed, now)
    moments = list(_returned_moments(observed))
    if here is None:
        due = target.next_run(observed, now)
        moments += [due.at] if isinstance(due, retention.RetryDecision) and due.at is not None else []
    else:
        moments += [moment for moment in _moments(here) if moment > here.now]
    return min((moment for moment in moments if here is None or moment > here.now), default=None)


def _returned_moments(observed: observation.Observation) -> Iterator[datetime.datetime]:
    run = recovery.open_in(observed)
    if run is not None and run.status.recovery is not None:
        yield recovery.deadline(run.status.recovery)


def _moments(here: Situation) -> Iterator[datetime.datetime]:
    phase, strategy = here.status.phase, here.strategy
    clock = here.status.clock
    if phase in {Phase.STARTING, Phase.SHIFTING}:
        yield from _start_moments(here)
    if clock is None or clock.stopped_since is not None:
        yield from _silence_moments(here)
        return
    hold = here.hold_seconds if phase is Phase.HOLDING else 0
    late = (0, strategy.deadlines.inconclusive_seconds, strategy.deadlines.no_data_seconds)
    started = clock.start_time + datetime.timedelta(seconds=clock.stopped_seconds)
    for seconds in {
        Phase.STARTING: [strategy.canary.capacity_deadline_seconds],
        Phase.CHECKING: [strategy.deadlines.check_seconds],
        Phase.SHIFTING: [strategy.canary.capacity_deadline_seconds],
        Phase.HOLDING: [strategy.drain_seconds, *(hold + seconds for seconds in late)],
        Phase.RETURNING: [
            strategy.drain_seconds,
            strategy.drain_seconds + here.retain_seconds,
        ],
    }.get(phase, []):
        yield started + datetime.timedelta(seconds=seconds)
    for check in here.status.checks:
        retry = judgement.retry_time(check)
        if retry is not None and judgement.unfinished(here, check):
            yield retry


def _start_moments(here: Situation) -> Iterator[datetime.datetime]:
    canary = here.strategy.canary
    since = here.candidate_pods.unready_since
    if since is not None:
        yield since + datetime.timedelta(seconds=canary.startup_deadline_seconds)
    for pod in here.observed.revisions.get(here.candidate, observation.Revision("")).pods:
        if pod.ready_time is not None:
            yield pod.ready_time + datetime.timedelta(seconds=canary.warmup_seconds)
    waiting = here.stable_pods.unschedulable_since
    if waiting is not None:
        yield waiting + datetime.timedelta(seconds=pods.YIELD_SECONDS)


def _silence_moments(here: Situation) -> Iterator[datetime.datetime]:
    since = here.status.silent_since
    if since is not None and not here.paused:
        deadlines = here.strategy.deadlines
        yield since + datetime.timedelta(seconds=deadlines.error_seconds)
        yield since + datetime.timedelta(seconds=deadlines.no_data_seconds)
