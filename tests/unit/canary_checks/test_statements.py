"""What a process tells of itself in the contract check: token ids, named fields, the schema of its API."""

import dataclasses

import numpy as np
import pytest

from canary_checks import operation, vocabulary
from canary_checks.clients import connect
from canary_checks.contracts import stated
from canary_checks.golden import pack, selection
from canary_checks.parity import reference
from canary_checks.probes import contract, statements
from canary_checks.trace import client as tracing
from tests.unit.canary_checks import asking, sample_servers

TEXTS = selection.select(pack.builtin("TextV1"), vocabulary.Modality.TEXT)


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracing.TOKEN_VARIABLE, sample_servers.TOKEN)


def recorded(**settings: object) -> reference.Recording:
    """Record the token ids that the sample server makes of the golden texts."""
    model = sample_servers.SERVER.Model(sample_servers.SERVER.Settings(**settings))
    return reference.Recording(
        items=TEXTS.ids,
        outputs=np.zeros((len(TEXTS.ids), 64), dtype=np.float32),
        refused=np.zeros(len(TEXTS.ids), dtype=np.bool_),
        tokens=tuple(np.array(model.tokens(item.text), dtype=np.int32) for item in TEXTS.items),
    )


async def check(url: str, context: statements.Context, *, probe: bool = True):
    asked = asking.ask(url, "Contract", operations=[{"name": "embed", "protocol": "OpenAIEmbeddings"}])
    one = operation.Operation(name="embed", protocol=vocabulary.Protocol.OPENAI_EMBEDDINGS)
    client = connect.connect(one, url=url, run="test")
    tracer = tracing.TraceClient(url=url, token=sample_servers.TOKEN, run="test")
    async with client, tracer:
        given = dataclasses.replace(context, probe=tracer) if probe else context
        return await contract.probe(client, asked, TEXTS, given)


def gate_of(found, metric: str):
    return next((gate for gate in found.gates if gate.metric == metric), None)


async def test_the_ids_of_the_served_process_are_the_recorded_ones() -> None:
    with sample_servers.sample_server() as url:
        found = await check(url, statements.Context(recorded={"Stable": recorded()}))
    assert found.verdict == "Pass"
    gate = gate_of(found, statements.TOKEN_DIFFERENCES)
    assert (gate.verdict, gate.against, gate.basis) == ("Pass", "Stable", "Exact")
    assert gate.samples == len(TEXTS.ids)


@pytest.mark.parametrize(
    ("fault", "cause", "confidence"),
    [
        # The reference lowercases and the candidate no longer does: the candidate can be asked.
        ({"lowercase": False}, "Casing", "Proven"),
        ({"max_length": 16}, "Truncation", "Proven"),
        # The reference cannot be asked; long texts lose as much at their end as the prefix adds.
        ({"prompt": "query: "}, "PromptPrefix", "Likely"),
    ],
)
async def test_other_ids_fail_and_name_their_cause(fault, cause, confidence) -> None:
    with sample_servers.sample_server(**fault) as url:
        found = await check(url, statements.Context(recorded={"Anchor": recorded()}))
    assert (found.verdict, found.reason) == ("Fail", "ContractBroken")
    assert "other token ids than recorded" in found.message
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (cause, confidence)


async def test_a_cause_that_the_candidate_brings_is_told_by_golden_twins() -> None:
    with sample_servers.sample_server() as url:
        found = await check(url, statements.Context(recorded={"Stable": recorded(lowercase=False)}))
    assert found.verdict == "Fail"
    assert found.diagnosis.cause == "Casing"
    assert found.diagnosis.confidence in {"Likely", "Proven"}


async def test_a_server_that_does_not_tell_its_ids_has_no_gate_for_them() -> None:
    with sample_servers.sample_server() as url:
        found = await check(url, statements.Context(recorded={"Stable": recorded()}), probe=False)
    assert found.verdict == "Pass"
    assert gate_of(found, statements.TOKEN_DIFFERENCES) is None


async def test_what_the_manifest_pins_must_be_told_and_so() -> None:
    with sample_servers.sample_server() as url:
        kept = await check(url, statements.Context(pins=statements.Pins(preprocessing={"lowercase": True})))
        broken = await check(
            url, statements.Context(pins=statements.Pins(preprocessing={"lowercase": False}))
        )
        silent = await check(url, statements.Context(pins=statements.Pins(preprocessing={"dropout": 0})))
    assert (kept.verdict, gate_of(kept, "PreprocessingChanges").verdict) == ("Pass", "Pass")
    assert (broken.verdict, broken.reason) == ("Fail", "ContractBroken")
    assert "the preprocessing: not as pinned: lowercase false → true" in broken.message
    assert (silent.verdict, silent.reason) == ("NoData", "NothingMeasured")
    assert "pinned and not told: dropout" in silent.message


async def test_what_changed_and_is_not_pinned_is_told_with_the_verdict() -> None:
    before = stated.Statements(
        preprocessing={"lowercase": False}, environment={"packages.numpy": "1.0"}, files={"a": "0"}
    )
    context = statements.Context(
        recorded={"Stable": dataclasses.replace(recorded(), told=before)},
        pins=statements.Pins(expected=frozenset({"packages.numpy"})),
        files={"a": "1"},
    )
    with sample_servers.sample_server() as url:
        found = await check(url, context)
    assert found.verdict == "Pass"
    assert "changed: " in found.message
    assert "changed as expected: packages.numpy 1.0 → " in found.message
    (told,) = [m for m in found.measurements if m.metric == "PreprocessingReportedChanges"]
    assert told.max >= 1
    judged, sentences, _ = statements.judge(
        stated.Statements(files={"a": "1"}), before, statements.Pins(files={"a": "0"})
    )
    assert [gate.verdict for gate in judged] == ["Fail"]
    assert sentences == ["files: not as pinned: a 0 → 1"]


def test_what_is_broken_is_not_hidden_by_what_is_not_told() -> None:
    pins = statements.Pins(preprocessing={"lowercase": True, "dropout": 0})
    (gate,), (sentence,), _ = statements.judge(
        stated.Statements(preprocessing={"lowercase": False}), None, pins
    )
    assert gate.verdict == "Fail"
    assert (
        sentence == "the preprocessing: not as pinned: lowercase true → false; pinned and not told: dropout"
    )


def test_what_files_say_breaks_a_pin_and_keeps_none() -> None:
    said = stated.Statements(preprocessing={"lowercase": True}, artifact_only=True)
    for pinned, verdict in ((True, "NoData"), (False, "Fail")):
        (gate,), _, _ = statements.judge(said, None, statements.Pins(preprocessing={"lowercase": pinned}))
        assert gate.verdict == verdict
