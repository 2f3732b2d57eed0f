"""What a dashboard is made of, in our words: a panel asks, and says what it shows and in which unit."""

import dataclasses
import enum


class Kind(enum.Enum):
    """How a panel shows its answers."""

    LINES = enum.auto()
    NUMBER = enum.auto()
    BARS = enum.auto()
    TABLE = enum.auto()
    HEATMAP = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """One PromQL query; a table's columns are its labels and values."""

    expr: str
    legend: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Panel:
    """One panel."""

    title: str
    description: str
    unit: str
    """Of Grafana, such as ``s``, ``reqps``, ``percentunit``."""
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    width: int = 12
    """Of 24 columns."""
    height: int = 8
    thresholds: tuple[tuple[float, str], ...] = ()
    """From which value on which colour."""
    optional: str = ""
    """Why it may be empty on a healthy installation."""


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """A query whose answers are marked across all panels."""

    name: str
    expr: str
    colour: str
    title: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """A variable that people type."""

    name: str
    label: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class Board:
    """One dashboard; its file is named after it."""

    name: str
    title: str
    description: str
    since: str
    refresh: str
    panels: tuple[Panel, ...]
    annotations: tuple[Annotation, ...]
    texts: tuple[Text, ...] = ()
