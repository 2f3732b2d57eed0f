"""What is demanded of images by default, and what a request may demand instead."""

from collections.abc import Sequence
from typing import Final

from canary_checks import failure, request
from canary_checks import vocabulary as v
from canary_checks.parity import numeric

TEXT_FIDELITY: Final = "TextFidelity"
ERROR_RATE: Final = "CharacterErrorRate"
CONFIDENCE: Final = "OcrConfidence"
GLYPH_HEIGHT: Final = "GlyphHeight"
CONTRAST: Final = "Contrast"
MARGIN: Final = "MarginMinimum"
MARGIN_SHIFT: Final = "MarginShift"
OBJECTS: Final = "ObjectCountAccuracy"
BLANK: Final = "BlankImages"
NOISE: Final = "NoiseImages"
DUPLICATE: Final = "DuplicateImages"
BROKEN: Final = "BrokenImages"
REFUSED: Final = "RefusedPrompts"
WRONG_SIZE: Final = "WrongSize"
COLOUR_CAST: Final = "ColourCast"
SATURATION: Final = "SaturationShift"
LEVELS: Final = "UniqueLevels"
PROMPT_DISTANCE: Final = "PromptDistance"
MASK_LEAK: Final = "MaskLeak"

_DEFAULTS: Final[dict[tuple[str, str], float | None]] = {
    (TEXT_FIDELITY, "min"): 0.85,
    (TEXT_FIDELITY, "maxDrop"): 0.05,
    (ERROR_RATE, "max"): None,
    (ERROR_RATE, "maxRise"): 0.03,
    (CONFIDENCE, "min"): 70.0,
    (GLYPH_HEIGHT, "min"): 12.0,
    (CONTRAST, "min"): 3.0,
    (MARGIN, "min"): 0.02,
    (MARGIN_SHIFT, "max"): 0.03,
    (OBJECTS, "min"): None,
    (OBJECTS, "maxDrop"): 0.03,
    (BLANK, "max"): 0.0,
    (NOISE, "max"): 0.0,
    (DUPLICATE, "max"): 0.0,
    (BROKEN, "max"): 0.0,
    (REFUSED, "max"): 0.0,
    (WRONG_SIZE, "max"): 0.0,
    (COLOUR_CAST, "max"): 4.0,
    (SATURATION, "max"): 0.05,
    (LEVELS, "minRatio"): 0.9,
    (PROMPT_DISTANCE, "maxRatio"): 1.5,
    (MASK_LEAK, "max"): 2 / 255,
}
ADJUSTABLE: Final = frozenset(metric for metric, _ in _DEFAULTS)


class Limits:
    """The limits of one check.

    Parameters
    ----------
    overrides
        From the request.

    Raises
    ------
    CheckError
        ``InvalidRequest``: an override that this check would ignore.
    """

    def __init__(self, overrides: Sequence[request.GateOverride]) -> None:
        self._declared: dict[tuple[str, str], float] = {}
        for override in overrides:
            known = sorted(bound for metric, bound in _DEFAULTS if metric == override.metric)
            if not known:
                raise failure.CheckError(
                    "InvalidRequest",
                    f"this check has no limit on {override.metric} to replace, only on"
                    f" {', '.join(sorted(ADJUSTABLE))}",
                )
            for bound, value in override.limits().items():
                if bound not in known or value < 0:
                    raise failure.CheckError(
                        "InvalidRequest",
                        f"{override.metric} takes {' and '.join(f'`{one}`' for one in known)}, at least 0,"
                        " and nothing else",
                    )
                self._declared[override.metric, bound] = value

    def of(self, metric: str, bound: str) -> numeric.Limit:
        """Return a limit that always holds: declared, or else the default."""
        found = self.maybe(metric, bound)
        assert found is not None
        return found

    def maybe(self, metric: str, bound: str) -> numeric.Limit | None:
        """Return a limit, or None where nobody declared one and there is no default."""
        if (metric, bound) in self._declared:
            return numeric.Limit(self._declared[metric, bound], v.Basis.DECLARED)
        default = _DEFAULTS[metric, bound]
        return None if default is None else numeric.Limit(default, v.Basis.DEFAULT)
