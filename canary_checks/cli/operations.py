"""Operations of an endpoint from the command line or a file, in the words of the manifest."""

import contextlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pydantic

from canary_checks import operation
from canary_checks.cli import exits

_LIMIT_BYTES: Final = 1 << 20
_ADAPTER: Final = pydantic.TypeAdapter(operation.Operation)


def from_options(texts: Sequence[str]) -> tuple[operation.Operation, ...]:
    """Read operations such as ``name=image,protocol=OpenAIEmbeddings,modality=Image``.

    Parameters
    ----------
    texts
        One for each operation. What is no plain value, such as a body, needs a file.

    Returns
    -------
    The operations in their order.

    Raises
    ------
    UsageError
        A text is not of this form, or says what no operation can be.
    """
    return tuple(_checked(f"--operation {text}", _fields(text)) for text in texts)


def from_file(path: pathlib.Path) -> tuple[operation.Operation, ...]:
    """Read the operations of a file: a list, or a mapping with the key ``operations``.

    Parameters
    ----------
    path
        JSON where the name ends so, else YAML.

    Raises
    ------
    UsageError
        The file cannot be read or holds something else.
    """
    listed = document(path)
    if isinstance(listed, Mapping):
        listed = listed.get("operations")
    if not isinstance(listed, list) or not listed:
        raise exits.UsageError(f"{path}: it holds no list of operations")
    return tuple(_checked(f"{path}: operation {i}", fields) for i, fields in enumerate(listed, start=1))


def document(path: pathlib.Path) -> Any:
    """Read a YAML or JSON document of at most 1 MiB.

    Raises
    ------
    UsageError
        It cannot be opened, is too large, or is neither.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise exits.UsageError(f"{path}: {error.strerror}") from error
    if len(content) > _LIMIT_BYTES:
        raise exits.UsageError(f"{path}: it is larger than {_LIMIT_BYTES} bytes")
    try:
        return json.loads(content) if path.suffix == ".json" else _yaml(content)
    except (ValueError, RecursionError) as error:
        raise exits.UsageError(f"{path}: it cannot be read: {error}") from error


def _yaml(content: bytes) -> Any:
    try:
        import yaml  # noqa: PLC0415 - the image of the checks has no YAML, and its Job needs none
    except ImportError as error:
        raise exits.UsageError("PyYAML is not installed; write JSON, in a file named .json") from error
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _fields(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise exits.UsageError(f"--operation {text}: {part!r} is not KEY=VALUE")
        if key.strip() in fields:
            raise exits.UsageError(f"--operation {text}: {key.strip()} is given twice")
        fields[key.strip()] = value.strip()
    return fields


def _checked(where: str, fields: Any) -> operation.Operation:
    try:
        return _ADAPTER.validate_json(json.dumps(fields), by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        # On a command line a number is a text: those that should have been something else are read as JSON.
        if isinstance(fields, dict) and where.startswith("--operation") and _retyped(fields, error):
            return _checked(where, fields)
        raise exits.UsageError(f"{where}: {exits.first_problem(error)}") from error
    except (TypeError, ValueError) as error:
        raise exits.UsageError(f"{where}: it is no mapping of plain values: {error}") from error


def _retyped(fields: dict[str, Any], error: pydantic.ValidationError) -> bool:
    """Replace texts that were to be numbers or truths, and say whether there was one."""
    changed = False
    for problem in error.errors(include_url=False, include_context=False):
        name = problem["loc"][0] if problem["loc"] else ""
        text = fields.get(str(name))
        if isinstance(text, str) and problem["type"].endswith("_type"):
            with contextlib.suppress(ValueError):
                fields[str(name)] = json.loads(text)
                changed = True
    return changed
