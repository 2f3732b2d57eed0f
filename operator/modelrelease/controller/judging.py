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
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from modelrelease.api import endpoint as api_endpoint
from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.controller import clock as clocks
from modelrelease.controller import loop
from modelrelease.core import observation, target
from modelrelease.prometheus import targets

CONCURRENT: Final = 8
"""Judgements under way for all releases together."""

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

    @classmethod
    def of(cls, namespace: str, observed: observation.Observation) -> "Subject | None":
        """Return what is to be judged now: nothing, unless users meet the pods of a run."""
        run = target.active_run(observed)
        if run is None or run.status.phase not in _UNDER_TRAFFIC or not run.status.live_pods:
            return None
        if run.status.clock is None or not run.spec.judging.slos:
            return None
        return cls(
            namespace=namespace,
            run=run.name,
            phase=run.status.phase,
            step=run.status.step,
            since=run.status.clock.start_time,
            names=tuple(run.status.live_pods),
            pods=_judged_pods(observed, run),
            slos=tuple(run.spec.judging.slos),
            endpoint=run.spec.judging.endpoint,
            served_name=run.spec.judging.model.served_name,
        )


def _judged_pods(observed: observation.Observation, run: observation.Run) -> tuple[targets.JudgedPod, ...]:
    """Return the recorded pods; one that is gone has counted, and nobody waits for its samples."""
    revision = observed.revisions.get(run.spec.revision)
    present = {pod.name: pod for pod in revision.pods} if revision is not None else {}
    judged = []
    for name in run.status.live_pods:
        pod = present.get(name)
        started = pod.scheduled_time.timestamp() if pod is not None and pod.scheduled_time else None
        serving = pod is not None and pod.ready and not pod.terminating
        judged.append(targets.JudgedPod(name, started, serving))
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
