"""Counts from a real Prometheus are exactly those of the process that was scraped."""

import functools
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from modelrelease.api.endpoint import Runtime
from modelrelease.api.verdict import Verdict
from modelrelease.prometheus.client import Prometheus
from modelrelease.prometheus.idle import Idle
from modelrelease.prometheus.runtimes import RUNTIMES
from modelrelease.prometheus.slis import observe
from modelrelease.prometheus.targets import JudgedPod
from modelrelease.slo import burn
from modelrelease.slo.objectives import Kind, Objective
from modelrelease.slo.observation import Boundaries, Events, SliFailure, SliObservation

Until = Callable[[Callable[[], Awaitable[Any]], Callable[[Any], bool]], Awaitable[Any]]

AVAILABILITY = Objective("availability", Kind.AVAILABILITY, Decimal(99))


def latency(seconds: float) -> Objective:
    return Objective("latency", Kind.LATENCY, Decimal(95), seconds)


async def seen(
    prometheus: Prometheus,
    start: float,
    *pods: str,
    objective: Objective = AVAILABILITY,
    runtime: Runtime = Runtime.INFINITY,
    path: str = "/embeddings",
    namespace: str = "search",
) -> SliObservation | SliFailure:
    return await observe(
        prometheus,
        RUNTIMES[runtime],
        path,
        objective,
        namespace=namespace,
        pods=[JudgedPod(pod) for pod in pods],
        live_since=start,
        now=await prometheus.now(),
    )


def counted(answer: SliObservation | SliFailure) -> Events | str:
    return answer.until(1e12) if isinstance(answer, SliObservation) else answer.reason


async def live(prometheus: Prometheus, until: Until, pod: str, requests: int = 0) -> float:
    """Wait until the pod was scraped with so many requests, and return the instant that follows.

    A scrape bears the time at which it began: one that is under way would tell of what comes after that
    instant as if it had been before. So a later one is stored when this returns.
    """

    async def latest() -> list[tuple[float, ...]]:
        now = await prometheus.now()
        ups = await prometheus.matrix(f'up{{pod="{pod}"}}[60s]', now)
        answers = await prometheus.matrix(f'http_requests_total{{pod="{pod}"}}[60s]', now)
        scrapes = sum(sample.value for up in ups for sample in up.samples)
        return [(scrapes, sum(series.samples[-1].value for series in answers))]

    await until(latest, lambda found: found[0][0] > 0 and found[0][1] == requests)
    start = await prometheus.now()
    await until(lambda: scraped(prometheus, pod), lambda latest: latest > start)
    return start


async def scraped(prometheus: Prometheus, pod: str) -> float:
    """Return when the newest scrape of a pod began."""
    ups = await prometheus.matrix(f'up{{pod="{pod}"}}[60s]', await prometheus.now())
    return max(up.samples[-1].time for up in ups)


async def test_forty_errors_that_arrive_with_a_new_series_are_forty(
    prometheus: Prometheus, pods: dict[str, Any], until: Until
) -> None:
    pods["born"].answer(7)  # our own check, before anybody else could reach the pod
    start = await live(prometheus, until, "born", requests=7)
    pods["born"].answer(200)
    pods["born"].answer(40, "5xx")
    pods["born"].answer(500, path="/health")
    expected = Events(total=240, bad=40, possibly_bad=40)
    await until(lambda: seen(prometheus, start, "born"), lambda answer: counted(answer) == expected)
    generic = await seen(prometheus, start, "born", runtime=Runtime.GENERIC)
    assert counted(generic) == expected


async def test_a_restart_that_the_error_counter_hides_loses_nothing(
    prometheus: Prometheus, pods: dict[str, Any], until: Until
) -> None:
    pods["restarted"].answer(100)
    pods["restarted"].answer(3, "5xx")
    start = await live(prometheus, until, "restarted", requests=103)
    pods["restarted"].restart()
    pods["restarted"].answer(4)
    pods["restarted"].answer(5, "5xx")
    expected = Events(total=9, bad=5, possibly_bad=5)
    await until(lambda: seen(prometheus, start, "restarted"), lambda answer: counted(answer) == expected)


async def test_slow_requests_are_counted_from_both_sides_of_a_threshold(
    prometheus: Prometheus, pods: dict[str, Any], until: Until
) -> None:
    start = await live(prometheus, until, "slow")
    for count, seconds in ((10, 0.02), (5, 0.2), (3, 2.0)):
        pods["slow"].answer(count, seconds=seconds)
    pods["slow"].answer(500, path="/health")
    for threshold, edges, bad, possibly_bad in (
        (0.1, Boundaries(0.1, 0.1), 8, 8),
        (1.0, Boundaries(1.0, 1.0), 3, 3),
        (0.3, Boundaries(0.1, 0.5), 3, 8),
        (0.05, Boundaries(0.0, 0.1), 8, 18),
        (5.0, Boundaries(1.0, float("inf")), 0, 3),
    ):
        ask = functools.partial(seen, prometheus, start, "slow", objective=latency(threshold))
        expected = Events(18, bad, possibly_bad)
        answer = await until(ask, lambda found, expected=expected: counted(found) == expected)  # type: ignore[misc]
        assert answer.boundaries == edges
        assert 0.5 < answer.interval < 1.5
        assert answer.blind == ()


