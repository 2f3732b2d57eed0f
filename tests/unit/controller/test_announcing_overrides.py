"""What people say is an Event, once, and so is taking it back."""

import pytest

from modelrelease.api import status
from modelrelease.cluster import api, manifests
from modelrelease.controller import announcing
from tests.unit.core import build

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
