"""What a stage makes of an item, as ``probe.modelrelease.dev/v1`` carries it: ids, a tensor or a refusal."""

import base64
import binascii
import dataclasses
import hashlib
import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from canary_checks import failure
from canary_checks import vocabulary as v

MOST_DIMENSIONS: Final = 8
_LARGEST_ID: Final = 2**31
_WORD_BYTES: Final = 4
# Of float32: whatever is larger is no mean of such numbers.
_LARGEST_MEAN: Final = 3.5e38
MOST_CHANNELS: Final = 64
"""For so many places of the first axis an endpoint tells the mean."""

Array = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Ids:
    """Token ids."""

    ids: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """An array of float32 by its digest.

    Attributes
    ----------
    shape
        Of the array.
    sha256
        64 hex digits, of the little-endian float32 bytes in C order.
    data
        The array itself, or None when only the digest was asked for.
    mean
        Of each place of the first axis, the first 64 of them; empty where the endpoint tells none, or one
        that is not finite.
    """

    shape: tuple[int, ...]
    sha256: str
    data: Array | None = None
    mean: tuple[float, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * _WORD_BYTES


@dataclasses.dataclass(frozen=True)
class Failed:
    """The stage raised; serving refuses this item in the same way."""

    error: str


Value = Ids | Tensor | Failed


def same(a: Value, b: Value) -> bool:
    """Say whether two values are exactly the same; two refusals are, whatever their words."""
    if isinstance(a, Ids) and isinstance(b, Ids):
        return a.ids == b.ids
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return (a.shape, a.sha256) == (b.shape, b.sha256)
    return isinstance(a, Failed) and isinstance(b, Failed)


def parse(given: Any, stage: str) -> Value:
    """Read one value of an answer.

    Parameters
    ----------
    given
        Decoded JSON.
    stage
        Whose it is, for messages.

    Raises
    ------
    CheckError
        ``ResponseInvalid``: it is no value, or its data are not what its shape and digest say.
    """
    if isinstance(given, dict):
        if isinstance(given.get("error"), str):
            return Failed(v.sentence(given["error"], 200))
        if "ids" in given:
            return _ids(given["ids"], stage)
        if "sha256" in given:
            return _tensor(given, stage)
    raise _invalid(stage, "neither `ids` nor `sha256` nor `error`")


def _ids(given: Any, stage: str) -> Ids:
    if isinstance(given, list) and all(type(x) is int and abs(x) < _LARGEST_ID for x in given):
        return Ids(tuple(given))
    raise _invalid(stage, "`ids` that are no list of integers")


def _tensor(given: dict[str, Any], stage: str) -> Tensor:
    shape, digest = given.get("shape"), given["sha256"]
    if (
        not isinstance(shape, list)
        or len(shape) > MOST_DIMENSIONS
        or not all(type(x) is int and 0 <= x < _LARGEST_ID for x in shape)
    ):
        raise _invalid(stage, "a `shape` that is none")
    if given.get("dtype") != "float32" or not isinstance(digest, str):
        raise _invalid(stage, "a `dtype` that is not float32 or a `sha256` that is no text")
    tensor = Tensor(tuple(shape), digest, mean=_mean(given.get("mean")))
    if "data" not in given:
        return tensor
    try:
        raw = base64.b64decode(given["data"], validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise _invalid(stage, "`data` that is no base64") from error
    if len(raw) != tensor.size_bytes or hashlib.sha256(raw).hexdigest() != digest:
        raise _invalid(stage, "`data` of another length or digest than it says")
    return dataclasses.replace(tensor, data=np.frombuffer(raw, dtype="<f4").reshape(shape))


def _mean(given: Any) -> tuple[float, ...]:
    """Read the means, which explain and decide nothing: what are none are left out."""
    if not isinstance(given, list) or len(given) > MOST_CHANNELS:
        return ()
    if not all(type(x) in {int, float} and abs(x) <= _LARGEST_MEAN for x in given):
        return ()
    return tuple(float(x) for x in given)


def _invalid(stage: str, what: str) -> failure.CheckError:
    return failure.CheckError("ResponseInvalid", f"the probe endpoint answered {stage} with {what}")
