"""The port to Kubernetes: the few calls the operator makes, and the errors they end with.

:class:`Api` is implemented by :mod:`modelrelease.cluster.client` for a real API server and by the
simulation's in-memory Kubernetes. Objects are the plain dicts of the wire; they go no further than this
package and :mod:`modelrelease.checks`.
"""

import dataclasses
import datetime
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from modelrelease.api import constants

Object = dict[str, Any]
"""A Kubernetes object as the API server sends it."""
Objects = list[Object]


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """A resource."""

    api_version: str
    kind: str
    plural: str


RELEASE = Kind(constants.API_VERSION, constants.RELEASE_KIND, constants.RELEASE_PLURAL)
RUN = Kind(constants.API_VERSION, constants.RUN_KIND, constants.RUN_PLURAL)
CONTROLLER_REVISION = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
POD = Kind("v1", "Pod", "pods")
SERVICE = Kind("v1", "Service", "services")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SECRET = Kind("v1", "Secret", "secrets")
JOB = Kind("batch/v1", "Job", "jobs")
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
EVENT = Kind("v1", "Event", "events")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
PERSISTENT_VOLUME_CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
NODE = Kind("v1", "Node", "nodes")
PRIORITY_CLASS = Kind("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses")
RUNTIME_CLASS = Kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses")
CLUSTER_SCOPED = frozenset({NODE, PRIORITY_CLASS, RUNTIME_CLASS})
"""Kinds without a namespace: their objects are read with an empty one."""


class ApiError(Exception):
    """The API server did not do what was asked."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status; 0 when there was no answer."""


class NotFound(ApiError):
    """404."""


class Conflict(ApiError):
    """409: another resourceVersion, or a field that another manager owns."""


class AlreadyExists(ApiError):
    """409 on create."""


class Invalid(ApiError):
    """400 or 422: the object is refused; the message is the server's."""


class Forbidden(ApiError):
    """403, a terminating namespace and an exceeded quota included."""


class Gone(ApiError):
    """410: the resourceVersion of a watch is too old; list again."""


class Unavailable(ApiError):
    """429, 5xx, a timeout or no connection: try again later."""


@dataclasses.dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch."""

    type: str
    """ADDED, MODIFIED, DELETED or BOOKMARK."""
    object: Object


class Api(Protocol):
    """The calls. Each raises an :class:`ApiError` and nothing else, and ends within its deadline."""

    def now(self) -> datetime.datetime:
        """Return the API server's time: its last ``Date`` header, advanced by the local monotonic clock."""
        ...

    async def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Read one object, not from a cache."""
        ...

    async def list(
        self, kind: Kind, namespace: str | None = None, selector: str = ""
    ) -> tuple[list[Object], str]:
        """Return the objects, and the resourceVersion that a watch continues from."""
        ...

    def watch(
        self, kind: Kind, resource_version: str, namespace: str | None = None, selector: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """Follow changes until the server ends the stream; bookmarks included."""
        ...

    async def create(self, kind: Kind, obj: Object, *, dry_run: bool = False) -> Object:
        """POST; ``AlreadyExists`` when the name is taken."""
        ...

    async def apply(self, kind: Kind, obj: Object, *, subresource: str = "", force: bool = True) -> Object:
        """Server-side apply under the one field manager; a ``resourceVersion`` in ``obj`` is checked."""
        ...

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object) -> Object:
        """JSON merge patch, for metadata of ControllerRevisions."""
        ...

    async def scale(self, namespace: str, name: str, replicas: int, resource_version: str) -> None:
        """Write ``deployments/scale``; a stale resourceVersion is a Conflict."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete in the background; ``uid`` is a precondition. Gone already is success."""
        ...

    async def pod_log(self, namespace: str, name: str, container: str, limit_bytes: int) -> str:
        """Return the end of a container's log, at most ``limit_bytes``."""
        ...


def key_of(obj: Mapping[str, Any]) -> tuple[str, str]:
    """Return (namespace, name)."""
    metadata = obj["metadata"]
    return metadata["namespace"], metadata["name"]
