"""An asyncio event loop whose time is virtual: a day of waiting takes no time at all.

The loop jumps to the next timer whenever nothing is ready, so that whole lives run as fast as the CPU allows
and in an order that depends on the seed alone.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Every task waits for another one, or some task never waits: time can't go on."""


SPINS_MAX = 100_000
"""So often the loop may go round without time passing."""


class _Selector(selectors.SelectSelector):
    """Never waits: a wait of n seconds moves the loop's clock by n."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._spins = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("every task waits and no timer is set")
        self._spins = 0 if timeout > 0 else self._spins + 1
        if self._spins > SPINS_MAX:
            raise Deadlock("something spins: time does not pass")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop for tasks that do no real I/O."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the seconds since the loop was made."""
        return self._virtual.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time, and cancel what it left behind."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
