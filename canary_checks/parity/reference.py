"""Recorded outputs of a golden set, as a safetensors file with the story of its recording in the header."""

import dataclasses
import datetime
import json
import pathlib
import struct
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pydantic
import safetensors
import safetensors.numpy

from canary_checks import failure, result
from canary_checks import vocabulary as v
from canary_checks.golden import pack as golden_pack

_TENSOR = "outputs"
_MATRIX = 2
_HEADER_LENGTH = struct.Struct("<Q")


class Header(v.Model):
    """What the metadata of a reference says; safetensors allows strings only, so numbers are in JSON."""

    schema_version: Annotated[str, pydantic.Field(pattern=r"^golden\.modelrelease\.dev/reference/v1$")] = (
        pydantic.Field(validation_alias="schema", serialization_alias="schema")
    )
    pack: v.Short
    pack_version: v.Short
    pack_digest: v.Digest
    items: tuple[str, ...]
    refused: tuple[str, ...] = ()
    revision: v.Revision
    numeric_class: v.NumericClass
    recorded_time: pydantic.AwareDatetime
    noise_cosine_distance: float | None = None
    noise_norm_deviation: float | None = None


@dataclasses.dataclass(frozen=True)
class Reference:
    """Outputs that a candidate is compared with.

    Attributes
    ----------
    header
        Where they come from.
    outputs
        Shape ``[items, dimensions]``, float32; a row of an item that the server refused is NaN.
    digest
        SHA-256 of the file.
    """

    header: Header
    outputs: npt.NDArray[np.float32]
    digest: str

    @property
    def refused(self) -> npt.NDArray[np.bool_]:
        """Which rows the server refused to embed, shape ``[items]``."""
        refused = set(self.header.refused)
        return np.array([item in refused for item in self.header.items], dtype=np.bool_)


def encode(header: Header, outputs: npt.NDArray[np.float32]) -> bytes:
    """Write a reference.

    Parameters
    ----------
    header
        Where the outputs come from.
    outputs
        Shape ``[items, dimensions]``, float32.

    Returns
    -------
    The bytes of a safetensors file.

    Raises
    ------
    ValueError
        There are not as many rows as items.
    """
    if outputs.ndim != _MATRIX or len(outputs) != len(header.items):
        raise ValueError(f"outputs of shape {outputs.shape} for {len(header.items)} items")
    said = header.model_dump(mode="json", by_alias=True, exclude_none=True)
    metadata = {key: value if isinstance(value, str) else json.dumps(value) for key, value in said.items()}
    return safetensors.numpy.save({_TENSOR: np.ascontiguousarray(outputs, dtype=np.float32)}, metadata)


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
        header = Header.model_validate_json(json.dumps(_said(metadata)), by_alias=True, by_name=False)
    except (safetensors.SafetensorError, struct.error, ValueError, KeyError, TypeError) as error:
        raise failure.CheckError("ReferenceUnreadable", f"the reference cannot be read: {error}") from error
    outputs = tensors.get(_TENSOR)
    if (
        outputs is None
        or outputs.dtype != np.float32
        or outputs.ndim != _MATRIX
        or len(outputs) != len(header.items)
    ):
        raise failure.CheckError(
            "ReferenceUnreadable", "the reference holds no float32 tensor `outputs` with one row per item"
        )
    return Reference(header, outputs, result.digest(content))


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


def require_same_items(reference: Reference, golden: golden_pack.Pack) -> None:
    """Make sure that row i of a reference is item i of a golden set.

    Raises
    ------
    CheckError
        ``ReferenceMismatch``: another set, another version or other items; nothing is adjusted silently.
    """
    header = reference.header
    recorded = (header.pack, header.pack_version, header.pack_digest, header.items)
    if recorded != (golden.name, golden.version, golden.digest, golden.ids):
        raise failure.CheckError(
            "ReferenceMismatch",
            f"the reference of {header.revision} was recorded with {header.pack} {header.pack_version}"
            f" ({header.pack_digest[:14]}, {len(header.items)} items), this check sends {golden.name}"
            f" {golden.version} ({golden.digest[:14]}, {len(golden.items)} items): record it again",
        )


def new_header(
    golden: golden_pack.Pack,
    *,
    revision: str,
    numeric_class: v.NumericClass,
    refused: npt.NDArray[np.bool_],
    noise: tuple[float, float] | None,
) -> Header:
    """Describe outputs that were recorded just now.

    Parameters
    ----------
    golden
        What was sent.
    revision, numeric_class
        Of the server that answered.
    refused
        Shape ``[items]``: which items it refused.
    noise
        Worst ``1 - cos`` and norm deviation of an A/A run, or None when there was none.

    Returns
    -------
    The header of the reference.
    """
    return Header(
        schema_version="golden.modelrelease.dev/reference/v1",
        pack=golden.name,
        pack_version=golden.version,
        pack_digest=golden.digest,
        items=golden.ids,
        refused=tuple(i for i, no in zip(golden.ids, refused, strict=True) if no),
        revision=revision,
        numeric_class=numeric_class,
        recorded_time=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
        noise_cosine_distance=noise[0] if noise else None,
        noise_norm_deviation=noise[1] if noise else None,
    )


def _said(metadata: dict[str, str]) -> dict[str, object]:
    """Undo the strings that safetensors makes of lists and numbers."""
    structured = {"items", "refused", "noiseCosineDistance", "noiseNormDeviation"}
    return {key: json.loads(value) if key in structured else value for key, value in metadata.items()}
