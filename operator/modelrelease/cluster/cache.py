"""What the API server holds, trimmed and kept up to date: one list-watch per kind for the whole operator."""

import asyncio
import dataclasses
import json
import logging
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from modelrelease.api import constants
from modelrelease.cluster import api, recent

Sleep = Callable[[float], Awaitable[None]]
Changed = Callable[[str, str], None]
"""Called with namespace and release; an empty release means every release of the namespace."""
Trim = Callable[[api.Object], api.Object]
Place = tuple[str, str]
"""Namespace and release."""

STALL_SECONDS: Final = 120.0
BACKOFF_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)

_log = logging.getLogger(__name__)


def trim(obj: api.Object) -> api.Object:
    """Return an object without what nobody reads: field managers, and what kubectl has applied."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    if "annotations" in metadata:
        applied = "kubectl.kubernetes.io/last-applied-configuration"
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != applied}
    return obj | {"metadata": metadata}


def trim_pod(obj: api.Object) -> api.Object:
    """Return a pod with its ports, GPUs, node, names of pull Secrets and status: nobody reads the rest."""
    small, spec = trim(obj), obj.get("spec") or {}
    kept: dict[str, Any] = {k: spec[k] for k in ("nodeName", "imagePullSecrets") if spec.get(k)}
    kept["containers"] = [
        {k: c[k] for k in ("name", "ports") if k in c} | _gpus(c) for c in spec.get("containers") or ()
    ]
    sidecars = [
        {"name": c["name"], "ports": c["ports"]} for c in spec.get("initContainers") or () if "ports" in c
    ]
    if sidecars:
        kept["initContainers"] = sidecars
    return small | {"spec": kept}


def _gpus(container: api.Object) -> api.Object:
    limits = (container.get("resources") or {}).get("limits") or {}
    gpus = {name: count for name, count in limits.items() if name.endswith("/gpu")}
    return {"resources": {"limits": gpus}} if gpus else {}


def trim_service(obj: api.Object) -> api.Object:
    """Return a Service with its spec: there are many, and only selector and own settings matter."""
    return {k: v for k, v in trim(obj).items() if k != "status"}


def trim_job(obj: api.Object) -> api.Object:
    """Return a Job without its pod template."""
    spec = {k: v for k, v in (obj.get("spec") or {}).items() if k != "template"}
    return trim(obj) | {"spec": spec}


def trim_node(obj: api.Object) -> api.Object:
    """Return a node's name and labels; its heartbeats change nothing."""
    metadata = obj["metadata"]
    kept = ("name", "uid", "resourceVersion", "labels")
    return {"metadata": {k: metadata[k] for k in kept if k in metadata}}


@dataclasses.dataclass(frozen=True, slots=True)
class _Kept:
    """One object as compressed JSON: as dicts it takes twenty times the memory, and is seldom looked at."""

    place: Place
    version: str
    packed: bytes

    def unpacked(self) -> api.Object:
        found: api.Object = json.loads(zlib.decompress(self.packed))
        return found


