"""The Job of a check that runs the model itself: its request, the files, and what its container needs."""

from typing import Any, Final

from modelrelease.api import artifact as artifacts
from modelrelease.api import internals as insides
from modelrelease.api import run as api_run
from modelrelease.checks import custom

Object = dict[str, Any]

RESOURCES: Final = {"requests": {"cpu": "500m", "memory": "2Gi"}}
"""torch alone takes 0.4 GiB; a model of a generator comes on top."""
FOLDER: Final = artifacts.MOUNT_PATH_DEFAULT
"""Where the check has the artifact: the server's own path might hide what the check brings."""
TMP_SIZE: Final = "2Gi"
"""Compiled kernels, and what libraries unpack."""
_VOLUME: Final = "artifact"
_ENVIRONMENT: Final = {
    # Nothing is fetched, whatever a configuration in the artifact names.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HOME": "/tmp/huggingface",  # noqa: S108 - the container's own
    # An image need not know the user that reads the artifact: without a name some libraries do not start.
    "USER": "check",
}
VARIABLES: Final = tuple({"name": name, "value": value} for name, value in _ENVIRONMENT.items())
"""They keep libraries from reaching out and from writing elsewhere."""


def request(asked: insides.Internals) -> Object:
    """Return what the request says: which files, and how they are run."""
    said: Object = asked.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        exclude={"golden_set", "resources", "run_as_user", "run_as_group", "gates"},
    )
    return {"internals": {"folder": FOLDER, **said}}


def gates(asked: insides.Internals) -> list[Object]:
    """Return the gates."""
    return [gate.model_dump(mode="json", by_alias=True, exclude_none=True) for gate in asked.gates]


def mounts(judging: api_run.Judging) -> list[Object]:
    """Return the mount of the artifact."""
    _, path = _artifact(judging).location
    mount: Object = {"name": _VOLUME, "mountPath": FOLDER, "readOnly": True}
    return [mount | ({"subPath": path} if path else {})]


def volumes(judging: api_run.Judging) -> list[Object]:
    """Return the volume of the artifact."""
    artifact = _artifact(judging)
    where, _ = artifact.location
    if artifact.uri.startswith("image://"):
        return [{"name": _VOLUME, "image": {"reference": where, "pullPolicy": "IfNotPresent"}}]
    return [{"name": _VOLUME, "persistentVolumeClaim": {"claimName": where, "readOnly": True}}]


def container(asked: insides.Internals, usual: Object) -> Object:
    """Return what is the check's own of its container: the resources and the user that the manifest names."""
    user = {"runAsUser": asked.run_as_user, "runAsGroup": asked.run_as_group}
    return {
        "resources": asked.resources or usual,
        "securityContext": custom.HARDENED | {key: value for key, value in user.items() if value is not None},
    }


def _artifact(judging: api_run.Judging) -> artifacts.Artifact:
    artifact = judging.model.artifact
    assert artifact is not None, "a rule of the API"
    return artifact
