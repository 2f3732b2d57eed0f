"""From the SLO of a manifest to its verdict: the whole way, on a real server."""

import datetime
import time
from collections.abc import Iterator
from typing import Any

import pytest

from modelrelease.api import endpoint, spec
from modelrelease.api import run as api_run
from modelrelease.controller import judging, slos
from modelrelease.prometheus import sources, targets
from tests.integration.prometheus import history, servers

MATCH = [{"label": "kind", "values": ["model"]}]


@pytest.fixture
def judge(remembered: history.History) -> Iterator[slos.PrometheusJudge]:
    known = sources.Sources(sources=(sources.Source(name="default", url=remembered.url, timeout_seconds=10),))
    made = slos.PrometheusJudge(known, time.monotonic)
    yield made
    made.close()


def subject(
    remembered: history.History, slo: spec.Slo, pod: str, baseline: tuple[str, ...] = ()
) -> judging.Subject:
    """Return a candidate that has been held since live traffic began."""
    since = datetime.datetime.fromtimestamp(remembered.now - history.LIVE, datetime.UTC)
    return judging.Subject(
        namespace=servers.NAMESPACE,
        run="embedder-1",
        phase=api_run.Phase.HOLDING,
        step=1,
        since=since,
        names=(pod,),
        pods=(targets.JudgedPod(pod),),
        slos=(slo,),
        endpoint=endpoint.Endpoint(
            runtime=endpoint.Runtime.INFINITY,
            operations=[
                endpoint.Operation(
                    name="embed", protocol=endpoint.Protocol.OPENAI_EMBEDDINGS, path="/embeddings"
                )
            ],
        ),
        live_since=since,
        baseline=tuple(targets.JudgedPod(name) for name in baseline),
    )


@pytest.mark.parametrize(
    ("pod", "declared", "said"),
    [
        ("healthy", {"objective": "99", "availability": {}}, "Pass"),
        ("burning", {"objective": "99", "availability": {}}, "Fail"),
        ("healthy", {"objective": "95", "latency": {"thresholdMilliseconds": 500}}, "Pass"),
        (
            "own",
            {
                "objective": "99",
                "prometheus": {
                    "ratio": {
                        "total": {"metric": "answers_total"},
                        "bad": {"metric": "failures_total", "labels": MATCH},
                    }
                },
            },
            "Pass",
        ),
        (
            "crowded",
            {
                "objective": "90",
                "minimumRequests": 20,
                "prometheus": {"threshold": {"metric": "queue", "max": "5"}},
            },
            "Fail",
        ),
        (
            "runtime-istio",
            {"objective": "95", "runtime": "Istio", "latency": {"thresholdMilliseconds": 500}},
            "Fail",
        ),
    ],
)
async def test_an_objective_of_a_manifest_is_judged(
    judge: slos.PrometheusJudge, remembered: history.History, pod: str, declared: Any, said: Any
) -> None:
    slo = spec.Slo.model_validate({"name": "a", **declared})
    found = await judge(subject(remembered, slo, pod), slo, datetime.datetime.now(datetime.UTC))
    assert (found.verdict, found.requests > 0) == (said, True), found.message


AVAILABLE = spec.Slo.model_validate({"name": "a", "objective": "99", "availability": {}})


async def test_stables_last_day_is_recorded_while_it_serves_beside_the_candidate(
    judge: slos.PrometheusJudge, remembered: history.History
) -> None:
    asked = subject(remembered, AVAILABLE, "healthy", baseline=("slightly",))
    found = await judge(asked, AVAILABLE, datetime.datetime.now(datetime.UTC))
    assert found.state is not None
    assert found.state.recorded is not None
    before = history.requests(-history.LIVE)
    assert found.state.recorded.requests == pytest.approx(1.008 * before, rel=0.05)
    assert found.state.recorded.bad == pytest.approx(0.008 * before, abs=5)


async def test_a_source_that_nobody_has_is_an_error(
    judge: slos.PrometheusJudge, remembered: history.History
) -> None:
    elsewhere = AVAILABLE.model_copy(update={"source": "nowhere"})
    asked = subject(remembered, elsewhere, "healthy")
    found = await judge(asked, elsewhere, datetime.datetime.now(datetime.UTC))
    assert (found.verdict, found.reason) == ("Error", "UnknownPrometheusSource")
