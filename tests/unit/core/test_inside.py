"""A check that runs the model itself: one Job for all pods, a record to wait for, and a wait for a GPU."""

import dataclasses

import pytest

from modelrelease.api import checks as api_checks
from modelrelease.api import internals, reasons
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.core import judgement, lifecycle, observation, presentation, traffic
from modelrelease.core.situation import Situation
from tests.unit.core import build

NOW = build.at(60)
INSIDE = api_checks.Check(name="inside", internals=internals.Internals())
CONTRACT = api_checks.Check(name="contract", contract=api_checks.ContractCheck())
PODS = (build.pod("b"), build.pod("a"))
TERMS = "sha256:" + "7" * 64


def checking(
    check: api_checks.Check, *parts: observation.CheckPart, **status: object
) -> observation.Observation:
    """Two pods of the candidate are being checked, by one check."""
    judged = build.judging(checks=[check])
    run = build.run(
        judged_by=judged,
        phase=api_run.Phase.CHECKING,
        clock=api_run.Clock(start_time=build.T0),
        checks=status.pop("checks", [api_run.CheckStatus(name=check.name)]),
        checked_pods=[api_run.CheckedPod(name=pod.name, uid=pod.uid, image_ids=[]) for pod in PODS],
        **status,
    )
    return observation.Observation(
        release=dataclasses.replace(
            build.release(), desired=observation.Desired(build.CANDIDATE, build.DIGEST, judged, stored=True)
        ),
        revisions={
            build.STABLE: build.revision(build.STABLE, 4, promoted_time=build.T0),
            build.CANDIDATE: build.revision(build.CANDIDATE, PODS),
        },
        traffic=build.pinned(),
        runs=(run,),
        parts=parts,
    )


def part(pod: observation.Pod, **more: object) -> observation.CheckPart:
    said = {"check": "inside", "attempt": 1, "pod_uid": pod.uid, "finished": True}
    return observation.CheckPart(**(said | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(("check", "asked"), [(INSIDE, ["b"]), (CONTRACT, ["a", "b"])])
def test_the_files_are_run_once_and_a_server_is_asked_in_every_pod(check: api_checks.Check, asked: list[str]):
    jobs = traffic.wanted_of(checking(check), NOW).jobs
    assert sorted(job.pod.name for job in jobs) == asked


def test_what_the_one_job_says_is_the_check_s_verdict():
    first, second = PODS
    observed = checking(INSIDE, part(first, verdict=Verdict.PASS))
    here = Situation.of(observed, NOW)
    assert here is not None
    assert [status.verdict for status in here.latest_checks] == [Verdict.PASS]
    # What a Job of another pod has left, of an older operator perhaps, is nothing that was asked for.
    other = Situation.of(checking(INSIDE, part(second, verdict=Verdict.FAIL)), NOW)
    assert other is not None
    assert [status.verdict for status in other.latest_checks] == [None]


@pytest.mark.parametrize("stored", [True, False])
def test_what_was_seen_inside_is_stored_before_traffic_moves(stored: bool):
    kept = [api_run.Reference(config_map="c", digest=build.DIGEST, check="inside", terms=TERMS)]
    passed = api_run.CheckStatus(name="inside", verdict=Verdict.PASS, completion_time=NOW)
    observed = checking(INSIDE, checks=[passed], recorded=kept if stored else [])
    here = Situation.of(observed, NOW)
    assert here is not None
    assert judgement.outputs_stored(here) is stored
    following = lifecycle.transition(observed, NOW)
    assert (following is not None and following.phase is api_run.Phase.SHIFTING) is stored


WAITS = "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


def test_a_check_that_waits_for_a_gpu_says_so_and_blames_nobody():
    observed = checking(INSIDE, part(PODS[0], finished=False, message=WAITS))
    shown = presentation.present(observed, NOW, None)
    assert f"inside waits: {WAITS}" in shown.message
    assert lifecycle.transition(observed, NOW) is None


def test_one_for_which_no_node_had_room_is_an_error_and_tried_again():
    late = "The check did not end within 600 s: " + WAITS
    ended = part(PODS[0], verdict=Verdict.ERROR, reason=reasons.CHECK_NO_RESULT, message=late)
    first = lifecycle.transition(checking(INSIDE, ended), NOW)
    assert first is not None
    (said,) = first.checks
    assert (said.verdict, first.phase, first.failed) == (Verdict.ERROR, api_run.Phase.CHECKING, False)
    again = lifecycle.transition(checking(INSIDE, checks=[said]), build.at(3600))
    assert again is not None
    assert [(status.verdict, status.attempt) for status in again.checks] == [(None, 2)]
