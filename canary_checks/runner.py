"""From a request to a result: choose the probe, bound it in time, bind what it found to the question."""

import asyncio
import base64
import dataclasses
import datetime
import platform
from collections.abc import Sequence

import canary_checks
from canary_checks import failure, request, result, schema
from canary_checks import vocabulary as v
from canary_checks.clients import openai_embeddings
from canary_checks.golden import pack as golden_pack
from canary_checks.parity import comparison
from canary_checks.probes import contract, embedding_parity, finding, repeatability


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A result and the evidence behind it; `exit_code` is 2 for a bad request and else 0."""

    result: schema.CheckResult
    evidence: str
    exit_code: int


async def run(asked: request.CheckRequest, against: Sequence[comparison.Opponent] | None = None) -> Outcome:
    """Answer a request, whatever happens.

    Parameters
    ----------
    asked
        What to probe.
    against
        References that are at hand already (the command line); None reads those of the request.

    Returns
    -------
    A result in any case: what breaks becomes `Error` with a reason, and a cancellation
    `Error/DeadlineExceeded`.
    """
    started = datetime.datetime.now(datetime.UTC)
    golden = golden_pack.builtin(asked.golden_set.builtin)
    client = openai_embeddings.OpenAIEmbeddings(
        endpoint=asked.endpoint(),
        model=asked.operation.model,
        run=asked.run,
        max_requests_per_second=asked.max_requests_per_second,
    )
    try:
        async with client, asyncio.timeout(asked.deadline_seconds):
            found = await _probe(client, asked, golden, against)
    except failure.CheckError as error:
        found = _unjudged(error.verdict, error.reason, error.message)
    except (TimeoutError, asyncio.CancelledError):
        found = _unjudged(
            v.Verdict.ERROR,
            "DeadlineExceeded",
            f"the check was ended before it was done, after {client.sent} requests; its deadline is"
            f" {asked.deadline_seconds} s",
        )
    except Exception as error:  # noqa: BLE001 - a verdict must come out, never a traceback
        found = _unjudged(v.Verdict.ERROR, "InternalError", f"{type(error).__name__}: {error}")
    return _bind(asked, golden, client, found, started)


async def _probe(
    client: openai_embeddings.OpenAIEmbeddings,
    asked: request.CheckRequest,
    golden: golden_pack.Pack,
    against: Sequence[comparison.Opponent] | None,
) -> finding.Finding:
    if asked.check.kind is v.CheckKind.CONTRACT:
        return await contract.probe(client, asked, golden)
    if asked.check.kind is v.CheckKind.REPEATABILITY:
        return await repeatability.probe(client, asked, golden)
    references = comparison.opponents(asked, golden) if against is None else against
    return await embedding_parity.probe(client, asked, golden, references)


def _unjudged(verdict: v.Verdict, reason: str, message: str) -> finding.Finding:
    return finding.Finding(
        verdict=verdict, reason=reason, message=v.sentence(message), gates=(), items_used=0
    )


def _bind(
    asked: request.CheckRequest,
    golden: golden_pack.Pack,
    client: openai_embeddings.OpenAIEmbeddings,
    found: finding.Finding,
    started: datetime.datetime,
) -> Outcome:
    full = schema.CheckResult(
        schema_version=v.SCHEMA,
        check=schema.CheckName(
            name=asked.check.name, kind=asked.check.kind, config_digest=asked.check.config_digest
        ),
        run=asked.run,
        attempt=asked.attempt,
        nonce=asked.nonce,
        pod_uid=asked.pod.uid,
        shard=asked.shard,
        subject=schema.Party(
            role=v.Role.CANDIDATE,
            revision=asked.subject.revision,
            numeric_class=asked.numeric_class,
            pods=(v.sentence(asked.pod.name, 128),),
        ),
        references=found.references,
        golden_set=schema.GoldenSetUsed(
            name=golden.name,
            version=golden.version,
            digest=golden.digest,
            items=len(golden.items),
            used=found.items_used,
        ),
        verdict=found.verdict,
        reason=found.reason,
        message=found.message,
        gates=found.gates,
        measurements=found.measurements,
        strata=found.strata,
        worst=found.worst,
        diagnosis=found.diagnosis,
        series=found.series,
        requests=schema.Requests(sent=client.sent, failed=client.failed, retried=client.retried),
        timings=schema.Timings(
            start_time=started,
            completion_time=datetime.datetime.now(datetime.UTC),
        ),
        versions=schema.Versions(checks=canary_checks.__version__, python=platform.python_version()),
    )
    evidence, truncated = _evidence(full, found.recorded)
    content = evidence.encode()
    summary = schema.EvidenceSummary(
        digest=result.digest(content), size_bytes=len(content), truncated=truncated
    )
    return Outcome(
        result=full.model_copy(update={"evidence": summary}),
        evidence=evidence,
        exit_code=2 if found.reason == "InvalidRequest" else 0,
    )


def _evidence(full: schema.CheckResult, recorded: tuple[bytes, int, int] | None) -> tuple[str, bool]:
    """Write the evidence; what does not fit into 1 MiB is left out, plots before the recording."""
    payload = None
    if recorded is not None:
        content, items, dimensions = recorded
        # Too large a recording is left out without being built: base64 alone would pass the limit of the
        # model.
        if len(content) * 4 // 3 < result.EVIDENCE_LIMIT_BYTES:
            payload = result.ReferencePayload(
                digest=result.digest(content),
                items=items,
                dimensions=dimensions,
                safetensors=base64.b64encode(content).decode(),
            )
    lost = recorded is not None and payload is None
    bare = full.model_copy(update={"series": {}})
    for kept, reference, truncated in (
        (full, payload, lost),
        (bare, payload, True),
        (bare, None, True),
    ):
        text = result.dump(result.Evidence(result=kept, reference=reference))
        if len(text.encode()) <= result.EVIDENCE_LIMIT_BYTES:
            return text, truncated
    raise AssertionError("the bounds of a result are far below 1 MiB")
