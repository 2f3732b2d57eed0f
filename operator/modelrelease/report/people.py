"""What people have said for or against a revision. Pure."""

from collections.abc import Iterator
from typing import Final

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.report import material, model

Phase = api_run.Phase


def people(found: material.Material) -> Iterator[model.Word]:
    """Yield the words that stand, and those that Events still tell of."""
    revision, override = found.run.spec.revision, found.override
    single = {
        "forced": override.forced,
        "pinned": override.pinned,
        "retry": override.retry,
        "cancelled": override.cancelled,
        "debug": override.debug,
    }
    told = [(kind, one.reason) for kind, one in single.items() if one and one.revision == revision]
    told += [("rejected", one.reason) for one in override.rejected if one.revision == revision]
    told += [
        (f"approved {one.stage.value}", one.reason) for one in override.approvals if one.revision == revision
    ]
    told += [(f"waived {one.check}", one.reason) for one in override.waivers if one.revision == revision]
    if override.paused is not None and found.run.status.phase is not Phase.DONE:
        told.append(("paused", override.paused.reason))
    yield from (model.Word(kind=kind, reason=reason) for kind, reason in told)
    for event in found.told:
        if event.reason in _WORDS:
            yield model.Word(kind=event.reason, reason=event.message, time=event.time)


_WORDS: Final = frozenset(
    {
        reasons.PAUSED,
        reasons.PINNED,
        reasons.FORCED,
        reasons.WAIVED,
        reasons.REJECTED,
        reasons.CANCELLED,
        reasons.OVERRIDE_REMOVED,
        reasons.CANARY_KEPT,
    }
)
