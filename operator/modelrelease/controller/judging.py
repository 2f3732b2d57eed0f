"""Judges the SLOs of a run under live traffic, beside the turns.

Prometheus may be slow or hang: a turn never waits for it. It takes the newest finished judgement, leaves a
new one under way when that is due, and is woken when it is done. So a return, or a person's reject, acts at
once whatever Prometheus does.
"""

import asyncio
import collections
import dataclasses
import datetime
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from modelrelease.api import endpoint as api_endpoint
from modelrelease.api import reasons, slo_state, verdict
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.controller import clock as clocks
from modelrelease.controller import loop
from modelrelease.core import observation, recovery, situation, target
from modelrelease.prometheus import idle, targets

CONCURRENT: Final = 256
"""Judgements under way for all releases together: they wait for each other's queries, which go out as one."""

PODS_MAX: Final = 64
"""Of stable, that are asked about before any user meets the candidate."""
_UNDER_TRAFFIC: Final = frozenset({api_run.Phase.SHIFTING, api_run.Phase.HOLDING})

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: one phase of one run under traffic, seen through the pods that took it.

    A shift under traffic can fail the run; it can't pass it.
    """

    namespace: str
    run: str
    phase: api_run.Phase
    step: int
    since: datetime.datetime
    """When the phase began: evidence from a smaller share of traffic does not pass a larger one."""
    names: tuple[str, ...]
    """Of the pods that took traffic."""
    pods: tuple[targets.JudgedPod, ...] = dataclasses.field(compare=False)
    slos: tuple[api_spec.Slo, ...] = dataclasses.field(compare=False)
    endpoint: api_endpoint.Endpoint = dataclasses.field(compare=False)
    served_name: str | None = dataclasses.field(default=None, compare=False)
    baseline: tuple[targets.JudgedPod, ...] = dataclasses.field(default=(), compare=False)
    """The stable pods that the candidate is compared with."""
    live_since: datetime.datetime | None = dataclasses.field(default=None, compare=False)
    """When users first met the candidate: evidence against it counts from then on."""
    share: float = dataclasses.field(default=1.0, compare=False)
    """Of stable's traffic, that the candidate will take in its first step; before any user meets it."""
    wait_seconds: float = dataclasses.field(default=0.0, compare=False)
    """How long evidence will be waited for then."""
    stable_since: float | None = dataclasses.field(default=None, compare=False)
    """Seconds since the epoch from which stable's oldest pod serves; only then, and where that is known."""
    deadline: float | None = dataclasses.field(default=None, compare=False)
    """Seconds since the epoch until which evidence is waited for, as far as can be said now."""
    known: Mapping[str, slo_state.SloState] = dataclasses.field(default_factory=dict, compare=False)
    """By objective, the evidence that the run has recorded."""
    idle_times: tuple[idle.Idle, ...] = dataclasses.field(default=(), compare=False)
    """When no user had reached the pods yet."""

    @property
    def recovering(self) -> bool:
        """Whether it is stable that is judged, after a return."""
        return self.phase is api_run.Phase.RETURNING

    @classmethod
    def of(cls, namespace: str, observed: observation.Observation) -> "Subject | None":
        """Return what is to be judged now: nothing, unless users meet the pods of a run.

        While it is checked, what evidence will cost is asked of stable's pods. After a return that an
        objective has caused, stable is judged by the same.
        """
        run = target.active_run(observed)
        if run is None or run.status.phase is api_run.Phase.RETURNING:
            return cls._recovering(namespace, observed)
        if run.status.clock is None or not run.spec.judging.slos:
            return None
        if run.status.phase is api_run.Phase.CHECKING:
            return cls._expected(namespace, observed, run)
        if run.status.phase not in _UNDER_TRAFFIC or not run.status.live_pods:
            return None
        return cls(
            namespace=namespace,
            run=run.name,
            phase=run.status.phase,
            step=run.status.step,
            since=run.status.clock.start_time,
            names=tuple(run.status.live_pods),
            pods=_judged_pods(observed, run.spec.revision, run.status.live_pods),
            baseline=_judged_pods(observed, target.stable_of(observed), run.status.baseline_pods),
            live_since=run.status.live_since,
            deadline=_deadline(observed, run),
            known={slo.name: slo.state for slo in run.status.slos if slo.state is not None},
            slos=tuple(run.spec.judging.slos),
            endpoint=run.spec.judging.endpoint,
            served_name=run.spec.judging.model.served_name,
            idle_times=idle_times(run),
        )

    @classmethod
    def _recovering(cls, namespace: str, observed: observation.Observation) -> "Subject | None":
        """Return what tells whether a return has cured what it was for."""
        run = recovery.open_in(observed)
        begun = run.status.recovery if run is not None else None
        if run is None or begun is None:
            return None
        failed = recovery.failed_objectives(run)
        return cls(
            namespace=namespace,
            run=run.name,
            phase=api_run.Phase.RETURNING,
            step=run.status.step,
            since=begun.since,
            names=tuple(begun.pods),
            pods=_judged_pods(observed, target.stable_of(observed), begun.pods),
            live_since=begun.since,
            deadline=recovery.deadline(begun).timestamp(),
            slos=tuple(slo for slo in run.spec.judging.slos if slo.name in failed),
            endpoint=run.spec.judging.endpoint,
            served_name=run.spec.judging.model.served_name,
        )

    @classmethod
    def _expected(
        cls, namespace: str, observed: observation.Observation, run: observation.Run
    ) -> "Subject | None":
        """Return what will be judged, once the checks have passed: nothing of a first release."""
        here = situation.Situation.of(observed, run.status.clock.start_time) if run.status.clock else None
        stable = observed.revisions.get(here.stable or "") if here is not None else None
        if here is None or stable is None or not here.judged_slos or run.status.clock is None:
            return None
        present = [pod for pod in stable.pods if pod.ready and not pod.terminating][:PODS_MAX]
        serving = [pod.name for pod in present]
        steps = run.spec.judging.strategy.steps
        return cls(
            namespace=namespace,
            run=run.name,
            phase=run.status.phase,
            step=0,
            since=run.status.clock.start_time,
            names=(),
            pods=(),
            baseline=_judged_pods(observed, here.stable, serving),
            share=steps[0].weight / 100 if steps else 1.0,
            stable_since=min(
                (pod.ready_time.timestamp() for pod in present if pod.ready_time is not None), default=None
            ),
            wait_seconds=(steps[0].hold_seconds if steps else here.strategy.bake_seconds)
            + here.strategy.deadlines.inconclusive_seconds,
            slos=tuple(run.spec.judging.slos),
            endpoint=run.spec.judging.endpoint,
            served_name=run.spec.judging.model.served_name,
        )


