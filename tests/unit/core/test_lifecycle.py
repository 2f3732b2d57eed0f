"""The life, transition by transition: what must happen, and what must not happen yet."""

import dataclasses
import datetime

import pytest

from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.core import lifecycle, observation, target, traffic, wake
from tests.unit.core import given
from tests.unit.core.given import CANDIDATE, NOW, OLDER, STABLE

Phase = api_run.Phase
Outcome = api_run.Outcome


def after(seen: observation.Observation) -> tuple[str, int] | None:
    """Return (phase, step) of the next status, or None."""
    following = lifecycle.transition(seen, NOW)
    return None if following is None else (following.phase.value, following.step)


def holding(step: int = 1, elapsed: float = 61, **status: object) -> observation.Run:
    beside = {"baseline_pods": [f"{STABLE}-0"] if step == 1 else []}
    return given.run("Holding", step=step, elapsed=elapsed, live_pods=[f"{CANDIDATE}-0"], **beside | status)


# --- Forward ------------------------------------------------------------------------------------------------


def test_a_canary_starts_when_nothing_exposes_it():
    assert after(given.observed([given.run("Queued")])) == ("Starting", 0)


def test_no_canary_while_a_foreign_service_would_send_users_to_it():
    assert after(given.observed([given.run("Queued")], exposed_by=("users",))) is None


def test_a_canary_that_becomes_exposed_goes_away():
    seen = given.observed([given.run("Checking")], candidate=1, exposed_by=("users",))
    assert after(seen) == ("Queued", 0)
    gone = given.observed([given.run("Queued")], candidate=1, exposed_by=("users",))
    assert traffic.wanted_of(gone, NOW).targets[CANDIDATE] == 0


def test_checks_begin_when_the_canary_is_ready():
    following = lifecycle.transition(given.observed([given.run("Starting")], candidate=1), NOW)
    assert following is not None
    assert following.phase is Phase.CHECKING
    assert [pod.uid for pod in following.checked_pods] == [f"uid-{CANDIDATE}-0"]


def test_a_check_that_passes_is_recorded_before_the_run_goes_on():
    seen = given.observed([given.run("Checking")], candidate=1, parts=(given.part(Verdict.PASS),))
    recorded = lifecycle.transition(seen, NOW)
    assert recorded is not None
    assert recorded.phase is Phase.CHECKING
    assert recorded.checks[0].verdict is Verdict.PASS
    assert recorded.outputs is not None
    again = dataclasses.replace(seen, runs=(dataclasses.replace(seen.runs[0], status=recorded),))
    assert after(again) == ("Shifting", 1)


def test_no_traffic_before_the_outputs_are_stored():
    checks = [api_run.CheckStatus(name="parity", verdict=Verdict.PASS)]
    assert after(given.observed([given.run("Checking", checks=checks)], candidate=1)) is None


def test_outputs_that_were_lost_are_recorded_again():
    spoken = api_run.CheckStatus(name="parity", verdict=Verdict.PASS, completion_time=given.ago(10))
    following = lifecycle.transition(
        given.observed([given.run("Checking", checks=[spoken])], candidate=1), NOW
    )
    assert following is not None
    assert [(check.verdict, check.attempt) for check in following.checks] == [(None, 2)]


@pytest.mark.parametrize(("policy", "acts"), [("Hold", False), ("RollBack", True)])
def test_outputs_that_can_never_be_stored_follow_the_policy_of_errors(policy, acts):
    spoken = api_run.CheckStatus(name="parity", verdict=Verdict.PASS, completion_time=NOW)
    run = given.run("Checking", elapsed=3601, checks=[spoken])
    seen = given.observed([run], candidate=1)
    desired = observation.Desired(CANDIDATE, given.DIGEST, given.judging(onError=policy), stored=True)
    seen = dataclasses.replace(seen, release=dataclasses.replace(seen.release, desired=desired))
    assert (after(seen) == ("Returning", 0)) is acts


