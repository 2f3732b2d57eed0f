"""Results out of the texts in which they are kept: JSON, a check's log, its termination message."""

import json
from typing import Any, Final

import pydantic

from canary_checks import failure, result, schema
from canary_checks import vocabulary as v

LIMIT_BYTES: Final = 64 << 20
"""More is no text of results."""

_RESULT: Final = pydantic.TypeAdapter(schema.CheckResult)


def results(content: bytes, name: str) -> list[schema.CheckResult]:
    """Read every result of a text.

    Parameters
    ----------
    content
        A JSON array of results, one result, one evidence, several of them one per line, or a check's log.
    name
        Where it is from, for the message.

    Returns
    -------
    At least one result, in the order of the text.

    Raises
    ------
    CheckError
        ``ResultUnreadable``: there is none, or one does not follow the schema.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise failure.CheckError("ResultUnreadable", f"{name}: it is no text in UTF-8") from error
    found = [_one(value, name) for value in _values(text, name)]
    if not found:
        raise failure.CheckError("ResultUnreadable", f"{name}: it holds no result")
    return found


def _values(text: str, name: str) -> list[Any]:
    whole = text.strip()
    logged = [line for line in whole.splitlines() if line.startswith(result.EVIDENCE_PREFIX)]
    try:
        if logged:
            return [json.loads(line.removeprefix(result.EVIDENCE_PREFIX)) for line in logged]
        if whole.startswith("["):
            return list(json.loads(whole))
        try:
            return [json.loads(whole)] if whole else []
        except ValueError:
            return [json.loads(line) for line in whole.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise failure.CheckError("ResultUnreadable", f"{name}: it is not JSON: {error}") from error


def _one(value: Any, name: str) -> schema.CheckResult:
    if isinstance(value, dict) and "result" in value:
        value = value["result"]
    try:
        return _RESULT.validate_json(json.dumps(value), by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "result"
        about = f"{name}: a result does not follow the schema: {where}: {first['msg']}"
        raise failure.CheckError("ResultUnreadable", v.sentence(about)) from error
