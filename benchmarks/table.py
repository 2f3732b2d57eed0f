"""What a benchmark reports: rows of a table."""

import dataclasses
import enum
import math
from collections.abc import Sequence


class Bound(enum.StrEnum):
    """How a value is held against its target."""

    AT_MOST = "≤"
    AT_LEAST = "≥"
    EXACTLY = "="


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """What the project promises of a value."""

    limit: float
    bound: Bound = Bound.AT_MOST

    def met(self, value: float) -> bool:
        """Return whether a value keeps the promise; NaN keeps none."""
        match self.bound:
            case Bound.AT_MOST:
                return value <= self.limit
            case Bound.AT_LEAST:
                return value >= self.limit
            case Bound.EXACTLY:
                return value == self.limit

    def __str__(self) -> str:
        return f"{self.bound} {number(self.limit)}"


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One measured value."""

    what: str
    value: float
    unit: str
    target: Target | None = None

    @property
    def verdict(self) -> str:
        """Whether the target is met; empty without one."""
        if self.target is None:
            return ""
        return "met" if self.target.met(self.value) else "MISSED"

    def cells(self) -> tuple[str, ...]:
        """Return the row for people."""
        return (self.what, number(self.value), self.unit, str(self.target or "–"), self.verdict)


HEADER = ("what", "value", "unit", "target", "")
RIGHT = 1


def number(value: float) -> str:
    """Write a number with three significant digits, and whole ones in full."""
    if not math.isfinite(value):
        return "–"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def render(title: str, rows: Sequence[Row], note: str = "") -> str:
    """Return a table as text.

    Parameters
    ----------
    title
        Above the table.
    rows
        In order.
    note
        Below it: how it was measured.
    """
    lines = [HEADER, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    written = [
        "  ".join(
            cell.rjust(width) if column == RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    written.insert(1, "─" * max(map(len, written)))
    return "\n".join([f"\n{title}", *written, *([note] if note else [])])
