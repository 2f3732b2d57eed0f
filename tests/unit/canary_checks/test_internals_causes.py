"""What a difference inside a generator is blamed on: pure, on traces made by hand."""

import dataclasses
import functools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from canary_checks import vocabulary as v
from canary_checks.internals import trace
from canary_checks.internals.causes import contrast, diagnosis, inquiry

Change = contrast.Change
LIMITS = contrast.Limits(stage=1e-3, entropy=0.01, psnr=40.0)
STAGES = ("text_encoder", contrast.FIRST, contrast.LAST, contrast.LATENTS, contrast.DECODER)
LAYERS = (
    ("text_encoder", "layers.0", trace.AttentionKind.SELF),
    ("unet", "down.attn1", trace.AttentionKind.SELF),
    ("unet", "down.attn2", trace.AttentionKind.CROSS),
    ("unet", "up.attn1", trace.AttentionKind.SELF),
)
PROMPTS, STEPS, END = 3, 4, 9


def _drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _stage(name, sketch):
    norm = np.linalg.norm(sketch, axis=1).astype(np.float32)
    size = np.full(PROMPTS, 1024, np.int32)
    return trace.Stage(name=name, module=name, size=size, norm=norm, mean=sketch.mean(1), sketch=sketch)


def _attention(component, layer, kind):
    steps = STEPS if component == "unet" else 1
    none = np.full((PROMPTS, steps, trace.TOP_KEYS), -1, np.int32)
    return trace.Attention(
        component=component,
        layer=layer,
        kind=kind,
        entropy=np.full((PROMPTS, steps), 0.6, np.float32),
        keys=np.full(PROMPTS, 77, np.int32),
        top=none,
        weight=np.zeros(none.shape, np.float32),
    )


def _latents():
    return trace.Latents(
        axis=trace.Axis.STEP,
        timesteps=np.array([801, 601, 401, 201], np.float32),
        mean=_drawn(1, PROMPTS, STEPS + 1, 4),
        variance=np.ones((PROMPTS, STEPS + 1, 4), np.float32),
        norm=np.full((PROMPTS, STEPS + 1), 20, np.float32),
        distance=np.full((PROMPTS, STEPS), 0.1, np.float32),
        guidance=np.full((PROMPTS, STEPS), 5, np.float32),
        prediction=np.full((PROMPTS, STEPS), 30, np.float32),
    )


@functools.cache
def _right():
    images = np.random.default_rng(3).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    return trace.Trace(
        library=trace.Library.DIFFUSERS,
        setting=trace.Setting(scheduler="EulerDiscreteScheduler", steps=STEPS, guidance=7.5),
        prompts=("a", "b", "c"),
        seeds=(0, 1, 2),
        dtype="float32",
        versions={},
        attention=tuple(_attention(*one) for one in LAYERS),
        stages=tuple(
            _stage(name, _drawn(10 + place, PROMPTS, trace.SKETCH)) for place, name in enumerate(STAGES)
        ),
        latents=_latents(),
        tokens=(
            trace.Tokens(
                tokenizer="tokenizer",
                ids=((8, 1, 2, 3, END, END), (8, 4, 5, END, END, END), (8, 1, 6, 2, 7, END)),
                padding=END,
            ),
        ),
        decoded=trace.Decoded(latents=_drawn(2, 2, 4, 8, 8), images=images, finite=True),
    )


def _broken(seen, *names, by=0.5):
    """Move some stages by a share of their length."""
    stages = tuple(
        _stage(one.name, one.sketch + by * _drawn(99, *one.sketch.shape)) if one.name in names else one
        for one in seen.stages
    )
    return dataclasses.replace(seen, stages=stages)


def _from(seen, first):
    """Move a stage and everything after it."""
    return _broken(seen, *STAGES[STAGES.index(first) :])


def _stepped(seen, step):
    """Let the latents part after a step, from 0."""
    norm = seen.latents.norm.copy()
    norm[:, step + 1 :] *= 1.3
    return dataclasses.replace(seen, latents=dataclasses.replace(seen.latents, norm=norm))


def _setting(seen, **changed):
    return dataclasses.replace(seen, setting=dataclasses.replace(seen.setting, **changed))


