"""Each check against a real HTTP server that serves a right or a broken model."""

import asyncio
import dataclasses
import json
import math
import pathlib
from typing import Any

import pytest

from canary_checks import request, result, runner, schema
from canary_checks import vocabulary as v
from canary_checks.clients import connect
from canary_checks.golden import pack, selection
from canary_checks.parity import comparison, reference
from canary_checks.probes import embedding_parity
from tests.unit.canary_checks import asking, toy_server

CONTRACT = {"dimensions": 24, "normalized": "Unit", "maxInputTokens": 256}
Whole = dict[str, Any]


async def outcome(toy: toy_server.ToyServer, kind: str, **changes: Any) -> runner.Outcome:
    return await runner.run(asking.ask(toy.url, kind, **changes))


async def verdict(toy: toy_server.ToyServer, kind: str, **changes: Any) -> schema.CheckResult:
    made = await outcome(toy, kind, **changes)
    # Whatever was found, it fits, it can be read back, and its evidence is recognised.
    text = result.to_termination_message(made.result)
    assert result.parse_termination_message(text, asking.NONCE).verdict == made.result.verdict
    summary = made.result.evidence
    assert summary is not None
    found = result.parse_evidence(result.EVIDENCE_PREFIX + made.evidence, expected_digest=summary.digest)
    assert found is not None
    assert found.result.verdict == made.result.verdict
    # The server saw exactly the requests that the result counts.
    assert made.result.requests.sent == len(toy.bodies)
    assert {h["x-modelrelease-probe"] for h in toy.headers} <= {"query-embedder-r9a1b4c-1"}
    return made.result


def failed(found: schema.CheckResult) -> set[str]:
    return {gate.metric for gate in found.gates if gate.verdict == "Fail"}


async def test_a_right_server_keeps_the_contract():
    with toy_server.serving() as toy:
        found = await verdict(toy, "Contract", contract=CONTRACT)
    assert (found.verdict, found.reason) == ("Pass", "ContractKept")
    assert {gate.metric for gate in found.gates} == {
        "WrongCountResponses",
        "OtherModelResponses",
        "Dimensions",
        "NonFiniteRows",
        "UnitNormDeviationWorst",
        "IndistinctPairs",
        "MisplacedRows",
        "UnreadEndings",
    }
    assert (found.pod_uid, found.shard, found.nonce) == ("0b1e2f3a-22", 0, asking.NONCE)


async def test_what_the_contract_does_not_state_is_not_judged():
    with toy_server.serving(model=toy_server.ToyModel(length=3.0, longest=10)) as toy:
        found = await verdict(toy, "Contract")
    assert found.verdict == "Pass"
    assert not {"UnitNormDeviationWorst", "UnreadEndings"} & {gate.metric for gate in found.gates}


def drop_last(texts: list[str], whole: Whole) -> Whole:
    return whole | {"data": whole["data"][: max(1, len(texts) - 1)]}


def turn(texts: list[str], whole: Whole) -> Whole:
    vectors = [entry["embedding"] for entry in whole["data"]]
    return whole | {"data": [e | {"embedding": x} for e, x in zip(whole["data"], vectors[::-1], strict=True)]}


def backwards(texts: list[str], whole: Whole) -> Whole:
    return whole | {"data": whole["data"][::-1]}


def collapse(texts: list[str], whole: Whole) -> Whole:
    return whole | {"data": [e | {"embedding": [1.0] + [0.0] * 23} for e in whole["data"]]}


def spoil(value: float) -> Any:
    def alter(texts: list[str], whole: Whole) -> Whole:
        for text, entry in zip(texts, whole["data"], strict=True):
            if text in {"why is the sky blue", "a small red house near the old bridge"}:
                entry["embedding"][3] = value
        return whole

    return alter


def refuse_beyond(words: int) -> Any:
    def alter(texts: list[str], whole: Whole) -> Whole | toy_server.Answer:
        if any(len(text.split()) > words for text in texts):
            return 400, b'{"error":"input is too long"}'
        return whole

    return alter


