"""What a server tells of itself, as dotted names and short texts that can be diffed."""

import hashlib
from typing import Any, Final

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.clients import client, parsing, transport

_NAMES: Final = 256
_NAME_LENGTH: Final = 160
_TEXT_LENGTH: Final = 128
_DEPTH: Final = 4
_HTTP_OK: Final = 200


async def told(over: transport.Transport, url: str) -> Any:
    """GET a document that a server may or may not have.

    Returns
    -------
    The JSON value, or None when the server has none: another status, or no JSON.

    Raises
    ------
    CheckError
        The server does not answer at all.
    """
    reply = await over.look(url)
    if reply.status != _HTTP_OK:
        return None
    try:
        return parsing.document(reply.body)
    except failure.CheckError:
        return None


def flat(value: Any, prefix: str) -> client.Description:
    """Name every scalar inside a JSON value.

    Parameters
    ----------
    value
        Any JSON value.
    prefix
        The dotted name of the value itself.

    Returns
    -------
    At most 256 names down to 4 levels: objects by their keys, a list of objects by their ``name`` or place, a
    list of scalars as one text. What is null is absent.
    """
    found: client.Description = {}
    _flatten(value, prefix, _DEPTH, found)
    return found


def short(text: str) -> str:
    """Return at most 128 characters; a longer text ends in its digest, so that a diff sees what was cut."""
    line = v.sentence(text, len(text) + 1)
    if len(line) <= _TEXT_LENGTH:
        return line
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{line[: _TEXT_LENGTH - len(digest) - 2]}… {digest}"


def _flatten(value: Any, name: str, depth: int, found: client.Description) -> None:
    if value is None or len(found) >= _NAMES:
        return
    if isinstance(value, dict):
        children = [(str(key), child) for key, child in sorted(value.items())]
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        children = [(_name(one, place), one) for place, one in enumerate(value[:_NAMES])]
    else:
        found[v.sentence(name, _NAME_LENGTH)] = short(_text(value))
        return
    if depth:
        for key, child in children[:_NAMES]:
            _flatten(child, f"{name}.{key[:_NAME_LENGTH]}", depth - 1, found)


def _name(one: Any, place: int) -> str:
    name = one.get("name") if isinstance(one, dict) else None
    return name if isinstance(name, str) and name else str(place)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        # A set in the server comes in any order; a shape does not.
        texts = [_text(one) if not isinstance(one, list) else "[…]" for one in value[:64]]
        ordered = sorted(texts) if any(isinstance(one, str) for one in value) else texts
        return f"[{', '.join(ordered)}]"
    return value if isinstance(value, str) else str(value)
