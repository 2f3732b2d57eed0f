"""What people and a collector are told of whole lives, with the operator killed in the middle."""

import collections
import dataclasses
from typing import Any

import pytest

from modelrelease.cluster import api
from modelrelease.controller import noticing, tracing
from modelrelease.core import spans, traceparent
from modelrelease.notifications import notice, settings
from tests.simulation import people, plots, virtual, world

BAD = (60.0, "commit", {"behaviour": "casing", "number": 1})
GOOD = (60.0, "commit", {"behaviour": "good", "number": 1})


@dataclasses.dataclass
class Told:
    notices: list[notice.Notice]
    spans: list[spans.Span]
    runs: dict[str, dict[str, Any]]
    """By name."""

    def ends(self) -> collections.Counter[tuple[str, str]]:
        """How often people were told of which run that it is being returned, or has ended."""
        ends = {"CheckFailed", "Returned", "FirstRelease", "Promoted"}
        return collections.Counter((one.run, one.reason) for one in self.notices if one.reason in ends)


def lived(*events: Any, **setup: Any) -> Told:
    told = Told([], [], {})

    def more(here: world.World, port: api.Api) -> dict[str, Any]:
        return {
            "notify": noticing.to(settings.Notifications(), told.notices.append),
            "traces": tracing.Traces(told.spans.append, port.now, here),
        }

    async def main() -> None:
        lived_in = world.World(plots.life(*events, **setup), more)
        problem = (await lived_in.live()).problem
        told.runs = {run["metadata"]["name"]: run for run in lived_in.people.runs()}
        assert problem == ""

    virtual.run(main())
    return told


def test_each_end_of_a_run_is_told_once_with_its_cause():
    told = lived(BAD)
    (first, failed) = sorted(told.runs, key=lambda name: told.runs[name]["metadata"]["creationTimestamp"])
    assert told.ends() == {(first, "FirstRelease"): 1, (failed, "CheckFailed"): 1, (failed, "Returned"): 1}
    (said,) = (one for one in told.notices if one.reason == "CheckFailed")
    assert said.urgency.severity == "ticket"
    assert "parity" in said.message
    assert any(fact.startswith("No user request reached") for fact in said.facts)
    assert len({one.key for one in told.notices}) == len(told.notices)


@pytest.mark.parametrize("calls", [3, 13])
@pytest.mark.parametrize("after", [False, True])
def test_a_killed_operator_tells_nothing_twice(calls: int, after: bool):
    """Before a call: all is told. After it, the Event may stand while nobody was told: at most once."""
    kills = [(at, "kill", {"calls": calls, "after": after, "seconds": 2.0}) for at in (60.5, 75.0, 90.0)]
    told = lived(BAD, *kills)
    assert len({one.key for one in told.notices}) == len(told.notices)
    ends = told.ends()
    assert set(ends.values()) == {1}
    failed = next(name for name, run in told.runs.items() if run["status"]["outcome"] == "RolledBack")
    if not after:
        about = {one.reason for one in told.notices if one.run == failed}
        assert about == {"CanaryStarting", "Checking", "CheckFailed", "Returned"}


def test_a_run_is_one_trace_whatever_happens_to_the_operator():
    told = lived(GOOD, (75.0, "kill", {"calls": 4, "after": False, "seconds": 5.0}))
    first, promoted = sorted(told.runs.values(), key=lambda run: str(run["metadata"]["creationTimestamp"]))
    trace = traceparent.trace_id(promoted["metadata"]["uid"])
    own = [span for span in told.spans if span.trace == trace]
    (root,) = (span for span in own if not span.parent)
    assert root.name.startswith("release ")
    assert root.attributes["modelrelease.outcome"] == "Promoted"
    names = [span.name for span in own if span.parent == root.span and span.name != "turn"]
    assert names == ["Queued", "Starting", "Checking", "Shifting 1", "Holding 1", "Shifting 2", "Holding 2"]
    known = {span.span for span in own}
    assert {span.parent for span in own if span.parent} <= known, "no span hangs in the air"
    assert len(known) == len(own)
    checks = {span.name: span for span in own if span.name.startswith("check ")}
    assert checks.keys() == {"check contract", "check parity", "check repeatability"}
    assert {span.attributes["modelrelease.verdict"] for span in checks.values()} == {"Pass"}
    assert any(span.name == "turn" for span in own)
    assert all(span.start <= span.end for span in own)
    assert traceparent.trace_id(first["metadata"]["uid"]) in {span.trace for span in told.spans}


def test_whoever_names_an_unknown_target_is_told_once_at_the_release():
    told: list[notice.Notice] = []
    sentence = "modelrelease.dev/notify names serch, which is not there: write search."
    shown: list[dict[str, Any]] = []

    def more(here: world.World, port: api.Api) -> dict[str, Any]:
        return {
            "notify": noticing.to(settings.Notifications(), told.append),
            "misnamed": lambda release: (sentence,),
        }

    async def main() -> None:
        lived_in = world.World(plots.life(BAD), more)
        assert (await lived_in.live()).problem == ""
        events = lived_in.server.select("Event", people.NAMESPACE)
        shown.extend(one for one in events if one["reason"] == "UnknownNotificationTarget")

    virtual.run(main())
    (said,) = shown
    assert (said["type"], said["message"], said["involvedObject"]["kind"]) == (
        "Warning",
        sentence,
        "ModelRelease",
    )
    assert [one for one in told if one.reason == "UnknownNotificationTarget"] == []
