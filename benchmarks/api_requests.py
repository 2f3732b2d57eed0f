"""Requests to the API server that a release costs, counted by the API server itself."""

import collections
import contextlib
import datetime
import time
from collections.abc import Iterable, Iterator, Mapping

from benchmarks import audit, releases, workplace
from benchmarks.table import Bound, Row, Target

NAME = "counted"
QUIET_SECONDS = 5.0
NOTHING = Target(0, Bound.EXACTLY)
NOTE = (
    "From the audit log, the operator's account alone; a server-side apply is a `patch`.\n"
    "Refused: answered 409, because something had changed meanwhile; the turn is taken again."
)

Requests = list[audit.Entry]


def measure(idle_seconds: float) -> Iterator[Row]:
    """Yield the rows.

    Parameters
    ----------
    idle_seconds
        For how long an idle release is watched.
    """
    counted: dict[str, Requests] = {}
    with workplace.workplace() as place, place.operator():
        made = releases.Releases(place)
        with _counting(place, counted, "first release"):
            made.create([NAME])
        with _counting(place, counted, "second revision to its bake"):
            made.release_next([NAME], "2")
            made.wait(releases.in_phase(releases.BAKING), [NAME])
        with _counting(place, counted, "reject in the bake"):
            made.reject([NAME], "measured")
            made.wait(releases.in_phase(releases.REJECTED), [NAME])
        before = _versions(place)
        start = audit.now()
        time.sleep(idle_seconds)
        idle = _own(place, start)
        changed = sum(before.get(uid) != version for uid, version in _versions(place).items())
    for phase, requests in counted.items():
        yield from _summary(phase, requests)
    yield from _summary(f"idle for {idle_seconds:.0f} s", idle, NOTHING)
    yield Row("  objects that changed", changed, "objects", NOTHING)
    for phase, requests in (*counted.items(), ("idle", idle)):
        yield from _breakdown(phase, requests)


@contextlib.contextmanager
def _counting(place: workplace.Workplace, counted: dict[str, Requests], phase: str) -> Iterator[None]:
    """Count what happens within, until it is quiet."""
    start = audit.now()
    yield
    while True:
        seen = len(_own(place, start))
        time.sleep(QUIET_SECONDS)
        if len(_own(place, start)) == seen:
            break
    counted[phase] = _own(place, start)


def _own(place: workplace.Workplace, start: datetime.datetime) -> Requests:
    return [entry for entry in place.log.between(start, audit.now()) if entry.user == place.user]


def _summary(phase: str, requests: Requests, writes: Target | None = None) -> Iterator[Row]:
    reads = [entry for entry in requests if not entry.writes]
    yield Row(phase, len(requests), "requests")
    yield Row("  reads and dry runs", len(reads), "requests")
    yield Row("  writes", len(requests) - len(reads), "requests", writes)
    if writes is None:
        yield Row("  refused", sum(entry.code == 409 for entry in requests), "requests")


def _breakdown(phase: str, requests: Iterable[audit.Entry]) -> Iterator[Row]:
    found = collections.Counter(
        f"{entry.verb} {entry.resource}{' (dry run)' if entry.dry_run else ''}" for entry in requests
    )
    for kind, count in sorted(found.items(), key=lambda item: (-item[1], item[0])):
        yield Row(f"{phase}: {kind}", count, "requests")


def _versions(place: workplace.Workplace) -> Mapping[str, str]:
    """Return the resourceVersion of all that the operator may have written: every write changes it."""
    sanitize = place.core.api_client.sanitize_for_serialization
    built_in = [
        sanitize(item)
        for listed in (
            place.core.list_namespaced_service,
            place.core.list_namespaced_config_map,
            place.core.list_namespaced_event,
            place.apps.list_namespaced_deployment,
            place.apps.list_namespaced_controller_revision,
        )
        for item in listed(place.namespace).items
    ]
    own = [
        item
        for plural in (releases.PLURAL, releases.RUNS)
        for item in place.custom.list_namespaced_custom_object(
            releases.GROUP, releases.VERSION, place.namespace, plural
        )["items"]
    ]
    return {obj["metadata"]["uid"]: obj["metadata"]["resourceVersion"] for obj in (*built_in, *own)}
