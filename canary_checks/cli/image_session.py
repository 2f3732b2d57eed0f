"""An image generator against stable: what was recorded of it, or itself, drawing the same prompts now."""

import asyncio
import pathlib

from canary_checks import request, schema
from canary_checks import vocabulary as v
from canary_checks.cli import exits, load_session, progress, task
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
    return asyncio.run(_run(asked, live))


async def _run(asked: task.Task, live: request.LiveSource | None) -> list[schema.CheckResult]:
    references = () if asked.reference is None else (_reference(asked, asked.reference),)
    results = []
    with progress.Bars() as bars:
        for candidate in asked.candidates:
            prepared = asked.request(
                candidate,
                task.Check.FIDELITY,
                gates=asked.gates,
                record=asked.record is not None,
                rate=asked.rate,
                live=live,
                references=references,
            )
            outcome = await bars.follow(f"{candidate.name}: fidelity", prepared, ())
            results.append(outcome.result)
            if asked.record is not None:
                load_session.keep(outcome, asked.record, candidate.name)
    return results


def _reference(asked: task.Task, path: pathlib.Path) -> request.ReferenceSource:
    recorded = recording.load(str(path), None)
    return request.ReferenceSource(
        role=v.Role.RECORDED,
        revision=recorded.header.revision,
        path=str(path.resolve()),
        digest=recorded.digest,
        numeric_class=asked.numeric_class,
    )
