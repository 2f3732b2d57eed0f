"""The PromQL of the panels: what the servers count, by release and revision, and what the operator tells.

Which metrics of a server count its users' requests is said once, by the runtime tables of
:mod:`modelrelease.prometheus.runtimes`. Dashboards know no path: what a server counts of health checks is
left out where its series say a path, and is in the volume where they say none.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

from modelrelease.api import endpoint
from modelrelease.prometheus import metrics, runtimes

REVISION: Final = "r[0-9a-f]{10}"
WINDOW: Final = "$__rate_interval"
OF_RELEASE: Final = 'namespace=~"$namespace",name=~"$release"'
"""Selects the operator's series of a release."""
_BY: Final = "namespace, release, revision"
_UNASKED: Final = "(.*/)?(health|healthz|livez|readyz|ready|metrics|none)/?"
"""Paths that no user asks for; the FastAPI instrumentator writes ``none`` for what it has no route for."""


class Unfit(ValueError):
    """A runtime says too little for these dashboards."""


def own(metric: str, *matchers: str) -> str:
    """Return a selector of the operator's series of a release."""
    return f"{metric}{{{','.join((OF_RELEASE, *matchers))}}}"


def grown(selector: str, window: str) -> str:
    """Return how much counters grew that may have been born within the window, with the first event.

    ``increase`` knows nothing of what a series was born with; a rare event is a series that is born with it.
    """
    return (
        f"((max_over_time({selector}[{window}]) unless {selector} offset {window}) "
        f"or increase({selector}[{window}]))"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Servers:
    """The queries about what users asked the servers of one runtime."""

    requests: metrics.RequestMetrics
    latency: metrics.Latency

    @classmethod
    def of(cls, runtime: endpoint.Runtime) -> "Servers":
        """Return the queries of a runtime.

        Raises
        ------
        Unfit
            It counts no requests, or has no histogram of how long they took.
        """
        found = runtimes.RUNTIMES[runtime]
        if not found.counters or found.latency is None:
            raise Unfit(
                f"{runtime} has no histogram of its requests: put a proxy into its pods, and name the proxy"
            )
        return cls(found, found.latency)

    def per_second(self, what: str = "all", *, by: str = _BY) -> str:
        """Return requests a second: ``all``, ``bad`` (the server's fault) or ``refused`` (the caller's)."""
        every = self._sum([self._rate(counter.metric, m) for counter, m in self._chosen("all")], by)
        if what == "all":
            return every
        chosen = [self._rate(counter.metric, m) for counter, m in self._chosen(what)]
        if not chosen:
            return f"0 * {every}"
        # A counter of failures is born with the first one: zero where there are requests.
        return f"({self._sum(chosen, by)} or 0 * {every})"

    def share(self, what: str, *, by: str = _BY) -> str:
        """Return which share of the requests is ``bad`` or ``refused``."""
        return f"{self.per_second(what, by=by)} / {self.per_second(by=by)}"

    def volume(self, window: str) -> str:
        """Return how many requests there were in a window, of all releases that are chosen."""
        terms = [f"increase({_selector(c.metric, m)}[{window}])" for c, m in self._chosen("all")]
        return f"sum({_union(terms)})"

    def quantile(self, share: float, *, by: str = _BY) -> str:
        """Return how long that share of the requests took at most, in seconds."""
        seconds = f"histogram_quantile({share}, {self.buckets(by=f'{by}, le')})"
        scale = self.latency.units_per_second
        return seconds if scale == 1 else f"{seconds} / {scale:g}"

    def buckets(self, *, by: str = "le") -> str:
        """Return requests a second by upper bound of their time."""
        return self._sum([self._rate(self.latency.buckets, self._base(self.latency))], by)

    def slower_than_all_bounds(self) -> str:
        """Return the share of requests that took longer than the last finite bound."""
        base = self._base(self.latency)
        rate = self._sum([self._rate(self.latency.buckets, (*base, 'le="+Inf"'))], _BY)
        finite = self._sum([self._rate(self.latency.buckets, (*base, 'le!="+Inf"'))], f"{_BY}, le")
        return f"1 - max by ({_BY}) ({finite}) / {rate}"

    def in_flight(self) -> str:
        """Return how many requests were in the servers on average: arrivals times how long each stays."""
        total = self._sum([self._rate(f"{self.latency.metric}_sum", self._base(self.latency))], _BY)
        scale = self.latency.units_per_second
        return total if scale == 1 else f"{total} / {scale:g}"

    @property
    def path_label(self) -> str:
        """The label that holds the path, or what every series has."""
        return next(iter(self.latency.paths.labels), "pod")

    @property
    def names(self) -> frozenset[str]:
        """The names of all metrics that the queries ask for."""
        histogram = (self.latency.buckets, f"{self.latency.metric}_sum")
        return frozenset({*(counter.metric for counter in self.requests.counters), *histogram})

    def _chosen(self, what: str) -> list[tuple[metrics.Counter, tuple[str, ...]]]:
        found: list[tuple[metrics.Counter, tuple[str, ...]]] = []
        for counter in self.requests.counters:
            base = self._base(counter)
            if counter.weight is not None:
                told = {
                    "all": counter.weight.total or counter.weight.client_errors,
                    "bad": counter.weight.bad,
                    "refused": counter.weight.client_errors,
                }[what]
                if told > 0:
                    found.append((counter, base))
            elif what == "all":
                found.append((counter, base))
            else:
                digit = "5" if what == "bad" else "4"
                rest = "" if counter.first_digit else ".."
                for index, label in enumerate(counter.status_labels):
                    absent = tuple(f'{earlier}=""' for earlier in counter.status_labels[:index])
                    found.append((counter, (*base, *absent, f'{label}=~"{digit}{rest}"')))
        return found

    def _base(self, counted: metrics.Counter | metrics.Latency) -> tuple[str, ...]:
        unasked = tuple(f'{label}!~"{_UNASKED}"' for label in counted.paths.labels)
        return (*unasked, *map(str, counted.only))

    def _rate(self, metric: str, matchers: Sequence[str]) -> str:
        return f"rate({_selector(metric, matchers)}[{WINDOW}])"

    def _sum(self, terms: Sequence[str], by: str) -> str:
        # The pods of a release are named NAME-REVISION-….
        named = f'label_replace({_union(terms)}, "release", "$1", "pod", "(.+)-{REVISION}-.*")'
        return f'sum by ({by}) (label_replace({named}, "revision", "$1", "pod", ".+-({REVISION})-.*"))'


def _selector(metric: str, matchers: Sequence[str]) -> str:
    pods = ('namespace=~"$namespace"', f'pod=~"$release-{REVISION}-.*"')
    return f"{metric}{{{','.join((*pods, *matchers))}}}"


def _union(terms: Sequence[str]) -> str:
    """Return all series of several terms: rate() drops their names, and ``or`` would join what is alike."""
    if len(terms) == 1:
        return terms[0]
    told = (f'label_replace({term}, "term", "{number}", "", "")' for number, term in enumerate(terms))
    return f"({' or '.join(told)})"
