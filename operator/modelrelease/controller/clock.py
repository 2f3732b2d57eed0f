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
    """Wait for the event, at most so long, and return whether it came.

    Unlike :func:`asyncio.timeout` this measures with the given clock.
    """
    if event.is_set():
        return True
    waiter = asyncio.ensure_future(event.wait())
    sleeper = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    try:
        await asyncio.wait({waiter, sleeper}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiter.cancel()
        sleeper.cancel()
    return event.is_set()
