"""From a request to a result: choose the probe, bound it in time, bind what it found to the question."""

import asyncio
import base64
import dataclasses
import datetime
import itertools
import platform
from collections.abc import Sequence

import canary_checks
from canary_checks import failure, request, result, schema
from canary_checks import operation as operations
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.clients import connect, generation
from canary_checks.evidence import keeping
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection, store
from canary_checks.parity import comparison, gates, recording, reference
from canary_checks.probes import (
    against,
    contract,
    cross_modal,
    embedding_parity,
    finding,
    generation_contract,
    merging,
    performance,
    repeatability,
    retrieval,
    statements,
    telling,
)
from canary_checks.probes import live as live_reference
from canary_checks.trace import client as tracing


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A result and the evidence behind it; `exit_code` is 2 for a bad request and else 0."""

    result: schema.CheckResult
    evidence: str
    exit_code: int
    content: keeping.Content
    """What there is beyond that, for a volume."""


@dataclasses.dataclass
class Progress:
    """How far a check got; what is here survives an interruption."""

    golden: golden_pack.Pack | None = None
    used: int = 0
    asked: list[clients.EmbeddingClient | tracing.TraceClient | generation.ImageClient] = dataclasses.field(
        default_factory=list
    )
    recordings: dict[str, reference.Recording] = dataclasses.field(default_factory=dict)

    def connect(
        self,
        operation: operations.Operation,
        asked: request.CheckRequest,
        url: str,
        max_requests_per_second: int | None,
    ) -> clients.EmbeddingClient:
        """Make a client whose requests are counted."""
        client = connect.connect(
            operation, url=url, run=asked.run, max_requests_per_second=max_requests_per_second
        )
        self.asked.append(client)
        return client

    def count(self, probe: tracing.TraceClient | None) -> None:
        """Count the requests of a probe endpoint's client too."""
        if probe is not None:
            self.asked.append(probe)

    @property
    def requests(self) -> schema.Requests:
        return schema.Requests(
            sent=sum(one.sent for one in self.asked),
            failed=sum(one.failed for one in self.asked),
            retried=sum(one.retried for one in self.asked),
        )


