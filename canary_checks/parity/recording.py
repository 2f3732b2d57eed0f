"""Recorded outputs of a golden set, as a safetensors file with the story of its recording in the header.

A file comes from a ConfigMap, a volume or a colleague: nothing of it is believed unchecked. For each
operation it holds ``embedding/<operation>`` ``[items, dimensions]`` (float32 for the class fp32, else float16
where that is exact enough), ``items/<operation>/digests`` ``[items, 32]`` uint8 and, where the server tells
its tokens, ``tokens/<operation>/ids`` ``[total]`` int32 and ``tokens/<operation>/offsets`` ``[items + 1]``
int64.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
import pydantic

from canary_checks import failure, records, result
from canary_checks import vocabulary as v
from canary_checks.contracts import stated
from canary_checks.parity import distance

SCHEMA: Literal["golden.modelrelease.dev/reference/v1"] = "golden.modelrelease.dev/reference/v1"
LIMIT_BYTES: Final = 256 << 20
_DIGEST_BYTES: Final = 32
_MATRIX: Final = 2
# What float16 may cost: a 1 − cos far below every class that uses it, and a twentieth of its norm limit.
_HALF_COSINE: Final = 1e-7
_HALF_NORM: Final = 1e-4

ItemIds = Annotated[
    tuple[Annotated[str, pydantic.StringConstraints(min_length=1, max_length=16)], ...],
    pydantic.Field(max_length=10_000),
]
Deviation = Annotated[float, pydantic.Field(ge=0)]


class Repeat(v.Model):
    """How far a server was from itself when it was asked the same again: the worst row."""

    cosine_distance_worst: Deviation
    norm_deviation_worst: Deviation


class BatchInvariance(v.Model):
    """How far a row was from itself in batches of other sizes: the worst row."""

    batches: Annotated[
        tuple[Annotated[int, pydantic.Field(ge=1, le=4096)], ...], pydantic.Field(max_length=8)
    ]
    cosine_distance_worst: Deviation


class RecordedOperation(v.Model):
    """What the header says of the rows of one operation.

    `items` are the ids of the golden items, in the order of the rows; `refused` those that the server
    refused. The noise is the worst ``1 - cos`` and norm deviation of an A/A run.
    """

    items: ItemIds
    refused: ItemIds = ()
    noise_cosine_distance: Deviation | None = None
    noise_norm_deviation: Deviation | None = None
    self_repeat: Repeat | None = None
    batch_invariance: BatchInvariance | None = None
    told: stated.Statements | None = None
    """What the server told of itself then."""

    @pydantic.model_validator(mode="after")
    def _items_are_distinct(self) -> Self:
        if len(set(self.items)) != len(self.items):
            raise ValueError("an item is there twice")
        if not set(self.refused) <= set(self.items):
            raise ValueError("it says that items were refused that are not there")
        return self


class Provenance(v.Model):
    """What is known of the server that answered; an absent field was not told."""

    embedding_space: v.Short | None = None
    model_version: v.Short | None = None
    artifact_digest: v.Digest | None = None
    image_digest: v.Digest | None = None
    accelerator: v.Short | None = None
    recorded_by: v.Short | None = None
    checks: v.Short | None = None
    """Version of this package."""


class Header(Provenance):
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
    self_repeat, batch_invariance
        What the server was found to be when it was recorded, or None.
    tokens
        The token ids of each item, int32, or None when the server did not tell.
    digests
        Shape ``[items, 32]``, uint8: SHA-256 of what was sent, or None for a file without them.
    told
        What the server told of itself, or None when nobody asked.
    """

    items: tuple[str, ...]
    outputs: npt.NDArray[np.float32]
    refused: npt.NDArray[np.bool_]
    noise: tuple[float, float] | None = None
    self_repeat: Repeat | None = None
    batch_invariance: BatchInvariance | None = None
    tokens: tuple[npt.NDArray[np.int32], ...] | None = None
    digests: npt.NDArray[np.uint8] | None = None
    told: stated.Statements | None = None

    def take(self, rows: npt.NDArray[np.intp]) -> Self:
        """Return the recording of some rows, in their order."""
        return dataclasses.replace(
            self,
            items=tuple(self.items[row] for row in rows),
            outputs=self.outputs[rows],
            refused=self.refused[rows],
            tokens=None if self.tokens is None else tuple(self.tokens[row] for row in rows),
            digests=None if self.digests is None else self.digests[rows],
        )


FORMAT: Final = records.Format(
    "reference", "reference", Header, frozenset({"F32", "F16", "I32", "I64", "U8"})
)


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


