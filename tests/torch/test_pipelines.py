"""What hooks see of real pipelines is what the same mathematics gives by hand."""

import threading

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models import attention_processor

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.internals import comparison, judging, loading, pipelines, trace
from hack.faults.generators import pipelines as makers

PROMPTS = makers.PROMPTS[:2]
CROSS = "unet.mid_block.attentions.0.transformer_blocks.0.attn2"


@pytest.fixture(scope="module")
def known(folders, machine):
    return pipelines.Pipeline(folders["stable-diffusion"], machine).run(PROMPTS, seed=3, steps=3)


def layer(seen, name):
    return next(one for one in seen.attention if comparison.name(one) == name)


def test_everything_inside_a_unet_is_seen(known):
    assert known.library is trace.Library.DIFFUSERS
    assert known.setting == trace.Setting(scheduler="EulerDiscreteScheduler", steps=3, guidance=7.5)
    assert [one.name for one in known.stages] == [
        *("text_encoder", trace.FIRST_STEP, trace.LAST_STEP, trace.LATENTS, trace.DECODER)
    ]
    kinds = {one.kind for one in known.attention if one.component == "unet"}
    assert kinds == {trace.AttentionKind.SELF, trace.AttentionKind.CROSS}
    for one in known.attention:
        assert one.entropy.shape == (2, 3 if one.component == "unet" else 1), one.layer
        assert ((one.entropy > 0) & (one.entropy < 1)).all(), one.layer
        assert (np.diff(one.weight, axis=-1) <= 0).all(), "the largest first"
    assert known.latents is not None
    assert known.latents.mean.shape == (2, 4, 4)
    assert (known.latents.guidance > 0).all()
    assert known.tokens[0].pieces[0][0] == "<|startoftext|>"
    assert {len(ids) for ids in known.tokens[0].ids} == {77}
    assert judging.non_finite(known) == 0


