"""What was seen inside a model: attention, latents, stages, tokens and decoded images, for one setting.

A trace is small. Everything in it is reduced while the model runs: no attention map and no series of latents
is ever held. Arrays are numpy's, float32 unless said otherwise; the first axis is always the prompt.
"""

import dataclasses
import enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from canary_checks.internals import asked

Library = asked.Library
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]
TOP_KEYS: Final = 3
"""How many keys are kept for each layer and step: those with the largest mean weight."""
SKETCH: Final = 256
"""How many numbers a stage's output is reduced to."""
FIRST_STEP: Final = "denoiser first step"
LAST_STEP: Final = "denoiser last step"
LATENTS: Final = "latents"
DECODER: Final = "decoder"


class AttentionKind(enum.StrEnum):
    """Where the keys come from."""

    SELF = "Self"
    CROSS = "Cross"
    JOINT = "Joint"
    """One sequence of image and text (MMDiT): all keys together."""


class Axis(enum.StrEnum):
    """What the second axis of `Latents` counts."""

    STEP = "Step"
    LAYER = "Layer"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """How a model was run.

    Attributes
    ----------
    scheduler
        Class of the scheduler, such as ``EulerDiscreteScheduler``; None where there is none (transformers).
    steps
        Denoising steps that ran; 1 where there is no scheduler.
    guidance
        Scale of classifier-free guidance that was asked for; None where the pipeline has none.
    """

    scheduler: str | None
    steps: int
    guidance: float | None

    def named(self) -> str:
        """Return the setting in words for people."""
        guided = "" if self.guidance is None else f", guidance {self.guidance:g}"
        return f"{self.scheduler or 'one pass'}, {self.steps} steps{guided}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attention:
    """Attention of one layer.

    Attributes
    ----------
    component
        Part of the model: ``unet``, ``transformer``, ``text_encoder``, ``text_encoder_2``, ``vae`` …, or
        ``model`` (transformers).
    layer
        Path of the module inside the component.
    kind
        Self, cross or joint.
    entropy
        Shape ``[prompts, steps]``: ``-sum p ln p / ln(keys)``, mean over heads and queries, in 0…1; of the
        conditional half where guidance doubles the batch. Masked keys do not count, neither do queries with
        one key. NaN where the weights were not finite or no query counted. A component that runs once per
        prompt (a text encoder) has one step.
    keys
        Shape ``[prompts]``, int32: how many keys there were.
    top
        Shape ``[prompts, steps, TOP_KEYS]``, int32: positions of the keys with the largest mean weight over
        heads and queries, largest first; -1 where there are fewer. For cross attention a position is one of
        the sequence of `Tokens`.
    weight
        Shape ``[prompts, steps, TOP_KEYS]``: their mean weight; 0 where `top` is -1.
    text_weight
        Of joint attention, shape ``[prompts, steps]``: the mean weight that the image's queries give to the
        text's keys; None of other kinds, and where image and text cannot be told apart.
    """

    component: str
    layer: str
    kind: AttentionKind
    entropy: Floats
    keys: Integers
    top: Integers
    weight: Floats
    text_weight: Floats | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """Output of one part of the model, reduced to a sketch that keeps distances.

    Stages of a diffusers pipeline, in the order in which they run: ``text_encoder`` (and ``text_encoder_2``,
    ``text_encoder_3``), ``denoiser first step``, ``denoiser last step``, ``latents`` (what the decoder is
    given), ``decoder``. Of a transformers model: ``embeddings``, every block (``block 0`` …), ``head``.

    Attributes
    ----------
    name
        As above.
    module
        Path of the module whose output it is.
    size
        Shape ``[prompts]``, int32: how many elements the output has.
    norm
        Shape ``[prompts]``: Euclidean length of the output; NaN when it was not finite.
    mean
        Shape ``[prompts]``: mean of its elements.
    sketch
        Shape ``[prompts, SKETCH]``: every element added with a fixed random sign to a fixed random place, so
        that ``|sketch_a - sketch_b|`` estimates ``|a - b|`` within about 9 %.
    """

    name: str
    module: str
    size: Integers
    norm: Floats
    mean: Floats
    sketch: Floats


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latents:
    """The way from noise to a clean latent; in a transformers model, from layer to layer.

    Attributes
    ----------
    axis
        Step (diffusers) or layer (transformers: embeddings, then each block; one channel, which is all).
    timesteps
        Shape ``[steps]``, float32: the timesteps that the denoiser was given, in order; empty for layers.
    mean, variance
        Shape ``[prompts, steps + 1, channels]``: of each channel over its places; the first is the initial
        noise (the embeddings).
    norm
        Shape ``[prompts, steps + 1]``: Euclidean length of the whole latent.
    distance
        Shape ``[prompts, steps]``: ``|x_{t+1} - x_t| / |x_t|``.
    guidance
        Shape ``[prompts, steps]``: ``|cond - uncond|`` of the denoiser's two predictions, or None without
        classifier-free guidance.
    prediction
        Shape ``[prompts, steps]``: Euclidean length of the conditional prediction; None for layers.
    """

    axis: Axis
    timesteps: Floats
    mean: Floats
    variance: Floats
    norm: Floats
    distance: Floats
    guidance: Floats | None
    prediction: Floats | None

    def snr_db(self) -> npt.NDArray[np.float64]:
        """Return the signal-to-noise ratio of every step and channel over all prompts together.

        Returns
        -------
        Shape ``[steps + 1, channels]``, dB: ``10 log10(E[mean²] / E[variance])``, expectations over prompts.
        One prompt's mean may be near 0, where decibels say nothing; that of all prompts together is not.
        """
        signal = np.square(self.mean.astype(np.float64)).mean(0)
        noise = self.variance.astype(np.float64).mean(0)
        tiny = np.finfo(np.float64).tiny
        decibels = 10 * (np.log10(np.maximum(signal, tiny)) - np.log10(np.maximum(noise, tiny)))
        return np.where(np.isfinite(signal) & np.isfinite(noise), decibels, np.nan)

    def sign(self, least: float = 0.05) -> npt.NDArray[np.int8]:
        """Return the sign of each channel's mean over all prompts; 0 where it is too near 0 to have one.

        Parameters
        ----------
        least
            Least ``|mean| / sqrt(variance)`` of a sign.

        Returns
        -------
        Shape ``[steps + 1, channels]``, int8.
        """
        mean = self.mean.astype(np.float64).mean(0)
        spread = np.sqrt(self.variance.astype(np.float64).mean(0))
        return np.where(np.abs(mean) > least * spread, np.sign(mean), 0).astype(np.int8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokens:
    """What one tokenizer made of the prompts.

    Attributes
    ----------
    tokenizer
        Its component: ``tokenizer``, ``tokenizer_2``, ….
    ids
        The ids that its encoder was given, for each prompt, padding included.
    pieces
        The same as text, where the vocabulary could be read: empty if not.
    padding
        The id that padding has, or None.
    """

    tokenizer: str
    ids: tuple[tuple[int, ...], ...]
    pieces: tuple[tuple[str, ...], ...] = ()
    padding: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoded:
    """Clean latents and the images that a decoder made of them.

    Of a reference, its own latents; of a candidate that is compared with one, the reference's latents.

    Attributes
    ----------
    latents
        Shape ``[n, channels, height, width]``: what the decoder was given, before its scaling is undone.
    images
        Shape ``[n, height, width, 3]``, uint8.
    finite
        Whether every number was finite before it became a byte.
    """

    latents: Floats
    images: npt.NDArray[np.uint8]
    finite: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """What was seen inside a model for one setting.

    Attributes
    ----------
    library, setting
        How it was run.
    prompts, seeds
        What it was given, one seed for each prompt.
    dtype
        Of the weights as they were loaded: ``float32``, ``bfloat16`` or ``float16``.
    versions
        Of the libraries that ran it, and the device.
    attention
        Each layer, in the order in which it runs.
    stages
        In the order in which they run.
    latents
        None of a model that has neither steps nor layers that could be told.
    tokens
        Each tokenizer.
    decoded
        None where nothing is decoded.
    """

    library: Library
    setting: Setting
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    dtype: str
    versions: dict[str, str]
    attention: tuple[Attention, ...]
    stages: tuple[Stage, ...]
    latents: Latents | None
    tokens: tuple[Tokens, ...]
    decoded: Decoded | None


def first(seen: Trace, count: int) -> Trace:
    """Return a trace of the first prompts alone, and all of it where it has no more."""
    if count >= len(seen.prompts):
        return seen
    rows = slice(0, count)

    def cut(value: Any) -> Any:
        return value[rows] if isinstance(value, np.ndarray) else value

    def of(one: Any, *whole: str) -> Any:
        fields = {f.name: getattr(one, f.name) for f in dataclasses.fields(one)}
        return dataclasses.replace(one, **{n: cut(x) for n, x in fields.items() if n not in whole})

    decoded = seen.decoded
    return dataclasses.replace(
        seen,
        prompts=seen.prompts[rows],
        seeds=seen.seeds[rows],
        attention=tuple(of(one) for one in seen.attention),
        stages=tuple(of(one) for one in seen.stages),
        latents=None if seen.latents is None else of(seen.latents, "timesteps"),
        tokens=tuple(
            dataclasses.replace(one, ids=one.ids[rows], pieces=one.pieces[rows]) for one in seen.tokens
        ),
        decoded=None if decoded is None else of(decoded),
    )
