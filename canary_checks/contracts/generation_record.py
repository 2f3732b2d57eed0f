"""What a generator told of itself, as a safetensors file: what a promoted run leaves for the next one.

It comes from a ConfigMap, a volume or a colleague: nothing of it is believed unchecked. The header has the
fields; for each text encoder the file holds ``tokens/<encoder>/ids`` ``[total]`` int32 and
``tokens/<encoder>/offsets`` ``[prompts + 1]`` int64.
"""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import numpy as np
import pydantic

from canary_checks import records, result
from canary_checks import vocabulary as v
from canary_checks.contracts import generation
from canary_checks.golden import pack as golden_pack

SCHEMA: Literal["golden.modelrelease.dev/generation/v1"] = "golden.modelrelease.dev/generation/v1"
LIMIT_BYTES: Final = 16 << 20
MOST_PROMPTS: Final = 256
"""Whose token ids are kept: with three text encoders they fit a ConfigMap."""
MOST_ENCODERS: Final = 8

Ids = tuple[int, ...]
Encoder = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Fields = Annotated[
    dict[Annotated[str, pydantic.StringConstraints(max_length=160)], pydantic.JsonValue],
    pydantic.Field(max_length=generation.MOST_FIELDS),
]


class Header(v.Model):
    """Where it comes from, and the fields; it travels as JSON in the metadata of the file.

    With `artifact_only` the model's files told, and not the process.
    """

    schema_version: Literal["golden.modelrelease.dev/generation/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    pack: v.Short
    pack_version: v.Short
    pack_digest: v.Digest
    prompts: Annotated[
        tuple[Annotated[str, pydantic.StringConstraints(min_length=1, max_length=16)], ...],
        pydantic.Field(max_length=MOST_PROMPTS),
    ] = ()
    encoders: Annotated[tuple[Encoder, ...], pydantic.Field(max_length=MOST_ENCODERS)] = ()
    told: Fields
    artifact_only: bool = False
    revision: v.Revision
    recorded_time: pydantic.AwareDatetime


_FORMAT: Final = records.Format("record of a generator", "generation", Header, frozenset({"I32", "I64"}))


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a candidate is compared with.

    Attributes
    ----------
    tokens
        Ids by text encoder, then by prompt; a prompt that was refused has none.
    """

    header: Header
    tokens: Mapping[str, Mapping[str, Ids]]
    digest: str


def encode(
    told: Mapping[str, pydantic.JsonValue],
    tokens: Mapping[str, Mapping[str, Ids]],
    pack: golden_pack.Pack,
    *,
    revision: str,
    artifact_only: bool = False,
) -> bytes:
    """Write what a generator told as a file.

    Parameters
    ----------
    told
        Fields by dotted name, bounded.
    tokens
        Ids by text encoder, then by prompt, each id from 0 to 2³¹ - 1.
    pack
        Where the prompts are from.
    revision
        Of the server.
    artifact_only
        Whether the model's files told.

    Returns
    -------
    The bytes of a safetensors file.
    """
    prompts = tuple(sorted({name for ids in tokens.values() for name in ids}))[:MOST_PROMPTS]
    header = Header(
        schema_version=SCHEMA,
        pack=pack.name,
        pack_version=pack.version,
        pack_digest=pack.digest,
        prompts=prompts,
        encoders=tuple(tokens),
        told=dict(told),
        artifact_only=artifact_only,
        revision=revision,
        recorded_time=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
    )
    tensors: records.Tensors = {}
    for encoder, ids in tokens.items():
        rows = [np.array(ids.get(name, ()), dtype=np.int32) for name in prompts]
        tensors[f"tokens/{encoder}/ids"] = np.concatenate([np.empty(0, np.int32), *rows])
        tensors[f"tokens/{encoder}/offsets"] = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return _FORMAT.write(header, tensors)


def load(path: str, digest: str | None) -> Recorded:
    """Read a file and prove that it is the one that was asked for.

    Raises
    ------
    CheckError
        ``ReferenceMissing``, ``ReferenceMismatch`` (another digest) or ``ReferenceUnreadable``.
    """
    return decode(_FORMAT.content(path, digest, LIMIT_BYTES))


def decode(content: bytes) -> Recorded:
    """Read what a generator told.

    Raises
    ------
    CheckError
        ``ReferenceUnreadable``, with what is wrong.
    """
    header, tokens = _FORMAT.decode(content, _tokens, LIMIT_BYTES)
    return Recorded(header, tokens, result.digest(content))


def _tokens(header: Header, tensors: records.Tensors) -> Mapping[str, Mapping[str, Ids]]:
    return {encoder: _of_encoder(encoder, header.prompts, tensors) for encoder in header.encoders}


def _of_encoder(encoder: str, prompts: tuple[str, ...], tensors: records.Tensors) -> Mapping[str, Ids]:
    ids, offsets = tensors.pop(f"tokens/{encoder}/ids"), tensors.pop(f"tokens/{encoder}/offsets")
    if (
        ids.dtype != np.int32
        or ids.ndim != 1
        or offsets.dtype != np.int64
        or offsets.shape != (len(prompts) + 1,)
        or offsets[0] != 0
        or offsets[-1] != len(ids)
        or (np.diff(offsets) < 0).any()
        or (ids < 0).any()
    ):
        raise ValueError(f"the tokens of {encoder} are not one list of ids for each prompt")
    parts = np.split(ids, offsets[1:-1]) if prompts else []
    return {name: tuple(part.tolist()) for name, part in zip(prompts, parts, strict=True) if part.size}
