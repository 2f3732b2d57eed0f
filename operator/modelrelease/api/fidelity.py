"""Fidelity: a generator's images show the text, the objects and the colours that their prompts ask for."""

import enum
from collections.abc import Mapping
from typing import Annotated, Final

import pydantic

from modelrelease.api import base

PositiveDecimal = Annotated[str, pydantic.Field(max_length=19, pattern=base.POSITIVE_DECIMAL)]


class FidelityMetric(enum.StrEnum):
    """What is bounded."""

    TEXT_FIDELITY = "TextFidelity"
    CHARACTER_ERROR_RATE = "CharacterErrorRate"
    OCR_CONFIDENCE = "OcrConfidence"
    GLYPH_HEIGHT = "GlyphHeight"
    CONTRAST = "Contrast"
    MARGIN_MINIMUM = "MarginMinimum"
    MARGIN_SHIFT = "MarginShift"
    OBJECT_COUNT_ACCURACY = "ObjectCountAccuracy"
    BLANK_IMAGES = "BlankImages"
    NOISE_IMAGES = "NoiseImages"
    DUPLICATE_IMAGES = "DuplicateImages"
    BROKEN_IMAGES = "BrokenImages"
    REFUSED_PROMPTS = "RefusedPrompts"
    WRONG_SIZE = "WrongSize"
    COLOUR_CAST = "ColourCast"
    SATURATION_SHIFT = "SaturationShift"
    UNIQUE_LEVELS = "UniqueLevels"
    PROMPT_DISTANCE = "PromptDistance"
    MASK_LEAK = "MaskLeak"


_OTHER_LIMITS: Final = {
    FidelityMetric.TEXT_FIDELITY: ("min", "maxDrop"),
    FidelityMetric.CHARACTER_ERROR_RATE: ("max", "maxRise"),
    FidelityMetric.OCR_CONFIDENCE: ("min",),
    FidelityMetric.GLYPH_HEIGHT: ("min",),
    FidelityMetric.CONTRAST: ("min",),
    FidelityMetric.MARGIN_MINIMUM: ("min",),
    FidelityMetric.OBJECT_COUNT_ACCURACY: ("min", "maxDrop"),
    FidelityMetric.UNIQUE_LEVELS: ("minRatio",),
    FidelityMetric.PROMPT_DISTANCE: ("maxRatio",),
}
LIMITS: Final[Mapping[FidelityMetric, tuple[str, ...]]] = {
    metric: _OTHER_LIMITS.get(metric, ("max",)) for metric in FidelityMetric
}
"""The limits that each metric can have."""


class FidelityGate(base.ApiModel):
    """A bound on one metric, in place of the check's own."""

    metric: FidelityMetric
    min: PositiveDecimal | None = None
    max: PositiveDecimal | None = None
    min_ratio: PositiveDecimal | None = None
    """Of Stable's value."""
    max_ratio: PositiveDecimal | None = None
    """Of Stable's value."""
    max_drop: PositiveDecimal | None = None
    """Below Stable's value."""
    max_rise: PositiveDecimal | None = None
    """Above Stable's value."""


class Fidelity(base.ApiModel):
    """Every prompt is drawn at its own seed; what the images show is judged, and compared with Stable's."""

    golden_set: base.DnsLabel | None = None
    """Which of ``goldenSets``: one whose items are prompts; by default the built-in PromptV1."""
    operations: (
        Annotated[list[base.DnsLabel], base.ListSet(), pydantic.Field(min_length=1, max_length=8)] | None
    ) = None
    """Which of ``endpoint.operations``, with all that they come after; by default all that draw."""
    gates: Annotated[list[FidelityGate], base.ListMap(("metric",)), pydantic.Field(max_length=16)] = (
        pydantic.Field(default_factory=list)
    )
