"""Traces made up for tests: what hooks would have seen, without torch."""

import dataclasses

import numpy as np

from canary_checks.internals import trace

TOKENS = ("<s>", "red", "bicycle", "</s>")


def made(
    *, prompts: int = 3, steps: int = 4, layers: int = 3, channels: int = 4, seed: int = 0
) -> trace.Trace:
    """Make a trace of a pipeline: half of its layers read the text."""
    random = np.random.default_rng(seed)

    def floats(*shape: int) -> np.ndarray:
        return random.uniform(0.3, 0.9, shape).astype(np.float32)

    names = [f"blocks.{n}.attn{1 + n % 2}" for n in range(layers)]
    return trace.Trace(
        library=trace.Library.DIFFUSERS,
        setting=trace.Setting(scheduler="DDIMScheduler", steps=steps, guidance=7.5),
        prompts=tuple(f"prompt {n}" for n in range(prompts)),
        seeds=tuple(range(prompts)),
        dtype="float32",
        versions={"torch": "2.15.0", "device": "cpu"},
        attention=tuple(
            trace.Attention(
                component="unet",
                layer=name,
                kind=trace.AttentionKind.CROSS if name.endswith("2") else trace.AttentionKind.SELF,
                entropy=floats(prompts, steps),
                keys=np.full(prompts, 64, np.int32),
                top=random.integers(0, 4, (prompts, steps, trace.TOP_KEYS)).astype(np.int32),
                weight=floats(prompts, steps, trace.TOP_KEYS).astype(np.float16).astype(np.float32),
            )
            for name in names
        ),
        stages=tuple(
            trace.Stage(
                name=name,
                module="unet",
                size=np.full(prompts, 1024, np.int32),
                norm=floats(prompts) + 10,
                mean=floats(prompts),
                sketch=random.normal(size=(prompts, trace.SKETCH)).astype(np.float32),
            )
            for name in ("text_encoder", "denoiser first step", "latents", "decoder")
        ),
        latents=trace.Latents(
            axis=trace.Axis.STEP,
            timesteps=np.linspace(999, 1, steps, dtype=np.float32),
            mean=floats(prompts, steps + 1, channels),
            variance=floats(prompts, steps + 1, channels),
            norm=floats(prompts, steps + 1),
            distance=floats(prompts, steps),
            guidance=floats(prompts, steps),
            prediction=floats(prompts, steps),
        ),
        tokens=(
            trace.Tokens(
                tokenizer="tokenizer", ids=((0, 1, 2, 3),) * prompts, pieces=(TOKENS,) * prompts, padding=3
            ),
        ),
        decoded=trace.Decoded(
            latents=floats(2, channels, 4, 4),
            images=random.integers(0, 256, (2, 32, 32, 3)).astype(np.uint8),
            finite=True,
        ),
    )


def attended(seen: trace.Trace, place: int, shift: float, step: int | None = None) -> trace.Trace:
    """Move the entropy of one layer, at one step or at all."""
    layers = list(seen.attention)
    entropy = layers[place].entropy.copy()
    entropy[:, slice(None) if step is None else step] += shift
    layers[place] = dataclasses.replace(layers[place], entropy=entropy)
    return dataclasses.replace(seen, attention=tuple(layers))


def staged(seen: trace.Trace, name: str, factor: float) -> trace.Trace:
    """Stretch the output of one stage."""
    return dataclasses.replace(
        seen,
        stages=tuple(
            dataclasses.replace(one, sketch=one.sketch * factor, norm=one.norm * factor)
            if one.name == name
            else one
            for one in seen.stages
        ),
    )


def moved(seen: trace.Trace, **fields: np.ndarray) -> trace.Trace:
    """Replace arrays of the latents."""
    assert seen.latents is not None
    return dataclasses.replace(seen, latents=dataclasses.replace(seen.latents, **fields))
