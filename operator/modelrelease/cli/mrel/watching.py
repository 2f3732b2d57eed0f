"""Follow a release: every change of it, its runs and its pods."""

import dataclasses
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from modelrelease.cli.mrel import clock, port

_TICK_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 0.1
"""Changes that come together are shown together."""


@dataclasses.dataclass(slots=True)
class Followed:
    """What is known by now."""

    release: port.Object
    parts: dict[str, dict[str, port.Object]]
    """By kind and UID."""
    lost: str = ""
    """Why nothing new is heard at the moment; empty while all is well."""
    deleted: bool = False

    def objects(self, kind: str) -> list[port.Object]:
        """Return the objects of a kind."""
        return list(self.parts[kind].values())


def follow(
    cluster: port.Cluster,
    release: port.Object,
    parts: Mapping[str, Sequence[port.Object]],
    selector: str,
) -> Iterator[Followed]:
    """Yield what is known: at once, after each change, and every second, for the clocks in it.

    Parameters
    ----------
    cluster
        Where.
    release
        The release as it was read just now.
    parts
        What else is followed, by its kind, as it was read just now.
    selector
        Of those objects.
    """
    heard: queue.Queue[tuple[str, port.Change]] = queue.Queue()
    known = Followed(release, {kind: {_uid(obj): obj for obj in objs} for kind, objs in parts.items()})
    name = release["metadata"]["name"]
    for kind in (port.RELEASES, *parts):
        only = name if kind == port.RELEASES else ""
        thread = threading.Thread(
            target=_listen, args=(cluster, kind, only, "" if only else selector, heard), daemon=True
        )
        thread.start()
    yield known
    while not known.deleted:
        deadline = clock.monotonic() + _TICK_SECONDS
        while (rest := deadline - clock.monotonic()) > 0:
            try:
                kind, change = heard.get(timeout=rest)
            except queue.Empty:
                break
            _take(known, kind, change)
            deadline = min(deadline, clock.monotonic() + _SETTLE_SECONDS)
        yield known


def _listen(
    cluster: port.Cluster,
    kind: str,
    name: str,
    selector: str,
    heard: "queue.Queue[tuple[str, port.Change]]",
) -> None:
    try:
        for change in cluster.watch(kind, name=name, selector=selector):
            heard.put((kind, change))
    except port.Failed as error:
        heard.put((kind, port.Change("LOST", {}, str(error))))


def _take(known: Followed, kind: str, change: port.Change) -> None:
    if change.kind == "LOST":
        if kind == port.RELEASES:
            known.lost = change.message or "the watch ended"
        return
    if kind == port.RELEASES:
        known.lost = ""
        # A name can be deleted and made again: that is another release, and is followed as such.
        known.deleted = change.kind == "DELETED"
        known.release = dict(change.object)
        return
    if change.kind == "DELETED":
        known.parts[kind].pop(_uid(change.object), None)
    else:
        known.parts[kind][_uid(change.object)] = dict(change.object)


def _uid(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["uid"])