@pytest.mark.parametrize("verdict", [Verdict.ERROR, Verdict.NO_DATA, Verdict.INCONCLUSIVE, None])
def test_only_pass_lets_a_check_through(verdict):
    checks = [api_run.CheckStatus(name="parity", verdict=verdict, completion_time=NOW)]
    outputs = api_run.Reference(config_map="outputs", digest=given.DIGEST)
    assert after(given.observed([given.run("Checking", checks=checks, outputs=outputs)], candidate=1)) is None


def test_a_step_holds_once_its_pods_are_ready_and_its_traffic_is_seen():
    run = given.run("Shifting", step=1, live_pods=[f"{CANDIDATE}-0"], baseline_pods=[f"{STABLE}-0"])
    assert after(given.observed([run], candidate=1)) is None
    assert after(given.observed([run], candidate=1, traffic=given.WIDENED)) == ("Holding", 1)


def test_a_hold_that_loses_a_pod_begins_again():
    assert after(given.observed([holding()], candidate=0, traffic=given.WIDENED)) == ("Shifting", 1)


def test_a_hold_ends_with_time_and_a_pass():
    slos = [given.slo(Verdict.PASS)]
    early = given.observed(
        [holding(elapsed=59, slos=slos)], candidate=1, traffic=given.WIDENED, slos=tuple(slos)
    )
    assert after(early) is None
    late = given.observed([holding(slos=slos)], candidate=1, traffic=given.WIDENED, slos=tuple(slos))
    assert after(late) == ("Shifting", 2)


def test_a_pass_of_an_earlier_turn_is_not_enough():
    seen = given.observed([holding(slos=[given.slo(Verdict.PASS)])], candidate=1, traffic=given.WIDENED)
    assert after(seen) is None


def test_the_bake_ends_in_promotion():
    slos = [given.slo(Verdict.PASS)]
    run = given.run("Holding", step=2, elapsed=31, slos=slos, live_pods=[f"{CANDIDATE}-0", f"{CANDIDATE}-1"])
    seen = given.observed([run], candidate=2, stable=1, traffic=given.pinned(CANDIDATE), slos=tuple(slos))
    following = lifecycle.transition(seen, NOW)
    assert following is not None
    assert (following.phase, following.outcome) == (Phase.DONE, Outcome.PROMOTED)


def test_the_first_release_is_stable_after_its_checks():
    checks = [api_run.CheckStatus(name="parity", verdict=Verdict.PASS)]
    outputs = api_run.Reference(config_map="outputs", digest=given.DIGEST)
    run = given.run("Checking", mode="First", checks=checks, outputs=outputs)
    tested = [api_run.CheckedPod(name=f"{CANDIDATE}-0", uid=f"uid-{CANDIDATE}-0", image_ids=[])]
    run = dataclasses.replace(run, status=run.status.model_copy(update={"checked_pods": tested}))
    following = lifecycle.transition(given.observed([run], candidate=1, first=True), NOW)
    assert following is not None
    assert (following.outcome, following.reason) == (Outcome.PROMOTED, "FirstRelease")


def test_a_first_release_that_measured_nothing_waits():
    checks = [api_run.CheckStatus(name="parity", skipped=True)]
    outputs = api_run.Reference(config_map="outputs", digest=given.DIGEST)
    tested = [api_run.CheckedPod(name=f"{CANDIDATE}-0", uid=f"uid-{CANDIDATE}-0", image_ids=[])]
    run = given.run("Checking", mode="First", checks=checks, outputs=outputs)
    run = dataclasses.replace(run, status=run.status.model_copy(update={"checked_pods": tested}))
    assert after(given.observed([run], candidate=1, first=True)) is None


def test_live_fields_act_at_once():
    pod = given.pod(CANDIDATE, ready=False, scheduled_time=given.ago(50))
    seen = given.observed(
        [given.run("Starting", elapsed=60)], revisions=[given.revision(CANDIDATE, desired=1, pods=(pod,))]
    )
    assert after(seen) is None
    impatient = given.judging(strategy={"canary": {"startupDeadlineSeconds": 10}})
    desired = observation.Desired(CANDIDATE, given.DIGEST, impatient, stored=True)
    release = dataclasses.replace(seen.release, desired=desired)
    assert after(dataclasses.replace(seen, release=release)) == ("Returning", 0)


