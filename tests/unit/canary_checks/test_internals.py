"""What is made of traces: differences, gates, records and sweeps, all without torch."""

import dataclasses
import datetime
import importlib.util
import json
import pathlib
import time

import numpy as np
import pydantic
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import entry, failure, request
from canary_checks import vocabulary as v
from canary_checks.internals import (
    asked,
    comparison,
    folder,
    judging,
    pictures,
    record,
    sweep,
    trace,
)
from canary_checks.probes import internals_blame, internals_report
from tests.unit.canary_checks import asking
from tests.unit.canary_checks import internal_traces as traces

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
SEEN = traces.made()


def written(seen=SEEN, **more):
    return record.new(seen, revision="r1", checks="0", now=NOW, **more)


def gates_of(candidate, *, overrides=(), numeric_class=v.NumericClass.FP32, same=True):
    found = comparison.compare(candidate, SEEN)
    judged = judging.against(
        found,
        judging.Limits(tuple(overrides)),
        numeric_class=numeric_class,
        same_numbers=same,
        role="Stable",
    )
    return {gate.metric: gate for gate in judged}


def not_passed(candidate, **more):
    return {name for name, gate in gates_of(candidate, **more).items() if gate.verdict is not v.Verdict.PASS}


def pixels(images):
    return dataclasses.replace(SEEN, decoded=dataclasses.replace(SEEN.decoded, images=images))


def test_a_twin_passes_every_gate():
    judged = gates_of(traces.made())
    assert {gate.verdict for gate in judged.values()} == {v.Verdict.PASS}
    assert len(judged) == 9
    assert judged["DecoderPsnrDecibels"].observed == 100


@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(0.009, "Pass"), (0.015, "Inconclusive"), (0.03, "Fail"), (-0.03, "Fail"), (np.nan, "Fail")],
)
def test_between_pass_and_fail_there_is_a_band_without_a_verdict(shift, verdict):
    gate = gates_of(traces.attended(SEEN, 1, shift, step=2))["EntropyShiftMax"]
    assert gate.verdict == verdict
    if verdict == "Fail" and not np.isnan(shift):
        assert gate.limit == 0.02
        assert gate.observed == pytest.approx(0.03, rel=1e-4)


def test_the_layer_and_step_that_moved_most_are_named():
    found = comparison.compare(traces.attended(SEEN, 1, -0.2, step=2), SEEN)
    value, place = found.entropy_worst()
    assert place == comparison.Place("unet.blocks.1.attn2", 2)
    assert value == pytest.approx(0.2, rel=1e-4)


@pytest.mark.parametrize(
    ("candidate", "caught"),
    [
        (traces.staged(SEEN, "latents", 1.001), {"StageDistance"}),
        (traces.staged(SEEN, "text_encoder", np.nan), {"StageDistance"}),
        (dataclasses.replace(SEEN, stages=SEEN.stages[1:]), {"StageDistance"}),
        (dataclasses.replace(SEEN, attention=SEEN.attention[1:]), {"StageDistance"}),
        (
            dataclasses.replace(SEEN, tokens=(dataclasses.replace(SEEN.tokens[0], ids=((0, 1, 9, 3),) * 3),)),
            {"TokenMismatches"},
        ),
        (dataclasses.replace(SEEN, tokens=()), {"TokenMismatches"}),
        (pixels(255 - SEEN.decoded.images), {"DecoderPsnrDecibels"}),
        (traces.moved(SEEN, distance=SEEN.latents.distance * 1.02), {"LatentDistanceShift"}),
        (
            traces.moved(SEEN, variance=SEEN.latents.variance * 1.5),
            {"ChannelSnrShiftMeanDecibels", "ChannelSnrShiftMaxDecibels"},
        ),
        (traces.moved(SEEN, mean=-SEEN.latents.mean), {"ChannelSignFlips"}),
    ],
    ids=[
        *("stage", "NaN", "no stage", "no layer", "tokens", "no tokens", "decoder", "distance", "noise"),
        "sign",
    ],
)
def test_each_difference_has_its_gate(candidate, caught):
    assert not_passed(candidate) == caught


def test_a_sign_counts_only_late_on_the_way_and_where_there_is_one():
    flipped = SEEN.latents.mean.copy()
    flipped[:, :3] *= -1  # of 4 steps: the last quarter begins at the third.
    assert "ChannelSignFlips" not in not_passed(traces.moved(SEEN, mean=flipped))
    tiny = SEEN.latents.mean * 0.01
    weak = traces.moved(SEEN, mean=tiny)
    assert comparison.compare(traces.moved(SEEN, mean=-tiny), weak).flips == ()


