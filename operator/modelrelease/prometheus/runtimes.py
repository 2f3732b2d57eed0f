"""Which metrics of a model server, or of a proxy beside it, count users' requests.

The runtime names the metrics, never the way the model is asked: the path comes from the operation. Where
each name was seen, and which failures each runtime cannot tell, stands in docs/metrics.md.
"""

from collections.abc import Mapping
from typing import Final

from modelrelease.api.endpoint import Runtime
from modelrelease.prometheus import promql
from modelrelease.prometheus.metrics import (
    ALSO_BAD,
    BAD,
    CLIENT_ERROR,
    GOOD,
    Absent,
    Counter,
    Latency,
    Paths,
    RequestMetrics,
)

_HANDLER: Final = Paths(("handler",))
_ANY_PATH: Final = Paths(("handler", "path", "route"), required=False)

# metrics.default() of github.com/trallnag/prometheus-fastapi-instrumentator:
# - http_requests_total{method,status,handler}; handler is the route's template with the server's prefix,
#   status is grouped: "2xx", "4xx", "5xx" (seen on infinity-emb 0.0.78). A label set is born with its first
#   request, so the first 5xx arrives as a new series that is not at 0.
# - http_request_duration_seconds{method,handler}, buckets 0.1, 0.5, 1, +Inf: used. Of all statuses.
# - http_request_duration_highr_seconds, 21 buckets from 0.01 to 60, NO labels: never used. Readiness probes,
#   scrapes and our own checks are in it as fast requests and hide the slow ones of users.
# The price is that only 100 ms, 500 ms and 1 s can be judged exactly.
_FASTAPI_REQUESTS: Final = Counter(
    "http_requests_total", status_labels=("status",), paths=_HANDLER, absent=Absent.NO_REQUESTS
)
_FASTAPI_LATENCY: Final = Latency("http_request_duration_seconds", paths=_HANDLER)

# Why a request of the Rust servers of Hugging Face failed without being their fault.
_CLIENTS_FAULT: Final = ("validation", "batch_size", "empty", "tokenizer", "model_type")

_INFER_ROUTES: Final = (
    "/v2/models/{model_name}/infer",
    "/v2/models/{model_name}/versions/{model_version}/infer",
)

