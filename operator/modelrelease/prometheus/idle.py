"""While no user can reach the canary its series must not move, or the selector counts something else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus.counting import Counted
from modelrelease.prometheus.targets import SliError
from modelrelease.slo import counters

OWN_FACTOR = 2
OWN_SLACK = 20
"""A retry or a batch counts our own requests more than once: so many more prove nothing."""


@dataclass(frozen=True, slots=True)
class Idle:
    """A time in which no user reached the pods.

    Parameters
    ----------
    start, end : float
        Seconds since the epoch, by the cluster's clock.
    own : int
        Requests that our checks sent in it; 0 where there were none, and then nothing may move at all.
    """

    start: float
    end: float
    own: int = 0

    @property
    def allowed(self) -> int:
        """How many requests may be counted."""
        return OWN_FACTOR * self.own + OWN_SLACK if self.own else 0


def check(counted: Counted, idle: Sequence[Idle], ahead: float) -> None:
    """Make sure that nothing but our own requests was counted in those times.

    A time without two scrapes in it proves nothing, and is passed over.

    Parameters
    ----------
    counted : Counted
        The series that count.
    idle : sequence of Idle
        When.
    ahead : float
        By how many seconds Prometheus' clock is ahead of the cluster's.

    Raises
    ------
    SliError
        Error, if more was counted.
    """
    for span in idle:
        found = moved(counted, span.start + ahead, span.end + ahead)
        if found > span.allowed:
            ours = f", and our checks sent {span.own}" if span.own else ""
            raise SliError(
                Verdict.ERROR,
                "SelectorCountsOthers",
                f"{found} requests were counted while no user could reach the pods{ours}: the metric counts "
                f"others as well, such as health checks, or somebody reaches the canary",
            )


def moved(counted: Counted, start: float, end: float) -> int:
    """Return how many requests were counted between the first and the last scrape in [start, end]."""
    total = 0.0
    for target in counted.targets:
        first = next((time for time in target.scrapes if start <= time <= end), None)
        if first is None:
            continue
        restarts = counters.resets(target.series)
        total += math.fsum(
            counters.increase(
                series, first, end, observed_since=target.observed_since, restarts=restarts
            ).value
            for series in target.series
        )
    return round(total)
