"""Two recordings, judged by the engine that judges servers: one of them answers as if it were a server."""

import datetime
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import numpy as np

import canary_checks
from canary_checks import failure, inputs, operation, request, schema
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection
from canary_checks.parity import comparison, reference
from canary_checks.probes import embedding_parity, finding, merging

_NOWHERE: Final = "http://recorded.invalid"


class Replay:
    """Answers from a recording, as an `EmbeddingClient`.

    A recording knows each item once: asked again, or about anything else, it declines, so that nobody takes
    its memory for a repeatable server.

    Parameters
    ----------
    recording
        Row i is item i of `golden`.
    golden
        Its items.
    """

    def __init__(self, recording: reference.Recording, golden: selection.Selection) -> None:
        self.sent = 0
        self.failed = 0
        self.retried = 0
        self._recording = recording
        self._left: dict[inputs.Input, list[int]] = {}
        for row, item in enumerate(golden.items):
            self._left.setdefault(golden.input(item), []).append(row)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def warm_up(self, asked: Sequence[inputs.Input]) -> None:
        """A recording has nothing to load."""

    async def model(self) -> str | None:
        """A recording has no name of its own."""
        return None

    async def embed(self, asked: Sequence[inputs.Input]) -> clients.Answer:
        """Return the recorded rows of some items; see `clients.EmbeddingClient.embed`."""
        left = [self._left.get(one) for one in asked]
        if any(not rows for rows in left):
            raise failure.CheckError("NotRecorded", "a recording answers each of its items once")
        rows = [rows.pop(0) for rows in left if rows]
        if any(self._recording.refused[row] for row in rows):
            for one, row in zip(asked, rows, strict=True):
                # It will be asked about again, one by one.
                if len(asked) > 1:
                    self._left[one].insert(0, row)
            raise clients.Refused("RequestRefused", "the server refused an item when it was recorded")
        return clients.Answer(
            model=None,
            indices=tuple(range(len(rows))),
            vectors=tuple(self._recording.outputs[row] for row in rows),
        )

    async def tokenize(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:  # noqa: ARG002
        """A recording tokenizes nothing new."""
        return None

    async def describe(self) -> clients.Description:
        """A recording describes itself in its header."""
        return {}


async def diff(
    candidate: reference.Reference,
    against: reference.Reference,
    pack: golden_pack.Pack,
    *,
    common_items: bool = False,
) -> schema.CheckResult:
    """Judge one reference against another one.

    Parameters
    ----------
    candidate, against
        The references; every operation of the candidate is judged.
    pack
        The set that both were recorded with.
    common_items
        As of `reference.usable`.

    Returns
    -------
    A result like that of an embedding parity check.

    Raises
    ------
    CheckError
        ``ReferenceMismatch`` or ``ReferenceNotRepeatable``.
    """
    started = datetime.datetime.now(datetime.UTC)
    operations = tuple(_operation(name, candidate, pack) for name in candidate.header.operations)
    asked = _request(candidate, pack, operations)
    found: dict[str, finding.Finding] = {}
    remarks: dict[str, None] = {}
    for one in operations:
        own = reference.usable(
            candidate,
            one.name,
            selection.select(pack, one.modality),
            numeric_class=candidate.header.numeric_class,
            common_items=common_items,
        )
        other = reference.usable(
            against,
            one.name,
            own.golden,
            numeric_class=candidate.header.numeric_class,
            embedding_space=candidate.header.embedding_space,
            accelerator=candidate.header.accelerator,
            common_items=common_items,
        )
        rows = np.array([own.golden.rows[name] for name in other.golden.ids], dtype=np.intp)
        remarks |= dict.fromkeys(remark for remark in (own.remark, other.remark) if remark is not None)
        opponent = comparison.Opponent(
            party=_party(against, v.Role.RECORDED),
            role="Recorded",
            numeric_class=other.numeric_class,
            recorded=other.recording,
        )
        replayed = Replay(own.recording.take(rows), other.golden)
        found[one.name] = await embedding_parity.probe(replayed, asked, other.golden, [opponent])
    return _result(asked, merging.merge(found), candidate, pack, started=started, remarks=tuple(remarks))


def _operation(name: str, recorded: reference.Reference, pack: golden_pack.Pack) -> operation.Operation:
    """Return an operation whose modality is that of its items; its protocol does not matter any more."""
    item = next((pack.by_id[i] for i in recorded.header.operations[name].items if i in pack.by_id), None)
    modality = item.modality if item is not None else v.Modality.TEXT
    return operation.Operation(name=name, protocol=v.Protocol.OPENAI_EMBEDDINGS, modality=modality)


def _request(
    recorded: reference.Reference, pack: golden_pack.Pack, operations: tuple[operation.Operation, ...]
) -> request.CheckRequest:
    return request.CheckRequest(
        schema_version=v.SCHEMA,
        check=request.CheckIdentity(
            name="diff", kind=v.CheckKind.EMBEDDING_PARITY, config_digest=recorded.digest
        ),
        run="local",
        attempt=1,
        nonce=secrets.token_urlsafe(16),
        pod=request.PodIdentity(name="recorded", uid="recorded"),
        url=_NOWHERE,
        operations=operations,
        subject=request.Subject(revision=recorded.header.revision),
        numeric_class=recorded.header.numeric_class,
        # The set is at hand already; a request has to name some place.
        golden_set=request.GoldenSet(path="/recorded", digest=pack.digest),
        deadline_seconds=3600,
    )


def _party(recorded: reference.Reference, role: v.Role) -> schema.Party:
    header = recorded.header
    return schema.Party(
        role=role,
        revision=header.revision,
        digest=recorded.digest,
        recorded_time=header.recorded_time,
        numeric_class=header.numeric_class,
    )


def _result(
    asked: request.CheckRequest,
    found: finding.Finding,
    candidate: reference.Reference,
    pack: golden_pack.Pack,
    *,
    started: datetime.datetime,
    remarks: tuple[str, ...],
) -> schema.CheckResult:
    return schema.CheckResult(
        schema_version=v.SCHEMA,
        check=schema.CheckName(
            name=asked.check.name, kind=asked.check.kind, config_digest=asked.check.config_digest
        ),
        run=asked.run,
        attempt=asked.attempt,
        nonce=asked.nonce,
        pod_uid=asked.pod.uid,
        shard=0,
        subject=_party(candidate, v.Role.CANDIDATE),
        references=found.references,
        golden_set=schema.GoldenSetUsed(
            name=pack.name,
            version=pack.version,
            digest=pack.digest,
            items=len(pack.items),
            used=found.items_used,
        ),
        verdict=found.verdict,
        reason=found.reason,
        message=v.sentence("; ".join((found.message, *remarks))),
        gates=found.gates,
        measurements=found.measurements,
        strata=found.strata,
        worst=found.worst,
        diagnosis=found.diagnosis,
        series=found.series,
        requests=schema.Requests(sent=0, failed=0, retried=0),
        timings=schema.Timings(start_time=started, completion_time=datetime.datetime.now(datetime.UTC)),
        versions=schema.Versions(checks=canary_checks.__version__),
    )
