"""Kubernetes' dicts as the core's facts: pure, one function per kind."""

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pydantic

from modelrelease.api import constants
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.cluster import api, artifacts, manifests
from modelrelease.core import observation
from modelrelease.core import revision as revision_identity

ACCELERATOR_LABEL = "nvidia.com/gpu.product"

_DISRUPTION_REASONS = frozenset(
    {"Evicted", "NodeLost", "NodeShutdown", "Preempting", "Shutdown", "Terminated"}
)


_START_ERRORS = frozenset({"StartError", "ContainerCannotRun"})


class Unreadable(Exception):
    """A stored object does not say what it must; the message is one sentence."""


def time_of(text: Any) -> datetime.datetime | None:
    """Return a Kubernetes timestamp as a time, or None when there is none."""
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)


def condition(obj: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return one condition of an object's status, or an empty one."""
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == kind), {})


def is_true(obj: Mapping[str, Any], kind: str) -> bool:
    """Return whether a condition is there and True."""
    return bool(condition(obj, kind).get("status") == "True")


def labels_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the object's labels."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the object's annotations."""
    return obj["metadata"].get("annotations") or {}


def revision_of(obj: Mapping[str, Any]) -> str:
    """Return the name of the revision that an object belongs to, or an empty name."""
    return labels_of(obj).get(constants.LABEL_REVISION, "")


# --- Pods ---------------------------------------------------------------------------------------------------


def model_port(pod_spec: Mapping[str, Any]) -> int:
    """Return the number of the container port named ``model``, or 0."""
    for container in pod_spec.get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == constants.MODEL_PORT_NAME:
                return int(port.get("containerPort") or 0)
    return 0


def _named_ports(pod_spec: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for container in (*(pod_spec.get("initContainers") or ()), *(pod_spec.get("containers") or ())):
        for port in container.get("ports") or ():
            if port.get("name"):
                yield str(port["name"]), int(port.get("containerPort") or 0)


def _gpus(pod_spec: Mapping[str, Any]) -> int:
    """Return how many whole GPUs a pod has, of any vendor; shares of one are not counted."""
    limits = [
        ((container.get("resources") or {}).get("limits") or {})
        for container in pod_spec.get("containers") or ()
    ]
    counts = [str(count) for limit in limits for name, count in limit.items() if name.endswith("/gpu")]
    return sum(int(count) for count in counts if count.isdecimal())


def pod(obj: Mapping[str, Any], accelerators: Mapping[str, str] | None = None) -> observation.Pod:
    """Return the facts of a pod.

    Parameters
    ----------
    obj
        The Pod.
    accelerators
        GPU product by node name, as far as it is known.
    """
    metadata, status, spec = obj["metadata"], obj.get("status") or {}, obj.get("spec") or {}
    scheduled, ready = condition(obj, "PodScheduled"), condition(obj, "Ready")
    terminating = bool(metadata.get("deletionTimestamp"))
    is_ready = ready.get("status") == "True" and not terminating
    unschedulable = scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
    statuses = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return observation.Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        revision=revision_of(obj),
        ready=is_ready,
        terminating=terminating,
        finished=status.get("phase") in {"Succeeded", "Failed"},
        ip=status.get("podIP") or "",
        port=model_port(spec),
        ports=tuple(_named_ports(spec)),
        gpus=_gpus(spec),
        pull_secrets=tuple(ref["name"] for ref in spec.get("imagePullSecrets") or () if ref.get("name")),
        scheduled_time=_since(scheduled) if scheduled.get("status") == "True" else None,
        ready_time=_since(ready) if is_ready else None,
        unready_time=_since(ready) if ready.get("status") == "False" else None,
        unschedulable_since=_since(scheduled) if unschedulable else None,
        unschedulable_message=str(scheduled.get("message") or "") if unschedulable else "",
        scheduling_gated=scheduled.get("reason") == "SchedulingGated",
        disrupted=disrupted(obj),
        containers=tuple(container(entry) for entry in statuses),
        artifact=artifacts.report_of(statuses),
        accelerator=(accelerators or {}).get(spec.get("nodeName") or "", ""),
    )


def disrupted(obj: Mapping[str, Any]) -> bool:
    """Return whether a pod was evicted or preempted, or its node is lost."""
    return is_true(obj, "DisruptionTarget") or (obj.get("status") or {}).get("reason") in _DISRUPTION_REASONS


def container(status: Mapping[str, Any]) -> observation.Container:
    """Return the facts of one container status."""
    waiting = (status.get("state") or {}).get("waiting") or {}
    ended = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated")
    return observation.Container(
        name=status["name"],
        ready=bool(status.get("ready")),
        restarts=int(status.get("restartCount") or 0),
        waiting_reason=str(waiting.get("reason") or ""),
        waiting_message=str(waiting.get("message") or ""),
        exit_code=int(ended["exitCode"]) if ended else None,
        termination_reason=str((ended or {}).get("reason") or ""),
        start_error=_start_error(ended or {}),
        image_id=str(status.get("imageID") or ""),
    )


def _start_error(ended: Mapping[str, Any]) -> str:
    """Return the message of a termination that is the runtime's: any other is the container's own."""
    return str(ended.get("message") or "") if ended.get("reason") in _START_ERRORS else ""


def _since(found: Mapping[str, Any]) -> datetime.datetime | None:
    return time_of(found.get("lastTransitionTime"))


# --- Deployments --------------------------------------------------------------------------------------------


def deployment(obj: Mapping[str, Any], template: Mapping[str, Any]) -> observation.Deployment:
    """Return the facts of a Deployment, compared with the stored template of its revision."""
    failure = condition(obj, "ReplicaFailure")
    message = str(failure.get("message") or "") if failure.get("status") == "True" else ""
    replicas = obj["spec"].get("replicas")
    return observation.Deployment(
        desired=1 if replicas is None else int(replicas),
        template_matches=template_matches(obj, template),
        replica_failure=message,
    )


def template_matches(deployment: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Return whether a Deployment's template is the stored one, or was found to amount to it.

    The stored one has the defaults of the API server that accepted it. A newer one's defaults look like an
    edit until putting the stored template back has changed nothing, which is noted on the Deployment.
    """
    if deployment["spec"]["template"] == stored:
        return True
    live = without_nulls(deployment["spec"]["template"])
    accepted = annotations_of(deployment).get(manifests.ACCEPTED_TEMPLATE)
    return bool(live == stored) or accepted == revision_identity.digest(live)


