"""What each runtime exports, as seen or read in its source, and what that means.

Every counter grows at its own rate, so that each of them can be told from the sums.
"""

import dataclasses
from collections.abc import Mapping

from modelrelease.api.endpoint import Runtime
from modelrelease.slo.observation import Events

Line = tuple[str, dict[str, str], int]
"""Metric, labels, and how much it grows in a minute."""


@dataclasses.dataclass(frozen=True)
class Exposition:
    """One runtime's series, and what they say of a minute."""

    lines: tuple[Line, ...]
    path: str = ""
    answered: Events | None = None
    slow: Events | None = None
    """Slower than half a second."""


def buckets(metric: str, labels: dict[str, str], counts: Mapping[str, int]) -> tuple[Line, ...]:
    return tuple((f"{metric}_bucket", {**labels, "le": edge}, count) for edge, count in counts.items())


SECONDS = {"0.1": 40, "0.5": 60, "1.0": 70, "+Inf": 100}
MILLISECONDS = {"100": 40, "500": 60, "1000": 70, "+Inf": 100}
SLOW = Events(100, 40, 40)
FAST_API = (
    ("http_requests_total", {"handler": "/v1/embeddings", "method": "POST", "status": "2xx"}, 80),
    ("http_requests_total", {"handler": "/v1/embeddings", "method": "POST", "status": "5xx"}, 3),
    ("http_requests_total", {"handler": "/v1/embeddings", "method": "POST", "status": "4xx"}, 5),
    ("http_requests_total", {"handler": "/health", "method": "GET", "status": "2xx"}, 1000),
    *buckets("http_request_duration_seconds", {"handler": "/v1/embeddings", "method": "POST"}, SECONDS),
    *buckets("http_request_duration_seconds", {"handler": "/health"}, {"0.1": 900, "+Inf": 900}),
    *buckets("http_request_duration_highr_seconds", {}, {"0.1": 900, "+Inf": 900}),
)  # fmt: skip
HUGGING_FACE = {"validation": 5, "overloaded": 2, "dropped": 1}
ROUTE = "/v2/models/{model_name}/infer"