def test_a_canary_that_must_yield_gives_its_pods_up_and_stays_away():
    waiting = given.pod(STABLE, 1, ready=False, scheduled_time=None, unschedulable_since=given.ago(61))
    stable = given.revision(STABLE, promoted=5_000, desired=2, pods=(given.pod(STABLE), waiting))
    checking = given.observed([given.run("Checking")], candidate=1, revisions=[stable])
    assert after(checking) == ("Starting", 0)
    starting = given.observed([given.run("Starting")], candidate=1, revisions=[stable])
    assert after(starting) is None
    assert traffic.wanted_of(starting, NOW).targets[CANDIDATE] == 0
    gone = given.observed([given.run("Starting")], candidate=0, revisions=[stable])
    assert traffic.wanted_of(gone, NOW).targets[CANDIDATE] == 0


def test_state_that_is_unknown_says_how_to_make_it_known():
    seen = given.observed(
        first=True, revisions=[given.revision(OLDER, 2)], traffic=given.pinned(OLDER), desired=OLDER
    )
    problem = target.state_problem(seen)
    assert problem is not None
    assert f"ControllerRevision minilm-{OLDER}" in problem.message
    marked = given.observed(
        first=True,
        revisions=[given.revision(OLDER, 2, promoted=1)],
        traffic=given.pinned(OLDER),
        desired=OLDER,
    )
    assert target.state_problem(marked) is None
    assert traffic.wanted_of(marked, NOW).targets == {OLDER: 2}


# --- Aborts -------------------------------------------------------------------------------------------------

ANY_PHASE = [("Queued", 0), ("Starting", 0), ("Checking", 0), ("Shifting", 1), ("Holding", 1), ("Holding", 2)]


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize(("phase", "step"), ANY_PHASE)
def test_a_reject_returns_from_every_phase(phase, step, paused):
    override: dict[str, object] = {"rejected": [{"revision": CANDIDATE, "reason": "INC-1"}]}
    if paused:
        override["paused"] = {"reason": "lunch"}
    seen = given.observed(
        [given.run(phase, step=step)], candidate=1, traffic=given.WIDENED, override=override
    )
    following = lifecycle.transition(seen, NOW)
    assert following is not None
    assert (following.phase, following.outcome) == (Phase.RETURNING, Outcome.REJECTED)
    assert not following.failed


@pytest.mark.parametrize("desired", [None, OLDER])
def test_a_reject_needs_no_valid_spec(desired):
    override = {"rejected": [{"revision": CANDIDATE, "reason": "INC-1"}]}
    seen = given.observed([holding(step=2)], candidate=2, override=override, desired=desired)
    assert after(seen) == ("Returning", 2)


def test_a_fail_of_a_check_is_remembered():
    seen = given.observed([given.run("Checking")], candidate=1, parts=(given.part(Verdict.FAIL),))
    following = lifecycle.transition(seen, NOW)
    assert following is not None
    assert (following.outcome, following.failed, following.reason) == (
        Outcome.ROLLED_BACK,
        True,
        "CheckFailed",
    )


def test_a_fail_of_an_slo_returns():
    seen = given.observed(
        [holding(elapsed=5)], candidate=1, traffic=given.WIDENED, slos=(given.slo(Verdict.FAIL),)
    )
    following = lifecycle.transition(seen, NOW)
    assert following is not None
    assert (following.outcome, following.failed) == (Outcome.ROLLED_BACK, True)


def test_a_waived_fail_does_not_act():
    override = {"waivers": [{"revision": CANDIDATE, "check": "parity", "reason": "known"}]}
    seen = given.observed(
        [given.run("Checking")], candidate=1, parts=(given.part(Verdict.FAIL),), override=override
    )
    assert after(seen) == ("Checking", 0)


def test_an_edit_back_to_stable_cancels():
    following = lifecycle.transition(given.observed([holding()], candidate=1, desired=STABLE), NOW)
    assert following is not None
    assert (following.phase, following.outcome) == (Phase.RETURNING, Outcome.CANCELLED)


