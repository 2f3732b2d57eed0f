"""Time that passes only when nothing else is left to do."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

import pytest


class VirtualClock:
    """Sleepers wake in order, at once in real time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        waker: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), waker))
        await waker

    async def settle(self) -> None:
        """Let everything that needs no time happen."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let the time pass, sleeper by sleeper."""
        end = self.now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, waker = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            if not waker.done():
                waker.set_result(None)
                await self.settle()
        self.now = end

    async def until(self, holds: Callable[[], bool], seconds: float = 1000.0) -> None:
        """Let time pass until it holds."""
        end = self.now + seconds
        await self.settle()
        while not holds():
            assert self.now < end, "it never came true"
            await self.advance(0.1)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()
