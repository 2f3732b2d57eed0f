"""Hands spans to OpenTelemetry's exporter, which sends them in batches from a thread of its own.

Its queue is bounded; what does not fit, or is not taken in time, is dropped. Nothing of it is imported before
the first span is to be sent.
"""

import datetime
import os
import threading
from typing import TYPE_CHECKING, Final

from modelrelease.core import spans
from modelrelease.tracing import settings

if TYPE_CHECKING:
    from opentelemetry.sdk import resources
    from opentelemetry.sdk.trace import export

SERVICE: Final = "modelrelease-operator"
QUEUE: Final = 2048
BATCH: Final = 256
DELAY_MILLISECONDS: Final = 2000

_EPOCH: Final = datetime.datetime.fromtimestamp(0, datetime.UTC)


class Exporter:
    """Sends spans.

    Parameters
    ----------
    configured
        Where to.
    """

    def __init__(self, configured: settings.Tracing) -> None:
        self._configured = configured
        self._processor: export.BatchSpanProcessor | None = None
        self._resource: resources.Resource | None = None

    def send(self, span: spans.Span) -> None:
        """Leave a span; never waits."""
        from opentelemetry import trace as otel  # noqa: PLC0415
        from opentelemetry.sdk import trace as sdk  # noqa: PLC0415

        processor = self._processor or self._start()
        flags = otel.TraceFlags(otel.TraceFlags.SAMPLED)
        trace = int(span.trace, 16)
        context = otel.SpanContext(trace, int(span.span, 16), is_remote=False, trace_flags=flags)
        parent = (
            otel.SpanContext(trace, int(span.parent, 16), is_remote=False, trace_flags=flags)
            if span.parent
            else None
        )
        status = otel.Status(otel.StatusCode.ERROR, span.error) if span.error else otel.Status()
        processor.on_end(
            sdk.ReadableSpan(
                name=span.name,
                context=context,
                parent=parent,
                resource=self._resource,
                attributes=dict(span.attributes),
                status=status,
                start_time=_nanoseconds(span.start),
                end_time=_nanoseconds(span.end),
            )
        )

    def close(self, seconds: float) -> None:
        """Send what is left, at most so long: the kubelet has less patience than the exporter."""
        if self._processor is None:
            return
        closing = threading.Thread(target=self._processor.shutdown, name="spans", daemon=True)
        closing.start()
        closing.join(seconds)

    def _start(self) -> "export.BatchSpanProcessor":
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415
        from opentelemetry.sdk import resources  # noqa: PLC0415
        from opentelemetry.sdk.trace import export  # noqa: PLC0415

        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {resources.SERVICE_NAME: SERVICE}
        self._resource = resources.Resource.create(dict(named))
        self._processor = export.BatchSpanProcessor(
            trace_exporter.OTLPSpanExporter(endpoint=self._configured.url()),
            max_queue_size=QUEUE,
            max_export_batch_size=BATCH,
            schedule_delay_millis=DELAY_MILLISECONDS,
        )
        return self._processor


def _nanoseconds(moment: datetime.datetime) -> int:
    """Return nanoseconds since the epoch, exactly: a float has no room for them."""
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1) * 1000
