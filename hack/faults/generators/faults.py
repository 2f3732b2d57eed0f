"""Faults of generators as teams make them, each with its key: what it may be called.

The key was fixed before anything was measured. `FAULTS` were seen while the diagnosis was written, `HELD_OUT`
only when it was finished. `BENIGN` changes nothing that counts. Needs torch.
"""

import dataclasses
from typing import Final

import torch

from canary_checks import vocabulary as v
from canary_checks.internals.causes import contrast
from hack.faults.generators import edits, pipelines

SD: Final = "stable-diffusion"
SD3: Final = "stable-diffusion-3"
_CROSS: Final = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
_SELF: Final = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
_OTHER_TEXTS: Final = (
    "a red bike leaning on the brick wall in the evening, three green pears on a table",
    "posters and signs with words in black letters, an old tower on the coast, noodles with eggs",
)
_LORA: Final = contrast.Stated(adapters={"style": 0.5})


def _nothing(_: object) -> None:
    pass


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One fault or benign change.

    Attributes
    ----------
    name
        For the table.
    accepted
        Causes that it may be called; empty for a benign change.
    model
        Which pipeline.
    folder, loaded
        What was done to the candidate's files, and to the pipeline that was loaded from them.
    reference
        How the reference was made, by its name in `REFERENCES`.
    steps, guidance
        What the candidate was asked for.
    numeric_class
        Of the pair.
    computed
        In what class the candidate is really computed, where that is another.
    stated
        What the files of each side say, reference first.
    """

    name: str
    accepted: frozenset[str]
    model: str = SD
    folder: edits.Edit = _nothing
    loaded: edits.Patch = _nothing
    reference: str = ""
    steps: int = pipelines.STEPS
    guidance: float = pipelines.GUIDANCE
    numeric_class: v.NumericClass = v.NumericClass.FP32
    computed: v.NumericClass | None = None
    stated: tuple[contrast.Stated, contrast.Stated] = (contrast.Stated(), contrast.Stated())


@dataclasses.dataclass(frozen=True)
class Before:
    """How a reference was made that is not the plain pipeline."""

    folder: edits.Edit = _nothing
    loaded: edits.Patch = _nothing


REFERENCES: Final[dict[str, Before]] = {
    "": Before(),
    "with an adapter": Before(folder=edits.weights("unet", edits.adapted(0.5))),
    "second to last layer": Before(loaded=edits.encoding(clip_skip=1)),
    "large decoder": Before(folder=edits.weights("vae", edits.overflowing)),
}


def _case(name: str, *accepted: str, **how: object) -> Case:
    return Case(name=name, accepted=frozenset(accepted), **how)  # type: ignore[arg-type]


FAULTS: Final = (
    # The scheduler and the call.
    _case("scheduler: DDIM for Euler", "SchedulerConfig", folder=edits.scheduler("DDIMScheduler")),
    _case(
        "scheduler: DPM-Solver++ for Euler",
        "SchedulerConfig",
        folder=edits.scheduler("DPMSolverMultistepScheduler"),
    ),
    _case("beta schedule: linear", "SchedulerConfig", folder=edits.said("scheduler", beta_schedule="linear")),
    _case(
        "prediction type: v for epsilon",
        "SchedulerConfig",
        folder=edits.said("scheduler", prediction_type="v_prediction"),
    ),
    _case(
        "timesteps: trailing for leading",
        "SchedulerConfig",
        folder=edits.said("scheduler", timestep_spacing="trailing"),
    ),
    _case("flow: shift 1 for 3", "SchedulerConfig", model=SD3, folder=edits.said("scheduler", shift=1.0)),
    _case("steps: 3 for 4", "StepAliasing", steps=3),
    _case("steps: 6 for 4", "StepAliasing", steps=6),
    _case("guidance: 1 for 7.5", "UnderGuidance", guidance=1.0),
    _case("guidance: 15 for 7.5", "OverGuidance", guidance=15.0),
    _case("flow: guidance 15 for 7.5", "OverGuidance", model=SD3, guidance=15.0),
    # The prompt.
    _case("tokenizer: of another version", "Tokenisation", folder=edits.tokenizer(corpus=_OTHER_TEXTS)),
    _case("tokenizer: half of its merges lost", "Tokenisation", folder=edits.fewer_merges),
    _case(
        "prompt cut after 12 tokens",
        "Truncation",
        "Tokenisation",
        folder=edits.tokenizer_said(model_max_length=12),
    ),
    _case(
        "T5's prompt cut after 16 tokens",
        "Truncation",
        "Tokenisation",
        model=SD3,
        loaded=edits.encoding(max_sequence_length=16),
    ),
    _case(
        "text encoder: other weights",
        "TextEncoder",
        folder=edits.weights("text_encoder", edits.anew("layers")),
    ),
    _case(
        "text encoder: last layer missing",
        "TextEncoder",
        folder=edits.said("text_encoder", num_hidden_layers=3),
    ),
    # diffusers 0.42 cannot skip layers of Stable Diffusion's own encoder as transformers 5 builds it.
    _case("flow: clip_skip 1 lost", "TextEncoder", model=SD3, reference="second to last layer"),
    _case("T5 not loaded", "TextEncoder", model=SD3, loaded=edits.without_t5),
    _case(
        "second text encoder: other weights",
        "TextEncoder",
        model=SD3,
        folder=edits.weights("text_encoder_2", edits.anew("layers")),
    ),
    # The denoiser.
    _case(
        "adapter not loaded",
        "Adapter",
        reference="with an adapter",
        stated=(_LORA, contrast.Stated()),
    ),
    _case(
        "adapter at scale 1 for 0.5",
        "Adapter",
        reference="with an adapter",
        folder=edits.weights("unet", edits.adapted(1.0)),
        stated=(_LORA, contrast.Stated(adapters={"style": 1.0})),
    ),
    _case("adapter lost, stated nowhere", "Adapter", "DenoiserWeights", reference="with an adapter"),
    _case(
        "cross attention of one layer zeroed",
        "ConditioningCollapse",
        folder=edits.weights("unet", edits.scaled(0.0, f"{_CROSS}.to_q", f"{_CROSS}.to_k")),
    ),
    _case(
        "cross attention of one layer too even (scores x 0.25)",
        "ConditioningCollapse",
        loaded=edits.temperature(_CROSS, 0.25),
    ),
    _case(
        "cross attention of one layer too sharp (scores x 8)",
        "ConditioningCollapse",
        loaded=edits.temperature(_CROSS, 8.0),
    ),
    _case("conditioning lost: both halves unconditional", "ConditioningCollapse", loaded=edits.deaf),
    _case(
        "flow: conditioning lost, both halves unconditional",
        "ConditioningCollapse",
        model=SD3,
        loaded=edits.deaf,
    ),
    _case(
        "self attention of one layer at half its scale",
        "DenoiserWeights",
        loaded=edits.temperature(_SELF, 0.5),
    ),
    _case("weights: noise of 0.1 x std", "DenoiserWeights", folder=edits.weights("unet", edits.noise(0.1))),
    _case(
        "weights: one block new",
        "DenoiserWeights",
        folder=edits.weights("unet", edits.anew("mid_block.resnets.0")),
    ),
    _case(
        "flow: one block new",
        "DenoiserWeights",
        model=SD3,
        folder=edits.weights("transformer", edits.anew("transformer_blocks.1.attn")),
    ),
    _case("timestep told one too late", "DenoiserWeights", "SchedulerConfig", loaded=edits.later(1)),
    # The decoder.
    _case("VAE: scaling factor lost", "LatentScale", folder=edits.said("vae", scaling_factor=1.0)),
    _case(
        "VAE: scaling factor of another model",
        "LatentScale",
        folder=edits.said("vae", scaling_factor=0.13025),
    ),
    _case(
        "VAE: shift factor lost",
        "LatentScale",
        "Decoder",
        model=SD3,
        folder=edits.said("vae", shift_factor=0.0),
    ),
    _case("VAE: other weights", "Decoder", folder=edits.weights("vae", edits.anew("decoder"))),
    _case(
        "VAE: one block new",
        "Decoder",
        folder=edits.weights("vae", edits.anew("decoder.up_blocks.1.resnets.0")),
    ),
    _case("red and blue exchanged", "ChannelOrder", folder=edits.weights("vae", edits.channels(2, 1, 0))),
    _case(
        "VAE: overflows in fp16",
        "NonFinite",
        "Precision",
        reference="large decoder",
        folder=edits.weights("vae", edits.overflowing),
        numeric_class=v.NumericClass.FP16,
    ),
    # The numbers.
    _case("dropout left on", "Nondeterminism", loaded=edits.training),
    _case("bf16, declared fp32", "Precision", computed=v.NumericClass.BF16),
    _case(
        "8 bits for each matrix of the denoiser",
        "Precision",
        "DenoiserWeights",
        folder=edits.weights("unet", edits.in_eight_bits),
    ),
    # Two at once: neither alone explains it.
    _case(
        "two faults: guidance and scheduler",
        "Unknown",
        folder=edits.scheduler("DDIMScheduler"),
        guidance=12.0,
    ),
    _case(
        "two faults: tokenizer and decoder",
        "Unknown",
        "Tokenisation",
        folder=edits.both(edits.tokenizer(corpus=_OTHER_TEXTS), edits.weights("vae", edits.anew("decoder"))),
    ),
)

HELD_OUT: Final = (
    _case("scheduler: PNDM for Euler", "SchedulerConfig", folder=edits.scheduler("PNDMScheduler")),
    _case("sigmas of Karras", "SchedulerConfig", folder=edits.said("scheduler", use_karras_sigmas=True)),
    _case(
        "timesteps: linspace for leading",
        "SchedulerConfig",
        "StepAliasing",
        folder=edits.said("scheduler", timestep_spacing="linspace"),
    ),
    _case("beta end 0.02 for 0.012", "SchedulerConfig", folder=edits.said("scheduler", beta_end=0.02)),
    _case("flow: shift 5 for 3", "SchedulerConfig", model=SD3, folder=edits.said("scheduler", shift=5.0)),
    _case("guidance: 9 for 7.5", "OverGuidance", guidance=9.0),
    _case("guidance rescaled by 0.7, stated nowhere", "UnderGuidance", "Unknown", loaded=edits.rescaled(0.7)),
    _case("steps: 5 for 4", "StepAliasing", steps=5),
    _case("template before the prompt", "Tokenisation", loaded=edits.prefixed),
    _case(
        "flow: second tokenizer of another version",
        "Tokenisation",
        model=SD3,
        folder=edits.tokenizer("tokenizer_2", corpus=_OTHER_TEXTS),
    ),
    _case(
        "text encoder: last layer norm doubled",
        "TextEncoder",
        folder=edits.weights("text_encoder", edits.scaled(2.0, "final_layer_norm.weight")),
    ),
    _case(
        "flow: clip_skip 1, which nobody asked for",
        "TextEncoder",
        model=SD3,
        loaded=edits.encoding(clip_skip=1),
    ),
    _case(
        "cross attention in the middle zeroed",
        "ConditioningCollapse",
        folder=edits.weights(
            "unet", edits.scaled(0.0, "mid_block.attentions.0.transformer_blocks.0.attn2.to_q")
        ),
    ),
    _case(
        "values of every cross attention zeroed",
        "ConditioningCollapse",
        folder=edits.weights("unet", edits.scaled(0.0, "attn2.to_v")),
    ),
    _case("weights: noise of 0.03 x std", "DenoiserWeights", folder=edits.weights("unet", edits.noise(0.03))),
    _case(
        "flow: time embedding new",
        "DenoiserWeights",
        model=SD3,
        folder=edits.weights("transformer", edits.anew("time_text_embed.timestep_embedder")),
    ),
    _case("VAE: noise of 0.1 x std", "Decoder", folder=edits.weights("vae", edits.noise(0.1))),
    _case("VAE: images brighter by 0.2", "Decoder", folder=edits.weights("vae", edits.brighter(0.2))),
    _case(
        "channels turned: GBR",
        "ChannelOrder",
        "Decoder",
        folder=edits.weights("vae", edits.channels(1, 2, 0)),
    ),
    _case("flow: bf16, declared fp32", "Precision", model=SD3, computed=v.NumericClass.BF16),
)

BENIGN: Final = (
    _case("the same again"),
    _case("flow: the same again", model=SD3),
    _case("another attention kernel", loaded=edits.eager),
    # Both were meant as faults, and the libraries undo them when they load the folder.
    _case("timesteps: offset lost", folder=edits.said("scheduler", steps_offset=0)),
    _case("tokenizer.json without lower case", folder=edits.without_normalizer),
    _case(
        "weights of the denoiser stored in float64", folder=edits.weights("unet", edits.stored(torch.float64))
    ),
    _case("bf16", numeric_class=v.NumericClass.BF16),
    _case("flow: bf16", model=SD3, numeric_class=v.NumericClass.BF16),
    _case("fp16", numeric_class=v.NumericClass.FP16),
    _case(
        "VAE stored in bf16, class bf16",
        folder=edits.weights("vae", edits.stored(torch.bfloat16)),
        numeric_class=v.NumericClass.BF16,
    ),
    _case(
        "configuration with another name and version",
        folder=edits.said("scheduler", _diffusers_version="0.1", _name_or_path="elsewhere"),
    ),
)
