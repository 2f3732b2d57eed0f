import json
import pathlib
import subprocess
import sys
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import entry, result, schema
from tests.unit.canary_checks import asking

SCHEMA_FILE = pathlib.Path("canary_checks/check-result.v1.schema.json")
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text("utf-8")))
VERDICTS = st.sampled_from(["Pass", "Fail", "Inconclusive", "NoData", "Error"])

# What JSON makes long: quotes are escaped, an emoji is four bytes.
awkward = st.text(st.sampled_from('"\\aé🍕€ '), max_size=128)
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["NaN", "Infinity", "-Infinity"])
)


def drawn_gate(verdict: str, observed: object, limit: float, text: str) -> dict[str, Any]:
    return {
        "metric": "M" * 64,
        "operation": text,
        "against": "Absolute",
        "verdict": verdict,
        "observed": limit if verdict == "Pass" else observed,
        "operator": "<=",
        "limit": limit,
        "basis": "ClassCeiling",
        "samples": 10_000_000,
        "unit": text,
    }


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """What a result is built from; small, so that a failing one can be read."""
    verdicts = draw(st.lists(VERDICTS, max_size=32))
    possible = ["Inconclusive", "NoData", "Error"]
    possible += ["Fail"] if "Fail" in verdicts else []
    possible += ["Pass"] if set(verdicts) == {"Pass"} else []
    return {
        "verdict": draw(st.sampled_from(possible)),
        "gates": verdicts,
        "observed": draw(numbers),
        "limit": draw(st.floats(allow_nan=False, allow_infinity=False)),
        "text": draw(awkward),
        "message": draw(st.text(st.sampled_from('"\\a🍕'), max_size=512)),
        "full": draw(st.booleans()),
    }


def built(case: dict[str, Any]) -> schema.CheckResult:
    text, observed, remark = case["text"], case["observed"], case["text"][:160]
    party = {"role": "Stable", "revision": "r" * 63, "digest": asking.DIGEST, "pods": [text] * 8}
    more: dict[str, Any] = {
        "references": [party | {"role": role} for role in ("Stable", "Anchor", "Recorded")],
        "goldenSet": {"name": "T" * 128, "version": "1", "digest": asking.DIGEST, "items": 106, "used": 106},
        "measurements": [{"metric": "M" * 64, "samples": 3, "p50": observed, "worstItem": text}] * 64,
        "strata": [{"name": text, "items": 9, "failed": 3, "worst": observed}] * 64,
        "worst": [{"item": text, "stratum": "s", "values": {"cosineDistance": observed}}] * 20,
        "series": {"cosineDistance": [observed] * 4096},
        "diagnosis": {
            "cause": "Casing",
            "confidence": "Proven",
            "evidence": [remark] * 8,
            "excluded": [{"cause": "C" * 64, "because": remark}] * 16,
            "left": ["C" * 64] * 16,
            "next": [remark] * 4,
        },
        "evidence": {
            "digest": asking.DIGEST,
            "sizeBytes": 10_000_000,
            "truncated": True,
            "path": "p" * 1000,
        },
    }
    return asking.a_result(
        case["verdict"],
        gates=[drawn_gate(verdict, observed, case["limit"], text) for verdict in case["gates"]],
        message=case["message"],
        run="r" * 253,
        check={"name": "c" * 253, "kind": "EmbeddingParity", "configDigest": asking.DIGEST},
        **(more if case["full"] else {}),
    )


@given(cases())
def test_any_result_fits_and_is_still_the_same_verdict(case: dict[str, Any]):
    whole = built(case)
    text = result.to_termination_message(whole)
    assert len(text.encode()) <= 3072
    parsed = result.parse_termination_message(text, asking.NONCE)
    assert (parsed.verdict, parsed.reason, parsed.nonce) == (whole.verdict, whole.reason, whole.nonce)
    assert len(parsed.gates) + parsed.gates_omitted == len(whole.gates)
    assert ("Fail" in case["gates"]) == any(g.verdict == "Fail" for g in parsed.gates)
    VALIDATOR.validate(json.loads(text))


