"""What people say is an Event, once, and so is taking it back."""

from typing import Any

import pytest

from modelrelease.api import spec, status
from modelrelease.cluster import api, manifests
from modelrelease.controller import announcing
from tests.unit.core import build, given

OWNER = manifests.Owner(api.RELEASE, "search", "embedder", "uid")


def said(kind: str = "", reason: str = "", message: str = "") -> status.ReleaseStatus:
    conditions = [
        status.Condition(
            type=name,
            status=status.ConditionStatus.TRUE if name == kind else status.ConditionStatus.FALSE,
            last_transition_time=build.T0,
            reason=reason if name == kind else "Quiet",
            message=message if name == kind else "",
        )
        for name in ("Overridden", "Paused")
    ]
    return status.ReleaseStatus(observed_generation=3, conditions=conditions)


FORCED = said("Overridden", "Forced", "Forced r1: CVE.")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (said(), said(), []),
        (said(), FORCED, [("Warning", "Forced", "Forced r1: CVE.")]),
        (FORCED, FORCED, []),
        (FORCED, said(), [("Normal", "OverrideRemoved", "Taken back: Forced r1: CVE.")]),
        (said(), said("Paused", "Paused", "INC-1"), [("Warning", "Paused", "INC-1")]),
        # The operator asks for an approval: nobody has said anything.
        (said(), said("Paused", "AwaitingApproval", "waits"), []),
    ],
)
def test_events(before: status.ReleaseStatus, after: status.ReleaseStatus, told: list[tuple[str, str, str]]):
    found = announcing.overrides(OWNER, before, after, build.T0)
    assert [(event["type"], event["reason"], event["message"]) for event in found] == told
    again = announcing.overrides(OWNER, before, after, build.T0)
    assert [event["metadata"]["name"] for event in found] == [event["metadata"]["name"] for event in again]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            said(),
            said("Paused", "AwaitingApproval", "r1 waits (BeforeTraffic)."),
            "r1 waits (BeforeTraffic).",
        ),
        (
            said("Paused", "AwaitingApproval", "r1 waits (BeforeTraffic)."),
            said("Paused", "AwaitingApproval", "r1 waits (BeforeFull)."),
            "r1 waits (BeforeFull).",
        ),
        # The sentence holds numbers that move: that it waits is told once.
        (said("Paused", "SloInfeasible", "3 of 200."), said("Paused", "SloInfeasible", "4 of 200."), None),
        (said(), said("Paused", "Paused", "INC-1"), None),
        (said("Paused", "AwaitingApproval", "r1 waits."), said(), None),
    ],
)
def test_that_a_person_is_asked_is_an_event(
    before: status.ReleaseStatus, after: status.ReleaseStatus, told: str | None
):
    event = announcing.asked(OWNER, before, after, build.T0)
    assert (event["message"] if event is not None else None) == told


APPROVED = {"approvals": [{"revision": given.CANDIDATE, "stage": "BeforeTraffic", "reason": "REL-1"}]}
FULL = {"approvals": [{"revision": given.CANDIDATE, "stage": "BeforeFull", "reason": "REL-2"}]}
SCARCE = {"approvals": [{"revision": given.CANDIDATE, "stage": "Infeasible", "reason": "REL-3"}]}
RETRIED = {"retry": {"revision": given.CANDIDATE, "attempt": 1, "reason": "new node"}}


@pytest.mark.parametrize(
    ("override", "phase", "step", "told"),
    [
        ({}, "Shifting", 1, "step 1 of 2."),
        (APPROVED, "Shifting", 1, "step 1 of 2. Approved (BeforeTraffic): REL-1."),
        (APPROVED, "Shifting", 2, "step 2 of 2."),
        (FULL, "Shifting", 2, "step 2 of 2. Approved (BeforeFull): REL-2."),
        (SCARCE, "Shifting", 1, "step 1 of 2."),
        (SCARCE, "Shifting", 2, "step 2 of 2. Approved (Infeasible): REL-3."),
        (APPROVED, "Starting", 0, "without traffic."),
        (RETRIED, "Starting", 0, "without traffic. A person asked for this attempt: new node."),
        (RETRIED, "Shifting", 1, "step 1 of 2."),
    ],
)
def test_an_approval_and_a_retry_are_told_by_what_they_allow(
    override: dict[str, Any], phase: str, step: int, told: str
):
    run, after = given.run("Queued", elapsed=None), given.run(phase, step=step)
    event = announcing.transition(OWNER, run, after.status, build.T0, spec.Override.model_validate(override))
    assert event is not None
    assert event["message"].endswith(told)
