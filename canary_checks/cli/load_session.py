"""A load against servers: as long as it takes, whatever the deadline."""

import asyncio
import dataclasses
from typing import Final

from canary_checks import schema
from canary_checks.cli import measuring, task
from canary_checks.performance import recorded, replay

_ROOM_SECONDS: Final = 60
_LONGEST_SECONDS: Final = 86_400


def run(asked: task.Task) -> list[schema.CheckResult]:
    """Run the load of a task against its candidates.

    Parameters
    ----------
    asked
        With `performance`.

    Returns
    -------
    One result for each candidate.

    Raises
    ------
    UsageError
        The record cannot be written.
    CheckError
        The reference is no record of performance.
    """
    return asyncio.run(measuring.measure(_lasting(asked), asked.checks[0], recorded.load))


def _lasting(asked: task.Task) -> task.Task:
    """Give a load at least the time that it takes."""
    load = asked.performance or replay.Performance()
    longest = max(load.duration_seconds, replay.SOAK_SECONDS if load.soak is not None else 0)
    each = load.warmup_seconds + longest + load.request_timeout_seconds
    needed = min(len(asked.operations) * each + _ROOM_SECONDS, _LONGEST_SECONDS)
    return dataclasses.replace(asked, deadline_seconds=max(asked.deadline_seconds, needed))
