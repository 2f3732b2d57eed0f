"""What a process has told of itself, bounded, in the form that is compared, recorded and read again.

A server says what it likes: names, values and their number are cut here, in one way for every side of a
comparison, so that what is equal stays equal.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Final

import pydantic

from canary_checks import vocabulary as v
from canary_checks.contracts import fields
from canary_checks.trace import values

MOST_FIELDS: Final = 256
_NAME_LENGTH: Final = 160
_VALUE_LENGTH: Final = 1024
_RECORDED_BYTES: Final = 65_536
_MOST_IMAGES: Final = 256

Fields = dict[Annotated[str, pydantic.StringConstraints(max_length=_NAME_LENGTH)], pydantic.JsonValue]
Bounded = Annotated[Fields, pydantic.Field(max_length=MOST_FIELDS)]
ItemId = Annotated[str, pydantic.StringConstraints(min_length=1, max_length=16)]


class Picture(v.Model):
    """What is kept of the tensor that an image became.

    `digest` is of its shape and bytes; `mean` has one number for each channel, and is empty where the first
    axis is none of channels.
    """

    digest: v.Digest
    shape: Annotated[tuple[int, ...], pydantic.Field(max_length=values.MOST_DIMENSIONS)]
    mean: Annotated[tuple[float, ...], pydantic.Field(max_length=values.MOST_CHANNELS)] = ()


class Statements(v.Model):
    """What one process tells of itself; what it does not tell is empty.

    `preprocessing` and `files` have canonical names, `environment` and `interface` dotted ones; `pictures`
    holds the tensors of locked images by golden item. With `artifact_only` all but the interface comes from
    the model's files and not from the process: it may break a pin and keeps none.
    """

    preprocessing: Bounded = pydantic.Field(default_factory=dict)
    environment: Bounded = pydantic.Field(default_factory=dict)
    interface: Bounded = pydantic.Field(default_factory=dict)
    files: Bounded = pydantic.Field(default_factory=dict)
    pictures: Annotated[dict[ItemId, Picture], pydantic.Field(max_length=_MOST_IMAGES)] = pydantic.Field(
        default_factory=dict
    )
    artifact_only: bool = False


def bounded(told: Mapping[str, fields.Value], most: int = MOST_FIELDS) -> Fields:
    """Bound what a process tells.

    Parameters
    ----------
    told
        By name.
    most
        How many fields are kept.

    Returns
    -------
    The first `most` fields by name; a value longer than 1024 bytes as JSON is replaced by
    the digest of that JSON, and one that is no JSON by printable text. Null is not told.
    """
    said = sorted(name for name, value in told.items() if value is not None)[:most]
    return {v.sentence(name, _NAME_LENGTH): _short(told[name]) for name in said}


def recordable(told: Statements) -> Statements:
    """Return what is kept of statements beside the outputs.

    Parameters
    ----------
    told
        By the process that was recorded.

    Returns
    -------
    What the process said itself: what its files say is no record of what it did. A kind of statement of more
    than 64 KiB is left out: a reference has to fit a ConfigMap, and the outputs come first.
    """
    kinds = ("interface",) if told.artifact_only else ("preprocessing", "environment", "interface", "files")
    kept = {kind: getattr(told, kind) for kind in kinds}
    small = {kind: said for kind, said in kept.items() if len(json.dumps(said)) <= _RECORDED_BYTES}
    return Statements(pictures=told.pictures, **small)


def picture(tensor: values.Tensor) -> Picture:
    """Keep what recognises a tensor: 32 bytes and a number for each channel instead of the tensor itself."""
    whole = json.dumps([*tensor.shape, tensor.sha256]).encode()
    per_channel = bool(tensor.shape) and len(tensor.mean) == tensor.shape[0]
    return Picture(
        digest="sha256:" + hashlib.sha256(whole).hexdigest(),
        shape=tensor.shape,
        mean=tensor.mean if per_channel else (),
    )


def _short(value: fields.Value) -> fields.Value:
    try:
        text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        # A number that JSON has no word for, or half of a surrogate pair.
        return v.sentence(str(value), _VALUE_LENGTH)
    return value if len(text) <= _VALUE_LENGTH else "sha256:" + hashlib.sha256(text).hexdigest()
