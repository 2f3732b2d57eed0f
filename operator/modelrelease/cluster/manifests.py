"""The children of a release, as manifests: pure functions of the stored revision and the live settings.

A Deployment is rendered once, into the ControllerRevision, and from then on only copied out of it: an upgrade
of the operator changes no template and restarts no pod. There is no Service for probes: checks call a pod by
its address, so that a result belongs to one pod.
"""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from modelrelease.api import constants
from modelrelease.api import spec as api_spec
from modelrelease.cluster import api
from modelrelease.core import observation

REVISION_NONE: Final = "none"
"""What a Service that selects nothing is pinned to: it keeps its address, and no pod bears the label."""

MODEL_VERSION: Final = f"{constants.GROUP}/model-version"
NUMERIC_CLASS: Final = f"{constants.GROUP}/numeric-class"
PROMOTED_TIME: Final = f"{constants.GROUP}/promoted-time"
FAILED_DIGESTS: Final = f"{constants.GROUP}/failed-digests"
ANCHOR_OF: Final = f"{constants.GROUP}/anchor-of"
OUTPUTS: Final = f"{constants.GROUP}/outputs"
ARTIFACT: Final = f"{constants.GROUP}/artifact"
ACCEPTED_TEMPLATE: Final = f"{constants.GROUP}/accepted-template"
"""On a Deployment: digest of a template that differs from the stored one only by new defaults."""

_NOT_COPIED_LABELS: Final = frozenset({"app.kubernetes.io/instance"})
_NOT_COPIED_PREFIXES: Final = ("argocd.argoproj.io/", "kubectl.kubernetes.io/last-applied-configuration")
_FOR_EVER: Final = 2_147_483_647


@dataclasses.dataclass(frozen=True, slots=True)
class Owner:
    """The object that children belong to and are deleted with."""

    kind: api.Kind
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, kind: api.Kind, obj: Mapping[str, Any]) -> "Owner":
        """Return an existing object as an owner."""
        metadata = obj["metadata"]
        return cls(kind, metadata["namespace"], metadata["name"], metadata["uid"])

    def reference(self) -> api.Object:
        """Return the controlling owner reference."""
        return {
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }

    def owns(self, obj: Mapping[str, Any]) -> bool:
        """Return whether the object is a child of this owner, by UID: a name can be anybody's."""
        return any(ref.get("uid") == self.uid for ref in obj["metadata"].get("ownerReferences") or ())


def child_name(release: str, revision: str) -> str:
    """Return the name of a revision's ControllerRevision, Deployment and PodDisruptionBudget."""
    return f"{release}-{revision}"


def copy_name(release: str, revision: str, index: int) -> str:
    """Return the name of the copy of the revision's ``index``-th referenced ConfigMap."""
    return f"{release}-{revision}-{index}"


def pod_labels(release: str, revision: str) -> dict[str, str]:
    """Return the operator's labels of a revision's pods; they never change in a pod's life."""
    return {
        constants.LABEL_RELEASE: release,
        constants.LABEL_REVISION: revision,
        constants.LABEL_ROLE: constants.ROLE_SERVING,
    }


def rendered_template(template: Mapping[str, Any], release: str, revision: str) -> api.Object:
    """Return the pod template of a revision: the user's, with the operator's labels.

    Parameters
    ----------
    template
        The user's template, its ConfigMap references already pointing at the copies.
    release, revision
        Names that become labels.
    """
    rendered = copy.deepcopy(dict(template))
    metadata = rendered.get("metadata") or {}
    labels = {k: v for k, v in (metadata.get("labels") or {}).items() if k not in _NOT_COPIED_LABELS}
    annotations = {
        k: v for k, v in (metadata.get("annotations") or {}).items() if not k.startswith(_NOT_COPIED_PREFIXES)
    }
    rendered["metadata"] = {"labels": labels | pod_labels(release, revision)}
    if annotations:
        rendered["metadata"]["annotations"] = annotations
    return rendered