def test_a_third_revision_supersedes_until_the_final_shift():
    third = given.revision(OLDER)
    early = given.observed([holding(step=1)], candidate=1, desired=OLDER, revisions=[third])
    assert after(early) == ("Returning", 1)
    late = given.observed(
        [holding(step=2, elapsed=1)],
        candidate=2,
        desired=OLDER,
        revisions=[third],
        traffic=given.pinned(CANDIDATE),
    )
    assert after(late) != ("Returning", 2)


def test_another_judging_digest_starts_again_with_the_same_pods():
    following = lifecycle.transition(
        given.observed([given.run("Checking")], candidate=1, digest=given.OTHER_DIGEST), NOW
    )
    assert following is not None
    assert (following.outcome, following.keep_pods) == (Outcome.SUPERSEDED, True)


@pytest.mark.parametrize(
    ("pods", "exposed_by", "kept"), [(1, (), 1), (0, (), 0), (1, ("users",), 0), (0, ("users",), 0)]
)
def test_pods_that_stay_for_the_next_run_are_not_made_and_serve_no_foreign_service(
    pods: int, exposed_by: tuple[str, ...], kept: int
):
    ending = {"outcome": Outcome.SUPERSEDED, "keep_pods": True}
    returning = given.run("Returning", elapsed=None, **ending)
    seen = given.observed([returning], candidate=pods, exposed_by=exposed_by)
    assert traffic.wanted_of(seen, NOW).targets[CANDIDATE] == kept


def test_a_failed_canary_is_not_kept_for_a_look_where_a_foreign_service_selects_it():
    failed = given.run("Returning", outcome=Outcome.ROLLED_BACK, failed=True)
    override = {"debug": {"revision": CANDIDATE, "seconds": 600, "reason": "to look"}}
    for exposed_by, kept in (((), 1), (("users",), 0)):
        seen = given.observed([failed], candidate=1, desired=STABLE, override=override, exposed_by=exposed_by)
        assert traffic.wanted_of(seen, NOW).targets[CANDIDATE] == kept


def test_a_wiped_status_of_the_stable_revision_ends_without_touching_traffic():
    run = given.run("Queued", elapsed=None)
    run = dataclasses.replace(run, spec=run.spec.model_copy(update={"revision": STABLE, "stable": None}))
    following = lifecycle.transition(given.observed([run], desired=STABLE), NOW)
    assert following is not None
    assert (following.phase, following.outcome) == (Phase.DONE, Outcome.CANCELLED)


# --- Deadlines and the clock --------------------------------------------------------------------------------


def late_canary(**changes: object) -> observation.Observation:
    pod = given.pod(CANDIDATE, ready=False, **changes)
    late = given.revision(CANDIDATE, desired=1, pods=(pod,))
    return given.observed([given.run("Starting", elapsed=200)], revisions=[late])


def test_a_canary_that_is_late_to_start_is_rolled_back_and_not_remembered():
    following = lifecycle.transition(late_canary(scheduled_time=given.ago(150)), NOW)
    assert following is not None
    assert (following.outcome, following.reason, following.failed) == (
        Outcome.ROLLED_BACK,
        "StartupDeadline",
        False,
    )
    assert following.message.endswith("0 of 1 pod Ready."), "what it waited for is not lost"


def test_a_canary_without_capacity_is_not_late():
    waiting = late_canary(scheduled_time=None, unschedulable_since=given.ago(190), containers=())
    assert lifecycle.transition(waiting, NOW) is None


REFUSED = 'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


def canary_without_pods(
    elapsed: float, failure: str = REFUSED, *, desired: str = CANDIDATE
) -> observation.Observation:
    deployment = observation.Deployment(desired=1, replica_failure=failure)
    canary = dataclasses.replace(given.revision(CANDIDATE), deployment=deployment)
    revisions = [canary, given.revision(OLDER)]
    return given.observed([given.run("Starting", elapsed=elapsed)], revisions=revisions, desired=desired)


def test_a_canary_that_is_refused_is_not_late_and_blames_no_capacity():
    assert lifecycle.transition(canary_without_pods(elapsed=999), NOW) is None
    following = lifecycle.transition(canary_without_pods(elapsed=1001), NOW)
    assert following is not None
    assert (following.outcome, following.reason) == (Outcome.CANCELLED, "PodRejected")
    assert "runAsNonRoot" in following.message


