"""The rows of docs/verdicts.md, each as a question to a real server, or to a proxy in front of it."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any

from modelrelease.api.endpoint import Runtime
from modelrelease.prometheus import metrics, promql
from modelrelease.prometheus.runtimes import RUNTIMES
from modelrelease.slo.objectives import Kind, Objective
from tests.integration.prometheus import history, servers

AVAILABILITY = Objective("availability", Kind.AVAILABILITY, Decimal(99))
STRICT = Objective("availability", Kind.AVAILABILITY, Decimal("99.9"))
LATENCY = Objective("latency", Kind.LATENCY, Decimal(95), 0.5)
INFINITY = RUNTIMES[Runtime.INFINITY]

Change = Callable[[dict[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing wrong: with the history, with the question, or with what stands in between."""

    said: tuple[str, str]
    """Verdict and reason."""
    pods: tuple[str, ...] = ("healthy",)
    series: metrics.Series = INFINITY
    objective: Objective = AVAILABILITY
    path: str = "/embeddings"
    status: int = 0
    """The proxy answers with it, and with this body."""
    body: bytes = b""
    changed: Change | None = None
    """What the proxy does to the real answer."""
    answers: servers.Answer | None = None
    """The proxy answers so."""
    source: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    idle: tuple[int, int] | None = None
    asked: Mapping[str, str] | None = None
    """What the proxy asks in its place."""
    others: int = 0
    """Queries that others ask the same source at the same time."""
    beside: tuple[str, ...] = ()
    """Designated stable pods."""
    before: tuple[str, ...] = ()
    """In the bake: stable's pods, whose last 24 hours are recorded, and which take no traffic now."""

    @property
    def proxied(self) -> bool:
        """Whether something stands between the operator and the server."""
        return bool(self.status or self.answers or self.changed or self.asked)


