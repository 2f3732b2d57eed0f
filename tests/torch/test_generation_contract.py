"""What a real pipeline draws with: told by its files and by the loaded object, which agree."""

import asyncio
import pathlib
from typing import Any

import diffusers
import pytest

from canary_checks import probe_pipeline
from canary_checks.contracts import generation, generation_folder
from canary_checks.golden import pack
from canary_checks.trace import local_tokenizers

PIPELINES = ("stable-diffusion", "stable-diffusion-3")


def loaded(folder: pathlib.Path) -> Any:
    return diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)


@pytest.mark.parametrize("kind", PIPELINES)
def test_files_and_the_loaded_pipeline_tell_the_same_of_every_model(folders, kind):
    files = generation_folder.read(folders[kind]).fields
    live = generation.contract(probe_pipeline.describe(loaded(folders[kind]))).fields
    assert files["pipeline"] == live["pipeline"]
    parts = ("scheduler.", "vae.", "unet.", "transformer.", "text_encoder", "latent.")
    told = {name: value for name, value in files.items() if name.startswith(parts)}
    assert len(told) > 60
    assert {name: live.get(name) for name in told} == told
    assert {name for name in live if name.startswith(parts)} == told.keys()
    # Of its tokenizers, what both tell; T5's file has the scores of its tokens too, and so another digest.
    shared = [name for name in files.keys() & live.keys() if name.startswith(("tokenizer.", "tokenizer_2."))]
    assert "tokenizer.vocabularyDigest" in shared
    assert {name: live[name] for name in shared} == {name: files[name] for name in shared}
    assert {"steps", "guidanceScale"} <= live.keys()


@pytest.mark.parametrize("kind", PIPELINES)
def test_every_tokenizer_of_a_folder_makes_the_ids_that_the_pipeline_reads(folders, kind):
    pipeline = loaded(folders[kind])
    texts = {item.id: item.text for item in pack.builtin("PromptV1").items}
    found = generation_folder.tokenizers(folders[kind])
    assert set(found) == {name for name in pipeline.components if name.startswith("tokenizer")}
    for name, folder in found.items():
        ask = local_tokenizers.load(folder, generation_folder.longest(folder))
        own = pipeline.components[name]
        wanted = own(list(texts.values()), truncation=True, max_length=own.model_max_length).input_ids
        assert asyncio.run(ask(texts)) == {key: tuple(ids) for key, ids in zip(texts, wanted, strict=True)}


def test_another_scheduler_is_named(folders):
    pipeline = loaded(folders["stable-diffusion"])
    before = generation.contract(probe_pipeline.describe(pipeline)).fields
    pipeline.scheduler = diffusers.EulerDiscreteScheduler.from_config(
        pipeline.scheduler.config, beta_schedule="squaredcos_cap_v2"
    )
    after = generation.contract(probe_pipeline.describe(pipeline, steps=4)).fields
    named = {one.field for one in generation.compare(before, after).undeclared}
    assert {"scheduler.beta_schedule", "steps"} <= named
    assert all(name.startswith("scheduler.") or name == "steps" for name in named)


def test_a_text_generator_tells_how_it_writes(folders):
    told = generation_folder.read(folders["language-model"]).fields
    assert told["model.dtype"] == "float32"
    assert told["model.hidden_size"] > 0
    assert "tokenizer.class" in told
