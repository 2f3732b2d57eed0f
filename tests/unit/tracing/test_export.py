"""A whole run's spans reach a real collector, and its ids go on the wire of the probes."""

import datetime
import logging
from typing import Any

import pydantic
import pytest

from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.core import observation, spans, traceparent
from modelrelease.tracing import export, settings
from tests.unit.core import given
from tests.unit.notifications import receivers
from tests.unit.tracing import collector

UID = "3f2c9d1e-0000-4000-8000-000000000001"
CREATED = given.ago(100)


def traced(status: api_run.RunStatus) -> spans.Traced:
    run = given.run("Checking")
    return spans.Traced(observation.Run(run.name, run.spec, status), UID, "search", CREATED)


def life() -> list[spans.Span]:
    """A run that fails its check, told transition by transition."""
    at = [given.ago(seconds) for seconds in (90, 80, 60, 50, 40)]
    check = api_run.CheckStatus(name="parity", verdict=Verdict.FAIL, message="27 of 144 items moved")
    starting = api_run.RunStatus(phase=api_run.Phase.STARTING, clock=api_run.Clock(start_time=at[0]))
    checking = starting.model_copy(
        update={"phase": api_run.Phase.CHECKING, "clock": api_run.Clock(start_time=at[1])}
    )
    failed = {
        "phase": api_run.Phase.RETURNING,
        "clock": None,
        "outcome": api_run.Outcome.ROLLED_BACK,
        "reason": "CheckFailed",
        "message": "parity failed",
        "checks": [check.model_copy(update={"completion_time": at[2]})],
        "updated_time": at[2],
    }
    returning = checking.model_copy(update=failed)
    drained = returning.model_copy(update={"clock": api_run.Clock(start_time=at[3])})
    done = drained.model_copy(update={"phase": api_run.Phase.DONE, "clock": None, "completion_time": at[4]})
    lived = [api_run.RunStatus(), starting, checking, returning, drained, done]
    probe = spans.Probe("job-1", "parity", 1, "uid", given.ago(79), given.ago(61))
    times = [at[0], at[1], at[2], at[3], at[4]]
    found: list[spans.Span] = []
    for before, after, now in zip(lived, lived[1:], times, strict=False):
        found += spans.of_transition(traced(before), after, now, [probe])
    return [*found, spans.turn(traced(checking), at[2], 0.25)]


def test_a_collector_gets_the_trace_of_a_run():
    sent = life()
    with collector.collecting() as taken:
        exporter = export.Exporter(settings.Tracing(endpoint=taken.url))
        for span in sent:
            exporter.send(span)
        exporter.close(10.0)
    assert taken.services == {"modelrelease-operator"}
    by_name = {span.name: span for span in taken.spans}
    assert sorted(by_name) == [
        "Checking",
        "Draining",
        "Queued",
        "Returning",
        "Starting",
        "check parity",
        "probe parity",
        "release minilm",
        "turn",
    ]
    assert {span.trace_id.hex() for span in taken.spans} == {traceparent.trace_id(UID)}
    root, checking = by_name["release minilm"], by_name["Checking"]
    check, probe = by_name["check parity"], by_name["probe parity"]
    assert root.parent_span_id == b""
    assert checking.parent_span_id == root.span_id
    assert check.parent_span_id == checking.span_id
    assert probe.parent_span_id == check.span_id
    assert by_name["turn"].parent_span_id == checking.span_id
    assert probe.end_time_unix_nano - probe.start_time_unix_nano == 18_000_000_000
    assert check.start_time_unix_nano == probe.start_time_unix_nano
    assert root.start_time_unix_nano == int(CREATED.timestamp()) * 1_000_000_000
    assert (root.status.code, root.status.message) == (2, "parity failed")
    assert by_name["Starting"].status.code == 0
    said = collector.attributes(root)
    assert (said["modelrelease.outcome"], said["modelrelease.attempt"]) == ("RolledBack", 1)
    assert said["k8s.namespace.name"] == "search"


def test_the_parent_of_the_requests_is_the_probe_that_is_told_later():
    """The Job is given its span before it runs; the operator tells that span when it has ended."""
    (probe,) = (span for span in life() if span.name == "probe parity")
    assert traceparent.header(UID, "job-1") == f"00-{probe.trace}-{probe.span}-01"


def test_another_operator_tells_the_same_spans():
    assert life() == life()
    assert len({span.span for span in life()}) == len(life())


def test_credentials_come_from_the_environment(monkeypatch: Any):
    with collector.collecting() as taken:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", taken.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20T0K3N")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "releases")
        exporter = export.Exporter(settings.Tracing())
        exporter.send(life()[0])
        exporter.close(10.0)
    assert taken.services == {"releases"}
    assert taken.headers[0]["authorization"] == "Bearer T0K3N"


def test_a_collector_that_is_silent_holds_nobody(monkeypatch: Any, caplog: Any):
    caplog.set_level(logging.CRITICAL, logger="opentelemetry")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    with receivers.silent() as port:
        exporter = export.Exporter(settings.Tracing(endpoint=f"http://127.0.0.1:{port}"))
        exporter.send(life()[0])
        exporter.close(0.1)


def test_closing_what_never_sent_anything_is_nothing():
    export.Exporter(settings.Tracing()).close(1.0)


@pytest.mark.parametrize(
    ("endpoint", "environment", "on"),
    [
        ("", {}, False),
        ("http://c:4318", {}, True),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318"}, True),
        ("http://c:4318", {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_it_is_off_unless_somebody_names_a_collector(endpoint: str, environment: dict[str, str], on: bool):
    assert settings.Tracing(endpoint=endpoint).on(environment) is on


@pytest.mark.parametrize("endpoint", ["collector:4318", "grpc://c:4317", "http://user:pw@c", "http://c/?x=1"])
def test_what_is_no_endpoint_is_said(endpoint: str):
    with pytest.raises(pydantic.ValidationError, match="must"):
        settings.Tracing(endpoint=endpoint)


def test_times_are_exact():
    moment = datetime.datetime(2026, 11, 21, 12, 0, 0, 123_000, tzinfo=datetime.UTC)
    assert export._nanoseconds(moment) == 1_795_262_400_123_000_000