RUNTIMES: Final[Mapping[Runtime, RequestMetrics]] = {
    Runtime.INFINITY: RequestMetrics((_FASTAPI_REQUESTS,), _FASTAPI_LATENCY),
    # What HTTP servers and their middleware commonly export. `code` is client_golang's promhttp and
    # Traefik, `status` the FastAPI instrumentator, `status_code` several Node and Python ones. `endpoint`
    # is no path label: with the Prometheus operator it is the name of the scraped port.
    Runtime.GENERIC: RequestMetrics(
        (
            Counter(
                "http_requests_total",
                status_labels=("code", "status", "status_code"),
                paths=_ANY_PATH,
                absent=Absent.NO_REQUESTS,
            ),
        ),
        Latency("http_request_duration_seconds", paths=_ANY_PATH),
    ),
    # vLLM has no error counter (docs/design/metrics.md): statuses come from the FastAPI instrumentator. A
    # request that was aborted inside the engine may have answered 200 before: it counts as bad as well. Its
    # series say no path and an input list is several of them, so it is never among the total.
    Runtime.VLLM: RequestMetrics(
        (
            _FASTAPI_REQUESTS,
            Counter(
                "vllm:request_success_total",
                ALSO_BAD,
                only=(promql.one_of("finished_reason", ("abort", "error")),),
            ),
        ),
        _FASTAPI_LATENCY,
    ),
    # Both count by outcome, without a status or a path. `dropped` and `incomplete` are broken-off answers.
    Runtime.TEXT_GENERATION_INFERENCE: RequestMetrics(
        (
            Counter("tgi_request_success", GOOD),
            Counter("tgi_request_failure", BAD, only=(promql.none_of("err", _CLIENTS_FAULT),)),
            Counter("tgi_request_failure", CLIENT_ERROR, only=(promql.one_of("err", _CLIENTS_FAULT),)),
        ),
        Latency("tgi_request_duration"),
    ),
    Runtime.TEXT_EMBEDDINGS_INFERENCE: RequestMetrics(
        (
            Counter("te_request_success", GOOD),
            Counter("te_request_failure", BAD, only=(promql.none_of("err", _CLIENTS_FAULT),)),
            Counter("te_request_failure", CLIENT_ERROR, only=(promql.one_of("err", _CLIENTS_FAULT),)),
        ),
        Latency("te_request_duration"),
    ),
    # Failures by reason; CANCELED is the client's doing. Without a status, so a request that the HTTP layer
    # refused (400) is in neither. Latency is a sum in microseconds: no histogram of whole answers.
    Runtime.TRITON: RequestMetrics(
        (
            Counter("nv_inference_request_success", GOOD),
            Counter("nv_inference_request_failure", BAD, only=(promql.none_of("reason", ("CANCELED",)),)),
            Counter(
                "nv_inference_request_failure", CLIENT_ERROR, only=(promql.equals("reason", "CANCELED"),)
            ),
        ),
    ),
    # kserve.ModelServer times its stages (kserve/metrics.py) and counts no failures. predict is the model's.
    Runtime.KSERVE: RequestMetrics(latency=Latency("request_predict_seconds")),
    # starlette_exporter with the prefix rest_server; newer ones write the route in place of the path. Each
    # failed inference answers a status: model_infer_request_failure_total would count it twice.
    Runtime.MLSERVER: RequestMetrics(
        (
            Counter(
                "rest_server_requests_total",
                status_labels=("status_code",),
                paths=Paths(("path",), templates=_INFER_ROUTES),
                absent=Absent.NO_REQUESTS,
            ),
        ),
        Latency("rest_server_request_duration_seconds", paths=Paths(("path",), templates=_INFER_ROUTES)),
    ),
    # The proxy in the pod, scraped as the pod. Its classes are first digits, and it times in milliseconds.
    Runtime.ENVOY: RequestMetrics(
        (
            Counter(
                "envoy_http_downstream_rq_xx",
                status_labels=("envoy_response_code_class",),
                first_digit=True,
                only=(promql.none_of("envoy_http_conn_manager_prefix", ("admin",)),),
                absent=Absent.NO_REQUESTS,
            ),
        ),
        Latency(
            "envoy_http_downstream_rq_time",
            units_per_second=1000,
            only=(promql.none_of("envoy_http_conn_manager_prefix", ("admin",)),),
        ),
    ),
    # The sidecar of the pod that answered. A gRPC call that failed answers 200, and says so elsewhere;
    # status 0 is a client that went away before an answer.
    Runtime.ISTIO: RequestMetrics(
        (
            Counter(
                "istio_requests_total",
                status_labels=("response_code",),
                unanswered="0",
                failed_labels=(("grpc_response_status", frozenset({"", "0"})),),
                only=(promql.equals("reporter", "destination"),),
                absent=Absent.NO_REQUESTS,
            ),
        ),
        Latency(
            "istio_request_duration_milliseconds",
            units_per_second=1000,
            only=(promql.equals("reporter", "destination"),),
        ),
    ),
    # As a sidecar: its own dashboard and metrics are entry points, not services.
    Runtime.TRAEFIK: RequestMetrics(
        (Counter("traefik_service_requests_total", status_labels=("code",), absent=Absent.NO_REQUESTS),),
        Latency("traefik_service_request_duration_seconds"),
    ),
    # As a sidecar, with nginx-module-vts: stub_status counts no statuses. Its `code="total"` is the sum of
    # the others, and host="*" the sum of all hosts.
    Runtime.NGINX: RequestMetrics(
        (
            Counter(
                "nginx_vts_server_requests_total",
                status_labels=("code",),
                only=(promql.none_of("code", ("total",)), promql.none_of("host", ("*",))),
                absent=Absent.NO_REQUESTS,
            ),
        ),
        Latency("nginx_vts_server_request_duration_seconds", only=(promql.none_of("host", ("*",)),)),
    ),
}
