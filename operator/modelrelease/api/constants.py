"""Names that both the API server and people see: group, kinds, labels, annotations."""

from typing import Final

GROUP: Final = "modelrelease.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
RELEASE_KIND: Final = "ModelRelease"
RELEASE_PLURAL: Final = "modelreleases"
RUN_KIND: Final = "ModelReleaseRun"
RUN_PLURAL: Final = "modelreleaseruns"

FIELD_MANAGER: Final = "modelrelease-operator"

LABEL_RELEASE: Final = f"{GROUP}/release"
LABEL_REVISION: Final = f"{GROUP}/revision"
LABEL_RUN: Final = f"{GROUP}/run"
LABEL_CHECK: Final = f"{GROUP}/check"
LABEL_ROLE: Final = f"{GROUP}/role"
ROLE_SERVING: Final = "serving"
"""Role of the pods that can take traffic; pods of checks share the release's label, never this role."""

MODEL_PORT_NAME: Final = "model"
"""Name of the container port that serves the model; the Service's targetPort."""

ARTIFACT_CONTAINER: Final = "modelrelease-artifact"
"""Name of the init container that verifies the model's files, and of the volume that they are in."""

NAME_LENGTH_MAX: Final = 40
"""Longest release name: children append a revision, an attempt and a check to it."""
