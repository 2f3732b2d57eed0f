"""Recorded performance: what one revision did under one load, as a safetensors file with its story.

For each operation it holds ``latency/<operation>`` ``[n]`` float32, seconds in the order of time. Another
load, mix or machine makes other numbers: a record of those is refused, never adjusted.
"""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
import pydantic

from canary_checks import failure, records, result
from canary_checks import vocabulary as v
from canary_checks.golden import pack as golden_pack
from canary_checks.performance import intervals, replay

SCHEMA: Literal["performance.modelrelease.dev/record/v1"] = "performance.modelrelease.dev/record/v1"
LIMIT_BYTES: Final = 4 << 20
MOST_LATENCIES: Final = 20_000

Amount = Annotated[float, pydantic.Field(ge=0)]


class RecordedSet(v.Model):
    """The golden set whose items were sent."""

    name: v.Short
    version: v.Short
    digest: v.Digest


class RecordedOperation(v.Model):
    """What the header says of one operation, beside its latencies."""

    mix: v.Digest
    """Of the inputs and how they were mixed."""
    golden_set: RecordedSet | None = None
    """None in what an older version recorded."""
    bins: Annotated[tuple[replay.Bin, ...], pydantic.Field(max_length=32)] = ()
    """The mix itself; empty for the golden set's own."""
    size_of: replay.SizeOf = replay.SizeOf.INPUT
    answered: v.Count
    errors: v.Count
    seconds: Annotated[float, pydantic.Field(gt=0)]
    completed: Annotated[
        tuple[Amount, ...], pydantic.Field(min_length=intervals.BATCHES, max_length=intervals.BATCHES)
    ]
    steps: Amount | None = None


