"""What was seen of one SLO: cumulative counts over all pods, at the times of their scrapes."""

import bisect
import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, overload

from modelrelease.api.verdict import Verdict
from modelrelease.slo import counters


@dataclass(frozen=True, slots=True)
class Events:
    """Counts of user requests."""

    total: int = 0
    """Requests that say something: a 4xx is the caller's mistake and is not among them."""
    bad: int = 0
    """Certainly bad."""
    possibly_bad: int = 0
    """Certainly or perhaps bad: more than `bad` only where a threshold lies between two buckets."""
    client_errors: int = 0
    """4xx, reported only."""

    def __add__(self, more: "Events") -> "Events":
        """Return what was counted by both."""
        return Events(
            self.total + more.total,
            self.bad + more.bad,
            self.possibly_bad + more.possibly_bad,
            self.client_errors + more.client_errors,
        )

    def __sub__(self, earlier: "Events") -> "Events":
        """Return what was counted since `earlier`."""
        return Events(
            self.total - earlier.total,
            self.bad - earlier.bad,
            self.possibly_bad - earlier.possibly_bad,
            self.client_errors - earlier.client_errors,
        )

    def mended(self) -> "Events":
        """Return counts that can be, of what a scrape caught between two buckets of a histogram."""
        if 0 <= self.bad <= self.possibly_bad <= self.total and self.client_errors >= 0:
            return self
        possible = min(max(self.possibly_bad, 0), self.total)
        return Events(self.total, min(max(self.bad, 0), possible), possible, max(self.client_errors, 0))


_NONE: Final = Events()
_Sums = list[list[float] | None]
"""Of each kind of count, what each scrape has added; None where that is nothing."""
_Counts = tuple[int, ...]
_Columns = tuple[tuple[float, ...], _Counts, _Counts, _Counts, _Counts]


@dataclass(frozen=True, slots=True)
class Point:
    """Everything counted since the start, as of one scrape."""

    time: float
    events: Events


@dataclass(frozen=True, slots=True, eq=False)
class Line(Sequence[Point]):
    """Points in columns, ascending in time: most of what is asked of them is asked of a column."""

    times: tuple[float, ...] = ()
    total: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()
    possibly_bad: tuple[int, ...] = ()
    client_errors: tuple[int, ...] = ()

    @classmethod
    def of(cls, points: Sequence[Point]) -> "Line":
        """Return points in columns, as they are where they are so already."""
        if isinstance(points, cls):
            return points
        every = [point.events for point in points]
        return cls(
            tuple(point.time for point in points),
            tuple(events.total for events in every),
            tuple(events.bad for events in every),
            tuple(events.possibly_bad for events in every),
            tuple(events.client_errors for events in every),
        )

    @overload
    def __getitem__(self, index: int) -> Point: ...

    @overload
    def __getitem__(self, index: slice) -> "Line": ...

    def __getitem__(self, index: int | slice) -> "Point | Line":
        """Return one point, or the points of a slice."""
        if isinstance(index, slice):
            times, total, bad, possibly_bad, client_errors = self.columns
            return Line(times[index], total[index], bad[index], possibly_bad[index], client_errors[index])
        return Point(self.times[index], self.events(index))

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.times)

    def __eq__(self, other: object) -> bool:
        """Tell whether the points are the same, in columns or not."""
        if isinstance(other, Line):
            return self.columns == other.columns
        return isinstance(other, tuple) and tuple(self) == other

    def __hash__(self) -> int:
        """Return the hash of equal points."""
        return hash(tuple(self))

    @property
    def columns(self) -> _Columns:
        """Times and counts."""
        return self.times, self.total, self.bad, self.possibly_bad, self.client_errors

    def events(self, index: int) -> Events:
        """Return what had been counted by one of the points."""
        return Events(self.total[index], self.bad[index], self.possibly_bad[index], self.client_errors[index])

    def since(self, index: int, before: Events) -> "Line":
        """Return the points from one on, counted from what had been counted before."""
        later = self[index:]
        if before == _NONE:
            return later
        total = tuple([value - before.total for value in later.total])
        possible = _at_most([value - before.possibly_bad for value in later.possibly_bad], total)
        return Line(
            later.times,
            total,
            _at_most([value - before.bad for value in later.bad], possible),
            possible,
            tuple([value - before.client_errors for value in later.client_errors]),
        )


@dataclass(frozen=True, slots=True)
class Boundaries:
    """The buckets around a latency threshold, in seconds; equal when it is a boundary itself."""

    lower: float
    """0 when the threshold lies below every bucket."""
    upper: float
    """Infinity when it lies above every finite one."""


