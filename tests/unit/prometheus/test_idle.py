"""While nobody can reach the canary its series must not move."""

from typing import Any

import pytest

from modelrelease.api import checks as api_checks
from modelrelease.api import custom as api_custom
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.controller import judging
from modelrelease.prometheus import counting, idle, targets
from modelrelease.slo.counters import CounterSeries, Sample
from tests.unit.core import build


def counted(*samples: tuple[float, float], watched: float = 0) -> counting.Counted:
    series = CounterSeries({"status": "2xx"}, tuple(Sample(*sample) for sample in samples))
    scrapes = tuple(float(time) for time in range(0, 101, 10))
    return counting.Counted((), (targets.Target("a", {}, scrapes, watched, (series,)),))


@pytest.mark.parametrize(
    ("start", "end", "moved"),
    [
        pytest.param(20, 60, 30, id="between the first and the last scrape in it"),
        pytest.param(15, 65, 30, id="what came before its first scrape proves nothing"),
        pytest.param(25, 45, 20, id="two scrapes are enough"),
        pytest.param(21, 29, 0, id="none is not"),
        pytest.param(60, 100, 0, id="standing still"),
    ],
)
def test_what_was_counted_in_a_time(start: float, end: float, moved: int) -> None:
    growing = counted((10, 100), (20, 110), (30, 120), (40, 140), (60, 140), (100, 140))
    assert idle.moved(growing, start, end) == moved


def test_a_series_that_is_born_in_it_counts_from_its_birth() -> None:
    assert idle.moved(counted((50, 7)), 20, 60) == 7


@pytest.mark.parametrize(
    ("own", "quiet"), [(0, False), (5, True), (4, True)], ids=["nothing", "ours", "ours, some twice"]
)
def test_our_own_requests_are_allowed(own: int, quiet: bool) -> None:
    moving = counted((10, 0), (60, 12))
    span = idle.Idle(10, 60, own)
    if quiet:
        idle.check(moving, [span], 0)
    else:
        with pytest.raises(targets.SliError, match="12 requests were counted while no user") as raised:
            idle.check(moving, [span], 0)
        assert raised.value.failure.verdict is Verdict.ERROR
    with pytest.raises(targets.SliError, match="and our checks sent 4"):
        idle.check(counted((10, 0), (60, 29)), [idle.Idle(10, 60, 4)], 0)


def test_times_are_those_of_prometheus() -> None:
    moving = counted((40, 0), (50, 9))
    idle.check(moving, [idle.Idle(0, 45)], 0)
    with pytest.raises(targets.SliError):
        idle.check(moving, [idle.Idle(0, 45)], 5)


def check(name: str, **fields: Any) -> api_run.CheckStatus:
    values = {"verdict": Verdict.PASS, "completion_time": build.at(60), "requests": 100}
    return api_run.CheckStatus(name=name, **values | fields)


def run(*checks: api_run.CheckStatus, **fields: Any) -> Any:
    status = {"start_time": build.at(0), "live_since": build.at(90), "step": 1, "checks": list(checks)}
    return build.run(**status | fields)


def test_before_the_first_step_the_pods_were_idle() -> None:
    last = check("parity", completion_time=build.at(80), requests=20)
    skipped = check("other", skipped=True, verdict=None, completion_time=None, requests=0)
    began = build.T0.timestamp()
    assert judging.idle_times(run(check("contract"), last, skipped)) == (
        idle.Idle(began + 80, began + 90),
        idle.Idle(began, began + 90, own=120),
    )


CUSTOM = api_checks.Check(
    name="contract", custom=api_custom.Custom(job=api_custom.Job(image="example.test/x:1"))
)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(run(check("contract"), step=2), id="a later step: the first has told"),
        pytest.param(run(check("contract"), live_since=None), id="not yet live"),
        pytest.param(run(check("contract"), attempt=2), id="pods that an earlier run has asked"),
        pytest.param(run(check("contract", attempt=2)), id="a repeated check"),
        pytest.param(run(check("contract", completion_time=None, verdict=None)), id="one without an end"),
        pytest.param(run(check("contract"), judged_by=build.judging(checks=[CUSTOM])), id="one of users"),
    ],
)
def test_where_others_may_have_asked_nothing_is_said(said: Any) -> None:
    assert judging.idle_times(said) == ()