def _ids(seen, *ids):
    return dataclasses.replace(seen, tokens=(dataclasses.replace(seen.tokens[0], ids=ids),))


def _spread(seen, layer, entropy):
    attention = tuple(
        dataclasses.replace(one, entropy=np.full_like(one.entropy, entropy)) if one.layer == layer else one
        for one in seen.attention
    )
    return dataclasses.replace(seen, attention=attention)


def _timesteps(seen, *timesteps):
    latents = dataclasses.replace(seen.latents, timesteps=np.array(timesteps, np.float32))
    return dataclasses.replace(seen, latents=latents)


def _images(seen, images):
    return dataclasses.replace(seen, decoded=dataclasses.replace(seen.decoded, images=images))


def _scaled(seen, by):
    stages = tuple(
        _stage(one.name, one.sketch * by) if one.name == contrast.LATENTS else one for one in seen.stages
    )
    images = np.random.default_rng(7).integers(0, 256, seen.decoded.images.shape).astype(np.uint8)
    return _broken(_images(dataclasses.replace(seen, stages=stages), images), contrast.DECODER)


def _deaf(seen):
    latents = dataclasses.replace(seen.latents, guidance=seen.latents.guidance * np.float32(0.1))
    return dataclasses.replace(_from(seen, contrast.FIRST), latents=latents)


def _diagnosed(candidate, measure=None, **known):
    seen = contrast.Contrast(reference=_right(), candidate=candidate, limits=LIMITS, **known)
    passes = (lambda made: made is _right()) if measure else None
    return diagnosis.diagnose(seen, measure, passes)


def _curing(*cures):
    """Run the candidate otherwise: right with these changes, wrong with all others."""
    wrong = _from(_right(), contrast.FIRST)
    return lambda change: _right() if change in cures else wrong


RIGHT = _right()
OTHER_IDS = ((8, 1, 2, 2, END, END), (8, 4, 5, END, END, END), (8, 1, 6, 2, 7, END))
CUT_IDS = ((8, 1, END, END, END, END), (8, 4, END, END, END, END), (8, 1, END, END, END, END))
TWO_DTYPES = (contrast.Stated(dtypes={"vae": "float32"}), contrast.Stated(dtypes={"vae": "bfloat16"}))

LIKELY = {
    "Tokenisation": _from(_ids(RIGHT, *OTHER_IDS), "text_encoder"),
    "Truncation": _from(_ids(RIGHT, *CUT_IDS), "text_encoder"),
    "TextEncoder": _from(RIGHT, "text_encoder"),
    "StepAliasing": _from(_setting(_timesteps(RIGHT, 801, 601, 601, 201), steps=STEPS), contrast.LAST),
    "SchedulerConfig": _from(_setting(RIGHT, scheduler="DDIMScheduler"), contrast.LAST),
    "ConditioningCollapse": _deaf(RIGHT),
    "DenoiserWeights": _from(RIGHT, contrast.FIRST),
    "Decoder": _broken(_images(RIGHT, 255 - RIGHT.decoded.images), contrast.DECODER),
    "LatentScale": _scaled(RIGHT, 0.18),
}


@pytest.mark.parametrize("name", LIKELY)
def test_a_cause_is_likely_where_the_place_admits_nothing_else(name):
    blame = _diagnosed(LIKELY[name], again=LIKELY[name])

    assert (blame.report.cause, blame.report.confidence) == (name, v.Confidence.LIKELY), blame.report


PROVEN = {
    "Tokenisation": (LIKELY["Tokenisation"], Change(tokens=True)),
    "Truncation": (LIKELY["Truncation"], Change(tokens=True)),
    "TextEncoder": (_spread(_from(RIGHT, contrast.FIRST), "down.attn2", 0.65), Change(clip_skip=1)),
    "SchedulerConfig": (_stepped(_from(RIGHT, contrast.LAST), 0), Change(scheduler=True)),
    "StepAliasing": (
        _setting(_from(_timesteps(RIGHT, 801, 401), contrast.LAST), steps=2),
        Change(steps=True),
    ),
    "OverGuidance": (
        _setting(_stepped(_from(RIGHT, contrast.LAST), 0), guidance=15.0),
        Change(guidance=True),
    ),
    "UnderGuidance": (
        _setting(_stepped(_from(RIGHT, contrast.LAST), 0), guidance=1.0),
        Change(guidance=True),
    ),
}


