import asyncio
import dataclasses
import datetime
from typing import Any

import pytest

from modelrelease.api import endpoint as api_endpoint
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api import verdict
from modelrelease.controller import judging, loop

KEY = loop.Key("1", "ns", "a")
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SUBJECT = judging.Subject(
    namespace="ns",
    run="a-1",
    phase=api_run.Phase.HOLDING,
    step=1,
    since=NOW,
    names=("pod",),
    pods=(),
    slos=(
        api_spec.Slo(name="one", objective="99", availability=api_spec.Availability()),
        api_spec.Slo(name="two", objective="99", availability=api_spec.Availability()),
    ),
    endpoint=api_endpoint.Endpoint(),
)


class Judge:
    """Answers at once, hangs, or breaks, per SLO."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.hangs: set[str] = set()
        self.breaks: set[str] = set()

    async def __call__(
        self, subject: judging.Subject, slo: api_spec.Slo, now: datetime.datetime
    ) -> api_run.SloStatus:
        self.asked.append(slo.name)
        if slo.name in self.hangs:
            await asyncio.Event().wait()
        if slo.name in self.breaks:
            raise ValueError("boom")
        return api_run.SloStatus(name=slo.name, verdict=verdict.Verdict.PASS, observed_time=now)


class Woken:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def wake() -> Woken:
    return Woken()


@pytest.fixture
def judged(judge: Judge, clock: Any) -> judging.Judging:
    return judging.Judging(judge, clock=clock, interval_seconds=5, deadline_seconds=0.05)


def verdicts(found: tuple[api_run.SloStatus, ...]) -> dict[str, verdict.Verdict]:
    return {slo.name: slo.verdict for slo in found}


async def test_a_turn_never_waits_and_is_woken_when_the_judgement_is_done(
    judged: judging.Judging, clock: Any, wake: Woken
):
    assert judged.keep_going(KEY, SUBJECT, NOW, wake) == 5
    assert judged.newest(KEY, SUBJECT) == ()
    await clock.settle()
    assert wake.count == 1
    assert verdicts(judged.newest(KEY, SUBJECT)) == {
        "one": verdict.Verdict.PASS,
        "two": verdict.Verdict.PASS,
    }


async def test_prometheus_is_asked_no_more_often_than_the_interval(
    judged: judging.Judging, judge: Judge, clock: Any, wake: Woken
):
    for _ in range(10):
        judged.keep_going(KEY, SUBJECT, NOW, wake)
        await clock.advance(1)
    assert len(judge.asked) == 2 * 2


async def test_one_slo_that_hangs_is_an_error_and_the_others_speak(
    judged: judging.Judging, judge: Judge, clock: Any, wake: Woken
):
    judge.hangs.add("one")
    judged.keep_going(KEY, SUBJECT, NOW, wake)
    await clock.settle()
    assert judged.newest(KEY, SUBJECT) == ()
    await asyncio.sleep(0.2)  # the deadline is the event loop's own
    found = judged.newest(KEY, SUBJECT)
    assert verdicts(found) == {"one": verdict.Verdict.ERROR, "two": verdict.Verdict.PASS}
    assert "did not answer" in found[0].message


async def test_a_mistake_of_ours_is_an_error_with_a_sentence(
    judged: judging.Judging, judge: Judge, clock: Any, wake: Woken
):
    judge.breaks.add("two")
    judged.keep_going(KEY, SUBJECT, NOW, wake)
    await clock.settle()
    broken = judged.newest(KEY, SUBJECT)[1]
    assert broken.verdict is verdict.Verdict.ERROR
    assert "boom" in broken.message


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(SUBJECT, run="a-2"),
        dataclasses.replace(SUBJECT, step=2),
        dataclasses.replace(SUBJECT, since=NOW + datetime.timedelta(seconds=1)),
        dataclasses.replace(SUBJECT, names=("pod", "another")),
        None,
    ],
)
async def test_a_judgement_is_of_one_hold_and_its_pods_and_of_no_other(
    judged: judging.Judging, clock: Any, wake: Woken, other: judging.Subject | None
):
    judged.keep_going(KEY, SUBJECT, NOW, wake)
    await clock.settle()
    assert judged.newest(KEY, other) == ()


async def test_a_judgement_that_is_too_old_is_none(judged: judging.Judging, clock: Any, wake: Woken):
    judged.keep_going(KEY, SUBJECT, NOW, wake)
    await clock.settle()
    await clock.advance(60)
    assert judged.newest(KEY, SUBJECT) == ()


async def test_a_new_hold_does_not_wait_for_the_old_ones_answer(
    judged: judging.Judging, judge: Judge, clock: Any, wake: Woken
):
    judge.hangs.add("one")
    judged.keep_going(KEY, SUBJECT, NOW, wake)
    await clock.settle()
    judge.hangs.clear()
    following = dataclasses.replace(SUBJECT, step=2)
    judged.keep_going(KEY, following, NOW, wake)
    await clock.settle()
    assert verdicts(judged.newest(KEY, following))["one"] is verdict.Verdict.PASS


async def test_one_release_whose_prometheus_hangs_delays_no_other(
    judged: judging.Judging, judge: Judge, clock: Any, wake: Woken
):
    judge.hangs.add("one")
    judged.keep_going(KEY, SUBJECT, NOW, wake)
    other = loop.Key("2", "ns", "b")
    sound = dataclasses.replace(SUBJECT, run="b-1", slos=SUBJECT.slos[1:])
    judged.keep_going(other, sound, NOW, wake)
    await clock.settle()
    assert verdicts(judged.newest(other, sound)) == {"two": verdict.Verdict.PASS}
    judged.forget(KEY)
