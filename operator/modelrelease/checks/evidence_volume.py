"""The evidence volume in a check's pod and in its request."""

import dataclasses
from typing import Any, Final

from modelrelease.api import checks as api_checks

PATH: Final = "/evidence"
_VOLUME: Final = "evidence"

Object = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """Whose evidence it is: what the folders on the volume are named by."""

    namespace: str
    release: str
    portion: int


def question(template: api_checks.CheckTemplate, owner: Owner) -> Object:
    """Return what the request says of the volume; nothing where there is none."""
    declared = template.evidence_volume
    if declared is None:
        return {}
    return {
        "evidence": {
            "path": PATH,
            "namespace": owner.namespace,
            "release": owner.release,
            "portion": owner.portion,
            "keepRuns": declared.keep_runs,
        }
    }


def mounts(template: api_checks.CheckTemplate) -> list[Object]:
    """Return the mount of the volume, the only one that a check can write to beside its own ``/tmp``."""
    return [{"name": _VOLUME, "mountPath": PATH}] if template.evidence_volume is not None else []


def volumes(template: api_checks.CheckTemplate) -> list[Object]:
    """Return the volume."""
    declared = template.evidence_volume
    if declared is None:
        return []
    claim = declared.persistent_volume_claim.claim_name
    return [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": claim}}]


def security(template: api_checks.CheckTemplate) -> Object:
    """Return what the pod's security context needs for it.

    Nothing by default: a group that a namespace's policy does not allow would keep the check from starting.
    """
    declared = template.evidence_volume
    if declared is None or declared.fs_group is None:
        return {}
    return {"fsGroup": declared.fs_group, "fsGroupChangePolicy": "OnRootMismatch"}