class Cache:
    """All objects of one kind that a selector finds, by namespace and release.

    Parameters
    ----------
    port
        The API server.
    kind
        What to follow.
    sleep, monotonic
        Time, given from outside.
    namespace
        None for all namespaces.
    selector
        Label selector.
    trimmed
        Applied to each object on arrival.
    changed
        Told about every change.
    stall_seconds
        A watch without an event or a bookmark for so long is broken, whatever the connection says.
    """

    def __init__(
        self,
        port: api.Api,
        kind: api.Kind,
        *,
        sleep: Sleep,
        monotonic: Callable[[], float],
        namespace: str | None = None,
        selector: str = "",
        trimmed: Trim = trim,
        changed: Changed | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self.kind = kind
        self._port = port
        self._sleep = sleep
        self._monotonic = monotonic
        self._namespace = namespace
        self._selector = selector
        self._trim = trimmed
        self._changed = changed
        self._stall = stall_seconds
        self._kept: dict[str, _Kept] = {}
        self._uids: dict[Place, tuple[str, ...]] = {}
        """Tuples, for most hold one or two: a set takes four times the memory."""
        self._unpacked: recent.Recent[api.Object] = recent.Recent()
        self._synced = asyncio.Event()
        self._seen = monotonic()
        self._failures = 0

    def list(self, namespace: str, release: str | None = None) -> list[api.Object]:
        """Return what is known of a namespace, or of one release in it."""
        if release is not None:
            place = namespace, release
            kept = [(uid, self._kept[uid]) for uid in sorted(self._uids.get(place, ()))]
            return [self._unpacked.made(place, uid, known.packed, known.unpacked) for uid, known in kept]
        return [*self.each(namespace)]

    def each(self, namespace: str) -> Iterator[api.Object]:
        """Yield what is known of a namespace, one at a time: there may be more than anybody needs."""
        return (kept.unpacked() for kept in self._kept.values() if kept.place[0] == namespace)

    async def wait_synced(self) -> None:
        """Wait until everything has been listed once."""
        await self._synced.wait()

    @property
    def synced(self) -> bool:
        """Whether everything has been listed once."""
        return self._synced.is_set()

    def silent_seconds(self) -> float:
        """Return for how long nothing has been heard from the API server."""
        return self._monotonic() - self._seen

    async def run(self) -> None:
        """Follow the API server until cancelled; nothing else ends this."""
        while True:
            try:
                await self._list_and_watch()
            except Exception as error:  # noqa: BLE001 - whatever happens, the cache follows on
                delay = BACKOFF_SECONDS[min(self._failures, len(BACKOFF_SECONDS) - 1)]
                self._failures += 1
                level = logging.WARNING if self._failures <= len(BACKOFF_SECONDS) else logging.DEBUG
                _log.log(level, "%s: %s; listed again in %.0f s", self.kind.plural, error, delay)
                await self._sleep(delay)

    async def _list_and_watch(self) -> None:
        version = await self._list_all()
        while True:
            began = self._monotonic()
            version = await self._guarded(version)
            if self._monotonic() - began < BACKOFF_SECONDS[0]:
                await self._sleep(
                    BACKOFF_SECONDS[0]
                )  # a server that ends streams at once is not asked in a loop

    async def _list_all(self) -> str:
        """Take a whole list; in the frame of whoever watches, its objects would stay for ever."""
        objects, version = await self._port.list(self.kind, self._namespace, self._selector)
        self._replace(objects)
        self._synced.set()
        return version

    async def _guarded(self, version: str) -> str:
        """Follow one stream to its end; a silent one is left and everything is listed again."""
        self._seen = self._monotonic()
        stream = asyncio.ensure_future(self._follow(version))
        watchdog = asyncio.ensure_future(self._silence())
        try:
            done, _ = await asyncio.wait({stream, watchdog}, return_when=asyncio.FIRST_COMPLETED)
            if stream not in done:
                raise api.Unavailable(f"the watch has been silent for {self._stall:.0f} s")
            return stream.result()
        finally:
            for task in (stream, watchdog):
                task.cancel()
            await asyncio.gather(stream, watchdog, return_exceptions=True)

    async def _silence(self) -> None:
        while (left := self._stall - self.silent_seconds()) > 0:
            await self._sleep(left)

    async def _follow(self, version: str) -> str:
        """Apply one stream's events; return the resourceVersion to continue from."""
        async for event in self._port.watch(self.kind, version, self._namespace, self._selector):
            self._seen = self._monotonic()
            self._failures = 0
            version = event.object["metadata"].get("resourceVersion") or version
            if event.type != "BOOKMARK":
                self._apply(event)
        return version

    def _replace(self, objects: api.Objects) -> None:
        """Take a whole list, and tell about everything that is not as it was."""
        self._seen = self._monotonic()
        before = self._kept
        self._kept, self._uids = {}, {}
        touched = set()
        for obj in objects:
            uid = _uid(obj)
            now, old = self._put(uid, obj), before.get(uid)
            if old is None or old.version != now.version:
                touched |= {now.place, old.place if old is not None else now.place}
        touched |= {old.place for uid, old in before.items() if uid not in self._kept}
        for place in sorted(touched):
            self._tell(place)

    def _apply(self, event: api.WatchEvent) -> None:
        uid, place = _uid(event.object), self._where(event.object)
        old = self._kept.pop(uid, None)
        if old is not None:
            left = tuple(other for other in self._uids.pop(old.place) if other != uid)
            if left:
                self._uids[old.place] = left
        if event.type != "DELETED":
            self._put(uid, event.object)
        for touched in sorted({place, old.place if old is not None else place}):
            self._tell(touched)

    def _put(self, uid: str, obj: api.Object) -> _Kept:
        trimmed = self._trim(obj)
        packed = zlib.compress(json.dumps(trimmed, separators=(",", ":")).encode())
        made = _Kept(self._where(obj), str(obj["metadata"].get("resourceVersion")), packed)
        self._kept[uid] = made
        self._uids[made.place] = (*self._uids.get(made.place, ()), uid)
        return made

    def _where(self, obj: Mapping[str, Any]) -> Place:
        """Return namespace and release; a user's Service bears no label and concerns its namespace."""
        metadata = obj["metadata"]
        if self.kind == api.RELEASE:
            return sys.intern(metadata["namespace"]), sys.intern(metadata["name"])
        release = (metadata.get("labels") or {}).get(constants.LABEL_RELEASE, "")
        return sys.intern(metadata.get("namespace") or ""), sys.intern(release)

    def _tell(self, where: Place) -> None:
        if self._changed is not None:
            self._changed(*where)


def _uid(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"]["uid"])


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How one kind is followed."""

    kind: api.Kind
    selector: str = constants.LABEL_RELEASE
    trimmed: Trim = trim


PLANS: Final = (
    Plan(api.RELEASE, selector=""),
    Plan(api.CONTROLLER_REVISION),
    Plan(api.DEPLOYMENT),
    Plan(api.POD, trimmed=trim_pod),
    # All of them: any Service of the namespace may expose a candidate.
    Plan(api.SERVICE, selector="", trimmed=trim_service),
    Plan(api.RUN),
    Plan(api.JOB, trimmed=trim_job),
    Plan(api.POD_DISRUPTION_BUDGET),
)
TRIMS: Final = {plan.kind: plan.trimmed for plan in PLANS}
NODES: Final = Plan(api.NODE, selector="nvidia.com/gpu.product", trimmed=trim_node)
"""Followed where the installation may read nodes; nothing waits for it."""


class Caches:
    """The caches of every kind that an observation is made of.

    Parameters
    ----------
    port
        The API server.
    sleep, monotonic
        Time, given from outside.
    namespace
        None for all namespaces.
    changed
        Told about every change of a child.
    stall_seconds
        See :class:`Cache`.
    """

    def __init__(
        self,
        port: api.Api,
        *,
        sleep: Sleep,
        monotonic: Callable[[], float],
        namespace: str | None = None,
        changed: Changed | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        def follow(plan: Plan, where: str | None, told: Changed | None) -> Cache:
            return Cache(
                port,
                plan.kind,
                sleep=sleep,
                monotonic=monotonic,
                namespace=where,
                selector=plan.selector,
                trimmed=plan.trimmed,
                changed=told,
                stall_seconds=stall_seconds,
            )

        self._of = {plan.kind: follow(plan, namespace, changed) for plan in PLANS}
        self.nodes = follow(NODES, None, None)

    def __getitem__(self, kind: api.Kind) -> Cache:
        return self._of[kind]

    async def run(self) -> None:
        """Follow every kind until cancelled."""
        await asyncio.gather(*(cache.run() for cache in (*self._of.values(), self.nodes)))

    async def wait_synced(self) -> None:
        """Wait until every kind but the nodes has been listed once."""
        await asyncio.gather(*(cache.wait_synced() for cache in self._of.values()))

    def silent_seconds(self) -> float:
        """Return for how long the most silent of the caches has heard nothing."""
        return max(cache.silent_seconds() for cache in self._of.values())
