"""What the operator says about a release: the ``status`` of a ModelRelease, derived and never read back."""

import datetime
import enum
from collections.abc import Iterable
from typing import Annotated, Final

import pydantic

from modelrelease.api import base, run, slo_state

MESSAGE_LENGTH_MAX: Final = 1024

Generation = Annotated[int, pydantic.Field(ge=0, le=9_007_199_254_740_991)]
"""A ``metadata.generation``: int64, bounded by what a JSON number says exactly."""

UNSEEN: Final = -1
"""What the API server says for the operator that has not looked yet: without it, tools that follow kstatus
would take a release that was created a moment ago for one that is done."""


class ConditionStatus(enum.StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(base.ApiModel):
    """One aspect of the release's state, as in every Kubernetes API."""

    type: Annotated[str, pydantic.Field(min_length=1, max_length=64, pattern=r"^[A-Z][A-Za-z0-9]*$")]
    status: ConditionStatus
    observed_generation: Generation = 0
    last_transition_time: base.Time
    reason: Annotated[str, pydantic.Field(min_length=1, max_length=64, pattern=r"^[A-Z][A-Za-z0-9]*$")]
    message: Annotated[str, pydantic.Field(max_length=MESSAGE_LENGTH_MAX)] = ""


class StableStatus(base.ApiModel):
    """The last fully promoted revision."""

    revision: base.RevisionName
    model_version: Annotated[str, pydantic.Field(max_length=63)] = ""
    promoted_time: base.Time | None = None


class CandidateStatus(base.ApiModel):
    """The revision that is being tried, or was tried last."""

    revision: base.RevisionName
    model_version: Annotated[str, pydantic.Field(max_length=63)] = ""


class HistoryEntry(base.ApiModel):
    """A run that has ended."""

    revision: base.RevisionName
    attempt: Annotated[int, pydantic.Field(ge=1, le=10_000)]
    outcome: run.Outcome
    reason: Annotated[str, pydantic.Field(max_length=64)] = ""
    completion_time: base.Time | None = None


class ObjectiveFeasibility(slo_state.SloFeasibility):
    """What evidence for one objective costs."""

    name: base.DnsLabel


class ReleaseStatus(base.ApiModel):
    """A pure function of the run, the stored revisions and the children."""

    observed_generation: Annotated[int, pydantic.Field(ge=UNSEEN, le=9_007_199_254_740_991)] = 0
    """The spec that all of this is about; -1 until the operator has looked."""
    conditions: Annotated[list[Condition], base.ListMap(("type",)), pydantic.Field(max_length=16)] = []
    phase: Annotated[str, pydantic.Field(max_length=32)] = ""
    """For people: derived from the conditions and the run."""
    message: Annotated[str, pydantic.Field(max_length=MESSAGE_LENGTH_MAX)] = ""
    """What goes on and why, in one sentence."""
    stable: StableStatus | None = None
    candidate: CandidateStatus | None = None
    weight: Annotated[int, pydantic.Field(ge=0, le=100)] = 0
    """Share of live traffic that the candidate takes, in percent, as attained."""
    verdict: Annotated[str, pydantic.Field(max_length=16)] = ""
    overridden: Annotated[str, pydantic.Field(max_length=64)] = ""
    """Which word of a person weighs more than the operator's, such as Forced or Paused; empty for none."""
    current_run: Annotated[str, pydantic.Field(max_length=253)] = ""
    """Name of the ModelReleaseRun that is under way, or ended last."""
    feasibility: Annotated[
        list[ObjectiveFeasibility], base.ListMap(("name",)), pydantic.Field(max_length=16)
    ] = []
    """Of the run that is under way, at the traffic when evidence was recorded last: about once a minute."""
    replicas: base.Count = 0
    """Pods of the revisions that serve."""
    selector: Annotated[str, pydantic.Field(max_length=512)] = ""
    """Label selector of those pods, for an autoscaler."""
    history: Annotated[list[HistoryEntry], pydantic.Field(max_length=10)] = []
    """The latest runs, the newest first."""


def condition(
    previous: Iterable[Condition],
    kind: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    *,
    generation: int,
    now: datetime.datetime,
) -> Condition:
    """Return a condition whose ``lastTransitionTime`` moves only when its status does.

    Parameters
    ----------
    previous
        The conditions as they were.
    kind
        The condition's type.
    status, reason, message
        What is said now; a longer message is cut.
    generation
        The ``metadata.generation`` that this is about.
    now
        The API server's time.
    """
    before = next((entry for entry in previous if entry.type == kind), None)
    unchanged = before is not None and before.status is status
    return Condition(
        type=kind,
        status=status,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before is not None and unchanged else now,
        reason=reason,
        message=clipped(message),
    )


def clipped(message: str) -> str:
    """Return a message that fits into a status."""
    return message if len(message) <= MESSAGE_LENGTH_MAX else f"{message[: MESSAGE_LENGTH_MAX - 1]}…"