def encode(header: Header, recordings: Mapping[str, Recording]) -> bytes:
    """Write a reference.

    Parameters
    ----------
    header
        Where the outputs come from.
    recordings
        The outputs of each of its operations.

    Returns
    -------
    The bytes of a safetensors file.

    Raises
    ------
    ValueError
        There are not as many rows as items.
    """
    tensors: records.Tensors = {}
    for name, said in header.operations.items():
        made = recordings[name]
        if made.outputs.ndim != _MATRIX or len(made.outputs) != len(said.items):
            raise ValueError(f"outputs of shape {made.outputs.shape} for {len(said.items)} items")
        tensors[f"embedding/{name}"] = _stored(made.outputs, header.numeric_class)
        if made.digests is not None:
            tensors[f"items/{name}/digests"] = np.ascontiguousarray(made.digests, dtype=np.uint8)
        if made.tokens is not None:
            lengths = [0, *(len(ids) for ids in made.tokens)]
            tensors[f"tokens/{name}/ids"] = np.concatenate([np.empty(0, np.int32), *made.tokens])
            tensors[f"tokens/{name}/offsets"] = np.cumsum(lengths, dtype=np.int64)
    return FORMAT.write(header, tensors)


def decode(content: bytes) -> Reference:
    """Read a reference.

    Parameters
    ----------
    content
        The bytes of a safetensors file.

    Returns
    -------
    The reference: rows are its items', finite unless refused, and every tensor is accounted for.

    Raises
    ------
    CheckError
        ``ReferenceUnreadable``, with what is wrong.
    """
    header, recordings = FORMAT.decode(content, _recordings, LIMIT_BYTES)
    return Reference(header, recordings, result.digest(content))


def unreadable(why: str) -> failure.CheckError:
    """Make the error of a file that is no reference."""
    return FORMAT.unreadable(why)


def _recordings(header: Header, tensors: records.Tensors) -> Mapping[str, Recording]:
    return {name: _recording(name, said, tensors) for name, said in header.operations.items()}


def _recording(name: str, said: RecordedOperation, tensors: records.Tensors) -> Recording:
    outputs = tensors.pop(f"embedding/{name}")
    if outputs.dtype not in (np.float32, np.float16) or outputs.ndim != _MATRIX or not outputs.size:
        raise ValueError(f"the outputs of {name} are no matrix of float32 or float16")
    if len(outputs) != len(said.items):
        raise ValueError(f"{len(outputs)} rows of {name} for {len(said.items)} items")
    outputs = outputs.astype(np.float32, copy=False)
    refused = np.isin(np.array(said.items), np.array(said.refused, dtype=str))
    if not np.isnan(outputs[refused]).all():
        raise ValueError(f"{name} has outputs of items that the server refused")
    bad = np.flatnonzero(~refused & ~distance.finite_rows(outputs))
    if bad.size:
        raise ValueError(f"the row of item {said.items[bad[0]]} of {name} is not finite, or all zeros")
    noise = said.noise_cosine_distance, said.noise_norm_deviation
    return Recording(
        items=said.items,
        outputs=outputs,
        refused=refused,
        noise=(noise[0], noise[1]) if noise[0] is not None and noise[1] is not None else None,
        self_repeat=said.self_repeat,
        batch_invariance=said.batch_invariance,
        tokens=_tokens(name, len(said.items), tensors),
        digests=_digests(name, len(said.items), tensors),
        told=said.told,
    )


def _digests(name: str, items: int, tensors: records.Tensors) -> npt.NDArray[np.uint8] | None:
    digests = tensors.pop(f"items/{name}/digests", None)
    if digests is not None and (digests.dtype != np.uint8 or digests.shape != (items, _DIGEST_BYTES)):
        raise ValueError(f"the digests of {name} are not one SHA-256 for each item")
    return digests


def _tokens(name: str, items: int, tensors: records.Tensors) -> tuple[npt.NDArray[np.int32], ...] | None:
    ids = tensors.pop(f"tokens/{name}/ids", None)
    offsets = tensors.pop(f"tokens/{name}/offsets", None)
    if ids is None and offsets is None:
        return None
    if (
        ids is None
        or offsets is None
        or ids.dtype != np.int32
        or ids.ndim != 1
        or offsets.dtype != np.int64
        or offsets.shape != (items + 1,)
        or offsets[0] != 0
        or offsets[-1] != len(ids)
        or (np.diff(offsets) < 0).any()
        or (ids < 0).any()
    ):
        raise ValueError(f"the tokens of {name} are not one list of ids for each item")
    return tuple(np.split(ids, offsets[1:-1]))


def _stored(outputs: npt.NDArray[np.float32], numeric_class: v.NumericClass) -> npt.NDArray[Any]:
    """Halve the size where the numeric class leaves room for it: a reference must fit a ConfigMap."""
    whole = np.ascontiguousarray(outputs, dtype=np.float32)
    if numeric_class is v.NumericClass.FP32:
        return whole
    with np.errstate(over="ignore"):
        half = whole.astype(np.float16)
    known = distance.finite_rows(whole)
    back = half.astype(np.float32)[known]
    exact = (distance.cosine(whole[known], back) <= _HALF_COSINE) & (
        distance.norm_deviation(back, whole[known]) <= _HALF_NORM
    )
    return half if exact.all() else whole