RUNTIMES: Mapping[Runtime, Exposition] = {
    Runtime.INFINITY: Exposition(FAST_API, "/v1/embeddings", Events(83, 3, 3, 5), SLOW),
    Runtime.GENERIC: Exposition(
        (
            ("http_requests_total", {"path": "/v1/embeddings", "code": "200"}, 80),
            ("http_requests_total", {"path": "/v1/embeddings", "code": "503"}, 3),
            ("http_requests_total", {"path": "/v1/embeddings", "code": "422"}, 5),
            ("http_requests_total", {"path": "/metrics", "code": "200"}, 1000),
            *buckets("http_request_duration_seconds", {"path": "/v1/embeddings"}, SECONDS),
        ),
        "/v1/embeddings",
        Events(83, 3, 3, 5),
        SLOW,
    ),
    Runtime.VLLM: Exposition(
        (
            *FAST_API,
            ("vllm:request_success_total", {"finished_reason": "stop", "engine": "0"}, 90),
            ("vllm:request_success_total", {"finished_reason": "abort", "engine": "0"}, 7),
        ),
        "/v1/embeddings",
        Events(83, 10, 10, 5),
        SLOW,
    ),
    Runtime.TEXT_GENERATION_INFERENCE: Exposition(
        (
            ("tgi_request_count", {}, 90),
            ("tgi_request_success", {}, 80),
            *(("tgi_request_failure", {"err": why}, count) for why, count in HUGGING_FACE.items()),
            *buckets("tgi_request_duration", {}, SECONDS),
        ),
        answered=Events(83, 3, 3, 5),
        slow=SLOW,
    ),
    Runtime.TEXT_EMBEDDINGS_INFERENCE: Exposition(
        (
            ("te_request_count", {"method": "single"}, 90),
            ("te_request_success", {"method": "single"}, 70),
            ("te_request_success", {"method": "batch"}, 10),
            *(("te_request_failure", {"err": why}, count) for why, count in HUGGING_FACE.items()),
            *buckets("te_request_duration", {"method": "single"}, SECONDS),
        ),
        answered=Events(83, 3, 3, 5),
        slow=SLOW,
    ),
    Runtime.TRITON: Exposition(
        (
            ("nv_inference_request_success", {"model": "m", "version": "1"}, 80),
            ("nv_inference_request_failure", {"model": "m", "version": "1", "reason": "BACKEND"}, 2),
            ("nv_inference_request_failure", {"model": "m", "version": "1", "reason": "REJECTED"}, 1),
            ("nv_inference_request_failure", {"model": "m", "version": "1", "reason": "CANCELED"}, 5),
        ),
        answered=Events(83, 3, 3, 5),
    ),
    Runtime.KSERVE: Exposition(buckets("request_predict_seconds", {"model_name": "m"}, SECONDS), slow=SLOW),
    Runtime.MLSERVER: Exposition(
        (
            ("rest_server_requests_total", {"path": ROUTE, "method": "POST", "status_code": "200"}, 70),
            ("rest_server_requests_total", {"path": "/v2/models/m/infer", "status_code": "200"}, 10),
            ("rest_server_requests_total", {"path": ROUTE, "method": "POST", "status_code": "500"}, 3),
            ("rest_server_requests_total", {"path": ROUTE, "method": "POST", "status_code": "422"}, 5),
            ("rest_server_requests_total", {"path": "/v2/health/ready", "status_code": "200"}, 1000),
            ("model_infer_request_failure_total", {"model": "m"}, 3),
            *buckets("rest_server_request_duration_seconds", {"path": ROUTE}, SECONDS),
        ),
        "/v2/models/m/infer",
        Events(83, 3, 3, 5),
        SLOW,
    ),
    Runtime.ENVOY: Exposition(
        (
            *(
                ("envoy_http_downstream_rq_xx", {"envoy_response_code_class": digit, **prefix}, count)
                for digit, count in {"2": 80, "4": 5, "5": 3}.items()
                for prefix in [{"envoy_http_conn_manager_prefix": "ingress_http"}]
            ),
            (
                "envoy_http_downstream_rq_xx",
                {"envoy_response_code_class": "2", "envoy_http_conn_manager_prefix": "admin"},
                1000,
            ),
            *buckets(
                "envoy_http_downstream_rq_time",
                {"envoy_http_conn_manager_prefix": "ingress_http"},
                MILLISECONDS,
            ),
        ),
        answered=Events(83, 3, 3, 5),
        slow=SLOW,
    ),
    Runtime.ISTIO: Exposition(
        (
            ("istio_requests_total", {"reporter": "destination", "response_code": "200"}, 60),
            (
                "istio_requests_total",
                {"reporter": "destination", "response_code": "200", "grpc_response_status": "0"},
                20,
            ),
            (
                "istio_requests_total",
                {"reporter": "destination", "response_code": "200", "grpc_response_status": "13"},
                1,
            ),
            ("istio_requests_total", {"reporter": "destination", "response_code": "503"}, 2),
            ("istio_requests_total", {"reporter": "destination", "response_code": "404"}, 4),
            ("istio_requests_total", {"reporter": "destination", "response_code": "0"}, 1),
            ("istio_requests_total", {"reporter": "source", "response_code": "200"}, 1000),
            *buckets("istio_request_duration_milliseconds", {"reporter": "destination"}, MILLISECONDS),
            *buckets("istio_request_duration_milliseconds", {"reporter": "source"}, {"500": 9, "+Inf": 9}),
        ),
        answered=Events(83, 3, 3, 5),
        slow=SLOW,
    ),
    Runtime.TRAEFIK: Exposition(
        (
            *(
                ("traefik_service_requests_total", {"service": "model@file", "code": code}, count)
                for code, count in {"200": 80, "502": 3, "422": 5}.items()
            ),
            *buckets("traefik_service_request_duration_seconds", {"service": "model@file"}, SECONDS),
        ),
        answered=Events(83, 3, 3, 5),
        slow=SLOW,
    ),
    Runtime.NGINX: Exposition(
        (
            *(
                ("nginx_vts_server_requests_total", {"host": host, "code": code}, count)
                for host in ("_", "*")
                for code, count in {"1xx": 0, "2xx": 80, "4xx": 5, "5xx": 3, "total": 88}.items()
            ),
            *buckets("nginx_vts_server_request_duration_seconds", {"host": "_"}, SECONDS),
            *buckets("nginx_vts_server_request_duration_seconds", {"host": "*"}, SECONDS),
        ),
        answered=Events(83, 3, 3, 5),
        slow=SLOW,
    ),
}
