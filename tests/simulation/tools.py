"""What others' tools must make of a release: Argo CD by our script, Flux and kubectl by our conditions."""

import functools
import json
from collections.abc import Iterator
from typing import Final

from hack.argocd import interpreter
from modelrelease.cluster import api
from modelrelease.core.story import Shown
from tests.simulation.kstatus import kstatus, waited_for

HEALTH: Final = {
    Shown.PENDING: "Progressing",
    Shown.STABLE: "Healthy",
    Shown.SCALED_TO_ZERO: "Healthy",
    Shown.QUEUED: "Progressing",
    Shown.STARTING: "Progressing",
    Shown.WAITING_FOR_CAPACITY: "Progressing",
    Shown.CHECKING: "Progressing",
    Shown.AWAITING_APPROVAL: "Suspended",
    Shown.SHIFTING: "Progressing",
    Shown.HOLDING: "Progressing",
    Shown.BAKING: "Progressing",
    Shown.RELOADING: "Progressing",
    Shown.RETURNING: "Progressing",
    Shown.RETRYING: "Progressing",
    Shown.ROLLED_BACK: "Degraded",
    Shown.REJECTED: "Degraded",
    Shown.CANCELLED: "Degraded",
    Shown.PAUSED: "Suspended",
    Shown.STALLED: "Degraded",
}
"""By the word in the column PHASE; the table of docs/argocd.md."""
KSTATUS: Final = {"Healthy": "Current", "Progressing": "InProgress", "Degraded": "Failed"}


def health(obj: api.Object) -> str:
    """Return what Argo CD should show, from the phase and not from the conditions that the script reads."""
    status, spec = obj.get("status") or {}, obj["spec"]
    if status.get("observedGeneration") != obj["metadata"]["generation"]:
        return "Progressing"
    found, override = HEALTH[Shown(status["phase"])], spec.get("override") or {}
    if found == "Healthy" and (override.get("paused") or override.get("pinned")):
        return "Suspended"
    return "Progressing" if found == "Healthy" and not _ready(obj) else found


def _ready(obj: api.Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in obj["status"]["conditions"])


def problems(obj: api.Object) -> Iterator[str]:
    """Yield what is wrong with the status of a release for a tool."""
    status, generation = obj["status"], obj["metadata"]["generation"]
    seen = status["observedGeneration"]
    said = [condition["observedGeneration"] for condition in status["conditions"]]
    if not all(type(number) is int for number in (seen, *said)) or set(said) != {seen}:
        yield f"generations differ or are no integers: {seen} and {said}"
    if seen != generation and waited_for(obj, "Ready"):
        yield "kubectl wait ends by what was said about an older spec"
    shown, wanted = _shown(_key(obj)), health(obj)
    if shown.status != wanted:
        yield f"Argo CD shows {shown.status} ({shown.message}) instead of {wanted}"
    waits = "Current" if seen == generation and _ready(obj) else "InProgress"
    if (found := kstatus(obj)) != KSTATUS.get(wanted, waits):
        yield f"kstatus says {found} where Argo CD shows {wanted}"


def _key(obj: api.Object) -> str:
    """Return what the script reads, as text: the same many times in a life."""
    status = obj["status"]
    conditions = [
        {field: c[field] for field in ("type", "status", "reason")} | {"message": bool(c["message"])}
        for c in status["conditions"]
    ]
    seen = status["observedGeneration"] == obj["metadata"]["generation"]
    return json.dumps([conditions, seen])


@functools.lru_cache(maxsize=4096)
def _shown(key: str) -> interpreter.Health:
    conditions, seen = json.loads(key)
    said = [c | {"message": "Something is said." if c["message"] else ""} for c in conditions]
    status = {"observedGeneration": 2 if seen else 1, "conditions": said, "message": "Told."}
    return interpreter.health({"kind": "ModelRelease", "metadata": {"generation": 2}, "status": status})
