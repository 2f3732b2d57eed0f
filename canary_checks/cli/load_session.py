"""A load against servers: the record it is compared with is read, and the one that it leaves is kept."""

import asyncio
import dataclasses
import pathlib
import sys
from typing import Final

from canary_checks import request, result, runner, schema
from canary_checks import vocabulary as v
from canary_checks.cli import exits, progress, task
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
    return asyncio.run(_run(_lasting(asked)))


def _lasting(asked: task.Task) -> task.Task:
    """Give a load at least the time that it takes."""
    load = asked.performance or replay.Performance()
    longest = max(load.duration_seconds, replay.SOAK_SECONDS if load.soak is not None else 0)
    each = load.warmup_seconds + longest + load.request_timeout_seconds
    needed = min(len(asked.operations) * each + _ROOM_SECONDS, _LONGEST_SECONDS)
    return dataclasses.replace(asked, deadline_seconds=max(asked.deadline_seconds, needed))


async def _run(asked: task.Task) -> list[schema.CheckResult]:
    references = () if asked.reference is None else (_reference(asked, asked.reference),)
    results = []
    with progress.Bars() as bars:
        for candidate in asked.candidates:
            prepared = asked.request(
                candidate,
                asked.checks[0],
                gates=asked.gates,
                record=asked.record is not None,
                references=references,
            )
            outcome = await bars.follow(f"{candidate.name}: {asked.checks[0]}", prepared, ())
            results.append(outcome.result)
            if asked.record is not None:
                keep(outcome, asked.record, candidate.name)
    return results


def _reference(asked: task.Task, path: pathlib.Path) -> request.ReferenceSource:
    record = recorded.load(str(path), None)
    return request.ReferenceSource(
        role=v.Role.RECORDED,
        revision=record.header.revision,
        path=str(path.resolve()),
        digest=record.digest,
        numeric_class=asked.numeric_class,
    )


def keep(outcome: runner.Outcome, to: pathlib.Path, name: str) -> None:
    """Write what was measured where it is wanted."""
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
    if evidence is None or evidence.reference is None:
        sys.stderr.write(f"nothing was recorded: {outcome.result.reason}\n")
        return
    file = to if to.suffix == ".safetensors" else to / f"{name}.safetensors"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(evidence.reference.content())
    except OSError as error:
        raise exits.UsageError(f"--record: {file}: {error.strerror}") from error
