"""A Service that users call already is offered to the release: nobody is without an answer at any moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.core import lifecycle, observation, presentation, traffic
from tests.unit.core import build

STABLE, CANDIDATE = build.STABLE, build.CANDIDATE
OFFERED = observation.Traffic(observation.Selects.OFFERED)
Phase = api_run.Phase


def stable(ready: int) -> observation.Revision:
    return build.revision(STABLE, ready, desired=4, promoted_time=build.T0)


def wanted(observed: observation.Observation) -> observation.Traffic:
    return traffic.wanted_of(observed, build.at(60)).traffic


@pytest.mark.parametrize("phase", list(Phase))
def test_before_anything_is_stable_users_keep_what_they_have(phase: Phase):
    outcome = {"outcome": api_run.Outcome.ROLLED_BACK} if phase is Phase.DONE else {}
    run = build.run(STABLE, mode=api_run.Mode.FIRST, phase=phase, **outcome)
    observed = build.observed(build.revision(STABLE, 1), runs=(run,), desired=STABLE, traffic=OFFERED)
    assert wanted(observed) == OFFERED


@pytest.mark.parametrize(
    ("ready", "problem", "expected"),
    [
        (0, "", OFFERED),
        (3, "", OFFERED),
        (4, "", build.pinned()),
        (4, "it is headless", OFFERED),
    ],
)
@pytest.mark.parametrize("queued", [False, True])
def test_it_is_taken_over_once_stable_can_serve_everybody(
    ready: int, problem: str, expected: observation.Traffic, queued: bool
):
    runs = (build.run(phase=Phase.QUEUED),) if queued else ()
    desired = CANDIDATE if queued else STABLE
    observed = build.observed(
        stable(ready), build.revision(CANDIDATE), runs=runs, desired=desired, traffic=OFFERED,
        offer_problem=problem,
    )  # fmt: skip
    found = traffic.wanted_of(observed, build.at(60))
    assert found.traffic == expected
    assert found.targets[STABLE] == 4


def test_a_release_of_no_pods_takes_nothing_over():
    release = build.release(STABLE, replicas=0)
    observed = build.observed(stable(0), desired=STABLE, traffic=OFFERED, release=release)
    assert wanted(observed) == OFFERED


def test_a_candidate_waits_until_stable_has_the_users():
    observed = build.observed(
        stable(3), build.revision(CANDIDATE), runs=(build.run(phase=Phase.QUEUED),), traffic=OFFERED
    )
    assert lifecycle.transition(observed, build.at(60)) is None
    following = lifecycle.transition(
        build.observed(
            stable(4),
            build.revision(CANDIDATE),
            runs=(build.run(phase=Phase.QUEUED),),
            traffic=build.pinned(),
        ),
        build.at(60),
    )
    assert following is not None
    assert following.phase is Phase.STARTING


def test_the_first_revision_is_tried_beside_it():
    run = build.run(STABLE, mode=api_run.Mode.FIRST, phase=Phase.QUEUED)
    observed = build.observed(build.revision(STABLE), runs=(run,), desired=STABLE, traffic=OFFERED)
    following = lifecycle.transition(observed, build.at(60))
    assert following is not None
    assert following.phase is Phase.STARTING


@pytest.mark.parametrize(
    ("problem", "reconciling", "stalled", "says"),
    [
        ("", reasons.ADOPTING, None, "4 Ready pods: 3 so far"),
        ("it is headless", None, reasons.NAME_CONFLICT, "is not taken over, and selects what it did before"),
    ],
)
def test_people_are_told_what_is_waited_for(
    problem: str, reconciling: str | None, stalled: str | None, says: str
):
    observed = build.observed(stable(3), desired=STABLE, traffic=OFFERED, offer_problem=problem)
    shown = presentation.present(observed, build.at(60), None)
    conditions = {entry.type: entry for entry in shown.conditions}
    assert conditions["Ready"].status == "False"
    for kind, reason in (("Reconciling", reconciling), ("Stalled", stalled)):
        assert conditions[kind].status == ("True" if reason else "False")
        if reason:
            assert conditions[kind].reason == reason
    assert says in shown.message


@given(
    phase=st.sampled_from([phase for phase in Phase if phase is not Phase.DONE]),
    step=st.integers(1, 2),
    stable_ready=st.integers(0, 4),
    candidate_ready=st.integers(0, 4),
    problem=st.sampled_from(["", "it is headless"]),
)
def test_whatever_goes_on_users_are_given_to_enough_pods_or_left_where_they_are(
    phase: Phase, step: int, stable_ready: int, candidate_ready: int, problem: str
):
    run = build.run(phase=phase, step=step if phase in {Phase.SHIFTING, Phase.HOLDING} else 0)
    observed = build.observed(
        stable(stable_ready), build.revision(CANDIDATE, candidate_ready), runs=(run,), traffic=OFFERED,
        offer_problem=problem,
    )  # fmt: skip
    found = wanted(observed)
    ready = {STABLE: stable_ready, CANDIDATE: candidate_ready}
    reached = ready[found.revision] if found.revision else stable_ready + candidate_ready
    assert found == OFFERED or (reached >= 4 and not problem)
