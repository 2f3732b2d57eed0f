"""From the SLO of a manifest to what is counted."""

import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api import endpoint as endpoints
from modelrelease.api import series_rules, spec
from modelrelease.prometheus import metrics, queries, series
from modelrelease.prometheus.metrics import Absent, Weight
from modelrelease.prometheus.promql import selector
from modelrelease.prometheus.runtimes import RUNTIMES
from modelrelease.slo.objectives import Kind

ENDPOINT = endpoints.Endpoint(runtime=endpoints.Runtime.TRITON)


def slo(**fields: Any) -> spec.Slo:
    return spec.Slo.model_validate({"name": "a", "objective": "99", **fields})


def own(**fields: Any) -> spec.Slo:
    return slo(prometheus=fields)


def selection(metric: str, **labels: list[str]) -> dict[str, Any]:
    return {"metric": metric, "labels": [{"label": key, "values": values} for key, values in labels.items()]}


def test_the_runtime_is_the_objectives_own_or_the_endpoints() -> None:
    assert series.of(slo(availability={}), ENDPOINT) is RUNTIMES[endpoints.Runtime.TRITON]
    by_proxy = slo(latency={"thresholdMilliseconds": 100}, runtime="Istio")
    assert series.of(by_proxy, ENDPOINT) is RUNTIMES[endpoints.Runtime.ISTIO]


@pytest.mark.parametrize("runtime", list(endpoints.Runtime))
def test_the_rules_refuse_exactly_what_a_runtime_cannot_say(runtime: endpoints.Runtime) -> None:
    known = RUNTIMES[runtime]
    assert (known.latency is None) == (runtime in series_rules.WITHOUT_LATENCY)
    assert (not known.counters) == (runtime in series_rules.WITHOUT_COUNTS)


@pytest.mark.parametrize(
    ("ratio", "weights"),
    [
        ({"total": "t", "bad": "b"}, [(Weight(1, 0), Absent.NO_REQUESTS), (Weight(0, 1), Absent.UNPROVEN)]),
        ({"total": "t", "good": "g"}, [(Weight(1, 1), Absent.NO_REQUESTS), (Weight(0, -1), Absent.FINE)]),
        ({"good": "g", "bad": "b"}, [(Weight(1, 0), Absent.FINE), (Weight(1, 1), Absent.UNPROVEN)]),
    ],
)
def test_a_ratio_is_made_of_two_counters(ratio: dict[str, str], weights: list[tuple[Weight, Absent]]) -> None:
    found = series.of(own(ratio={key: selection(name) for key, name in ratio.items()}), ENDPOINT)
    assert isinstance(found, metrics.RequestMetrics)
    assert [(counter.weight, counter.absent) for counter in found.counters] == weights
    assert [counter.metric for counter in found.counters] == list(ratio.values())


def test_who_says_that_absent_means_none_is_believed() -> None:
    ratio = {"total": selection("t"), "bad": selection("b"), "whenAbsent": "Zero"}
    found = series.of(own(ratio=ratio), ENDPOINT)
    assert isinstance(found, metrics.RequestMetrics)
    assert found.counters[1].absent is Absent.FINE


def test_labels_are_exact_and_escaped() -> None:
    labels = [
        {"label": "a", "values": ['x"} or up{a="', "y.z"]},
        {"label": "b", "operator": "NotIn", "values": [""]},
    ]
    found = series.of(
        own(ratio={"total": {"metric": "t", "labels": labels}, "good": selection("g")}), ENDPOINT
    )
    assert isinstance(found, metrics.RequestMetrics)
    written = selector("t", found.counters[0].only)
    assert written == 't{a=~"x\\"\\\\}\\\\ or\\\\ up\\\\{a=\\"|y\\\\.z",b!~""}'


def test_a_histogram_counts_in_its_own_unit() -> None:
    shape = {"metric": "m", "unit": "Milliseconds", "thresholdMilliseconds": 250}
    found = series.of(own(histogram=shape), ENDPOINT)
    assert isinstance(found, metrics.RequestMetrics)
    assert found.latency == metrics.Latency("m", 1000)
    objective = series.objective_of(own(histogram=shape))
    assert (objective.kind, objective.threshold_seconds, objective.events) == (Kind.LATENCY, 0.25, "requests")


@pytest.mark.parametrize(
    ("bound", "values", "wrong"),
    [
        ({"max": "80.5"}, {80.5: False, 81: True, -1: False}, "had m above 80.5"),
        ({"min": "1"}, {1: False, 0.5: True, 2: False}, "had m below 1"),
    ],
)
def test_a_threshold_is_broken_beyond_its_bound(
    bound: dict[str, str], values: dict[float, bool], wrong: str
) -> None:
    declared = own(threshold={"metric": "m", "kind": "Increase", "podLabel": "exported_pod", **bound})
    found = series.of(declared, ENDPOINT)
    assert isinstance(found, metrics.Threshold)
    assert {value: found.beyond(value) for value in values} == values
    assert (found.increase, found.pod_label) == (True, "exported_pod")
    objective = series.objective_of(declared)
    assert (objective.kind, objective.events, objective.bad) == (Kind.AVAILABILITY, "samples", wrong)
    assert objective.objective_percent == Decimal(99)


POD = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?", fullmatch=True)


@given(st.lists(POD, min_size=1, max_size=4), POD)
def test_a_free_query_asks_for_exactly_these_pods(pods: list[str], other: str) -> None:
    written = queries.filled('sum by (pod) (x{pod=~"$pods"})', pods)
    pattern = re.search(r'"([^"]*)"', written)
    assert pattern is not None
    assert "\\" not in written, "the same in every kind of quotes"
    for pod in [*pods, other]:
        assert bool(re.fullmatch(pattern[1], pod)) is (pod in pods)


@pytest.mark.parametrize("pods", [[], ['a"}'], ["a|b"], [".*"], ["a\n"], ["A"]])
def test_what_is_no_pod_gets_into_no_query(pods: list[str]) -> None:
    with pytest.raises(ValueError, match="no name of a pod"):
        queries.filled("x{pod=~'$pods'}", pods)
    with pytest.raises(ValueError, match="has no"):
        queries.filled("x", ["a"])
