"""Checks that measure: the record they compare with is read, and the one that they leave is kept."""

import pathlib
import sys
from collections.abc import Callable
from typing import Protocol

from canary_checks import request, result, runner, schema
from canary_checks import vocabulary as v
from canary_checks.cli import exits, progress, task


class _Header(Protocol):
    @property
    def revision(self) -> str: ...


class Record(Protocol):
    """What a record of any kind tells of itself."""

    @property
    def header(self) -> _Header:
        """Where it comes from."""
        ...

    @property
    def digest(self) -> str:
        """Of its file."""
        ...


async def measure(
    asked: task.Task,
    check: task.Check,
    load: Callable[[str, str | None], Record],
    *,
    live: request.LiveSource | None = None,
    rate: int | None = None,
) -> list[schema.CheckResult]:
    """Run one check of every candidate, one after the other.

    Parameters
    ----------
    asked
        Names the candidates, the record to compare with, and where to leave one.
    check
        Which.
    load
        Reads a record of this check from a path and proves its digest, where one is given.
    live
        Stable, where the check may ask it.
    rate
        Most requests per second, or None.

    Raises
    ------
    UsageError
        The record cannot be written.
    CheckError
        The reference is no record of this check.
    """
    references = () if asked.reference is None else (_reference(asked, load, asked.reference),)
    results = []
    with progress.Bars() as bars:
        for candidate in asked.candidates:
            prepared = asked.request(
                candidate,
                check,
                gates=asked.gates,
                record=asked.record is not None,
                rate=rate,
                live=live,
                references=references,
            )
            outcome = await bars.follow(f"{candidate.name}: {check}", prepared, ())
            results.append(outcome.result)
            if asked.record is not None:
                _keep(outcome, asked.record, candidate.name)
    return results


def _reference(
    asked: task.Task, load: Callable[[str, str | None], Record], path: pathlib.Path
) -> request.ReferenceSource:
    record = load(str(path), None)
    return request.ReferenceSource(
        role=v.Role.RECORDED,
        revision=record.header.revision,
        path=str(path.resolve()),
        digest=record.digest,
        numeric_class=asked.numeric_class,
    )


def _keep(outcome: runner.Outcome, to: pathlib.Path, name: str) -> None:
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