@pytest.mark.parametrize(
    ("settings", "metrics"),
    [
        ({"alter": drop_last}, {"WrongCountResponses"}),
        ({"served_name": "other"}, {"OtherModelResponses"}),
        ({"model": toy_server.ToyModel(dimensions=25)}, {"Dimensions"}),
        ({"model": toy_server.ToyModel(length=1.001)}, {"UnitNormDeviationWorst"}),
        ({"alter": spoil(math.nan)}, {"NonFiniteRows", "UnitNormDeviationWorst"}),
        ({"alter": spoil(math.inf)}, {"NonFiniteRows", "UnitNormDeviationWorst"}),
        ({"alter": collapse}, {"IndistinctPairs", "UnreadEndings"}),
        ({"alter": turn}, {"MisplacedRows"}),
        ({"model": toy_server.ToyModel(longest=60)}, {"UnreadEndings"}),
        ({"alter": refuse_beyond(60)}, {"UnreadEndings"}),
    ],
)
async def test_a_broken_contract_fails_on_its_own_gate(settings, metrics):
    with toy_server.serving(**settings) as toy:
        found = await verdict(toy, "Contract", contract=CONTRACT)
    assert (found.verdict, found.reason) == ("Fail", "ContractBroken")
    assert failed(found) >= metrics
    assert failed(found) == metrics


async def test_rows_in_another_order_but_with_their_index_are_no_fault():
    with toy_server.serving(alter=backwards) as toy:
        assert (await verdict(toy, "Contract", contract=CONTRACT)).verdict == "Pass"
        toy.bodies.clear()
        assert (await verdict(toy, "Repeatability")).verdict == "Pass"


@pytest.mark.parametrize("kind", ["Contract", "Repeatability", "EmbeddingParity"])
@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (lambda *_: (500, b"boom"), "EndpointError"),
        (lambda *_: (200, b"<html>"), "ResponseInvalid"),
        (lambda *_: (400, b"bad model"), "RequestRefused"),
    ],
)
async def test_a_server_that_cannot_be_asked_is_an_error(kind, alter, reason):
    with toy_server.serving(alter=alter) as toy:
        found = await verdict(toy, kind, record=kind == "EmbeddingParity")
    assert (found.verdict, found.reason, found.gates) == ("Error", reason, ())
    assert found.requests.failed == found.requests.sent >= 1


async def test_vectors_of_several_lengths_cannot_be_compared():
    def ragged(texts: list[str], whole: Whole) -> Whole:
        whole["data"][0]["embedding"] = [1.0]
        return whole

    with toy_server.serving(alter=ragged) as toy:
        found = await verdict(toy, "Repeatability")
    assert (found.verdict, found.reason) == ("Error", "ResponseInvalid")


async def test_a_server_that_hangs_ends_at_the_deadline():
    with toy_server.serving(hang=True) as toy:
        found = await verdict(toy, "Contract", deadlineSeconds=1)
    assert (found.verdict, found.reason) == ("Error", "DeadlineExceeded")
    assert found.requests.sent == 1


async def test_the_same_input_twice_is_the_same_output():
    with toy_server.serving() as toy:
        found = await verdict(toy, "Repeatability")
    assert (found.verdict, found.reason) == ("Pass", "Repeatable")
    assert {m.metric for m in found.measurements} == {
        "RepeatDistanceWorst",
        "BatchDistanceWorst",
        "OrderDistanceWorst",
    }
    assert {1, 8, 32} <= {len(body["input"]) for body in toy.bodies}


@pytest.mark.parametrize(
    ("wobble", "numeric_class", "expected"),
    [(1e-4, "fp32", "Fail"), (1e-4, "bf16", "Pass"), (0.3, "bf16", "Fail"), (0.3, "fp8", "Fail")],
)
async def test_outputs_that_wobble_fail_beyond_their_class(wobble, numeric_class, expected):
    with toy_server.serving(model=toy_server.ToyModel(wobble=wobble)) as toy:
        found = await verdict(toy, "Repeatability", numericClass=numeric_class)
    assert found.verdict == expected
    assert failed(found) == ({"RepeatDistanceWorst"} if expected == "Fail" else set())


