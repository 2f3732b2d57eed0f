"""What samples of a GPU allow to say."""

import pytest

from modelrelease.api import live
from modelrelease.api.verdict import Verdict
from modelrelease.core import accelerators, observation

Metric = live.AcceleratorMetric


def gate(metric: Metric, **limits: str) -> live.AcceleratorGate:
    return live.AcceleratorGate(metric=metric, **limits)


def flat(value: float, count: int = 20, noise: float = 1.0) -> list[tuple[float, float]]:
    return [(15.0 * n, value + noise * (n % 3 - 1)) for n in range(count)]


def rising(share_per_hour: float, count: int = 60) -> list[tuple[float, float]]:
    return [(15.0 * n, 20_000 * (1 + share_per_hour * 15.0 * n / 3600) + (n % 2)) for n in range(count)]


@pytest.mark.parametrize(
    ("asked", "series", "verdict"),
    [
        (gate(Metric.UTILIZATION, min="40"), [flat(85)], Verdict.PASS),
        (gate(Metric.UTILIZATION, min="40"), [flat(12)], Verdict.FAIL),
        (gate(Metric.UTILIZATION, min="40"), [flat(85), flat(12)], Verdict.FAIL),
        (gate(Metric.UTILIZATION, min="40"), [flat(40, noise=20)], Verdict.INCONCLUSIVE),
        (gate(Metric.UTILIZATION, min="40"), [flat(85, count=4)], Verdict.NO_DATA),
        (gate(Metric.UTILIZATION, min="40"), [flat(85), flat(85, count=4)], Verdict.NO_DATA),
        (gate(Metric.UTILIZATION, min="40"), [[(0.0, float("nan"))] * 9], Verdict.NO_DATA),
        (gate(Metric.UTILIZATION, min="40"), [], Verdict.NO_DATA),
        (gate(Metric.SM_ACTIVE, max="95"), [flat(99)], Verdict.FAIL),
        (gate(Metric.MEMORY_GROWTH, max="0.01"), [flat(20_000, noise=0)], Verdict.PASS),
        (gate(Metric.MEMORY_GROWTH, max="0.01"), [rising(0.5)], Verdict.FAIL),
        (gate(Metric.MEMORY_GROWTH, max="0.01"), [rising(0.5, count=7)], Verdict.NO_DATA),
        (gate(Metric.MEMORY_GROWTH, max="0.01"), [flat(0, noise=0)], Verdict.NO_DATA),
    ],
)
def test_a_gate_is_judged_by_the_interval_of_every_gpu(asked, series, verdict):
    judged = accelerators.judge([asked], {asked.metric: series})
    assert judged.verdict is verdict
    assert judged.message
    assert judged.gates[0].samples == sum(len(one) for one in series)


def part(verdict: Verdict | None, **more: object) -> observation.CheckPart:
    said = {"check": "speed", "attempt": 1, "pod_uid": "u", "finished": True, "message": "p95 40 ms"}
    return observation.CheckPart(verdict=verdict, **(said | more))  # type: ignore[arg-type]


STARVED = accelerators.judge([gate(Metric.UTILIZATION, min="40")], {Metric.UTILIZATION: [flat(12)]})
BUSY = accelerators.judge([gate(Metric.UTILIZATION, min="40")], {Metric.UTILIZATION: [flat(85)]})
UNKNOWN = accelerators.unknown([gate(Metric.UTILIZATION, min="40")], "Prometheus cannot be reached")


@pytest.mark.parametrize(
    ("said", "seen", "verdict", "reason"),
    [
        (Verdict.PASS, BUSY, Verdict.PASS, ""),
        (Verdict.PASS, STARVED, Verdict.FAIL, "AcceleratorOutOfBounds"),
        (Verdict.PASS, UNKNOWN, Verdict.NO_DATA, "AcceleratorUnknown"),
        (Verdict.FAIL, BUSY, Verdict.FAIL, ""),
        (Verdict.FAIL, UNKNOWN, Verdict.FAIL, ""),
        (Verdict.INCONCLUSIVE, UNKNOWN, Verdict.INCONCLUSIVE, ""),
        (Verdict.ERROR, STARVED, Verdict.FAIL, "AcceleratorOutOfBounds"),
    ],
)
def test_what_the_gpu_showed_is_added_to_what_the_check_said(said, seen, verdict, reason):
    found = accelerators.added(part(said), seen)
    assert (found.verdict, found.reason) == (verdict, reason)
    assert seen.message in found.message
    assert "p95 40 ms" in found.message
    assert found.gates[-1:] == seen.gates


def test_what_was_skipped_or_never_spoke_stays_so():
    for one in (part(None), part(Verdict.PASS, skipped=True)):
        assert accelerators.added(one, STARVED) is one
