"""The report of a diagnosis: the cause that was chosen, or what is excluded and what is left."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.parity.causes import cause

UNKNOWN: Final = "Unknown"
_REMARK: Final = 200
_STEPS: Final = 4
"""What to look at next, at most."""


def report(
    table: Sequence[cause.Cause[Any]],
    contradicted: Mapping[str, str | None],
    chosen: tuple[cause.Cause[Any], cause.Named] | None,
    *,
    seen: Sequence[str],
    where: Sequence[str] = (),
) -> schema.DiagnosisReport:
    """Write the report.

    Parameters
    ----------
    table
        Every cause that there can be.
    contradicted
        By cause, why it cannot be the one, or None.
    chosen
        The cause that is named, with its signature.
    seen
        The evidence where none is named.
    where
        More evidence for the cause that is named.
    """
    excluded = tuple(
        schema.Excluded(cause=name, because=v.sentence(because, _REMARK))
        for name, because in contradicted.items()
        if because is not None and (chosen is None or name != chosen[0].name)
    )
    left = tuple(name for name, because in contradicted.items() if because is None)
    if chosen is not None:
        one, named = chosen
        return schema.DiagnosisReport(
            cause=one.name,
            confidence=named.confidence,
            evidence=remarks(*named.evidence, *where),
            excluded=excluded,
            left=() if named.sole else tuple(other for other in left if other != one.name),
            next=remarks(*named.next),
        )
    steps = [one.next for one in table if one.name in left and one.next]
    return schema.DiagnosisReport(
        cause=UNKNOWN,
        confidence=v.Confidence.UNKNOWN,
        evidence=remarks(*seen),
        excluded=excluded,
        left=left,
        next=remarks(*steps[:_STEPS]),
    )


def remarks(*lines: str) -> tuple[str, ...]:
    """Return sentences short enough for a report."""
    return tuple(v.sentence(line, _REMARK) for line in lines)
