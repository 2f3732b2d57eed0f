"""Who is told of a reason, and how loudly: the default table, used wherever people are called.

A page wakes somebody, a ticket waits for the morning, information is read and forgotten. The operator never
pages for a candidate: all traffic is back before anybody could act. What pages is an error budget that burns,
which is an alert (docs/alerts), and a release that has nothing left to serve with.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Final

from modelrelease.api import reasons


class Severity(enum.StrEnum):
    """How soon somebody should act."""

    PAGE = "page"
    TICKET = "ticket"
    INFO = "info"
    """Nobody needs to act, but the one who made the change wants to know."""
    PROGRESS = "progress"
    """A run goes on."""


class Team(enum.StrEnum):
    """Who can do something about it."""

    ML = "ml"
    SRE = "sre"


@dataclasses.dataclass(frozen=True, slots=True)
class Urgency:
    """Whom a reason concerns."""

    severity: Severity
    team: Team


_PAGE: Final = (reasons.NOTHING_TO_RETURN_TO, reasons.NOT_FIXED_BY_RETURN, reasons.NOT_SERVING)

_TICKET_ML: Final = (
    reasons.ARTIFACT_MISMATCH,
    reasons.CANARY_EXPOSED,
    reasons.CHECK_DEADLINE,
    reasons.CHECK_FAILED,
    reasons.CHECK_FOREIGN_RESULT,
    reasons.CHECK_INCOMPLETE,
    reasons.CONFIG_MAP_NOT_FOUND,
    reasons.CRASH_LOOP,
    reasons.CUT_OVER_REQUIRED,
    reasons.HARDWARE_UNTESTED,
    reasons.IMAGE_DRIFT,
    reasons.IMAGE_NOT_FOUND,
    reasons.INCONCLUSIVE_DEADLINE,
    reasons.INVALID_SPEC,
    reasons.INVALID_TEMPLATE,
    reasons.NAME_CONFLICT,
    reasons.NO_DATA_DEADLINE,
    reasons.NO_ROOM_FOR_CANARY,
    reasons.OBJECT_NOT_FOUND,
    reasons.OUT_OF_MEMORY,
    reasons.POD_REJECTED,
    reasons.RECOVERY_UNDECIDED,
    reasons.RETRIES_EXHAUSTED,
    reasons.REVISION_NOT_FOUND,
    reasons.ROLLED_BACK,
    reasons.SECRET_NOT_FOUND,
    reasons.SLO_FAILED,
    reasons.STARTUP_DEADLINE,
)

_TICKET_SRE: Final = (
    *sorted(reasons.CAPACITY),
    reasons.ACCELERATOR_OUT_OF_BOUNDS,
    reasons.ACCELERATOR_UNKNOWN,
    reasons.CHECK_DISRUPTED,
    reasons.CHECK_ERROR_DEADLINE,
    reasons.CHECK_NO_RESULT,
    reasons.ERROR_DEADLINE,
    reasons.JUDGING_BROKE,
    reasons.REFERENCE_NOT_RECORDED,
    reasons.REFUSED,
    reasons.STATE_UNKNOWN,
    reasons.UNKNOWN_PROMETHEUS_SOURCE,
)

_INFO: Final = (
    reasons.AWAITING_APPROVAL,
    reasons.CANARY_KEPT,
    reasons.CANCELLED,
    reasons.CONFIG_DRIFT,
    reasons.FIRST_RELEASE,
    reasons.FORCED,
    reasons.OVERRIDE_REMOVED,
    reasons.PAUSED,
    reasons.PINNED,
    reasons.PROMOTED,
    reasons.RECOVERED,
    reasons.REJECTED,
    reasons.RETURNED,
    reasons.SLO_INFEASIBLE,
    reasons.SUPERSEDED,
    reasons.TEMPLATE_REVERTED,
    reasons.UNKNOWN_NOTIFICATION_TARGET,
    reasons.WAIVED,
)

TABLE: Final[Mapping[str, Urgency]] = {
    **dict.fromkeys(_INFO, Urgency(Severity.INFO, Team.ML)),
    **dict.fromkeys(_TICKET_SRE, Urgency(Severity.TICKET, Team.SRE)),
    **dict.fromkeys(_TICKET_ML, Urgency(Severity.TICKET, Team.ML)),
    **dict.fromkeys(_PAGE, Urgency(Severity.PAGE, Team.ML)),
}
"""Every reason that asks for something, or that ends a run; the others tell how a run goes on."""


def of(reason: str, *, warning: bool = False) -> Urgency:
    """Return whom a reason concerns; one that the table lacks is a ticket only where it is a warning."""
    known = TABLE.get(reason)
    if known is not None:
        return known
    return Urgency(Severity.TICKET if warning else Severity.PROGRESS, Team.ML)