@dataclass(frozen=True, slots=True)
class SliObservation:
    """What Prometheus knows of one SLO of one revision.

    Parameters
    ----------
    start : float
        Seconds since the epoch, from which requests count.
    points : sequence of Point
        Ascending in time, cumulative, all after `start`.
    boundaries : Boundaries, optional
        Of a latency objective.
    blind : tuple of str
        Serving pods without a fresh sample: their requests are not in the counts.
    interval : float
        Seconds between scrapes, as observed; 0 when unknown.
    """

    start: float
    points: Sequence[Point]
    boundaries: Boundaries | None = None
    blind: tuple[str, ...] = ()
    interval: float = 0.0

    def __post_init__(self) -> None:
        """Keep the points in columns."""
        object.__setattr__(self, "points", Line.of(self.points))

    @property
    def line(self) -> Line:
        """The points, in columns."""
        return Line.of(self.points)

    def until(self, time: float) -> Events:
        """Return what was counted up to and including an instant."""
        line = self.line
        index = bisect.bisect_right(line.times, time)
        return line.events(index - 1) if index else _NONE

    def between(self, start: float, end: float) -> Events:
        """Return what was counted in (start, end]; never negative, and never more bad than all."""
        return (self.until(end) - self.until(start)).mended()

    def since(self, time: float) -> "SliObservation":
        """Return the same line counted from a later instant; an earlier one changes nothing."""
        if time <= self.start:
            return self
        index = bisect.bisect_right(self.line.times, time)
        before = self.line.events(index - 1) if index else _NONE
        return replace(self, start=time, points=self.line.since(index, before))


@dataclass(frozen=True, slots=True)
class SliFailure:
    """Why there is nothing to judge: NoData or Error, in the words of a condition."""

    verdict: Verdict
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """What the requests of one series mean for the counts: +1, 0 or −1 each.

    A latency histogram counts requests *up to* a boundary; the slow ones are the difference to all.
    """

    series: counters.CounterSeries
    observed_since: float | None = None
    restarts: Sequence[float] = field(default=())
    total: int = 0
    bad: int = 0
    possibly_bad: int = 0
    client_errors: int = 0


def accumulate(contributions: Iterable[Contribution], start: float, end: float) -> Line:
    """Merge the series of all pods into one cumulative line.

    Parameters
    ----------
    contributions : Iterable of Contribution
        In any order.
    start, end : float
        Seconds since the epoch; (start, end] counts.

    Returns
    -------
    Line
        One point per scrape time, ascending.
    """
    # What was scraped together is summed up together: as a rule all series of a pod.
    together: dict[tuple[float, ...], _Sums] = {}
    for part in contributions:
        scrapes, added = counters.differences(
            part.series, start, end, observed_since=part.observed_since, restarts=part.restarts
        )
        if not scrapes:
            continue
        sums = together.setdefault(scrapes, [None, None, None, None])
        if not any(added):
            continue
        weights = (part.total, part.bad, part.possibly_bad, part.client_errors)
        for kind, weight in enumerate(weights):
            if weight:
                sums[kind] = _plus(sums[kind], added, weight)
    times, every = _merged(together)
    total, bad, possibly_bad, client_errors = map(_cumulated, every)
    whole = _whole(total, len(times))
    possible = _at_most(_whole(possibly_bad, len(times)), whole)
    return Line(
        times,
        whole,
        _at_most(_whole(bad, len(times)), possible),
        possible,
        _whole(client_errors, len(times)),
    )


def _plus(sums: list[float] | None, added: list[float], weight: int) -> list[float]:
    """Return sums to which so many times what was added is added."""
    weighed = added if weight == 1 else [weight * value for value in added]
    return weighed if sums is None else list(map(operator.add, sums, weighed))


def _merged(together: Mapping[tuple[float, ...], _Sums]) -> tuple[tuple[float, ...], _Sums]:
    """Return all times, ascending, and what was added at each."""
    if not together:
        return (), [None] * 4
    if len(together) == 1:
        return next(iter(together.items()))
    times = sorted(set().union(*together))
    merged: _Sums = []
    for kind in range(4):
        counted: dict[float, float] = {}
        for scrapes, sums in together.items():
            added = sums[kind]
            if added is None:
                continue
            if not counted:
                counted = dict(zip(scrapes, added, strict=True))
                continue
            for time, value in zip(scrapes, added, strict=True):
                counted[time] = counted.get(time, 0.0) + value
        merged.append(list(map(counted.get, times, itertools.repeat(0.0))) if counted else None)
    return tuple(times), merged


def _cumulated(added: list[float] | None) -> Iterable[float] | None:
    return None if added is None else itertools.accumulate(added)


def _whole(counted: Iterable[float] | None, length: int) -> tuple[int, ...]:
    """Round counts."""
    return (0,) * length if counted is None else tuple(map(round, counted))


def _at_most(counted: Sequence[int], limit: tuple[int, ...]) -> tuple[int, ...]:
    """Mend what a scrape caught between two buckets of a histogram: no less than none, no more than all."""
    if min(counted, default=0) >= 0 and all(map(operator.le, counted, limit)):
        return tuple(counted)
    return tuple([min(max(value, 0), most) for value, most in zip(counted, limit, strict=True)])