def test_what_can_not_start_keeps_no_queue_waiting():
    def queued(failure: str) -> observation.Observation:
        seen = canary_without_pods(10, failure, desired=OLDER)
        assert seen.release.desired is not None
        judging = given.judging(strategy={"onSupersede": "Queue"})
        wanted = dataclasses.replace(seen.release.desired, judging=judging)
        return dataclasses.replace(seen, release=dataclasses.replace(seen.release, desired=wanted))

    assert lifecycle.transition(queued("exceeded quota: gpus"), NOW) is None
    following = lifecycle.transition(queued(REFUSED), NOW)
    assert following is not None
    assert following.outcome is Outcome.SUPERSEDED


def test_a_pause_stops_the_clock_and_everything_but_returns():
    slos = (given.slo(Verdict.PASS),)
    seen = given.observed(
        [holding(slos=list(slos))],
        candidate=1,
        traffic=given.WIDENED,
        slos=slos,
        override={"paused": {"reason": "lunch"}},
    )
    following = lifecycle.transition(seen, NOW)
    assert following is not None
    assert following.clock is not None
    assert (following.phase, following.clock.stopped_since) == (Phase.HOLDING, NOW)


def test_a_silent_slo_stops_the_clock_until_it_speaks():
    silent = given.observed(
        [holding(elapsed=30)], candidate=1, traffic=given.WIDENED, slos=(given.slo(Verdict.ERROR),)
    )
    stopped = lifecycle.transition(silent, NOW)
    assert stopped is not None
    assert stopped.clock is not None
    assert (stopped.silent_since, stopped.clock.stopped_since) == (NOW, NOW)
    run = dataclasses.replace(silent.runs[0], status=stopped)
    later = NOW + datetime.timedelta(seconds=600)
    spoken = dataclasses.replace(silent, runs=(run,), slos=(given.slo(Verdict.PASS),))
    again = lifecycle.transition(spoken, later)
    assert again is not None
    assert again.clock is not None
    assert (again.phase, again.silent_since, again.clock.stopped_seconds) == (Phase.HOLDING, None, 600)


@pytest.mark.parametrize(("verdict", "acts"), [(Verdict.ERROR, False), (Verdict.NO_DATA, True)])
def test_long_silence_follows_its_policy(verdict, acts):
    run = holding(elapsed=30, slos=[given.slo(verdict)], silent_since=given.ago(3601))
    clock = api_run.Clock(start_time=given.ago(4000), stopped_since=given.ago(3601))
    run = dataclasses.replace(run, status=run.status.model_copy(update={"clock": clock}))
    seen = given.observed([run], candidate=1, traffic=given.WIDENED, slos=(given.slo(verdict),))
    assert (after(seen) == ("Returning", 1)) is acts


# --- Returning ----------------------------------------------------------------------------------------------


def test_a_return_drains_and_then_ends():
    back = given.run("Returning", step=1, elapsed=None, live_since=given.ago(60))
    seen = given.observed([back], candidate=1, traffic=given.WIDENED)
    assert lifecycle.transition(seen, NOW) is None
    assert traffic.wanted_of(seen, NOW).traffic == given.pinned(STABLE)
    assert traffic.wanted_of(seen, NOW).targets[CANDIDATE] == 1
    assert after(given.observed([back], candidate=1)) == ("Returning", 1)
    draining = given.run("Returning", step=1, elapsed=5, live_since=given.ago(60))
    assert traffic.wanted_of(given.observed([draining], candidate=1), NOW).targets[CANDIDATE] == 1
    drained = given.run("Returning", step=1, elapsed=11, live_since=given.ago(60))
    assert traffic.wanted_of(given.observed([drained], candidate=1), NOW).targets[CANDIDATE] == 0
    assert after(given.observed([drained], candidate=0)) == ("Done", 1)


