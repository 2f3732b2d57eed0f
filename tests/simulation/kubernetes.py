"""A Kubernetes API server in memory: the semantics that the operator relies on, and no more.

Optimistic concurrency, generations, watches with history, bookmarks and 410, label selectors, UIDs; what a
client may ask is in :mod:`tests.simulation.client`. That it answers like a real one is tested by replaying
the same traces on both (``tests/integration/simulation``).

Stored objects are snapshots: they are replaced, never changed, and handed out without a copy. Who changes
what was read breaks the simulation, and :meth:`Server.unchanged` notices.
"""

import asyncio
import bisect
import contextlib
import dataclasses
import datetime
import hashlib
import itertools
import marshal
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from typing import Any

from modelrelease.api import constants
from modelrelease.cluster import api
from tests.simulation import fields

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
BOOKMARK_SECONDS = 60.0

_GENERATION = frozenset({"ModelRelease", "ModelReleaseRun", "Deployment", "Job", "PodDisruptionBudget"})
STATUS = _GENERATION | {"Pod", "Service"}

Key = tuple[str, str]
_OF_RELEASE = f"{constants.LABEL_RELEASE}="
_NONE: dict[Key, api.Object] = {}
copied = fields.copied
matches = fields.matches


@dataclasses.dataclass(frozen=True, slots=True)
class Write:
    """One change of one object."""

    event: str
    """ADDED, MODIFIED or DELETED."""
    kind: str
    old: api.Object | None
    new: api.Object
    """For DELETED the object as it was."""
    actor: str
    """Who wrote: a client's name, or ``cluster``."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Past:
    version: int
    write: Write


class Server:
    """The store. All times are virtual; every write bumps one global resourceVersion.

    Parameters
    ----------
    clock
        Returns virtual seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = 0
        self._compacted = 0
        self._uid = itertools.count(1)
        self._history: dict[str, list[_Past]] = {}
        self._waiters: dict[str, list[asyncio.Future[bool]]] = {}
        self._owners: dict[str, fields.Owners] = {}
        self._digests: dict[str, bytes] = {}
        self._unwritten: set[str] = set()
        """Releases whose status is there by default alone: it is stored with the next write of anything."""
        self._epoch = 0
        self.deaf_until = -1e9
        """Until then watches stay open and silent."""
        self.changes = 0
        """So many objects were created or deleted; the garbage collector has to look when it changes."""
        self.actor = "cluster"
        self.objects: dict[str, dict[Key, api.Object]] = {}
        self._of: dict[tuple[str, str], dict[Key, api.Object]] = {}
        """Of each kind those of a release, by its label."""
        self.observers: list[Callable[[Write], None]] = []

    def now(self) -> datetime.datetime:
        """Return the present."""
        return EPOCH + datetime.timedelta(seconds=self._clock())

    def seconds(self) -> float:
        """Return the virtual seconds."""
        return self._clock()

    @contextlib.contextmanager
    def as_actor(self, actor: str) -> Iterator[None]:
        """Let what follows be written by somebody."""
        before, self.actor = self.actor, actor
        try:
            yield
        finally:
            self.actor = before

    # --- Reads ---------------------------------------------------------------------------------------------

    def find(self, kind: str, namespace: str, name: str) -> api.Object | None:
        """Return the stored object; not to be changed."""
        return self.objects.get(kind, {}).get((namespace, name))

    def get(self, kind: str, namespace: str, name: str) -> api.Object:
        """Return the stored object, or raise NotFound."""
        obj = self.find(kind, namespace, name)
        if obj is None:
            raise api.NotFound(f'{kind} "{name}" not found', 404)
        return obj

    def select(self, kind: str, namespace: str | None = None, selector: str = "") -> list[api.Object]:
        """Return the stored objects that match, by name."""
        only = selector.removeprefix(_OF_RELEASE)
        if only != selector and only.replace("-", "").isalnum():
            stored, selector = self._of.get((kind, only), _NONE), ""
        else:
            stored = self.objects.get(kind, _NONE)
        return [
            obj
            for (space, _), obj in sorted(stored.items())
            if namespace in {None, "", space} and (not selector or matches(obj, selector))
        ]

    def of(self, kind: str, release: str) -> Collection[api.Object]:
        """Return the stored objects that bear a release's label, in the order of their creation."""
        return self._of.get((kind, release), _NONE).values()

    @property
    def version(self) -> int:
        """The newest resourceVersion."""
        return self._last

    def unchanged(self) -> bool:
        """Return whether nobody has changed what was handed out."""
        return all(
            _digest(obj) == self._digests[obj["metadata"]["uid"]]
            for objects in self.objects.values()
            for obj in objects.values()
        )

    # --- Writes --------------------------------------------------------------------------------------------

    def create(self, kind: str, obj: api.Object, *, store: bool = True) -> api.Object:
        """Store a new object, or raise AlreadyExists."""
        key = api.key_of(obj)
        if key in self.objects.setdefault(kind, {}):
            raise api.AlreadyExists(f'{kind} "{key[1]}" already exists', 409)
        obj = fields.with_defaults(kind, copied(obj))
        metadata = obj["metadata"]
        metadata.pop("resourceVersion", None)
        metadata["uid"] = f"uid-{next(self._uid)}" if store else "uid-none"
        metadata["creationTimestamp"] = wire_time(self.now())
        if kind in _GENERATION:
            metadata["generation"] = 1
        if store:
            self.changes += 1
            self._store(kind, key, None, obj)
            if kind == "ModelRelease":
                self._unwritten.add(metadata["uid"])
        return obj

    def replace(self, kind: str, obj: api.Object, *, anyway: bool = False) -> api.Object:
        """Store the changed object, which is now the server's; an unchanged one keeps its resourceVersion.

        ``anyway`` when something else has changed: who owns its fields.
        """
        key = api.key_of(obj)
        old = self.objects.get(kind, {}).get(key)
        if old is None:
            raise api.NotFound(f'{kind} "{key[1]}" not found', 404)
        metadata = obj["metadata"]
        metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        for field in ("labels", "annotations"):
            if not metadata.get(field, True):
                del metadata[field]
        if obj == old and not anyway and metadata["uid"] not in self._unwritten:
            return old
        self._unwritten.discard(metadata["uid"])
        if _bumps_generation(kind, old, obj):
            metadata["generation"] = old["metadata"]["generation"] + 1
        self._store(kind, key, old, obj)
        return obj

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Remove the object; what it owns is the garbage collector's (:mod:`tests.simulation.nodes`)."""
        obj = self.objects.get(kind, {}).pop((namespace, name), None)
        if obj is None:
            return
        self.changes += 1
        self._of.get((kind, release_of(obj)), {}).pop((namespace, name), None)
        self._owners.pop(obj["metadata"]["uid"], None)
        self._digests.pop(obj["metadata"]["uid"], None)
        self._unwritten.discard(obj["metadata"]["uid"])
        last = obj | {"metadata": obj["metadata"] | {"resourceVersion": str(self._bump())}}
        self._publish(Write("DELETED", kind, obj, last, self.actor))

    def check_version(self, kind: str, stored: api.Object, given: str | None) -> None:
        """Raise Conflict when the writer has seen another version."""
        if given and given != stored["metadata"]["resourceVersion"]:
            raise api.Conflict(f"{kind}: the object has been modified", 409)

    def owners(self, obj: api.Object) -> fields.Owners:
        """Return who owns the object's fields."""
        return self._owners.setdefault(obj["metadata"]["uid"], fields.Owners())

    def _store(self, kind: str, key: Key, old: api.Object | None, obj: api.Object) -> None:
        obj["metadata"]["resourceVersion"] = str(self._bump())
        self.objects.setdefault(kind, {})[key] = obj
        if old is not None and release_of(old) != release_of(obj):
            self._of.get((kind, release_of(old)), {}).pop(key, None)
        self._of.setdefault((kind, release_of(obj)), {})[key] = obj
        self._digests[obj["metadata"]["uid"]] = _digest(obj)
        self._publish(Write("ADDED" if old is None else "MODIFIED", kind, old, obj, self.actor))

    def _bump(self) -> int:
        self._last += 1
        return self._last

    def _publish(self, write: Write) -> None:
        self._history.setdefault(write.kind, []).append(_Past(self._last, write))
        self._wake(write.kind)
        for observer in self.observers:
            observer(write)

    # --- Watches -------------------------------------------------------------------------------------------

    def compact(self) -> None:
        """Forget the history: a watch from an older version is 410 Gone."""
        self._compacted = self._last
        self._history.clear()

    def cut(self) -> None:
        """End every watch, as an API server does that restarts."""
        self._epoch += 1
        for kind in list(self._waiters):
            self._wake(kind)

    def _wake(self, kind: str) -> None:
        for waiter in self._waiters.pop(kind, []):
            _settle(waiter, True)

    async def follow(
        self, kind: api.Kind, since: int, namespace: str | None, selector: str
    ) -> AsyncIterator[api.WatchEvent]:
        """Yield what happened after a version, and then what happens."""
        if since < self._compacted:
            raise api.Gone("too old resource version", 410)
        epoch, quiet = self._epoch, False
        while epoch == self._epoch:
            if self._clock() >= self.deaf_until:
                history = self._history.get(kind.kind, [])
                start = bisect.bisect_right(history, since, key=lambda past: past.version)
                for past in history[start:]:
                    since, quiet = past.version, False
                    event = _event(past.write, namespace, selector)
                    if event is not None:
                        yield event
                    if epoch != self._epoch:
                        return
                if quiet:
                    since = max(since, self._last)
                    yield api.WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": str(since)}})
            quiet = not await self._changed(kind.kind)

    async def _changed(self, kind: str) -> bool:
        """Wait for a change, or for the time of a bookmark."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiters.setdefault(kind, []).append(waiter)
        timer = loop.call_later(BOOKMARK_SECONDS, _settle, waiter, False)
        try:
            return await waiter
        finally:
            timer.cancel()


# --- Helpers ----------------------------------------------------------------------------------------------


def release_of(obj: Mapping[str, Any]) -> str:
    """Return the release whose label an object bears, or an empty name."""
    return str((obj["metadata"].get("labels") or {}).get(constants.LABEL_RELEASE, ""))


def wire_time(time: datetime.datetime) -> str:
    """Return RFC 3339 with whole seconds, as the API server writes its own times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _settle(waiter: asyncio.Future[bool], changed: bool) -> None:
    if not waiter.done():
        waiter.set_result(changed)


def _digest(obj: Any) -> bytes:
    return hashlib.blake2b(marshal.dumps(obj, 2), digest_size=16).digest()


def _bumps_generation(kind: str, old: api.Object, new: api.Object) -> bool:
    if kind not in _GENERATION:
        return False
    if kind == "Deployment" and old["metadata"].get("annotations") != new["metadata"].get("annotations"):
        return True
    return bool(old.get("spec") != new.get("spec"))


def _event(write: Write, namespace: str | None, selector: str) -> api.WatchEvent | None:
    """Return the event that a watch sees: what starts to match is added, what ceases to is deleted."""
    if namespace not in {None, "", write.new["metadata"]["namespace"]}:
        return None
    after = write.event != "DELETED" and matches(write.new, selector)
    before = write.old is not None and matches(write.old, selector)
    if after:
        return api.WatchEvent("MODIFIED" if before else "ADDED", write.new)
    return api.WatchEvent("DELETED", write.new) if before else None


def read_time(text: str) -> datetime.datetime:
    """Return the time that the API server wrote."""
    return datetime.datetime.fromisoformat(text)
