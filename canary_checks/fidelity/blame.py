"""What a loss of fidelity is blamed on, as far as gates alone carry it: the path of the text, or nothing."""

from collections.abc import Sequence
from typing import Final

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.fidelity import limits

FONT_OR_TEXT_PATH: Final = "FontOrTextPath"
DECODER: Final = "Decoder"
_TEXT: Final = frozenset({limits.TEXT_FIDELITY, limits.ERROR_RATE})
_STROKES: Final = (limits.CONFIDENCE, limits.CONTRAST)
"""What unsharp or pale letters fail, and wrong ones do not: garbled text is read with confidence."""
_PICTURE: Final = (limits.OBJECTS, limits.COLOUR_CAST, limits.SATURATION, limits.LEVELS)
_WHOLE: Final = (
    *_PICTURE,
    limits.BLANK,
    limits.NOISE,
    limits.DUPLICATE,
    limits.BROKEN,
    limits.REFUSED,
    limits.WRONG_SIZE,
)
_NEXT: Final = (
    "look whether the font is installed, and the step that draws or refines text runs",
    "compare the text encoders that read characters (T5), and run the internals check",
)


def diagnose(judged: Sequence[schema.Gate]) -> schema.DiagnosisReport | None:
    """Name the path of the text where text is lost and nothing else is.

    Parameters
    ----------
    judged
        The gates of a check of fidelity.

    Returns
    -------
    None where no gate on text failed; `Unknown` where more than the text may be wrong.
    """
    failed = {gate.metric for gate in judged if gate.verdict is v.Verdict.FAIL}
    if not failed & _TEXT:
        return None
    compared = [gate.metric for gate in judged if gate.metric in _PICTURE and gate.verdict is v.Verdict.PASS]
    lost = next(gate for gate in judged if gate.metric in _TEXT and gate.verdict is v.Verdict.FAIL)
    what = (
        f"{lost.metric} {float(lost.observed):.3g} (limit {float(lost.limit):.3g}), over {lost.samples} texts"
    )
    other = sorted(failed & {*_WHOLE, *_STROKES})
    if other or not compared:
        return schema.DiagnosisReport(
            cause="Unknown",
            confidence=v.Confidence.UNKNOWN,
            evidence=(what, f"failed as well: {', '.join(other)}" if other else "nothing else was compared"),
            left=(FONT_OR_TEXT_PATH, DECODER),
            next=_NEXT,
        )
    return schema.DiagnosisReport(
        cause=FONT_OR_TEXT_PATH,
        confidence=v.Confidence.LIKELY,
        evidence=(what, f"the rest of the picture is as it was: {', '.join(dict.fromkeys(compared))} pass"),
        excluded=(schema.Excluded(cause=DECODER, because="colours and levels of the images are stable's"),),
        next=_NEXT,
    )
