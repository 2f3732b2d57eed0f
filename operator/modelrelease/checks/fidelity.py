"""What the request of a fidelity check says, and where operations that draw are asked."""

from collections.abc import Iterable
from typing import Any, Final

from modelrelease.api import endpoint as endpoints
from modelrelease.api import fidelity as fidelities

Object = dict[str, Any]

RESOURCES: Final = {"requests": {"cpu": "500m", "memory": "384Mi"}}
"""Reading an image takes 0.15 to 0.6 s of one core."""


def gates(asked: fidelities.Fidelity) -> list[Object]:
    """Return the gates."""
    return [gate.model_dump(mode="json", by_alias=True, exclude_none=True) for gate in asked.gates]


def elsewhere(operations: Iterable[endpoints.Operation], host: str, namespace: str) -> dict[str, str]:
    """Return where operations are asked that do not go to the port ``model`` of a pod.

    Parameters
    ----------
    operations
        Of the check.
    host
        The pod's address, as in a URL.
    namespace
        Of the release, and so of the Services.

    Returns
    -------
    Base URLs by the name of the operation.
    """
    return {
        operation.name: f"http://{_server(operation.via, host, namespace)}:{operation.via.port}"
        for operation in operations
        if operation.via is not None
    }


def _server(via: endpoints.Via, host: str, namespace: str) -> str:
    return f"{via.service_name}.{namespace}.svc" if via.service_name is not None else host
