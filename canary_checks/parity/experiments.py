"""Counterfactual requests: the candidate is asked about changed inputs, to see whether every gate passes.

Bounded in count and time, and harmless: a server that fails here leaves the verdict as it is, and the cause
less certain.
"""

import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np

from canary_checks import inputs
from canary_checks.parity import distance, movement

ALONE: Final = "alone"
_SAMPLE: Final = 6
_MOST_ALONE: Final = 160

Ask = Callable[[Sequence[inputs.Input], int], Awaitable[movement.Vectors | None]]
"""Embeds some inputs, so many in one request; None when the server does not answer as it should."""


@dataclasses.dataclass(frozen=True)
class Change:
    """One way of asking otherwise.

    Attributes
    ----------
    name
        Of the trial.
    rows
        Shape ``[n]``: which rows it changes.
    make
        Makes what to send in the place of a row.
    """

    name: str
    rows: movement.Flags
    make: Callable[[int], inputs.Input]


@dataclasses.dataclass
class Budget:
    """How much a diagnosis may still ask.

    Attributes
    ----------
    inputs
        How many inputs may still be sent.
    until
        Monotonic time, seconds, after which nothing is sent.
    """

    inputs: int
    until: float

    def allows(self, count: int) -> bool:
        """Say whether so many more inputs may be sent."""
        return count <= self.inputs and time.monotonic() < self.until


class Experimenter:
    """Tries changes on one candidate.

    Parameters
    ----------
    moved
        What is known so far.
    originals
        What each item is asked as.
    ask
        Asks the candidate.
    budget
        Is used up.
    batch
        Inputs in one request.
    """

    def __init__(
        self,
        moved: movement.Movement,
        originals: Sequence[inputs.Input],
        ask: Ask,
        budget: Budget,
        batch: int,
    ) -> None:
        self._moved = moved
        self._originals = originals
        self._ask = ask
        self._budget = budget
        self._batch = batch
        self.broken = False

    async def alone(self) -> movement.Trial | None:
        """Ask every moved row in a request of its own."""
        rows = np.flatnonzero(self._moved.moved & self._moved.paired)[:_MOST_ALONE]
        return await self._put(rows, [self._originals[row] for row in rows], batch=1)

    async def change(self, change: Change) -> movement.Trial | None:
        """Ask changed rows; a few of them first, and the others where those pass.

        Parameters
        ----------
        change
            What to send.

        Returns
        -------
        None when the change cannot explain the movement (it leaves a moved row as it is), or when the budget
        or the server did not allow the trial.
        """
        moved = np.flatnonzero(self._moved.moved & self._moved.paired)
        if not moved.size or not change.rows[moved].all():
            return None
        step = max(1, len(moved) // _SAMPLE)
        trial = await self._try(change, moved[::step][:_SAMPLE])
        if trial is None or not trial.passed:
            return trial
        return await self._try(change, np.flatnonzero(self._moved.paired & change.rows)) or trial

    async def answers(self, asked: Sequence[inputs.Input]) -> movement.Vectors | None:
        """Ask something of which no reference exists; None when it was not answered."""
        if self.broken or not self._budget.allows(len(asked)):
            return None
        self._budget.inputs -= len(asked)
        return await self._ask(asked, self._batch)

    async def _try(self, change: Change, rows: movement.Rows) -> movement.Trial | None:
        if self.broken or not self._budget.allows(len(rows)):
            return None
        return await self._put(rows, [change.make(int(row)) for row in rows], batch=self._batch)

    async def _put(
        self, rows: movement.Rows, asked: Sequence[inputs.Input], batch: int
    ) -> movement.Trial | None:
        if self.broken or not len(rows) or not self._budget.allows(len(rows)):
            return None
        self._budget.inputs -= len(rows)
        answered = await self._ask(asked, batch)
        if answered is None:
            self.broken = True
            return None
        if answered.shape != (len(rows), self._moved.ours.shape[1]):
            return None
        made = self._moved.ours.copy()
        made[rows] = answered
        passing = self._moved.passing(made)
        wanted = self._moved.theirs[rows]
        complete = set(np.flatnonzero(self._moved.moved & self._moved.paired).tolist()) <= set(rows.tolist())
        return movement.Trial(
            asked=len(rows),
            complete=complete,
            passed=bool(passing[self._moved.paired].all() if complete else passing[rows].all()),
            before=float(np.median(self._moved.own[rows])),
            after=float(np.median(distance.cosine(answered, wanted))),
            share=float(passing[rows].mean()),
        )
