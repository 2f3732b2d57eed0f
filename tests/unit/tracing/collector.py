"""A collector of OTLP over HTTP, on loopback: what it takes is decoded as a real one would."""

import contextlib
import http.server
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.unit.canary_checks import services


class Collector:
    """Takes spans."""

    def __init__(self) -> None:
        self.spans: list[trace_pb2.Span] = []
        self.services: set[str] = set()
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def take(self, body: bytes) -> None:
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            said = {one.key: one.value.string_value for one in resource.resource.attributes}
            self.services.add(said["service.name"])
            for scope in resource.scope_spans:
                self.spans += scope.spans


def attributes(span: trace_pb2.Span) -> dict[str, Any]:
    return {
        one.key: one.value.int_value if one.value.HasField("int_value") else one.value.string_value
        for one in span.attributes
    }


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    made = Collector()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces" and self.headers["content-type"] == "application/x-protobuf":
                made.headers.append({name.lower(): value for name, value in self.headers.items()})
                made.take(body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is http.server's
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with services.serving(server) as url:
        made.url = url
        yield made