async def test_a_row_that_depends_on_the_size_of_its_batch_fails():
    with toy_server.serving() as toy:
        toy.alter = lambda texts, whole: collapse(texts, whole) if len(texts) == 1 else whole
        found = await verdict(toy, "Repeatability")
    assert (found.verdict, found.reason) == ("Fail", "BatchDependent")
    assert failed(found) == {"BatchDistanceWorst"}
    (batch,) = [gate for gate in found.gates if gate.metric == "BatchDistanceWorst"]
    # Between the class's floor and its ceiling a row may depend on its batch.
    assert (batch.limit, batch.basis) == (4e-9, "ClassCeiling")


async def test_a_row_that_depends_on_its_neighbours_fails_in_a_large_batch():
    def mixed(texts: list[str], whole: Whole) -> Whole:
        if len(texts) == 32:
            first = whole["data"][0]["embedding"]
            for entry in whole["data"]:
                entry["embedding"] = [x + 0.1 * y for x, y in zip(entry["embedding"], first, strict=True)]
        return whole

    with toy_server.serving(alter=mixed) as toy:
        found = await verdict(toy, "Repeatability")
    assert (found.verdict, found.reason) == ("Fail", "BatchDependent")
    assert "batches of 1, 8 and 32" in found.message


async def test_a_server_that_takes_few_inputs_at_once_is_judged_by_smaller_batches():
    def few(texts: list[str], whole: Whole) -> Whole | tuple[int, bytes]:
        return (413, b"at most 16") if len(texts) > 16 else whole

    with toy_server.serving(alter=few) as toy:
        found = await verdict(toy, "Repeatability")
    assert found.verdict == "Pass"
    assert "1 and 8 (it refuses 32 at once)" in found.message


async def test_rows_that_follow_their_place_and_not_their_text_fail():
    def by_length(texts: list[str], whole: Whole) -> Whole:
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        vectors = [whole["data"][place]["embedding"] for place in order]
        for entry, vector in zip(whole["data"], vectors, strict=True):
            entry["embedding"] = vector
        return whole

    with toy_server.serving(alter=by_length) as toy:
        found = await verdict(toy, "Repeatability")
    assert found.verdict == "Fail"
    assert "OrderDistanceWorst" in failed(found)


@pytest.fixture(scope="module")
def recording() -> result.ReferencePayload:
    """Record the right model, once."""

    async def record() -> runner.Outcome:
        with toy_server.serving() as toy:
            return await outcome(toy, "EmbeddingParity", record=True)

    made = asyncio.run(record())
    assert (made.result.verdict, made.result.reason) == ("Pass", "Recorded")
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + made.evidence)
    assert evidence is not None
    assert evidence.reference is not None
    return evidence.reference


@pytest.fixture
def recorded(recording: result.ReferencePayload, tmp_path: pathlib.Path) -> dict[str, Any]:
    """Return how a request refers to what was recorded of the right model."""
    path = tmp_path / "stable.safetensors"
    path.write_bytes(recording.content())
    return {
        "role": "Stable",
        "revision": "r6f2c80",
        "path": str(path),
        "digest": recording.digest,
        "numericClass": "fp32",
    }


async def compare(recorded: dict[str, Any], settings: dict[str, Any], **changes: Any) -> schema.CheckResult:
    with toy_server.serving(**settings) as toy:
        return await verdict(toy, "EmbeddingParity", references=[recorded], **changes)


async def test_the_same_model_passes_against_its_recording(recorded):
    found = await compare(recorded, {})
    assert (found.verdict, found.reason, found.diagnosis) == ("Pass", "Parity", None)
    assert {(g.metric, g.against) for g in found.gates} == {
        ("NonFiniteRows", "Absolute"),
        ("CosineDistanceWorst", "Stable"),
        ("NormDeviationWorst", "Stable"),
    }
    assert found.references[0].revision == "r6f2c80"
    assert found.references[0].digest == recorded["digest"]