def test_failing_gates_of_a_large_result_are_kept_and_passing_ones_make_room():
    failing = [asking.gate("Fail", metric=f"Failing{i}", against="Anchor") for i in range(8)]
    passing = [asking.gate("Pass", metric=f"Passing{i}") for i in range(24)]
    whole = asking.a_result("Fail", gates=[*passing, *failing], message="x" * 512)
    parsed = result.parse_termination_message(result.to_termination_message(whole), asking.NONCE)
    kept = {g.metric for g in parsed.gates}
    assert kept >= {f"Failing{i}" for i in range(8)}
    assert parsed.gates_omitted == 32 - len(parsed.gates) > 0


def test_of_passing_gates_the_nearest_to_its_limit_stays_longest():
    judged = [asking.gate(metric=f"Gate{i:02}", observed=i / 100, operation="o" * 100) for i in range(32)]
    parsed = result.parse_termination_message(
        result.to_termination_message(asking.a_result("Pass", gates=judged)), asking.NONCE
    )
    assert parsed.gates_omitted > 0
    assert {g.metric for g in parsed.gates} == {f"Gate{i:02}" for i in range(32 - len(parsed.gates), 32)}


def test_numbers_are_rounded_for_people_after_the_comparison():
    whole = asking.a_result("Fail", gates=[asking.gate("Fail", observed=1.0000004, limit=1.0)])
    parsed = result.parse_termination_message(result.to_termination_message(whole), asking.NONCE)
    assert (parsed.gates[0].observed, parsed.gates[0].verdict) == (1.0, "Fail")


def rejected(text: str, nonce: str = asking.NONCE) -> str:
    with pytest.raises(result.ResultInvalid) as caught:
        result.parse_termination_message(text, nonce)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert len(message) <= 512
    return message


@pytest.mark.parametrize("text", ["", " ", "\n\t\n"])
def test_nothing_is_no_result(text):
    assert rejected(text) == "the check left no result"


@pytest.mark.parametrize(
    "text", ["Killed", "{", "Traceback (most recent call last):", "\x00\x01", "\ud800", "[" * 2000, "NaN"]
)
def test_rubbish_is_no_result(text):
    assert "JSON" in rejected(text) or "schema" in rejected(text)


@pytest.mark.parametrize("text", ["[]", "null", "7", '"Pass"', "{}", '{"verdict":"Pass"}'])
def test_other_json_is_no_result(text):
    assert "does not follow the schema" in rejected(text)


@given(st.text(max_size=200))
def test_no_text_crashes_the_parser(text):
    rejected(text)


def test_an_old_nonce_is_no_result():
    text = result.to_termination_message(asking.a_result())
    assert result.parse_termination_message(text, asking.NONCE).verdict == "Pass"
    assert "another attempt" in rejected(text, "another-nonce-0123")


def test_too_much_is_no_result_even_when_it_is_valid():
    text = result.to_termination_message(asking.a_result())
    padded = text + " " * (3073 - len(text.encode()))
    assert "3073 bytes" in rejected(padded)
    assert result.parse_termination_message(padded[:-1], asking.NONCE).verdict == "Pass"


def test_two_results_are_no_result():
    text = result.to_termination_message(asking.a_result())
    assert "JSON" in rejected(text + "\n" + text)


BROKEN = {
    "Pass with a failing gate": asking.raw_result("Pass", gates=[asking.gate(), asking.gate("Fail")]),
    "Pass with no gate": asking.raw_result("Pass", gates=[]),
    "Pass with a gate without data": asking.raw_result("Pass", gates=[asking.gate(), asking.gate("NoData")]),
    "Fail without a failing gate": asking.raw_result("Fail", gates=[asking.gate()]),
    "Fail with no gate": asking.raw_result("Fail", gates=[]),
    "an unknown key": asking.raw_result(surprise=1),
    "a key by its Python name": {k: x for k, x in asking.raw_result().items() if k != "podUID"}
    | {"pod_uid": "u"},
    "no schema": {k: x for k, x in asking.raw_result().items() if k != "schema"},
    "another schema": asking.raw_result(schema="checks.modelrelease.dev/v2"),
    "no nonce": {k: x for k, x in asking.raw_result().items() if k != "nonce"},
    "no pod": {k: x for k, x in asking.raw_result().items() if k != "podUID"},
    "a sixth verdict": asking.raw_result(verdict="Passed"),
    "a number as text": asking.raw_result(gates=[asking.gate(observed="0.5")]),
    "true as a number": asking.raw_result(attempt=True),
    "a negative count": asking.raw_result(requests={"sent": -1, "failed": 0, "retried": 0}),
    "a line break in the message": asking.raw_result(message="two\nlines"),
    "too many gates": asking.raw_result(gates=[asking.gate()] * 33),
}


