"""Random traces of API calls, and what an API server answers to them, in terms that two servers can share."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest import mock

from modelrelease.api import constants
from modelrelease.cluster import api
from tests.simulation import fields, people, script

KINDS: Final = (api.CONFIG_MAP, api.SERVICE, api.CONTROLLER_REVISION, api.RELEASE)
KNOWN: Final = (
    ("metadata", "labels", "a"),
    ("metadata", "labels", "b"),
    ("metadata", "annotations", "n"),
    ("metadata", "generation"),
    ("data", "x"),
    ("data", "y"),
    ("spec", "selector"),
    ("spec", "replicas"),
    ("spec", "override"),
    ("spec", "model", "version"),
    ("status", "message"),
    ("status", "phase"),
)
SETUP: Final = script.generate(1).setup
NOBODY: Final = "00000000-0000-0000-0000-000000000000"
Call = tuple[str, api.Kind, str, dict[str, Any]]


def draw(seed: int) -> list[Call]:
    """Draw a trace."""
    chance = random.Random(seed)
    calls: list[Call] = []
    for _ in range(chance.randint(6, 16)):
        kind, name = chance.choice(KINDS), chance.choice(["one", "two"])
        verb = chance.choice(
            ["create", "apply", "apply", "apply", "status", "merge", "merge", "get", "list", "delete"]
        )
        said: dict[str, Any] = {"by": chance.choice(["operator", "operator", "person"])}
        said |= {"labels": {k: chance.choice("12") for k in "ab" if chance.random() < 0.5}}
        said |= {"note": chance.choice(["", "1", "2"]), "variant": chance.randrange(3)}
        said |= {"version": chance.choice(["", "", "fresh", "stale"]), "force": chance.random() < 0.7}
        said |= {
            "uid": chance.choice(["", "right", "wrong"]),
            "selector": chance.choice(["", "a", "a=1", "!b"]),
        }
        calls.append((verb, kind, name, said))
    return calls


def manifest(kind: api.Kind, namespace: str, name: str, said: dict[str, Any]) -> api.Object:
    """Return an object that a call writes."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if said["labels"]:
        metadata["labels"] = said["labels"]
    if said["note"]:
        metadata["annotations"] = {"n": said["note"]}
    obj: api.Object = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
    return obj | _content(kind, said["variant"])


def _content(kind: api.Kind, variant: int) -> dict[str, Any]:
    if kind == api.CONFIG_MAP:
        return {"data": [{"x": "1"}, {"x": "2", "y": "1"}, {"y": "2"}][variant]}
    if kind == api.SERVICE:
        return {"spec": {"selector": {"s": str(variant)}, "ports": [{"port": 80, "protocol": "TCP"}]}}
    if kind == api.CONTROLLER_REVISION:
        return {"revision": 1, "data": {"x": "1"}}
    spec = people.manifest(SETUP)["spec"] | {"replicas": 1 + variant}
    if variant == 1:
        spec["override"] = {"paused": {"reason": "because"}}
    return {"spec": spec}


def patch_of(kind: api.Kind, said: dict[str, Any]) -> api.Object:
    """Return what a merge changes; what is left out of it is removed."""
    metadata = {
        "labels": {key: said["labels"].get(key) for key in "ab"},
        "annotations": {"n": said["note"] or None},
    }
    if kind == api.CONFIG_MAP:
        return {
            "metadata": metadata,
            "data": {key: _content(kind, said["variant"])["data"].get(key) for key in "xy"},
        }
    if kind == api.RELEASE:
        paused = {"reason": "because"} if said["variant"] == 1 else None
        return {
            "metadata": metadata,
            "spec": {"replicas": 1 + said["variant"], "override": {"paused": paused}},
        }
    return {"metadata": metadata}


def seen(obj: api.Object) -> dict[str, Any]:
    """Return what both servers must say of an object."""
    found = {".".join(path): value for path in KNOWN if (value := fields.at(obj, path)) not in ({}, None)}
    return found | {"name": obj["metadata"]["name"]}


@contextmanager
def acting(who: str) -> Iterator[None]:
    """Let a call be made under a field manager."""
    manager = constants.FIELD_MANAGER if who == "operator" else "kubectl"
    with mock.patch.object(constants, "FIELD_MANAGER", manager):
        yield


