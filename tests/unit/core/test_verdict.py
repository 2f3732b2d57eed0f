"""From parts to verdicts, and who may pass."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api import checks as api_checks
from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.api.verdict import Verdict
from modelrelease.core import observation
from modelrelease.core import verdict as core_verdict
from tests.unit.core import build

NOW = build.at(100)
ASKED = api_run.CheckStatus(name="parity", attempt=2, start_time=build.T0)


def part(uid: str = "a", verdict: Verdict | None = Verdict.PASS, **fields: Any) -> observation.CheckPart:
    values = {"check": "parity", "attempt": 2, "finished": True, **fields}
    return observation.CheckPart(pod_uid=uid, verdict=verdict, **values)


def aggregate(*parts: observation.CheckPart, tested: str = "ab", **status: Any) -> api_run.CheckStatus:
    return core_verdict.aggregate(ASKED.model_copy(update=status), parts, frozenset(tested), NOW)


verdicts = st.sampled_from(list(Verdict))


@given(st.lists(verdicts, max_size=6))
def test_precedence(found: list[Verdict]):
    worst = core_verdict.worst(found)
    if not found:
        assert worst is None
    elif Verdict.FAIL in found:
        assert worst is Verdict.FAIL
    elif Verdict.ERROR in found:
        assert worst is Verdict.ERROR
    elif {Verdict.INCONCLUSIVE, Verdict.NO_DATA} & set(found):
        assert worst in {Verdict.INCONCLUSIVE, Verdict.NO_DATA}
    else:
        assert worst is Verdict.PASS


def test_every_pod_must_pass():
    result = aggregate(part("a"), part("b"))
    assert result.verdict is Verdict.PASS
    assert result.completion_time == NOW
    assert result.start_time == build.T0


@pytest.mark.parametrize(
    "missing",
    [
        (),
        (part("b", finished=False),),
        (part("c"),),
        (part("b", attempt=1),),
        (part("b", attempt=3),),
        (part("b", check="contract"),),
    ],
    ids=["none", "unfinished", "replaced pod", "earlier attempt", "later attempt", "another check"],
)
def test_a_missing_part_is_not_finished(missing: tuple[observation.CheckPart, ...]):
    assert aggregate(part("a"), *missing) == ASKED


def test_a_fail_need_not_wait_for_the_others():
    assert aggregate(part("a", Verdict.FAIL, message="rows moved")).verdict is Verdict.FAIL


def test_a_fail_of_a_replaced_pod_is_void():
    assert aggregate(part("a"), part("b"), part("gone", Verdict.FAIL)).verdict is Verdict.PASS


def test_the_worst_part_speaks():
    cause = api_run.Diagnosis(cause="Casing", confidence="Proven")
    gate = api_run.GateStatus(metric="CosineDistanceWorst", verdict=Verdict.FAIL)
    result = aggregate(
        part("a", message="all well", strata=("plain",), requests=10, evidence="e1"),
        part(
            "b",
            Verdict.FAIL,
            reason="GateFailed",
            message="rows moved",
            diagnosis=cause,
            gates=(gate,),
            strata=("cased", "plain"),
            requests=5,
        ),
    )
    assert (result.verdict, result.reason, result.message) == (Verdict.FAIL, "GateFailed", "rows moved")
    assert (result.diagnosis, result.gates) == (cause, [gate])
    assert result.strata == ["cased", "plain"]
    assert result.requests == 15
    assert result.evidence == "e1"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (part("b", None), reasons.CHECK_NO_RESULT),
        (part("b", None, reason="DeadlineExceeded"), "DeadlineExceeded"),
        (part("b", None, disrupted=True), reasons.CHECK_DISRUPTED),
        (part("b", None, skipped=True), reasons.CHECK_INCOMPLETE),
        (part("b", nonce="other"), reasons.CHECK_FOREIGN_RESULT),
    ],
)
def test_what_proves_nothing_is_an_error(broken: observation.CheckPart, reason: str):
    nonce = "" if broken.nonce == "" else "mine"
    result = aggregate(part("a", nonce=nonce), broken, nonce=nonce)
    assert (result.verdict, result.reason) == (Verdict.ERROR, reason)
    assert result.message


def test_a_foreign_fail_is_an_error_too():
    result = aggregate(part("a", Verdict.FAIL, nonce="x"), part("b", nonce="mine"), nonce="mine")
    assert result.verdict is Verdict.ERROR


def test_skipped_is_a_state_and_no_verdict():
    result = aggregate(part("a", None, skipped=True), part("b", Verdict.PASS, skipped=True))
    assert (result.verdict, result.skipped) == (None, True)
    assert result.completion_time == NOW


def test_no_tested_pods_no_verdict():
    assert aggregate(part("a"), tested="") == ASKED


@given(st.permutations([part("a", Verdict.ERROR), part("b", Verdict.NO_DATA), part("c", Verdict.ERROR)]))
def test_the_order_of_parts_is_irrelevant(parts: list[observation.CheckPart]):
    assert aggregate(*parts, tested="abc") == aggregate(*sorted(parts, key=lambda p: p.pod_uid), tested="abc")


@given(st.lists(st.builds(part, st.sampled_from("abc"), st.none() | verdicts), max_size=5))
def test_what_was_said_stays(parts: list[observation.CheckPart]):
    once = aggregate(*parts)
    later = core_verdict.aggregate(once, parts, frozenset("ab"), build.at(900))
    if once.verdict is not None or once.skipped:
        assert later == once


@given(st.dictionaries(st.sampled_from("abc"), st.none() | verdicts))
def test_only_a_pass_of_every_tested_pod_is_a_pass(found: dict[str, Verdict | None]):
    result = aggregate(*(part(uid, verdict) for uid, verdict in found.items()))
    everybody = all(found.get(uid) is Verdict.PASS for uid in "ab")
    assert (result.verdict is Verdict.PASS) is everybody


def test_long_words_are_cut_to_the_api():
    result = aggregate(part("a", Verdict.FAIL, reason="R" * 99, message="m" * 999))
    api_run.CheckStatus.model_validate(result.model_dump())


# --- Gates --------------------------------------------------------------------------------------------------

CONTRACT = api_checks.Check(name="contract", contract=api_checks.ContractCheck())
PARITY = api_checks.Check(name="parity", embedding_parity=api_checks.EmbeddingParity())
REPORTED = api_checks.Check(
    name="speed", enforcement=api_checks.Enforcement.OBSERVE, repeatability=api_checks.Repeatability()
)


def said(name: str, verdict: Verdict | None, *, skipped: bool = False) -> api_run.CheckStatus:
    return api_run.CheckStatus(name=name, verdict=verdict, skipped=skipped)


@pytest.mark.parametrize(("first", "second"), list(itertools.product([None, *Verdict], repeat=2)))
def test_gate_table(first: Verdict | None, second: Verdict | None):
    result = core_verdict.gate([CONTRACT, PARITY], [said("contract", first), said("parity", second)])
    assert result.passed is (first is Verdict.PASS and second is Verdict.PASS)
    assert result.pending is (first is None or second is None)
    assert (result.failed is not None) is (Verdict.FAIL in {first, second})
    unresolved = {Verdict.ERROR, Verdict.NO_DATA, Verdict.INCONCLUSIVE} & {first, second}
    assert (result.unresolved is not None) is (bool(unresolved) and result.failed is None)
    assert [result.passed, result.failed is not None].count(True) <= 1


def test_a_check_without_status_is_pending():
    assert core_verdict.gate([CONTRACT], []) == core_verdict.GateResult(passed=False, pending=True)


def test_a_status_that_nobody_requires_is_ignored():
    assert core_verdict.gate([CONTRACT], [said("contract", Verdict.PASS), said("x", Verdict.FAIL)]).passed


@pytest.mark.parametrize("verdict", list(Verdict))
@pytest.mark.parametrize("excuse", [{"waived": {"parity"}}, {"observing": True}])
def test_an_excuse_lets_everything_pass_that_has_spoken(verdict: Verdict, excuse: dict[str, Any]):
    assert core_verdict.gate([PARITY], [said("parity", verdict)], **excuse).passed
    assert core_verdict.gate([PARITY], [said("parity", None)], **excuse).pending


def test_a_waiver_excuses_no_other_check():
    statuses = [said("contract", Verdict.FAIL), said("parity", Verdict.FAIL)]
    assert core_verdict.gate([CONTRACT, PARITY], statuses, waived={"parity"}).failed == "contract"


def test_a_check_that_is_only_observed_never_blocks():
    statuses = [said("contract", Verdict.PASS), said("speed", Verdict.FAIL)]
    assert core_verdict.gate([CONTRACT, REPORTED], statuses).passed


def test_a_skipped_check_passes_the_first_release_alone():
    statuses = [said("contract", Verdict.PASS), said("parity", None, skipped=True)]
    assert core_verdict.gate([CONTRACT, PARITY], statuses, incomparable=True).passed
    later = core_verdict.gate([CONTRACT, PARITY], statuses)
    assert (later.passed, later.unresolved) == (False, "parity")


def test_the_first_release_still_needs_what_is_not_skipped():
    assert core_verdict.gate(
        [CONTRACT, PARITY], [said("parity", None, skipped=True)], incomparable=True
    ).pending
    failed = [said("contract", Verdict.FAIL), said("parity", None, skipped=True)]
    assert core_verdict.gate([CONTRACT, PARITY], failed, incomparable=True).failed == "contract"
    error = [said("contract", Verdict.PASS), said("parity", Verdict.ERROR)]
    assert core_verdict.gate([CONTRACT, PARITY], error, incomparable=True).unresolved == "parity"


SLO = api_spec.Slo(name="availability", objective="99.9", availability=api_spec.Availability())


@pytest.mark.parametrize("verdict", [None, *Verdict])
def test_slo_gate(verdict: Verdict | None):
    statuses = (
        []
        if verdict is None
        else [api_run.SloStatus(name="availability", verdict=verdict, observed_time=NOW)]
    )
    result = core_verdict.gate_slos([SLO], statuses)
    assert result.passed is (verdict is Verdict.PASS)
    assert result.pending is (verdict is None)
    assert core_verdict.gate_slos([SLO], statuses, waived={"availability"}).passed
    assert core_verdict.gate_slos([SLO], statuses, observing=True).passed


def test_no_objectives_nothing_to_wait_for():
    assert core_verdict.gate_slos([], []).passed
