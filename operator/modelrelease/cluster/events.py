"""Kubernetes Events: one for each transition, the same one when a turn is repeated after a crash."""

import datetime
import hashlib
from typing import Final

from modelrelease.api import constants
from modelrelease.cluster import api, manifests

MESSAGE_MAX_BYTES: Final = 1024
NORMAL: Final = "Normal"
WARNING: Final = "Warning"


def event(
    involved: manifests.Owner,
    transition: str,
    reason: str,
    message: str,
    now: datetime.datetime,
    *,
    warning: bool = False,
) -> api.Object:
    """Return an Event.

    Parameters
    ----------
    involved
        The ModelRelease or ModelReleaseRun that it is about.
    transition
        What makes it one of its kind, such as run, phase and step.
    reason
        CamelCase word.
    message
        One sentence.
    now
        The API server's time.
    warning
        Whether a person should look.
    """
    unique = f"{involved.uid}\n{transition}\n{reason}"
    moment = now.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{involved.name}.{hashlib.sha256(unique.encode()).hexdigest()[:16]}",
            "namespace": involved.namespace,
        },
        "involvedObject": {
            "apiVersion": involved.kind.api_version,
            "kind": involved.kind.kind,
            "name": involved.name,
            "namespace": involved.namespace,
            "uid": involved.uid,
        },
        "type": WARNING if warning else NORMAL,
        "reason": reason,
        "message": _cut(message),
        "source": {"component": constants.FIELD_MANAGER},
        "reportingComponent": constants.FIELD_MANAGER,
        "reportingInstance": "",
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def _cut(message: str) -> str:
    if len(message.encode()) <= MESSAGE_MAX_BYTES:
        return message
    end = "…"
    return message.encode()[: MESSAGE_MAX_BYTES - len(end.encode())].decode("utf-8", "ignore") + end


async def publish(port: api.Api, obj: api.Object) -> bool:
    """Write an Event that may be there already; return whether it was not."""
    try:
        await port.create(api.EVENT, obj)
    except api.AlreadyExists:
        return False
    return True
