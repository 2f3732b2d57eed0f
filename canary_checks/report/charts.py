"""The geometry of the charts: where on a logarithmic axis each row of a result lies, in percent of the width.

Positions are percentages, so that one SVG fits a phone and a wide screen without scaling its text.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.report import words

_LOWEST: Final = -18
"""1e-18 is below the rounding of float64: what is smaller is drawn there."""
_TICKS: Final = 5
_MARGIN: Final = 2.0
_ZERO_WIDTH: Final = 14.0
_STEPS: Final = 400
"""Distinct positions in one row: points closer together than that are drawn once, as one."""
_DECADES_BELOW: Final = 6
_DECADES_ABOVE: Final = 3
_RELATIVE: Final = "log₁₀ |‖candidate‖ / ‖reference‖ − 1|"

LIMITS: Final = {
    "cosineDistance": "CosineDistanceWorst",
    "normDeviation": "NormDeviationWorst",
    "repeatDistance": "RepeatDistanceWorst",
    "repeatNormDeviation": "RepeatNormDeviationWorst",
    "batchDistance": "BatchDistanceWorst",
    "latencyMilliseconds": "LatencyP95Milliseconds",
}
_BESIDE: Final = {"latencyMilliseconds": ("recordedLatencyMilliseconds", "recorded")}
"""Series whose chart has another one's values as one more strip, with that strip's label."""
STRATUM: Final = "stratum"
"""The series that says of each row which of the result's strata it is in."""


@dataclasses.dataclass(frozen=True)
class Point:
    """One position of a row's strip, and how many values lie there."""

    x: float
    count: int
    beyond: bool
    title: str


@dataclasses.dataclass(frozen=True)
class Strip:
    """The values of one stratum, or of one result, on the axis of its chart."""

    label: str
    points: tuple[Point, ...]
    items: int
    failed: int
    missing: int
    """Values that are no numbers: rows that one side refused, or NaN."""


@dataclasses.dataclass(frozen=True)
class Tick:
    """A mark of the axis."""

    x: float
    label: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """Strips over one axis.

    Attributes
    ----------
    title, unit
        What is shown, and how the axis is to be read.
    limit, limit_label
        Where the gate's limit lies, or None when there is none.
    """

    title: str
    unit: str
    strips: tuple[Strip, ...]
    ticks: tuple[Tick, ...]
    limit: float | None
    limit_label: str


@dataclasses.dataclass(frozen=True)
class _Axis:
    """Decades from `low` to `high`; zeros, whose logarithm lies nowhere, are at the left edge before them."""

    low: int
    high: int
    zeros: bool

    def at(self, value: float) -> float:
        start = _MARGIN + (_ZERO_WIDTH if self.zeros else 0.0)
        if value <= 0:
            return _MARGIN
        exponent = min(max(math.log10(value), self.low), self.high)
        share = (exponent - self.low) / (self.high - self.low)
        return round(start + share * (100 - _MARGIN - start), 2)

    def ticks(self) -> tuple[Tick, ...]:
        step = max(1, math.ceil((self.high - self.low) / _TICKS))
        # From the right, so that the largest decade always has its label.
        exponents = sorted(range(self.high, self.low - 1, -step))
        marks = [Tick(self.at(10.0**exponent), str(exponent).replace("-", "−")) for exponent in exponents]
        return (Tick(_MARGIN, "−∞"), *marks) if self.zeros else tuple(marks)


@dataclasses.dataclass(frozen=True)
class Named:
    """A series of a result, with the parts of its name.

    Attributes
    ----------
    operation, against
        Empty where the result has one operation, or the series no reference.
    quantity
        What was measured.
    """

    operation: str
    quantity: str
    against: str
    values: tuple[v.Number, ...]


def named(result: schema.CheckResult) -> list[Named]:
    """Return the series of a result that the charts know, by the parts of their names."""
    found = []
    for name, values in result.series.items():
        parts = name.split(":")
        place = next((i for i, part in enumerate(parts) if part in LIMITS), None)
        if place is not None:
            before, after = ":".join(parts[:place]), ":".join(parts[place + 1 :])
            found.append(Named(before, parts[place], after, values))
    return found


def by_stratum(result: schema.CheckResult) -> list[Chart]:
    """Draw each series of a result with one strip for each stratum.

    Parameters
    ----------
    result
        Any; one without series (a termination message) gives no chart.

    Returns
    -------
    One chart for each series; all values are one strip where the result does not say their strata.
    """
    charts = []
    for one in named(result):
        limit = _limit(result, one)
        groups = _groups(result, one) | _beside(result, one)
        charts.append(_chart(_title(one), one.quantity, groups, limit, names_failed=limit is not None))
    return charts


def by_subject(group: Sequence[schema.CheckResult]) -> list[Chart]:
    """Draw each series that several results share with one strip for each result."""
    charts = []
    keys = dict.fromkeys((n.operation, n.quantity, n.against) for one in group for n in named(one))
    for key in keys:
        strips, limits = {}, []
        for place, result in enumerate(group, start=1):
            one = next((n for n in named(result) if (n.operation, n.quantity, n.against) == key), None)
            if one is not None:
                label = words.subject(result)
                strips[label if label not in strips else f"{label} ({place})"] = one.values
                limits.append(_limit(result, one))
        # Limits are calibrated for each pair; a line that is not everybody's would mislead.
        limit = limits[0] if len(set(limits)) == 1 else None
        title = _title(Named(*key, values=()))
        charts.append(_chart(title, key[1], strips, limit, names_failed=limit is not None))
    return charts


