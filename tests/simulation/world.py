"""A whole life: the real core and the real shell on the cluster in memory, people, and bad luck."""

import asyncio
import dataclasses
import random
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final

from modelrelease.api import verdict
from modelrelease.checks import jobs, results
from modelrelease.cluster import api, cache, observe, resolve
from modelrelease.controller import exposition, judging, loop, turn
from tests.simulation import faults, invariants, kubernetes, nodes, oracle, people, script, view, virtual

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
        self.people = people.People(self.server, life.setup)
        self.line = faults.Line(self.server, life.seed)
        self.checker = invariants.Checker(self.server, self.nodes, self.oracle, self.line)
        self.turns = 0
        self._starts = 0
        self._operator: loop.Operator | None = None
        self._ended = asyncio.Event()
        self._down = 0.0
        self._pending: set[asyncio.Task[None]] = set()
        self.server.observers += [self.checker.wrote, self._release_changed]

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
        operator = loop.Operator(turns, clock=clock, chance=chance, observer=watching)
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
                operator.start(uid, *key)

    # --- What the shell reports (loop.Observer, turn.Report) -----------------------------------------------

    def turn_ended(self, key: loop.Key, seconds: float, error: BaseException | None) -> None:
        """Count a turn; only the API server may make one fail."""
        self.turns += 1
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
            disturbed = self.server.seconds() < self.server.deaf_until + 150.0 or bool(self.line.faults)
            self.checker.tick(disturbed=disturbed or self.server.seconds() < self.line.last_fault + 35.0)

    async def _story(self) -> None:
        self.people.create()
        for event in self.life.events:
            await asyncio.sleep(max(0.0, event.at - self.server.seconds()))
            self._happen(event.verb, dict(event.args))
        await asyncio.sleep(max(0.0, self.life.seconds - self.server.seconds()))
        self._calm()
        began = self.server.seconds()
        while not self.checker.settled():
            if self.server.seconds() > began + CALM_SECONDS:
                self.checker.fail(f"not settled after {CALM_SECONDS:.0f} s: {self.checker.unsettled()}")
            await asyncio.sleep(10.0)
        await asyncio.sleep(30.0)
        self.checker.expect_silence()
        await asyncio.sleep(IDLE_SECONDS)
        self._kill(faults.Kill(0, after=False, seconds=1.0))
        await asyncio.sleep(IDLE_SECONDS)
        self.checker.end()

    def _happen(self, verb: str, args: dict[str, Any]) -> None:
        """Let an event happen: people's verbs are methods of theirs, the others are here."""
        own = getattr(self, f"_do_{verb}", None)
        (own or getattr(self.people, verb))(**args)

    def _calm(self) -> None:
        """Nothing disturbs any more, and nothing that only a person ends is left."""
        self.line.faults.clear()
        self.line.kills.clear()
        self.server.deaf_until = 0.0
        self.oracle.outage_until = 0.0
        self.oracle.calm = True
        self.nodes.weather.capacity = 40
        self.nodes.weather.job_fault = 0.0
        self.people.create()
        self.people.hide()
        self.people.mend_spec()
        self.people.resume()
        self.people.want_possible()

    def _later(self, seconds: float, verb: str) -> None:
        async def wait() -> None:
            await asyncio.sleep(seconds)
            getattr(self.people, verb)()

        task = asyncio.create_task(wait())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    def _pods(self) -> list[api.Object]:
        return [pod for pod in self.server.select("Pod") if not nodes.is_check(pod)]

    def _do_expose(self, seconds: float) -> None:
        self.people.expose()
        self._later(seconds, "hide")

    def _do_break_spec(self, seconds: float) -> None:
        self.people.break_spec()
        self._later(seconds, "mend_spec")

    def _do_delete_release(self, seconds: float) -> None:
        self.people.delete_release()
        self._later(seconds, "create")

    def _do_delete_pod(self, index: int = 0, who: str = "") -> None:
        pods = [p for p in self._pods() if not who or view.revision_of(p) == self.people.who(who)]
        if pods:
            self.nodes.delete_pod(pods[index % len(pods)])

    def _do_evict(self, index: int) -> None:
        pods = self._pods()
        if pods:
            self.nodes.evict(pods[index % len(pods)])

    def _do_unready(self, seconds: float, index: int = 0, who: str = "") -> None:
        pods = self._pods()
        if who:
            for pod in pods:
                if view.revision_of(pod) == self.people.who(who):
                    self.nodes.lose_readiness(pod, seconds)
        elif pods:
            self.nodes.lose_readiness(pods[index % len(pods)], seconds)

    def _do_capacity(self, pods: int) -> None:
        self.nodes.weather.capacity = pods

    def _do_job_fault(self, share: float) -> None:
        self.nodes.weather.job_fault = share

    def _do_prometheus(self, mode: str, seconds: float) -> None:
        self.oracle.outage, self.oracle.outage_until = mode, self.server.seconds() + seconds

    def _do_fault(self, verb: str, mode: str, count: int) -> None:
        self.line.faults.append(faults.Fault(verb, mode, count))

    def _do_kill(self, calls: int, after: bool, seconds: float) -> None:
        self.line.kills.append(faults.Kill(calls, after, seconds))

    def _do_cut_watches(self) -> None:
        self.server.cut()

    def _do_stall_watches(self, seconds: float) -> None:
        self.server.deaf_until = self.server.seconds() + seconds

    def _do_compact(self) -> None:
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
