"""What Flux, Helm and ``kubectl wait`` make of an object's status, in a few lines of Python.

`make test-argocd` compares this with kstatus itself, as Flux builds it in.
"""

from typing import Any

from modelrelease.cluster import api


def kstatus(obj: api.Object) -> str:
    """Return the status of a custom resource as ``status.Compute`` of kstatus does."""
    status, metadata = obj.get("status") or {}, obj["metadata"]
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    conditions: list[dict[str, Any]] = status.get("conditions", [])
    for condition in conditions:
        if condition["type"] == "Reconciling" and condition["status"] == "True":
            return "InProgress"
        if condition["type"] == "Stalled" and condition["status"] == "True":
            return "Failed"
    ready = next((condition for condition in conditions if condition["type"] == "Ready"), None)
    if ready is not None and ready["status"] != "True":
        return "InProgress"
    return "Current"


def waited_for(obj: api.Object, kind: str) -> bool:
    """Return whether ``kubectl wait --for=condition=KIND`` ends with this object."""
    for condition in (obj.get("status") or {}).get("conditions", []):
        if condition["type"] == kind:
            known = condition.get("observedGeneration", obj["status"].get("observedGeneration"))
            return condition["status"] == "True" and (known is None or known >= obj["metadata"]["generation"])
    return False
