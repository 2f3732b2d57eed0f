"""Outcomes as a safetensors file: what a promoted run leaves, and what a candidate is compared with.

Like a reference of vectors it comes from a ConfigMap, a volume or a colleague: nothing of it is believed
unchecked. For each operation it holds ``outcomes/<operation>`` ``[items, columns]`` float32,
``states/<operation>`` ``[items]`` uint8, ``thumbnails/<operation>/bytes`` ``[total]`` uint8 and ``…/offsets``
``[items + 1]`` int64.
"""

import dataclasses
import datetime
import itertools
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import numpy as np
import pydantic

from canary_checks import failure, records, result
from canary_checks import vocabulary as v
from canary_checks.fidelity import outcomes
from canary_checks.golden import pack as golden_pack

SCHEMA: Literal["golden.modelrelease.dev/outcomes/v1"] = "golden.modelrelease.dev/outcomes/v1"
LIMIT_BYTES: Final = 64 << 20
THUMBNAILS_BYTES: Final = 440 << 10
"""Of one file: with base64 and the worst pairs it still fits into the evidence."""

ItemIds = Annotated[
    tuple[Annotated[str, pydantic.StringConstraints(min_length=1, max_length=16)], ...],
    pydantic.Field(min_length=1, max_length=10_000),
]


class Header(v.Model):
    """Where outcomes come from; it travels as JSON in the metadata of the file."""

    schema_version: Literal["golden.modelrelease.dev/outcomes/v1"] = pydantic.Field(
        validation_alias="schema", serialization_alias="schema"
    )
    pack: v.Short
    pack_version: v.Short
    pack_digest: v.Digest
    columns: Annotated[tuple[v.Short, ...], pydantic.Field(min_length=1, max_length=64)]
    operations: Annotated[dict[v.Name, ItemIds], pydantic.Field(min_length=1, max_length=8)]
    revision: v.Revision
    numeric_class: v.NumericClass
    recorded_time: pydantic.AwareDatetime


_FORMAT: Final = records.Format("record of images", "outcomes", Header, frozenset({"F32", "U8", "I64"}))


@dataclasses.dataclass(frozen=True)
class Recorded:
    """Outcomes that a candidate is compared with, by the operation's name."""

    header: Header
    operations: Mapping[str, outcomes.Outcomes]
    digest: str


def encode(
    pack: golden_pack.Pack,
    operations: Mapping[str, outcomes.Outcomes],
    *,
    revision: str,
    numeric_class: v.NumericClass,
) -> bytes:
    """Write outcomes as a file.

    Parameters
    ----------
    pack
        The prompts.
    operations
        What came of them, by the operation's name; thumbnails beyond their budget are left out.
    revision, numeric_class
        Of the server that drew.

    Returns
    -------
    The bytes of a safetensors file.
    """
    header = Header(
        schema_version=SCHEMA,
        pack=pack.name,
        pack_version=pack.version,
        pack_digest=pack.digest,
        columns=tuple(outcomes.COLUMNS),
        operations={name: one.items for name, one in operations.items()},
        revision=revision,
        numeric_class=numeric_class,
        recorded_time=datetime.datetime.now(datetime.UTC).replace(microsecond=0),
    )
    tensors: records.Tensors = {}
    left = THUMBNAILS_BYTES
    for name, one in operations.items():
        kept = []
        for thumbnail in one.thumbnails:
            kept.append(thumbnail if len(thumbnail) <= left else b"")
            left -= len(kept[-1])
        tensors[f"outcomes/{name}"] = one.values
        tensors[f"states/{name}"] = one.states
        # An empty tensor has no bytes to point to: one that is never read stands for none.
        tensors[f"thumbnails/{name}/bytes"] = np.frombuffer(b"".join(kept) + b"\0", dtype=np.uint8)
        tensors[f"thumbnails/{name}/offsets"] = np.cumsum([0, *map(len, kept)], dtype=np.int64)
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
    """Read outcomes.

    Raises
    ------
    CheckError
        ``ReferenceUnreadable``, with what is wrong.
    """
    header, operations = _FORMAT.decode(content, _operations, LIMIT_BYTES)
    return Recorded(header, operations, result.digest(content))


def _operations(header: Header, tensors: records.Tensors) -> Mapping[str, outcomes.Outcomes]:
    if header.columns != tuple(outcomes.COLUMNS):
        raise ValueError("it has other columns than this version of the checks: record it again")
    return {name: _outcomes(name, items, tensors) for name, items in header.operations.items()}


def fitting(
    recorded: Recorded, operation: str, pack: golden_pack.Pack, items: tuple[str, ...]
) -> outcomes.Outcomes:
    """Return the outcomes of an operation whose row i is item i of what a candidate is asked.

    Raises
    ------
    CheckError
        ``ReferenceMismatch``: another set, other items or no such operation.
    """
    found = recorded.operations.get(operation)
    header = recorded.header
    if found is None or header.pack_digest != pack.digest or found.items != items:
        raise failure.CheckError(
            "ReferenceMismatch",
            f"the outcomes of {header.revision} were recorded with {header.pack} {header.pack_version}"
            f" ({header.pack_digest[:14]}) for {', '.join(recorded.operations)}, this check draws"
            f" {len(items)} items of {pack.name} {pack.version} ({pack.digest[:14]}) for {operation}:"
            " record them again",
        )
    return found


def _outcomes(name: str, items: tuple[str, ...], tensors: records.Tensors) -> outcomes.Outcomes:
    values, states = tensors.pop(f"outcomes/{name}"), tensors.pop(f"states/{name}")
    content, offsets = tensors.pop(f"thumbnails/{name}/bytes"), tensors.pop(f"thumbnails/{name}/offsets")
    if values.dtype != np.float32 or values.shape != (len(items), len(outcomes.COLUMNS)):
        raise ValueError(f"the outcomes of {name} are not one row for each item")
    if states.dtype != np.uint8 or states.shape != (len(items),) or states.max() > max(outcomes.State):
        raise ValueError(f"the states of {name} are not one for each item")
    if np.isinf(values).any():
        raise ValueError(f"the outcomes of {name} are not finite")
    bounds_fit = (
        content.dtype == np.uint8
        and offsets.dtype == np.int64
        and offsets.shape == (len(items) + 1,)
        and offsets[0] == 0
        and offsets[-1] <= len(content)
        and not (np.diff(offsets) < 0).any()
    )
    if not bounds_fit:
        raise ValueError(f"the thumbnails of {name} are not one for each item")
    whole = content.tobytes()
    return outcomes.Outcomes(
        items=items,
        values=values,
        states=states,
        thumbnails=tuple(whole[a:b] for a, b in itertools.pairwise(offsets.tolist())),
    )