def idle_times(run: observation.Run) -> tuple[idle.Idle, ...]:
    """Return when the pods of a run stood idle before its first step, and what our checks sent them then.

    Nothing is said of a run whose pods may have been asked otherwise: a later attempt, a check that was
    repeated or has not spoken, or one whose requests nobody counts.
    """
    status, checks = run.status, run.status.checks
    if status.step != 1 or status.start_time is None or status.live_since is None or run.spec.attempt > 1:
        return ()
    custom = {check.name for check in run.spec.judging.checks if check.custom is not None}
    asked = [check for check in checks if not check.skipped]
    ended = [check.completion_time.timestamp() for check in asked if check.completion_time is not None]
    if len(ended) < len(asked) or any(check.attempt > 1 or check.name in custom for check in asked):
        return ()
    live = status.live_since.timestamp()
    return (
        idle.Idle(max(ended, default=live), live),
        idle.Idle(status.start_time.timestamp(), live, own=sum(check.requests for check in asked)),
    )


def _deadline(observed: observation.Observation, run: observation.Run) -> float | None:
    here = situation.Situation(observed, run, run.status.clock.start_time) if run.status.clock else None
    if here is None or run.status.clock is None:
        return None
    waits = here.hold_seconds + here.strategy.deadlines.inconclusive_seconds
    return run.status.clock.start_time.timestamp() + run.status.clock.stopped_seconds + waits


def _judged_pods(
    observed: observation.Observation, name: str | None, recorded: Sequence[str]
) -> tuple[targets.JudgedPod, ...]:
    """Return the recorded pods; one that is gone has counted, and nobody waits for its samples."""
    revision = observed.revisions.get(name or "")
    present = {pod.name: pod for pod in revision.pods} if revision is not None else {}
    judged = []
    for pod_name in recorded:
        pod = present.get(pod_name)
        started = pod.scheduled_time.timestamp() if pod is not None and pod.scheduled_time else None
        serving = pod is not None and pod.ready and not pod.terminating
        judged.append(targets.JudgedPod(pod_name, started, serving))
    return tuple(judged)