def error(kind: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": "no"}).encode()


def shifted(seconds: int) -> Change:
    def change(document: dict[str, Any]) -> None:
        if document["data"]["resultType"] == "scalar":
            document["data"]["result"][1] = str(float(document["data"]["result"][1]) + seconds)

    return change


def with_field(name: str, value: Any) -> Change:
    return lambda document: document.update({name: value})


def twice(document: dict[str, Any]) -> None:
    if document["data"]["resultType"] == "matrix":
        document["data"]["result"] *= 2


def foreign(document: dict[str, Any]) -> None:
    if document["data"]["resultType"] == "matrix":
        for series in document["data"]["result"]:
            series["metric"]["pod"] = "somebody"


def without_result(document: dict[str, Any]) -> None:
    if document["data"]["resultType"] != "scalar":
        document["data"]["result"] = []


def slow_headers(request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    servers.hold(request)


def slow_body(request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "10")
    request.end_headers()
    request.wfile.write(b"{")
    servers.hold(request)


def cut_body(request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"status":"success","data":{"resultType":"scalar"')
    request.close_connection = True


def own(bad: str, **labels: str) -> metrics.RequestMetrics:
    only = tuple(promql.equals(label, value) for label, value in labels.items())
    return metrics.RequestMetrics(
        (
            metrics.Counter("answers_total", metrics.GOOD, absent=metrics.Absent.NO_REQUESTS),
            metrics.Counter(bad, metrics.ALSO_BAD, only=only, absent=metrics.Absent.UNPROVEN),
        )
    )


def queries(total: str, bad: str) -> metrics.Queries:
    return metrics.Queries(total, bad)


COUNTED = 'sum by (pod) (http_requests_total{pod=~"$pods"})'
NONE = 'sum by (pod) (0 * http_requests_total{pod=~"$pods"})'
PASS = ("Pass", "WithinObjective")
UNSEEN = ("NoData", "BadNeverSeen")
SAMPLES = Objective("queue", Kind.AVAILABILITY, Decimal(90), minimum_requests=20)

CASES: Mapping[str, Case] = {
    # What would pass, so that each case below shows its own fault.
    "healthy": Case(PASS),
    "healthy-latency": Case(PASS, objective=LATENCY),
    "healthy-own": Case(PASS, pods=("own",), series=own("failures_total", kind="model")),
    "healthy-queries": Case(PASS, series=queries(COUNTED, NONE)),
    "healthy-threshold": Case(
        PASS, pods=("own",), series=metrics.Threshold("queue", maximum=5),
        objective=dataclasses.replace(SAMPLES, objective_percent=Decimal(60)),
    ),
    # Really bad.
    "burning": Case(("Fail", "BudgetBurning"), pods=("burning",)),
    "beyond-bound": Case(
        ("Fail", "BudgetBurning"), pods=("crowded",), series=metrics.Threshold("queue", maximum=5),
        objective=SAMPLES,
    ),
    "violated": Case(("Fail", "ObjectiveViolated"), pods=("busy",)),
    "above-limit": Case(("Fail", "WorseThanAccepted"), pods=("violating",)),
    "restarts": Case(
        ("Fail", "WorseThanAccepted"), pods=("restarting",), objective=SAMPLES,
        series=metrics.Threshold("restarts_total", maximum=0, increase=True, pod_label="exported_pod"),
    ),
    "counter-reset": Case(("Fail", "BudgetBurning"), pods=("reset",)),
    "gap-past": Case(("Fail", "BudgetBurning"), pods=("gap",)),
    # Nothing, or not enough, to judge.
    "empty": Case(("NoData", "NotScraped"), pods=("nobody",)),
    "empty-answer": Case(("NoData", "NotScraped"), changed=without_result),
    "no-pods": Case(("NoData", "NoPods"), pods=()),
    "too-few": Case(("NoData", "TooFewRequests"), pods=("few",)),
    "only-4xx": Case(("NoData", "TooFewRequests"), pods=("refusing",)),
    "nan": Case(("NoData", "NotANumber"), pods=("nan",)),
    "plus-inf": Case(("NoData", "NotANumber"), pods=("inf",)),
    "minus-inf": Case(("NoData", "NotANumber"), pods=("minus-inf",)),
    "nan-value": Case(("NoData", "NotANumber"), pods=("nan-gauge",), series=metrics.Threshold("queue", 5)),
    "no-value": Case(("NoData", "NoSeries"), series=metrics.Threshold("queue", 5)),
    "stale-series": Case(("NoData", "StaleSamples"), pods=("stale",)),
    "target-down": Case(("NoData", "StaleSamples"), pods=("down",)),
    "gap-now": Case(("NoData", "StaleSamples"), pods=("gap-now",)),
    "one-pod-unseen": Case(("NoData", "StaleSamples"), pods=("healthy", "nobody")),
    "lost-head": Case(("NoData", "HistoryLost"), pods=("lost",)),
    "renamed-metric": Case(("NoData", "NoRequests"), pods=("renamed",)),
    "renamed-histogram": Case(("NoData", "NoRequests"), pods=("renamed",), objective=LATENCY),
    "wrong-path": Case(("NoData", "NoRequests"), path="/embedding"),
    "label-typo-source": Case(("NoData", "NotScraped"), source={"pod_label": "pods"}),
    "label-typo-total": Case(
        ("NoData", "NoRequests"), pods=("own",),
        series=metrics.RequestMetrics((
            metrics.Counter(
                "answers_total", metrics.GOOD,
                only=(promql.equals("kin", "x"),), absent=metrics.Absent.NO_REQUESTS,
            ),
        )),
    ),
    "label-typo-bad": Case(UNSEEN, pods=("own",), series=own("failures_total", kin="model")),
    "metric-typo-bad": Case(("NoData", "BadNeverSeen"), pods=("own",), series=own("failure_total")),
    "query-empty": Case(("NoData", "NoRequests"), series=queries('x{pod=~"$pods"}', NONE)),
    "query-bad-empty": Case(("NoData", "BadNeverSeen"), series=queries(COUNTED, 'x{pod=~"$pods"}')),
    # Enough requests, not enough evidence.
    "not-proven": Case(("Inconclusive", "NotProven"), pods=("near",)),
    "awaiting-look": Case(("Inconclusive", "AwaitingLook"), pods=("early",)),
    "between-buckets": Case(("Inconclusive", "ThresholdBetweenBuckets"), pods=("coarse",), objective=LATENCY),
    # The monitoring, or the question, is broken.
    "bad-400": Case(("Error", "PrometheusQueryFailed"), series=queries(COUNTED + ")(", NONE)),
    "execution-422": Case(
        ("Error", "PrometheusQueryFailed"),
        series=queries(f'{COUNTED} * on() group_left() up{{pod=~"healthy|nan|inf"}}', NONE),
    ),
    "timeout-503": Case(
        ("Error", "PrometheusTimeout"),
        # A constant is evaluated once for all steps, which may take less than the time that there is.
        asked={"query": "count_over_time(vector(time())[1h:1ms])", "timeout": "50ms"},
    ),
    "status-400": Case(("Error", "PrometheusQueryFailed"), status=400, body=error("bad_data")),
    "status-401": Case(("Error", "PrometheusRefused"), status=401),
    "status-403": Case(("Error", "PrometheusRefused"), status=403, body=b"<html>no</html>"),
    "status-404": Case(("Error", "PrometheusQueryFailed"), status=404, body=b"not here"),
    "status-422": Case(("Error", "PrometheusQueryFailed"), status=422, body=error("execution")),
    "status-429": Case(("Error", "PrometheusQueryFailed"), status=429),
    "status-499": Case(("Error", "PrometheusTimeout"), status=499, body=error("canceled")),
    "status-500": Case(("Error", "PrometheusQueryFailed"), status=500, body=error("internal")),
    "status-502": Case(("Error", "PrometheusQueryFailed"), status=502, body=b"<html>bad gateway</html>"),
    "status-503": Case(("Error", "PrometheusTimeout"), status=503, body=error("timeout")),
    "status-503-proxy": Case(("Error", "PrometheusQueryFailed"), status=503, body=b"<html>busy</html>"),
    "redirect": Case(("Error", "PrometheusInvalidResponse"), status=302),
    "slow-headers": Case(("Error", "PrometheusTimeout"), answers=slow_headers, source={"timeout_seconds": 1}),
    "slow-body": Case(("Error", "PrometheusTimeout"), answers=slow_body, source={"timeout_seconds": 1}),
    "cut-body": Case(("Error", "PrometheusInvalidResponse"), answers=cut_body),
    "invalid-json": Case(("Error", "PrometheusInvalidResponse"), status=200, body=b"{"),
    "error-in-200": Case(("Error", "PrometheusInvalidResponse"), status=200, body=error("execution")),
    "too-large": Case(("Error", "PrometheusInvalidResponse"), source={"response_bytes_max": 500}),
    "throttled": Case(("Error", "PrometheusThrottled"), source={"queries_per_second": 1}, others=5),
    "unreachable": Case(("Error", "PrometheusUnreachable"), source={"url": "http://127.0.0.1:9"}),
    "credentials": Case(("Error", "PrometheusCredentials"), source={"bearer_token_file": "/nowhere/token"}),
    "warnings": Case(
        ("Error", "PrometheusPartialResponse"), changed=with_field("warnings", ["a store is down"])
    ),
    "partial": Case(("Error", "PrometheusPartialResponse"), changed=with_field("isPartial", True)),
    "several-series": Case(
        ("Error", "SeveralSeries"),
        series=queries('http_requests_total{pod=~"$pods"} or up{pod=~"$pods"}', NONE),
    ),
    "duplicate-series": Case(("Error", "DuplicateSeries"), changed=twice),
    "foreign-series": Case(("Error", "LabelMismatch"), changed=foreign),
    "query-without-pod": Case(("Error", "LabelMismatch"), series=queries('sum(up{pod=~"$pods"})', NONE)),
    "scraped-twice": Case(("Error", "ScrapedTwice"), pods=("twice",)),
    "unknown-status": Case(("Error", "UnknownStatus"), pods=("unknown-status",)),
    "buckets-differ": Case(
        ("Error", "BucketsDiffer"), pods=("healthy", "coarse"), objective=LATENCY
    ),
    "negative-counter": Case(("Error", "NotACounter"), pods=("negative",)),
    "clock-ahead": Case(("Error", "ClockSkew"), changed=shifted(300)),
    "clock-behind": Case(("Error", "ClockSkew"), changed=shifted(-300)),
    "moves-while-idle": Case(("Error", "SelectorCountsOthers"), idle=(-history.BEFORE, -history.LIVE)),
    "no-histogram": Case(("Error", "NoHistogram"), series=RUNTIMES[Runtime.TRITON], objective=LATENCY),
    "no-counters": Case(("Error", "NoCounters"), series=RUNTIMES[Runtime.KSERVE]),
    # Beside stable, or after it.
    "healthy-beside": Case(PASS, beside=("crowd",)),
    "healthy-slightly": Case(PASS, pods=("slightly",)),
    "worse-than-stable": Case(("Fail", "WorseThanStable"), pods=("slightly",), beside=("healthy",)),
    "healthy-unequal-arms": Case(PASS, pods=("slightly",), beside=("crowd", "healthy", "refusing-too")),
    "client-errors-rose": Case(("Fail", "ClientErrorsRose"), pods=("refusing-some",), beside=("healthy",)),
    "healthy-client-errors": Case(PASS, pods=("refusing-some",), beside=("refusing-too",)),
    "shared-incident": Case(("Inconclusive", "SharedIncident"), pods=("burning",), beside=("burning-too",)),
    "burning-beside": Case(("Fail", "BudgetBurning"), pods=("burning",), beside=("healthy",)),
    "stable-unreadable": Case(("Error", "UnknownStatus"), pods=("burning",), beside=("unknown-status",)),
    "healthy-stable-unseen": Case(PASS, beside=("nobody",)),
    "bake-as-before": Case(
        ("Inconclusive", "SharedIncident"), pods=("slightly-too",), before=("slightly",), objective=STRICT
    ),
    "bake-unknown": Case(("Fail", "BudgetBurning"), pods=("slightly-too",), objective=STRICT),
    "bake-worse": Case(("Fail", "BudgetBurning"), pods=("burning",), before=("slightly",), objective=STRICT),
}  # fmt: skip
