"""What a phase asks the shell to make true: level-based, and the same however often it is asked."""

import dataclasses
from collections.abc import Mapping

from modelrelease.core import observation


@dataclasses.dataclass(frozen=True, slots=True)
class CheckJob:
    """A check that must run now against one pod."""

    check: str
    attempt: int
    pod: observation.Pod
    portion: int = 0
    """Which of the check's portions."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A durable fact about a revision, kept on its ControllerRevision."""

    revision: str
    promoted_by: str = ""
    """Name of the run whose completion made it stable; its time and outputs are recorded."""
    failed_digest: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """The state of the children that fits the persisted phase.

    The shell makes it true in this order: marks, then the traffic object, then, only in a turn whose
    observed traffic already is the wanted one, replicas, then check Jobs.
    """

    traffic: observation.Traffic
    targets: Mapping[str, int]
    """Pods per revision; an unnamed revision's target is 0."""
    order: tuple[str, ...] = ()
    """Who keeps and gets pods first."""
    protected: tuple[str, ...] = ()
    """Serving revisions, which have a PodDisruptionBudget."""
    jobs: tuple[CheckJob, ...] = ()
    marks: tuple[Mark, ...] = ()
