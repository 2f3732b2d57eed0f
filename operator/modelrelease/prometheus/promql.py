"""Selectors from (label, value) pairs: nothing that a user wrote reaches PromQL unescaped."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a selector, already escaped."""

    label: str
    operator: str
    quoted: str

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{self.quoted}"


def equals(label: str, value: str) -> Matcher:
    """Return a matcher for exactly one value.

    Raises
    ------
    ValueError
        If the label has no valid name.
    """
    return Matcher(_label(label), "=", _quote(value))


def one_of(label: str, values: Iterable[str]) -> Matcher:
    """Return a matcher for any of the values; "" stands for an absent label.

    Prometheus anchors the expression at both ends. `re.escape` escapes ASCII punctuation only, which
    RE2 accepts.
    """
    return Matcher(_label(label), "=~", _quote("|".join(re.escape(value) for value in values)))


def none_of(label: str, values: Iterable[str]) -> Matcher:
    """Return a matcher for none of the values; as :func:`one_of`."""
    return Matcher(_label(label), "!~", _quote("|".join(re.escape(value) for value in values)))


def matching(label: str, pattern: str) -> Matcher:
    """Return a matcher for an expression of our own: never for what a user wrote."""
    return Matcher(_label(label), "=~", _quote(pattern))


def selector(metric: str, matchers: Iterable[Matcher], range_seconds: int | None = None) -> str:
    """Return a selector, over a range of whole seconds where one is given.

    Raises
    ------
    ValueError
        If the metric has no valid name, or the range is not positive.
    """
    if not METRIC.fullmatch(metric):
        raise ValueError(f"{metric!r} is no name of a metric")
    if range_seconds is not None and range_seconds < 1:
        raise ValueError(f"a range of {range_seconds} s is empty")
    inner = ",".join(str(matcher) for matcher in matchers)
    return f"{metric}{{{inner}}}" + (f"[{range_seconds}s]" if range_seconds else "")


def _label(name: str) -> str:
    if not LABEL.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a label")
    return name


def _quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
