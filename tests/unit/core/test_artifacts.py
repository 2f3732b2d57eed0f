"""What a run makes of the model's files: an exact Fail, a record, and a comparison with stable's."""

import dataclasses

import pytest

from modelrelease.api import artifact as api_artifact
from modelrelease.api import run as api_run
from modelrelease.core import lifecycle, observation, pods, presentation, target, traffic
from tests.unit.core import given
from tests.unit.core.given import CANDIDATE, NOW, STABLE

Phase = api_run.Phase
DIGEST = "sha256:" + "c" * 64
TOKENIZER, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
ARTIFACT = {"uri": "pvc://models/bge/3", "digest": DIGEST}
MATCH = observation.ArtifactReport(
    matches=True, mismatches=False, message="2 files", digest=DIGEST, files={"tokenizer.json": TOKENIZER}
)
MISMATCH = observation.ArtifactReport(
    matches=False, mismatches=True, message="/models has another digest; changed: tokenizer.json"
)
VERIFIER = observation.Container(
    "modelrelease-artifact", restarts=1, exit_code=1, waiting_reason="CrashLoopBackOff", image_id="checks:old"
)


def pod(report: observation.ArtifactReport, *, ready: bool = False) -> observation.Pod:
    made = given.pod(CANDIDATE, artifact=report, ready=ready)
    return dataclasses.replace(made, containers=(VERIFIER, *made.containers))


