"""One reconcile task per ModelRelease, in a registry keyed by UID.

The loop knows nothing of kopf, Kubernetes or the life of a release: it takes turns, and decides only when
the next one is due. Nothing but cancellation and the end of the release leaves it.
"""

import asyncio
import contextlib
import contextvars
import dataclasses
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

from modelrelease.cluster import api
from modelrelease.controller import clock as clocks

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """Which release."""

    uid: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class Requeue:
    """When the next turn is due."""

    after_seconds: float | None = None
    """None: nothing but a change or the resync."""
    immediately: bool = False
    """Something was written, or what was decided on had changed meanwhile."""


class ReleaseGone(Exception):
    """The release, or its namespace, is gone or going: its loop ends quietly."""


class Taker(Protocol):
    """What takes the turns; :class:`modelrelease.controller.turn.Turns` is the one of production."""

    async def take(self, key: Key, wake: Callable[[], None]) -> Requeue:
        """Take one turn; raise :class:`ReleaseGone` when there is nothing to take it for.

        ``wake`` may be called later, by work that the turn has left under way.
        """
        ...

    def forget(self, key: Key) -> None:
        """Drop what is kept in memory for a release that is gone."""
        ...


class Observer(Protocol):
    """Who is told how the turns go."""

    def turn_ended(self, key: Key, seconds: float, error: BaseException | None) -> None:
        """Note one turn."""
        ...

    def release_gone(self, key: Key) -> None:
        """Note that a release has no loop any more."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Pacing:
    """How often a release has turns."""

    resync_seconds: float = 60.0
    """Longest pause: what no change announced is seen then."""
    floor_seconds: float = 0.05
    """Shortest pause, so that no release can spin."""
    backoff_seconds: float = 0.5
    """Pause after a first failure; it doubles with each further one."""
    backoff_limit_seconds: float = 30.0
    deaf_seconds: float = 2.0
    """After a failure changes don't cut the pause below this, or a stream of changes defeats the backoff."""
    turn_seconds: float = 60.0
    """Deadline of one turn."""
    turns_at_once: int = 4
    """Of all releases: they fill the connections, and what the most ever took in memory stays taken."""
    room_seconds: float = 5.0
    """So long a turn waits for others; then those that hang keep it no longer."""

    def pause(self, requeue: Requeue, chance: random.Random, streak: int = 0) -> float:
        """Return the seconds until the next turn when nothing changes; resyncs are spread.

        After ``streak`` turns in a row that asked for the next one at once this is a quarrel, and slows down.
        """
        if requeue.immediately:
            return min(1.0, self.floor_seconds * 2.0 ** max(0, streak - 10))
        resync = self.resync_seconds * chance.uniform(0.9, 1.1)
        if requeue.after_seconds is None:
            return resync
        return max(self.floor_seconds, min(requeue.after_seconds, resync))

    def backoff(self, failures: int, chance: random.Random) -> float:
        """Return the pause after so many failures in a row."""
        exponent = min(failures - 1, 16)
        return min(self.backoff_limit_seconds, self.backoff_seconds * 2.0**exponent) * chance.uniform(
            0.8, 1.2
        )


@dataclasses.dataclass(slots=True)
class _Live:
    """A release that has a loop."""

    key: Key
    woken: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    due: float = 0.0
    """Monotonic time by which the next turn ends, or is stuck."""


