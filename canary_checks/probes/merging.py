"""The findings of several operations of one endpoint as one: the worst verdict, and everybody's evidence."""

from collections.abc import Mapping
from typing import Final

from canary_checks import vocabulary as v
from canary_checks.parity import gates
from canary_checks.probes import finding

_MESSAGE: Final = 512


def merge(found: Mapping[str, finding.Finding]) -> finding.Finding:
    """Put the findings of every operation of a check together.

    Parameters
    ----------
    found
        By the operation's name, at least one.

    Returns
    -------
    The only finding as it is, or one whose gates, measurements and rows say which operation they belong to.
    """
    if len(found) == 1:
        return next(iter(found.values()))
    worst = min(found.values(), key=lambda one: gates.PRECEDENCE.index(one.verdict))
    sentences = {name: one.message for name, one in found.items() if one.verdict is worst.verdict}
    return finding.Finding(
        verdict=worst.verdict,
        reason=worst.reason,
        message=_together(sentences),
        gates=tuple(
            gate.model_copy(update={"operation": name}) for name, one in found.items() for gate in one.gates
        ),
        items_used=sum(one.items_used for one in found.values()),
        measurements=tuple(
            m.model_copy(update={"operation": name}) for name, one in found.items() for m in one.measurements
        ),
        strata=tuple(
            stratum.model_copy(update={"operation": name})
            for name, one in found.items()
            for stratum in one.strata
        ),
        worst=tuple(
            row.model_copy(update={"operation": name}) for name, one in found.items() for row in one.worst
        ),
        diagnosis=next((one.diagnosis for one in found.values() if one.diagnosis is not None), None),
        series=_series(found),
        pictures=tuple(
            pair.model_copy(update={"operation": name})
            for name, one in found.items()
            for pair in one.pictures
        ),
        references=worst.references or next((one.references for one in found.values() if one.references), ()),
    )


def _together(sentences: Mapping[str, str]) -> str:
    """Return what every operation says, each cut to its share where all of it is too long."""
    whole = "; ".join(f"{name}: {sentence}" for name, sentence in sentences.items())
    if len(whole) <= _MESSAGE:
        return whole
    room = _MESSAGE // len(sentences) - len("; ")
    return v.sentence(
        "; ".join(v.sentence(f"{name}: {sentence}", room) for name, sentence in sentences.items())
    )


def _series(found: Mapping[str, finding.Finding]) -> dict[str, tuple[v.Number, ...]]:
    """Name the operation in every series; which stratum a row is in now counts those of all operations."""
    merged: dict[str, tuple[v.Number, ...]] = {}
    before = 0
    for name, one in found.items():
        for key, values in one.series.items():
            moved = tuple(float(place) + before for place in values) if key == "stratum" else values
            merged[f"{name}:{key}"] = moved
        before += len(one.strata)
    return merged
