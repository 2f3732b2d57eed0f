"""The Job of a check, as a manifest: a pure function of the run, the check, the attempt and the pod to probe.

The pod of a check bears the release's label but not the role that Services select: it never takes traffic. It
has no token, no privileges and a read-only file system; its answer is its termination message.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrelease.api import constants
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import observation

CONTAINER: Final = "check"
ROLE_CHECK: Final = "check"
REQUEST_VARIABLE: Final = "MODELRELEASE_CHECK_REQUEST"
OUTPUTS_KEY: Final = "outputs.safetensors"

ATTEMPT: Final = f"{constants.GROUP}/attempt"
POD_UID: Final = f"{constants.GROUP}/pod-uid"
REFERENCES: Final = f"{constants.GROUP}/references"
"""How many references the candidate was compared with."""

_NAME_MAX: Final = 63
_LEAD_SECONDS: Final = 10
"""A check ends itself this much before its Job is ended, so that it can say why."""
_EXACTNESS: Final = (
    api_spec.NumericClass.FP32,
    api_spec.NumericClass.TF32,
    api_spec.NumericClass.FP16,
    api_spec.NumericClass.BF16,
    api_spec.NumericClass.INT8,
    api_spec.NumericClass.FP8,
)
"""From the most to the least exact."""
_CLASS_OF_CHECKS: Final = {api_spec.NumericClass.TF32: api_spec.NumericClass.FP16}
"""TF32 has the mantissa of FP16, and the checks know it by that name."""

Object = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the installation says about checks."""

    image: str
    image_pull_policy: str = "IfNotPresent"


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """A reference that a check compares the candidate with."""

    role: api_spec.ReferenceRole
    revision: str
    outputs: api_run.Reference
    numeric_class: api_spec.NumericClass


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """The one pod that a Job probes, and for which attempt of which check."""

    run: observation.Run
    run_uid: str
    namespace: str
    check: api_spec.Check
    attempt: int
    pod: observation.Pod


def references_of(
    observed: observation.Observation, run: observation.Run, check: api_spec.Check
) -> tuple[Recorded, ...]:
    """Return the recorded outputs that a check compares with, as far as they exist.

    Parameters
    ----------
    observed
        The release and its revisions.
    run
        Names stable, and the revision whose vector space has the anchor.
    check
        Names the roles; only parity has any.
    """
    if check.embedding_parity is None:
        return ()
    candidate = observed.revisions.get(run.spec.revision)
    space = candidate.embedding_space if candidate is not None else ""
    stable = observed.revisions.get(run.spec.stable or "")
    anchor = next((r for r in observed.revisions.values() if space and r.anchor_of == space), None)
    found = {api_spec.ReferenceRole.STABLE: stable, api_spec.ReferenceRole.ANCHOR: anchor}
    return tuple(
        Recorded(role, revision.name, revision.outputs, _class_of(revision, run))
        for role in dict.fromkeys(check.embedding_parity.references)
        if (revision := found[role]) is not None and revision.outputs is not None
    )


def _class_of(revision: observation.Revision, run: observation.Run) -> api_spec.NumericClass:
    return revision.numeric_class or run.spec.judging.model.numeric_class


def worse(one: api_spec.NumericClass, other: api_spec.NumericClass | None) -> api_spec.NumericClass:
    """Return the less exact of two numeric classes: what a pair is judged by."""
    return one if other is None else max(one, other, key=_EXACTNESS.index)


def nonce(run_uid: str, check: str, attempt: int, pod_uid: str) -> str:
    """Return the nonce of one probe: known again after a crash, and never that of another attempt or pod."""
    return hashlib.sha256("\n".join((run_uid, check, str(attempt), pod_uid)).encode()).hexdigest()[:32]


def name(run: str, check: str, attempt: int, pod_uid: str) -> str:
    """Return the Job's name: at most 63 characters, different for every probe."""
    full = f"{run}-{check}-{attempt}-{hashlib.sha256(pod_uid.encode()).hexdigest()[:6]}"
    if len(full) <= _NAME_MAX:
        return full
    short = hashlib.sha256(full.encode()).hexdigest()[:10]
    return f"{full[: _NAME_MAX - len(short) - 1].rstrip('-.')}-{short}"


