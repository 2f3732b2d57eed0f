"""The contract of what draws: told by files and by a live process, pinned, recorded, and compared by name."""

import asyncio
import json
import pathlib
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import failure, probe_pipeline, request, result, runner, schema
from canary_checks.contracts import generation, generation_folder, generation_record
from canary_checks.golden import pack
from canary_checks.probes import generation_contract
from canary_checks.trace import client as tracing
from canary_checks.trace import cutting
from tests.unit.canary_checks import asking, generators, sample_servers

VARIABLE = "A_VARIABLE_OF_TESTS"
IMAGES = {"name": "images", "protocol": "OpenAIImages", "model": "toy"}


@pytest.fixture(scope="module", autouse=True)
def token() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(tracing.TOKEN_VARIABLE, sample_servers.TOKEN)
        patch.setenv(VARIABLE, sample_servers.TOKEN)
        yield


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return generators.folder(tmp_path_factory.mktemp("saved") / "model")


# What is told, by files and by a live pipeline.


def test_a_folder_tells_every_component_by_name(saved):
    told = generation_folder.read(saved).fields
    assert told["pipeline"] == "StableDiffusionXLPipeline"
    assert told["scheduler.class"] == "EulerDiscreteScheduler"
    assert told["scheduler.beta_schedule"] == "scaled_linear"
    assert told["vae.scaling_factor"] == 0.18215
    # The type of most numbers, though a norm is kept in another one.
    assert (told["vae.dtype"], told["unet.variant.fp16.dtype"]) == ("float16", "float16")
    assert (told["text_encoder.class"], told["text_encoder.max_position_embeddings"]) == ("CLIPTextModel", 77)
    assert (told["tokenizer.maxLength"], told["tokenizer_2.maxLength"]) == (77, 16)
    assert told["tokenizer.vocabularySize"] == len(generators.vocabulary())
    assert {told[f"latent.{name}"] for name in ("channels", "size", "pixels")} == {4, 64, 8}
    # What is null or private, or a default of transformers, is no statement.
    assert not {"scheduler.trained_betas", "scheduler._class_name", "text_encoder.return_dict"} & told.keys()


def test_a_live_pipeline_tells_what_its_folder_does(saved):
    pipeline = generators.StableDiffusionXLPipeline()
    live = generation.contract(probe_pipeline.describe(pipeline, prompt_template="{}, film")).fields
    files = generation_folder.read(saved).fields
    shared = [
        name
        for name in files
        if name.partition(".")[0] in {"pipeline", "scheduler", "vae", "unet", "latent", "text_encoder"}
        and "variant" not in name
        and not name.startswith("pipeline.")
    ]
    assert len(shared) > 20
    assert {name: live.get(name) for name in shared} == {name: files[name] for name in shared}
    assert (live["steps"], live["guidanceScale"], live["promptTemplate"]) == (50, 5, "{}, film")
    assert "negativePrompt" not in live


def test_adapters_tell_their_file_and_the_scale_that_is_in_force(tmp_path):
    class Layer:
        scaling = types.MappingProxyType({"brand": 0.5, "other": 1.0})
        active_adapters = ("brand",)
        disable_adapters = False

    pipeline = generators.StableDiffusionXLPipeline()
    pipeline.components["unet"].modules = lambda: iter([object(), Layer()])
    (tmp_path / "brand.safetensors").write_bytes(b"weights")
    files = {"brand": str(tmp_path / "brand.safetensors"), "spare": str(tmp_path / "brand.safetensors")}
    told = generation.contract(probe_pipeline.describe(pipeline, adapters=files)).fields
    assert told["adapters.brand.active"] is True
    assert told["adapters.brand.scale.unet"] == 0.5
    assert told["adapters.brand.digest"] == result.digest(b"weights")
    # Loaded and not in use; and one of which no layer knows, because it was added to the weights.
    assert told["adapters.other.active"] is False
    assert told.keys() & {"adapters.spare.active", "adapters.other.scale.unet"} == set()