def test_a_mean_far_below_the_noise_moves_no_decibels():
    """Rounding in bfloat16 makes of a mean of 1e-3 another one, and of it 6 dB."""
    weak = traces.moved(SEEN, mean=np.full_like(SEEN.latents.mean, 1e-3))
    other = traces.moved(SEEN, mean=np.full_like(SEEN.latents.mean, 2e-3))
    found = comparison.compare(other, weak)
    assert np.abs(found.snr).max() < 0.01
    assert np.abs(other.latents.snr_db() - weak.latents.snr_db()).max() > 6


def test_other_numbers_allow_a_coarser_decoder_and_a_coarser_stage():
    noisy = SEEN.decoded.images.astype(int) + np.random.default_rng(0).integers(-5, 6, (2, 32, 32, 3))
    near = pixels(np.clip(noisy, 0, 255).astype(np.uint8))
    assert not_passed(near) == {"DecoderPsnrDecibels"}
    assert not_passed(near, same=False) == set()
    assert not_passed(traces.staged(SEEN, "latents", 1.02), numeric_class=v.NumericClass.BF16) == set()


def test_a_declared_gate_is_exact_and_guidance_is_judged_on_request():
    moved = traces.attended(SEEN, 0, 0.015)
    gate = request.GateOverride(metric="EntropyShiftMax", max="0.01")
    assert gates_of(moved, overrides=[gate])["EntropyShiftMax"].verdict is v.Verdict.FAIL
    other = traces.moved(SEEN, guidance=SEEN.latents.guidance * 1.5)
    assert not_passed(other) == set()
    wanted = request.GateOverride(metric="GuidanceShift", max="0.1")
    assert not_passed(other, overrides=[wanted]) == {"GuidanceShift"}
    unguided = traces.moved(SEEN, guidance=None)
    assert gates_of(unguided, overrides=[wanted])["GuidanceShift"].verdict is v.Verdict.NO_DATA


@pytest.mark.parametrize(
    "gate",
    [
        {"metric": "DecoderPsnrDecibels", "max": "3"},
        {"metric": "EntropyShiftMax", "min": "0"},
        {"metric": "EntropyShiftMax", "max": "-1"},
        {"metric": "CosineDistanceWorst", "max": "1"},
    ],
)
def test_a_gate_that_would_be_ignored_is_refused(gate):
    with pytest.raises(failure.CheckError, match=r"takes|no limit"):
        judging.Limits((request.GateOverride.model_validate(gate),))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"prompts": ("other", "words", "here")}, "prompts"),
        ({"seeds": (7, 8, 9)}, "seeds"),
        ({"library": trace.Library.TRANSFORMERS}, "library"),
    ],
)
def test_a_reference_of_another_question_is_refused(change, says):
    with pytest.raises(failure.CheckError, match=f"other {says}"):
        comparison.compare(dataclasses.replace(SEEN, **change), SEEN)


def test_another_number_of_steps_is_compared_at_the_same_share_of_the_way():
    twice = dataclasses.replace(
        SEEN,
        attention=tuple(
            dataclasses.replace(one, entropy=np.repeat(one.entropy, 2, axis=1)) for one in SEEN.attention
        ),
    )
    assert comparison.compare(twice, SEEN).entropy_worst()[0] == 0


