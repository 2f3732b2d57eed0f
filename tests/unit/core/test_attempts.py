"""A load that cannot decide is replayed three times, and not until the hour is over."""

import dataclasses

import pytest

from modelrelease.api import checks as api_checks
from modelrelease.api import performance as api_performance
from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api.verdict import Verdict
from modelrelease.core import attempts, judgement, lifecycle, observation
from modelrelease.core.situation import Situation
from tests.unit.core import build

SPEED = api_checks.Check(name="speed", performance=api_performance.Performance())
PARITY = api_checks.Check(name="parity", embedding_parity=api_checks.EmbeddingParity())


def looking(
    check: api_checks.Check, verdict: Verdict, undecided: int, **judged: object
) -> observation.Observation:
    """A run whose check has just said this, after so many attempts that could not decide."""
    pod = build.pod()
    said = api_run.CheckStatus(
        name=check.name,
        verdict=verdict,
        message="the ratio is open",
        attempt=undecided + 1,
        undecided=undecided,
        completion_time=build.T0,
    )
    judging = build.judging(checks=[check], **judged)
    run = build.run(
        judged_by=judging,
        phase=api_run.Phase.CHECKING,
        clock=api_run.Clock(start_time=build.T0),
        checks=[said],
        checked_pods=[api_run.CheckedPod(name=pod.name, uid=pod.uid, image_ids=[])],
    )
    return observation.Observation(
        release=dataclasses.replace(
            build.release(), desired=observation.Desired(build.CANDIDATE, build.DIGEST, judging, stored=True)
        ),
        revisions={
            build.STABLE: build.revision(build.STABLE, 4, promoted_time=build.T0),
            build.CANDIDATE: build.revision(build.CANDIDATE, (pod,)),
        },
        traffic=build.pinned(),
        runs=(run,),
    )


@pytest.mark.parametrize(
    ("check", "verdict", "undecided", "again"),
    [
        (SPEED, Verdict.INCONCLUSIVE, 0, True),
        (SPEED, Verdict.INCONCLUSIVE, 1, True),
        (SPEED, Verdict.INCONCLUSIVE, 2, False),
        (SPEED, Verdict.NO_DATA, 2, False),
        (SPEED, Verdict.ERROR, 7, True),
        (PARITY, Verdict.INCONCLUSIVE, 7, True),
    ],
)
def test_only_a_costly_check_that_measured_stops_asking(
    check: api_checks.Check, verdict: Verdict, undecided: int, again: bool
):
    here = Situation.of(looking(check, verdict, undecided), build.at(300))
    assert here is not None
    (status,) = here.status.checks
    assert judgement.unfinished(here, status) is again
    following = judgement.retried(here)
    assert (following is not None) is again
    if following is not None:
        (asked,) = following
        counted = undecided + (verdict is not Verdict.ERROR)
        assert (asked.attempt, asked.undecided, asked.verdict) == (undecided + 2, counted, None)


@pytest.mark.parametrize("policy", [api_spec.Policy.ROLL_BACK, api_spec.Policy.HOLD])
def test_the_last_look_ends_the_run_or_holds_it_at_once(policy: api_spec.Policy):
    observed = looking(SPEED, Verdict.INCONCLUSIVE, attempts.LOOKS - 1, on_inconclusive=policy)
    following = lifecycle.transition(observed, build.at(60))
    if policy is api_spec.Policy.HOLD:
        assert following is None
        here = Situation.of(observed, build.at(60))
        assert here is not None
        problem = judgement.overdue_evidence(here)
        assert problem is not None
        assert "in 3 attempts" in problem.message
        return
    assert following is not None
    assert (following.phase, following.outcome) == (
        api_run.Phase.RETURNING,
        api_run.Outcome.ROLLED_BACK,
    )
    assert (following.reason, following.failed) == (reasons.CHECK_DEADLINE, False)


def test_new_pods_are_looked_at_anew():
    here = Situation.of(looking(SPEED, Verdict.INCONCLUSIVE, 2), build.at(60))
    assert here is not None
    assert [status.undecided for status in judgement.voided(here)] == [0]
