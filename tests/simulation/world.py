"""A whole life: the real core and the real shell on the cluster in memory, people, and bad luck."""

import asyncio
import dataclasses
import functools
import random
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from modelrelease.api import verdict
from modelrelease.checks import jobs, results
from modelrelease.cluster import api, cache, observe, resolve
from modelrelease.controller import exposition, judging, loop, turn
from tests.simulation import (
    company,
    faults,
    invariants,
    kubernetes,
    nodes,
    oracle,
    people,
    script,
    view,
    virtual,
)

CALM_SECONDS: Final = 2000.0
"""So long after the last event everything has to be settled."""
IDLE_SECONDS: Final = 200.0
"""So long nothing may be written after that, a new operator included."""


@dataclasses.dataclass(frozen=True, slots=True)
class Lived:
    """How a life went."""

    turns: int
    calls: int
    seconds: float
    problem: str = ""
    """The invariant that did not hold, and when; empty when all held."""


class _Clock:
    """Time as the shell needs it, of the virtual loop."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        # Real time moves on by itself: a rest of nanoseconds, left by rounding, must not stop it here.
        await asyncio.sleep(max(seconds, 1e-6))


class _Marked:
    """Turns that say whose they are: a call, and a write, can then be told apart."""

    def __init__(self, turns: turn.Turns, told: company.Company) -> None:
        self._turns, self._told = turns, told

    async def take(self, key: loop.Key, wake: Callable[[], None]) -> loop.Requeue:
        """Take one turn."""
        faults.TURN.set(key.name)
        self._told.began(key.name)
        return await self._turns.take(key, wake)

    def forget(self, key: loop.Key) -> None:
        """Drop what is kept for a release that is gone."""
        self._turns.forget(key)


class World:
    """Everything of one life.

    Parameters
    ----------
    life
        What happens.
    more
        Further fields of each operator's shell, given its API; traces observe its turns, too.
    """

    def __init__(
        self, life: script.Life, more: Callable[["World", api.Api], Mapping[str, Any]] | None = None
    ) -> None:
        self.life = life
        self._more = more
        self.server = kubernetes.Server(asyncio.get_running_loop().time)
        weather = nodes.Weather(capacity=life.setup["capacity"], job_fault=life.setup["jobFault"])
        self.nodes = nodes.Nodes(self.server, life.seed, weather)
        self.oracle = oracle.Oracle(self.server)
        self.line = faults.Line(self.server, life.seed)
        self.checker = company.Company(self.server)
        self.teams: dict[str, people.People] = {}
        """Everyone's people, by release; the first one's are there in every life."""
        for name, setup in {people.NAME: life.setup, **life.setup.get("others", {})}.items():
            self.teams[name] = people.People(self.server, setup, name)
            told = functools.partial(self._told, name)
            parts = (self.server, self.nodes, self.oracle, self.line)
            self.checker.join(name, invariants.Checker(*parts, alarm=told, name=name))
        self.people = self.teams[people.NAME]
        self.turns = 0
        self._starts = 0
        self._operator: loop.Operator | None = None
        self._ended = asyncio.Event()
        self._down = 0.0
        self._pending: set[asyncio.Task[None]] = set()
        self.server.observers += [self.checker.wrote, self._release_changed]

    def _told(self, name: str, problem: str) -> None:
        """Say of several releases which one it is."""
        number, _, text = problem.partition(": ")
        self.checker.fail(f"{number}: {name}: {text}" if len(self.teams) > 1 else problem)

    # --- The operator --------------------------------------------------------------------------------------

    async def _operators(self) -> None:
        """One operator after the other, never two at once."""
        while True:
            self._ended.clear()
            port = faults.Faulty(self.line, self._kill)
            running = asyncio.create_task(self._operate(port))
            waiting = asyncio.create_task(self._ended.wait())
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if running.done() and running.exception() is not None:
                self.checker.fail(f"the operator ended: {running.exception()!r}")
            port.dead = True
            self.checker.operator_up(up=False)
            for task in (running, waiting):
                task.cancel()
            await asyncio.gather(running, waiting, return_exceptions=True)
            self._operator = None
            await asyncio.sleep(self._down)

    def _kill(self, kill: faults.Kill) -> None:
        self._down = kill.seconds
        self._ended.set()

    async def _operate(self, port: api.Api) -> None:
        """Put the operator together as :mod:`modelrelease.controller.process` does."""
        clock = _Clock()
        self._starts += 1
        chance = random.Random(f"{self.life.seed}/{self._starts}")

        def changed(namespace: str, release: str) -> None:
            self.checker.woken(release)
            operator.wake(namespace, release)

        caches = cache.Caches(port, sleep=clock.sleep, monotonic=clock.monotonic, changed=changed)
        observer = observe.Observer(port, caches, resolve.Resolver(port, "registry/checks:1"), results.read)
        more = self._more(self, port) if self._more is not None else {}
        turns = turn.Turns(
            turn.Shell(
                port=port,
                observer_of=lambda _: observer,
                judging=judging.Judging(self.oracle, clock=clock),
                unknown_source=self.oracle.unknown_source,
                checks=jobs.Settings(image="registry/checks:1"),
                report=self,
                **more,
            )
        )
        watching = more.get("traces") or self
        pacing = loop.Pacing(turns_at_once=self.life.setup.get("turnsAtOnce", 4))
        operator = loop.Operator(
            _Marked(turns, self.checker), clock=clock, chance=chance, observer=watching, pacing=pacing
        )
        following = asyncio.create_task(caches.run())
        try:
            await caches.wait_synced()
            self._operator = operator
            self.checker.operator_up(up=True)
            for obj in self.server.select("ModelRelease"):
                operator.start(obj["metadata"]["uid"], *api.key_of(obj))
            await asyncio.gather(following, operator.run_forever())
        finally:
            following.cancel()
            await operator.shut_down()
            await asyncio.gather(following, return_exceptions=True)

    def _release_changed(self, write: kubernetes.Write) -> None:
        """What kopf does: tell the operator, a moment later."""
        if write.kind == "ModelRelease" and self._operator is not None:
            key = api.key_of(write.new)
            asyncio.get_running_loop().call_later(
                0.05, self._tell, self._operator, write.event, write.new["metadata"]["uid"], key
            )

    def _tell(self, operator: loop.Operator, event: str, uid: str, key: tuple[str, str]) -> None:
        if operator is self._operator:
            if event == "DELETED":
                operator.stop(uid)
            else:
                self.checker.woken(key[1])
                operator.start(uid, *key)

    # --- What the shell reports (loop.Observer, turn.Report) -----------------------------------------------

    def turn_ended(self, key: loop.Key, seconds: float, error: BaseException | None) -> None:
        """Count a turn; only the API server may make one fail."""
        self.turns += 1
        self.checker.ended(key.name)
        if error is not None and not isinstance(error, (api.ApiError, TimeoutError)):
            self.checker.fail(f"a turn broke: {error!r} in {innermost(error)}")

    def release_gone(self, key: loop.Key) -> None:
        """Note nothing."""

    def presented(self, key: loop.Key, phase: str) -> None:
        """Note nothing."""

    def overridden(self, key: loop.Key, kinds: Mapping[str, int]) -> None:
        """Note nothing."""

    def stands(self, key: loop.Key, said: exposition.Standing) -> None:
        """Note nothing."""

    def verdicts(self, kind: str, counted: Mapping[verdict.Verdict, int]) -> None:
        """Note nothing."""

    def ended(self, outcome: str, reason: str) -> None:
        """Note nothing."""

    def blamed(self, cause: str, confidence: str) -> None:
        """Note nothing."""

    # --- The life ------------------------------------------------------------------------------------------

    async def live(self) -> Lived:
        """Live it to its end, or to the first broken invariant."""
        tasks = [
            asyncio.create_task(work)
            for work in (self._operators(), self.nodes.run(), self._watch_fairness())
        ]
        story = asyncio.create_task(self._story())
        failed = asyncio.create_task(self.checker.failed.wait())
        try:
            await asyncio.wait({story, failed, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in (story, *tasks):
                if task.done() and not task.cancelled() and task.exception() is not None:
                    raise task.exception() or AssertionError
        finally:
            self.checker.closed = True
            everything = [*tasks, story, failed, *self._pending]
            for task in everything:
                task.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
        return Lived(self.turns, self.line.calls, self.server.seconds(), self.checker.problem)

    async def _watch_fairness(self) -> None:
        """Count the seconds in which the operator could have done its work."""
        while True:
            await asyncio.sleep(1.0)
            now = self.server.seconds()
            deaf = now < self.server.deaf_until + 150.0
            self.checker.tick(
                name
                for name in self.teams
                if deaf or self.line.waits(name) or now < self.line.last_fault(name) + 35.0
            )

    async def _story(self) -> None:
        if self.life.setup.get("gpus"):
            self.nodes.build()
        for team in self.teams.values():
            team.share()
            team.create()
        for event in self.life.events:
            await asyncio.sleep(max(0.0, event.at - self.server.seconds()))
            self._happen(event.verb, dict(event.args))
        await asyncio.sleep(max(0.0, self.life.seconds - self.server.seconds()))
        self._calm()
        began = self.server.seconds()
        while unsettled := self.checker.unsettled():
            if self.server.seconds() > began + CALM_SECONDS:
                self.checker.fail(f"not settled after {CALM_SECONDS:.0f} s: {unsettled}")
            await asyncio.sleep(10.0)
        await asyncio.sleep(30.0)
        self.checker.expect_silence()
        await asyncio.sleep(IDLE_SECONDS)
        self._kill(faults.Kill(0, after=False, seconds=1.0))
        await asyncio.sleep(IDLE_SECONDS)
        self.checker.end()

    def _happen(self, verb: str, args: dict[str, Any]) -> None:
        """Let an event happen: people's verbs are methods of theirs, the others are here."""
        team = self.teams[args.pop("release", people.NAME)]
        own = getattr(self, f"_do_{verb}", None)
        if own is not None:
            own(team, **args)
        else:
            getattr(team, verb)(**args)

    def _calm(self) -> None:
        """Nothing disturbs any more, and nothing that only a person ends is left."""
        self.line.faults.clear()
        self.line.kills.clear()
        self.server.deaf_until = 0.0
        self.oracle.outage_until = 0.0
        self.oracle.calm = True
        self.nodes.weather.capacity = 40
        self.nodes.weather.job_fault = 0.0
        for team in self.teams.values():
            team.share()
            team.create()
            team.hide()
            team.mend_spec()
            team.resume()
            team.want_possible()

    def _later(self, seconds: float, then: Callable[[], None]) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            then()

        task = asyncio.create_task(wait())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _pods(self, team: people.People, who: str = "") -> list[api.Object]:
        """Return the serving pods of a release, or of one of its revisions."""
        found = [pod for pod in self.server.of("Pod", team.name) if not nodes.is_check(pod)]
        meant = [pod for pod in found if not who or view.revision_of(pod) == team.who(who)]
        return sorted(meant, key=api.key_of)

    def _do_expose(self, team: people.People, seconds: float) -> None:
        team.expose()
        self._later(seconds, team.hide)

    def _do_break_spec(self, team: people.People, seconds: float) -> None:
        team.break_spec()
        self._later(seconds, team.mend_spec)

    def _do_lose_config(self, team: people.People, seconds: float) -> None:
        team.lose_config()
        self._later(seconds, team.share)

    def _do_delete_release(self, team: people.People, seconds: float) -> None:
        team.delete_release()
        self._later(seconds, team.create)

    def _do_delete_pod(self, team: people.People, index: int = 0, who: str = "") -> None:
        pods = self._pods(team, who)
        if pods:
            self.nodes.delete_pod(pods[index % len(pods)])

    def _do_evict(self, team: people.People, index: int) -> None:
        pods = self._pods(team)
        if pods:
            self.nodes.evict(pods[index % len(pods)])

    def _do_unready(self, team: people.People, seconds: float, index: int = 0, who: str = "") -> None:
        pods = self._pods(team, who)
        if who:
            for pod in pods:
                self.nodes.lose_readiness(pod, seconds)
        elif pods:
            self.nodes.lose_readiness(pods[index % len(pods)], seconds)

    def _do_move_tag(self, team: people.People, who: str) -> None:
        """Let the name of an image mean another one: for pods that start from now on."""
        image = team.image(team.who(who) or "")
        if image is not None:
            self.nodes.weather.moved[image] = self.nodes.weather.moved.get(image, 0) + 1

    def _do_fill_node(self, team: people.People, node: str) -> None:
        """Let pods find their place on another node from now on."""
        self.nodes.weather.node = node

    def _do_capacity(self, team: people.People, pods: int) -> None:
        self.nodes.weather.capacity = pods

    def _do_job_fault(self, team: people.People, share: float) -> None:
        self.nodes.weather.job_fault = share

    def _do_prometheus(self, team: people.People, mode: str, seconds: float) -> None:
        self.oracle.outage, self.oracle.outage_until = mode, self.server.seconds() + seconds

    def _do_fault(self, team: people.People, verb: str, mode: str, count: int, alone: bool = False) -> None:
        self.line.faults.append(faults.Fault(verb, mode, count, team.name if alone else ""))

    def _do_kill(self, team: people.People, calls: int, after: bool, seconds: float) -> None:
        self.line.kills.append(faults.Kill(calls, after, seconds))

    def _do_cut_watches(self, team: people.People) -> None:
        self.server.cut()

    def _do_stall_watches(self, team: people.People, seconds: float) -> None:
        self.server.deaf_until = self.server.seconds() + seconds

    def _do_compact(self, team: people.People) -> None:
        self.server.compact()
        self.server.cut()


def innermost(error: BaseException) -> str:
    """Return where an error was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"


def live(life: script.Life) -> Lived:
    """Live a life."""

    async def main() -> Lived:
        return await World(life).live()

    return virtual.run(main())
