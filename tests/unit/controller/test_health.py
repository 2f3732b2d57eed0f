import asyncio
import json
import logging
import random
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import test_utils

from modelrelease.api import verdict
from modelrelease.controller import health, logs, loop, telemetry


class Turns:
    """Hangs where it is told to."""

    def __init__(self) -> None:
        self.hangs: set[str] = set()

    async def take(self, key: loop.Key, wake: Callable[[], None]) -> loop.Requeue:
        if key.name in self.hangs:
            await asyncio.Event().wait()
        return loop.Requeue()

    def forget(self, key: loop.Key) -> None: ...


class Parts:
    """An operator with its health and metrics."""

    def __init__(self, clock: Any) -> None:
        self.turns, self.ready = Turns(), False
        self.metrics = telemetry.Telemetry(clock)
        self.operator = loop.Operator(self.turns, clock=clock, chance=random.Random(1), observer=self.metrics)
        self.health = health.Health(self.operator, lambda: self.ready, self.metrics, clock)

    async def get(self, path: str) -> tuple[int, str]:
        async with test_utils.TestClient(test_utils.TestServer(self.health.application())) as client:
            answer = await client.get(path)
            return answer.status, await answer.text()


@pytest.fixture
def parts(clock: Any) -> Parts:
    return Parts(clock)


async def test_a_turn_that_is_stuck_makes_the_process_unhealthy(parts: Parts, clock: Any):
    parts.turns.hangs.add("a")
    parts.operator.start("1", "ns", "a")
    await clock.advance(10)
    assert (await parts.get("/healthz"))[0] == 200
    await clock.advance(200)
    assert await parts.get("/healthz") == (500, "the turn of ns/a is stuck")
    await parts.operator.shut_down()


async def test_an_event_loop_that_crawls_makes_the_process_unhealthy(parts: Parts, clock: Any):
    sampler = asyncio.create_task(parts.health.sample_lag())
    await clock.advance(3)
    assert parts.health.problems() == []
    await clock.settle()
    clock.now += 20  # nobody was woken for so long
    await clock.advance(0.5)
    assert parts.health.problems() == ["the event loop is 19.0 s late"]
    sampler.cancel()


async def test_it_is_ready_when_the_caches_are(parts: Parts):
    assert (await parts.get("/readyz"))[0] == 503
    parts.ready = True
    assert await parts.get("/readyz") == (200, "ok: 0 releases")


async def test_metrics_tell_turns_phases_and_verdicts(parts: Parts, clock: Any):
    parts.operator.start("1", "ns", "a")
    await clock.advance(1)
    key = loop.Key("1", "ns", "a")
    parts.metrics.presented(key, "Checking")
    parts.metrics.presented(key, "Stable")
    parts.metrics.verdicts("check", {verdict.Verdict.FAIL: 2})
    parts.metrics.request("get", "pods", "200")
    text = (await parts.get("/metrics"))[1]
    assert 'modelrelease_releases{phase="Stable"} 1.0' in text
    assert 'modelrelease_releases{phase="Checking"} 0.0' in text
    assert 'modelrelease_turns_total{result="success"} 1.0' in text
    assert 'modelrelease_verdicts_total{kind="check",verdict="Fail"} 2.0' in text
    assert 'modelrelease_api_requests_total{resource="pods",result="200",verb="get"} 1.0' in text
    assert 'modelrelease_since_successful_turn_seconds{name="a",namespace="ns"} 1.0' in text
    await parts.operator.shut_down()
    assert 'name="a"' not in (await parts.get("/metrics"))[1]


async def test_a_word_of_a_person_is_a_series_as_long_as_it_counts(parts: Parts, clock: Any):
    parts.operator.start("1", "ns", "a")
    await clock.advance(1)
    key = loop.Key("1", "ns", "a")
    parts.metrics.overridden(key, {"forced": 1, "waiver": 2})
    text = (await parts.get("/metrics"))[1]
    assert 'modelrelease_override{kind="forced",name="a",namespace="ns"} 1.0' in text
    assert 'modelrelease_override{kind="waiver",name="a",namespace="ns"} 2.0' in text
    parts.metrics.overridden(key, {"waiver": 1})
    text = (await parts.get("/metrics"))[1]
    assert 'kind="forced"' not in text
    assert 'modelrelease_override{kind="waiver",name="a",namespace="ns"} 1.0' in text
    await parts.operator.shut_down()
    assert 'kind="waiver"' not in (await parts.get("/metrics"))[1]


def test_a_log_line_is_one_json_object():
    record = logging.LogRecord("x", logging.INFO, "", 0, "two\nlines of %s", ("text",), None)
    record.release = "ns/a"
    line = json.loads(logs.JsonFormatter().format(record))
    assert (line["message"], line["level"], line["release"]) == ("two\nlines of text", "info", "ns/a")


def test_a_mistake_has_its_traceback_in_the_log():
    error = ZeroDivisionError("here")
    record = logging.LogRecord("x", logging.ERROR, "", 0, "broke", (), (type(error), error, None))
    assert "ZeroDivisionError: here" in json.loads(logs.JsonFormatter().format(record))["exception"]


def test_kopf_is_not_heard_about_every_event():
    quiet = logs.QuietFilter()
    said = logging.LogRecord("kopf.objects", logging.INFO, "", 0, "succeeded", (), None)
    broke = logging.LogRecord("kopf.objects", logging.ERROR, "", 0, "broke", (), None)
    assert (quiet.filter(said), quiet.filter(broke)) == (False, True)
