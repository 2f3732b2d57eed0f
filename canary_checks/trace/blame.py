"""What a difference is blamed on; the names are those of the embedding diagnosis."""

import dataclasses
from collections.abc import Sequence

from canary_checks import vocabulary as v

UNKNOWN = "Unknown"


@dataclasses.dataclass(frozen=True)
class Blame:
    """A cause, and why it is believed.

    Attributes
    ----------
    cause
        CamelCase, `UNKNOWN` where the confidence is Unknown.
    confidence
        ``Proven`` means that a counterfactual makes the difference vanish, and that no other one does.
    evidence
        Sentences; the first one says what was done.
    """

    cause: str
    confidence: v.Confidence
    evidence: tuple[str, ...] = ()


def nobody(*evidence: str) -> Blame:
    """Return the blame for a difference that nothing explains."""
    return Blame(UNKNOWN, v.Confidence.UNKNOWN, evidence)


def choose(fitting: Sequence[Blame]) -> Blame | None:
    """Choose among explanations that all make the difference vanish.

    Parameters
    ----------
    fitting
        The simplest first.

    Returns
    -------
    The only one; or the first as ``Likely``, when the evidence fits others too; None when there is none.
    """
    if not fitting:
        return None
    first = fitting[0]
    others = [one.cause for one in fitting[1:] if one.cause != first.cause]
    if not others:
        return first
    return Blame(
        first.cause,
        v.Confidence.LIKELY,
        (*first.evidence, f"these items cannot tell it from {', '.join(dict.fromkeys(others))}"),
    )