@given(
    steps=st.integers(1, 6),
    layers=st.integers(0, 4),
    prompts=st.integers(1, 4),
    channels=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_a_record_gives_back_what_was_written(steps, layers, prompts, channels, seed):
    seen = traces.made(steps=steps, layers=layers, prompts=prompts, channels=channels, seed=seed)
    read = record.decode(written(seen))
    found = comparison.compare(read.seen, seen)
    assert {float(np.abs(one).max()) for one in found.entropy.values()} <= {0.0}
    assert {float(one.max()) for one in found.stages.values()} == {0.0}
    assert found.psnr.min() == 100
    assert read.seen.tokens == seen.tokens
    assert read.seen.setting == seen.setting
    for mine, theirs in zip(read.seen.attention, seen.attention, strict=True):
        assert np.array_equal(mine.top, theirs.top)
        assert np.array_equal(mine.weight, theirs.weight)
    assert np.array_equal(read.seen.latents.guidance, seen.latents.guidance)


def test_a_large_trace_is_recorded_of_fewer_prompts():
    large = traces.made(prompts=8, steps=50, layers=140)
    content = written(large)
    assert len(content) <= record.DEFAULT_BYTES
    read = record.decode(content).seen
    assert 1 <= len(read.prompts) < 8
    assert read.latents.mean.shape == (len(read.prompts), 51, 4)
    assert comparison.compare(large, read).prompts == len(read.prompts)
    with pytest.raises(failure.CheckError, match="too many layers"):
        written(large, limit_bytes=10_000)


def damaged(change):
    content = written()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    tensors = safetensors.numpy.load(content)
    said = json.loads(header["internals"])
    change(tensors, said)
    return safetensors.numpy.save(tensors, {"internals": json.dumps(said)})


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, _: tensors.pop("entropy"),
        lambda tensors, _: tensors.update(entropy=tensors["entropy"][:1]),
        lambda tensors, _: tensors.update(entropy=tensors["entropy"].astype(np.float16)),
        lambda tensors, _: tensors.update(more=np.zeros(1, np.float32)),
        lambda tensors, _: tensors.update({"latents/norm": np.zeros((3, 4), np.float32)}),
        lambda tensors, _: tensors.update({"decoded/images": np.zeros((1, 4, 4, 3), np.uint8)}),
        lambda _, said: said.update(seeds=[1]),
        lambda _, said: said.update(steps=3),
        lambda _, said: said["tokens"][0].update(ids=[[1]]),
        lambda _, said: said["layers"][0].update(steps=2),
        lambda _, said: said.update(setting={"steps": 0}),
    ],
)
def test_a_damaged_record_is_refused_in_one_sentence(change):
    with pytest.raises(failure.CheckError, match="the record of internals cannot be read"):
        record.decode(damaged(change))


@given(st.binary(max_size=64))
def test_bytes_that_are_no_record_are_refused(content):
    with pytest.raises(failure.CheckError):
        record.decode(content)


def test_a_sweep_says_what_the_settings_that_differ_share():
    wanted = asked.Sweep(schedulers=("DDIMScheduler", "EulerDiscreteScheduler"), steps=(10, 20))
    points = list(sweep.points(wanted))
    assert len(points) == 4
    before = {point: sweep.summary(SEEN) for point in points}
    after = {
        point: sweep.summary(traces.attended(SEEN, 0, 0.3))
        if point.scheduler == "EulerDiscreteScheduler"
        else before[point]
        for point in points
    }
    assert sweep.compare(before, before).dominant() is None
    said = sweep.compare(after, before).dominant()
    assert said == (
        "2 of 4 settings of the sweep differ, 2 most in EntropyShiftMax;"
        " exactly those with scheduler EulerDiscreteScheduler"
    )
    read = record.decode(written(swept=after)).swept
    assert sweep.compare(read, after).failing() == []
    assert len(sweep.compare(read, before).failing()) == 2


def test_pictures_are_small_and_show_both_sides():
    shifted = traces.attended(SEEN, 0, 0.3)
    made = pictures.pairs(shifted, SEEN, comparison.compare(shifted, SEEN))
    assert [one.item for one in made] == [
        *("attention-self", "attention-cross", "attention-shift", "decoded-0", "decoded-1")
    ]
    assert all(one.candidate for one in made)
    assert made[0].stable
    assert made[0].stable != made[0].candidate


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "neither model_index.json"),
        ({"config.json": "{}", "pytorch_model.bin": ""}, "pickles"),
        ({"model_index.json": "[]", "unet/a.safetensors": ""}, "no JSON object"),
        ({"model_index.json": "{", "unet/a.safetensors": ""}, "cannot be read"),
        (
            {"model_index.json": json.dumps({"unet": ["evil", "Unet"]}), "unet/a.safetensors": ""},
            "code of its own",
        ),
        (
            {"model_index.json": json.dumps({"_class_name": ["evil", "P"]}), "unet/a.safetensors": ""},
            "a class of its own",
        ),
    ],
)
def test_a_folder_that_is_no_model_or_brings_code_is_refused(tmp_path, files, says):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with pytest.raises(failure.CheckError, match=says):
        folder.library(tmp_path, None)


def test_what_a_folder_is_for_is_told_by_its_files(tmp_path):
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text("{}")
    assert folder.library(tmp_path, None) is asked.Library.TRANSFORMERS
    with pytest.raises(failure.CheckError, match="no model of Diffusers"):
        folder.library(tmp_path, asked.Library.DIFFUSERS)
    with pytest.raises(failure.CheckError, match="there is no folder"):
        folder.library(tmp_path / "none", None)


