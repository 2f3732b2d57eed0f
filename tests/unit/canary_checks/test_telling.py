"""The probe endpoint in a check: what is recorded of one release is what the next one is compared with."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import fastapi
import pytest
from fastapi import routing
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import probe_router, request, result, runner, schema
from canary_checks import vocabulary as v
from canary_checks.cli import app as cli
from canary_checks.contracts import fields, process, stated
from canary_checks.parity import comparison, reference
from canary_checks.probes import pictures, statements
from canary_checks.trace import client as tracing
from canary_checks.trace import values
from tests.unit.canary_checks import asking, golden_sets, sample_servers

VARIABLE = "A_VARIABLE_OF_TESTS"
BUILTIN = {"Text": "TextV1", "Image": "ImageV1"}


@pytest.fixture(scope="module", autouse=True)
def token() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        # The sample server reads the one, a check the other.
        patch.setenv(tracing.TOKEN_VARIABLE, sample_servers.TOKEN)
        patch.setenv(VARIABLE, sample_servers.TOKEN)
        yield


def question(url: str, kind: str, modality: str, **more: Any) -> request.CheckRequest:
    said = {
        "operations": [{"name": "embed", "protocol": "OpenAIEmbeddings", "modality": modality}],
        "goldenSet": {"builtin": BUILTIN[modality]},
        "probe": {"url": url, "tokenVariable": VARIABLE},
        # A share of the items is enough here.
        "shard": 1,
        "shards": 6,
    }
    return asking.ask(url, kind, **(said | more))


def record(url: str, modality: str, **more: Any) -> comparison.Known:
    outcome = asyncio.run(runner.run(question(url, "EmbeddingParity", modality, record=True, **more)))
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
    assert evidence is not None
    assert evidence.reference is not None, outcome.result.message
    made = reference.decode(evidence.reference.content())
    return comparison.Known(v.Role.STABLE, "r0", v.NumericClass.FP32, made)


@pytest.fixture(scope="module")
def stable(token: None) -> dict[str, comparison.Known]:
    """What the release before this one left."""
    with sample_servers.sample_server() as url:
        return {modality: record(url, modality) for modality in BUILTIN}


def check(
    known: comparison.Known | None, modality: str, pins: Any = None, **server: Any
) -> schema.CheckResult:
    with sample_servers.sample_server(**server) as url:
        asked = question(url, "Contract", modality, contract={"preprocess": pins} if pins else {})
        return asyncio.run(runner.run(asked, [known] if known is not None else [])).result


def metrics(found: schema.CheckResult) -> dict[str, str]:
    return {gate.metric: gate.verdict.value for gate in found.gates}


def test_a_recording_holds_what_the_server_told(stable) -> None:
    text, image = (stable[kind].reference.recordings["embed"] for kind in ("Text", "Image"))
    assert text.tokens is not None
    assert image.tokens is None
    for made in (text, image):
        assert made.told.preprocessing["channelOrder"] == "RGB"
        assert "packages.numpy" in made.told.environment
    assert not text.told.pictures
    assert 8 < len(image.told.pictures) < 50
    assert {len(one.mean) for one in image.told.pictures.values()} == {3}


@pytest.mark.parametrize("modality", ["Text", "Image"])
def test_the_same_server_again_passes(stable, modality) -> None:
    found = check(stable[modality], modality)
    assert found.verdict == "Pass", found.message
    exact = {"Text": "TokenDifferingItems", "Image": "PixelDifferingItems"}[modality]
    assert metrics(found).items() >= {exact: "Pass", "PreprocessingChanges": "Pass"}.items()


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"channel_order": "BGR"}, "ChannelOrder"),
        ({"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}, "MeanStd"),
        ({"rescale": 1 / 127.5}, "ValueScale"),
    ],
)
def test_other_pixels_that_are_too_far_fail_and_name_a_likely_cause(stable, fault, cause) -> None:
    found = check(stable["Image"], "Image", **fault)
    assert (found.verdict, metrics(found).get("PixelMeanAbsoluteError")) == ("Fail", "Fail"), found.message
    assert "other pixels than Stable in" in found.message
    assert "the preprocessing: changed: " in found.message
    assert (found.diagnosis.cause, found.diagnosis.confidence) == (cause, "Likely")


@pytest.mark.parametrize(
    ("shape", "cause"), [((96, 96, 3), "AxisLayout"), ((3, 112, 112), None)], ids=["turned", "larger"]
)
def test_tensors_of_another_shape_fail(shape, cause) -> None:
    known = stated.picture(values.Tensor((3, 96, 96), "0" * 64, mean=(0.1, 0.2, 0.3)))
    told = stated.picture(values.Tensor(shape, "1" * 64, mean=(0.1, 0.2, 0.3)))
    before, after = (stated.Statements(pictures={"i-001": one}) for one in (known, told))
    ((gate, sentence, blamed),) = pictures.judge(after, before, "Anchor")
    assert (gate.verdict, gate.against, blamed and blamed.cause) == ("Fail", "Anchor", cause)
    assert f"other pixels than Anchor in 1 of 1 images (i-001): shape {shape}" in sentence


def test_without_means_other_pixels_are_told_and_nothing_is_claimed() -> None:
    known, told = (stated.picture(values.Tensor((96, 96, 3), digit * 64)) for digit in "01")
    before, after = (stated.Statements(pictures={"i-001": one}) for one in (known, told))
    ((gate, sentence, _),) = pictures.judge(after, before, "Stable")
    assert (gate, sentence) == (None, "other pixels than Stable in 1 of 1 images (i-001)")


def test_another_resize_filter_is_told_by_name_and_judged_by_parity(stable) -> None:
    found = check(stable["Image"], "Image", interpolation="bilinear")
    assert found.verdict == "Pass", found.message
    assert "the preprocessing: changed: resizeFilter bicubic → bilinear" in found.message
    assert "other pixels than Stable in" in found.message
    assert "PixelDifferingItems" not in metrics(found)


@pytest.mark.parametrize(
    ("modality", "server", "pins", "says"),
    [
        (
            "Image",
            {"interpolation": "bilinear"},
            {"resizeFilter": "bicubic"},
            "resizeFilter bicubic → bilinear",
        ),
        ("Image", {"channel_order": "BGR"}, {"channelOrder": "RGB"}, "channelOrder RGB → BGR"),
        ("Image", {}, {"mean": ["0.5", "0.5", "0.5"]}, "mean [0.5, 0.5, 0.5] → [0.48145466, 0.4578275"),
        ("Text", {"lowercase": False}, {"lowercase": True}, "lowercase true → false"),
        ("Text", {"max_length": 32}, {"maxLength": 64}, "maxLength 64 → 32"),
    ],
)
def test_what_is_not_as_pinned_fails_and_is_named_without_any_reference(modality, server, pins, says) -> None:
    found = check(None, modality, pins, **server)
    assert (found.verdict, found.reason) == ("Fail", "ContractBroken")
    assert metrics(found)["PreprocessingChanges"] == "Fail"
    assert found.message.startswith(f"the preprocessing: not as pinned: {says}")


def test_what_is_as_pinned_passes_in_the_spelling_of_a_manifest() -> None:
    pins = {
        "imageSize": "110",
        "crop": "center",
        "valueScale": "0.00392156862745098",
        "mean": ["0.48145466", "0.4578275", "0.40821073"],
        "antialias": True,
        "dtype": "float32",
    }
    found = check(None, "Text", pins)
    assert (found.verdict, metrics(found)["PreprocessingChanges"]) == ("Pass", "Pass"), found.message


def test_a_pin_that_nobody_tells_is_no_data() -> None:
    found = check(None, "Text", {"dropout": "0"})
    assert (found.verdict, found.reason) == ("NoData", "NothingMeasured")
    assert "pinned and not told: dropout" in found.message


@pytest.mark.parametrize(
    ("modality", "server", "pins", "gate"),
    [
        ("Text", {"lowercase": False}, {"lowercase": False}, "TokenDifferingItems"),
        ("Image", {"channel_order": "BGR"}, {"channelOrder": "BGR"}, "PixelMeanAbsoluteError"),
    ],
)
def test_a_change_that_the_manifest_states_is_expected_with_all_that_follows_from_it(
    stable, modality, server, pins, gate
) -> None:
    undeclared = check(stable[modality], modality, **server)
    assert metrics(undeclared)[gate] == "Fail"
    stated = check(stable[modality], modality, pins, **server)
    (name,) = pins
    assert (stated.verdict, gate in metrics(stated)) == ("Pass", False), stated.message
    assert f"changed as expected: {name}" in stated.message
    assert f", as {name} is stated anew" in stated.message


def test_a_statement_that_did_not_change_excuses_nothing(stable) -> None:
    found = check(stable["Text"], "Text", {"lowercase": True}, max_length=16)
    assert metrics(found)["TokenDifferingItems"] == "Fail"


def test_another_library_is_told_and_fails_only_where_it_is_pinned(stable, monkeypatch) -> None:
    other = {**probe_router.packages(), "tokenizers": "9.9.9"}
    monkeypatch.setattr(probe_router, "packages", lambda: other)
    told = check(stable["Text"], "Text")
    assert told.verdict == "Pass"
    assert "the environment: changed: packages.tokenizers" in told.message
    (reported,) = [m for m in told.measurements if m.metric == "EnvironmentReportedChanges"]
    assert reported.max == 1.0
    with sample_servers.sample_server() as url:
        contract = {"environment": {"packages.tokenizers": "0.21.0"}}
        pinned = asyncio.run(runner.run(question(url, "Contract", "Text", contract=contract), [])).result
    assert (pinned.verdict, metrics(pinned)["EnvironmentChanges"]) == ("Fail", "Fail")
    assert "the environment: not as pinned: packages.tokenizers 0.21.0 → 9.9.9" in pinned.message


def test_nothing_is_asked_and_nothing_claimed_where_no_endpoint_is_declared(stable) -> None:
    with sample_servers.sample_server() as url:
        asked = question(url, "Contract", "Text", probe=None)
        found = asyncio.run(runner.run(asked, [stable["Text"]])).result
        made = record(url, "Text", probe=None).reference.recordings["embed"]
    assert found.verdict == "Pass"
    assert not {"PreprocessingChanges", "EnvironmentChanges", "TokenDifferingItems"} & set(metrics(found))
    assert (made.tokens, made.told.preprocessing, made.told.environment) == (None, {}, {})


# --- Endpoints that do not answer as they should -----------------------------------------------------------


def app(info: Any) -> fastapi.FastAPI:
    """The sample server with another answer to the one question."""
    made = sample_servers.SERVER.create_app(sample_servers.SERVER.Settings())
    made.router.routes.insert(0, routing.APIRoute("/probe/v1/info", info, methods=["GET"]))
    return made


def answer(content: str | bytes, status: int = 200, **headers: str) -> Any:
    return lambda: fastapi.Response(content, status, headers=headers)


INFO = {"schema": "probe.modelrelease.dev/v1", "stages": []}
BROKEN = {
    "401": (answer("who are you", 401), "ProbeUnavailable", "answers 401: it refuses the token"),
    "403": (answer("", 403), "ProbeUnavailable", "answers 403: it refuses the token"),
    "404": (answer("", 404), "ProbeUnavailable", "the server has no probe endpoint, or"),
    "500": (answer("oh", 500), "EndpointError", "answered 500: oh"),
    "redirect": (answer("", 302, location="http://example.test/"), "EndpointError", "answered 302"),
    "html": (answer("<html>"), "ResponseInvalid", "is not JSON"),
    "nan": (answer('{"schema": NaN}'), "ResponseInvalid", "is not JSON"),
    "list": (answer("[]"), "ResponseInvalid", "is no JSON object"),
    "deep": (answer("[" * 100_000), "ResponseInvalid", "is not JSON"),
    "huge": (answer(b" " * (5 << 20)), "ResponseInvalid", "answers more than 4 MiB"),
    "other schema": (
        answer(json.dumps(INFO | {"schema": "probe.modelrelease.dev/v2"})),
        "ResponseInvalid",
        "is no probe.modelrelease.dev/v1: schema",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_endpoint_that_is_declared_and_does_not_answer_is_an_error(name) -> None:
    info, reason, says = BROKEN[name]
    with sample_servers.serving(app(info)) as url:
        found = asyncio.run(runner.run(question(url, "Contract", "Text"), [])).result
    assert (found.verdict, found.reason, found.gates) == ("Error", reason, ())
    assert says in found.message
    assert found.requests.failed == 1


def test_an_endpoint_that_is_not_there_is_an_error_for_contract_and_recording() -> None:
    closed = {"url": "http://127.0.0.1:9", "tokenVariable": VARIABLE}
    with sample_servers.sample_server() as url:
        for kind in ("Contract", "EmbeddingParity"):
            asked = question(url, kind, "Text", probe=closed, record=kind == "EmbeddingParity")
            found = asyncio.run(runner.run(asked, [])).result
            assert (found.verdict, found.reason) == ("Error", "EndpointUnreachable")
            assert "http://127.0.0.1:9/probe/v1/info could not be connected to" in found.message


@pytest.mark.parametrize("value", [None, "", "two\nlines"])
def test_without_a_token_the_secret_is_named(monkeypatch, value) -> None:
    if value is None:
        monkeypatch.delenv(VARIABLE)
    else:
        monkeypatch.setenv(VARIABLE, value)
    with sample_servers.sample_server() as url:
        found = asyncio.run(runner.run(question(url, "Contract", "Text"), [])).result
    assert (found.verdict, found.reason, found.requests.sent) == ("Error", "ProbeTokenMissing", 0)
    assert VARIABLE in found.message
    assert sample_servers.TOKEN not in found.message


def test_what_is_broken_is_said_though_the_endpoint_does_not_answer() -> None:
    with sample_servers.serving(app(answer("<html>"))) as url:
        asked = question(url, "Contract", "Text", contract={"dimensions": 65})
        found = asyncio.run(runner.run(asked, [])).result
    assert (found.verdict, metrics(found)["Dimensions"]) == ("Fail", "Fail")
    assert "is not JSON" in found.message


def test_what_files_say_is_recorded_as_nothing_and_keeps_no_pin() -> None:
    said = INFO | {"source": "Artifact", "preprocess": {"contract": {"lowercase": True}}, "packages": {}}
    with sample_servers.serving(app(answer(json.dumps(said)))) as url:
        contract = {"preprocess": {"lowercase": True}}
        found = asyncio.run(runner.run(question(url, "Contract", "Text", contract=contract), [])).result
        made = record(url, "Text").reference.recordings["embed"]
    assert found.verdict == "NoData"
    assert "told by the model's files, and not by the served process" in found.message
    assert made.told.preprocessing == {}


# --- The command line --------------------------------------------------------------------------------------


def test_two_releases_are_compared_without_a_cluster(tmp_path, capsys) -> None:
    said = [
        "the red cat is in the blue photo of a dog",
        "A Dog to the Cat",
        "blue",
        "of the photo, and so on",
    ]
    items = tuple(golden_sets.text(number, text) for number, text in enumerate(said, 1))
    golden = str(golden_sets.written(tmp_path / "set", items, ()))
    folder = tmp_path / "references"
    with sample_servers.sample_server() as url:
        probe = ["--probe-url", url, "--probe-token-env", VARIABLE]
        recording = ["golden", "record", golden, "--url", url, *probe, "--out", str(folder)]
        assert cli.main([*recording, "--space", "sample"]) == 0
    (file,) = folder.rglob("*.safetensors")
    pins = tmp_path / "contract.yaml"
    pins.write_text("preprocess: {lowercase: true, promptTemplate: ''}\n", encoding="utf-8")
    with sample_servers.sample_server(max_length=6) as url:
        probe = ["--probe-url", url, "--probe-token-env", VARIABLE]
        asked = ["check", "contract", "--candidate", url, "--golden-set", golden, "--reference", str(file)]
        capsys.readouterr()
        assert cli.main([*asked, *probe, "--contract", str(pins), "--output", "json"]) == 1
        told = capsys.readouterr().out
        assert "changed: maxLength 64 → 6" in told
        assert "other token ids than recorded" in told
        assert cli.main([*asked, *probe, "--probe-token-env", "NO_SUCH_VARIABLE"]) == 3
        assert "NO_SUCH_VARIABLE" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "repeatability", "--candidate", "http://a", "--probe-url", "http://a"],
        ["check", "contract", "--candidate", "http://a", "--probe-url", "ftp://a"],
        [
            "check",
            "contract",
            "--candidate",
            "http://a",
            "--probe-url",
            "http://a",
            "--probe-token-env",
            "a b",
        ],
    ],
)
def test_a_wrong_probe_option_is_one_sentence_and_64(arguments, capsys) -> None:
    assert cli.main(arguments) == 64
    assert "probe" in capsys.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from([*fields.Field, "resize", "imageMean", "own"]) | st.text(max_size=8)
SAID = st.dictionaries(NAMES, JSON, max_size=6)


@given(contract=SAID, accelerator=SAID, embedding=SAID, model=SAID)
def test_whatever_a_process_says_is_recorded_and_is_itself_again(
    contract, accelerator, embedding, model
) -> None:
    info = INFO | {
        "preprocess": {"contract": contract},
        "accelerator": accelerator,
        "embedding": embedding,
        "model": model,
    }
    told = said(info)
    again = stated.Statements.model_validate_json(told.model_dump_json(by_alias=True), by_alias=True)
    judged, sentences, _ = statements.judge(told, stated.recordable(again), statements.Pins())
    assert {gate.verdict for gate in judged} <= {"Pass"}
    assert sentences == []


def said(info: Any) -> stated.Statements:
    read = tracing.Info.model_validate(info)
    return stated.Statements(
        preprocessing=stated.bounded(process.preprocessing(read).fields),
        environment=stated.bounded(process.environment(read)),
        files=stated.bounded(process.files(read)),
    )


def test_a_process_that_says_too_much_is_bounded_and_its_outputs_still_fit_a_reference() -> None:
    odd = {
        "long": "x" * 5000,
        "n" * 500: [None, {"deep": [[[1e300]]]}],
        "line\nend": True,
        "text": "\ud800",
        "mean": ["a", 1, {}],
        "none": None,
        "big": 10**40,
    }
    info = INFO | {
        "preprocess": {"contract": odd | {f"f{n}": n for n in range(400)}},
        "accelerator": odd,
        "packages": {"torch": "t" * 3000},
    }
    told = said(info)
    again = stated.Statements.model_validate_json(told.model_dump_json(by_alias=True), by_alias=True)
    assert again == told
    assert len(told.preprocessing) == stated.MOST_FIELDS
    assert len(told.model_dump_json()) < 64_000
    judged, _, _ = statements.judge(told, again, statements.Pins(preprocessing={"f1": 1}))
    assert {gate.verdict for gate in judged} == {"Pass"}

    loud = stated.Statements(interface={f"f{n}": "x" * 1000 for n in range(200)}, files={"a": "b"})
    assert (stated.recordable(loud).interface, stated.recordable(loud).files) == ({}, {"a": "b"})