@pytest.mark.parametrize("name", PROVEN)
def test_a_cause_is_proven_where_the_reference_s_own_makes_every_gate_pass(name):
    candidate, cure = PROVEN[name]

    blame = _diagnosed(candidate, _curing(cure), again=candidate)

    assert (blame.report.cause, blame.report.confidence) == (name, v.Confidence.PROVEN), blame.report


def test_latents_of_another_scale_are_proven_by_the_factor_that_undoes_it():
    tried = []

    def measure(change):
        tried.append(change)
        near = change.latent_scale is not None and abs(change.latent_scale - 1 / 0.18) < 1e-3
        return RIGHT if near else LIKELY["LatentScale"]

    blame = _diagnosed(LIKELY["LatentScale"], measure, again=LIKELY["LatentScale"])

    assert (blame.report.cause, blame.report.confidence) == ("LatentScale", v.Confidence.PROVEN)
    assert len(tried) == blame.tried == 1


def test_an_adapter_that_is_not_loaded_is_proven_by_loading_it():
    stated = (contrast.Stated(adapters={"style": 0.5}), contrast.Stated())
    candidate = _from(RIGHT, contrast.FIRST)

    blame = _diagnosed(candidate, _curing(Change(adapter=0.5)), again=candidate, stated=stated)

    assert (blame.report.cause, blame.report.confidence) == ("Adapter", v.Confidence.PROVEN)


def test_red_and_blue_are_proven_without_asking_the_model_again():
    candidate = _broken(_images(RIGHT, RIGHT.decoded.images[..., ::-1].copy()), contrast.DECODER)

    blame = _diagnosed(candidate, again=candidate)

    assert (blame.report.cause, blame.report.confidence) == ("ChannelOrder", v.Confidence.PROVEN)


def test_a_model_that_differs_from_itself_is_blamed_for_nothing_else():
    candidate = _from(RIGHT, contrast.FIRST)

    blame = _diagnosed(candidate, again=_broken(candidate, contrast.FIRST, by=0.3))

    assert blame.report.cause == "Nondeterminism"
    proven = _diagnosed(candidate, _curing(Change(evaluation=True)), again=RIGHT)
    assert proven.report.confidence is v.Confidence.PROVEN


def test_values_that_are_not_finite_come_before_every_other_cause():
    stages = tuple(
        dataclasses.replace(one, norm=np.full_like(one.norm, np.nan)) if one.name == contrast.DECODER else one
        for one in RIGHT.stages
    )

    blame = _diagnosed(dataclasses.replace(RIGHT, stages=stages))

    assert blame.report.cause == "NonFinite"
    assert contrast.DECODER in blame.report.evidence[0]


def test_a_decoder_that_is_stored_in_fewer_bits_is_a_matter_of_precision():
    noise = np.random.default_rng(5).integers(-5, 6, RIGHT.decoded.images.shape)
    images = np.clip(RIGHT.decoded.images.astype(int) + noise, 0, 255).astype(np.uint8)
    candidate = _broken(_images(RIGHT, images), contrast.DECODER, by=0.01)

    assert _diagnosed(candidate, again=candidate, stated=TWO_DTYPES).report.cause == "Precision"
    assert _diagnosed(candidate, again=candidate).report.cause == "Decoder"


def test_a_layer_whose_attention_collapsed_is_named_with_its_step():
    attention = _spread(_from(RIGHT, contrast.FIRST), "down.attn2", 0.99).attention
    worst = next(one for one in attention if one.layer == "down.attn2")
    worst.entropy[:, 2] = 1.0

    blame = _diagnosed(dataclasses.replace(_from(RIGHT, contrast.FIRST), attention=attention))

    assert blame.report.cause == "ConditioningCollapse"
    assert blame.layer == "unet.down.attn2"
    assert "at step 3" in blame.report.evidence[0]