def test_a_text_generator_tells_how_it_samples(tmp_path):
    generators.write(tmp_path / "generation_config.json", {"temperature": 0.7, "top_p": 0.9, "_from": "x"})
    generators.write(tmp_path / "config.json", {"architectures": ["LlamaForCausalLM"], "hidden_size": 8})
    generators.word_tokenizer(tmp_path)
    generators.write(tmp_path / "tokenizer_config.json", {"chat_template": "{{ m }}", "tokenizer_class": "T"})
    told = generation_folder.read(tmp_path).fields
    assert (told["pipeline"], told["sampling.temperature"]) == ("LlamaForCausalLM", 0.7)
    assert told["promptTemplate"] == "{{ m }}"
    assert "tokenizer.vocabularyDigest" in told
    assert generation_folder.tokenizers(tmp_path) == {"tokenizer": tmp_path}


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model_index.json", b"[]", "no JSON object"),
        ("model_index.json", b"{", "no JSON"),
        ("model_index.json", b'{"../etc": ["diffusers", "A"]}', "names a component '../etc'"),
        ("vae/diffusion_pytorch_model.safetensors", b"\xff" * 9, "no safetensors file"),
        ("vae/diffusion_pytorch_model.safetensors", b"\x02" + b"\0" * 7 + b"[]", "header is none"),
        ("scheduler/scheduler_config.json", b"7", "no JSON object"),
        ("tokenizer/vocab.json", b"\xff\xfe", "no JSON"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_sentence(tmp_path, file, content, said):
    where = generators.folder(tmp_path)
    (where / file).write_bytes(content)
    with pytest.raises(failure.CheckError, match=said) as error:
        generation_folder.read(where)
    assert error.value.reason == "ContractUnreadable"


def test_a_folder_of_something_else_is_said(tmp_path):
    with pytest.raises(failure.CheckError, match=r"neither model_index\.json nor generation_config\.json"):
        generation_folder.read(tmp_path)


# The differences, by name.


def compare(before: Any, after: Any, **pins: Any) -> generation.Difference:
    known = None if before is None else generation.contract(before).fields
    return generation.compare(known, generation.contract(after).fields, pins)


def test_an_undeclared_change_is_told_by_name_and_value():
    found = compare(
        {"scheduler": {"beta_schedule": "scaled_linear"}}, {"scheduler": {"beta_schedule": "linear"}}
    )
    assert [str(one) for one in found.undeclared] == ["scheduler.beta_schedule scaled_linear → linear"]


@pytest.mark.parametrize(
    ("pin", "told", "kept"),
    [
        ("7.50", 7.5, True), ("7.5", 7.0, False), ("30", 30, True), ("true", True, True),
        ("true", False, False), ("0.18215", 0.18215, True), ("1e-5", 0.00001, True), ("7", "7", True),
        ("linear", "linear", True), ("[0.5, 1]", [0.5, 1.0], True), ("[0.5]", [0.25], False),
        ("none", 7, False), ('{"a": 1}', {"b": 1}, False),
    ],
)  # fmt: skip
def test_pins_are_text_and_mean_what_is_told(pin, told, kept):
    found = generation.compare(None, {"vae.x": told}, {"vae.x": pin})
    assert (found.broken == ()) is kept
    assert found.silent == ()


def test_pins_in_the_words_of_the_manifest_are_those_of_a_process():
    pinned = {
        "steps": 30,
        "latent": {"channels": 4},
        "components": {"scheduler": {"beta_start": "0.00085"}},
        "adapters": [{"name": "brand", "active": True}],
        "other": {"refiner.steps": "5"},
    }
    told = {"steps": 30, "latent.channels": 4, "scheduler.beta_start": 0.00085, "refiner.steps": 5}
    assert generation.pins(pinned, told) == told | {"adapters.brand.active": True}


def test_a_pin_that_is_new_declares_its_change():
    found = compare({"steps": 50, "guidanceScale": 5}, {"steps": 30, "guidanceScale": 7.5}, steps=30)
    assert [one.field for one in found.expected] == ["steps"]
    assert [one.field for one in found.undeclared] == ["guidanceScale"]


def test_another_class_brings_settings_of_its_own():
    before = {"scheduler": {"class": "Euler", "beta": 1, "sigmas": 7}, "steps": 30}
    after = {"scheduler": {"class": "DDIM", "beta": 2, "clip": True}, "steps": 4}
    silent = compare(before, after)
    assert len(silent.undeclared) == 5
    assert generation_contract.shown(silent.undeclared) == (
        "scheduler.beta 1 → 2, scheduler.class Euler → DDIM, steps 30 → 4,"
        " with 2 settings that only one class has"
    )
    declared = compare(before, after, **{"scheduler.class": "DDIM"})
    assert {one.field for one in declared.expected} == {
        "scheduler.class",
        "scheduler.clip",
        "scheduler.sigmas",
    }
    # What both classes have is told by none of them.
    assert {one.field for one in declared.undeclared} == {"scheduler.beta", "steps"}


def test_a_setting_that_a_library_added_switched_off_is_only_told():
    found = compare({"scheduler": {"a": 1}}, {"scheduler": {"a": 1, "use_flow_sigmas": False, "b": 0}})
    assert [one.field for one in found.remarks] == ["scheduler.use_flow_sigmas"]
    # Nobody knows what the class takes for an absent number.
    assert [one.field for one in found.undeclared] == ["scheduler.b"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=6))
