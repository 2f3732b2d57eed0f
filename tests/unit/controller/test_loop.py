import asyncio
import itertools
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from modelrelease.cluster import api
from modelrelease.controller import loop

Act = Callable[[], Awaitable[loop.Requeue]]


class Turns:
    """Records when each release had its turns, and ends them as the test says."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.times: dict[str, list[float]] = defaultdict(list)
        self.acts: dict[str, Act] = {}
        self.wakes: dict[str, Callable[[], None]] = {}
        self.forgotten: list[str] = []

    async def take(self, key: loop.Key, wake: Callable[[], None]) -> loop.Requeue:
        self.times[key.name].append(self.clock.monotonic())
        self.wakes[key.name] = wake
        act = self.acts.get(key.name)
        return await act() if act else loop.Requeue()

    def forget(self, key: loop.Key) -> None:
        self.forgotten.append(key.name)


class Observer:
    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def turn_ended(self, key: loop.Key, seconds: float, error: BaseException | None) -> None:
        if error is not None:
            self.errors.append(error)

    def release_gone(self, key: loop.Key) -> None: ...


@pytest.fixture
def turns(clock: Any) -> Turns:
    return Turns(clock)


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
async def operator(turns: Turns, clock: Any, observer: Observer) -> AsyncIterator[loop.Operator]:
    made = loop.Operator(turns, clock=clock, chance=random.Random(1), observer=observer)
    yield made
    await made.shut_down()


async def fail() -> loop.Requeue:
    raise api.Unavailable("no answer")


async def hang() -> loop.Requeue:
    await asyncio.Event().wait()
    raise AssertionError


async def gone() -> loop.Requeue:
    raise loop.ReleaseGone


def after(seconds: float) -> Act:
    async def act() -> loop.Requeue:
        return loop.Requeue(after_seconds=seconds)

    return act


async def test_an_idle_release_is_looked_at_about_once_a_minute(
    operator: loop.Operator, turns: Turns, clock: Any
):
    operator.start("1", "ns", "a")
    await clock.advance(600)
    assert 9 <= len(turns.times["a"]) <= 12


async def test_a_turn_comes_when_the_last_one_asked_for_it(operator: loop.Operator, turns: Turns, clock: Any):
    turns.acts["a"] = after(7.0)
    operator.start("1", "ns", "a")
    await clock.advance(20)
    assert turns.times["a"] == pytest.approx([0.0, 7.0, 14.0])


async def test_a_wake_cuts_the_pause_short(operator: loop.Operator, turns: Turns, clock: Any):
    operator.start("1", "ns", "a")
    await clock.advance(10)
    operator.wake("ns", "a")
    await clock.advance(0.1)
    assert turns.times["a"] == pytest.approx([0.0, 10.0])


async def test_a_second_start_of_the_same_release_is_a_wake(
    operator: loop.Operator, turns: Turns, clock: Any
):
    operator.start("1", "ns", "a")
    await clock.advance(10)
    operator.start("1", "ns", "a")
    await clock.advance(0.1)
    assert len(turns.times["a"]) == 2
    assert operator.count == 1


async def test_a_wake_during_a_turn_is_not_lost(operator: loop.Operator, turns: Turns, clock: Any):
    async def wakes_itself() -> loop.Requeue:
        if len(turns.times["a"]) == 1:
            turns.wakes["a"]()
        return loop.Requeue()

    turns.acts["a"] = wakes_itself
    operator.start("1", "ns", "a")
    await clock.advance(1)
    assert len(turns.times["a"]) == 2


async def test_a_wake_is_for_one_release_of_one_namespace(operator: loop.Operator, turns: Turns, clock: Any):
    for uid, name in (("1", "a"), ("2", "b")):
        operator.start(uid, "ns", name)
    await clock.advance(10)
    operator.wake("other", "a")
    operator.wake("ns", "b")
    await clock.advance(1)
    assert (len(turns.times["a"]), len(turns.times["b"])) == (1, 2)


async def test_failures_are_tried_again_ever_more_slowly_and_never_given_up(
    operator: loop.Operator, turns: Turns, clock: Any, observer: Observer
):
    turns.acts["a"] = fail
    operator.start("1", "ns", "a")
    await clock.advance(600)
    times = list(turns.times["a"])
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[0] < 1
    assert 20 < pauses[-1] <= 36
    assert len(observer.errors) == len(times)
    del turns.acts["a"]
    await clock.advance(40)
    assert len(turns.times["a"]) == len(times) + 1  # and the pause is the ordinary one again


async def test_a_mistake_of_ours_does_not_end_the_loop(
    operator: loop.Operator, turns: Turns, clock: Any, caplog: pytest.LogCaptureFixture
):
    async def mistake() -> loop.Requeue:
        raise ZeroDivisionError

    turns.acts["a"] = mistake
    operator.start("1", "ns", "a")
    await clock.advance(5)
    assert len(turns.times["a"]) > 2
    assert caplog.records[0].exc_info is not None


async def test_a_stream_of_changes_does_not_defeat_the_backoff(
    operator: loop.Operator, turns: Turns, clock: Any
):
    turns.acts["a"] = fail
    operator.start("1", "ns", "a")
    await clock.advance(60)
    before = len(turns.times["a"])
    for _ in range(100):
        operator.wake("ns", "a")
        await clock.advance(0.1)
    assert len(turns.times["a"]) - before <= 6


async def test_one_release_that_hangs_delays_no_other(operator: loop.Operator, turns: Turns, clock: Any):
    turns.acts["a"] = hang
    turns.acts["b"] = after(1.0)
    operator.start("1", "ns", "a")
    operator.start("2", "ns", "b")
    await clock.advance(10)
    assert len(turns.times["a"]) == 1
    assert len(turns.times["b"]) == 11


async def test_turns_are_taken_in_order_and_a_few_at_once(turns: Turns, clock: Any, observer: Observer):
    ends = asyncio.Event()

    async def lasts() -> loop.Requeue:
        await ends.wait()
        return loop.Requeue()

    names = ("a", "b", "c", "d")
    turns.acts |= dict.fromkeys(names, lasts)
    pacing = loop.Pacing(turns_at_once=2)
    operator = loop.Operator(turns, clock=clock, chance=random.Random(1), observer=observer, pacing=pacing)
    for name in names:
        operator.start(name, "ns", name)
    await clock.settle()
    assert [*turns.times] == ["a", "b"]
    operator.wake("ns", "c")  # the turn that it waits for sees the change, too
    ends.set()
    await clock.advance(1)
    assert {name: len(times) for name, times in turns.times.items()} == dict.fromkeys(names, 1)
    await operator.shut_down()


async def test_turns_that_hang_take_the_room_of_others_for_a_while_only(
    turns: Turns, clock: Any, observer: Observer
):
    turned = asyncio.Event()

    async def tells() -> loop.Requeue:
        turned.set()
        return loop.Requeue()

    turns.acts |= {"a": hang, "b": hang, "c": tells}
    pacing = loop.Pacing(turns_at_once=2, room_seconds=0.05)
    operator = loop.Operator(turns, clock=clock, chance=random.Random(1), observer=observer, pacing=pacing)
    for name in turns.acts:
        operator.start(name, "ns", name)
    await clock.settle()
    assert [*turns.times] == ["a", "b"]
    async with asyncio.timeout(10):
        await turned.wait()
    await operator.shut_down()


async def test_a_turn_has_a_deadline(turns: Turns, clock: Any, observer: Observer):
    turns.acts["a"] = hang
    pacing = loop.Pacing(turn_seconds=0.05)
    operator = loop.Operator(turns, clock=clock, chance=random.Random(1), observer=observer, pacing=pacing)
    operator.start("1", "ns", "a")
    await clock.settle()
    await asyncio.sleep(0.2)  # the deadline is the event loop's own
    assert isinstance(observer.errors[0], TimeoutError)
    await operator.shut_down()


async def test_a_turn_that_is_stuck_is_told(operator: loop.Operator, turns: Turns, clock: Any):
    turns.acts["a"] = hang
    operator.start("1", "ns", "a")
    operator.start("2", "ns", "b")
    await clock.advance(100)
    assert list(operator.stuck()) == []
    await clock.advance(30)
    assert [key.name for key in operator.stuck()] == ["a"]


async def test_the_loop_of_a_release_that_is_gone_ends_quietly(
    operator: loop.Operator, turns: Turns, clock: Any, caplog: pytest.LogCaptureFixture
):
    turns.acts["a"] = gone
    operator.start("1", "ns", "a")
    await clock.advance(1)
    assert operator.count == 0
    assert turns.forgotten == ["a"]
    assert caplog.records == []


async def test_a_deletion_ends_the_loop_within_a_turn(operator: loop.Operator, turns: Turns, clock: Any):
    turns.acts["a"] = hang
    operator.start("1", "ns", "a")
    await clock.settle()
    operator.stop("1")
    await clock.settle()
    assert operator.count == 0


async def test_a_release_that_is_created_again_has_a_loop_of_its_own(
    operator: loop.Operator, turns: Turns, clock: Any
):
    operator.start("1", "ns", "a")
    await clock.advance(1)
    operator.stop("1")
    operator.start("2", "ns", "a")
    await clock.advance(1)
    assert operator.count == 1
    assert len(turns.times["a"]) == 2


async def test_shutting_down_ends_every_loop_and_starts_none(
    operator: loop.Operator, turns: Turns, clock: Any
):
    turns.acts["a"] = hang
    operator.start("1", "ns", "a")
    operator.start("2", "ns", "b")
    await clock.settle()
    await operator.shut_down()
    operator.start("3", "ns", "c")
    assert operator.count == 0
