"""What the audit log tells of one release: the moments between which is measured."""

import dataclasses
import datetime
from collections.abc import Iterable, Iterator, Sequence

from benchmarks import audit, releases

RUN_STATUS = "modelreleaseruns/status"
BINDING = "pods/binding"
"""Of a pod to its node: its creation bears no name yet, for a controller lets the server choose it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Moments:
    """One release's second revision: edited, shifted twice, and rejected in its bake; seconds."""

    to_run: float
    """Spec edit → the run exists."""
    to_deployment: float
    """Spec edit → the candidate's Deployment exists."""
    to_pod: float
    """Spec edit → the candidate's first pod is scheduled."""
    checked_to_traffic: float
    """Checks began, of which there are none → the Service is widened."""
    held_to_traffic: float
    """The hold's end, as persisted at its begin → the Service is pinned to the candidate."""
    reject_to_traffic: float
    """The reject is stored → the Service is pinned to stable."""
    verdict_to_traffic: tuple[float, ...]
    """A transition that moves traffic is persisted → the Service is written; one of each shift and return."""


def of(entries: Iterable[audit.Entry], name: str, operator: str) -> Moments:
    """Return the moments of one release.

    Parameters
    ----------
    entries
        Of its namespace, since before the edit.
    name
        The release's.
    operator
        The operator's user name.

    Raises
    ------
    ValueError
        The log does not tell the expected story.
    """
    mine = sorted(
        (entry for entry in entries if entry.written and _belongs(entry, name)),
        key=lambda entry: entry.answered,
    )
    edits = [e.answered for e in mine if e.resource == releases.PLURAL and e.user != operator]
    moved = [e.answered for e in mine if e.resource == "services" and e.user == operator]
    states = [e.answered for e in mine if e.resource == RUN_STATUS and e.user == operator]
    if len(edits) != 2 or len(moved) != 3:
        raise ValueError(f"{name}: {len(edits)} edits and {len(moved)} moves of traffic, not 2 and 3")
    edited, rejected = edits
    decided = [_last(states, move) for move in moved]
    hold_ends = _next(states, moved[0]) + datetime.timedelta(seconds=releases.HOLD_SECONDS)

    def first(verb: str, resource: str) -> datetime.datetime:
        return next(
            e.answered for e in mine if (e.verb, e.resource) == (verb, resource) and e.answered > edited
        )

    return Moments(
        to_run=_seconds(edited, first("create", releases.RUNS)),
        to_deployment=_seconds(edited, first("create", "deployments")),
        to_pod=_seconds(edited, first("create", BINDING)),
        checked_to_traffic=_seconds(_last(states, decided[0]), moved[0]),
        held_to_traffic=_seconds(hold_ends, moved[1]),
        reject_to_traffic=_seconds(rejected, moved[2]),
        verdict_to_traffic=tuple(_seconds(*pair) for pair in zip(decided, moved, strict=True)),
    )


def _belongs(entry: audit.Entry, name: str) -> bool:
    return entry.name == name or entry.name.startswith(f"{name}-")


def _last(times: Sequence[datetime.datetime], before: datetime.datetime) -> datetime.datetime:
    return max(time for time in times if time < before)


def _next(times: Sequence[datetime.datetime], after: datetime.datetime) -> datetime.datetime:
    return min(time for time in times if time > after)


def _seconds(start: datetime.datetime, end: datetime.datetime) -> float:
    return (end - start).total_seconds()


def rollouts(entries: Iterable[audit.Entry], names: Iterable[str]) -> Iterator[tuple[float, float]]:
    """Yield, for each Deployment, the seconds from its edit to its ReplicaSet, and to a pod on a node."""
    written = sorted((entry for entry in entries if entry.written), key=lambda entry: entry.answered)
    for name in names:
        mine = [entry for entry in written if _belongs(entry, name)]
        edited = max(e.answered for e in mine if (e.verb, e.resource) == ("patch", "deployments"))
        made = {
            resource: min(
                e.answered
                for e in mine
                if (e.verb, e.resource) == ("create", resource) and e.answered > edited
            )
            for resource in ("replicasets", BINDING)
        }
        yield _seconds(edited, made["replicasets"]), _seconds(edited, made[BINDING])