def test_entropy_is_that_of_the_weights_themselves(diffusion, known):
    """Diffusers' other processor computes the weights in plain sight: they give the same entropy."""
    kept = {}

    class Plain(attention_processor.AttnProcessor):
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **rest):
            other = hidden_states if encoder_hidden_states is None else encoder_hidden_states
            query, key = attn.head_to_batch_dim(attn.to_q(hidden_states)), attn.to_k(other)
            p = attn.get_attention_scores(query, attn.head_to_batch_dim(key)).double()
            # Of the conditional half alone: [2 x heads, queries, keys].
            p = p[len(p) // 2 :]
            bits = -(p * p.log()).sum(-1) / np.log(p.shape[-1])
            kept.setdefault(id(attn), []).append(float(bits.mean()))
            return super().__call__(attn, hidden_states, encoder_hidden_states, **rest)

    module = diffusion.pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn2
    module.set_processor(Plain())
    seen = diffusion.run(PROMPTS[:1], seed=3, steps=3)
    assert layer(seen, CROSS).entropy[0] == pytest.approx(kept[id(module)], abs=1e-5)
    assert layer(known, CROSS).entropy[0] == pytest.approx(kept[id(module)], abs=1e-5)


def test_latents_are_those_that_the_pipeline_hands_out(diffusion, known):
    steps = []

    def keep(_pipe, _step, _timestep, given):
        steps.append(given["latents"][0].clone())
        return given

    diffusion.pipe(
        PROMPTS[0],
        num_inference_steps=3,
        generator=torch.Generator("cpu").manual_seed(3),
        callback_on_step_end=keep,
        output_type="latent",
    )
    latents = known.latents
    assert latents.norm[0, 1:] == pytest.approx([float(one.norm()) for one in steps], rel=1e-5)
    assert latents.mean[0, -1] == pytest.approx(steps[-1].mean((1, 2)).numpy(), abs=1e-5)
    moved = float((steps[1] - steps[0]).norm() / steps[0].norm())
    assert latents.distance[0, 1] == pytest.approx(moved, rel=1e-4)


def test_the_same_seed_gives_the_same_numbers_and_leaves_no_hook_behind(diffusion, known):
    again = diffusion.run(PROMPTS, seed=3, steps=3, known=known.decoded.latents)
    found = comparison.compare(again, known)
    assert found.entropy_worst()[0] == 0
    assert max(float(far.max()) for far in found.stages.values()) == 0
    assert (found.psnr == 100).all()
    hooked = [m for m in diffusion.pipe.unet.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert hooked == []
    assert "step" not in vars(diffusion.pipe.scheduler)
    assert "decode" not in vars(diffusion.pipe.vae)


def test_a_sketch_tells_how_far_two_outputs_are(known, diffusion):
    with torch.no_grad():
        diffusion.pipe.vae.decoder.conv_out.bias += 0.25
    found = comparison.compare(diffusion.run(PROMPTS, seed=3, steps=3, known=known.decoded.latents), known)
    size = known.stages[-1].size[0]
    wanted = 0.25 * np.sqrt(size) / known.stages[-1].norm
    assert found.stages[trace.DECODER] == pytest.approx(wanted, rel=0.3)
    assert found.stages[trace.LATENTS].max() == 0
    assert found.psnr.max() < 30


def test_the_first_stage_that_breaks_is_named(known, diffusion):
    with torch.no_grad():
        diffusion.pipe.unet.conv_in.bias += 0.5
    found = comparison.compare(diffusion.run(PROMPTS, seed=3, steps=3), known)
    name, far = judging.first_broken(found, v.NumericClass.FP32)
    assert name == trace.FIRST_STEP
    assert far > 0.01


def test_a_wrong_scale_of_attention_shows_at_its_layer(known, diffusion):
    """No change of code: the model's own processor is told another scale, as a wrong port would."""
    module = diffusion.pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn2
    with torch.no_grad():
        module.to_q.weight *= 5
    found = comparison.compare(diffusion.run(PROMPTS, seed=3, steps=3), known)
    value, place = found.entropy_worst()
    assert place.name == CROSS
    assert value > 0.1
    judged = judging.against(
        found, judging.Limits(), numeric_class=v.NumericClass.FP32, same_numbers=True, role="Stable"
    )
    failed = {gate.metric for gate in judged if gate.verdict is v.Verdict.FAIL}
    assert {"EntropyShiftMax", "StageDistance", "LatentDistanceShift"} <= failed


def test_other_schedulers_and_settings_can_be_asked_for(diffusion):
    seen = diffusion.run(PROMPTS[:1], seed=0, scheduler="DDIMScheduler", steps=2, guidance=1.0)
    assert seen.setting == trace.Setting(scheduler="DDIMScheduler", steps=2, guidance=1.0)
    assert seen.latents.guidance is None
    assert diffusion.run(PROMPTS[:1], seed=0, steps=2).setting.scheduler == "EulerDiscreteScheduler"


@pytest.mark.parametrize("name", ["AutoencoderKL", "NoSuchScheduler"])
def test_a_scheduler_that_is_none_is_refused_in_one_sentence(diffusion, name):
    with pytest.raises(failure.CheckError, match=f"diffusers has no scheduler {name}"):
        diffusion.run(PROMPTS[:1], seed=0, scheduler=name, steps=1)


def test_joint_attention_and_three_encoders_are_seen(folders, machine):
    seen = pipelines.Pipeline(folders["stable-diffusion-3"], machine).run(PROMPTS[:1], seed=0, steps=2)
    joint = [one for one in seen.attention if one.kind is trace.AttentionKind.JOINT]
    assert len(joint) == 3
    for one in joint:
        assert one.entropy.shape == (1, 2)
        assert ((one.text_weight > 0) & (one.text_weight < 1)).all()
    assert [one.tokenizer for one in seen.tokens] == ["tokenizer", "tokenizer_2", "tokenizer_3"]
    assert seen.decoded is not None
    assert judging.non_finite(seen) == 0


def test_every_part_of_a_pipeline_runs_in_the_asked_type(folders):
    half = loading.machine(v.NumericClass.BF16, threading.Event())
    loaded = pipelines.Pipeline(folders["stable-diffusion-3"], half)
    assert {part.dtype for part in (loaded.pipe.transformer, loaded.pipe.vae)} == {torch.bfloat16}
    assert judging.non_finite(loaded.run(PROMPTS[:1], seed=0, steps=1)) == 0


def test_bfloat16_starts_from_the_same_noise(folders, known):
    half = loading.machine(v.NumericClass.BF16, threading.Event())
    seen = pipelines.Pipeline(folders["stable-diffusion"], half).run(PROMPTS[:1], seed=3, steps=3)
    assert seen.dtype == "bfloat16"
    assert seen.latents.norm[0, 0] == pytest.approx(known.latents.norm[0, 0], rel=5e-3)
    assert seen.latents.mean[0, 0] == pytest.approx(known.latents.mean[0, 0], abs=0.05)


def test_an_ended_check_ends_the_model_at_its_next_step(folders):
    stop = threading.Event()
    pipe = pipelines.Pipeline(folders["stable-diffusion"], loading.machine(v.NumericClass.FP32, stop))
    stop.set()
    with pytest.raises(InterruptedError):
        pipe.run(PROMPTS, seed=0, steps=50)


def test_what_is_not_finite_is_counted(diffusion):
    with torch.no_grad():
        diffusion.pipe.unet.conv_in.bias[0] = torch.nan
    assert judging.non_finite(diffusion.run(PROMPTS[:1], seed=0, steps=1)) > 0


def test_a_pipeline_without_prompts_is_told_so(tmp_path, machine):
    unet = diffusers.UNet2DModel(
        sample_size=8, block_out_channels=(8, 8), norm_num_groups=4, layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    diffusers.DDPMPipeline(unet=unet, scheduler=diffusers.DDPMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(failure.CheckError, match="takes no prompt"):
        pipelines.Pipeline(tmp_path, machine)
