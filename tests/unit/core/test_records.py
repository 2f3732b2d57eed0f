"""A record of performance is waited for like recorded outputs, where the check gates."""

import dataclasses
from typing import Any

import pytest

from modelrelease.api import checks as api_checks
from modelrelease.api import fidelity as api_fidelity
from modelrelease.api import performance as api_performance
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api.verdict import Verdict
from modelrelease.core import judgement, lifecycle, observation
from modelrelease.core.situation import Situation
from tests.unit.core import build

NOW = build.at(60)
PARITY = api_checks.Check(name="parity", embedding_parity=api_checks.EmbeddingParity())
SPEED = api_checks.Check(name="speed", performance=api_performance.Performance())
POSTERS = api_checks.Check(name="posters", fidelity=api_fidelity.Fidelity())
REPORTED = SPEED.model_copy(update={"enforcement": api_checks.Enforcement.OBSERVE})


def checking(
    *checks: api_checks.Check,
    kept: tuple[str, ...] = (),
    mode: api_run.Mode = api_run.Mode.FULL,
    **release: Any,
) -> observation.Observation:
    """Every check has passed, and these have stored what they recorded."""
    said = [api_run.CheckStatus(name=c.name, verdict=Verdict.PASS, completion_time=NOW) for c in checks]
    recorded = [api_run.Reference(config_map="c", digest=build.DIGEST, check=name) for name in kept]
    judged = build.judging(checks=list(checks))
    pod = build.pod()
    run = build.run(
        judged_by=judged,
        mode=mode,
        phase=api_run.Phase.CHECKING,
        clock=api_run.Clock(start_time=build.T0),
        checks=said,
        checked_pods=[api_run.CheckedPod(name=pod.name, uid=pod.uid, image_ids=[])],
        recorded=recorded,
        outputs=recorded[0] if recorded else None,
    )
    desired = observation.Desired(build.CANDIDATE, build.DIGEST, judged, stored=True)
    return observation.Observation(
        release=dataclasses.replace(build.release(**release), desired=desired),
        revisions={
            build.STABLE: build.revision(build.STABLE, 4, promoted_time=build.T0),
            build.CANDIDATE: build.revision(build.CANDIDATE, (pod,)),
        },
        traffic=build.pinned(),
        runs=(run,),
    )


WAIVED = api_spec.Override(
    waivers=[api_spec.Waiver(check="speed", revision=build.CANDIDATE, reason="incident 42")]
)


@pytest.mark.parametrize(
    ("checks", "kept", "release", "lacking"),
    [
        ((PARITY, SPEED), ("parity", "speed"), {}, set()),
        ((PARITY, SPEED), ("parity",), {}, {"speed"}),
        ((PARITY, SPEED), ("speed",), {}, {"parity"}),
        ((PARITY, SPEED), (), {}, {"parity", "speed"}),
        ((SPEED,), (), {}, {"speed"}),
        ((POSTERS,), (), {}, {"posters"}),
        ((REPORTED, POSTERS), ("posters",), {}, set()),
        ((REPORTED,), (), {}, set()),
        ((PARITY, REPORTED), ("parity",), {}, set()),
        ((PARITY, SPEED), ("parity",), {"override": WAIVED}, set()),
    ],
)
def test_what_gates_must_have_stored_its_record(
    checks: tuple[api_checks.Check, ...], kept: tuple[str, ...], release: dict[str, Any], lacking: set[str]
):
    observed = checking(*checks, kept=kept, **release)
    here = Situation.of(observed, NOW)
    assert here is not None
    assert judgement.outputs_stored(here) is not bool(lacking)
    asked_again = {status.name for status in here.status.checks if judgement.unfinished(here, status)}
    assert asked_again == lacking
    following = lifecycle.transition(observed, NOW)
    assert (following is not None and following.phase is api_run.Phase.SHIFTING) is not bool(lacking)


@pytest.mark.parametrize("verdict", [Verdict.ERROR, Verdict.NO_DATA, Verdict.INCONCLUSIVE])
@pytest.mark.parametrize(("check", "again"), [(SPEED, True), (REPORTED, False)])
def test_a_check_that_is_only_reported_is_asked_once(verdict: Verdict, check: api_checks.Check, again: bool):
    observed = checking(check, PARITY, kept=("parity",))
    (run,) = observed.runs
    said = api_run.CheckStatus(name=check.name, verdict=verdict, completion_time=build.T0)
    status = run.status.model_copy(update={"checks": [said, api_run.CheckStatus(name="parity")]})
    here = Situation.of(dataclasses.replace(observed, runs=(dataclasses.replace(run, status=status),)), NOW)
    assert here is not None
    assert judgement.unfinished(here, said) is again
    following = judgement.next_check(here)
    # Asked again, it would load the pod while the next one measures.
    assert (following is not None and following.name == "parity") is not again
