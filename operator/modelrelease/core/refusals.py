"""Why a pod is refused although its Deployment was accepted, in the words of who refuses it.

The API server accepts a Deployment whose pods it refuses one by one; the scheduler and the kubelet refuse
more. Some of that passes by itself: a quota, a webhook that is down, a cache that is not filled yet. The rest
is the manifest's, or an object that somebody has to make, and no waiting helps: only that is told here. What
is not recognised counts as passing.

The words are those of Kubernetes 1.32 to 1.35: ``plugin/pkg/admission``, ``pkg/scheduler``, ``pkg/kubelet``.
"""

import re
from collections.abc import Sequence
from typing import Final

from modelrelease.api import reasons
from modelrelease.core import observation

Problem = observation.Problem

_SAID_MAX: Final = 600

_WHO: Final = re.compile(r'^(?:pods|pod) "[^"]*" is (?:forbidden|invalid): ', re.IGNORECASE)
"""The pod has another name at each attempt, and says nothing."""
_ABSENT: Final = (
    ("ServiceAccount", re.compile(r'service account [^/\s]+/(\S+): serviceaccount "[^"]+" not found')),
    ("PriorityClass", re.compile(r"no PriorityClass with name (\S+) was found")),
    ("RuntimeClass", re.compile(r'RuntimeClass "([^"]+)" not found')),
)
_ABSENT_CLAIM: Final = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_QUOTA: Final = re.compile(r"exceeded quota")
_DENIED: Final = re.compile(r"denied (?:the )?request|violates PodSecurity")
"""A policy has looked at the pod and said no, whatever its own words are."""
_PASSES: Final = re.compile(
    r"internal error|failed calling webhook|looking up service account|status unknown for quota"
    r"|not yet ready|being terminated|time[d]? ?out|deadline exceeded|connection refused|unavailable",
    re.IGNORECASE,
)

_CONTAINER_WAITS: Final = frozenset({"CreateContainerConfigError", "CreateContainerError"})
_SECRET: Final = re.compile(r'secret "[^"]+" not found|couldn\'t find key \S+ in Secret ')
_CONTAINER: Final = re.compile(
    r'configmap "[^"]+" not found|couldn\'t find key \S+ in ConfigMap |container has runAsNonRoot'
    r"|container's runAsUser breaks non-root policy"
    r"|subpath|no command specified",
    re.IGNORECASE,
)
_CREDENTIALS: Final = re.compile(
    r"access denied|unauthorized|authorization failed|authentication required|no basic auth credentials"
    r"|\b401\b|403 forbidden",
    re.IGNORECASE,
)
_REGISTRY_PASSES: Final = re.compile(
    r"dial tcp|no such host|time[d]? ?out|connection re|too ?many ?requests|status(?: code)?:? 5\d\d|\beof\b",
    re.IGNORECASE,
)


def is_quota(said: str) -> bool:
    """Return whether a quota is used up, which is nobody's fault and passes."""
    return _QUOTA.search(said) is not None


def of_creation(said: str) -> Problem | None:
    """Return why no pod will be created until somebody acts.

    Parameters
    ----------
    said
        Why the ReplicaSet could not create one: the API server's answer.
    """
    if is_quota(said):
        return None
    for kind, pattern in _ABSENT:
        found = pattern.search(said)
        if found is not None:
            where = "the namespace" if kind == "ServiceAccount" else "the cluster"
            return Problem(reasons.OBJECT_NOT_FOUND, reasons.names_nothing(f"{kind} {found[1]}", where))
    why = _WHO.sub("", said)
    refused = _DENIED.search(said) is not None or (why != said and _PASSES.search(why) is None)
    return Problem(reasons.POD_REJECTED, reasons.pod_rejected(_short(why))) if refused else None


def of_placement(said: str) -> Problem | None:
    """Return why no node will do until somebody acts: taints, labels and resources may change by themselves.

    Parameters
    ----------
    said
        The scheduler's words.
    """
    found = _ABSENT_CLAIM.search(said)
    if found is None:
        return None
    message = reasons.names_nothing(f"PersistentVolumeClaim {found[1]}", "the namespace")
    return Problem(reasons.OBJECT_NOT_FOUND, message)


def of_container(container: observation.Container) -> Problem | None:
    """Return why the kubelet will not start a container until somebody acts."""
    if container.waiting_reason not in _CONTAINER_WAITS:
        return None
    said = container.waiting_message
    secret = _SECRET.search(said) is not None
    if not secret and _CONTAINER.search(said) is None:
        return None
    reason = reasons.SECRET_NOT_FOUND if secret else reasons.POD_REJECTED
    return Problem(reason, reasons.container_rejected(container.name, _short(said)))


def of_pull(container: observation.Container, pull_secrets: Sequence[str]) -> Problem | None:
    """Return that the registry wants other credentials; it says so of images, too, that it does not have.

    Parameters
    ----------
    container
        One that waits for its image.
    pull_secrets
        Names of the Secrets that the pod pulls with.
    """
    said = container.waiting_message
    if _CREDENTIALS.search(said) is None or _REGISTRY_PASSES.search(said) is not None:
        return None
    message = reasons.pull_denied(container.name, reasons.shortened(said, 300), pull_secrets)
    return Problem(reasons.IMAGE_UNAVAILABLE, message)


def _short(said: str) -> str:
    return reasons.shortened(" ".join(said.split()), _SAID_MAX)