class Judge(Protocol):
    """Asks Prometheus about one SLO; may raise, may hang."""

    async def __call__(
        self, subject: Subject, slo: api_spec.Slo, now: datetime.datetime
    ) -> api_run.SloStatus: ...


@dataclasses.dataclass(slots=True)
class _Entry:
    """What is known of one release."""

    subject: Subject
    began: float
    """Monotonic time at which the newest judgement began."""
    task: asyncio.Task[None] | None = None
    finished: float | None = None
    """Monotonic time at which what ``slos`` says was asked; None before the first answer."""
    slos: tuple[api_run.SloStatus, ...] = ()


class Judging:
    """The judgements of all releases.

    Parameters
    ----------
    judge
        Asks about one SLO.
    clock
        Time.
    interval_seconds
        Shortest time between the beginnings of two judgements of a release.
    deadline_seconds
        What has not been answered by then is an Error.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        clock: clocks.Clock,
        interval_seconds: float = 5.0,
        deadline_seconds: float = 15.0,
    ) -> None:
        self._judge = judge
        self._clock = clock
        self._interval = interval_seconds
        self._deadline = deadline_seconds
        self._age_limit = 2 * (interval_seconds + deadline_seconds)
        self._entries: dict[str, _Entry] = {}
        self._room = asyncio.Semaphore(CONCURRENT)

    def newest(self, key: loop.Key, subject: Subject | None) -> tuple[api_run.SloStatus, ...]:
        """Return the newest finished judgement of exactly this subject, unless it is too old to act on."""
        entry = self._entries.get(key.uid)
        if entry is None or subject is None or entry.subject != subject or entry.finished is None:
            return ()
        return entry.slos if self._clock.monotonic() - entry.finished <= self._age_limit else ()

    def keep_going(
        self, key: loop.Key, subject: Subject | None, now: datetime.datetime, wake: Callable[[], None]
    ) -> float | None:
        """Begin a judgement when it is due; return the seconds until the next one is."""
        entry = self._entries.get(key.uid)
        if entry is not None and entry.subject != subject:
            self.forget(key)
            entry = None
        if subject is None:
            return None
        elapsed = self._clock.monotonic() - entry.began if entry is not None else self._interval
        if entry is not None and elapsed < self._interval:
            return self._interval - elapsed
        if entry is None:
            entry = self._entries[key.uid] = _Entry(subject, self._clock.monotonic())
        entry.subject = subject  # equal, but with the pods as they are now
        if entry.task is None or entry.task.done():
            entry.began = self._clock.monotonic()
            entry.task = asyncio.create_task(self._run(entry, now, wake), name=f"judge {key}")
        return self._interval

    def forget(self, key: loop.Key) -> None:
        """Drop what is known of a release, and what is under way."""
        entry = self._entries.pop(key.uid, None)
        if entry is not None and entry.task is not None:
            entry.task.cancel()

    async def _run(self, entry: _Entry, now: datetime.datetime, wake: Callable[[], None]) -> None:
        began = entry.began
        async with self._room:
            found = await asyncio.gather(*(self._one(entry.subject, slo, now) for slo in entry.subject.slos))
        entry.slos, entry.finished = tuple(found), began
        wake()

    async def _one(self, subject: Subject, slo: api_spec.Slo, now: datetime.datetime) -> api_run.SloStatus:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._judge(subject, slo, now)
        except TimeoutError:
            said = f"Prometheus did not answer within {self._deadline:g} s."
        except Exception as error:  # noqa: BLE001 - whatever breaks in monitoring is an Error, never an end
            _log.exception("Judging %s of %s broke", slo.name, subject.run)
            said = f"Judging broke: {type(error).__name__}: {error}"
        return api_run.SloStatus(
            name=slo.name,
            verdict=verdict.Verdict.ERROR,
            reason=reasons.JUDGING_BROKE,
            message=said[:512],
            observed_time=now,
        )


def counted(slos: tuple[api_run.SloStatus, ...]) -> Mapping[verdict.Verdict, int]:
    """Return how many objectives said what."""
    return collections.Counter(slo.verdict for slo in slos)