def test_traffic_is_never_pinned_to_a_revision_without_a_ready_pod():
    back = given.run("Returning", step=2, elapsed=None, live_since=given.ago(60))
    seen = given.observed([back], stable=0, candidate=2, traffic=given.pinned(CANDIDATE))
    assert traffic.wanted_of(seen, NOW).traffic == given.pinned(CANDIDATE)
    assert traffic.wanted_of(seen, NOW).targets == {STABLE: 2, CANDIDATE: 0}


# --- Which run begins ---------------------------------------------------------------------------------------


def next_mode(seen: observation.Observation) -> str | None:
    following = target.next_run(seen, NOW)
    return (
        f"{following.spec.mode} {following.spec.revision}" if isinstance(following, target.NextRun) else None
    )


def test_a_rejected_stable_is_replaced_by_the_newest_promoted_one_that_is_not():
    older = given.revision(OLDER, promoted=9_000)
    override = {"rejected": [{"revision": STABLE, "reason": "INC-2"}]}
    for desired in (STABLE, CANDIDATE, None):
        seen = given.observed(desired=desired, revisions=[older], override=override)
        if desired is not None:
            assert next_mode(seen) == f"Reload {OLDER}"
        else:
            assert target.target_of(seen).revision == OLDER


def test_a_reload_waits_for_no_person():
    older = given.revision(OLDER, promoted=9_000)
    override = {"rejected": [{"revision": STABLE, "reason": "INC-2"}], "paused": {"reason": "lunch"}}
    waiting = given.observed(desired=STABLE, revisions=[older], override=override)
    assert next_mode(waiting) == f"Reload {OLDER}"
    run = given.run("Queued", mode="Reload", judging={"strategy": {"approval": "BeforeFull"}})
    run = dataclasses.replace(run, spec=run.spec.model_copy(update={"revision": OLDER}))
    seen = given.observed([run], desired=STABLE, revisions=[older], override=override)
    assert after(seen) == ("Shifting", 1)


def test_a_rejected_stable_without_another_keeps_serving_and_says_so():
    override = {"rejected": [{"revision": STABLE, "reason": "INC-2"}]}
    seen = given.observed(desired=STABLE, override=override)
    assert next_mode(seen) is None
    problem = target.target_of(seen).problem
    assert problem is not None
    assert problem.reason == "NothingToReturnTo"


def test_a_revert_within_the_window_needs_no_checks():
    older = given.revision(OLDER, promoted=9_000)
    assert next_mode(given.observed(desired=OLDER, revisions=[older])) == f"Fast {OLDER}"


def test_a_remembered_fail_is_not_tried_again_unless_a_person_says_so():
    failed = given.revision(CANDIDATE, failed_digests=frozenset({given.DIGEST}))
    assert next_mode(given.observed(revisions=[failed])) is None
    corrected = given.observed(revisions=[failed], digest=given.OTHER_DIGEST)
    assert next_mode(corrected) == f"Full {CANDIDATE}"
    forced = given.observed(revisions=[failed], override={"forced": {"revision": CANDIDATE, "reason": "CVE"}})
    assert next_mode(forced) == f"Full {CANDIDATE}"


def test_unknown_state_moves_nothing():
    stranger = given.revision(OLDER, 2)
    seen = given.observed(first=True, revisions=[stranger], traffic=given.pinned(OLDER))
    assert next_mode(seen) is None
    problem = target.state_problem(seen)
    assert problem is not None
    assert problem.reason == "StateUnknown"
    wanted = traffic.wanted_of(seen, NOW)
    assert wanted.traffic == given.pinned(OLDER)
    assert wanted.targets[OLDER] == 2


def test_a_run_deleted_in_the_bake_goes_back_to_stable():
    seen = given.observed(stable=1, candidate=2, traffic=given.pinned(CANDIDATE))
    wanted = traffic.wanted_of(seen, NOW)
    assert wanted.traffic == given.pinned(STABLE)
    assert target.state_problem(seen) is None


def test_waking_follows_from_persisted_times():
    begun = given.run("Returning", step=1, elapsed=4, live_since=given.ago(60))
    seen = given.observed([begun], candidate=1)
    assert wake.wake_time(seen, NOW) == given.ago(4) + datetime.timedelta(seconds=10)
