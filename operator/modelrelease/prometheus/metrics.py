"""What series mean: which of them count requests, and which of those were bad.

A runtime's metrics (:mod:`modelrelease.prometheus.runtimes`) and a user's own series
(:mod:`modelrelease.prometheus.series`) are both said in these words.
"""

import enum
from dataclasses import dataclass

from modelrelease.prometheus import promql


@dataclass(frozen=True, slots=True)
class Weight:
    """What one request of a counter adds to the counts: +1, 0 or −1 each."""

    total: int = 0
    bad: int = 0
    client_errors: int = 0

    def __add__(self, other: "Weight") -> "Weight":
        """Return what a series means that two selections count."""
        return Weight(
            self.total + other.total, self.bad + other.bad, self.client_errors + other.client_errors
        )


GOOD = Weight(total=1)
BAD = Weight(total=1, bad=1)
ALSO_BAD = Weight(bad=1)
"""Bad, and already counted among the answered: a failure that answers 200."""
CLIENT_ERROR = Weight(client_errors=1)
"""The caller's mistake: neither good nor bad, and reported."""
GOOD_AMONG_BAD = Weight(bad=-1)
"""Good, where everything was counted as bad before."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Which labels of a series may hold the request's path.

    Parameters
    ----------
    labels : tuple of str
        Names of labels; without any, a series counts requests of all paths.
    required : bool
        Whether a series must say its path. Where it need not, a series without any path label counts.
    templates : tuple of str
        Routes that stand for paths: what the server writes in place of a path with a model's name in it.
    """

    labels: tuple[str, ...] = ()
    required: bool = True
    templates: tuple[str, ...] = ()

    def matchers(self, path: str) -> tuple[promql.Matcher, ...]:
        """Return the matchers that select users' requests on a path.

        PromQL matches an absent label as the empty string, which is how a series may say no path.
        """
        known = (path, *self.templates)
        if self.required and len(known) == 1:
            return tuple(promql.equals(label, path) for label in self.labels)
        values = known if self.required else ("", *known)
        return tuple(promql.one_of(label, values) for label in self.labels)


class Absent(enum.Enum):
    """What it means that a counter has no series."""

    FINE = enum.auto()
    """Nothing, beside others: a counter of failures is born with the first."""
    NO_REQUESTS = enum.auto()
    """That there was no request."""
    UNPROVEN = enum.auto()
    """That there was none, if another pod proves that the selector can match."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of answered requests.

    Parameters
    ----------
    metric : str
        Its name.
    weight : Weight, optional
        What each request means; None where its status says that.
    status_labels : tuple of str
        Labels that may hold the status, as a code ("503") or a class ("5xx"); the first present counts.
    first_digit : bool
        Whether they hold the first digit of the status ("5") instead.
    unanswered : str, optional
        What they hold when the client went away before an answer.
    failed_labels : tuple of (str, frozenset of str)
        Further labels that say of an answer with a good status that it failed, and the values that say no
        such thing.
    only : tuple of Matcher
        Which of its series.
    paths : Paths
        Where the path is.
    absent : Absent
        What it means that it has no series.
    """

    metric: str
    weight: Weight | None = None
    status_labels: tuple[str, ...] = ()
    first_digit: bool = False
    unanswered: str | None = None
    failed_labels: tuple[tuple[str, frozenset[str]], ...] = ()
    only: tuple[promql.Matcher, ...] = ()
    paths: Paths = Paths()
    absent: Absent = Absent.FINE


@dataclass(frozen=True, slots=True)
class Latency:
    """A histogram of how long answers took: classic (``_bucket``) or native (the name itself).

    Parameters
    ----------
    metric : str
        Its name, without ``_bucket``.
    units_per_second : float
        1 for seconds, 1000 for milliseconds.
    only : tuple of Matcher
        Which of its series.
    paths : Paths
        Where the path is.
    """

    metric: str
    units_per_second: float = 1.0
    only: tuple[promql.Matcher, ...] = ()
    paths: Paths = Paths()

    @property
    def buckets(self) -> str:
        """The series of the classic form."""
        return f"{self.metric}_bucket"


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """What counts requests, and what says how long they took; either may be missing."""

    counters: tuple[Counter, ...] = ()
    latency: Latency | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """A value of each pod that must stay within a bound: every sample of a pod is one event.

    Parameters
    ----------
    metric : str
        A gauge, or a counter with `increase`.
    maximum, minimum : float, optional
        Exactly one of them.
    increase : bool
        Whether what counts is how much it grew since the start, such as restarts.
    only : tuple of Matcher
        Which of its series.
    pod_label, namespace_label : str, optional
        Where an exporter writes the pod, if not where the source does.
    """

    metric: str
    maximum: float | None = None
    minimum: float | None = None
    increase: bool = False
    only: tuple[promql.Matcher, ...] = ()
    pod_label: str | None = None
    namespace_label: str | None = None

    def beyond(self, value: float) -> bool:
        """Return whether a value breaks the bound."""
        return (self.maximum is not None and value > self.maximum) or (
            self.minimum is not None and value < self.minimum
        )


@dataclass(frozen=True, slots=True)
class Queries:
    """A user's own PromQL: cumulative counts with a label that names the pod, ``$pods`` in a matcher."""

    total: str
    bad: str


Series = RequestMetrics | Threshold | Queries
