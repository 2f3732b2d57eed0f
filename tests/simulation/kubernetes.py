"""A Kubernetes API server in memory: the semantics that the operator relies on, and no more.

Implements :class:`modelrelease.cluster.api.Api`: optimistic concurrency, generations, server-side apply with
field ownership by top-level path, status and scale subresources, watches with history and 410, label
selectors, owner references. That it answers like a real one is tested by replaying the same traces on both
(``tests/integration/simulation``).
"""

import asyncio
import copy
import datetime
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from modelrelease.cluster import api

EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

_GENERATION = frozenset({"ModelRelease", "ModelReleaseRun", "Deployment", "Job", "PodDisruptionBudget"})
_STATUS_SUBRESOURCE = _GENERATION | {"Pod", "Service"}
_ATOMIC = frozenset({("spec", "selector"), ("spec", "template"), ("spec", "ports"), ("data",)})
"""Paths that server-side apply replaces whole."""

Key = tuple[str, str]


class Server:
    """The store. All times are virtual; every write bumps one global resourceVersion.

    Parameters
    ----------
    clock
        Returns virtual seconds.
    before, after
        Called with (verb, kind, name) around every call: where faults are injected.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._version = itertools.count(1)
        self._uid = itertools.count(1)
        self._history: dict[str, list[tuple[int, api.WatchEvent]]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._last = 0
        self.objects: dict[str, dict[Key, api.Object]] = {}
        self.observers: list[Callable[[str, api.Object, str], None]] = []
        """Called with (event type, object, kind) after every write."""

    def now(self) -> datetime.datetime:
        return EPOCH + datetime.timedelta(seconds=self._clock())

    # --- Reads ----------------------------------------------------------------------------------------------

    def find(self, kind: str, namespace: str, name: str) -> api.Object | None:
        """Return the stored object itself."""
        return self.objects.get(kind, {}).get((namespace, name))

    def get(self, kind: str, namespace: str, name: str) -> api.Object:
        obj = self.find(kind, namespace, name)
        if obj is None:
            raise api.NotFound(f'{kind} "{name}" not found', 404)
        return copy.deepcopy(obj)

    def select(self, kind: str, namespace: str | None = None, selector: str = "") -> Iterator[api.Object]:
        """Yield the stored objects that match, by name."""
        for (space, _), obj in sorted(self.objects.get(kind, {}).items()):
            if namespace in {None, space} and matches(obj, selector):
                yield obj

    @property
    def version(self) -> int:
        """The newest resourceVersion."""
        return self._last

    # --- Writes ---------------------------------------------------------------------------------------------

    def create(self, kind: str, obj: api.Object) -> api.Object:
        """Store a new object, or raise AlreadyExists."""
        obj = copy.deepcopy(obj)
        metadata = obj["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if key in self.objects.setdefault(kind, {}):
            raise api.AlreadyExists(f'{kind} "{key[1]}" already exists', 409)
        metadata.pop("resourceVersion", None)
        metadata["uid"] = f"uid-{next(self._uid)}"
        metadata["creationTimestamp"] = wire_time(self.now())
        if kind in _GENERATION:
            metadata["generation"] = 1
        if kind in _STATUS_SUBRESOURCE and kind in {"ModelRelease", "ModelReleaseRun"}:
            obj.pop("status", None)
        self._store(kind, key, obj, "ADDED")
        return copy.deepcopy(obj)

    def replace(self, kind: str, obj: api.Object, *, manager_fields: object = None) -> api.Object:
        """Store the changed object; an unchanged one keeps its resourceVersion."""
        key = api.key_of(obj)
        old = self.objects.get(kind, {}).get(key)
        if old is None:
            raise api.NotFound(f'{kind} "{key[1]}" not found', 404)
        obj = copy.deepcopy(obj)
        if _without_version(obj) == _without_version(old):
            return copy.deepcopy(old)
        if kind in _GENERATION and obj.get("spec") != old.get("spec"):
            obj["metadata"]["generation"] = old["metadata"]["generation"] + 1
        self._store(kind, key, obj, "MODIFIED")
        if obj["metadata"].get("deletionTimestamp") and not obj["metadata"].get("finalizers"):
            pass
        return copy.deepcopy(obj)

    def remove(self, kind: str, namespace: str, name: str) -> None:
        """Remove the object and, in the background, everything that it owns."""
        obj = self.objects.get(kind, {}).pop((namespace, name), None)
        if obj is None:
            return
        obj["metadata"]["resourceVersion"] = str(self._bump())
        self._publish(kind, obj, "DELETED")
        uid = obj["metadata"]["uid"]
        for other_kind, objects in list(self.objects.items()):
            for key, other in list(objects.items()):
                if any(owner["uid"] == uid for owner in other["metadata"].get("ownerReferences", [])):
                    self.remove(other_kind, *key)

    def check_version(self, kind: str, stored: api.Object, given: str | None) -> None:
        """Raise Conflict when the writer has seen another version."""
        if given and given != stored["metadata"]["resourceVersion"]:
            raise api.Conflict(f"{kind}: the object has been modified", 409)

    def _store(self, kind: str, key: Key, obj: api.Object, event: str) -> None:
        obj["metadata"]["resourceVersion"] = str(self._bump())
        self.objects.setdefault(kind, {})[key] = obj
        self._publish(kind, obj, event)

    def _bump(self) -> int:
        self._last = next(self._version)
        return self._last

    def _publish(self, kind: str, obj: api.Object, event: str) -> None:
        seen = copy.deepcopy(obj)
        self._history.setdefault(kind, []).append((self._last, api.WatchEvent(event, seen)))
        changed = self._changed.pop(kind, None)
        if changed is not None:
            changed.set()
        for observer in self.observers:
            observer(event, seen, kind)

    # --- Watches --------------------------------------------------------------------------------------------

    def compact(self) -> None:
        """Forget the history: a watch from an older version is 410 Gone."""
        self._history = {kind: events[-1:] for kind, events in self._history.items()}

    async def follow(
        self, kind: str, since: int, namespace: str | None, selector: str
    ) -> AsyncIterator[api.WatchEvent]:
        """Yield what happened after a version, and then what happens."""
        history = self._history.get(kind, [])
        if history and since < history[0][0] - 1 and since < self._last and len(history) == 1:
            raise api.Gone("too old resource version", 410)
        while True:
            for version, event in list(self._history.get(kind, [])):
                if version <= since:
                    continue
                since = version
                space = event.object["metadata"]["namespace"]
                if namespace in {None, space} and matches(event.object, selector):
                    yield api.WatchEvent(event.type, copy.deepcopy(event.object))
            changed = self._changed.setdefault(kind, asyncio.Event())
            await changed.wait()


class Client:
    """One client of the server, with a field manager of its own."""

    def __init__(self, server: Server, manager: str = "modelrelease-operator") -> None:
        self.server = server
        self._manager = manager

    def now(self) -> datetime.datetime:
        return self.server.now()

    async def get(self, kind: api.Kind, namespace: str, name: str) -> api.Object:
        return self.server.get(kind.kind, namespace, name)

    async def list(
        self, kind: api.Kind, namespace: str | None = None, selector: str = ""
    ) -> tuple[list[api.Object], str]:
        found = [copy.deepcopy(obj) for obj in self.server.select(kind.kind, namespace, selector)]
        return found, str(self.server.version)

    def watch(
        self, kind: api.Kind, resource_version: str, namespace: str | None = None, selector: str = ""
    ) -> AsyncIterator[api.WatchEvent]:
        return self.server.follow(kind.kind, int(resource_version), namespace, selector)

    async def create(self, kind: api.Kind, obj: api.Object, *, dry_run: bool = False) -> api.Object:
        if dry_run:
            return copy.deepcopy(obj)
        obj = copy.deepcopy(obj)
        _own(obj, self._manager, _paths(obj))
        return self.server.create(kind.kind, obj)

    async def apply(
        self, kind: api.Kind, obj: api.Object, *, subresource: str = "", force: bool = True
    ) -> api.Object:
        namespace, name = api.key_of(obj)
        stored = self.server.find(kind.kind, namespace, name)
        if stored is None:
            if subresource:
                raise api.NotFound(f'{kind.kind} "{name}" not found', 404)
            return await self.create(kind, obj)
        self.server.check_version(kind.kind, stored, obj["metadata"].get("resourceVersion"))
        return self.server.replace(kind.kind, self._applied(stored, obj, subresource))

    def _applied(self, stored: api.Object, obj: api.Object, subresource: str) -> api.Object:
        """Merge what is applied; what this manager applied before and left out now is removed."""
        result = copy.deepcopy(stored)
        given = copy.deepcopy(obj)
        given["metadata"] = {
            field: value
            for field, value in given["metadata"].items()
            if field in {"labels", "annotations", "ownerReferences"}
        }
        if subresource:
            given = {subresource: given[subresource]}
        elif result["kind"] in _STATUS_SUBRESOURCE:
            given.pop("status", None)
        scope = subresource or "main"
        owners = result["metadata"].setdefault("managedFields", {})
        before = [tuple(path) for path in owners.get(self._manager, {}).get(scope, [])]
        after = _paths(given)
        for path in before:
            if path not in after:
                _remove(result, path)
        for path in after:
            _set(result, path, _at(given, path))
        _own(result, self._manager, after, scope)
        return result

    async def merge(self, kind: api.Kind, namespace: str, name: str, patch: api.Object) -> api.Object:
        stored = self.server.get(kind.kind, namespace, name)
        self.server.check_version(kind.kind, stored, patch.get("metadata", {}).get("resourceVersion"))
        merged = _merge(stored, patch)
        merged["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"]
        return self.server.replace(kind.kind, merged)

    async def scale(self, namespace: str, name: str, replicas: int, resource_version: str) -> None:
        stored = self.server.get("Deployment", namespace, name)
        self.server.check_version("Deployment", stored, resource_version)
        stored["spec"]["replicas"] = replicas
        self.server.replace("Deployment", stored)

    async def delete(self, kind: api.Kind, namespace: str, name: str, *, uid: str = "") -> None:
        stored = self.server.find(kind.kind, namespace, name)
        if stored is None:
            return
        if uid and stored["metadata"]["uid"] != uid:
            raise api.Conflict(f"{name}: the UID in the precondition does not match", 409)
        self.server.remove(kind.kind, namespace, name)

    async def pod_log(self, namespace: str, name: str, container: str, limit_bytes: int) -> str:
        pod = self.server.get("Pod", namespace, name)
        return str(pod["metadata"].get("annotations", {}).get("simulation/log", ""))[-limit_bytes:]


# --- Helpers ------------------------------------------------------------------------------------------------


def wire_time(time: datetime.datetime) -> str:
    """Return RFC 3339 with whole seconds, as the API server writes its own times."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def matches(obj: Mapping[str, Any], selector: str) -> bool:
    """Evaluate an equality or existence label selector."""
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, (part.strip() for part in selector.split(","))):
        if "!=" in term:
            name, _, value = term.partition("!=")
            if labels.get(name.strip()) == value.strip():
                return False
        elif "=" in term:
            name, _, value = term.replace("==", "=").partition("=")
            if labels.get(name.strip()) != value.strip():
                return False
        elif (term.startswith("!") and term[1:] in labels) or (not term.startswith("!") and term not in labels):
            return False
    return True