def bar(gate: schema.Gate) -> float | None:
    """Return how far a gate's bar reaches, in percent; the limit is at `LIMIT_AT`.

    Parameters
    ----------
    gate
        Any.

    Returns
    -------
    None for a gate that no bar can show: a count that must be exact, or a limit that is 0.
    """
    if gate.operator == "==" or isinstance(gate.limit, str) or gate.limit <= 0:
        return None
    if isinstance(gate.observed, str):
        return 100.0 if gate.verdict is v.Verdict.FAIL else None
    ratio = gate.observed / gate.limit
    if gate.operator == ">=":
        ratio = 1 / ratio if ratio > 0 else math.inf
    if ratio <= 0:
        return 0.0
    decades = math.log10(ratio) if math.isfinite(ratio) else math.inf
    share = (min(max(decades, -_DECADES_BELOW), _DECADES_ABOVE) + _DECADES_BELOW) / (
        _DECADES_BELOW + _DECADES_ABOVE
    )
    return round(100 * share, 1)


LIMIT_AT: Final = round(100 * _DECADES_BELOW / (_DECADES_BELOW + _DECADES_ABOVE), 1)


def _title(one: Named) -> str:
    before = f"{one.operation}: " if one.operation else ""
    after = f" against {one.against}" if one.against else ""
    return f"{before}{words.quantity(one.quantity)}{after}"


def _limit(result: schema.CheckResult, one: Named) -> float | None:
    for gate in result.gates:
        same = (gate.operation or "") == one.operation and gate.against == (one.against or "Absolute")
        if gate.metric == LIMITS[one.quantity] and same and isinstance(gate.limit, float):
            return gate.limit
    return None


def _groups(result: schema.CheckResult, one: Named) -> dict[str, tuple[v.Number, ...]]:
    key = f"{one.operation}:{STRATUM}" if one.operation else STRATUM
    strata = result.series.get(key, ())
    names = [stratum.name for stratum in result.strata]
    places = [int(place) if isinstance(place, float) else -1 for place in strata]
    if len(places) != len(one.values) or any(not 0 <= place < len(names) for place in places):
        return {"all items": one.values}
    groups: dict[str, list[v.Number]] = {}
    for place, value in zip(places, one.values, strict=True):
        groups.setdefault(names[place], []).append(value)
    return {name: tuple(values) for name, values in groups.items()}


def _beside(result: schema.CheckResult, one: Named) -> dict[str, tuple[v.Number, ...]]:
    name, label = _BESIDE.get(one.quantity, ("", ""))
    values = result.series.get(f"{one.operation}:{name}" if one.operation else name, ())
    return {label: values} if values else {}


def _chart(
    title: str,
    quantity: str,
    groups: Mapping[str, Sequence[v.Number]],
    limit: float | None,
    *,
    names_failed: bool,
) -> Chart:
    axis = _axis([value for values in groups.values() for value in values], limit)
    strips = tuple(_strip(label, values, axis, limit) for label, values in groups.items())
    unit = "log₁₀(1 − cos)" if quantity.lower().endswith("distance") else _RELATIVE
    return Chart(
        title=title,
        unit="log₁₀ ms" if quantity in _BESIDE else unit,
        strips=strips,
        ticks=axis.ticks(),
        limit=axis.at(limit) if limit is not None and limit > 0 and names_failed else None,
        limit_label=words.number(limit),
    )


def _axis(values: Sequence[v.Number], limit: float | None) -> _Axis:
    finite = [value for value in values if isinstance(value, float)]
    drawn = [value for value in finite if value > 0]
    zeros = len(drawn) < len(finite)
    if limit is not None and limit > 0:
        drawn.append(limit)
    if not drawn:
        return _Axis(_LOWEST, 0, zeros)
    low = max(_LOWEST, math.floor(math.log10(min(drawn))))
    high = max(low + 1, math.ceil(math.log10(max(drawn))))
    return _Axis(low, high, zeros)


def _strip(label: str, values: Sequence[v.Number], axis: _Axis, limit: float | None) -> Strip:
    finite = [float(value) for value in values if not isinstance(value, str)]
    endless = sum(1 for value in values if value in {"Infinity", "-Infinity"})
    places: dict[int, list[float]] = {}
    for value in finite:
        places.setdefault(round(axis.at(value) / 100 * _STEPS), []).append(value)
    points = [
        Point(
            x=round(100 * place / _STEPS, 2),
            count=len(found),
            beyond=limit is not None and max(found) > limit,
            title=f"{label}: {words.number(max(found))}"
            + (f" ({len(found)} rows)" if len(found) > 1 else ""),
        )
        for place, found in sorted(places.items())
    ]
    if endless:
        points.append(Point(100 - _MARGIN / 2, endless, beyond=True, title=f"{label}: {endless} infinite"))
    return Strip(
        label=label,
        points=tuple(points),
        items=len(values),
        failed=sum(1 for value in finite if limit is not None and value > limit) + endless,
        missing=len(values) - len(finite) - endless,
    )