class Header(v.Model):
    """Where a record comes from; it travels as JSON in the metadata of the file."""

    schema_version: Literal["performance.modelrelease.dev/record/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    revision: v.Revision
    recorded_time: pydantic.AwareDatetime
    arrivals: replay.Arrivals
    concurrency: Annotated[int, pydantic.Field(ge=1)]
    requests_per_second: replay.Positive | None = None
    inputs_per_request: Annotated[int, pydantic.Field(ge=1)] = 1
    hardware: replay.Hardware = replay.Hardware()
    operations: Annotated[dict[v.Name, RecordedOperation], pydantic.Field(min_length=1, max_length=8)]
    checks: v.Short | None = None


_FORMAT: Final = records.Format("record of performance", "performance", Header, frozenset({"F32"}))


@dataclasses.dataclass(frozen=True)
class Performed:
    """What one operation did.

    Attributes
    ----------
    said
        Its part of the header.
    latencies
        Shape ``[n]``, float64, seconds in the order of time; infinity for what never came.
    """

    said: RecordedOperation
    latencies: npt.NDArray[np.float64]

    @property
    def throughput(self) -> intervals.Interval:
        """Answers per second."""
        return intervals.rate(np.array(self.said.completed), self.said.seconds)


@dataclasses.dataclass(frozen=True)
class Record:
    """A recorded performance, by operation, and the digest of its file."""

    header: Header
    operations: Mapping[str, Performed]
    digest: str


def encode(header: Header, operations: Mapping[str, Performed]) -> bytes:
    """Write a record; of many latencies every n-th is kept."""
    tensors: records.Tensors = {
        f"latency/{name}": np.ascontiguousarray(
            one.latencies[:: max(1, -(-len(one.latencies) // MOST_LATENCIES))], dtype=np.float32
        )
        for name, one in operations.items()
    }
    return _FORMAT.write(header, tensors)


def new(
    asked: replay.Performance,
    operations: Mapping[str, Performed],
    *,
    revision: str,
    checks: str,
    now: datetime.datetime,
) -> bytes:
    """Write a record of what was measured just now, under the load that was asked for."""
    header = Header(
        schema_version=SCHEMA,
        revision=revision,
        recorded_time=now.replace(microsecond=0),
        arrivals=asked.arrivals,
        concurrency=asked.concurrency,
        requests_per_second=asked.requests_per_second,
        inputs_per_request=asked.inputs_per_request,
        hardware=asked.hardware,
        operations={name: one.said for name, one in operations.items()},
        checks=checks,
    )
    return encode(header, operations)


def load(path: str, expected_digest: str | None) -> Record:
    """Read a record from a file.

    Raises
    ------
    CheckError
        ``ReferenceMissing``, ``ReferenceMismatch`` (another digest) or ``ReferenceUnreadable``.
    """
    return decode(_FORMAT.content(path, expected_digest, LIMIT_BYTES))


def decode(content: bytes) -> Record:
    """Read a record.

    Raises
    ------
    CheckError
        ``ReferenceUnreadable``, with what is wrong; a reference of outputs is no record.
    """
    header, operations = _FORMAT.decode(content, _operations, LIMIT_BYTES)
    return Record(header, operations, result.digest(content))


def _operations(header: Header, tensors: records.Tensors) -> Mapping[str, Performed]:
    return {name: _performed(name, said, tensors) for name, said in header.operations.items()}


def _performed(name: str, said: RecordedOperation, tensors: records.Tensors) -> Performed:
    latencies = tensors.pop(f"latency/{name}").astype(np.float64)
    if latencies.ndim != 1 or not latencies.size or not (latencies > 0).all():
        raise ValueError(f"the latencies of {name} are no positive numbers")
    return Performed(said, latencies)


def outdated(record: Record, operation: str, golden: golden_pack.Pack) -> str:
    """Say why a record cannot be compared with although nothing is wrong with it; empty where it can be.

    Parameters
    ----------
    record
        Of stable.
    operation
        Its name.
    golden
        What is sent now.
    """
    found = record.operations.get(operation)
    sent = found.said.golden_set if found is not None else None
    if sent is None or sent.digest == golden.digest:
        return ""
    return (
        f"the performance of {record.header.revision} was recorded with {sent.name} {sent.version}"
        f" ({sent.digest[:14]}), this check sends {golden.name} {golden.version} ({golden.digest[:14]}):"
        " record it again"
    )


def usable(record: Record, operation: str, asked: replay.Performance, mix: str) -> Performed:
    """Return what a candidate's operation may be compared with.

    Parameters
    ----------
    record
        Of stable.
    operation
        Its name.
    asked
        The load of this check.
    mix
        Digest of the inputs of this check and how they are mixed.

    Raises
    ------
    CheckError
        ``ReferenceMismatch``: another load, mix or machine, named in one sentence.
    """
    header = record.header
    found = record.operations.get(operation)
    if found is None:
        raise _mismatch(header, f"the operation {operation}", "none", "one")
    pairs: list[tuple[str, object, object]] = [
        ("arrivals", header.arrivals, asked.arrivals),
        ("concurrency", header.concurrency, asked.concurrency),
        ("requests per second", header.requests_per_second, asked.requests_per_second),
        ("inputs per request", header.inputs_per_request, asked.inputs_per_request),
        ("servers", header.hardware.servers, asked.hardware.servers),
    ]
    for what in ("accelerator", "gpus"):
        theirs, ours = getattr(header.hardware, what), getattr(asked.hardware, what)
        if theirs is not None and ours is not None:
            pairs.append((what, theirs, ours))
    pairs.append(("mix", found.said.mix[:14], mix[:14]))
    for what, theirs, ours in pairs:
        if theirs != ours:
            raise _mismatch(header, what, str(theirs), str(ours))
    return found


def _mismatch(header: Header, what: str, theirs: str, ours: str) -> failure.CheckError:
    return failure.CheckError(
        "ReferenceMismatch",
        f"the performance of {header.revision} was recorded with {what} {theirs}, this check has {ours}:"
        " their ratio would say nothing, record it again",
    )
