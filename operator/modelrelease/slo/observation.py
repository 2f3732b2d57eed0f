"""What was seen of one SLO: cumulative counts over all pods, at the times of their scrapes."""

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

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
        index = bisect.bisect_right(self.points, time, key=attrgetter("time"))
        return self.points[index - 1].events if index else Events()

    def between(self, start: float, end: float) -> Events:
        """Return what was counted in (start, end]; never negative, and never more bad than all."""
        counted = self.until(end) - self.until(start)
        return _events(counted.total, counted.bad, counted.possibly_bad, counted.client_errors)

    def since(self, time: float) -> "SliObservation":
        """Return the same line counted from a later instant; an earlier one changes nothing."""
        if time <= self.start:
            return self
        points = tuple(
            Point(point.time, self.between(time, point.time)) for point in self.points if point.time > time
        )
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
    added = [
        (sample.time, sample.value, part)
        for part in contributions
        for sample in counters.deltas(
            part.series, start, end, observed_since=part.observed_since, restarts=part.restarts
        )
    ]
    added.sort(key=lambda item: item[0])
    points = []
    total = bad = possibly_bad = client_errors = 0.0
    for time, group in itertools.groupby(added, key=lambda item: item[0]):
        for _, value, part in group:
            total += part.total * value
            bad += part.bad * value
            possibly_bad += part.possibly_bad * value
            client_errors += part.client_errors * value
        points.append(Point(time, _events(total, bad, possibly_bad, client_errors)))
    return tuple(points)


def _events(total: float, bad: float, possibly_bad: float, client_errors: float) -> Events:
    """Round counts, and mend a scrape that caught a histogram between two of its buckets."""
    whole = round(total)
    possible = min(max(round(possibly_bad), 0), whole)
    return Events(whole, min(max(round(bad), 0), possible), possible, round(client_errors))