async def run(
    asked: request.CheckRequest,
    known: Sequence[comparison.Known] | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Answer a request, whatever happens.

    Parameters
    ----------
    asked
        What to probe.
    known
        References that are at hand already (the command line); None reads those of the request.
    progress
        Filled in as the check gets on, for whoever shows it meanwhile.

    Returns
    -------
    A result in any case: what breaks becomes `Error` with a reason, and a cancellation
    `Error/DeadlineExceeded`.
    """
    started = datetime.datetime.now(datetime.UTC)
    progress = progress or Progress()
    try:
        async with asyncio.timeout(asked.deadline_seconds):
            found = await _probe(asked, progress, known)
    except failure.CheckError as error:
        found = _unjudged(error.verdict, error.reason, error.message)
    except (TimeoutError, asyncio.CancelledError):
        found = _unjudged(
            v.Verdict.ERROR,
            "DeadlineExceeded",
            f"the check was ended before it was done, after {progress.requests.sent} requests; its deadline"
            f" is {asked.deadline_seconds} s",
        )
    except Exception as error:  # noqa: BLE001 - a verdict must come out, never a traceback
        found = _unjudged(v.Verdict.ERROR, "InternalError", f"{type(error).__name__}: {error}")
    return _bind(asked, progress, found, started)


async def _probe(
    asked: request.CheckRequest, progress: Progress, known: Sequence[comparison.Known] | None
) -> finding.Finding:
    """Probe every operation of the request, one after the other."""
    progress.golden = store.load(asked.golden_set)
    if asked.check.kind is v.CheckKind.RETRIEVAL:
        given = comparison.load(asked) if known is None else known
        # Of one space: all its operations together are one judgement.
        return await retrieval.probe(
            asked,
            progress.golden,
            given,
            lambda operation, url, rate: progress.connect(operation, asked, url, rate),
        )
    if asked.check.kind is v.CheckKind.PERFORMANCE:
        return await performance.probe(asked, progress.golden, progress.asked.append)
    if asked.check.kind is v.CheckKind.FIDELITY:
        # OCR's and Pillow's modules are loaded by those who need them.
        from canary_checks.probes import fidelity  # noqa: PLC0415

        return await fidelity.probe(asked, progress.golden, progress.asked.append)
    if asked.check.kind is v.CheckKind.INTERNALS:
        # numpy's and Pillow's modules too; torch only where the model is run.
        from canary_checks.probes import internals  # noqa: PLC0415

        return await internals.probe(asked, progress.golden)
    found = {}
    if asked.check.kind is v.CheckKind.CONTRACT and any(one.draws for one in asked.operations):
        told = await generation_contract.probe(asked, progress.golden, progress.count)
        if all(one.draws for one in asked.operations):
            return told
        # Of the process as a whole, whichever of its operations draw.
        found["generation"] = told
        asked = asked.model_copy(
            update={"operations": tuple(one for one in asked.operations if not one.draws), "references": ()}
        )
    for operation in asked.operations:
        golden = selection.select(progress.golden, operation.modality, shard=asked.shard, shards=asked.shards)
        if not golden.items:
            raise failure.CheckError(
                "GoldenSetUnfit",
                f"the golden set {progress.golden.name} has no item of modality {operation.modality}, which"
                f" the operation {operation.name} needs",
            )
        client = progress.connect(operation, asked, asked.url, asked.max_requests_per_second)
        async with client:
            made = await _probe_one(client, asked, operation, golden, known=known, progress=progress)
        found[operation.name] = made
        if made.recorded is not None:
            progress.recordings[operation.name] = made.recorded
    merged = merging.merge(found)
    across = cross_modal.measure(asked.operations, found)
    return dataclasses.replace(merged, measurements=(*merged.measurements, *across))


async def _probe_one(
    client: clients.EmbeddingClient,
    asked: request.CheckRequest,
    operation: operations.Operation,
    golden: selection.Selection,
    *,
    known: Sequence[comparison.Known] | None,
    progress: Progress,
) -> finding.Finding:
    if asked.check.kind is v.CheckKind.CONTRACT:
        given = comparison.load(asked) if known is None else known
        recorded = against.recordings(asked, operation.name, golden, given)
        async with telling.connected(asked.probe, asked.run) as probe:
            progress.count(probe)
            context = statements.context(asked, recorded, probe)
            return await contract.probe(client, asked, golden, context)
    if asked.check.kind is v.CheckKind.REPEATABILITY:
        return await repeatability.probe(client, asked, golden)

    async def live(source: request.LiveSource) -> comparison.Opponent:
        gentle = progress.connect(operation, asked, source.url, source.max_requests_per_second)
        async with gentle:
            return await live_reference.opponent(gentle, source, golden)

    given = comparison.load(asked) if known is None else known
    chosen = await against.choose(asked, operation.name, golden, given, live)
    async with telling.connected(asked.probe, asked.run) as probe:
        progress.count(probe)
        found = await embedding_parity.probe(client, asked, golden, chosen.opponents, probe)
    message = v.sentence("; ".join((found.message, *chosen.remarks)))
    return dataclasses.replace(found, message=message)


def _unjudged(verdict: v.Verdict, reason: str, message: str) -> finding.Finding:
    return finding.Finding(
        verdict=verdict, reason=reason, message=v.sentence(message), gates=(), items_used=0
    )


def _bind(
    asked: request.CheckRequest, progress: Progress, found: finding.Finding, started: datetime.datetime
) -> Outcome:
    golden = progress.golden
    # The order of severity, kept otherwise: what has to be left out passed.
    sorted_gates = tuple(sorted(found.gates, key=lambda gate: gates.PRECEDENCE.index(gate.verdict)))
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
        )
        if golden is not None
        else None,
        verdict=found.verdict,
        reason=found.reason,
        message=found.message,
        gates=sorted_gates[: schema.MOST_GATES],
        gates_omitted=max(0, len(found.gates) - schema.MOST_GATES),
        measurements=found.measurements[: schema.MOST_ROWS],
        strata=found.strata[: schema.MOST_ROWS],
        worst=found.worst[: schema.MOST_WORST],
        pictures=found.pictures[: schema.MOST_PICTURES],
        diagnosis=found.diagnosis,
        series={
            name: values[: schema.MOST_POINTS]
            for name, values in itertools.islice(found.series.items(), schema.MOST_SERIES)
        },
        requests=progress.requests,
        timings=schema.Timings(
            start_time=started,
            completion_time=datetime.datetime.now(datetime.UTC),
            phases_milliseconds=found.phases,
        ),
        versions=schema.Versions(checks=canary_checks.__version__, python=platform.python_version()),
    )
    # A recording is whole or it is no reference.
    whole = golden is not None and len(progress.recordings) == len(asked.operations)
    recorded = _recorded(asked, golden, progress.recordings) if golden is not None and whole else None
    evidence, truncated = _evidence(full, found.payload or recorded)
    content = evidence.encode()
    summary = schema.EvidenceSummary(
        digest=result.digest(content), size_bytes=len(content), truncated=truncated
    )
    return Outcome(
        result=full.model_copy(update={"evidence": summary}),
        evidence=evidence,
        exit_code=2 if found.reason == "InvalidRequest" else 0,
        content=keeping.Content(full, found, found.payload or recorded),
    )


def _recorded(
    asked: request.CheckRequest, golden: golden_pack.Pack, recordings: dict[str, reference.Recording]
) -> bytes:
    return reference.new(
        golden,
        recordings,
        revision=asked.subject.revision,
        numeric_class=asked.numeric_class,
        provenance=recording.Provenance(embedding_space=asked.embedding_space, recorded_by=asked.run),
    )


def _evidence(full: schema.CheckResult, recorded: bytes | None) -> tuple[str, bool]:
    """Write the evidence; what does not fit is left out, plots before the recording."""
    payload = None
    # Too large a recording is left out without being built: base64 alone would pass the limit of the model.
    if recorded is not None and len(recorded) * 4 // 3 < result.EVIDENCE_LIMIT_BYTES:
        payload = result.ReferencePayload(
            digest=result.digest(recorded), safetensors=base64.b64encode(recorded).decode()
        )
    lost = recorded is not None and payload is None
    bare = full.model_copy(update={"series": {}, "pictures": ()})
    plain = len(result.dump(full).encode()) > result.EXPLANATION_LIMIT_BYTES
    for kept, attached, truncated in (
        (bare if plain else full, payload, lost or plain),
        (bare, payload, True),
        (bare, None, True),
    ):
        text = result.dump(result.Evidence(result=kept, reference=attached))
        if len(text.encode()) <= result.EVIDENCE_LIMIT_BYTES:
            return text, truncated
    raise AssertionError("the bounds of a result are far below those of the evidence")
