"""What is wrong with a manifest's fields, in the words of people instead of pydantic's."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import pydantic
from pydantic_core import ErrorDetails

from modelrelease.api import base


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One field that is wrong."""

    path: str
    """Such as ``spec.slos[0].objective``."""
    message: str
    """Follows the path: what must be, and what to change."""
    unknown: bool = False
    """The field is not one of the API's."""

    def __str__(self) -> str:
        """Return path and message."""
        return f"{self.path}: {self.message}"


def problems(error: pydantic.ValidationError, at: str) -> tuple[Problem, ...]:
    """Return what a validation found, one problem for each field.

    Parameters
    ----------
    error
        From validating the value at ``at``.
    at
        The path of the validated value.
    """
    found: dict[str, Problem] = {}
    for details in error.errors(include_url=False):
        path = joined(at, details["loc"])
        unknown = details["type"] == "extra_forbidden"
        found.setdefault(path, Problem(path, _message(details), unknown))
    return tuple(found.values())


def joined(at: str, parts: Iterable[int | str]) -> str:
    """Return the path of a part of the value at ``at``."""
    tail = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return (at + tail).removeprefix(".")


_MESSAGES = {
    "missing": "must be set: add it",
    "extra_forbidden": "is not a field of this API version: remove it, or check its spelling",
    "string_type": "must be a string: put the value in quotes",
    "int_type": "must be a whole number without quotes",
    "int_from_float": "must be a whole number: remove the fraction",
    "model_type": "must be an object: write its fields below it, or {{}} for none",
    "model_attributes_type": "must be an object: write its fields below it, or {{}} for none",
    "dict_type": "must be a map of names to values: write {{}} for none",
    "list_type": "must be a list: start each entry with '- '",
    "enum": "must be {expected}, not {input}",
    "literal_error": "must be {expected}, not {input}",
    "greater_than_equal": "must be at least {ge}, not {input}: raise it",
    "less_than_equal": "must be at most {le}, not {input}: lower it",
    "string_too_short": "must not be empty: write a value",
    "string_too_long": "must have at most {max_length} characters: shorten it",
}


def _message(details: ErrorDetails) -> str:
    kind, facts = details["type"], details.get("ctx", {})
    if kind == "string_pattern_mismatch":
        words = base.PATTERN_WORDS.get(facts["pattern"], f"text that matches {facts['pattern']}")
        return f"must be {words}, not {_shown(details['input'])}"
    if kind == "too_long":
        return f"must have at most {facts['max_length']} entries, not {facts['actual_length']}: remove some"
    if kind == "too_short":
        return f"must have at least {facts['min_length']} entry: add one, or leave the field out"
    template = _MESSAGES.get(kind)
    if template is None:
        return details["msg"]
    return template.format_map(facts | {"input": _shown(details["input"])})


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004 -- a line of a terminal
