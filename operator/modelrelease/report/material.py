"""All that a report is made from: what is recorded of a run, already free of Kubernetes' dicts."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from canary_checks import result
from modelrelease.api import spec as api_spec
from modelrelease.core import observation
from modelrelease.report import model


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event about the release."""

    time: datetime.datetime
    reason: str
    message: str
    warning: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Material:
    """All that a report is made from."""

    namespace: str
    release: str
    run: observation.Run
    later: tuple[observation.Run, ...]
    """Runs that began after it."""
    stable_version: str
    override: api_spec.Override
    events: tuple[Event, ...]
    results: Mapping[str, Sequence[result.CheckResult]]
    """By check, as far as the evidence is kept."""
    changes: tuple[model.Change, ...]
    same: tuple[str, ...]
    unknown: tuple[str, ...]
    """What could not be compared with stable."""
    evidence_unread: str = ""
    """Why the evidence could not be read; empty where it could."""
    events_unread: str = ""
    revisions_unread: bool = False

    def within(self, time: datetime.datetime) -> bool:
        """Return whether something belongs to the time of the run, until the next one began."""
        begun = self.run.status.start_time
        following = next((one.status.start_time for one in self.later if one.status.start_time), None)
        # Events have whole seconds, rounded down.
        early = begun is not None and time < begun - datetime.timedelta(seconds=1)
        return not early and (following is None or time < following.replace(microsecond=0))

    @property
    def told(self) -> tuple[Event, ...]:
        """The Events of its time, oldest first."""
        return tuple(event for event in self.events if self.within(event.time))
