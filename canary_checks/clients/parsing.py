"""From the bytes of an answer to vectors: bounded memory, and one sentence for all that can be wrong."""

import base64
import json
from typing import Any, Final

import numpy as np

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.clients import client

# Python objects are up to a hundred times larger than the JSON that makes them; an honest answer has a few of
# these for each vector, and a list of tokens twelve for each token.
_MARKS: Final = 1_000_000


def invalid(message: str) -> failure.CheckError:
    """Return the error of an answer that says success and is none."""
    return failure.CheckError("ResponseInvalid", message)


def document(body: bytes) -> Any:
    """Parse a JSON body.

    Parameters
    ----------
    body
        Of bounded length.

    Returns
    -------
    Its value; `NaN` and `Infinity`, which JSON lacks and many servers write, are floats.

    Raises
    ------
    CheckError
        ``ResponseInvalid``: it is not JSON, or of an absurd structure, or an object that reports an error.
    """
    if sum(body.count(mark) for mark in (b'"', b"[", b"{")) > _MARKS:
        raise invalid(f"the response has more than {_MARKS} strings, lists and objects")
    try:
        value = json.loads(body)
    except RecursionError as error:
        raise invalid("the response is nested too deeply") from error
    except ValueError as error:
        kind = "HTML" if body.lstrip()[:1] == b"<" else "something that is not JSON"
        raise invalid(f"the server answered 200 with {kind if body else 'an empty body'}") from error
    if isinstance(value, dict):
        _refuse_error(value)
    return value


def vector(values: Any, what: str = "an `embedding`") -> client.Vector:
    """Make one vector of a list of JSON numbers.

    Parameters
    ----------
    values
        What should be a list of numbers; null, which is how many servers write NaN, becomes NaN.
    what
        Its name in a message.

    Returns
    -------
    float32, not empty.

    Raises
    ------
    CheckError
        ``ResponseInvalid``.
    """
    if not isinstance(values, list) or not values:
        raise invalid(f"{what} is not a list of numbers")
    if not all(x is None or (isinstance(x, int | float) and not isinstance(x, bool)) for x in values):
        raise invalid(f"{what} holds something that is not a number")
    try:
        with np.errstate(over="ignore"):
            return np.array([np.nan if x is None else x for x in values], dtype=np.float64).astype(np.float32)
    except OverflowError as error:
        raise invalid(f"{what} holds a number beyond float64") from error


def base64_vector(text: Any) -> client.Vector:
    """Make one vector of the base64 of little-endian float32 numbers.

    Raises
    ------
    CheckError
        ``ResponseInvalid``: it is not base64, or of a length that is no number of float32 values.
    """
    if not isinstance(text, str):
        raise invalid("an `embedding` is not the base64 text that was asked for")
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise invalid("an `embedding` is not valid base64") from error
    if not raw or len(raw) % 4:
        raise invalid(f"an `embedding` of {len(raw)} bytes in base64 is no whole number of float32 values")
    return np.frombuffer(raw, dtype="<f4").astype(np.float32)


def _refuse_error(value: dict[str, Any]) -> None:
    """Name what an object reports instead of an answer."""
    error = value.get("error")
    if error is None and value.get("object") == "error":
        error = value.get("message") or "no message"
    if isinstance(error, dict):
        error = error.get("message") or "no message"
    if error:
        said = error if isinstance(error, str) else "no message"
        raise invalid(f"the server answered 200 with an error: {v.sentence(said[:400], 200)}")