def without_nulls(value: Any) -> Any:
    """Return a value without null fields, such as the creationTimestamp that older API servers write."""
    if isinstance(value, Mapping):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def contains(live: Any, stored: Any) -> bool:
    """Return whether a live value has every field of a stored one; lists must have the same length."""
    if isinstance(stored, Mapping):
        return isinstance(live, Mapping) and all(contains(live.get(k), v) for k, v in stored.items())
    if isinstance(stored, list):
        return (
            isinstance(live, list)
            and len(live) == len(stored)
            and all(contains(a, b) for a, b in zip(live, stored, strict=True))
        )
    return bool(live == stored)


# --- Revisions ----------------------------------------------------------------------------------------------


def revision(
    obj: Mapping[str, Any], deployments: Mapping[str, Mapping[str, Any]], pods: Iterable[observation.Pod]
) -> observation.Revision:
    """Return the facts of a ControllerRevision with its Deployment and pods.

    Parameters
    ----------
    obj
        The ControllerRevision.
    deployments
        Deployments by the name of their revision.
    pods
        The pods of the release.
    """
    name, data, said = revision_of(obj), obj.get("data") or {}, annotations_of(obj)
    deployed = deployments.get(name)
    return observation.Revision(
        name=name,
        model_version=said.get(manifests.MODEL_VERSION, ""),
        embedding_space=str(data.get("embeddingSpace") or ""),
        numeric_class=_numeric_class(said.get(manifests.NUMERIC_CLASS)),
        created_time=time_of(obj["metadata"].get("creationTimestamp")),
        promoted_time=time_of(said.get(manifests.PROMOTED_TIME)),
        failed_digests=frozenset(failed_digests(obj)),
        anchor_of=said.get(manifests.ANCHOR_OF, ""),
        outputs=_outputs(said.get(manifests.OUTPUTS)),
        artifact=_artifact(said.get(manifests.ARTIFACT)),
        deployment=deployment(deployed, data.get("template") or {}) if deployed is not None else None,
        pods=tuple(pod for pod in pods if pod.revision == name),
    )


def failed_digests(obj: Mapping[str, Any]) -> list[str]:
    """Return the judging digests under which a revision has failed, the oldest first."""
    try:
        found = json.loads(annotations_of(obj).get(manifests.FAILED_DIGESTS) or "[]")
    except ValueError:
        return []
    return [str(entry) for entry in found] if isinstance(found, list) else []


def _numeric_class(text: str | None) -> api_spec.NumericClass | None:
    try:
        return api_spec.NumericClass(text) if text else None
    except ValueError:
        return None


_REFERENCES = pydantic.TypeAdapter(tuple[api_run.Reference, ...])


