"""The model's files in a pod: mounted into every container, and verified before the server starts. Pure."""

import copy
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from modelrelease.api import artifact as artifacts
from modelrelease.api import constants
from modelrelease.cluster import api
from modelrelease.core import observation

NAME: Final = constants.ARTIFACT_CONTAINER
FOLDER_VARIABLE: Final = "MODEL_DIR"
MODEL_VARIABLE: Final = "MODEL_NAME"
COMMIT_VARIABLE: Final = "MODEL_REVISION"
SCHEMA: Final = "artifact.modelrelease.dev/v1"

_MESSAGE_MAX: Final = 800
_DIGEST: Final = re.compile(r"sha256:[a-f0-9]{64}")
_HASH: Final = re.compile(r"[a-f0-9]{64}")


# --- Rendering ----------------------------------------------------------------------------------------------


def rendered(
    template: Mapping[str, Any], artifact: artifacts.Artifact, files: Sequence[str], image: str
) -> api.Object:
    """Return a pod template with the model's files.

    Parameters
    ----------
    template
        The user's template.
    artifact
        What to mount and verify; what the server pulls itself is only named to it.
    files
        Of the contract: they must exist, and their digests are reported first.
    image
        Of the checks, which verifies; every node that serves must be able to pull it.
    """
    found: api.Object = copy.deepcopy(dict(template))
    pod = found["spec"]
    for container in (*(pod.get("initContainers") or ()), *pod["containers"]):
        _name(container, _variables(artifact))
        if artifact.mounted:
            container["volumeMounts"] = [*(container.get("volumeMounts") or ()), _mount(artifact)]
    if artifact.mounted:
        pod["volumes"] = [*(pod.get("volumes") or ()), {"name": NAME, **_source(artifact)}]
    if artifact.digest is not None:
        verifier = _verifier(artifact, artifact.digest, files, image, pod)
        pod["initContainers"] = [verifier, *(pod.get("initContainers") or ())]
    return found


def _name(container: api.Object, variables: Mapping[str, str]) -> None:
    """Add variables; one that the user has set is theirs."""
    known = container.get("env") or []
    taken = {entry.get("name") for entry in known}
    added = [{"name": name, "value": value} for name, value in variables.items() if name not in taken]
    # Before the user's own, which may refer to them.
    container["env"] = [*added, *known]


def _variables(artifact: artifacts.Artifact) -> dict[str, str]:
    if artifact.mounted:
        return {FOLDER_VARIABLE: artifact.folder}
    name, _, commit = artifact.uri.removeprefix(artifacts.PULLED).partition("@")
    return {MODEL_VARIABLE: name} | ({COMMIT_VARIABLE: commit} if commit else {})


def _source(artifact: artifacts.Artifact) -> api.Object:
    where, _ = artifact.location
    if artifact.uri.startswith("image://"):
        return {"image": {"reference": where, "pullPolicy": "IfNotPresent"}}
    return {"persistentVolumeClaim": {"claimName": where, "readOnly": True}}


def _mount(artifact: artifacts.Artifact) -> api.Object:
    _, path = artifact.location
    mount: api.Object = {"name": NAME, "mountPath": artifact.folder, "readOnly": True}
    return mount | ({"subPath": path} if path else {})


def _verifier(
    artifact: artifacts.Artifact, digest: str, files: Sequence[str], image: str, pod: Mapping[str, Any]
) -> api.Object:
    command = ["python", "-m", "canary_checks", "artifact", "verify"]
    command += ["--path", artifact.folder, "--digest", digest]
    command += ["--files", ",".join(files)] if files else []
    return {
        "name": NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        "terminationMessagePolicy": "File",
        "securityContext": {
            **_user(pod),
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [_mount(artifact)],
    }


def _user(pod: Mapping[str, Any]) -> api.Object:
    """Return the server's user: who can read the files; never root unless the server is."""
    server = next((c for c in pod["containers"] if _serves(c)), pod["containers"][0])
    own = server.get("securityContext") or {}
    said = (pod.get("securityContext") or {}) | own
    user: api.Object = {key: own[key] for key in ("runAsUser", "runAsGroup") if key in own}
    return user | {"runAsNonRoot": said.get("runAsUser") != 0}


def _serves(container: Mapping[str, Any]) -> bool:
    return any(port.get("name") == constants.MODEL_PORT_NAME for port in container.get("ports") or ())


# --- Reading ------------------------------------------------------------------------------------------------


def report_of(statuses: Iterable[Mapping[str, Any]]) -> observation.ArtifactReport | None:
    """Return what the verifier said last, or None where there is none or it has not ended yet.

    Parameters
    ----------
    statuses
        Container statuses of a pod.
    """
    status = next((status for status in statuses if status.get("name") == NAME), None)
    if status is None:
        return None
    states = (status.get("state") or {}, status.get("lastState") or {})
    ended = next((state["terminated"] for state in states if state.get("terminated")), None)
    if ended is None:
        return None
    said = _parsed(str(ended.get("message") or ""))
    outcome, code = said.get("outcome"), ended.get("exitCode")
    digest = str(said.get("digest") or "")
    return observation.ArtifactReport(
        matches=outcome == "Match" and code == 0 and _DIGEST.fullmatch(digest) is not None,
        # Both: a container that was killed while it wrote has measured nothing.
        mismatches=outcome in {"Mismatch", "Refused"} and code == 1,
        message=str(said.get("message") or f"exit code {code}")[:_MESSAGE_MAX],
        digest=digest,
        files={name: f"sha256:{value}" for name, value in _files(said) if _HASH.fullmatch(value)},
    )


def _files(said: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    files = said.get("files")
    for name, value in files.items() if isinstance(files, Mapping) else ():
        yield str(name), str(value)


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, Mapping) and said.get("schema") == SCHEMA else {}
