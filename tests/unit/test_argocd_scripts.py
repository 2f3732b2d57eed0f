"""The scripts for Argo CD, over what the operator really says and beside what the plugin really writes."""

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from hack.argocd import fragment, interpreter
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.cli.mrel import objects, override, plan, standing
from modelrelease.core import observation, presentation, story
from tests.simulation import tools
from tests.simulation.kstatus import kstatus, waited_for
from tests.unit.cli.mrel import recorded
from tests.unit.core import build
from tests.unit.core.build import CANDIDATE, STABLE

Phase, Outcome, Shown = api_run.Phase, api_run.Outcome, story.Shown
WHY = "INC-7: slow"
STABLE_UP = build.revision(STABLE, 4, promoted_time=build.T0)
BEFORE_TRAFFIC = build.judging(
    strategy=api_spec.Strategy(approval=api_spec.Approval.BEFORE_TRAFFIC), checks=[]
)
SNAPSHOTS = sorted(path.stem for path in (recorded.HERE / "objects").glob("*.json"))


def released(observed: observation.Observation, **word: Any) -> dict[str, Any]:
    """Return the ModelRelease that Argo CD sees when the operator has looked."""
    shown = presentation.present(observed, build.at(100), None)
    return {
        "apiVersion": "modelrelease.dev/v1alpha1",
        "kind": "ModelRelease",
        "metadata": {"name": "embedder", "namespace": "search", "generation": observed.release.generation},
        "spec": {"override": word},
        "status": shown.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def during(phase: api_run.Phase, **fields: Any) -> observation.Observation:
    release = fields.pop("release", None) or build.release()
    judged_by, canary = fields.pop("judged_by", None), build.revision(CANDIDATE, 1)
    fields.setdefault("clock", api_run.Clock(start_time=build.T0))
    run = build.run(phase=phase, judged_by=judged_by, **fields)
    return build.observed(STABLE_UP, canary, runs=(run,), release=release)


PAUSED = build.release(override=api_spec.Override(paused=api_spec.Paused(reason="incident")))
REJECTED = build.release(
    override=api_spec.Override(rejected=[api_spec.RevisionOverride(revision=CANDIDATE, reason="slow")])
)
PINNED = build.release(
    override=api_spec.Override(pinned=api_spec.RevisionOverride(revision=STABLE, reason="talk"))
)
CASES = [
    (build.observed(STABLE_UP, desired=STABLE), Shown.STABLE, "Healthy"),
    (
        build.observed(build.revision(STABLE, promoted_time=build.T0), desired=STABLE),
        Shown.STABLE,
        "Progressing",
    ),
    (build.observed(STABLE_UP, release=build.release(replicas=0)), Shown.SCALED_TO_ZERO, "Healthy"),
    (build.observed(STABLE_UP, release=PINNED), Shown.STABLE, "Suspended"),
    (during(Phase.CHECKING), Shown.CHECKING, "Progressing"),
    (during(Phase.CHECKING, release=PAUSED), Shown.PAUSED, "Suspended"),
    (during(Phase.CHECKING, judged_by=BEFORE_TRAFFIC), Shown.AWAITING_APPROVAL, "Suspended"),
    (during(Phase.RETURNING, outcome=Outcome.REJECTED), Shown.RETURNING, "Progressing"),
    (during(Phase.RETURNING, outcome=Outcome.REJECTED, release=PAUSED), Shown.RETURNING, "Progressing"),
    (during(Phase.QUEUED, release=build.release(max_surge=0)), Shown.STALLED, "Degraded"),
    (
        build.observed(STABLE_UP, runs=(build.ended(failed=True, message="parity failed"),)),
        Shown.ROLLED_BACK,
        "Degraded",
    ),
    (build.observed(STABLE_UP, release=REJECTED), Shown.REJECTED, "Degraded"),
    (build.observed(STABLE_UP, runs=(build.ended(reason="CrashLoop"),)), Shown.RETRYING, "Progressing"),
]


@pytest.mark.parametrize(("observed", "phase", "health"), CASES, ids=[f"{c[1]} {c[2]}" for c in CASES])
def test_what_the_operator_says_is_what_argo_cd_shows(
    observed: observation.Observation, phase: str, health: str
):
    said = observed.release.override.model_dump(mode="json", by_alias=True, exclude_none=True)
    obj = released(observed, **said)
    shown = interpreter.health(obj)
    assert (obj["status"]["phase"], shown.status) == (phase, health)
    assert list(tools.problems(obj)) == []
    ends = {"Healthy": standing.Waits.RELEASED, "Degraded": standing.Waits.STOPPED}
    assert standing.awaited(objects.release(obj)) is ends.get(health, standing.Waits.GOES_ON)
    # A person sees the sentence, and the word that leads to the page about it.
    assert shown.message.endswith(".") or health == "Suspended"
    if health == "Degraded":
        stalled = next(c for c in obj["status"]["conditions"] if c["type"] == "Stalled")
        assert shown.message == f"{stalled['reason']}: {stalled['message']}"


def test_every_phase_has_a_health():
    assert set(tools.HEALTH) == set(Shown)


def test_the_page_has_the_same_table():
    page = fragment.FOLDER.parents[1] / "docs" / "how-to" / "argo-cd.md"
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+)", page.read_text(), re.MULTILINE)
    assert {phase: health for phase, health, _ in rows} == {str(p): h for p, h in tools.HEALTH.items()}
    for _, health, other in rows:
        assert other == tools.KSTATUS.get(health, "Current")