def _outputs(text: str | None) -> tuple[api_run.Reference, ...]:
    """Read a list of references, or the one that older operators stored."""
    try:
        many = bool(text and text.startswith("["))
        return _REFERENCES.validate_json(text if many else f"[{text}]") if text else ()
    except pydantic.ValidationError:
        return ()


def _artifact(text: str | None) -> api_run.ArtifactStatus | None:
    try:
        return api_run.ArtifactStatus.model_validate_json(text) if text else None
    except pydantic.ValidationError:
        return None


# --- Runs ---------------------------------------------------------------------------------------------------


def run(obj: Mapping[str, Any]) -> observation.Run:
    """Return the facts of a run.

    Raises
    ------
    Unreadable
        Its spec or status is not one that this version knows.
    """
    name = obj["metadata"]["name"]
    try:
        spec = api_run.RunSpec.model_validate(obj.get("spec") or {})
        status = api_run.RunStatus.model_validate(obj.get("status") or {})
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Unreadable(f"Run {name} can't be read: {where}: {first['msg']}") from error
    return observation.Run(name, spec, status)


def age_order(obj: Mapping[str, Any]) -> tuple[str, int, str]:
    """Return a key that sorts runs from the oldest to the newest."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    return (metadata.get("creationTimestamp") or "", int(spec.get("attempt") or 0), metadata["name"])


# --- Services -----------------------------------------------------------------------------------------------


def traffic(owner: manifests.Owner, services: Iterable[Mapping[str, Any]]) -> observation.Traffic:
    """Return what the release's Service selects."""
    live = next((s for s in services if s["metadata"]["name"] == owner.name), None)
    if live is None:
        return observation.Traffic(observation.Selects.NOTHING)
    if not is_own_service(owner, live):
        return observation.Traffic(observation.Selects.FOREIGN)
    selector = (live.get("spec") or {}).get("selector") or {}
    wide = observation.Traffic(observation.Selects.WIDENED)
    if selector == manifests.selector(owner.name, wide):
        return wide
    pinned = observation.Traffic(
        observation.Selects.PINNED, selector.get(constants.LABEL_REVISION) or manifests.REVISION_NONE
    )
    known = selector == manifests.selector(owner.name, pinned)
    if known and pinned.revision != manifests.REVISION_NONE:
        return pinned
    # Owned by the release it was edited by hand; only labelled for it, it still sends users somewhere else.
    given = not known and not owner.owns(live)
    return observation.Traffic(observation.Selects.OFFERED if given else observation.Selects.NOTHING)


def is_own_service(owner: manifests.Owner, service: Mapping[str, Any]) -> bool:
    """Return whether the Service is the release's: owned by it, or labelled for it and nobody's."""
    return service["metadata"]["name"] == owner.name and belongs(owner, service)


def is_offered(owner: manifests.Owner, service: Mapping[str, Any]) -> bool:
    """Return whether the Service is given to the release, and was not taken over yet."""
    return traffic(owner, [service]).selects is observation.Selects.OFFERED


def belongs(owner: manifests.Owner, obj: Mapping[str, Any]) -> bool:
    """Return whether an object is the release's child, or was left without an owner and is taken over."""
    if owner.owns(obj):
        return True
    controlled = any(ref.get("controller") for ref in obj["metadata"].get("ownerReferences") or ())
    return not controlled and labels_of(obj).get(constants.LABEL_RELEASE) == owner.name


def exposing_services(
    owner: manifests.Owner,
    services: Iterable[Mapping[str, Any]],
    labels: Iterable[Mapping[str, str]],
) -> tuple[str, ...]:
    """Return the Services, other than the release's own, that would send users to pods with these labels.

    Parameters
    ----------
    owner
        The release.
    services
        Every Service of the namespace.
    labels
        Labels of the candidate's pods, of those to come and of those that exist.
    """
    pods = list(labels)
    found = []
    for service in services:
        selector = (service.get("spec") or {}).get("selector") or {}
        # One that is offered selects by labels that are not the operator's yet.
        ours = is_own_service(owner, service) and not is_offered(owner, service)
        if not selector or ours:
            continue
        if any(all(pod.get(k) == v for k, v in selector.items()) for pod in pods):
            found.append(service["metadata"]["name"])
    return tuple(sorted(found))


def accelerators(nodes: Iterable[api.Object]) -> dict[str, str]:
    """Return the GPU product of each node that says it."""
    return {
        node["metadata"]["name"]: product
        for node in nodes
        if (product := labels_of(node).get(ACCELERATOR_LABEL))
    }