def seen(run: observation.Run, *found: observation.Pod, **changes: object) -> observation.Observation:
    candidate = given.revision(CANDIDATE, desired=1, pods=found)
    return given.observed([run], revisions=[candidate], **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("phase", ["Starting", "Shifting"])
def test_other_files_fail_the_run_at_once_and_are_remembered(phase: str):
    run = given.run(phase, step=1 if phase == "Shifting" else 0)
    following = lifecycle.transition(seen(run, pod(MISMATCH)), NOW)
    assert following is not None
    assert (following.phase, following.outcome) == (Phase.RETURNING, api_run.Outcome.ROLLED_BACK)
    assert (following.reason, following.failed) == ("ArtifactMismatch", True)
    assert "tokenizer.json" in following.message
    done = dataclasses.replace(
        run, status=following.model_copy(update={"phase": Phase.DONE, "completion_time": NOW})
    )
    after = seen(done)
    assert target.next_run(after, NOW) is None, "the same files are the same again"
    assert presentation.present(after, NOW, None).phase == "RolledBack"


def test_under_observe_it_ends_the_run_and_nothing_is_remembered():
    run = given.run("Starting", judging={"enforcement": "Observe"})
    following = lifecycle.transition(seen(run, pod(MISMATCH)), NOW)
    assert following is not None
    assert (following.reason, following.failed) == ("ArtifactMismatch", False)


def test_files_that_can_not_be_read_are_tried_like_a_crash():
    unread = observation.ArtifactReport(matches=False, mismatches=False, message="/models cannot be read")
    once = pod(unread)
    assert lifecycle.transition(seen(given.run("Starting"), once), NOW) is None
    often = dataclasses.replace(VERIFIER, restarts=3, exit_code=3)
    again = dataclasses.replace(once, containers=(often, *once.containers[1:]))
    following = lifecycle.transition(seen(given.run("Starting"), again), NOW)
    assert following is not None
    assert (following.reason, following.failed) == ("CrashLoop", False)
    assert "cannot be read" in following.message


FILES = {"model": {"version": "2", "artifact": ARTIFACT, "contract": {"files": ["tokenizer.json", "w.bin"]}}}


def test_what_was_read_is_recorded_and_compared_with_stables():
    known = api_run.ArtifactStatus(
        digest="sha256:" + "d" * 64,
        files=[
            api_run.ArtifactFile(name="tokenizer.json", digest=OTHER),
            api_run.ArtifactFile(name="w.bin", digest=OTHER),
        ],
    )
    stable = given.revision(STABLE, 2, promoted=5_000, artifact=known)
    candidate = given.revision(CANDIDATE, desired=1, pods=(pod(MATCH, ready=True),))
    observed = given.observed([given.run("Starting", judging=FILES)], revisions=[stable, candidate])
    desired = observation.Desired(CANDIDATE, given.DIGEST, given.judging(**FILES), stored=True)
    observed = dataclasses.replace(observed, release=dataclasses.replace(observed.release, desired=desired))
    following = lifecycle.transition(observed, NOW)
    assert following is not None
    assert following.phase is Phase.CHECKING
    assert following.artifact == api_run.ArtifactStatus(
        digest=DIGEST,
        files=[
            api_run.ArtifactFile(name="tokenizer.json", digest=TOKENIZER),
            api_run.ArtifactFile(name="w.bin"),
        ],
        changed_files=["tokenizer.json"],
    )


def test_the_end_names_the_files_that_changed():
    status = api_run.ArtifactStatus(digest=DIGEST, changed_files=["tokenizer.json"])
    run = given.run(
        "Returning",
        outcome=api_run.Outcome.ROLLED_BACK,
        reason="CheckFailed",
        message="parity failed",
        artifact=status,
    )
    shown = presentation.present(seen(run), NOW, None)
    assert "Files that differ from stable's: tokenizer.json." in shown.message


def test_the_verifiers_own_image_is_no_part_of_the_product():
    first = pods.checked(pod(MATCH, ready=True))
    newer = dataclasses.replace(VERIFIER, image_id="checks:new")
    later = pod(MATCH, ready=True)
    later = dataclasses.replace(later, containers=(newer, *later.containers[1:]))
    assert first.image_ids == [f"sha256:{CANDIDATE}"]
    assert pods.drift([first], [later]) is None


@pytest.mark.parametrize(
    ("uri", "unverified"),
    [
        ("hf://BAAI/bge-m3", True),
        ("hf://BAAI/bge-m3@main", True),
        (f"hf://BAAI/bge-m3@{'a' * 40}", False),
        (f"image://registry.example.test/bge@sha256:{'a' * 64}", False),
    ],
)
def test_a_name_without_a_commit_is_said_to_be_unverified(uri: str, unverified: bool):
    model = {"model": {"version": "2", "artifact": {"uri": uri}}}
    desired = observation.Desired(STABLE, given.DIGEST, given.judging(**model), stored=True)
    observed = given.observed(stable=2)
    observed = dataclasses.replace(observed, release=dataclasses.replace(observed.release, desired=desired))
    shown = {entry.type: entry for entry in presentation.present(observed, NOW, None).conditions}
    assert ("ArtifactUnverified" in shown) is unverified
    if unverified:
        assert "40 digits of the commit" in shown["ArtifactUnverified"].message
    assert api_artifact.Artifact(uri=uri).pinned is not unverified


# --- Two images in one revision -----------------------------------------------------------------------------


def test_two_images_in_one_revision_hold_it_before_any_traffic():
    tested = [
        api_run.CheckedPod(name=f"{CANDIDATE}-0", uid=f"uid-{CANDIDATE}-0", image_ids=["sha256:one"]),
        api_run.CheckedPod(name=f"{CANDIDATE}-1", uid=f"uid-{CANDIDATE}-1", image_ids=["sha256:two"]),
    ]
    passed = [api_run.CheckStatus(name="parity", verdict=api_run.Verdict.PASS, completion_time=NOW)]
    outputs = api_run.Reference(config_map="outputs", digest=given.DIGEST)
    run = given.run("Checking", checks=passed, outputs=outputs, checked_pods=tested)
    observed = given.observed([run], candidate=2)
    assert lifecycle.transition(observed, NOW) is None
    shown = presentation.present(observed, NOW, None)
    stalled = next(entry for entry in shown.conditions if entry.type == "Stalled")
    assert (stalled.status.value, stalled.reason) == ("True", "ImageDrift")
    one = dataclasses.replace(run, status=run.status.model_copy(update={"checked_pods": tested[:1]}))
    following = lifecycle.transition(given.observed([one], candidate=2), NOW)
    assert following is not None
    assert following.phase is Phase.SHIFTING


def test_a_later_pod_with_another_image_holds_the_step():
    strange = observation.Container("server", ready=True, image_id="sha256:moved")
    candidate = given.revision(CANDIDATE, 1)
    moved = given.pod(CANDIDATE, 1, containers=(strange,))
    candidate = dataclasses.replace(candidate, pods=(*candidate.pods, moved))
    beside = [f"{given.STABLE}-0", f"{given.STABLE}-1"]
    run = given.run("Shifting", step=1, live_pods=[f"{CANDIDATE}-0", f"{CANDIDATE}-1"], baseline_pods=beside)
    observed = given.observed([run], revisions=[candidate], traffic=given.WIDENED)
    assert lifecycle.transition(observed, NOW) is None
    shown = presentation.present(observed, NOW, None)
    assert next(entry.reason for entry in shown.conditions if entry.type == "Stalled") == "ImageDrift"


@pytest.mark.parametrize(
    ("step", "now"),
    [
        (1, given.pinned(STABLE)),
        (1, given.WIDENED),
        (2, given.pinned(STABLE)),
        (2, given.WIDENED),
        (2, given.pinned(CANDIDATE)),
    ],
)
def test_a_pod_with_another_image_gets_no_more_users_than_it_has(step: int, now: observation.Traffic):
    strange = observation.Container("server", ready=True, image_id="sha256:moved")
    candidate = given.revision(CANDIDATE, 1, desired=2)
    moved = given.pod(CANDIDATE, 1, containers=(strange,))
    candidate = dataclasses.replace(candidate, pods=(*candidate.pods, moved))
    observed = given.observed([given.run("Shifting", step=step)], revisions=[candidate], traffic=now)
    assert traffic.wanted_of(observed, NOW).traffic == now


def test_with_the_tested_image_alone_the_candidate_gets_them_all():
    observed = given.observed([given.run("Shifting", step=2)], candidate=2, traffic=given.WIDENED)
    assert traffic.wanted_of(observed, NOW).traffic == given.pinned(CANDIDATE)
