"""The port to the cluster: the few things that the plugin asks kubectl for, and how they fail."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from modelrelease.api import constants

Object = dict[str, Any]
"""A Kubernetes object as the API server sends it."""

RELEASES: Final = f"{constants.RELEASE_PLURAL}.{constants.VERSION}.{constants.GROUP}"
RUNS: Final = f"{constants.RUN_PLURAL}.{constants.VERSION}.{constants.GROUP}"
REVISIONS: Final = "controllerrevisions.apps"
PODS: Final = "pods"
CONFIG_MAPS: Final = "configmaps"
EVENTS: Final = "events"
DEPLOYMENTS: Final = "deployments.apps"
SERVICES: Final = "services"
AUTOSCALERS: Final = "horizontalpodautoscalers.autoscaling"


class Failed(Exception):
    """The cluster did not do what was asked; the message is one sentence, mostly kubectl's."""


class NotFound(Failed):
    """There is no such object."""


class Conflict(Failed):
    """Somebody else wrote the object in between."""


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to a watched object."""

    kind: str
    """ADDED, MODIFIED or DELETED; LOST when the watch broke, and then ``object`` is empty."""
    object: Mapping[str, Any]
    message: str = ""


class Cluster(Protocol):
    """What the plugin needs of a cluster, in the namespace and context that the person chose."""

    def get(self, kind: str, name: str) -> Object:
        """Return one object.

        Raises
        ------
        Failed
            It is not there, may not be read, or the cluster can't be reached.
        """

    def select(self, kinds: Sequence[str], selector: str = "", *, everywhere: bool = False) -> list[Object]:
        """Return the objects of some kinds that bear these labels, in one namespace or in all of them."""

    def events(self, involved: str) -> list[Object]:
        """Return the Events about the object of this name."""

    def apply(self, obj: Mapping[str, Any], manager: str, *, dry_run: bool = False) -> Object:
        """Apply an object server-side and return it as it is then; the manager's fields become these."""

    def patch(
        self,
        kind: str,
        name: str,
        operations: Sequence[Mapping[str, Any]],
        manager: str,
        *,
        dry_run: bool = False,
    ) -> Object:
        """Change an object by a JSON patch and return it as it is then."""

    def watch(self, kind: str, *, name: str = "", selector: str = "") -> Iterator[Change]:
        """Yield what happens to objects, what exists first, until the caller closes the iterator."""

    def close(self) -> None:
        """End every watch; nothing of them stays behind."""
