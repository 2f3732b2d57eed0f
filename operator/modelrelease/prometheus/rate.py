"""So many in a second, and whoever would wait too long is told at once."""

import asyncio
from collections.abc import Callable


class Rate:
    """Lets so many in per second, and as many at once after a pause.

    Parameters
    ----------
    per_second : int
        How many.
    clock : Callable
        Monotonic seconds.
    longest : float
        Seconds that anybody waits.
    """

    def __init__(self, per_second: int, clock: Callable[[], float], *, longest: float) -> None:
        self._step = 1 / per_second
        self._clock = clock
        self._longest = longest
        self._next = clock()

    async def enter(self) -> bool:
        """Return when it is one's turn; False at once where that would take too long."""
        now = self._clock()
        turn = max(self._next, now - 1.0)
        if turn - now > self._longest:
            return False
        self._next = turn + self._step
        if turn > now:
            loop = asyncio.get_running_loop()
            come: asyncio.Future[None] = loop.create_future()
            loop.call_later(turn - now, _come, come)
            await come
        return True


def _come(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
