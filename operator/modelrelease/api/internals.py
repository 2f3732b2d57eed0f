"""Internals: the model's own files are run in the check's pod, and what happens inside is compared."""

import enum
from typing import Annotated, Any, Final

import pydantic

from modelrelease.api import base, pods

PositiveDecimal = Annotated[str, pydantic.Field(max_length=19, pattern=base.POSITIVE_DECIMAL)]
Scheduler = Annotated[str, pydantic.Field(min_length=2, max_length=64, pattern=base.CLASS_NAME)]
"""A class of diffusers, such as ``DDIMScheduler``."""
Guidance = Annotated[str, pydantic.Field(max_length=8, pattern=base.SCALE)]
Steps = Annotated[int, pydantic.Field(ge=1, le=200)]
UserId = Annotated[int, pydantic.Field(ge=1, le=2_147_483_647)]
SWEEP_MAX: Final = 64
"""Most settings of one sweep: each draws every prompt anew."""


class Library(enum.StrEnum):
    """What runs the model in the check."""

    DIFFUSERS = "Diffusers"
    TRANSFORMERS = "Transformers"


class InternalsMetric(enum.StrEnum):
    """What is bounded."""

    TOKEN_MISMATCHES = "TokenMismatches"
    ENTROPY_SHIFT_MAX = "EntropyShiftMax"
    ENTROPY_SHIFT_MEAN = "EntropyShiftMean"
    CHANNEL_SNR_SHIFT_MEAN_DECIBELS = "ChannelSnrShiftMeanDecibels"
    CHANNEL_SNR_SHIFT_MAX_DECIBELS = "ChannelSnrShiftMaxDecibels"
    CHANNEL_SIGN_FLIPS = "ChannelSignFlips"
    LATENT_DISTANCE_SHIFT = "LatentDistanceShift"
    DECODER_PSNR_DECIBELS = "DecoderPsnrDecibels"
    STAGE_DISTANCE = "StageDistance"
    NON_FINITE = "NonFinite"
    GUIDANCE_SHIFT = "GuidanceShift"


AT_LEAST = frozenset({InternalsMetric.DECODER_PSNR_DECIBELS})
"""Metrics of which more is better: they have ``min``, others ``max``."""


class InternalsGate(base.ApiModel):
    """A bound on one metric, in place of the check's own."""

    metric: InternalsMetric
    min: PositiveDecimal | None = None
    max: PositiveDecimal | None = None


class Sweep(base.ApiModel):
    """Settings that are tried besides: every one of a list with every one of the others."""

    schedulers: (
        Annotated[list[Scheduler], base.ListSet(), pydantic.Field(min_length=1, max_length=8)] | None
    ) = None
    steps: Annotated[list[Steps], base.ListSet(), pydantic.Field(min_length=1, max_length=8)] | None = None
    guidance: Annotated[list[Guidance], base.ListSet(), pydantic.Field(min_length=1, max_length=8)] | None = (
        None
    )


class Internals(base.ApiModel):
    """The artifact is loaded and run in the check's pod; what happens inside is compared with Stable's."""

    library: Library | None = None
    """By default what the files of the artifact are for."""
    golden_set: base.DnsLabel | None = None
    """Which of ``goldenSets`` the prompts come from; by default a built-in one."""
    prompts: Annotated[int, pydantic.Field(ge=1, le=64)] = 8
    """How many of its prompts are run, from its beginning."""
    scheduler: Scheduler | None = None
    """That the server runs the pipeline with; by default the artifact's."""
    steps: Steps | None = None
    """That the server takes where a request names none; by default the pipeline's."""
    guidance: Guidance | None = None
    """The guidance scale, likewise."""
    seed: Annotated[int, pydantic.Field(ge=0, le=2_147_483_647)] = 0
    """Of the first prompt; each other one has the next."""
    sweep: Sweep | None = None
    resources: Annotated[dict[str, Any], base.ShapedBy(pods.Resources)] = {}
    """Of the check's container, ``nvidia.com/gpu`` among them; by default those of ``checkTemplate``."""
    run_as_user: UserId | None = None
    """Who can read the artifact; by default the image's own user."""
    run_as_group: UserId | None = None
    gates: Annotated[list[InternalsGate], base.ListMap(("metric",)), pydantic.Field(max_length=11)] = (
        pydantic.Field(default_factory=list)
    )