async def test_a_slow_candidate_fails_and_says_why(
    prometheus: Prometheus, pods: dict[str, Any], until: Until
) -> None:
    objective = latency(0.1)
    start = await live(prometheus, until, "hidden")
    pods["hidden"].answer(60, seconds=0.3)
    answer = await until(
        lambda: seen(prometheus, start, "hidden", objective=objective),
        lambda answer: counted(answer) == Events(60, 60, 60),
    )
    judgement = burn.judge(objective, answer, await prometheus.now(), start)
    assert (judgement.verdict, judgement.reason) == (Verdict.FAIL, "BudgetBurning")
    assert "60 of 60 requests (100 %)" in judgement.message
    assert "took longer than 100 ms" in judgement.message


async def test_what_moves_while_nobody_can_reach_the_pods_is_an_error(
    prometheus: Prometheus, pods: dict[str, Any], until: Until
) -> None:
    start = await live(prometheus, until, "idle")

    async def said(own: int) -> Events | str:
        now = await prometheus.now()
        found = await observe(
            prometheus,
            RUNTIMES[Runtime.INFINITY],
            "/embeddings",
            AVAILABILITY,
            namespace="search",
            pods=[JudgedPod("idle")],
            live_since=now,
            now=now,
            idle_times=[Idle(start, now, own)],
        )
        return counted(found)

    pods["idle"].answer(2)
    pods["idle"].answer(1, "4xx")
    await until(lambda: said(0), lambda found: found == "SelectorCountsOthers")
    assert await said(3) == Events(), "our own checks"
    pods["idle"].answer(200)
    await until(lambda: said(3), lambda found: found == "SelectorCountsOthers")


async def test_client_errors_are_counted_apart(
    prometheus: Prometheus, pods: dict[str, Any], until: Until
) -> None:
    start = await live(prometheus, until, "client-errors")
    pods["client-errors"].answer(50, "4xx")
    expected = Events(client_errors=50)
    await until(lambda: seen(prometheus, start, "client-errors"), lambda answer: counted(answer) == expected)


async def test_a_status_that_is_none_is_an_error(
    prometheus: Prometheus, pods: dict[str, Any], until: Until
) -> None:
    start = await live(prometheus, until, "odd")
    pods["odd"].answer(3, "great")
    await until(lambda: seen(prometheus, start, "odd"), lambda answer: counted(answer) == "UnknownStatus")


@pytest.mark.parametrize(
    ("names", "more", "said"),
    [
        pytest.param((), {}, ("NoData", "NoPods"), id="no pod"),
        pytest.param(("nobody",), {}, ("NoData", "NotScraped"), id="unknown pod"),
        pytest.param(("quie.*",), {}, ("NoData", "NotScraped"), id="a name is no pattern"),
        pytest.param(("quiet",), {"namespace": "other"}, ("NoData", "NotScraped"), id="namespace"),
        pytest.param(("quiet",), {}, ("NoData", "NoRequests"), id="no request yet"),
        pytest.param(("quiet",), {"objective": latency(0.1)}, ("NoData", "NoRequests"), id="no bucket yet"),
        pytest.param(
            ("quiet",), {"path": '/x"} or up{pod!="'}, ("NoData", "NoRequests"), id="an injected path"
        ),
    ],
)
async def test_where_nothing_is_seen_there_is_no_data(
    prometheus: Prometheus, until: Until, names: tuple[str, ...], more: dict[str, Any], said: tuple[str, str]
) -> None:
    await live(prometheus, until, "quiet")
    answer = await seen(prometheus, 0.0, *names, **more)
    assert isinstance(answer, SliFailure)
    assert (answer.verdict, answer.reason) == said


async def test_a_pod_that_two_jobs_scrape_is_not_counted_twice(
    prometheus: Prometheus, pods: dict[str, Any], until: Until
) -> None:
    pods["twice"].answer(3)
    answer = await until(
        lambda: seen(prometheus, 0.0, "twice"), lambda found: counted(found) == "ScrapedTwice"
    )
    assert answer.verdict is Verdict.ERROR
    assert "2 targets (again 127.0.0.1" in answer.message


async def test_pods_that_serve_and_are_not_scraped_are_named(
    prometheus: Prometheus, pods: dict[str, Any], until: Until
) -> None:
    pods["faulty"].answer(5)
    start = await live(prometheus, until, "faulty", requests=5)
    answer = await seen(prometheus, start, "faulty", "missing")
    assert isinstance(answer, SliObservation)
    assert answer.blind == ("missing",)


async def test_clocks_that_differ_are_an_error(prometheus: Prometheus, pods: dict[str, Any]) -> None:
    answer = await observe(
        prometheus,
        RUNTIMES[Runtime.INFINITY],
        "/embeddings",
        AVAILABILITY,
        namespace="search",
        pods=[JudgedPod("quiet")],
        live_since=0.0,
        now=await prometheus.now() - 60,
    )
    assert isinstance(answer, SliFailure)
    assert answer.message == "Prometheus' clock is 60 s ahead of the cluster's"