def controller_revision(
    owner: Owner, revision: str, number: int, data: Mapping[str, Any], model_version: str
) -> api.Object:
    """Return the stored revision; ``data`` is immutable, what is said of it later goes into annotations."""
    obj = _child(owner, "apps/v1", "ControllerRevision", child_name(owner.name, revision), revision)
    obj["metadata"]["annotations"] = {MODEL_VERSION: model_version}
    return obj | {"revision": number, "data": dict(data)}


def deployment(owner: Owner, revision: str, template: Mapping[str, Any]) -> api.Object:
    """Return the Deployment of a stored revision, for its creation: without pods.

    Its own rolling update only ever undoes a hand edit: one pod at a time, within the pod budget.
    """
    obj = _child(owner, "apps/v1", "Deployment", child_name(owner.name, revision), revision)
    obj["spec"] = {
        "replicas": 0,
        "revisionHistoryLimit": 0,
        "progressDeadlineSeconds": _FOR_EVER,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
        "selector": {
            "matchLabels": {constants.LABEL_RELEASE: owner.name, constants.LABEL_REVISION: revision}
        },
        "template": copy.deepcopy(dict(template)),
    }
    return obj


def selector(release: str, traffic: observation.Traffic) -> dict[str, str]:
    """Return the live Service's selector: pinned to one revision, or widened to all of the release."""
    wide = {constants.LABEL_RELEASE: release, constants.LABEL_ROLE: constants.ROLE_SERVING}
    if traffic.selects is observation.Selects.WIDENED:
        return wide
    pinned = traffic.revision if traffic.selects is observation.Selects.PINNED else REVISION_NONE
    return wide | {constants.LABEL_REVISION: pinned}


def service(owner: Owner, settings: api_spec.Service, traffic: observation.Traffic) -> api.Object:
    """Return the Service that users call, for server-side apply: the one object that moves traffic."""
    obj = _child(owner, "v1", "Service", owner.name)
    if settings.annotations:
        obj["metadata"]["annotations"] = dict(settings.annotations)
    obj["spec"] = {
        "type": settings.type.value,
        "selector": selector(owner.name, traffic),
        "sessionAffinity": "None",
        "ports": [
            {
                "name": constants.MODEL_PORT_NAME,
                "port": settings.port,
                "protocol": "TCP",
                "targetPort": constants.MODEL_PORT_NAME,
            }
        ],
    }
    return obj


def disruption_budget(owner: Owner, revision: str, max_unavailable: int) -> api.Object:
    """Return the PodDisruptionBudget of a serving revision: at least one may go, so that drains end."""
    obj = _child(owner, "policy/v1", "PodDisruptionBudget", child_name(owner.name, revision), revision)
    obj["spec"] = {
        "maxUnavailable": max(1, max_unavailable),
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {
            "matchLabels": {constants.LABEL_RELEASE: owner.name, constants.LABEL_REVISION: revision}
        },
    }
    return obj


def config_map_copy(owner: Owner, revision: str, index: int, source: Mapping[str, Any]) -> api.Object:
    """Return an immutable copy of a ConfigMap that the revision's template refers to."""
    obj = _child(owner, "v1", "ConfigMap", copy_name(owner.name, revision, index), revision)
    obj["metadata"]["annotations"] = {f"{constants.GROUP}/copy-of": source["metadata"]["name"]}
    obj["immutable"] = True
    return obj | {key: source[key] for key in ("data", "binaryData") if source.get(key)}


def run(owner: Owner, name: str, spec: Mapping[str, Any], revision: str) -> api.Object:
    """Return a new ModelReleaseRun; its status begins empty."""
    obj = _child(owner, constants.API_VERSION, constants.RUN_KIND, name, revision)
    return obj | {"spec": dict(spec)}


def _child(owner: Owner, api_version: str, kind: str, name: str, revision: str = "") -> api.Object:
    labels = {constants.LABEL_RELEASE: owner.name}
    if revision:
        labels[constants.LABEL_REVISION] = revision
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": labels,
            "ownerReferences": [owner.reference()],
        },
    }
