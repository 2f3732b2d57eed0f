"""Native histograms are cut at two boundaries, whatever resolution they have."""

import json
import math

import pytest

from modelrelease.prometheus import answers, native, transport
from modelrelease.prometheus.answers import NativeHistogram, RawSeries
from modelrelease.slo.observation import Boundaries


# As Prometheus 3 answered about a classic histogram that it stores as a native one.
def scrape(time: float, *counts: str) -> list[object]:
    edges = ((3, "-Inf", "0.1"), (0, "0.1", "0.5"), (0, "1", "+Inf"))
    buckets = [[*edge, count] for edge, count in zip(edges, counts, strict=True)]
    return [time, {"count": str(sum(map(int, counts))), "sum": "13.25", "buckets": buckets}]


RECORDED = {
    "metric": {"__name__": "http_request_duration_seconds", "pod": "a"},
    "histograms": [scrape(1795282924.7, "5", "10", "5"), scrape(1795282925.7, "6", "12", "6")],
}


def read(*series: object) -> tuple[RawSeries, ...]:
    body = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    return answers.matrix("Prometheus", transport.Exchange(200, json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("threshold", "edges", "newest"),
    [
        pytest.param(0.3, Boundaries(0.1, 0.5), {"0.1": 6, "0.5": 18, "+Inf": 24}, id="within a bucket"),
        pytest.param(0.5, Boundaries(0.5, 0.5), {"0.5": 18, "+Inf": 24}, id="a boundary"),
        pytest.param(0.7, Boundaries(0.7, 0.7), {"0.7": 18, "+Inf": 24}, id="nothing was counted around it"),
        pytest.param(5.0, Boundaries(1.0, math.inf), {"1.0": 18, "+Inf": 24}, id="above all boundaries"),
        pytest.param(0.05, Boundaries(0.0, 0.1), {"0.1": 6, "+Inf": 24}, id="below all of them"),
    ],
)
def test_an_answer_of_prometheus_3(threshold: float, edges: Boundaries, newest: dict[str, int]) -> None:
    found, series = native.cumulative(read(RECORDED), threshold)
    assert found == edges
    assert {one.labels["le"]: one.samples[-1].value for one in series} == newest
    assert all(one.labels["pod"] == "a" for one in series)


def test_a_server_that_grows_coarser_is_cut_where_it_is_coarse() -> None:
    fine = NativeHistogram(1, 4, ((0.25, 0.5, 1), (0.5, 0.7, 1), (0.7, 1, 1), (1, 2, 1)))
    coarse = NativeHistogram(2, 8, ((0.25, 0.5, 2), (0.5, 1, 4), (1, 2, 2)))
    edges, series = native.cumulative([RawSeries({"pod": "a"}, (), (fine, coarse))], 0.6)
    assert edges == Boundaries(0.5, 1)
    counted = {one.labels["le"]: [sample.value for sample in one.samples] for one in series}
    assert counted == {"0.5": [1, 2], "1": [3, 6], "+Inf": [4, 8]}


def test_what_is_no_native_histogram_is_none() -> None:
    classic = read({"metric": {"pod": "a"}, "values": [[1, "2"]]})
    assert native.cumulative(classic, 0.5)[1] == ()