@pytest.mark.parametrize(
    ("model", "cause", "confidence", "left"),
    [
        ({"lower": False}, "Casing", "Proven", set()),
        ({"lower": False, "strip": False}, "Casing", "Proven", set()),
        ({"longest": 62}, "Truncation", "Proven", set()),
        ({"longest": 100}, "Truncation", "Likely", set()),
        ({"longest": 300}, "Truncation", "Likely", set()),
        ({"strip": False}, "Accents", "Proven", set()),
        ({"seed": "other"}, "Unknown", "Unknown", {"Weights", "Vocabulary"}),
        ({"length": 2.0}, "Scale", "Proven", set()),
        ({"wobble": 0.01}, "Nondeterminism", "Likely", set()),
    ],
)
async def test_parity_fails_and_says_why(recorded, model, cause, confidence, left):
    found = await compare(recorded, {"model": toy_server.ToyModel(**model)})
    assert (found.verdict, found.reason) == ("Fail", "ParityBroken")
    assert found.diagnosis is not None
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (cause, confidence)
    assert set(found.diagnosis.left) >= left
    assert not left or len(found.diagnosis.left) <= len(left) + 4
    assert cause in found.message or "left: " in found.message


async def test_casing_names_the_strata_that_moved(recorded):
    found = await compare(recorded, {"model": toy_server.ToyModel(lower=False, strip=False)})
    assert "cased 13/13" in found.message
    moved = {s.name: (s.failed, s.items) for s in found.strata}
    assert moved["cased"] == (13, 13)
    assert moved["accented-lower"] == (6, 6)
    assert moved["plain"] == (0, 22)
    assert moved["long"] == (0, 18)


async def test_a_failure_stands_when_the_server_dies_before_the_second_look(recorded):
    with toy_server.serving(model=toy_server.ToyModel(lower=False)) as toy:
        toy.alter = lambda _, whole: whole if len(toy.bodies) <= 1 + 18 else (500, b"")
        found = await verdict(toy, "EmbeddingParity", references=[recorded])
    assert (found.verdict, found.requests.failed) == ("Fail", 1)
    assert found.diagnosis is not None
    # The answers at hand prove it: every moved text has its lowercase twin in the set.
    assert (found.diagnosis.cause, found.diagnosis.confidence) == ("Casing", "Proven")


async def test_what_does_not_pass_is_not_recorded(recorded):
    with toy_server.serving(model=toy_server.ToyModel(lower=False)) as toy:
        made = await outcome(toy, "EmbeddingParity", references=[recorded], record=True)
    assert made.result.verdict == "Fail"
    assert json.loads(made.evidence).get("reference") is None


async def test_a_promoted_run_leaves_a_reference_that_its_own_server_passes(recorded, tmp_path):
    with toy_server.serving() as toy:
        made = await outcome(toy, "EmbeddingParity", references=[recorded], record=True)
        evidence = result.parse_evidence(result.EVIDENCE_PREFIX + made.evidence)
        assert made.result.verdict == "Pass"
        assert evidence is not None
        assert evidence.reference is not None
        path = tmp_path / "next.safetensors"
        path.write_bytes(evidence.reference.content())
        again = recorded | {"path": str(path), "digest": evidence.reference.digest}
        assert (await outcome(toy, "EmbeddingParity", references=[again])).result.verdict == "Pass"


async def test_one_spoiled_row_fails(recorded):
    found = await compare(recorded, {"alter": spoil(0.001)})
    assert found.verdict == "Fail"
    assert sum(s.failed for s in found.strata) == 2
    assert {w.item for w in found.worst} == {"p-002", "p-016"}


@pytest.mark.parametrize("value", [math.nan, math.inf])
async def test_a_row_that_is_no_number_fails(recorded, value):
    found = await compare(recorded, {"alter": spoil(value)}, numericClass="fp8")
    assert found.verdict == "Fail"
    assert "NonFiniteRows" in failed(found)