def test_whatever_is_told_is_bounded_and_equal_to_itself(told):
    made = generation.contract(told)
    json.loads(made.canonical())
    found = generation.compare(made.fields, generation.contract(told).fields)
    assert found.undeclared == found.remarks == ()
    assert len(made.fields) <= generation.MOST_FIELDS


def test_the_order_of_what_is_told_is_no_difference():
    one = generation.contract({"vae": {"a": 1, "b": [1.0]}, "steps": 30.0})
    other = generation.contract({"steps": 30, "vae": {"b": [1], "a": 1.0}})
    assert one.digest == other.digest


# In a check: a real endpoint.


def question(url: str, **more: Any) -> request.CheckRequest:
    said = {
        "operations": [IMAGES],
        "goldenSet": {"builtin": "PromptV1"},
        "probe": {"url": url, "tokenVariable": VARIABLE},
        # A share of the prompts is enough here.
        "shards": 12,
    }
    return asking.ask(url, "Contract", **(said | more))


def probed(app: Any, **more: Any) -> runner.Outcome:
    with sample_servers.serving(app) as url:
        return asyncio.run(runner.run(question(url, **more)))


def record(app: Any, where: pathlib.Path) -> dict[str, Any]:
    outcome = probed(app, record=True)
    assert outcome.result.verdict == "Pass", outcome.result.message
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
    assert evidence is not None
    assert evidence.reference is not None
    where.write_bytes(evidence.reference.content())
    return {
        "role": "Stable",
        "revision": "r0",
        "path": str(where),
        "digest": evidence.reference.digest,
        "numericClass": "fp16",
    }