def request(subject: Subject, references: Sequence[Recorded]) -> str:
    """Return what the check is asked, as the JSON that its container reads."""
    judging, check, pod = subject.run.spec.judging, subject.check, subject.pod
    operations = judging.endpoint.all_operations()
    operation = next((o for o in operations if o.name == check.operation), operations[0])
    host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
    numeric_class = worse(judging.model.numeric_class, subject.run.spec.stable_numeric_class)
    contract = judging.model.contract.model_dump(mode="json", by_alias=True, exclude_none=True)
    asked = {
        "operations": [
            {
                "name": operation.name,
                "protocol": operation.protocol.value,
                "path": operation.path,
                "model": judging.model.served_name,
            }
        ],
        "numericClass": _named(numeric_class),
        "goldenSet": {"builtin": "TextV1"},
        "references": [
            {
                "role": known.role.value,
                "revision": known.revision,
                "path": f"{_mount_path(known)}/{OUTPUTS_KEY}",
                "digest": known.outputs.digest,
                "numericClass": _named(known.numeric_class),
            }
            for known in references
        ],
        "contract": contract,
        "gates": _gates(check),
        "record": check.embedding_parity is not None,
        "deadlineSeconds": max(1, judging.check_template.active_deadline_seconds - _LEAD_SECONDS),
        "maxRequestsPerSecond": judging.check_template.max_requests_per_second,
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    bound = {
        "schema": "checks.modelrelease.dev/v1",
        "check": {"name": check.name, "kind": kind(check), "configDigest": f"sha256:{digest}"},
        "run": subject.run.name,
        "attempt": subject.attempt,
        "nonce": nonce(subject.run_uid, check.name, subject.attempt, pod.uid),
        "pod": {"name": pod.name, "uid": pod.uid},
        "url": f"http://{host}:{pod.port}",
        "subject": {"revision": subject.run.spec.revision},
    }
    return json.dumps(bound | asked, sort_keys=True, separators=(",", ":"))


def kind(check: api_spec.Check) -> str:
    """Return the kind of a check, in the words of the result contract."""
    if check.embedding_parity is not None:
        return "EmbeddingParity"
    return "Contract" if check.contract is not None else "Repeatability"


def _gates(check: api_spec.Check) -> list[Object]:
    judged = check.embedding_parity or check.repeatability
    gates = judged.gates if judged is not None else []
    return [{"metric": gate.metric.value, "max": gate.max} for gate in gates if gate.max is not None]


def _named(numeric_class: api_spec.NumericClass) -> str:
    return _CLASS_OF_CHECKS.get(numeric_class, numeric_class).value


def _mount_path(known: Recorded) -> str:
    return f"/references/{known.role.value.lower()}"


def render(subject: Subject, references: Sequence[Recorded], settings: Settings) -> Object:
    """Return the Job that probes one pod.

    Parameters
    ----------
    subject
        What is probed and for whom.
    references
        See :func:`references_of`.
    settings
        Of the installation.
    """
    run, template = subject.run, subject.run.spec.judging.check_template
    labels = {
        constants.LABEL_RELEASE: run.spec.release_name,
        constants.LABEL_RUN: run.name,
        constants.LABEL_CHECK: subject.check.name,
        constants.LABEL_ROLE: ROLE_CHECK,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name(run.name, subject.check.name, subject.attempt, subject.pod.uid),
            "namespace": subject.namespace,
            "labels": labels,
            "annotations": {
                ATTEMPT: str(subject.attempt),
                POD_UID: subject.pod.uid,
                REFERENCES: str(len(references)),
            },
            "ownerReferences": [
                {
                    "apiVersion": constants.API_VERSION,
                    "kind": constants.RUN_KIND,
                    "name": run.name,
                    "uid": subject.run_uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": template.active_deadline_seconds,
            # A pod that is evicted is replaced, and only once it is really gone; its loss is no verdict.
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    }
                ]
            },
            "template": {
                "metadata": {
                    "labels": _foreign(template.labels) | labels,
                    "annotations": {
                        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
                        "karpenter.sh/do-not-disrupt": "true",
                        **_foreign(template.annotations),
                    },
                },
                "spec": _pod_spec(subject, references, settings),
            },
        },
    }


def _foreign(entries: Mapping[str, str]) -> dict[str, str]:
    """Return the user's own labels or annotations: none of ours, by which pods are selected."""
    return {key: value for key, value in entries.items() if not key.startswith(f"{constants.GROUP}/")}


def _pod_spec(subject: Subject, references: Sequence[Recorded], settings: Settings) -> Object:
    template = subject.run.spec.judging.check_template
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the container's own
    volumes: list[Object] = [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}]
    for known in references:
        volume = known.role.value.lower()
        mounts.append({"name": volume, "mountPath": _mount_path(known), "readOnly": True})
        volumes.append({"name": volume, "configMap": {"name": known.outputs.config_map}})
    spec: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _LEAD_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": CONTAINER,
                "image": settings.image,
                "imagePullPolicy": settings.image_pull_policy,
                "env": [
                    {"name": REQUEST_VARIABLE, "value": request(subject, references)},
                    {"name": "HOME", "value": "/tmp"},  # noqa: S108
                ],
                "resources": template.resources or {"requests": {"cpu": "100m", "memory": "128Mi"}},
                "terminationMessagePolicy": "File",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }
    if template.service_account_name:
        spec["serviceAccountName"] = template.service_account_name
    if template.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": secret} for secret in template.image_pull_secrets]
    if template.node_selector:
        spec["nodeSelector"] = dict(template.node_selector)
    if template.tolerations:
        spec["tolerations"] = list(template.tolerations)
    return spec