@pytest.mark.parametrize("name", BROKEN)
def test_models_and_schema_reject_the_same(name):
    raw = BROKEN[name]
    rejected(json.dumps(raw))
    assert not VALIDATOR.is_valid(raw)


@pytest.mark.parametrize("verdict", ["Pass", "Fail", "Inconclusive", "NoData", "Error"])
def test_models_and_schema_accept_the_same(verdict):
    raw = asking.raw_result(verdict)
    VALIDATOR.validate(raw)
    assert result.parse_termination_message(json.dumps(raw), asking.NONCE).verdict == verdict


@pytest.mark.parametrize(
    "lie",
    [
        asking.gate(observed=1.1),
        asking.gate(observed="NaN"),
        asking.gate(observed="-Infinity"),
        asking.gate(limit="Infinity"),
        asking.gate(samples=0),
        asking.gate(operator=">=", observed=0.9),
        asking.gate(operator="==", observed=0.9),
    ],
)
def test_a_gate_that_says_pass_and_is_not_met_is_no_result(lie):
    assert "gate" in rejected(json.dumps(asking.raw_result(gates=[lie])))


def test_the_schema_file_is_what_the_models_say():
    assert SCHEMA_FILE.read_text("utf-8") == entry.schema_text()
    jsonschema.Draft202012Validator.check_schema(json.loads(SCHEMA_FILE.read_text("utf-8")))


def payload(content: bytes = b"vectors") -> result.ReferencePayload:
    return result.ReferencePayload(digest=result.digest(content), safetensors="dmVjdG9ycw==")


def log_of(evidence: result.Evidence) -> str:
    return result.EVIDENCE_PREFIX + result.dump(evidence)


def test_evidence_is_the_last_such_line_of_a_log():
    older = log_of(result.Evidence(result=asking.a_result("Error")))
    line = log_of(result.Evidence(result=asking.a_result(), reference=payload()))
    found = result.parse_evidence(f"starting\n{older}\n{line}\r\n")
    assert found is not None
    assert found.result.verdict == "Pass"
    assert found.reference is not None
    assert found.reference.content() == b"vectors"


def test_evidence_of_another_result_is_not_believed():
    line = log_of(result.Evidence(result=asking.a_result()))
    digest = result.digest(line.removeprefix(result.EVIDENCE_PREFIX).encode())
    assert result.parse_evidence(line, expected_digest=digest) is not None
    assert result.parse_evidence(line, expected_digest=asking.DIGEST) is None


@pytest.mark.parametrize("log", ["", "no evidence", result.EVIDENCE_PREFIX, result.EVIDENCE_PREFIX + "{}"])
def test_a_log_without_evidence_gives_none(log):
    assert result.parse_evidence(log) is None


def test_a_reference_that_is_not_its_digest_is_not_believed():
    line = log_of(result.Evidence(result=asking.a_result(), reference=payload()))
    assert result.parse_evidence(line) is not None
    assert result.parse_evidence(line.replace("dmVjdG9ycw==", "VmVjdG9ycw==")) is None
    assert result.parse_evidence(line.replace("dmVjdG9ycw==", "!")) is None


def test_evidence_beyond_its_limit_is_not_believed():
    line = log_of(result.Evidence(result=asking.a_result()))
    room = result.EVIDENCE_LIMIT_BYTES - len(line) + len(result.EVIDENCE_PREFIX)
    assert result.parse_evidence(line + " " * room) is not None
    assert result.parse_evidence(line + " " * (room + 1)) is None


def test_the_result_contract_imports_nothing_heavy():
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, canary_checks.result; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"numpy", "httpx", "safetensors", "asyncio"} & set(loaded.stdout.split())