def test_nothing_that_is_said_about_an_older_spec_counts():
    obj = released(build.observed(STABLE_UP, desired=STABLE))
    assert waited_for(obj, "Ready")
    obj["metadata"]["generation"] += 1
    assert interpreter.health(obj).status == "Progressing"
    assert (kstatus(obj), waited_for(obj, "Ready")) == ("InProgress", False)
    assert interpreter.actions(obj)["rollback"] is False
    with pytest.raises(interpreter.Refused, match="has not looked"):
        interpreter.act(obj, "rollback")


@pytest.mark.parametrize("status", [None, {}, {"observedGeneration": -1}])
def test_a_newborn_release_is_not_done(status: dict[str, Any] | None):
    obj = released(build.observed(STABLE_UP)) | {"status": status}
    shown = interpreter.health(obj)
    assert (shown.status, shown.message) == ("Progressing", "The operator has not looked at it yet.")
    if status:
        assert kstatus(obj) == "InProgress"
    assert interpreter.actions(obj) == {
        "approve": False,
        "reject": False,
        "rollback": False,
        "retry": False,
        "pause": True,
        "resume": False,
    }


@pytest.mark.parametrize(
    ("status", "health"),
    [
        (None, "Progressing"),
        ({"phase": "Queued"}, "Progressing"),
        ({"phase": "Holding", "step": 1}, "Progressing"),
        ({"phase": "Done", "outcome": "Promoted", "message": ""}, "Healthy"),
        ({"phase": "Done", "outcome": "RolledBack", "message": "parity failed"}, "Degraded"),
        ({"phase": "Done", "outcome": "Rejected"}, "Degraded"),
        ({"phase": "Done", "outcome": "Superseded"}, "Healthy"),
        ({"phase": "Done", "outcome": "Cancelled"}, "Healthy"),
    ],
)
def test_a_run(status: dict[str, Any] | None, health: str):
    shown = interpreter.health({"kind": "ModelReleaseRun", "metadata": {}, "status": status})
    assert shown.status == health
    assert shown.message


# --- Actions ------------------------------------------------------------------------------------------------

VERBS: dict[str, Callable[[plan.Known], plan.Plan]] = {
    "approve": lambda known: plan.approve(known, None, None, WHY),
    "reject": lambda known: plan.reject(known, None, WHY),
    "rollback": lambda known: plan.rollback(known, WHY),
    "retry": lambda known: plan.retry(known, None, WHY),
    "pause": lambda known: plan.pause(known, WHY),
    "resume": lambda known: plan.resume(known, WHY),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("snapshot", SNAPSHOTS)
def test_an_action_says_what_the_plugins_verb_says(snapshot: str, verb: str):
    _, found = recorded.snapshot(snapshot)
    release = next(obj for obj in found if obj["kind"] == "ModelRelease")
    known = plan.Known(
        objects.release(release),
        objects.runs([obj for obj in found if obj["kind"] == "ModelReleaseRun"]),
        objects.stored([obj for obj in found if obj["kind"] == "ControllerRevision"]),
    )
    if not interpreter.actions(release)[verb]:
        return
    before = copy.deepcopy(release)
    (edit,) = VERBS[verb](known).edits
    changed = interpreter.act(release, verb, **({} if verb == "resume" else {"reason": WHY}))
    live = (release["spec"].get("override") or {}).copy()
    assert changed["spec"]["override"] == override._edited(live, edit)
    assert release == before
    api_spec.Override.model_validate(changed["spec"]["override"], by_alias=True, by_name=False)


def test_every_action_is_offered_in_some_snapshot():
    offered: set[str] = set()
    for snapshot in SNAPSHOTS:
        release = next(obj for obj in recorded.snapshot(snapshot)[1] if obj["kind"] == "ModelRelease")
        offered |= {name for name, enabled in interpreter.actions(release).items() if enabled}
    assert offered == set(fragment.ACTIONS)


def test_actions_keep_other_words_and_need_no_reason():
    obj = released(during(Phase.CHECKING, judged_by=BEFORE_TRAFFIC))
    obj["spec"] |= {
        "strategy": {"approval": "BeforeTraffic"},
        "override": {"approvals": [{"revision": STABLE, "stage": "BeforeTraffic", "reason": "old"}]},
    }
    said = interpreter.act(obj, "approve")["spec"]["override"]["approvals"]
    assert [entry["revision"] for entry in said] == [STABLE, CANDIDATE]
    assert said[1]["reason"] == "by an action in Argo CD"
    again = obj | {"spec": obj["spec"] | {"override": {"approvals": said}}}
    assert len(interpreter.act(again, "approve", reason=WHY)["spec"]["override"]["approvals"]) == 2


@pytest.mark.parametrize("action", ["approve", "reject", "rollback", "retry"])
def test_an_action_without_an_object_is_refused_in_one_sentence(action: str):
    obj = released(build.observed(desired=None))
    with pytest.raises(interpreter.Refused) as refused:
        interpreter.act(obj, action)
    assert "\n" not in str(refused.value)


# --- Files --------------------------------------------------------------------------------------------------


def test_the_fragment_is_generated():
    assert fragment.FILE.read_text() == fragment.text(), "run: python -m hack.argocd fragment"
    said = yaml.safe_load(fragment.text())["data"]
    actions = yaml.safe_load(said["resource.customizations.actions.modelrelease.dev_ModelRelease"])
    assert actions["discovery.lua"] == fragment.discovery()
    assert {one["name"] for one in actions["definitions"]} == set(interpreter.actions({"metadata": {}}))


def test_a_script_that_needs_a_library_fails_here_as_it_does_there():
    with pytest.raises(interpreter.Refused):
        interpreter.run("return string.sub(obj.kind, 1, 1)", {"kind": "ModelRelease"})
    with pytest.raises(interpreter.Refused, match="twice"):
        interpreter.run("local one = {1}; return {a = one, b = one}", {})
