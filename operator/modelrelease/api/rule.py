"""What a rule is: its CEL for the API server, and the same in Python for everyone else."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One rule at one or more places."""

    id: str
    paths: tuple[str, ...]
    """Where ``self`` is, such as ``spec.checks[*]``; the empty path is the whole object."""
    cel: str
    message: str
    """One sentence that follows the path: what must be, and what to change."""
    holds: Callable[[Any], bool]
    """The same as ``cel``, of the JSON value with its defaults."""
    field: str = ""
    """The field below ``self`` that is blamed, such as ``.steps``."""


def one_of(fields: Sequence[str]) -> str:
    """Return the CEL of: exactly one of these fields is there."""
    return f"[{', '.join(f'has(self.{field})' for field in fields)}].filter(x, x).size() == 1"


def has_one_of(value: Mapping[str, Any], fields: Sequence[str]) -> bool:
    """Return whether exactly one of these fields is there."""
    return sum(field in value for field in fields) == 1
