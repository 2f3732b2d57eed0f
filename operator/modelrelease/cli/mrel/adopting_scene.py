"""A live Deployment, the Service that its users call, and whether a release can take them over. Pure."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrelease.api import constants
from modelrelease.cli.mrel import adopting_manifest, port
from modelrelease.cluster import adoption, facts

Object = Mapping[str, Any]

_DEPLOYMENTS: Final = frozenset({"deployment", "deployments", "deploy", "deployments.apps"})
_OTHERS: Final = {
    "statefulset": "its pods have names and volumes of their own, which no other pod can take over",
    "daemonset": "its pods belong to nodes",
    "rollout": "Argo Rollouts keeps its pods: see docs/migrate/argo-rollouts.md",
    "canary": "Flagger keeps its pods: see docs/migrate/flagger.md",
    "inferenceservice": "KServe keeps its pods: see docs/migrate/kserve.md",
}
_GIT: Final = {
    "argocd": "Argo CD",
    "argocd-controller": "Argo CD",
    "argocd-application-controller": "Argo CD",
    "kustomize-controller": "Flux",
    "helm-controller": "Flux",
    "helm": "Helm",
    "Helm": "Helm",
    "rollouts-controller": "Argo Rollouts",
    "flagger": "Flagger",
}
"""Field managers of tools that put back what others change."""


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """All that a step is decided from."""

    deployment: Object
    services: Sequence[Object]
    """Every Service of the namespace."""
    pods: Sequence[Object]
    """Every pod of the namespace."""
    autoscalers: Sequence[Object]
    releases: Sequence[Object]
    now: datetime.datetime
    chosen: str | None = None
    """The Service that was named."""
    protocol: str | None = None
    out_of_git: bool = False
    """Somebody says that no tool puts the Service back any more."""

    @property
    def name(self) -> str:
        """The Deployment's name."""
        return str(self.deployment["metadata"]["name"])

    def release(self, service: Object) -> Object | None:
        """Return the release of the Service's name."""
        wanted = service["metadata"]["name"]
        return next((obj for obj in self.releases if obj["metadata"]["name"] == wanted), None)


def named(target: str) -> str:
    """Return the name of the Deployment that is meant.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        It is of a kind that can't be adopted.
    """
    kind, slash, name = target.partition("/")
    if not slash:
        return target
    singular = kind.lower().partition(".")[0].removesuffix("s")
    singular = {"st": "statefulset", "sts": "statefulset", "ds": "daemonset", "d": "daemonset"}.get(
        singular, singular
    )
    if kind.lower() not in _DEPLOYMENTS or not name:
        why = f": {_OTHERS[singular]}" if singular in _OTHERS else ""
        raise port.Failed(f"{target} can't be adopted, only deployment/NAME{why}")
    return name


# --- Which Service, and may it be taken ---------------------------------------------------------------------


def service_of(scene: Scene) -> Object:
    """Return the Service that users call.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        It can't be told.
    """
    if scene.chosen is not None:
        found = [obj for obj in scene.services if obj["metadata"]["name"] == scene.chosen]
        if not found:
            raise port.Failed(f"there is no Service {scene.chosen} beside deployment/{scene.name}")
        return found[0]
    labels = adopting_manifest.labels_of(scene.deployment)
    found = [
        obj for obj in scene.services if adopting_manifest.matches(adopting_manifest.selected(obj), labels)
    ]
    names = ", ".join(sorted(obj["metadata"]["name"] for obj in found))
    if not found:
        raise port.Failed(f"no Service selects the pods of deployment/{scene.name}: name it by --service")
    if len(found) > 1:
        raise port.Failed(
            f"Services {names} select the pods of deployment/{scene.name}: name one by --service"
        )
    return found[0]


def kept_by(obj: Object) -> str:
    """Return which tool puts an object back when somebody changes it, as far as it can be seen."""
    metadata = obj["metadata"]
    said, labels = metadata.get("annotations") or {}, metadata.get("labels") or {}
    if "argocd.argoproj.io/tracking-id" in said or "argocd.argoproj.io/instance" in labels:
        return "Argo CD"
    if any(key.startswith(("kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/")) for key in labels):
        return "Flux"
    if "meta.helm.sh/release-name" in said or labels.get("app.kubernetes.io/managed-by") == "Helm":
        return "Helm"
    managers = {
        str(entry.get("manager"))
        for entry in metadata.get("managedFields") or ()
        if entry.get("subresource", "") == ""
    }
    return next((_GIT[name] for name in sorted(managers) if name in _GIT), "")


def _controller(obj: Object) -> str:
    references = obj["metadata"].get("ownerReferences") or ()
    return next((f"{ref['kind']} {ref['name']}" for ref in references if ref.get("controller")), "")


def refuse(scene: Scene, service: Object) -> None:
    """Refuse what can't be adopted without users noticing.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        One sentence that says why, and what to do where that is known.
    """
    name, called = scene.name, service["metadata"]["name"]
    labels = adopting_manifest.labels_of(scene.deployment)
    for obj, what in ((scene.deployment, f"deployment/{name}"), (service, f"Service {called}")):
        owner = _controller(obj)
        if owner:
            raise port.Failed(f"{what} belongs to {owner}, which would put it back: adopt what nobody owns")
    scaled = [
        obj["metadata"]["name"]
        for obj in scene.autoscalers
        if (obj["spec"]["scaleTargetRef"]["kind"], obj["spec"]["scaleTargetRef"]["name"])
        == ("Deployment", name)
    ]
    if scaled:
        raise port.Failed(
            f"HorizontalPodAutoscaler {scaled[0]} scales deployment/{name}: delete it first, and point one "
            f"at modelrelease/{called} afterwards, with spec.replicas left out of the manifest"
        )
    shape = adoption.shape_problem(service)
    if shape:
        raise port.Failed(f"Service {called} can't be adopted: {shape}")
    if not adopting_manifest.matches(adopting_manifest.selected(service), labels):
        said = words(service["spec"]["selector"])
        raise port.Failed(
            f"Service {called} does not select the pods of deployment/{name}: its selector is {said}"
        )
    strangers = _strangers(scene, service)
    if strangers:
        raise port.Failed(
            f"Service {called} sends users to pods of others too, whom they would not reach any more: "
            f"{', '.join(strangers[:3])}"
        )
    tool = kept_by(service)
    if tool and not scene.out_of_git:
        raise port.Failed(
            f"Service {called} is kept by {tool}, which would put its selector back under load: take the "
            "Service out of it without deleting it (docs/adopt.md says how), then say --out-of-git"
        )
    if len(called) > constants.NAME_LENGTH_MAX:
        raise port.Failed(
            f"Service {called} has a name of {len(called)} characters: a release, which bears the same, may "
            f"have {constants.NAME_LENGTH_MAX}"
        )


def _strangers(scene: Scene, service: Object) -> list[str]:
    """Return the pods that the Service selects and that are neither the Deployment's nor the release's."""
    selector = service["spec"].get("selector") or {}
    mine = (scene.deployment["spec"].get("selector") or {}).get("matchLabels") or {}
    return sorted(
        pod["metadata"]["name"]
        for pod in scene.pods
        if adopting_manifest.matches(selector, labels := facts.labels_of(pod))
        and not adopting_manifest.matches(mine, labels)
        and labels.get(constants.LABEL_RELEASE) != service["metadata"]["name"]
    )


def words(selector: Mapping[str, str]) -> str:
    """Return a selector as kubectl takes it."""
    return ",".join(f"{key}={value}" for key, value in selector.items())
