"""Where the operator meets real time and chance; everything else is given them.

The simulation passes a :class:`Clock` of its own, and the very same code lives through weeks in seconds.
"""

import asyncio
import random
import time
from typing import Protocol


class Clock(Protocol):
    """Time as the shell needs it: how much has passed, and waiting.

    What o'clock it is comes from the API server (:meth:`modelrelease.cluster.api.Api.now`).
    """

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait in real time."""
        await asyncio.sleep(seconds)


def chance() -> random.Random:
    """Return a source of jitter and nonces that nobody can foresee."""
    return random.SystemRandom()


async def within(clock: Clock, seconds: float, event: asyncio.Event) -> bool:
    """Wait for the event, at most so long, and return whether it came; when it did not, it is set now.

    Unlike :func:`asyncio.timeout` this measures with the given clock.
    """
    if event.is_set():
        return True

    def end(_: asyncio.Future[None]) -> None:
        event.set()

    # One task, not two: every release waits here nearly all the time.
    sleeper = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    sleeper.add_done_callback(end)
    try:
        await event.wait()
        return not sleeper.done()
    finally:
        sleeper.remove_done_callback(end)
        sleeper.cancel()
