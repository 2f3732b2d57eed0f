"""Which metrics of a model server count users' requests.

The runtime names the metrics, never the way the model is asked: the path comes from the operation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modelrelease.api.endpoint import Runtime
from modelrelease.prometheus import promql


@dataclass(frozen=True, slots=True)
class RuntimeMetrics:
    """Names and conventions of one runtime.

    Parameters
    ----------
    requests : str
        Counter of answered requests, by status.
    latency_buckets : str
        The `_bucket` series of a classic histogram of answered requests, in seconds.
    status_labels : tuple of str
        Labels that may hold the status, as a code ("503") or a class ("5xx"); the first present counts.
    path_labels : tuple of str
        Labels that may hold the request's path.
    path_required : bool
        Whether a series must say its path. Where it need not, a series without any path label counts.
    """

    requests: str
    latency_buckets: str
    status_labels: tuple[str, ...]
    path_labels: tuple[str, ...]
    path_required: bool

    def matchers(self, path: str) -> tuple[promql.Matcher, ...]:
        """Return the matchers that select users' requests on a path.

        PromQL matches an absent label as the empty string, which is how a series may say no path.
        """
        if self.path_required:
            return tuple(promql.equals(label, path) for label in self.path_labels)
        return tuple(promql.one_of(label, ("", path)) for label in self.path_labels)


RUNTIMES: Final[Mapping[Runtime, RuntimeMetrics]] = {
    # infinity-emb instruments its FastAPI app with prometheus-fastapi-instrumentator, whose
    # metrics.default() makes (github.com/trallnag/prometheus-fastapi-instrumentator, metrics.py):
    # - http_requests_total{method,status,handler}; handler is the route's template including Infinity's
    #   --url-prefix, status is grouped: "2xx", "4xx", "5xx" (seen on infinity-emb 0.0.78). A label set is
    #   born with its first request, so the first 5xx arrives as a new series that is not at 0.
    # - http_request_duration_seconds{method,handler}, buckets 0.1, 0.5, 1, +Inf: used. Of all statuses.
    # - http_request_duration_highr_seconds, 21 buckets from 0.01 to 60, NO labels: never used. Readiness
    #   probes, scrapes and our own checks are in it as fast requests and hide the slow ones of users.
    # The price is that only 100 ms, 500 ms and 1 s can be judged exactly.
    Runtime.INFINITY: RuntimeMetrics(
        requests="http_requests_total",
        latency_buckets="http_request_duration_seconds_bucket",
        status_labels=("status",),
        path_labels=("handler",),
        path_required=True,
    ),
    # What HTTP servers and their middleware commonly export. `code` is client_golang's promhttp and
    # Traefik, `status` the FastAPI instrumentator, `status_code` several Node and Python ones. `endpoint`
    # is no path label: with the Prometheus operator it is the name of the scraped port.
    Runtime.GENERIC: RuntimeMetrics(
        requests="http_requests_total",
        latency_buckets="http_request_duration_seconds_bucket",
        status_labels=("code", "status", "status_code"),
        path_labels=("handler", "path", "route"),
        path_required=False,
    ),
}
