"""An image generator against stable: what was recorded of it, or itself, drawing the same prompts now.

And what it draws with, against what was recorded of that.
"""

import asyncio

from canary_checks import request, schema
from canary_checks.cli import exits, measuring, task
from canary_checks.contracts import generation_record
from canary_checks.fidelity import limits, recording


def run(asked: task.Task, live: request.LiveSource | None) -> list[schema.CheckResult]:
    """Run the fidelity check of every candidate.

    Parameters
    ----------
    asked
        With that check alone.
    live
        Stable, or None.

    Raises
    ------
    UsageError
        The record cannot be written, or a gate is none of this check.
    CheckError
        The reference is no record of outcomes.
    """
    for gate in asked.gates:
        if gate.metric not in limits.ADJUSTABLE:
            raise exits.UsageError(
                f"--gate: fidelity has no limit on {gate.metric} to replace, only on"
                f" {', '.join(sorted(limits.ADJUSTABLE))}"
            )
    return asyncio.run(
        measuring.measure(asked, task.Check.FIDELITY, recording.load, live=live, rate=asked.rate)
    )


def told(asked: task.Task) -> list[schema.CheckResult]:
    """Ask every candidate what it draws with.

    Parameters
    ----------
    asked
        With the contract alone, of operations that draw.

    Raises
    ------
    UsageError
        The record cannot be written, or a gate is given: all of this check are exact.
    CheckError
        The reference is no record of a generator.
    """
    if asked.gates:
        raise exits.UsageError("--gate: the contract of what draws is exact, and has no limit to replace")
    return asyncio.run(measuring.measure(asked, task.Check.CONTRACT, generation_record.load, rate=asked.rate))