def test_an_encoder_that_does_not_run_is_no_matter_of_tokens():
    without = dataclasses.replace(RIGHT, tokens=(), stages=RIGHT.stages[1:])

    blame = _diagnosed(_from(without, contrast.FIRST), again=_from(without, contrast.FIRST))

    assert blame.report.cause == "TextEncoder"
    assert "does not run" in blame.report.evidence[0]


def test_of_a_model_of_transformers_the_first_block_that_breaks_is_named():
    names = ("embeddings", "block 0", "block 1", "head")
    stages = tuple(_stage(name, _drawn(place, PROMPTS, trace.SKETCH)) for place, name in enumerate(names))
    right = dataclasses.replace(
        RIGHT, library=trace.Library.TRANSFORMERS, stages=stages, latents=None, decoded=None
    )
    seen = contrast.Contrast(
        reference=right, candidate=_broken(right, "block 1", "head"), limits=LIMITS, again=None
    )

    blame = diagnosis.diagnose(seen)

    assert (blame.report.cause, blame.stage) == ("Unknown", "block 1")
    steady = dataclasses.replace(seen, again=seen.candidate)
    assert diagnosis.diagnose(steady).report.cause == "Weights"


def test_two_faults_at_once_are_not_given_the_name_of_one():
    candidate = _setting(_stepped(_from(RIGHT, contrast.LAST), 0), guidance=15.0, scheduler="DDIMScheduler")

    blame = _diagnosed(candidate, _curing(Change(guidance=True, scheduler=True)), again=candidate)

    assert blame.report.cause == "Unknown"
    assert "two faults" in blame.report.evidence[0]


def test_where_the_two_sides_part_is_told_with_stage_and_step():
    blame = _diagnosed(_stepped(_from(RIGHT, contrast.LAST), 2))

    assert (blame.stage, blame.step) == (contrast.LAST, 3)
    assert "step 3 of 4" in blame.report.evidence[-1]


@pytest.mark.parametrize("name", LIKELY)
def test_every_cause_but_the_named_one_is_excluded_or_left(name):
    report = _diagnosed(LIKELY[name], again=LIKELY[name]).report

    told = {one.cause for one in report.excluded} | set(report.left) | {report.cause}
    assert report.left or told == {one.name for one in diagnosis.TABLE} - _unsaid(report)
    assert report.next


def _unsaid(report):
    # A cause that its own place makes certain needs no rival to be contradicted.
    known = {one.name for one in diagnosis.TABLE}
    return known - {one.cause for one in report.excluded} - {report.cause}


def test_no_more_is_run_than_allowed():
    calls = []

    def measure(change):
        calls.append(change)
        return LIKELY["SchedulerConfig"]

    candidate = _setting(LIKELY["Tokenisation"], guidance=1.0, scheduler="DDIMScheduler")
    seen = contrast.Contrast(reference=RIGHT, candidate=candidate, limits=LIMITS)
    inquiry.inquire(seen, measure, lambda _: False, most=2)

    assert len(calls) == len(set(calls)) == 2


@hypothesis.given(
    moved=st.sets(st.sampled_from(STAGES)),
    by=st.sampled_from((0.01, 0.3, 3.0)),
    layer=st.none() | st.sampled_from([one[1] for one in LAYERS]),
    entropy=st.floats(0, 1),
    step=st.none() | st.integers(0, STEPS - 1),
    guidance=st.sampled_from((7.5, 1.0, 20.0)),
    scheduler=st.sampled_from(("EulerDiscreteScheduler", "DDIMScheduler")),
    cured=st.booleans(),
)
@hypothesis.settings(max_examples=60, deadline=None)
def test_nothing_is_proven_that_no_run_showed(*, moved, by, layer, entropy, step, guidance, scheduler, cured):
    candidate = _setting(_broken(RIGHT, *moved, by=by), guidance=guidance, scheduler=scheduler)
    candidate = candidate if layer is None else _spread(candidate, layer, entropy)
    candidate = candidate if step is None else _stepped(candidate, step)
    ran = []

    def measure(change):
        ran.append(change)
        return RIGHT if cured else candidate

    blame = _diagnosed(candidate, measure, again=candidate)

    if blame.report.confidence is v.Confidence.PROVEN:
        assert cured
        assert ran
    assert blame.report.cause not in {one.cause for one in blame.report.excluded}
