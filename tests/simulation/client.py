"""What a client may ask of the API server in memory, as :class:`modelrelease.cluster.api.Api`.

Server-side apply with field ownership, merge patches, and the status and scale subresources.
"""

import datetime
from collections.abc import AsyncIterator

from modelrelease.cluster import api
from tests.simulation import fields, kubernetes


class Client:
    """One client of the server, with a field manager of its own."""

    def __init__(self, server: kubernetes.Server, manager: str = "modelrelease-operator") -> None:
        self.server = server
        self._manager = manager

    def now(self) -> datetime.datetime:
        """Return the server's time."""
        return self.server.now()

    async def get(self, kind: api.Kind, namespace: str, name: str) -> api.Object:
        """Read one object."""
        return self.server.get(kind.kind, namespace, name)

    async def list(
        self, kind: api.Kind, namespace: str | None = None, selector: str = ""
    ) -> tuple[list[api.Object], str]:
        """Return the objects and the newest version."""
        return self.server.select(kind.kind, namespace, selector), str(self.server.version)

    def watch(
        self, kind: api.Kind, resource_version: str, namespace: str | None = None, selector: str = ""
    ) -> AsyncIterator[api.WatchEvent]:
        """Follow changes."""
        return self.server.follow(kind, int(resource_version), namespace, selector)

    async def create(self, kind: api.Kind, obj: api.Object, *, dry_run: bool = False) -> api.Object:
        """Create an object; its status is dropped where it has its own subresource."""
        if obj["metadata"].get("resourceVersion"):
            raise api.ApiError("resourceVersion should not be set on objects to be created", 500)
        given = {k: v for k, v in obj.items() if not (k == "status" and kind.kind in kubernetes.STATUS)}
        given = {"apiVersion": kind.api_version, "kind": kind.kind} | given
        with self.server.as_actor(self._manager):
            created = self.server.create(kind.kind, given, store=not dry_run)
        if not dry_run:
            self.server.owners(created).update(f"Update {self._manager}", {}, given)
        return created

    async def apply(
        self, kind: api.Kind, obj: api.Object, *, subresource: str = "", force: bool = True
    ) -> api.Object:
        """Server-side apply."""
        namespace, name = api.key_of(obj)
        stored = self.server.find(kind.kind, namespace, name)
        manager = f"Apply {self._manager}{subresource}"
        if stored is None:
            return self._apply_new(kind, obj, subresource, manager)
        given = fields.applicable(obj, subresource, with_status=kind.kind in kubernetes.STATUS)
        owners = self.server.owners(stored)
        if not force and (clash := owners.conflicts(manager, stored, given)):
            raise api.Conflict(f"{name}: {clash} belong to another manager", 409)
        self.server.check_version(kind.kind, stored, obj["metadata"].get("resourceVersion"))
        if obj["metadata"].get("uid", stored["metadata"]["uid"]) != stored["metadata"]["uid"]:
            raise api.Invalid(f"{name}: metadata.uid: field is immutable", 422)
        before = owners.snapshot()
        applied = owners.apply(manager, stored, given)
        with self.server.as_actor(self._manager):
            return self.server.replace(kind.kind, applied, anyway=owners.snapshot() != before)

    def _apply_new(self, kind: api.Kind, obj: api.Object, subresource: str, manager: str) -> api.Object:
        name = obj["metadata"]["name"]
        if subresource:
            raise api.NotFound(f'{kind.kind} "{name}" not found', 404)
        if obj["metadata"].get("uid"):
            raise api.Conflict(f"{name}: no object with this uid", 409)
        # As a real one does it: an unknown resourceVersion does not keep the object from being created.
        given = {k: v for k, v in obj.items() if not (k == "status" and kind.kind in kubernetes.STATUS)}
        given = {"apiVersion": kind.api_version, "kind": kind.kind} | given
        with self.server.as_actor(self._manager):
            created = self.server.create(kind.kind, given)
        part = fields.applicable(given, "", with_status=True)
        self.server.owners(created).apply(manager, created, part)
        return created

    async def merge(self, kind: api.Kind, namespace: str, name: str, patch: api.Object) -> api.Object:
        """JSON merge patch."""
        stored = self.server.get(kind.kind, namespace, name)
        self.server.check_version(kind.kind, stored, patch.get("metadata", {}).get("resourceVersion"))
        scoped = {k: v for k, v in patch.items() if not (k == "status" and kind.kind in kubernetes.STATUS)}
        changed = fields.with_defaults(kind.kind, fields.copied(fields.merged(stored, scoped)))
        for field in ("uid", "creationTimestamp", "generation"):
            if field in stored["metadata"]:
                changed["metadata"][field] = stored["metadata"][field]
        self.server.owners(stored).update(f"Update {self._manager}", stored, changed)
        with self.server.as_actor(self._manager):
            return self.server.replace(kind.kind, changed)

    async def scale(self, namespace: str, name: str, replicas: int, resource_version: str) -> None:
        """Write a Deployment's replicas."""
        stored = self.server.get("Deployment", namespace, name)
        self.server.check_version("Deployment", stored, resource_version)
        changed = fields.copied(stored)
        changed["spec"]["replicas"] = replicas
        with self.server.as_actor(self._manager):
            self.server.replace("Deployment", changed)

    async def delete(self, kind: api.Kind, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete an object; gone already is success."""
        stored = self.server.find(kind.kind, namespace, name)
        if stored is None:
            return
        if uid and stored["metadata"]["uid"] != uid:
            raise api.Conflict(f"{name}: the UID in the precondition does not match", 409)
        with self.server.as_actor(self._manager):
            self.server.remove(kind.kind, namespace, name)

    async def pod_log(self, namespace: str, name: str, container: str, limit_bytes: int) -> str:
        """Return the last line of a pod's log."""
        pod = self.server.get("Pod", namespace, name)
        log = str(pod["metadata"].get("annotations", {}).get("simulation/log", ""))
        return log.rstrip("\n").rpartition("\n")[2][:limit_bytes]
