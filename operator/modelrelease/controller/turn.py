"""One turn of one release, from top to bottom: observe, decide, write one transition or act, present.

A turn either writes one transition or acts for the persisted phase, never both. It decides on the caches
first; when that would write anything, it reads everything again and decides anew. So the operator may be
killed between any two calls, and the next turn comes to the same.
"""

import collections
import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import pydantic

from modelrelease.api import reasons, verdict
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api import status as api_status
from modelrelease.checks import jobs
from modelrelease.cluster import act, api, events, observe
from modelrelease.controller import (
    announcing,
    checking,
    decision,
    exposition,
    judging,
    live_loads,
    loop,
    noticing,
    tracing,
)
from modelrelease.core import observation, override, presentation, retention, target, wake

REFUSALS: Final = (api.Invalid, api.Forbidden, act.NameTaken)
"""What trying again alone does not cure: people have to see it."""
AT_ONCE: Final = loop.Requeue(immediately=True)

_log = logging.getLogger(__name__)


class Report(Protocol):
    """Who is told what the turns decide."""

    def presented(self, key: loop.Key, phase: str) -> None:
        """Note the phase that people see."""
        ...

    def overridden(self, key: loop.Key, kinds: Mapping[str, int]) -> None:
        """Note how many words of people count, by kind."""
        ...

    def stands(self, key: loop.Key, said: exposition.Standing) -> None:
        """Note traffic, replicas, checks and objectives of a release."""
        ...

    def verdicts(self, kind: str, counted: Mapping[verdict.Verdict, int]) -> None:
        """Count verdicts that a run has recorded."""
        ...

    def ended(self, outcome: str, reason: str) -> None:
        """Count a run that has ended."""
        ...

    def blamed(self, cause: str, confidence: str) -> None:
        """Count a cause that a failure of a check was blamed on."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Shell:
    """What a turn needs besides the release."""

    port: api.Api
    observer_of: Callable[[str], observe.Observer]
    """By namespace."""
    judging: judging.Judging
    unknown_source: Callable[[Sequence[api_spec.Slo]], observation.Problem | None]
    checks: jobs.Settings
    report: Report
    live: live_loads.LiveLoads | None = None
    """Tells what users ask stable, and what GPUs do; without it every load is replayed as declared."""
    notify: noticing.Notify | None = None
    """Tells people; it neither waits nor fails."""
    misnamed: noticing.Misnamed | None = None
    """Says whom a release wants told that nobody knows."""
    traces: tracing.Traces | None = None
    """Tells the traces of runs."""


class Turns:
    """Takes the turns of every release; keeps nothing between them that is not written in the cluster."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._port = shell.port
        self._met: set[str] = set()
        """Releases that had a turn of this operator."""
        self._misnamed: dict[str, Sequence[str]] = {}
        """By release, whom it names and nobody knows, as it was last said."""

    def forget(self, key: loop.Key) -> None:
        """Drop the judgements of a release that is gone."""
        self._shell.judging.forget(key)
        self._met.discard(key.uid)
        self._misnamed.pop(key.uid, None)

    async def take(self, key: loop.Key, wake_up: Callable[[], None]) -> loop.Requeue:
        """Take one turn.

        Raises
        ------
        loop.ReleaseGone
            The release, or its namespace, is gone or going.
        """
        try:
            return await self._take(key, wake_up)
        except (api.Conflict, api.AlreadyExists) as error:
            _log.debug("Something changed meanwhile: %s", error, extra={"release": str(key)})
            return AT_ONCE
        except api.Forbidden as error:
            if "being terminated" in str(error):
                raise loop.ReleaseGone from error
            raise

    async def _take(self, key: loop.Key, wake_up: Callable[[], None]) -> loop.Requeue:
        look, observed, decided = await self._decide(key, fresh=False)
        await self._meet(key, look, observed)
        if decided.writes:
            del look, observed, decided  # large, and of no use while everything is read again
            look, observed, decided = await self._decide(key, fresh=True)
            if self._shell.traces is not None:
                self._shell.traces.writes(key, look, target.active_run(observed))
        refusal: api.ApiError | None = None
        try:
            if await self._transition(key, look, observed, decided):
                return AT_ONCE
        except REFUSALS as error:
            refusal = error
        else:
            refusal = await self._act(look, observed, decided)
        await self._present(key, look, observed, refusal)
        if refusal is not None:
            raise refusal
        return self._requeue(key, observed, wake_up)

    async def _decide(
        self, key: loop.Key, *, fresh: bool
    ) -> tuple[observe.Look, observation.Observation, decision.Decision]:
        look = await self._look(key, fresh=fresh)
        observed = self._judged(key, look.observation)
        return look, observed, decision.decide(look, observed, self._port.now())

    async def _look(self, key: loop.Key, *, fresh: bool) -> observe.Look:
        """Look; what the caches do not know yet, or know of a namesake, is read."""
        observer = self._shell.observer_of(key.namespace)
        try:
            look = await observer.observe(key.namespace, key.name, fresh=fresh)
        except api.NotFound as error:
            if fresh:
                raise loop.ReleaseGone from error
            return await self._look(key, fresh=True)
        if look.objects.owner.uid == key.uid and "deletionTimestamp" not in look.objects.release["metadata"]:
            return look
        if fresh:
            raise loop.ReleaseGone
        return await self._look(key, fresh=True)

    def _judged(self, key: loop.Key, observed: observation.Observation) -> observation.Observation:
        """Add what only the installation knows: judgements, and which sources there are."""
        release = observed.release
        problem = self._shell.unknown_source(release.desired.judging.slos) if release.desired else None
        if problem is not None:
            release = dataclasses.replace(release, desired=None, problem=problem)
        subject = judging.Subject.of(key.namespace, observed)
        judged = self._shell.judging.newest(key, subject)
        recovering = subject is not None and subject.recovering
        return dataclasses.replace(
            observed,
            release=release,
            slos=() if recovering else judged,
            recovery=judged if recovering else (),
        )

    async def _transition(
        self,
        key: loop.Key,
        look: observe.Look,
        observed: observation.Observation,
        decided: decision.Decision,
    ) -> bool:
        """Write the one transition or traffic change that is due, and return whether that ends the turn."""
        port = self._port
        run = target.active_run(observed)
        if decided.transition is not None and run is not None:
            await act.write_run_status(port, look, run.name, decided.transition)
            await self._tell(key, look, run, decided.transition)
            return True
        if decided.next_run is not None:
            # The revision first: a run without one would be cancelled.
            await act.store_revision(port, look)
            await act.create_run(port, look, decided.next_run)
            return True
        for mark in decided.wanted.marks:
            await act.mark(port, look, mark)
        if decided.traffic_differs:
            await act.set_traffic(port, look, decided.wanted.traffic)
            return True
        settled = decided.returned
        if settled is not None:
            await act.write_run_status(port, look, settled.run.name, settled.status)
            event = announcing.recovery(look.objects.owner, settled, port.now())
            await self._publish(look, event, settled.run, settled.status)
            return True
        return False

    async def _act(
        self, look: observe.Look, observed: observation.Observation, decided: decision.Decision
    ) -> api.ApiError | None:
        """Make true what the phase wants; return the first failure: the others are tried all the same."""
        port, shell = self._port, self._shell
        refused: list[api.ApiError] = []
        for work in (
            functools.partial(self._scale, look, decided),
            functools.partial(act.protect, port, look, decided.wanted.protected),
            functools.partial(
                checking.start, port, look, observed, decided.jobs, shell.checks, live=shell.live
            ),
            functools.partial(checking.harvest, port, look, observed, decided.settled, shell.live),
            functools.partial(self._forget, look, decided.doomed),
            functools.partial(act.adopt, port, look),
        ):
            try:
                await work()
            except (api.Conflict, api.AlreadyExists):
                raise
            except api.ApiError as error:
                refused.append(error)
        return next(iter(refused), None)

    async def _scale(self, look: observe.Look, decided: decision.Decision) -> None:
        for revision in decided.deployments:
            await act.ensure_deployment(self._port, look, revision)
        for revision, replicas in decided.scales.items():
            if look.objects.deployment(revision) is not None:
                await act.scale(self._port, look, revision, replicas)

    async def _forget(self, look: observe.Look, doomed: retention.Doomed) -> None:
        for run in doomed.runs:
            await act.delete_run(self._port, look, run)
        for revision in doomed.revisions:
            await act.delete_revision(self._port, look, revision)

    async def _present(
        self,
        key: loop.Key,
        look: observe.Look,
        observed: observation.Observation,
        refusal: api.ApiError | None,
    ) -> None:
        """Write what people see, if it has changed."""
        if isinstance(refusal, REFUSALS) and observed.release.problem is None:
            problem = observation.Problem(
                reasons.REFUSED, reasons.sentence(f"The API server refuses: {refusal}")
            )
            release = dataclasses.replace(observed.release, desired=None, problem=problem)
            observed = dataclasses.replace(observed, release=release)
        previous = _previous(look)
        now = self._port.now()
        status = presentation.present(observed, now, previous)
        self._shell.report.presented(key, status.phase)
        self._shell.report.overridden(key, override.counted(observed))
        self._shell.report.stands(key, exposition.standing(observed, status))
        stalled = announcing.stalled(look.objects.owner, previous, status, now)
        await self._publish(look, stalled, tell=status.phase not in announcing.TOLD)
        await self._publish(look, announcing.asked(look.objects.owner, previous, status, now))
        for said in announcing.overrides(look.objects.owner, previous, status, now):
            await self._publish(look, said)
        await self._correct(key, look)
        dumped = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        await act.write_release_status(self._port, look, dumped)

    async def _correct(self, key: loop.Key, look: observe.Look) -> None:
        """Tell the person who has written it, once, that a notification target does not exist."""
        said = self._shell.misnamed(look.objects.release) if self._shell.misnamed is not None else ()
        for sentence in said:
            if sentence not in self._misnamed.get(key.uid, ()):
                event = announcing.misnamed(look.objects.owner, sentence, self._port.now())
                await self._publish(look, event, tell=False)
        if said:
            self._misnamed[key.uid] = said
        else:
            self._misnamed.pop(key.uid, None)

    def _requeue(
        self, key: loop.Key, observed: observation.Observation, wake_up: Callable[[], None]
    ) -> loop.Requeue:
        """Say when time alone may change something, and leave a judgement under way when one is due."""
        now = self._port.now()
        due = wake.wake_time(observed, now)
        pauses = [max(0.0, (due - now).total_seconds())] if due is not None else []
        subject = judging.Subject.of(key.namespace, observed)
        again = self._shell.judging.keep_going(key, subject, now, wake_up)
        if again is not None:
            pauses.append(again)
        return loop.Requeue(after_seconds=min(pauses, default=None))

    async def _tell(
        self, key: loop.Key, look: observe.Look, run: observation.Run, status: api_run.RunStatus
    ) -> None:
        """Log, count and announce what a transition has changed."""
        _log.info(
            "%s",
            status.message or f"{run.spec.revision} is {status.phase}",
            extra={
                "release": str(key),
                "run": run.name,
                "revision": run.spec.revision,
                "phase": status.phase.value,
            },
        )
        # What is said of an objective before any user has met the candidate is no verdict.
        told, judged = (
            [slo for slo in said.slos if slo.reason != reasons.NOT_LIVE] for said in (run.status, status)
        )
        for kind, before, after in (
            ("check", run.status.checks, status.checks),
            ("slo", told, judged),
        ):
            known = {said.name: said.verdict for said in before}
            new = [s.verdict for s in after if s.verdict is not None and s.verdict is not known.get(s.name)]
            self._shell.report.verdicts(kind, collections.Counter(new))
        for cause, confidence in exposition.causes(run.status, status):
            self._shell.report.blamed(cause, confidence)
        for outcome, reason in exposition.ends(run.status, status):
            self._shell.report.ended(outcome, reason)
        if self._shell.traces is not None:
            self._shell.traces.transition(look, run, status, self._port.now())
        said = look.observation.release.override
        event = announcing.transition(look.objects.owner, run, status, self._port.now(), said)
        await self._publish(look, event, run, status)

    async def _meet(self, key: loop.Key, look: observe.Look, observed: observation.Observation) -> None:
        """Announce what an operator that was killed has left unsaid, in the first turn of a release."""
        if key.uid in self._met:
            return
        self._met.add(key.uid)
        run = next(reversed(observed.runs), None)
        if run is not None:
            said = observed.release.override
            event = announcing.again(look.objects.owner, run, self._port.now(), said)
            await self._publish(look, event, run, run.status)

    async def _publish(
        self,
        look: observe.Look,
        event: api.Object | None,
        run: observation.Run | None = None,
        status: api_run.RunStatus | None = None,
        *,
        tell: bool = True,
    ) -> None:
        """Write an Event, at best: it decides nothing. Whoever writes it first also tells people."""
        if event is None:
            return
        first = True
        try:
            first = await events.publish(self._port, event)
        except api.ApiError as error:
            _log.warning("Event %s is lost: %s", event["reason"], error)
        if first and tell and self._shell.notify is not None:
            self._shell.notify(look.objects.release, event, run, status)


def _previous(look: observe.Look) -> api_status.ReleaseStatus:
    """Return the status as it is, or an empty one: it is derived, so what can't be read is written anew."""
    try:
        return api_status.ReleaseStatus.model_validate(look.objects.release.get("status") or {})
    except pydantic.ValidationError:
        return api_status.ReleaseStatus()
