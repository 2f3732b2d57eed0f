"""Another vector space: retrieval runs where parity can't, and the message says what was proven."""

import dataclasses
from typing import Any

import pytest

from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.core import lifecycle, observation, presentation, references
from tests.unit.core import given
from tests.unit.core.given import CANDIDATE, NOW, STABLE

SEARCHED = {"name": "recall", "retrieval": {"goldenSet": "judged"}}
SETS = [{"name": "judged", "volume": {"secret": {"secretName": "s"}}, "digest": given.OTHER_DIGEST}]


def crossing(
    *said: api_run.CheckStatus, checks: tuple[dict[str, Any], ...] = (SEARCHED,), **stable: Any
) -> observation.Observation:
    declared = [{"name": "parity", "embeddingParity": {}}, *checks]
    skipped = api_run.CheckStatus(name="parity", skipped=True, completion_time=NOW)
    run = given.run(
        "Checking",
        checks=[skipped, *said],
        judging={"checks": declared, "goldenSets": SETS},
        outputs=api_run.Reference.model_validate({"configMap": "c", "digest": given.DIGEST}),
    )
    old = given.revision(STABLE, 2, promoted=5_000, embedding_space="old", **stable)
    return given.observed([run], candidate=1, revisions=[old])


def status(verdict: Verdict | None, *, skipped: bool = False) -> api_run.CheckStatus:
    return api_run.CheckStatus(name="recall", verdict=verdict, skipped=skipped, completion_time=NOW)


def message(observed: observation.Observation) -> str:
    assert lifecycle.transition(observed, NOW) is None
    shown = presentation.present(observed, NOW, None)
    (stalled,) = [entry for entry in shown.conditions if entry.type == "Stalled"]
    assert (stalled.status.value, stalled.reason) == ("True", "CutOverRequired")
    return stalled.message


def test_what_passed_within_the_new_space_is_said():
    assert message(crossing(status(Verdict.PASS))).endswith(" Within the new space recall passed.")


def test_what_was_not_proven_is_said():
    contract = api_run.CheckStatus(name="contract", verdict=Verdict.PASS, completion_time=NOW)
    said = message(crossing(contract, checks=({"name": "contract", "contract": {}},)))
    assert said.endswith(
        " Parity does not apply, and no retrieval check is declared: that the new space finds what users"
        " search for is not proven."
    )


def test_a_check_that_is_only_reported_proves_nothing():
    reported = SEARCHED | {"enforcement": "Observe"}
    assert "recall did not pass" in message(crossing(status(Verdict.FAIL), checks=(reported,)))


def test_a_check_that_had_nothing_to_compare_with_proves_nothing():
    contract = api_run.CheckStatus(name="contract", verdict=Verdict.PASS, completion_time=NOW)
    checks = (SEARCHED, {"name": "contract", "contract": {}})
    said = message(crossing(status(None, skipped=True), contract, checks=checks))
    assert "recall did not pass" in said


def test_retrieval_holds_the_run_until_it_has_passed():
    shown = presentation.present(crossing(), NOW, None)
    assert all(entry.reason != "CutOverRequired" for entry in shown.conditions)
    part = given.part(Verdict.FAIL, check="recall", outputs=None)
    failed = lifecycle.transition(dataclasses.replace(crossing(), parts=(part,)), NOW)
    assert failed is not None
    assert failed.reason == "CheckFailed"


def outputs(check: str, golden_set: str) -> api_run.Reference:
    said = {"configMap": f"of-{check}", "digest": given.DIGEST, "check": check, "goldenSet": golden_set}
    return api_run.Reference.model_validate(said)


@pytest.mark.parametrize(
    ("kept", "found", "live"),
    [
        ((), [], True),
        ((outputs("parity", given.OTHER_DIGEST),), ["of-parity"], False),
        ((outputs("parity", given.DIGEST),), [], True),
    ],
)
def test_it_is_compared_with_what_stable_finds_in_its_own_space(kept, found, live):
    observed = crossing(outputs=kept)
    run = observed.runs[0]
    parity, recall = run.spec.judging.checks
    recorded = references.recorded(observed, run, recall)
    assert [known.outputs.config_map for known in recorded] == found
    assert references.asks_stable(observed, run, recall) is live
    assert references.recorded(observed, run, parity) == ()
    assert not references.asks_stable(observed, run, parity)
    assert CANDIDATE in observed.revisions
