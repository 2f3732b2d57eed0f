"""The status for people: conditions, phase, message; and that an idle release costs no write."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api import reasons, status
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api.verdict import Verdict
from modelrelease.core import observation, presentation
from tests.unit.core import build
from tests.unit.core.build import CANDIDATE, DIGEST, STABLE

Phase, Outcome = api_run.Phase, api_run.Outcome
STABLE_UP = build.revision(STABLE, 4, promoted_time=build.T0)
CANARY_UP = build.revision(CANDIDATE, 1)
CANARY_EMPTY = build.revision(CANDIDATE)


def present(
    observed: observation.Observation, now: float = 100, previous: status.ReleaseStatus | None = None
) -> status.ReleaseStatus:
    shown = presentation.present(observed, build.at(now), previous)
    conditions = {condition.type: condition for condition in shown.conditions}
    assert not (conditions["Reconciling"].status == "True" and conditions["Stalled"].status == "True")
    assert set(conditions) >= {"Ready", "Reconciling", "Stalled", "Paused", "Overridden"}
    return status.ReleaseStatus.model_validate(shown.model_dump(mode="json", by_alias=True))


def condition(shown: status.ReleaseStatus, kind: str) -> tuple[str, str]:
    found = next(entry for entry in shown.conditions if entry.type == kind)
    return found.status.value, found.reason


def during(phase: api_run.Phase, **fields: Any) -> observation.Observation:
    """Return a release with a run in this phase."""
    canary = fields.pop("canary", CANARY_UP)
    traffic, release, extra = (
        fields.pop("traffic", None),
        fields.pop("release", None),
        fields.pop("extra", {}),
    )
    fields.setdefault("clock", api_run.Clock(start_time=build.T0))
    run = build.run(phase=phase, judged_by=fields.pop("judged_by", None), **fields)
    return build.observed(
        STABLE_UP, canary, runs=(run,), traffic=traffic, release=release or build.release(), **extra
    )


def failed_check(**diagnosis: str) -> api_run.CheckStatus:
    return api_run.CheckStatus(
        name="parity",
        verdict=Verdict.FAIL,
        message="rows in cased strata moved",
        diagnosis=api_run.Diagnosis(**diagnosis) if diagnosis else None,
    )


def rolled_back(**fields: Any) -> observation.Observation:
    values = {
        "failed": True,
        "reason": reasons.CHECK_FAILED,
        "message": "parity failed: rows moved",
        "checks": [failed_check(cause="Casing", confidence="Proven")],
        **fields,
    }
    return build.observed(STABLE_UP, CANARY_EMPTY, runs=(build.ended(done=50, **values),))


def test_the_check_that_decided_is_told_and_not_one_that_is_only_reported():
    reported = api_run.CheckStatus(name="speed", verdict=Verdict.FAIL, message="p95 doubled")
    shown = present(rolled_back(checks=[reported, failed_check(cause="Casing", confidence="Proven")]))
    assert shown.message.startswith("RolledBack: parity failed, cause Casing (Proven): rows in cased")


def test_a_stable_release():
    shown = present(build.observed(STABLE_UP, desired=STABLE))
    assert shown.phase == "Stable"
    assert shown.message == f"Revision {STABLE} serves 100 %."
    assert condition(shown, "Ready") == ("True", reasons.SERVING_STABLE)
    assert condition(shown, "Reconciling") == ("False", reasons.SETTLED)
    assert condition(shown, "Stalled") == ("False", reasons.NOT_STALLED)
    assert condition(shown, "Paused") == ("False", reasons.NOT_PAUSED)
    assert condition(shown, "Overridden") == ("False", reasons.NO_OVERRIDE)
    assert (shown.stable, shown.candidate) == (
        status.StableStatus(revision=STABLE, model_version="v-r11", promoted_time=build.T0),
        None,
    )
    assert (shown.weight, shown.replicas, shown.observed_generation) == (0, 4, 3)
    assert shown.selector == (
        f"modelrelease.dev/release=embedder,modelrelease.dev/revision={STABLE},modelrelease.dev/role=serving"
    )


def test_after_a_return_the_message_says_why_who_serves_and_who_was_met():
    shown = present(rolled_back())
    assert shown.message == (
        "RolledBack: parity failed, cause Casing (Proven): rows in cased strata moved. "
        f"Revision {STABLE} serves 100 %. No user request reached {CANDIDATE}."
    )
    assert shown.phase == "RolledBack"
    assert condition(shown, "Ready") == ("True", reasons.SERVING_STABLE)
    assert condition(shown, "Stalled") == ("True", reasons.CHECK_FAILED)
    assert (shown.verdict, shown.current_run) == ("Fail", f"embedder-{CANDIDATE}-1")
    assert shown.history == [
        status.HistoryEntry(
            revision=CANDIDATE,
            attempt=1,
            outcome=Outcome.ROLLED_BACK,
            reason=reasons.CHECK_FAILED,
            completion_time=build.at(50),
        )
    ]


def test_users_who_met_the_candidate_are_not_denied():
    shown = present(rolled_back(live_since=build.at(10)))
    assert "No user request" not in shown.message
    assert f"{CANDIDATE} served some requests" in shown.message


def test_a_revert_ends_the_stall():
    observed = dataclasses.replace(rolled_back(), release=build.release(STABLE))
    shown = present(observed)
    assert (shown.phase, shown.candidate) == ("Stable", None)
    assert condition(shown, "Stalled")[0] == "False"
    assert len(shown.history) == 1


def test_a_crash_is_tried_again_and_says_when():
    crashed = {"failed": False, "reason": reasons.CRASH_LOOP, "message": "It crashed.", "checks": []}
    shown = present(rolled_back(**crashed))
    assert shown.phase == "Retrying"
    assert condition(shown, "Reconciling") == ("True", reasons.RETRY_LATER)
    assert "Attempt 2 starts at 2026-11-02 08:10:50 UTC." in shown.message


def test_an_image_that_does_not_exist_stalls_at_once_though_it_is_tried_again():
    said = {"failed": False, "reason": reasons.IMAGE_NOT_FOUND, "message": "No such image.", "checks": []}
    shown = present(rolled_back(**said))
    assert shown.phase == "RolledBack"
    assert condition(shown, "Stalled") == ("True", reasons.IMAGE_NOT_FOUND)
    assert condition(shown, "Reconciling")[0] == "False"
    assert "No such image. " in shown.message
    assert "Attempt 2 starts at 2026-11-02 08:10:50 UTC." in shown.message


def test_what_could_not_start_stalls_between_its_attempts_too():
    observed = rolled_back(
        outcome=Outcome.CANCELLED, failed=False, reason=reasons.POD_REJECTED, message="Its pods are refused."
    )
    shown = present(observed)
    assert condition(shown, "Stalled") == ("True", reasons.POD_REJECTED)
    assert shown.phase == "Cancelled"
    assert "Attempt 2 starts at" in shown.message


def test_exhausted_retries_stall_with_the_last_reason():
    runs = tuple(build.ended(attempt=n, done=n, reason=reasons.CRASH_LOOP) for n in range(1, 6))
    shown = present(build.observed(STABLE_UP, CANARY_EMPTY, runs=runs), now=100_000)
    assert (shown.phase, condition(shown, "Stalled")) == ("RolledBack", ("True", reasons.CRASH_LOOP))
    assert "spec.override.retry" in shown.message


PHASES: list[tuple[observation.Observation, str, str, str]] = [
    (during(Phase.QUEUED, canary=CANARY_EMPTY), "Queued", "Reconciling", reasons.QUEUED),
    (
        during(Phase.STARTING, canary=build.revision(CANDIDATE, (build.pod(ready=False),))),
        "Starting",
        "Reconciling",
        reasons.CANARY_STARTING,
    ),
    (
        during(
            Phase.STARTING,
            canary=build.revision(
                CANDIDATE,
                (
                    build.pod(
                        ready=False,
                        scheduled_time=None,
                        unschedulable_since=build.T0,
                        unschedulable_message="0/1 nodes: Insufficient nvidia.com/gpu",
                    ),
                ),
            ),
        ),
        "WaitingForCapacity",
        "Reconciling",
        reasons.WAITING_FOR_CAPACITY,
    ),
    (
        during(
            Phase.STARTING,
            canary=build.revision(
                CANDIDATE,
                deployment=observation.Deployment(
                    1, replica_failure='pods "p" is forbidden: violates PodSecurity "restricted:latest"'
                ),
            ),
        ),
        "Stalled",
        "Stalled",
        reasons.POD_REJECTED,
    ),
    (during(Phase.CHECKING), "Checking", "Reconciling", reasons.CHECKING),
    (during(Phase.SHIFTING, step=1), "Shifting", "Reconciling", reasons.SHIFTING),
    (during(Phase.HOLDING, step=1, traffic=build.WIDENED), "Holding", "Reconciling", reasons.HOLDING),
    (
        during(Phase.HOLDING, step=2, canary=build.revision(CANDIDATE, 4), traffic=build.pinned(CANDIDATE)),
        "Baking",
        "Reconciling",
        reasons.BAKING,
    ),
    (
        during(
            Phase.RETURNING, outcome=Outcome.ROLLED_BACK, reason=reasons.CRASH_LOOP, message="It crashed."
        ),
        "Returning",
        "Reconciling",
        reasons.CRASH_LOOP,
    ),
    (
        during(Phase.QUEUED, extra={"exposed_by": ("clip",)}),
        "Stalled",
        "Stalled",
        reasons.CANARY_EXPOSED,
    ),
    (
        during(Phase.QUEUED, release=build.release(max_surge=0)),
        "Stalled",
        "Stalled",
        reasons.NO_ROOM_FOR_CANARY,
    ),
    (
        during(
            Phase.CHECKING,
            release=build.release(override=api_spec.Override(paused=api_spec.Paused(reason="incident"))),
        ),
        "Paused",
        "Paused",
        reasons.PAUSED,
    ),
]


@pytest.mark.parametrize(("observed", "phase", "kind", "reason"), PHASES, ids=[case[1] for case in PHASES])
def test_phases(observed: observation.Observation, phase: str, kind: str, reason: str):
    shown = present(observed)
    assert (shown.phase, condition(shown, kind)) == (phase, ("True", reason))
    assert condition(shown, "Ready")[0] == "True"
    assert shown.candidate is not None
    assert shown.message.endswith(".")


PASSED = [api_run.CheckStatus(name=name, verdict=Verdict.PASS) for name in ("contract", "parity")]
OUTPUTS = api_run.Reference(config_map="outputs", digest=DIGEST)


def test_passed_checks_wait_for_an_approval():
    strategy = api_spec.Strategy(approval=api_spec.Approval.BEFORE_TRAFFIC)
    observed = during(
        Phase.CHECKING, judged_by=build.judging(strategy=strategy), checks=PASSED, outputs=OUTPUTS
    )
    shown = present(observed)
    assert (shown.phase, shown.verdict) == ("AwaitingApproval", "Pass")
    assert condition(shown, "Paused") == ("True", reasons.AWAITING_APPROVAL)
    assert condition(shown, "Reconciling") == ("False", reasons.PAUSED)


def test_passed_checks_without_recorded_outputs_stall():
    shown = present(during(Phase.CHECKING, checks=PASSED))
    assert condition(shown, "Stalled") == ("True", reasons.REFERENCE_NOT_RECORDED)


def test_another_space_needs_a_cut_over():
    observed = during(
        Phase.CHECKING,
        checks=PASSED,
        outputs=OUTPUTS,
        canary=dataclasses.replace(CANARY_UP, embedding_space="new"),
    )
    assert condition(present(observed), "Stalled") == ("True", reasons.CUT_OVER_REQUIRED)


def test_one_pass_of_two_is_not_yet_a_pass():
    shown = present(during(Phase.CHECKING, checks=[PASSED[0], api_run.CheckStatus(name="parity")]))
    assert shown.verdict == ""
    assert "1 of 2 done, parity runs" in shown.message


def test_an_overdue_check_stalls_only_after_its_deadline():
    checks = [PASSED[0], api_run.CheckStatus(name="parity", verdict=Verdict.ERROR, message="no route")]
    observed = during(Phase.CHECKING, checks=checks)
    assert present(observed, now=3599).phase == "Checking"
    assert condition(present(observed, now=3600), "Stalled") == ("True", reasons.CHECK_ERROR_DEADLINE)


def test_a_silent_objective_is_named_in_the_hold():
    slo = api_spec.Slo(name="availability", objective="99", availability=api_spec.Availability())
    silent = api_run.SloStatus(
        name="availability", verdict=Verdict.ERROR, message="HTTP 503", observed_time=build.T0
    )
    observed = during(
        Phase.HOLDING,
        step=1,
        traffic=build.WIDENED,
        judged_by=build.judging(slos=[slo]),
        slos=[silent],
        silent_since=build.T0,
    )
    message = present(observed).message
    assert "availability is Error: HTTP 503." in message
    assert "stands still" in message


def test_a_rounded_weight_is_said():
    strategy = api_spec.Strategy(steps=[api_spec.Step(weight=5)])
    observed = during(
        Phase.HOLDING, step=1, traffic=build.WIDENED, judged_by=build.judging(strategy=strategy)
    )
    shown = present(observed)
    assert condition(shown, "WeightRounded") == ("True", reasons.WEIGHT_ROUNDED)
    assert shown.weight == 20
    assert shown.replicas == 5
    assert "revision=" not in shown.selector


def test_tested_pods_that_differ_stall_the_step():
    tested = [api_run.CheckedPod(name="p", uid="u", image_ids=["i@1"], accelerator="H100")]
    observed = during(Phase.SHIFTING, step=1, checked_pods=tested)
    assert condition(present(observed), "Stalled") == ("True", reasons.HARDWARE_UNTESTED)


@pytest.mark.parametrize(
    ("observed", "ready"),
    [
        (build.observed(CANARY_UP, runs=(build.run(phase=Phase.CHECKING),)), ("False", reasons.NO_STABLE)),
        (
            build.observed(build.revision(STABLE, desired=4, promoted_time=build.T0), desired=STABLE),
            ("False", reasons.NOT_SERVING),
        ),
        (
            build.observed(STABLE_UP, release=build.release(STABLE, replicas=0)),
            ("True", reasons.SCALED_TO_ZERO),
        ),
        (
            build.observed(
                STABLE_UP, desired=STABLE, traffic=observation.Traffic(observation.Selects.FOREIGN)
            ),
            ("False", reasons.NOT_SERVING),
        ),
        (
            during(
                Phase.HOLDING, step=2, canary=build.revision(CANDIDATE, 4), traffic=build.pinned(CANDIDATE)
            ),
            ("True", reasons.SERVING_CANDIDATE),
        ),
    ],
)
def test_ready_is_that_a_verified_revision_serves(observed: observation.Observation, ready: tuple[str, str]):
    assert condition(present(observed), "Ready") == ready


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        (
            build.observed(STABLE_UP, desired=STABLE, traffic=build.pinned(CANDIDATE)),
            None,
        ),
        (build.observed(build.revision(STABLE, 4), desired=STABLE), reasons.STATE_UNKNOWN),
        (
            build.observed(STABLE_UP, traffic=observation.Traffic(observation.Selects.FOREIGN)),
            reasons.NAME_CONFLICT,
        ),
        (
            build.observed(
                STABLE_UP,
                release=build.release(None, problem=observation.Problem(reasons.INVALID_SPEC, "Bad")),
            ),
            reasons.INVALID_SPEC,
        ),
    ],
)
def test_what_stalls_without_a_run(observed: observation.Observation, reason: str | None):
    shown = present(observed)
    stalled = condition(shown, "Stalled")
    assert stalled == (("True", reason) if reason else ("False", reasons.NOT_STALLED))


def test_overrides_are_visible_while_they_matter():
    def overridden(**fields: Any) -> tuple[str, str]:
        release = build.release(STABLE, override=api_spec.Override(**fields))
        return condition(present(build.observed(STABLE_UP, release=release)), "Overridden")

    entry = api_spec.RevisionOverride(revision=STABLE, reason="because")
    old = api_spec.RevisionOverride(revision=CANDIDATE, reason="long ago")
    assert overridden(pinned=entry) == ("True", reasons.PINNED)
    assert overridden(forced=entry) == ("True", reasons.FORCED)
    assert overridden(rejected=[entry]) == ("True", reasons.REJECTED)
    assert overridden(rejected=[old], forced=old) == ("False", reasons.NO_OVERRIDE)


def test_domain_conditions_are_there_only_while_they_hold():
    edited = dataclasses.replace(STABLE_UP, deployment=observation.Deployment(4, template_matches=False))
    shown = present(build.observed(edited, desired=STABLE, config_drift=("token",)))
    assert condition(shown, "ConfigDrift") == ("True", reasons.CONFIG_DRIFT)
    assert condition(shown, "TemplateReverted") == ("True", reasons.TEMPLATE_REVERTED)
    quiet = present(build.observed(STABLE_UP, desired=STABLE))
    assert {entry.type for entry in quiet.conditions} == {
        "Ready",
        "Reconciling",
        "Stalled",
        "Paused",
        "Overridden",
    }


# --- Writes -------------------------------------------------------------------------------------------------

IDLE = [
    build.observed(STABLE_UP, desired=STABLE),
    rolled_back(),
    rolled_back(failed=False, reason=reasons.CRASH_LOOP, checks=[]),
    *(case[0] for case in PHASES),
]


@given(st.sampled_from(IDLE), st.lists(st.integers(100, 400), min_size=2, max_size=4))
def test_an_idle_release_costs_no_write(observed: observation.Observation, times: list[int]):
    times.sort()
    shown = present(observed, times[0])
    for now in times[1:]:
        assert present(observed, now, shown) == shown


def test_only_a_changed_status_moves_its_time():
    before = present(build.observed(STABLE_UP, desired=STABLE), 100)
    after = present(rolled_back(), 200, before)
    times = {entry.type: entry.last_transition_time for entry in after.conditions}
    assert times["Stalled"] == build.at(200)
    assert times["Ready"] == build.at(100)


def test_long_messages_fit_the_api():
    long = [failed_check().model_copy(update={"message": "m" * 512})]
    present(rolled_back(checks=long, reason=reasons.SLO_FAILED, message="m" * 1024))


def test_the_history_is_bounded_and_newest_first():
    runs = tuple(
        build.ended(attempt=n, done=n, outcome=Outcome.CANCELLED, reason="Cancelled") for n in range(1, 31)
    )
    shown = present(build.observed(STABLE_UP, CANARY_EMPTY, desired=STABLE, runs=runs))
    assert [entry.attempt for entry in shown.history] == list(range(30, 20, -1))


def test_an_autoscaler_counts_pods_that_hold_a_place():
    pods = (
        build.pod("a", STABLE),
        build.pod("b", STABLE, ready=False),
        build.pod("c", STABLE, ready=False, terminating=True),
        build.pod("d", STABLE, ready=False, finished=True),
    )
    stable = build.revision(STABLE, pods, promoted_time=build.T0)
    assert present(build.observed(stable, desired=STABLE)).replicas == 2
