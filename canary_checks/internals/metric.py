"""What a check of a model's internals is judged by."""

import enum


class Metric(enum.StrEnum):
    """Metrics of the kind `Internals`; each compares with the reference at the same prompts and seeds.

    Those up to `NON_FINITE` have a default gate; a gate of the request replaces its limit.
    """

    TOKEN_MISMATCHES = "TokenMismatches"
    """Prompts for which any encoder was given other ids: 0."""
    ENTROPY_SHIFT_MAX = "EntropyShiftMax"
    """Largest `|dH|` of any layer and step, mean over prompts."""
    ENTROPY_SHIFT_MEAN = "EntropyShiftMean"
    """Mean `|dH|` over layers, steps and prompts."""
    CHANNEL_SNR_SHIFT_MEAN_DECIBELS = "ChannelSnrShiftMeanDecibels"
    CHANNEL_SNR_SHIFT_MAX_DECIBELS = "ChannelSnrShiftMaxDecibels"
    CHANNEL_SIGN_FLIPS = "ChannelSignFlips"
    """Channels whose mean changed its sign in the last quarter of the steps: 0."""
    LATENT_DISTANCE_SHIFT = "LatentDistanceShift"
    """Mean relative change of the distance between successive latents."""
    DECODER_PSNR_DECIBELS = "DecoderPsnrDecibels"
    """Least of the stored clean latents; a `min` gate."""
    STAGE_DISTANCE = "StageDistance"
    """Largest relative distance of any stage's output; names the first stage that breaks."""
    NON_FINITE = "NonFinite"
    """Values inside the model that are not finite: 0. Needs no reference."""
    GUIDANCE_SHIFT = "GuidanceShift"
    """Mean relative change of `|cond - uncond|`: judged only where a gate asks for it."""
