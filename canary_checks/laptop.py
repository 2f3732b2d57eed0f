"""The checks without a cluster: against a URL, with a recorded reference or a second URL."""

import asyncio
import dataclasses
import pathlib
import secrets
from collections.abc import Sequence
from typing import Final

from canary_checks import failure, operation, request, result, runner, schema
from canary_checks import vocabulary as v
from canary_checks.parity import comparison, reference

CHECKS: Final[dict[str, request.ProbeKind]] = {
    "contract": v.CheckKind.CONTRACT,
    "repeatability": v.CheckKind.REPEATABILITY,
    "parity": v.CheckKind.EMBEDDING_PARITY,
}
_NO_DIGEST: Final = "sha256:" + "0" * 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What a person asked for on the command line."""

    url: str
    path: str
    model: str
    checks: tuple[str, ...]
    numeric_class: v.NumericClass
    contract: request.Contract
    deadline_seconds: int
    reference: pathlib.Path | None = None
    reference_url: str | None = None
    record: pathlib.Path | None = None


def run(task: Task) -> list[schema.CheckResult]:
    """Run the checks of a task, one after the other.

    Parameters
    ----------
    task
        What to probe; a recording is written where it says.

    Returns
    -------
    One result for each check, in the order that was asked for.

    Raises
    ------
    CheckError
        The reference cannot be read, or the reference URL gives none.
    OSError
        The recording cannot be written.
    pydantic.ValidationError
        An argument has no valid form.
    """
    return asyncio.run(_run(task))


async def _run(task: Task) -> list[schema.CheckResult]:
    known = await _known(task)
    results = []
    for check in task.checks:
        asked = _request(task, task.url, check, record=task.record is not None and check == "parity")
        outcome = await runner.run(asked, known)
        recorded = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
        if task.record is not None and recorded is not None and recorded.reference is not None:
            task.record.write_bytes(recorded.reference.content())
        results.append(outcome.result)
    return results


async def _known(task: Task) -> Sequence[comparison.Known]:
    """Read the reference from its file, or record it from its URL."""
    if task.reference is not None:
        recorded = reference.load(str(task.reference), None)
    elif task.reference_url is not None:
        outcome = await runner.run(_request(task, task.reference_url, "parity", record=True), ())
        evidence = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
        if evidence is None or evidence.reference is None:
            raise failure.CheckError(
                "ReferenceMissing", f"{task.reference_url} gives no reference: {outcome.result.message}"
            )
        recorded = reference.decode(evidence.reference.content())
    else:
        return ()
    header = recorded.header
    return (comparison.Known(v.Role.RECORDED, header.revision, header.numeric_class, recorded),)


def _request(task: Task, url: str, check: str, *, record: bool) -> request.CheckRequest:
    return request.CheckRequest(
        schema_version=v.SCHEMA,
        check=request.CheckIdentity(name=check, kind=CHECKS[check], config_digest=_NO_DIGEST),
        run="laptop",
        attempt=1,
        nonce=secrets.token_urlsafe(16),
        pod=request.PodIdentity(name="none", uid="none"),
        url=url,
        operations=(
            operation.Operation(
                name="embeddings",
                protocol=v.Protocol.OPENAI_EMBEDDINGS,
                path=task.path,
                model=task.model,
            ),
        ),
        subject=request.Subject(revision="laptop"),
        numeric_class=task.numeric_class,
        golden_set=request.GoldenSet(builtin="TextV1"),
        contract=task.contract,
        record=record,
        deadline_seconds=task.deadline_seconds,
    )