@pytest.fixture(scope="module")
def stable(saved: pathlib.Path, token: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the release before this one left."""
    return record(generators.serve(saved), tmp_path_factory.mktemp("stable") / "outputs.safetensors")


@pytest.fixture(scope="module")
def fields(saved: pathlib.Path, token: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same of a process that tells no token ids."""
    app = generators.serve(saved, stages=())
    return record(app, tmp_path_factory.mktemp("fields") / "outputs.safetensors")


def metrics(found: schema.CheckResult) -> dict[str, str]:
    return {gate.metric: gate.verdict.value for gate in found.gates}


def test_what_stable_was_told_to_draw_with_is_recorded(stable):
    recorded = generation_record.load(stable["path"], stable["digest"])
    assert recorded.header.told["scheduler.beta_schedule"] == "scaled_linear"
    assert list(recorded.tokens) == ["tokenizer", "tokenizer_2"]
    prompts = pack.builtin("PromptV1").by_id
    assert recorded.header.prompts
    assert all(set(ids) == set(recorded.header.prompts) <= prompts.keys() for ids in recorded.tokens.values())


def test_the_same_pipeline_again_passes(saved, stable):
    found = probed(generators.serve(saved), references=[stable]).result
    assert found.verdict == "Pass", found.message
    assert metrics(found) == {
        "GenerationFieldsTold": "Pass",
        "GenerationUndeclaredChanges": "Pass",
        "TokenDifferingItems": "Pass",
        "TokenDifferingItems2": "Pass",
    }
    assert "as Stable told them" in found.message
    assert found.references[0].revision == "r0"
    # Cut prompts are told and fail nothing: both sides cut alike.
    cut = {one.metric: one.max for one in found.measurements}
    assert cut["CutPrompts2"] > 0
    assert "tokenizer_2 cuts" in found.message


def test_another_scheduler_that_nobody_declared_fails_by_name(saved, fields):
    pipeline = generators.StableDiffusionXLPipeline({"beta_schedule": "linear"})
    found = probed(generators.serve(saved, pipeline, stages=()), references=[fields]).result
    assert (found.verdict, found.reason) == ("Fail", "ContractBroken")
    assert "scheduler.beta_schedule scaled_linear → linear" in found.message
    assert metrics(found)["GenerationUndeclaredChanges"] == "Fail"


@pytest.mark.parametrize(
    ("said", "more", "named"),
    [
        ({"steps": 4}, {}, "steps 50 → 4"),
        ({"guidance_scale": 9.0}, {}, "guidanceScale 5 → 9"),
        ({}, {"vae_dtype": "torch.float32"}, "vae.dtype float16 → float32"),
        ({"negative_prompt": "blurry"}, {}, "negativePrompt not stated → blurry"),
    ],
)
def test_each_of_what_draws_is_compared(saved, fields, said, more, named):
    pipeline = generators.StableDiffusionXLPipeline(**more)
    found = probed(generators.serve(saved, pipeline, stages=(), **said), references=[fields]).result
    assert found.verdict == "Fail"
    assert named in found.message


def test_a_declared_change_passes_and_is_told(saved, fields):
    contract = {"generation": {"scheduler.beta_schedule": "linear", "guidanceScale": "5.0"}}
    pipeline = generators.StableDiffusionXLPipeline({"beta_schedule": "linear"})
    app = generators.serve(saved, pipeline, stages=())
    found = probed(app, references=[fields], contract=contract).result
    assert found.verdict == "Pass", found.message
    assert "changed as declared: scheduler.beta_schedule scaled_linear → linear" in found.message
    assert metrics(found)["GenerationChanges"] == "Pass"


def test_a_broken_pin_fails_without_any_reference(saved):
    contract = {"generation": {"steps": "30"}}
    found = probed(generators.serve(saved, stages=()), contract=contract).result
    assert found.verdict == "Fail"
    assert "not as pinned: steps 30 → 50" in found.message


def test_a_pin_that_is_not_told_is_no_data(saved):
    contract = {"generation": {"refiner.steps": "30"}}
    found = probed(generators.serve(saved, stages=()), contract=contract).result
    assert (found.verdict, found.reason) == ("NoData", "NothingMeasured")
    assert "pinned and not told: refiner.steps" in found.message


def test_other_tokens_fail_and_name_the_encoder_and_the_cause(saved, stable, tmp_path):
    other = generators.folder(tmp_path / "cased", lowercase=False)
    found = probed(generators.serve(other), references=[stable]).result
    assert found.verdict == "Fail"
    assert (metrics(found)["TokenDifferingItems"], metrics(found)["TokenDifferingItems2"]) == ("Pass", "Fail")
    assert "tokenizer_2: other token ids than Stable's" in found.message
    assert found.diagnosis is not None
    assert found.diagnosis.cause == "Casing"


def test_a_shorter_cut_fails_with_its_cause(saved, stable):
    found = probed(generators.serve(saved, limits=(77, 12)), references=[stable]).result
    assert found.verdict == "Fail"
    assert (found.diagnosis.cause, found.diagnosis.confidence) == ("Truncation", "Proven")


def test_other_tokens_of_a_declared_tokenizer_are_expected(saved, tmp_path):
    def told(longest: int) -> dict[str, Any]:
        return {"tokenizer_2": {"maxLength": longest}}

    known = record(generators.serve(saved, generation=told(16)), tmp_path / "before.safetensors")
    app = generators.serve(saved, generation=told(12), limits=(77, 12))
    found = probed(app, references=[known], contract={"generation": {"tokenizer_2.maxLength": "12"}}).result
    assert found.verdict == "Pass", found.message
    assert "as tokenizer_2.maxLength is stated anew" in found.message


def test_an_encoder_that_is_no_longer_told_is_no_data(saved, stable):
    found = probed(generators.serve(saved, stages=("tokenizer",)), references=[stable]).result
    assert found.verdict == "NoData"
    assert "tokenizer_2: Stable told its token ids, and the candidate does not" in found.message


def test_files_may_fail_and_never_pass(saved, fields):
    found = probed(generators.serve(saved, stages=(), source="Artifact")).result
    assert found.verdict == "NoData"
    assert "told by the model's files" in found.message
    broken = probed(
        generators.serve(saved, stages=(), source="Artifact"), contract={"generation": {"steps": "1"}}
    ).result
    assert broken.verdict == "Fail"
    other = probed(generators.serve(saved, stages=(), source="Artifact"), references=[fields]).result
    assert "told by another source" in other.message


@pytest.mark.parametrize("generation", [{}, {"vae": {}}])
def test_a_process_that_tells_nothing_is_no_data(saved, generation):
    found = probed(generators.serve(saved, stages=(), generation=generation)).result
    assert (found.verdict, found.gates) == ("NoData", ())
    assert "tells nothing of the generation" in found.message


def test_without_an_endpoint_nothing_passes():
    found = asyncio.run(runner.run(question("http://127.0.0.1:9", probe=None))).result
    assert (found.verdict, found.reason) == ("NoData", "NothingMeasured")
    assert "declare a probe endpoint" in found.message


def test_a_process_that_also_answers_with_vectors_is_asked_for_both(saved):
    vectors = {"name": "embed", "protocol": "OpenAIEmbeddings"}
    app = generators.serve(saved, stages=())
    with sample_servers.sample_server() as url, sample_servers.serving(app) as told:
        probe = {"url": told, "tokenVariable": VARIABLE}
        golden = {"goldenSet": {"builtin": "TextV1"}, "shards": 1}
        asked = question(url, operations=[vectors, IMAGES], probe=probe, **golden)
        found = asyncio.run(runner.run(asked)).result
    assert found.verdict == "Pass", found.message
    asked = {gate.operation for gate in found.gates}
    assert asked == {"embed", "generation"}


def test_an_endpoint_that_does_not_answer_is_an_error(saved):
    with sample_servers.serving(generators.serve(saved)) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "another")
        found = asyncio.run(runner.run(question(url))).result
    assert (found.verdict, found.reason) == ("Error", "ProbeUnavailable")


