"""Paths into objects: JSON merge patch, defaults, label selectors, and who owns which field."""

import marshal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modelrelease.api import status

Path = tuple[str, ...]

_ATOMIC = frozenset({("spec", "selector"), ("spec", "template"), ("spec", "ports"), ("status",)})
"""Paths that server-side apply replaces whole, in this model."""
_IDENTITY = frozenset(
    {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "uid")}
)
_METADATA = frozenset({"labels", "annotations", "ownerReferences"})


def copied(value: Any) -> Any:
    """Return a copy of JSON data; many times faster than copy.deepcopy."""
    return marshal.loads(marshal.dumps(value))  # noqa: S302 - our own bytes


def merged(target: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7386."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for field, value in patch.items():
        if value is None:
            result.pop(field, None)
        else:
            result[field] = merged(result.get(field), value)
    return result


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
        elif (term.startswith("!") and term[1:] in labels) or (
            not term.startswith("!") and term not in labels
        ):
            return False
    return True


def applicable(obj: Mapping[str, Any], subresource: str, *, with_status: bool) -> dict[str, Any]:
    """Return the part of an applied object that the endpoint looks at."""
    if subresource:
        return {subresource: obj[subresource]}
    part = {k: v for k, v in obj.items() if k != "metadata" and not (k == "status" and with_status)}
    return part | {"metadata": {k: v for k, v in obj["metadata"].items() if k in _METADATA}}


def paths(obj: Mapping[str, Any], prefix: Path = ()) -> Iterator[Path]:
    """Yield the paths of the leaves; lists and atomic maps are leaves."""
    for field, value in obj.items():
        path = (*prefix, field)
        if path in _IDENTITY or path == ("metadata", "resourceVersion"):
            continue
        if isinstance(value, Mapping) and path not in _ATOMIC:
            yield from paths(value, path)
        else:
            yield path


def at(obj: Any, path: Path) -> Any:
    """Return the value at a path, or None."""
    for field in path:
        if not isinstance(obj, Mapping):
            return None
        obj = obj.get(field)
    return obj


def put(obj: Any, path: Path, value: Any) -> None:
    """Set the value at a path."""
    for field in path[:-1]:
        if not isinstance(obj.get(field), dict):
            obj[field] = {}
        obj = obj[field]
    obj[path[-1]] = copied(value)


def remove(obj: Any, path: Path) -> None:
    """Remove a path, and what it leaves empty."""
    for field in path[:-1]:
        obj = obj.get(field)
        if not isinstance(obj, dict):
            return
    obj.pop(path[-1], None)


class Owners:
    """Who owns the fields of one object: managers by path, as server-side apply tells them apart."""

    def __init__(self) -> None:
        self._of: dict[str, set[Path]] = {}

    def snapshot(self) -> dict[str, frozenset[Path]]:
        """Return who owns what now."""
        return {manager: frozenset(owned) for manager, owned in self._of.items() if owned}

    def conflicts(self, manager: str, stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[Path]:
        """Return what another manager owns and this one wants to be different."""
        return [
            path
            for path in paths(given)
            if at(stored, path) != at(given, path)
            and any(path in owned for other, owned in self._of.items() if other != manager)
        ]

    def apply(self, manager: str, stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Merge what is applied; what only this manager applied before, and leaves out now, is removed."""
        result: dict[str, Any] = copied(stored)
        before, after = self._of.get(manager, set()), set(paths(given))
        for path in before - after:
            if not any(path in owned for other, owned in self._of.items() if other != manager):
                remove(result, path)
        for path in paths(given):
            value = at(given, path)
            if at(stored, path) != value:
                self._lose(manager, [path])
            put(result, path, value)
        self._of[manager] = after
        return result

    def update(self, manager: str, stored: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
        """Note an update without apply: who changes a field has it."""
        touched = [path for path in paths(changed) if at(stored, path) != at(changed, path)]
        self._lose(manager, touched)
        self._of.setdefault(manager, set()).update(touched)
        present = set(paths(changed))
        for owned in self._of.values():
            owned.intersection_update(present)

    def _lose(self, manager: str, lost: Iterable[Path]) -> None:
        gone = set(lost)
        for other, owned in self._of.items():
            if other != manager:
                owned.difference_update(gone)


_POD_DEFAULTS = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst"}
_CONTAINER_DEFAULTS = {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log"}


def with_defaults(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    """Fill in, in place, what an API server fills in: enough that stored and written templates differ."""
    if kind == "Deployment":
        obj["spec"].setdefault("replicas", 1)
        pod = obj["spec"]["template"]["spec"]
        for name, value in _POD_DEFAULTS.items():
            pod.setdefault(name, value)
        for container in pod["containers"]:
            for name, value in _CONTAINER_DEFAULTS.items():
                container.setdefault(name, value)
    if kind == "ModelRelease":
        obj.setdefault("status", {"observedGeneration": status.UNSEEN})
    return obj
