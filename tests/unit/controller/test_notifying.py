"""People are told once, beside the turns, whatever becomes of the message."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelrelease.api import escalation, reasons
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.cluster import api, manifests
from modelrelease.controller import announcing, noticing
from modelrelease.notifications import dispatch, notice, settings
from tests.unit.core import given

TARGETS = settings.Notifications(
    targets=(
        settings.Target(name="chat", url_file=Path("/u")),
        settings.Target(name="mail", url_file=Path("/u"), namespaces=("prod",)),
    )
)
OWNER = manifests.Owner(api.RELEASE, "search", "minilm", "uid")
RELEASE: api.Object = {
    "metadata": {
        "name": "minilm",
        "namespace": "search",
        "labels": {"team": "search"},
        "annotations": {
            "modelrelease.dev/notify": "oncall",
            "modelrelease.dev/owner": "search-ml",
            "modelrelease.dev/runbook": "https://wiki/minilm",
        },
    }
}


class People:
    """The servers of all targets."""

    def __init__(self, clock: Any, configured: settings.Notifications = TARGETS) -> None:
        self.messages: list[tuple[float, str, notice.Message]] = []
        self.down: set[str] = set()
        self.hang = 0.0
        self.counted: dict[tuple[str, str], int] = {}
        self._clock = clock
        self.dispatch = dispatch.Dispatch(
            configured, send=self._send, monotonic=clock.monotonic, sleep=clock.sleep, count=self._count
        )

    async def _send(self, messages: dispatch.Messages) -> Mapping[str, str | None]:
        for target, message in messages:
            self.messages.append((self._clock.now, target.name, message))
        if self.hang:
            await self._clock.sleep(self.hang)
        return {
            target.name: "it answered 503" if target.name in self.down else None for target, _ in messages
        }

    def _count(self, target: str, result: str, number: int) -> None:
        self.counted[target, result] = self.counted.get((target, result), 0) + number

    def tell(
        self, key: str, namespace: str = "search", reason: str = reasons.CHECK_FAILED, **said: Any
    ) -> None:
        self.dispatch.tell(
            notice.Notice(key, namespace, "minilm", reason, f"said {key}.", escalation.of(reason), **said)
        )

    def titles(self) -> list[tuple[str, str]]:
        return [(name, message.title) for _, name, message in self.messages]


@pytest.fixture
def people(clock: Any) -> People:
    return People(clock)


async def test_a_notice_goes_to_whom_it_concerns_once(people: People, clock: Any):
    people.tell("1")
    people.tell("1")
    people.tell("2", "prod", reasons.HOLDING)
    assert people.messages == [], "nobody has waited"
    await clock.advance(2)
    assert people.titles() == [("chat", "search/minilm: CheckFailed")]
    people.tell("3", "prod")
    await clock.advance(10)
    assert people.titles()[1:] == [("chat", "prod/minilm: CheckFailed"), ("mail", "prod/minilm: CheckFailed")]
    assert people.counted == {("chat", "sent"): 2, ("mail", "sent"): 1}


async def test_nothing_runs_while_nothing_is_to_be_told(people: People, clock: Any):
    before = len(asyncio.all_tasks())
    people.tell("1")
    assert len(asyncio.all_tasks()) == before + 1
    await clock.advance(10)
    assert len(asyncio.all_tasks()) == before


async def test_a_storm_is_a_few_messages(people: People, clock: Any):
    for number in range(100):
        people.tell(f"a{number}")
    await clock.advance(1)
    for number in range(100):
        people.tell(f"b{number}")
    await clock.advance(20)
    assert [message.title for _, _, message in people.messages] == ["100 transitions: CheckFailed"] * 2
    first, second = (at for at, _, _ in people.messages)
    assert second - first >= dispatch.PAUSE_SECONDS
    assert people.counted == {("chat", "sent"): 200}


async def test_a_target_that_fails_is_tried_again_and_keeps_nobody(people: People, clock: Any):
    people.down = {"chat"}
    people.tell("1", "prod")
    await clock.advance(9)
    assert [name for _, name, _ in people.messages] == ["chat", "mail"]
    people.tell("2", "prod")
    await clock.advance(3)
    # What came meanwhile goes along: the second attempt tells both.
    assert people.titles()[-1] == ("chat", "2 transitions: CheckFailed") or people.titles()[-1][0] == "mail"
    people.down = set()
    await clock.advance(80)
    assert people.counted == {("chat", "sent"): 2, ("mail", "sent"): 2}


async def test_a_dead_target_is_given_up_after_four_attempts(people: People, clock: Any, caplog: Any):
    people.down = {"chat"}
    people.tell("1")
    await clock.advance(600)
    assert len(people.messages) == 4
    assert people.counted == {("chat", "failed"): 1}
    assert "Target 'chat' is not told of 1 notices, after 4 attempts: it answered 503" in caplog.text
    people.tell("2")
    people.down = set()
    await clock.advance(10)
    assert people.counted == {("chat", "failed"): 1, ("chat", "sent"): 1}


async def test_what_does_not_fit_is_dropped_and_said_once(people: People, clock: Any, caplog: Any):
    for number in range(dispatch.WAITING_MAX + 44):
        people.tell(str(number))
    assert people.counted == {("chat", "dropped"): 44}
    assert caplog.text.count("further ones are dropped") == 1
    await clock.advance(10)
    assert people.counted["chat", "sent"] == dispatch.WAITING_MAX


async def test_whatever_breaks_the_next_message_has_its_chance(clock: Any, monkeypatch: Any):
    people = People(clock)
    working = people._send

    async def broken(messages: dispatch.Messages) -> Mapping[str, str | None]:
        raise OSError("no more processes")

    people.dispatch._send = broken
    people.tell("1")
    await clock.advance(3)
    people.dispatch._send = working
    await clock.advance(20)
    assert people.counted == {("chat", "sent"): 1}


async def test_a_target_that_the_installation_lacks_is_said(people: People, clock: Any, caplog: Any):
    people.tell("1", targets=("nobody", "mail"))
    assert people.counted == {("", "unknown"): 2}, "mail is not for this namespace"
    assert "names the notification target 'nobody'" in caplog.text
    await clock.advance(10)


async def test_the_last_words_are_said_and_the_rest_is_counted(people: People, clock: Any, caplog: Any):
    caplog.set_level(logging.WARNING)
    people.tell("1")
    closing = asyncio.create_task(people.dispatch.close(5.0))
    await clock.advance(2)
    await closing
    assert people.counted == {("chat", "sent"): 1}
    people.down = {"chat"}
    people.tell("2")
    await clock.advance(8)
    await people.dispatch.close(5.0)  # in its backoff: nobody waits for that
    assert people.counted["chat", "dropped"] == 1
    assert "1 notices for target 'chat' are lost" in caplog.text


def rolled_back() -> tuple[Any, api_run.RunStatus]:
    run = given.run("Checking")
    check = api_run.CheckStatus(
        name="parity",
        verdict=Verdict.FAIL,
        message="27 of 144 items moved",
        diagnosis=api_run.Diagnosis(cause="Casing", confidence="Proven"),
        gates=[
            api_run.GateStatus(
                metric="CosineDistanceWorst",
                verdict=Verdict.FAIL,
                observed="0.985",
                limit="1e-09",
                against="Anchor",
            )
        ],
    )
    update = {
        "phase": api_run.Phase.RETURNING,
        "clock": None,
        "outcome": api_run.Outcome.ROLLED_BACK,
        "reason": reasons.CHECK_FAILED,
        "message": "parity failed: 27 of 144 items moved",
        "checks": [check],
        "updated_time": given.NOW,
    }
    return run, run.status.model_copy(update=update)


def test_a_notice_tells_cause_numbers_and_links():
    run, status = rolled_back()
    event = announcing.transition(OWNER, run, status, given.NOW)
    assert event is not None
    configured = settings.Notifications(
        runbook="https://docs/reasons/{reason}/", dashboard="https://grafana/d/x?ns={namespace}&name={name}"
    )
    made = noticing.notice(RELEASE, event, configured, run, status)
    assert (made.reason, made.urgency.severity, made.urgency.team) == ("CheckFailed", "ticket", "ml")
    assert made.targets == ("oncall",)
    assert notice.message([made]).body.splitlines() == [
        "parity failed: 27 of 144 items moved.",
        "owner: search-ml",
        "revision r0000000002 (model version 2), attempt 1, stable is r0000000001",
        "No user request reached r0000000002.",
        "check parity failed: Casing (Proven); CosineDistanceWorst is 0.985, must be <= 1e-09 against Anchor",
        "kubectl mrel explain minilm -n search",
        "kubectl mrel report minilm-r0000000002-1 -n search",
        "what it means: https://docs/reasons/CheckFailed/",
        "runbook: https://wiki/minilm",
        "dashboard: https://grafana/d/x?ns=search&name=minilm",
    ]


def test_an_event_that_a_killed_operator_owes_is_the_same_event():
    run, status = rolled_back()
    written = announcing.transition(OWNER, run, status, given.NOW)
    # As it is read back: times in milliseconds.
    stored = api_run.RunStatus.model_validate_json(status.model_dump_json(by_alias=True))
    later = api_run.RunStatus.model_copy(stored)
    owed = announcing.again(OWNER, given.observation.Run(run.name, run.spec, later), given.NOW)
    assert written is not None
    assert owed is not None
    assert owed["metadata"]["name"] == written["metadata"]["name"]
    assert owed["message"] == written["message"]


@pytest.mark.parametrize(
    ("run", "owed"),
    [
        (given.run("Queued", elapsed=None), False),  # nothing was written yet
        (given.run("Checking", elapsed=60, updated_time=given.ago(60)), True),
        (given.run("Checking", elapsed=60, updated_time=given.ago(10)), False),  # noted something since
        (given.run("Checking", elapsed=6000, updated_time=given.ago(6000)), False),  # too old
        (given.run("Returning", elapsed=5, updated_time=given.ago(5)), False),  # traffic is back: no Event
        (given.run("Done", elapsed=None, updated_time=given.ago(5), completion_time=given.ago(5)), True),
        (given.run("Done", elapsed=None, updated_time=given.ago(5), completion_time=given.ago(9)), False),
    ],
)
def test_what_is_owed(run: Any, owed: bool):
    assert (announcing.again(OWNER, run, given.NOW) is not None) is owed