def test_a_failed_check_records_nothing(saved, fields):
    contract = {"generation": {"steps": "30"}}
    outcome = probed(generators.serve(saved, stages=()), record=True, contract=contract)
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
    assert evidence is not None
    assert evidence.reference is None


def test_a_reference_of_another_kind_is_refused(saved, fields, tmp_path):
    file = tmp_path / "vectors.safetensors"
    file.write_bytes(safetensors.numpy.save({"a": np.zeros(1, np.float32)}))
    known = fields | {"path": str(file), "digest": result.digest(file.read_bytes())}
    found = probed(generators.serve(saved, stages=()), references=[known]).result
    assert (found.verdict, found.reason) == ("Error", "ReferenceUnreadable")


# The record.


@given(
    st.dictionaries(
        st.sampled_from(["tokenizer", "tokenizer_2"]),
        st.dictionaries(
            st.sampled_from(["p-1", "p-2", "p-3"]),
            st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=5).map(tuple),
        ),
    )
)
def test_a_record_is_read_as_it_was_written(tokens):
    golden = pack.builtin("PromptV1")
    content = generation_record.encode({"steps": 30}, tokens, golden, revision="r1")
    made = generation_record.decode(content)
    assert made.header.told == {"steps": 30}
    assert {name: dict(ids) for name, ids in made.tokens.items()} == tokens


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({}, "it holds no tokens/tokenizer/ids"),
        ({"ids": np.zeros(2, np.int32), "offsets": np.array([0, 1], np.int64)}, "one list of ids"),
        ({"ids": np.array([-1, 1], np.int32), "offsets": np.array([0, 2], np.int64)}, "one list of ids"),
        (
            {"ids": np.zeros(0, np.int32), "offsets": np.array([0, 0], np.int64), "x": np.zeros(1, np.int32)},
            "x",
        ),
    ],
)
def test_a_record_that_is_none_is_refused_with_words(tensors, said):
    golden = pack.builtin("PromptV1")
    whole = generation_record.encode({"steps": 30}, {"tokenizer": {"p-1": (1, 2)}}, golden, revision="r1")
    head = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])["__metadata__"]
    named = {f"tokens/tokenizer/{name}": value for name, value in tensors.items()}
    with pytest.raises(failure.CheckError, match=said) as error:
        generation_record.decode(safetensors.numpy.save(named, head))
    assert error.value.reason == "ReferenceUnreadable"