def _paths(obj: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of the leaves; lists and atomic maps are leaves."""
    found: list[tuple[str, ...]] = []
    for field, value in obj.items():
        path = (*prefix, field)
        if path in {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}:
            continue
        if isinstance(value, Mapping) and value and path not in _ATOMIC:
            found += _paths(value, path)
        elif path != ("metadata", "resourceVersion"):
            found.append(path)
    return found


def _at(obj: Any, path: tuple[str, ...]) -> Any:
    for field in path:
        obj = obj[field]
    return obj


def _set(obj: Any, path: tuple[str, ...], value: Any) -> None:
    for field in path[:-1]:
        if not isinstance(obj.get(field), dict):
            obj[field] = {}
        obj = obj[field]
    obj[path[-1]] = copy.deepcopy(value)


def _remove(obj: Any, path: tuple[str, ...]) -> None:
    for field in path[:-1]:
        obj = obj.get(field)
        if not isinstance(obj, dict):
            return
    obj.pop(path[-1], None)


def _own(obj: api.Object, manager: str, paths: list[tuple[str, ...]], scope: str = "main") -> None:
    fields = obj["metadata"].setdefault("managedFields", {})
    fields.setdefault(manager, {})[scope] = [list(path) for path in paths]


def _merge(target: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7386."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for field, value in patch.items():
        if value is None:
            result.pop(field, None)
        else:
            result[field] = _merge(result.get(field), value)
    return result


def _without_version(obj: api.Object) -> str:
    trimmed = {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}}
    return json.dumps(trimmed, sort_keys=True, default=str)