async def test_both_references_must_pass(recorded, tmp_path):
    other = toy_server.ToyModel(seed="older")
    with toy_server.serving(model=other) as toy:
        made = await outcome(toy, "EmbeddingParity", record=True)
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + made.evidence)
    assert evidence is not None
    assert evidence.reference is not None
    path = tmp_path / "anchor.safetensors"
    path.write_bytes(evidence.reference.content())
    anchor = recorded | {"role": "Anchor", "path": str(path), "digest": evidence.reference.digest}
    with toy_server.serving() as toy:
        found = await verdict(toy, "EmbeddingParity", references=[recorded, anchor])
    assert {(g.metric, g.against) for g in found.gates if g.verdict == "Fail"} == {
        ("CosineDistanceWorst", "Anchor")
    }
    assert found.verdict == "Fail"


async def test_a_reference_of_a_worse_class_loosens_its_own_gate_only(recorded):
    found = await compare(recorded | {"numericClass": "bf16"}, {})
    limits = {g.metric: g.limit for g in found.gates if g.against == "Stable"}
    assert limits == {"CosineDistanceWorst": 5e-4, "NormDeviationWorst": 1e-2}


async def test_a_declared_limit_replaces_the_class(recorded):
    gates = [{"metric": "CosineDistanceWorst", "max": "2"}]
    found = await compare(recorded, {"model": toy_server.ToyModel(seed="other")}, gates=gates)
    assert found.verdict == "Pass"
    assert [g.basis for g in found.gates if g.metric == "CosineDistanceWorst"] == ["Declared"]


async def test_a_limit_that_the_check_does_not_know_is_a_bad_request(recorded):
    with toy_server.serving() as toy:
        made = await outcome(toy, "Contract", gates=[{"metric": "CosineDistanceWorst", "max": "2"}])
    assert (made.result.verdict, made.result.reason, made.exit_code) == ("Error", "InvalidRequest", 2)
    assert toy.bodies == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"digest": asking.DIGEST}, "ReferenceMismatch"),
        ({"path": "/nowhere/stable.safetensors"}, "ReferenceMissing"),
    ],
)
async def test_a_reference_that_is_not_the_one_is_an_error_before_any_request(recorded, change, reason):
    with toy_server.serving() as toy:
        found = await verdict(toy, "EmbeddingParity", references=[recorded | change])
    assert (found.verdict, found.reason, len(toy.bodies)) == ("Error", reason, 0)


async def test_vectors_with_other_dimensions_than_the_reference_fail(recorded):
    found = await compare(recorded, {"model": toy_server.ToyModel(dimensions=25)})
    assert (found.verdict, found.reason) == ("Fail", "ParityBroken")
    assert failed(found) == {"Dimensions"}


async def test_without_a_reference_there_is_nothing_to_pass():
    with toy_server.serving() as toy:
        found = await verdict(toy, "EmbeddingParity")
    assert (found.verdict, found.reason, len(toy.bodies)) == ("NoData", "ReferenceMissing", 0)


async def test_outputs_that_are_no_numbers_are_not_recorded():
    with toy_server.serving(alter=spoil(math.nan)) as toy:
        made = await outcome(toy, "EmbeddingParity", record=True)
    assert made.result.verdict == "Fail"
    assert json.loads(made.evidence).get("reference") is None


async def test_outputs_that_depend_on_the_batch_are_not_recorded():
    with toy_server.serving() as toy:
        toy.alter = lambda texts, whole: collapse(texts, whole) if len(texts) == 1 else whole
        made = await outcome(toy, "EmbeddingParity", record=True)
    assert made.result.verdict == "Fail"
    assert failed(made.result) == {"BatchDistanceWorst"}
    assert json.loads(made.evidence).get("reference") is None


async def test_a_recording_too_large_for_the_log_is_left_out_and_said_so(monkeypatch):
    # A twelfth of the limit, so that vectors of a usual size are too large for it.
    monkeypatch.setattr(result, "EVIDENCE_LIMIT_BYTES", 1 << 19)
    with toy_server.serving(model=toy_server.ToyModel(dimensions=1024)) as toy:
        made = await outcome(toy, "EmbeddingParity", record=True)
    assert made.result.verdict == "Pass"
    assert made.result.evidence is not None
    assert made.result.evidence.truncated
    assert len(made.evidence.encode()) <= result.EVIDENCE_LIMIT_BYTES
    assert json.loads(made.evidence).get("reference") is None