# Prompts that are not read to their end.


def cut(limit: int, *texts: str, padded: bool = False) -> dict[str, cutting.Cut]:
    """A tokenizer of whole words that reads so many of them, with one special id at each end."""

    async def ask(asked):
        made = {}
        for name, text in asked.items():
            ids = (1, *[hash(word) for word in text.split()][:limit], 2)
            made[name] = ids + (0,) * (limit + 2 - len(ids)) if padded else ids
        return made

    named = {f"p-{place}": text for place, text in enumerate(texts)}
    return asyncio.run(cutting.find(ask, named, asyncio.run(ask(named))))


@pytest.mark.parametrize("padded", [False, True])
def test_the_words_that_are_lost_are_named(padded):
    found = cut(4, "one two three four", "one two three four five six", "", "one", padded=padded)
    assert list(found) == ["p-1"]
    assert (found["p-1"].words, found["p-1"].read, found["p-1"].lost) == (6, 4, "five six")
    assert str(found["p-1"]) == "2 words: 'five six'"


@given(st.integers(1, 40), st.integers(0, 60))
def test_exactly_the_words_beyond_the_limit_are_lost(limit, words):
    found = cut(limit, " ".join(f"w{n}" for n in range(words)))
    assert bool(found) is (words > limit)
    assert all((one.read, one.lost.split()[0]) == (limit, f"w{limit}") for one in found.values())


def test_scripts_without_spaces_are_cut_between_their_signs():
    async def ask(asked):
        return {name: tuple(map(ord, text))[:3] for name, text in asked.items()}

    texts = {"p": "東京の空"}
    found = asyncio.run(cutting.find(ask, texts, asyncio.run(ask(texts))))
    assert (found["p"].read, found["p"].lost) == (3, "空")


def test_judging_needs_no_process():
    told = generation.contract({"steps": 30})
    judged = generation_contract.judge(told, {}, None)
    assert [gate.metric for gate in judged.gates] == ["GenerationFieldsTold"]
    assert "nothing was recorded to compare with" in judged.sentences[0]
