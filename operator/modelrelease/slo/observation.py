"""What was seen of one SLO: cumulative counts over all pods, at the times of their scrapes."""

import bisect
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

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


_TIME: Final = operator.attrgetter("time")


@dataclass(frozen=True, slots=True)
class Point:
    """Everything counted since the start, as of one scrape."""

    time: float
    events: Events


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
    points: tuple[Point, ...]
    boundaries: Boundaries | None = None
    blind: tuple[str, ...] = ()
    interval: float = 0.0

    def until(self, time: float) -> Events:
        """Return what was counted up to and including an instant."""
        index = bisect.bisect_right(self.points, time, key=_TIME)
        return self.points[index - 1].events if index else Events()

    def between(self, start: float, end: float) -> Events:
        """Return what was counted in (start, end]; never negative, and never more bad than all."""
        return _counted(self.until(end) - self.until(start))

    def since(self, time: float) -> "SliObservation":
        """Return the same line counted from a later instant; an earlier one changes nothing."""
        if time <= self.start:
            return self
        index = bisect.bisect_right(self.points, time, key=_TIME)
        points = self.points[index:]
        before = self.points[index - 1].events if index else Events()
        if before != Events():
            points = tuple(Point(point.time, _counted(point.events - before)) for point in points)
        return replace(self, start=time, points=points)


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


def accumulate(contributions: Iterable[Contribution], start: float, end: float) -> tuple[Point, ...]:
    """Merge the series of all pods into one cumulative line.

    Parameters
    ----------
    contributions : Iterable of Contribution
        In any order.
    start, end : float
        Seconds since the epoch; (start, end] counts.

    Returns
    -------
    tuple of Point
        One per scrape time, ascending.
    """
    times: set[float] = set()
    sums: tuple[dict[float, float], ...] = ({}, {}, {}, {})
    for part in contributions:
        scrapes, added = counters.differences(
            part.series, start, end, observed_since=part.observed_since, restarts=part.restarts
        )
        times.update(scrapes)
        weights = (part.total, part.bad, part.possibly_bad, part.client_errors)
        weighed = [(counted, weight) for counted, weight in zip(sums, weights, strict=True) if weight]
        for time, value in zip(scrapes, added, strict=True):
            if value:
                for counted, weight in weighed:
                    counted[time] = counted.get(time, 0.0) + weight * value
    points = []
    totals, bads, possibly_bads, client_errors = sums
    total = bad = possibly_bad = client_error = 0.0
    for time in sorted(times):
        total += totals.get(time, 0.0)
        bad += bads.get(time, 0.0)
        possibly_bad += possibly_bads.get(time, 0.0)
        client_error += client_errors.get(time, 0.0)
        points.append(Point(time, _events(total, bad, possibly_bad, client_error)))
    return tuple(points)


def _counted(difference: Events) -> Events:
    """Mend what a scrape caught between two buckets of a histogram."""
    possible = min(max(difference.possibly_bad, 0), difference.total)
    bad = min(max(difference.bad, 0), possible)
    return Events(difference.total, bad, possible, difference.client_errors)


def _events(total: float, bad: float, possibly_bad: float, client_errors: float) -> Events:
    """Round counts, and mend a scrape that caught a histogram between two of its buckets."""
    whole = round(total)
    possible = min(max(round(possibly_bad), 0), whole)
    return Events(whole, min(max(round(bad), 0), possible), possible, round(client_errors))
