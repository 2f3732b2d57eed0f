"""How a live Deployment and its Service become a release's, step by step, and how they go back. Pure."""

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final

from modelrelease.api import advice as api_advice
from modelrelease.api import constants, lint, reasons
from modelrelease.cli.mrel import adopting_manifest, adopting_scene, port
from modelrelease.cluster import adoption, facts, manifests
from modelrelease.core import observation

Object = Mapping[str, Any]

REPLICAS_BEFORE: Final = f"{constants.GROUP}/replicas-before-adoption"
"""On the old Deployment, once it has made room: how many pods it had."""
BECAUSE: Final = f"{constants.GROUP}/adopted-because"
"""On the Service that is offered: the person's reason."""
MANAGER: Final = "modelrelease-adopt"


@dataclasses.dataclass(frozen=True, slots=True)
class Patch:
    """One object changed by a JSON patch, if nobody changed it meanwhile."""

    kind: str
    name: str
    operations: tuple[Mapping[str, Any], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """What is written now, and what it means."""

    says: tuple[str, ...]
    applied: Object | None = None
    """A ModelRelease, applied first."""
    patches: tuple[Patch, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether anything is written."""
        return self.applied is not None or bool(self.patches)


# --- There --------------------------------------------------------------------------------------------------


def manifest(scene: adopting_scene.Scene) -> tuple[Object, list[str]]:
    """Return the ModelRelease for Git, and what to know of it."""
    service = adopting_scene.service_of(scene)
    adopting_scene.refuse(scene, service)
    made = adopting_manifest.manifest(scene.deployment, service, scene.services, scene.protocol)
    said = adopting_manifest.notes(scene.deployment, scene.services, made, guessed=scene.protocol is None)
    wrong = [one for one in lint.lint(made) if one.severity is api_advice.Severity.ERROR]
    return made, [*said, *(f"To be completed: {one.path} {one.message}" for one in wrong)]


def adopt(scene: adopting_scene.Scene, why: str) -> Step:
    """Return the next step of taking over.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        It can't be adopted.
    """
    service = adopting_scene.service_of(scene)
    if adoption.before(service) is not None:
        return Step(_taken(scene, service))
    adopting_scene.refuse(scene, service)
    release, called = scene.release(service), service["metadata"]["name"]
    where = service["metadata"]["namespace"]
    if release is not None and _offered(service):
        return Step(
            (
                f"Service {called} is offered to the release already; users reach deployment/{scene.name}.",
                str((release.get("status") or {}).get("message") or "The operator has said nothing yet."),
                f"What its checks found: kubectl mrel explain {called} -n {where}",
                f'To take it over: kubectl mrel approve {called} -n {where} --reason "…"',
            )
        )
    replicas, ready = (
        scene.deployment["spec"].get("replicas", 1),
        (scene.deployment.get("status") or {}).get("readyReplicas", 0),
    )
    if not ready or ready < replicas:
        raise port.Failed(
            f"deployment/{scene.name} has {ready} of {reasons.counted(replicas, 'pod')} Ready: adopt it when "
            "it is well, so that both can be compared"
        )
    says = [
        f"Will offer Service {called} to a release of the same name. Users notice nothing: it selects what "
        "it does now until a revision is approved and could serve them all."
    ]
    made: Object | None = None
    if release is None:
        made, notes = manifest(scene)
        unfinished = next((note for note in notes if note.startswith("To be completed")), None)
        if unfinished:
            raise port.Failed(
                f"the Deployment does not say all that a release needs. {unfinished} Write the manifest by "
                "-o yaml, complete and apply it, and say this again"
            )
        says.append(
            f"ModelRelease {called} is created: one pod like those of deployment/{scene.name} starts beside "
            "them, its checks report and decide nothing (Observe), then it waits for kubectl mrel approve."
        )
        says += notes
    says.append(f"Then {replicas} more pods are needed beside the old ones, until --finish takes those away.")
    return Step(tuple(says), made, (_offer(service, why),))


def _offered(service: Object) -> bool:
    said = facts.labels_of(service).get(constants.LABEL_RELEASE)
    return bool(said == service["metadata"]["name"])


def _offer(service: Object, why: str) -> Patch:
    name = service["metadata"]["name"]
    labels = {**facts.labels_of(service), constants.LABEL_RELEASE: name}
    said = {**facts.annotations_of(service), BECAUSE: why}
    operations = (_version(service), _add("/metadata/labels", labels), _add("/metadata/annotations", said))
    return Patch(port.SERVICES, name, operations)


def _version(obj: Object) -> dict[str, Any]:
    return {"op": "test", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]}


def _add(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}


def _taken(scene: adopting_scene.Scene, service: Object) -> tuple[str, ...]:
    called, where = service["metadata"]["name"], service["metadata"]["namespace"]
    left = scene.deployment["spec"].get("replicas", 1)
    says = f"Service {called} is taken over: users reach the release."
    if not left:
        return (says, f"deployment/{scene.name} has no pods any more: delete it when you trust the release.")
    return (
        says,
        f"deployment/{scene.name} still has {reasons.counted(left, 'pod')}, for the way back (--undo).",
        f"When you trust it: kubectl mrel adopt deployment/{scene.name} -n {where} --finish",
    )


# --- The end, and the way back ------------------------------------------------------------------------------


def finish(scene: adopting_scene.Scene) -> Step:
    """Return how the old pods go: their users have gone before.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        Somebody may still need them.
    """
    service = adopting_scene.service_of(scene)
    called, before = service["metadata"]["name"], adoption.before(service)
    if before is None or not _by_operator(service):
        raise port.Failed(f"Service {called} is not taken over yet, so users reach deployment/{scene.name}")
    tool = adopting_scene.kept_by(scene.deployment)
    if tool and not scene.out_of_git:
        raise port.Failed(
            f"deployment/{scene.name} is kept by {tool}: set its replicas to 0 there, and delete it later"
        )
    replicas = scene.deployment["spec"].get("replicas", 1)
    if not replicas:
        return Step((f"deployment/{scene.name} has no pods any more: delete it when you trust the release.",))
    left = _drain_seconds(scene.release(service)) - (scene.now - before.time).total_seconds()
    if left > 0:
        raise port.Failed(
            f"Service {called} was taken over just now: connections drain for {left:.0f} s more"
        )
    says = (
        f"Will scale deployment/{scene.name} from {replicas} to 0. Users have not been sent there since "
        f"{before.time:%H:%M:%S} UTC; what is left of old connections ends with its pods.",
        "It stays, for the way back (--undo).",
    )
    noted = {**facts.annotations_of(scene.deployment), REPLICAS_BEFORE: str(replicas)}
    operations = (
        _version(scene.deployment),
        _add("/metadata/annotations", noted),
        _add("/spec/replicas", 0),
    )
    return Step(says, patches=(Patch(port.DEPLOYMENTS, scene.name, operations),))


def _by_operator(service: Object) -> bool:
    selector, name = service["spec"].get("selector") or {}, service["metadata"]["name"]
    wide = manifests.selector(name, observation.Traffic(observation.Selects.WIDENED))
    return wide.items() <= selector.items()


def _drain_seconds(release: Object | None) -> float:
    strategy = ((release or {}).get("spec") or {}).get("strategy") or {}
    return float(strategy.get("drainSeconds", 30))


def undo(scene: adopting_scene.Scene) -> Step:
    """Return how users get the old pods back: one write to one Service.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        There is nothing to take back, or nobody to go back to.
    """
    service = adopting_scene.service_of(scene)
    called, where, before = (
        service["metadata"]["name"],
        service["metadata"]["namespace"],
        adoption.before(service),
    )
    if before is None:
        if not _offered(service):
            raise port.Failed(f"Service {called} is not offered to any release: there is nothing to undo")
        path = f"/metadata/labels/{_escaped(constants.LABEL_RELEASE)}"
        told = f"Will take the offer of Service {called} back: it was not taken over; users notice nothing."
        taken_back = (_version(service), {"op": "remove", "path": path})
        return Step((told, _afterwards(called, where)), patches=(Patch(port.SERVICES, called, taken_back),))
    ready = [
        pod
        for pod in scene.pods
        if adopting_manifest.matches(before.selector, facts.labels_of(pod)) and facts.pod(pod).ready
    ]
    if not ready:
        count = facts.annotations_of(scene.deployment).get(REPLICAS_BEFORE) or "N"
        raise port.Failed(
            f"no pod that Service {called} selected before is Ready, so nobody would serve users: kubectl "
            f"scale deployment {scene.name} -n {where} --replicas={count}, and say --undo again once they are"
        )
    says = (
        f"Will give Service {called} back to {adopting_scene.words(before.selector)}: one write, and users "
        f"reach {reasons.counted(len(ready), 'Ready pod')} of before.",
        _afterwards(called, where),
    )
    return Step(says, patches=(Patch(port.SERVICES, called, _given_back(service, before)),))


def _afterwards(called: str, where: str) -> str:
    return (
        f"The release then says NameConflict and leaves the Service alone; delete it when you are done: "
        f"kubectl delete modelrelease {called} -n {where}"
    )


def _given_back(service: Object, before: adoption.Before) -> tuple[Mapping[str, Any], ...]:
    metadata = service["metadata"]
    labels = {k: v for k, v in facts.labels_of(service).items() if k != constants.LABEL_RELEASE}
    said = {k: v for k, v in facts.annotations_of(service).items() if k not in {adoption.RECORD, BECAUSE}}
    owners = [ref for ref in metadata.get("ownerReferences") or () if ref["kind"] != constants.RELEASE_KIND]
    return (
        _version(service),
        _add("/spec/selector", dict(before.selector)),
        _add("/spec/ports/0/targetPort", before.target_port),
        _add("/metadata/labels", labels),
        _add("/metadata/annotations", said),
        # The release does not take the Service with it when it goes.
        _add("/metadata/ownerReferences", owners),
    )


def commands(step: Step) -> list[str]:
    """Return the kubectl commands that do the same as a step."""
    found = []
    if step.applied is not None:
        found.append("kubectl apply --server-side -f … (kubectl mrel adopt … -o yaml prints it)")
    for patch in step.patches:
        said = shlex.quote(json.dumps(list(patch.operations), ensure_ascii=False))
        found.append(f"kubectl patch {patch.kind} {patch.name} --type=json -p {said}")
    return found


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


STEPS: Final[Mapping[str, Callable[[adopting_scene.Scene], Step]]] = {"finish": finish, "undo": undo}