class Player:
    """Plays traces on one server."""

    def __init__(self, port_of: Callable[[str], api.Api], namespace: str) -> None:
        self._port_of, self._namespace = port_of, namespace
        self._versions: dict[tuple[api.Kind, str], list[str]] = {}

    async def play(self, calls: list[Call]) -> list[Any]:
        """Return what is observed, call by call, and then by watches from the beginning."""
        port = self._port_of("operator")
        since = {kind: (await port.list(kind, self._namespace))[1] for kind in KINDS}
        answers = []
        for verb, kind, name, said in calls:
            with acting(said["by"]):
                answers.append(
                    (verb, kind.kind, name, await self._answer(getattr(self, f"_{verb}"), kind, name, said))
                )
        watched = await asyncio.gather(*(self._watched(kind, since[kind]) for kind in KINDS))
        return [*answers, *((kind.kind, events) for kind, events in zip(KINDS, watched, strict=True))]

    async def _answer(self, call: Callable[..., Awaitable[Any]], kind: api.Kind, name: str, said: Any) -> Any:
        try:
            answer = await call(self._port_of(said["by"]), kind, name, said)
        except api.ApiError as error:
            return type(error).__name__
        return self._noted(kind, answer) if isinstance(answer, dict) else answer

    def _noted(self, kind: api.Kind, obj: api.Object) -> Any:
        """Note the version; who asks learns whether it is a new one."""
        known = self._versions.setdefault((kind, obj["metadata"]["name"]), [])
        version = obj["metadata"]["resourceVersion"]
        if version not in known:
            known.append(version)
        return {"version": known.index(version)} | seen(obj)

    async def _version(self, port: api.Api, kind: api.Kind, name: str, said: dict[str, Any]) -> str:
        if said["version"] == "stale":
            return "1"
        if said["version"] == "fresh":
            return str((await port.get(kind, self._namespace, name))["metadata"]["resourceVersion"])
        return ""

    async def _create(self, port: api.Api, kind: api.Kind, name: str, said: dict[str, Any]) -> api.Object:
        return await port.create(kind, manifest(kind, self._namespace, name, said))

    async def _apply(self, port: api.Api, kind: api.Kind, name: str, said: dict[str, Any]) -> api.Object:
        obj = manifest(kind, self._namespace, name, said)
        version = await self._version(port, kind, name, said)
        if version:
            obj["metadata"]["resourceVersion"] = version
        if said["uid"] == "wrong":
            obj["metadata"]["uid"] = NOBODY
        return await port.apply(kind, obj, force=said["force"])

    async def _status(self, port: api.Api, kind: api.Kind, name: str, said: dict[str, Any]) -> api.Object:
        status = {"message": str(said["variant"])} | ({"phase": "P"} if said["variant"] else {})
        metadata = {"name": name, "namespace": self._namespace}
        version = await self._version(port, api.RELEASE, name, said)
        if version:
            metadata["resourceVersion"] = version
        with acting("operator"):
            return await self._port_of("operator").apply(
                api.RELEASE, {"metadata": metadata, "status": status}, subresource="status"
            )

    async def _merge(self, port: api.Api, kind: api.Kind, name: str, said: dict[str, Any]) -> api.Object:
        patch = patch_of(kind, said)
        version = await self._version(port, kind, name, said)
        if version:
            patch["metadata"]["resourceVersion"] = version
        return await port.merge(kind, self._namespace, name, patch)

    async def _get(self, port: api.Api, kind: api.Kind, name: str, said: dict[str, Any]) -> api.Object:
        return await port.get(kind, self._namespace, name)

    async def _list(self, port: api.Api, kind: api.Kind, name: str, said: dict[str, Any]) -> Any:
        found, _ = await port.list(kind, self._namespace, said["selector"])
        return [self._noted(kind, obj) for obj in found if obj["metadata"]["name"] in {"one", "two"}]

    async def _delete(self, port: api.Api, kind: api.Kind, name: str, said: dict[str, Any]) -> Any:
        uid = {"wrong": NOBODY}.get(said["uid"], "")
        if said["uid"] == "right":
            uid = (await port.get(kind, self._namespace, name))["metadata"]["uid"]
        await port.delete(kind, self._namespace, name, uid=uid)
        self._versions.pop((kind, name), None)
        return "deleted"

    async def _watched(self, kind: api.Kind, since: str) -> list[Any]:
        """Return the events since the beginning, up to one that is made now."""
        port = self._port_of("operator")
        end = manifest(kind, self._namespace, "end", {"labels": {}, "note": "", "variant": 0})
        await port.create(kind, end)
        found = []
        async for event in port.watch(kind, since, self._namespace):
            name = event.object["metadata"].get("name")
            if name == "end":
                break
            if event.type != "BOOKMARK" and name in {"one", "two"}:
                found.append((event.type, seen(event.object)))
        await port.delete(kind, self._namespace, "end")
        return found