class Operator:
    """Every release's loop.

    Parameters
    ----------
    turns
        What takes the turns.
    clock
        Time.
    chance
        Jitter.
    pacing
        How often turns are taken.
    observer
        Who is told how they go.
    """

    def __init__(
        self,
        turns: Taker,
        *,
        clock: clocks.Clock,
        chance: random.Random,
        observer: Observer,
        pacing: Pacing | None = None,
    ) -> None:
        self._turns = turns
        self._clock = clock
        self._chance = chance
        self._pacing = pacing or Pacing()
        self._observer = observer
        self._live: dict[str, _Live] = {}
        self._stopping = asyncio.Event()
        self._room = asyncio.Semaphore(self._pacing.turns_at_once)

    def start(self, uid: str, namespace: str, name: str) -> None:
        """Give the release a loop, or wake the one it has."""
        live = self._live.get(uid)
        if live is not None:
            live.woken.set()
            return
        if self._stopping.is_set():
            return
        live = _Live(Key(uid, namespace, name))
        live.due = self._clock.monotonic() + self._pacing.turn_seconds
        live.task = asyncio.create_task(
            self._run(live),
            name=f"release {live.key}",
            # A loop outlives the event that started it, and must not keep what kopf knew of that event.
            context=contextvars.Context(),
        )
        self._live[uid] = live

    def wake(self, namespace: str, name: str) -> None:
        """Something of the release changed, or, without a name, of its namespace: take a turn soon."""
        for live in self._live.values():
            if live.key.namespace == namespace and name in {"", live.key.name}:
                live.woken.set()

    def stop(self, uid: str) -> None:
        """End the release's loop: it was deleted. Its children are garbage-collected by their owner."""
        live = self._live.get(uid)
        if live is not None and live.task is not None:
            live.task.cancel()

    async def run_forever(self) -> None:
        """Return only when cancelled, and then take every loop along."""
        try:
            await self._stopping.wait()
        finally:
            await self.shut_down()

    async def shut_down(self) -> None:
        """End every loop, wherever it is: a turn may be cut at any call, and the next start continues."""
        self._stopping.set()
        tasks = [live.task for live in self._live.values() if live.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def count(self) -> int:
        """Number of releases that have a loop."""
        return len(self._live)

    def stuck(self) -> Iterator[Key]:
        """Yield the releases whose turn is overdue by more than a deadline."""
        now = self._clock.monotonic()
        for live in self._live.values():
            if now > live.due + self._pacing.turn_seconds:
                yield live.key

    async def _run(self, live: _Live) -> None:
        try:
            await self._turn_after_turn(live)
        finally:
            if self._live.get(live.key.uid) is live:
                del self._live[live.key.uid]
            self._turns.forget(live.key)
            self._observer.release_gone(live.key)

    async def _turn_after_turn(self, live: _Live) -> None:
        failures = streak = 0
        while True:
            error: Exception | None = None
            pause = deaf = self._pacing.floor_seconds
            async with self._in_order():
                # Only now: what changes while this turn waits for others is seen by it.
                live.woken.clear()
                began = self._clock.monotonic()
                live.due = began + self._pacing.turn_seconds
                try:
                    async with asyncio.timeout(self._pacing.turn_seconds):
                        requeue = await self._turns.take(live.key, live.woken.set)
                except ReleaseGone:
                    return
                except Exception as caught:  # noqa: BLE001 - a release whose loop has died is never served again
                    error = caught
                    failures += 1
                    pause = self._pacing.backoff(failures, self._chance)
                    deaf = min(pause, self._pacing.deaf_seconds)
                    _log_failure(live.key, caught, failures, pause)
                else:
                    failures = 0
                    streak = streak + 1 if requeue.immediately else 0
                    pause = self._pacing.pause(requeue, self._chance, streak)
            ended = self._clock.monotonic()
            self._observer.turn_ended(live.key, ended - began, error)
            live.due = ended + pause + self._pacing.turn_seconds
            await self._clock.sleep(deaf)
            await clocks.within(self._clock, pause - deaf, live.woken)

    @contextlib.asynccontextmanager
    async def _in_order(self) -> AsyncIterator[None]:
        entered = await self._entered()
        try:
            yield
        finally:
            if entered:
                self._room.release()

    async def _entered(self) -> bool:
        """Wait for room; when none comes in time, go on without."""
        try:
            async with asyncio.timeout(self._pacing.room_seconds):
                return await self._room.acquire()
        except TimeoutError:
            return False


def _log_failure(key: Key, error: Exception, failures: int, pause: float) -> None:
    """Say it in one line; with a traceback when it is our own mistake, not an answer of the API server."""
    expected = isinstance(error, (TimeoutError, api.ApiError))
    message = str(error) or type(error).__name__
    _log.log(
        logging.WARNING if expected else logging.ERROR,
        "The turn failed (%d in a row, next in %.1f s): %s",
        failures,
        pause,
        message,
        exc_info=None if expected else error,
        extra={"release": str(key)},
    )