async def test_long_items_that_both_sides_refuse_are_left_out(tmp_path):
    with toy_server.serving(alter=refuse_beyond(200)) as toy:
        made = await outcome(toy, "EmbeddingParity", record=True)
        evidence = result.parse_evidence(result.EVIDENCE_PREFIX + made.evidence)
        assert evidence is not None
        assert evidence.reference is not None
        path = tmp_path / "r"
        path.write_bytes(evidence.reference.content())
        assert reference.decode(path.read_bytes()).recordings["embed"].refused.sum() == 7
        source = {
            "role": "Stable",
            "revision": "r1",
            "path": str(path),
            "digest": evidence.reference.digest,
            "numericClass": "fp32",
        }
        toy.bodies.clear()
        same = await verdict(toy, "EmbeddingParity", references=[source])
        toy.bodies.clear()
        toy.alter = refuse_beyond(100)
        shorter = await verdict(toy, "EmbeddingParity", references=[source])
    assert same.verdict == "Pass"
    assert {g.samples for g in same.gates if g.metric == "CosineDistanceWorst"} == {137}
    assert shorter.verdict == "Fail"
    assert failed(shorter) == {"RefusedByOneSide"}
    assert shorter.diagnosis is not None
    assert (shorter.diagnosis.cause, shorter.diagnosis.confidence) == ("InputLimit", "Likely")


async def test_too_few_items_are_no_data_and_no_pass():
    whole = selection.select(pack.builtin("TextV1"), v.Modality.TEXT)
    few = dataclasses.replace(whole, items=whole.items[:20])
    with toy_server.serving() as toy:
        asked = asking.ask(toy.url, "EmbeddingParity", record=True)
        async with connect.connect(asked.operations[0], url=toy.url, run="r") as client:
            first = await embedding_parity.probe(client, asked, few, ())
            assert first.recorded is not None
            party = schema.Party(role=v.Role.RECORDED, revision="r1")
            opponent = comparison.Opponent(party, "Recorded", v.NumericClass.FP32, first.recorded)
            found = await embedding_parity.probe(client, asked, few, [opponent])
    assert (found.verdict, found.reason) == ("NoData", "TooFewItems")


async def test_a_short_item_that_is_refused_is_an_error():
    def refuse(texts: list[str], whole: Whole) -> Whole | toy_server.Answer:
        return (400, b"no") if "how to change a flat tyre" in texts else whole

    with toy_server.serving(alter=refuse) as toy:
        found = await verdict(toy, "EmbeddingParity", record=True)
    assert (found.verdict, found.reason) == ("Error", "RequestRefused")


async def test_what_breaks_inside_a_check_is_an_error_and_no_traceback():
    golden = pack.builtin("TextV1")
    broken = comparison.Opponent(party=None, role="Stable", numeric_class=None, recorded=None)  # type: ignore[arg-type]
    with toy_server.serving() as toy:
        made = await runner.run(asking.ask(toy.url, "EmbeddingParity"), [broken])
    assert (made.result.verdict, made.result.reason) == ("Error", "InternalError")
    assert "\n" not in made.result.message
    assert made.result.golden_set is not None
    assert made.result.golden_set.items == len(golden.items)


def test_a_request_with_what_no_check_reads_is_refused():
    for change in ({"surprise": 1}, {"shard": -1}, {"gates": [{"metric": "CosineDistanceWorst"}]}):
        with pytest.raises(ValueError, match="validation error"):
            asking.ask("http://127.0.0.1:1", **change)
    with pytest.raises(ValueError, match="validation error"):
        asking.ask("ftp://127.0.0.1")
    assert isinstance(asking.ask("http://127.0.0.1:1/"), request.CheckRequest)
    assert (
        asking.ask("http://127.0.0.1:1").operations[0].endpoint("http://127.0.0.1:1/")
        == "http://127.0.0.1:1/v1/embeddings"
    )
