"""The ModelRelease that runs what a live Deployment runs: its manifest, made from the objects. Pure."""

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modelrelease.api import constants, endpoint
from modelrelease.cli.mrel import port
from modelrelease.cluster import adoption

Object = Mapping[str, Any]

_VERSION: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_RUNTIMES: Final = (
    ("text-embeddings-inference", "TextEmbeddingsInference", "TextEmbeddingsInference"),
    ("infinity", "Infinity", "OpenAIEmbeddings"),
    ("vllm", "VLLM", "OpenAIEmbeddings"),
    ("triton", "Triton", "OpenInferenceV2"),
    ("mlserver", "MLServer", "OpenInferenceV2"),
)
"""Part of an image's name, its runtime, and what it mostly speaks."""
_DEFAULTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "imagePullPolicy": ("IfNotPresent",),
    "dnsPolicy": ("ClusterFirst",),
    "restartPolicy": ("Always",),
    "schedulerName": ("default-scheduler",),
    "securityContext": ({},),
    "resources": ({},),
    "terminationGracePeriodSeconds": (30,),
    "protocol": ("TCP",),
    "scheme": ("HTTP",),
    "failureThreshold": (3,),
    "periodSeconds": (10,),
    "successThreshold": (1,),
    "timeoutSeconds": (1,),
    "defaultMode": (420,),
}
"""What the API server writes into every template: nobody wants to read it in Git."""
_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether a Service with this selector sends users to pods with these labels."""
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def selected(service: Object) -> Mapping[str, str]:
    """Return the selector of a Service, as it was before it was adopted."""
    before = adoption.before(service)
    return before.selector if before is not None else service["spec"].get("selector") or {}


def labels_of(deployment: Object) -> Mapping[str, str]:
    """Return the labels of a Deployment's pods."""
    return (deployment["spec"]["template"].get("metadata") or {}).get("labels") or {}


def manifest(deployment: Object, service: Object, services: Iterable[Object], protocol: str | None) -> Object:
    """Return the ModelRelease; it reports only, and waits for a person before anything is taken over.

    Parameters
    ----------
    deployment
        As it runs.
    service
        The one that users call: the release has its name.
    services
        Every Service of the namespace: none of them may reach the new pods.
    protocol
        What the server speaks; None guesses it from the image.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        The port that users reach can't be told.
    """
    template = copy.deepcopy(deployment["spec"]["template"])
    _name_port(template["spec"], service)
    image = serving(template["spec"])["image"]
    runtime, guessed = _server(image)
    says = {"protocol": protocol or guessed}
    metadata, live = service["metadata"], service["spec"]
    users = {"port": live["ports"][0]["port"]}
    if (live.get("type") or "ClusterIP") != "ClusterIP":
        users["type"] = live["type"]
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.RELEASE_KIND,
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "spec": {
            "replicas": deployment["spec"].get("replicas", 1),
            "model": {"version": _version(image)},
            "endpoint": says | ({"runtime": runtime} if runtime else {}),
            "service": users,
            "enforcement": "Observe",
            "strategy": {"approval": "BeforeTraffic"},
            "template": _plain(template, stripped(labels_of(deployment), services)),
        },
    }


def stripped(labels: Mapping[str, str], services: Iterable[Object]) -> dict[str, str]:
    """Return the labels without those by which a Service finds the old pods, and would find the new ones."""
    by = [selected(service) for service in services]
    found = {key for selector in by if matches(selector, labels) for key in selector}
    return {key: value for key, value in labels.items() if key not in found}


def serving(pod: Object) -> Object:
    """Return the container that names the port ``model``."""
    return next(
        container
        for container in pod["containers"]
        if any(known.get("name") == constants.MODEL_PORT_NAME for known in container.get("ports") or ())
    )


def _name_port(pod: dict[str, Any], service: Object) -> None:
    """Name the container port that users reach ``model``, and follow the new name in what refers to it."""
    users = service["spec"]["ports"][0]
    wanted = users.get("targetPort") or users["port"]
    known = [
        (container, found)
        for container in pod["containers"]
        for found in container.get("ports") or ()
        if wanted in {found.get("name"), found["containerPort"]}
    ]
    name = constants.MODEL_PORT_NAME
    taken = [
        found
        for container in pod["containers"]
        for found in container.get("ports") or ()
        if found.get("name") == name
    ]
    if taken and all(found is not taken[0] for _, found in known):
        raise port.Failed(
            f"the container port named {name} is {taken[0]['containerPort']}, but Service "
            f"{service['metadata']['name']} sends users to {wanted}: a release serves them on the port {name}"
        )
    if not known:
        if isinstance(wanted, str) or len(pod["containers"]) > 1:
            raise port.Failed(
                f"there is no container port named {name}, and none says that it listens on {wanted}, to "
                f"which Service {service['metadata']['name']} sends users: name that port {name} in the "
                "Deployment's template"
            )
        pod["containers"][0].setdefault("ports", []).append({"name": name, "containerPort": wanted})
        return
    container, found = known[0]
    before = found.get("name")
    found["name"] = name
    if before and before != name:
        _follow(container, before, name)


def _follow(container: dict[str, Any], before: str, name: str) -> None:
    hooks = (container.get("lifecycle") or {}).values()
    for handler in (*(container.get(probe) or {} for probe in _PROBES), *hooks):
        for way in ("httpGet", "tcpSocket"):
            if (handler.get(way) or {}).get("port") == before:
                handler[way]["port"] = name


def _plain(template: Object, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return a template as a person would write it."""
    said = (template.get("metadata") or {}).get("annotations") or {}
    kept = {key: value for key, value in said.items() if not key.startswith("kubectl.kubernetes.io/")}
    metadata = {name: value for name, value in (("labels", dict(labels)), ("annotations", kept)) if value}
    spec = _undefaulted({key: value for key, value in template["spec"].items() if key != "serviceAccount"})
    return {**({"metadata": metadata} if metadata else {}), "spec": spec}


def _undefaulted(value: Any) -> Any:
    if isinstance(value, list):
        return [_undefaulted(entry) for entry in value]
    if not isinstance(value, Mapping):
        return copy.deepcopy(value)
    kept = {key: entry for key, entry in value.items() if entry not in _DEFAULTS.get(key, ())}
    return {key: _undefaulted(entry) for key, entry in kept.items()}


def _version(image: str) -> str:
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return tag if _VERSION.fullmatch(tag) else "adopted"


def _server(image: str) -> tuple[str, str]:
    """Return the runtime and protocol that an image's name speaks of."""
    for part, runtime, protocol in _RUNTIMES:
        if part in image.lower():
            return runtime, protocol
    return "", endpoint.Protocol.OPENAI_EMBEDDINGS.value


def notes(deployment: Object, services: Sequence[Object], made: Object, *, guessed: bool) -> list[str]:
    """Return what a person should know of the manifest before it is applied."""
    found = []
    labels = labels_of(deployment)
    gone = sorted(set(labels) - set(stripped(labels, services)))
    if gone:
        said = ", ".join(f"{key}={labels[key]}" for key in gone)
        found.append(
            f"The new pods do not bear {said}, so that no Service reaches them before they are judged: a "
            "NetworkPolicy, PodMonitor, PodDisruptionBudget or affinity that goes by it has to go by "
            f"{constants.LABEL_RELEASE}={made['metadata']['name']}."
        )
    if guessed:
        said = made["spec"]["endpoint"]["protocol"]
        found.append(f"It is taken to speak {said}: say --protocol where it does not.")
    return found
