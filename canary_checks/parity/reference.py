"""Recorded outputs of a golden set, as a safetensors file with the story of its recording in the header."""

import dataclasses
import datetime
import json
import pathlib
import struct
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic
import safetensors
import safetensors.numpy

from canary_checks import failure, result
from canary_checks import vocabulary as v
from canary_checks.golden import pack as golden_pack
from canary_checks.golden import selection

_TENSOR = "embedding/"
_METADATA = "reference"
_MATRIX = 2
_HEADER_LENGTH = struct.Struct("<Q")
SCHEMA: Literal["golden.modelrelease.dev/reference/v1"] = "golden.modelrelease.dev/reference/v1"


class RecordedOperation(v.Model):
    """What the header says of the rows of one operation.

    `items` are the ids of the golden items, in the order of the rows; `refused` those that the server
    refused. The noise is the worst ``1 - cos`` and norm deviation of an A/A run.
    """

    items: tuple[str, ...]
    refused: tuple[str, ...] = ()
    noise_cosine_distance: float | None = None
    noise_norm_deviation: float | None = None


class Header(v.Model):
    """Where a reference comes from; it travels as JSON in the metadata of the file."""

    schema_version: Literal["golden.modelrelease.dev/reference/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    pack: v.Short
    pack_version: v.Short
    pack_digest: v.Digest
    operations: Annotated[dict[v.Name, RecordedOperation], pydantic.Field(min_length=1, max_length=8)]
    revision: v.Revision
    numeric_class: v.NumericClass
    recorded_time: pydantic.AwareDatetime


@dataclasses.dataclass(frozen=True)
class Recording:
    """The outputs of one operation.

    Attributes
    ----------
    items
        Ids of the golden items, in the order of the rows.
    outputs
        Shape ``[items, dimensions]``, float32; a row of an item that the server refused is NaN.
    refused
        Shape ``[items]``: which items the server refused.
    noise
        Worst ``1 - cos`` and norm deviation of an A/A run, or None when there was none.
    """

    items: tuple[str, ...]
    outputs: npt.NDArray[np.float32]
    refused: npt.NDArray[np.bool_]
    noise: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Reference:
    """Outputs that a candidate is compared with.

    Attributes
    ----------
    header
        Where they come from.
    recordings
        The outputs, by the operation's name.
    digest
        SHA-256 of the file.
    """

    header: Header
    recordings: Mapping[str, Recording]
    digest: str


def encode(header: Header, outputs: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """Write a reference.

    Parameters
    ----------
    header
        Where the outputs come from.
    outputs
        By operation: shape ``[items, dimensions]``, float32.

    Returns
    -------
    The bytes of a safetensors file.

    Raises
    ------
    ValueError
        There are not as many rows as items.
    """
    for name, said in header.operations.items():
        if outputs[name].ndim != _MATRIX or len(outputs[name]) != len(said.items):
            raise ValueError(f"outputs of shape {outputs[name].shape} for {len(said.items)} items")
    text = header.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)
    tensors = {_TENSOR + name: np.ascontiguousarray(rows, dtype=np.float32) for name, rows in outputs.items()}
    return safetensors.numpy.save(tensors, {_METADATA: text})


def decode(content: bytes) -> Reference:
    """Read a reference.

    Parameters
    ----------
    content
        The bytes of a safetensors file.

    Returns
    -------
    The reference, whose rows are its items'.

    Raises
    ------
    CheckError
        ``ReferenceUnreadable``: it is not a safetensors file, its header is incomplete, or the rows are not
        its items'.
    """
    try:
        tensors = safetensors.numpy.load(content)
        (length,) = _HEADER_LENGTH.unpack_from(content)
        metadata = json.loads(content[_HEADER_LENGTH.size : _HEADER_LENGTH.size + length])["__metadata__"]
        header = Header.model_validate_json(metadata[_METADATA], by_alias=True, by_name=False)
        recordings = {
            name: _recording(said, tensors[_TENSOR + name]) for name, said in header.operations.items()
        }
    except (safetensors.SafetensorError, struct.error, ValueError, KeyError, TypeError) as error:
        raise failure.CheckError("ReferenceUnreadable", f"the reference cannot be read: {error}") from error
    return Reference(header, recordings, result.digest(content))


def _recording(said: RecordedOperation, outputs: npt.NDArray[Any]) -> Recording:
    if outputs.dtype != np.float32 or outputs.ndim != _MATRIX or len(outputs) != len(said.items):
        raise ValueError("it holds no float32 matrix with one row per item")
    noise = said.noise_cosine_distance, said.noise_norm_deviation
    return Recording(
        items=said.items,
        outputs=outputs,
        refused=np.isin(np.array(said.items), np.array(said.refused, dtype=str)),
        noise=(noise[0], noise[1]) if noise[0] is not None and noise[1] is not None else None,
    )


def load(path: str, expected_digest: str | None) -> Reference:
    """Read a reference from a file and prove that it is the one that was asked for.

    Parameters
    ----------
    path
        Where it is mounted.
    expected_digest
        SHA-256 of the file, or None when nobody stated one (the command line).

    Returns
    -------
    The reference.

    Raises
    ------
    CheckError
        ``ReferenceMissing``, ``ReferenceMismatch`` (another digest) or ``ReferenceUnreadable``.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise failure.CheckError(
            "ReferenceMissing", f"the reference {path} cannot be opened: {error.strerror}"
        ) from error
    if expected_digest is not None and result.digest(content) != expected_digest:
        raise failure.CheckError(
            "ReferenceMismatch",
            f"the reference {path} has the digest {result.digest(content)}, not {expected_digest}",
        )
    return decode(content)


def recording_of(reference: Reference, operation: str, golden: selection.Selection) -> Recording:
    """Return the outputs of an operation whose row i is item i of a selection.

    Parameters
    ----------
    reference
        Where to look.
    operation
        Its name.
    golden
        The items that the candidate is asked about.

    Raises
    ------
    CheckError
        ``ReferenceMismatch``: another set, another version, other items or no such operation; nothing is
        adjusted silently.
    """
    header = reference.header
    recording = reference.recordings.get(operation)
    if recording is None:
        raise failure.CheckError(
            "ReferenceMismatch", f"the reference of {header.revision} has no operation {operation}"
        )
    recorded = (header.pack, header.pack_version, header.pack_digest, recording.items)
    if recorded != (golden.pack.name, golden.pack.version, golden.pack.digest, golden.ids):
        raise failure.CheckError(
            "ReferenceMismatch",
            f"the reference of {header.revision} was recorded with {header.pack} {header.pack_version}"
            f" ({header.pack_digest[:14]}, {len(recording.items)} items), this check sends {golden.pack.name}"
            f" {golden.pack.version} ({golden.pack.digest[:14]}, {len(golden.items)} items): record it again",
        )
    return recording


def new(
    pack: golden_pack.Pack,
    recordings: Mapping[str, Recording],
    *,
    revision: str,
    numeric_class: v.NumericClass,
) -> bytes:
    """Write a reference of outputs that were recorded just now.

    Parameters
    ----------
    pack
        What was sent.
    recordings
        The outputs, by the operation's name.
    revision, numeric_class
        Of the server that answered.

    Returns
    -------
    The bytes of a safetensors file.
    """
    header = Header(
        schema_version=SCHEMA,
        pack=pack.name,
        pack_version=pack.version,
        pack_digest=pack.digest,
        operations={
            name: RecordedOperation(
                items=made.items,
                refused=tuple(i for i, no in zip(made.items, made.refused, strict=True) if no),
                noise_cosine_distance=made.noise[0] if made.noise else None,
                noise_norm_deviation=made.noise[1] if made.noise else None,
            )
            for name, made in recordings.items()
        },
        revision=revision,
        numeric_class=numeric_class,
        recorded_time=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
    )
    return encode(header, {name: made.outputs for name, made in recordings.items()})
