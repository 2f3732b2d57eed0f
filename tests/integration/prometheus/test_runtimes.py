"""What each runtime exports is counted as its users would count it, on a real server."""

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from modelrelease.api.endpoint import Runtime
from modelrelease.prometheus.runtimes import RUNTIMES
from modelrelease.prometheus.slis import observe
from modelrelease.prometheus.targets import JudgedPod
from modelrelease.slo.objectives import Kind, Objective
from modelrelease.slo.observation import Boundaries, Events, SliObservation
from tests.integration.prometheus import expositions, history, servers

AVAILABILITY = Objective("availability", Kind.AVAILABILITY, Decimal(99))
LATENCY = Objective("latency", Kind.LATENCY, Decimal(95), 0.5)
MINUTES = 5


async def counted(
    connect: Callable[..., Any], remembered: history.History, runtime: Runtime, objective: Objective
) -> SliObservation:
    now = time.time()
    end = remembered.now // history.STEP * history.STEP + remembered.now % history.STEP
    found = await observe(
        connect(remembered.url),
        RUNTIMES[runtime],
        expositions.RUNTIMES[runtime].path,
        objective,
        namespace=servers.NAMESPACE,
        pods=[JudgedPod(history.pod_of(runtime))],
        live_since=end - 60 * MINUTES,
        now=now,
    )
    assert isinstance(found, SliObservation), found
    assert found.blind == ()
    return found


def per_minute(found: SliObservation, remembered: history.History) -> Events:
    """Return what was counted in a minute of the history."""
    events = found.until(remembered.now)
    numbers = (events.total, events.bad, events.possibly_bad, events.client_errors)
    assert all(number % MINUTES == 0 for number in numbers)
    return Events(*(number // MINUTES for number in numbers))


@pytest.mark.parametrize("runtime", [one for one in Runtime if RUNTIMES[one].counters])
async def test_answers_are_counted(
    connect: Callable[..., Any], remembered: history.History, runtime: Runtime
) -> None:
    found = await counted(connect, remembered, runtime, AVAILABILITY)
    assert per_minute(found, remembered) == expositions.RUNTIMES[runtime].answered


@pytest.mark.parametrize("runtime", [one for one in Runtime if RUNTIMES[one].latency])
async def test_slow_answers_are_counted(
    connect: Callable[..., Any], remembered: history.History, runtime: Runtime
) -> None:
    found = await counted(connect, remembered, runtime, LATENCY)
    assert per_minute(found, remembered) == expositions.RUNTIMES[runtime].slow
    assert found.boundaries == Boundaries(0.5, 0.5), "in seconds, whatever it counts in"


def test_every_runtime_is_here() -> None:
    assert set(expositions.RUNTIMES) == set(Runtime)