def test_a_sweep_is_bounded():
    with pytest.raises(pydantic.ValidationError, match="128 settings"):
        asked.Sweep(schedulers=("A1",) * 4, steps=(1, 2, 3, 4), guidance=("1",) * 8)


def test_internals_belong_to_their_kind():
    asking.ask("http://model", "Internals", internals={"folder": "/models"})
    for kind, more in (("Internals", {}), ("Contract", {"internals": {"folder": "/models"}})):
        with pytest.raises(pydantic.ValidationError, match="internals belongs to a check of the kind"):
            asking.ask("http://model", kind, **more)


@pytest.mark.parametrize(("run_seconds", "suffices"), [(1.0, True), (60.0, False)])
def test_a_cause_is_looked_for_only_while_the_verdict_is_safe(run_seconds, suffices):
    left = internals_blame.Time(time.monotonic(), 100.0, run_seconds)
    assert left.suffices() is suffices


def test_values_that_are_not_finite_fail_without_any_reference():
    assert judging.non_finite(SEEN) == 0
    for broken in (
        traces.attended(SEEN, 0, np.nan, step=1),
        traces.staged(SEEN, "latents", np.nan),
        dataclasses.replace(SEEN, decoded=dataclasses.replace(SEEN.decoded, finite=False)),
    ):
        (gate,) = judging.absolute(broken, judging.Limits())
        assert gate.metric == "NonFinite"
        assert gate.verdict is v.Verdict.FAIL


def concluded(candidate):
    """What the check tells of a candidate beside the record of stable."""
    known = record.decode(written())
    source = {"role": "Stable", "revision": "r1", "path": "/reference", "digest": known.digest}
    asked_for = asking.ask(
        "http://model",
        "Internals",
        internals={"folder": "/models"},
        references=[source | {"numericClass": "fp32"}],
    )
    references = [(asked_for.references[0], known)]
    return internals_report.conclude(asked_for, judging.Limits(), candidate, references, {})


@pytest.mark.parametrize(
    ("candidate", "says"),
    [
        (SEEN, "3 layers and 4 stages as in the reference"),
        (
            traces.attended(SEEN, 1, -0.2, step=2),
            "attention of unet.blocks.1.attn2 moved most at step 3, by 0.2",
        ),
        (traces.attended(SEEN, 1, np.nan, step=2), "moved most at step 3, by nan"),
        (traces.staged(SEEN, "latents", np.nan), "first stage that breaks: latents"),
        (traces.staged(SEEN, "decoder", 2.0), "first stage that breaks: decoder (relative distance"),
        (
            traces.moved(SEEN, mean=-SEEN.latents.mean),
            "the mean of latent channel 0 changes its sign at step",
        ),
        (dataclasses.replace(SEEN, tokens=()), "other token ids for 3 of 3 prompts"),
        (dataclasses.replace(SEEN, stages=()), "only one side has decoder"),
        (traces.moved(SEEN, distance=SEEN.latents.distance * np.nan), "LatentDistanceShift nan"),
    ],
    ids=["same", "attention", "NaN attention", "NaN stage", "decoder", "sign", "tokens", "stages", "NaN way"],
)
def test_the_message_says_what_moved_and_where(candidate, says):
    found = concluded(candidate)
    assert says in found.message
    assert found.verdict is (v.Verdict.PASS if candidate is SEEN else v.Verdict.FAIL)
    assert found.references[0].revision == "r1"
    assert len(found.pictures) >= 3


def test_the_tokens_that_get_most_attention_are_named():
    layer = SEEN.attention[1]
    layers = (SEEN.attention[0], dataclasses.replace(layer, top=np.zeros_like(layer.top)), SEEN.attention[2])
    moved = traces.attended(dataclasses.replace(SEEN, attention=layers), 1, 0.2, step=0)
    assert "most of it on '<s>'" in concluded(moved).message


def test_without_torch_the_check_says_which_image_it_needs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text("{}")
    assert entry.main(["check", "internals", str(tmp_path), "--output", "json"]) == 3
    (found,) = json.loads(capsys.readouterr().out)
    assert found["reason"] == "TorchMissing"
    assert "with the checks-torch image" in found["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sweep", "steps=a"],
        ["--sweep", "sizes=1"],
        ["--guidance", "much"],
        ["--reference", "nowhere"],
        ["--scheduler", "not a class"],
    ],
)
def test_arguments_that_cannot_be_meant_are_one_sentence_and_64(arguments, capsys):
    assert entry.main(["check", "internals", str(pathlib.Path.cwd()), *arguments]) == 64
    assert capsys.readouterr().err.startswith("usage")
