import dataclasses
import gc
import itertools
import tracemalloc
from collections.abc import Sequence
from typing import Any

import prometheus_client
import pytest

from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.controller import exposition, loop
from modelrelease.core import observation, presentation
from tests.unit.core import given

KEY = loop.Key("1", "search", "minilm")
GATE = api_run.GateStatus(
    metric="CosineDistanceP99", verdict=Verdict.PASS, observed="0.0012", limit="0.01", against="Stable"
)


def check(*gates: api_run.GateStatus, name: str = "parity", **fields: Any) -> api_run.CheckStatus:
    return api_run.CheckStatus(name=name, verdict=Verdict.PASS, gates=list(gates), **fields)


def released(traffic: observation.Traffic, *runs: observation.Run, canary: int = 1) -> exposition.Standing:
    observed = given.observed(runs, candidate=canary, traffic=traffic)
    return exposition.standing(observed, presentation.present(observed, given.NOW, None))


def text(said: exposition.Standing, *others: loop.Key) -> list[str]:
    releases = exposition.Releases()
    for key in (KEY, *others):
        releases.note(key, said)
    registry = prometheus_client.CollectorRegistry()
    registry.register(releases)
    return prometheus_client.generate_latest(registry).decode().splitlines()


def holding(**status: Any) -> observation.Run:
    return given.run("Holding", step=1, **status)


def test_a_release_tells_who_is_served_what():
    lines = text(released(given.WIDENED, holding()))
    where = 'name="minilm",namespace="search"'
    shares = [line for line in lines if line.startswith("modelrelease_traffic_percent{")]
    assert [line.rsplit(" ")[-1] for line in shares] == ["67.0", "33.0"]
    assert all(where in line for line in shares)
    assert f'revision="{given.CANDIDATE}"' in shares[1]
    assert f"modelrelease_replicas{{{where}}} 3.0" in lines


def test_the_newest_run_tells_its_checks_and_objectives():
    slo = given.slo(Verdict.PASS).model_copy(update={"requests": 200, "bad": 3})
    lines = text(released(given.WIDENED, holding(checks=[check(GATE)], slos=[slo])))
    run = f'name="minilm",namespace="search",revision="{given.CANDIDATE}"'
    gate = f'{{against="Stable",check="parity",metric="CosineDistanceP99",{run}}}'
    assert f"modelrelease_check_value{gate} 0.0012" in lines
    assert f"modelrelease_check_limit{gate} 0.01" in lines
    assert f'modelrelease_slo_requests{{{run},slo="latency"}} 200.0' in lines
    assert f'modelrelease_slo_bad{{{run},slo="latency"}} 3.0' in lines


@pytest.mark.parametrize(
    ("observed", "limit", "values", "limits"),
    [
        pytest.param("cased", "0.1", 0, 1, id="a word is no value"),
        pytest.param("", "", 0, 0, id="nothing was measured"),
        pytest.param("nan", "0.1", 0, 1, id="not a number"),
    ],
)
def test_only_numbers_are_told(observed: str, limit: str, values: int, limits: int):
    gate = GATE.model_copy(update={"observed": observed, "limit": limit})
    lines = text(released(given.WIDENED, holding(checks=[check(gate)])))
    assert sum(line.startswith("modelrelease_check_value{") for line in lines) == values
    assert sum(line.startswith("modelrelease_check_limit{") for line in lines) == limits


def test_two_bounds_of_one_metric_are_one_series():
    failed = GATE.model_copy(update={"observed": "0.5"})
    lines = text(released(given.WIDENED, holding(checks=[check(failed, GATE)])))
    series = [line for line in lines if line.startswith("modelrelease_check_value{")]
    assert len(series) == 1, "Prometheus refuses a scrape that says a series twice"
    assert series[0].endswith(" 0.5")


def test_without_a_run_there_is_a_release_all_the_same():
    lines = text(released(given.pinned(given.STABLE), canary=0))
    shares = [line for line in lines if line.startswith("modelrelease_traffic_percent{")]
    assert shares[0].endswith(" 100.0")
    assert not any(line.startswith("modelrelease_check_value{") for line in lines)


def test_a_release_goes_with_its_series():
    releases = exposition.Releases()
    releases.note(KEY, exposition.Standing(replicas=2))
    assert any(family.samples for family in releases.collect())
    releases.forget(KEY)
    releases.forget(KEY)
    assert not any(family.samples for family in releases.collect())


def diagnosed(cause: str | None, phase: str = "Checking", **fields: Any) -> api_run.RunStatus:
    diagnosis = api_run.Diagnosis(cause=cause, confidence="High") if cause else None
    return api_run.RunStatus(phase=api_run.Phase(phase), checks=[check(diagnosis=diagnosis)], **fields)


@pytest.mark.parametrize(
    ("before", "after", "counted"),
    [
        ((None,), ("Casing",), [("Casing", "High")]),
        (("Casing",), ("Casing",), []),
        (("Casing",), ("Pooling",), [("Pooling", "High")]),
        (("Casing",), (None,), []),
    ],
)
def test_a_cause_is_counted_when_it_is_named_anew(
    before: Sequence[str | None], after: Sequence[str | None], counted: list[tuple[str, str]]
):
    assert list(exposition.causes(diagnosed(*before), diagnosed(*after))) == counted


def test_a_run_is_counted_once_when_it_ends():
    outcome = {"outcome": api_run.Outcome.ROLLED_BACK, "reason": "CheckFailed"}
    stages = [
        diagnosed(None),
        diagnosed(None, "Returning", **outcome),
        diagnosed(None, "Done", **outcome),
        diagnosed(None, "Done", **outcome),
    ]
    counted = [end for pair in itertools.pairwise(stages) for end in exposition.ends(*pair)]
    assert counted == [("RolledBack", "CheckFailed")]


def test_a_release_costs_less_than_two_kilobytes():
    """Three checks of six gates and two objectives, each release's words parsed anew, as in its turns."""
    number = 50

    def parsed(index: int) -> exposition.Standing:
        gates = [
            api_run.GateStatus.model_validate(
                {
                    "metric": f"Metric{m}",
                    "verdict": "Pass",
                    "observed": f"0.{index + 1}{m}",
                    "limit": f"1.{m}",
                }
            )
            for m in range(6)
        ]
        checks = [check(*gates, name=f"check-{c}") for c in range(3)]
        slos = [
            given.slo(Verdict.PASS).model_copy(update={"name": f"slo-{s}", "requests": 1000}) for s in "ab"
        ]
        return released(given.WIDENED, holding(checks=checks, slos=slos))

    releases = exposition.Releases()
    keys = [dataclasses.replace(KEY, uid=str(index)) for index in range(number)]
    releases.note(keys[0], parsed(0))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for index, key in enumerate(keys):
            releases.note(key, parsed(index))
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown / number < 2048, f"{grown / number:.0f} bytes"
