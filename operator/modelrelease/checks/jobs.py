"""The Job of a check, as a manifest: a pure function of the run, the check, the attempt and the pod to probe.

The pod of a check bears the release's label but not the role that Services select: it never takes traffic. It
has no token, no privileges and a read-only file system; its answer is its termination message.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from modelrelease.api import checks as api_checks
from modelrelease.api import constants, golden_set
from modelrelease.api import endpoint as endpoints
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.core import observation, portions, references

CONTAINER: Final = "check"
ROLE_CHECK: Final = "check"
REQUEST_VARIABLE: Final = "MODELRELEASE_CHECK_REQUEST"
OUTPUTS_KEY: Final = "outputs.safetensors"

ATTEMPT: Final = f"{constants.GROUP}/attempt"
POD_UID: Final = f"{constants.GROUP}/pod-uid"
PORTION: Final = f"{constants.GROUP}/portion"
PORTIONS: Final = f"{constants.GROUP}/portions"
"""Which of the check's portions the Job sends, of how many; absent for the only one."""
REFERENCES: Final = f"{constants.GROUP}/references"
"""How many references the candidate can be compared with, live stable included."""
STABLE_REQUESTS_PER_SECOND: Final = 2
"""Stable serves users: it is asked gently, and only where nothing was recorded."""

_NAME_MAX: Final = 63
_GOLDEN_PATH: Final = "/golden"
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
Object = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the installation says about checks."""

    image: str
    image_pull_policy: str = "IfNotPresent"


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """The one pod that a Job probes, and for which attempt of which check."""

    run: observation.Run
    run_uid: str
    namespace: str
    check: api_checks.Check
    attempt: int
    pod: observation.Pod
    portion: int = 0
    """Which of the check's portions (:mod:`modelrelease.core.portions`)."""
    embedding_space: str = ""
    """Of the candidate."""

    @property
    def asked(self) -> portions.Portion:
        """What the Job sends."""
        return portions.portions(self.run.spec.judging, self.check)[self.portion]


@dataclasses.dataclass(frozen=True, slots=True)
class Opponents:
    """What the candidate is compared with."""

    recorded: tuple[references.Recorded, ...] = ()
    live: references.LiveStable | None = None
    """Asked by the check only where no record of stable fits."""


def opponents(observed: observation.Observation, subject: Subject) -> Opponents:
    """Return what a Job compares its pod with, as far as it exists."""
    return Opponents(
        references.recorded(observed, subject.run, subject.check, subject.portion),
        references.live_stable(observed, subject.run, subject.check),
    )


def worse(one: api_spec.NumericClass, other: api_spec.NumericClass | None) -> api_spec.NumericClass:
    """Return the less exact of two numeric classes: what a pair is judged by."""
    return one if other is None else max(one, other, key=_EXACTNESS.index)


def nonce(run_uid: str, check: str, attempt: int, pod_uid: str, portion: int = 0) -> str:
    """Return the nonce of one probe: known again after a crash, and never that of another one."""
    parts = [run_uid, check, str(attempt), pod_uid, *([str(portion)] if portion else [])]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def name(run: str, check: str, attempt: int, pod_uid: str, portion: int = 0) -> str:
    """Return the Job's name: at most 63 characters, different for every probe."""
    full = f"{run}-{check}-{attempt}-{hashlib.sha256(pod_uid.encode()).hexdigest()[:6]}"
    full += f"-{portion}" if portion else ""
    if len(full) <= _NAME_MAX:
        return full
    short = hashlib.sha256(full.encode()).hexdigest()[:10]
    return f"{full[: _NAME_MAX - len(short) - 1].rstrip('-.')}-{short}"


def request(subject: Subject, against: Opponents) -> str:
    """Return what the check is asked, as the JSON that its container reads."""
    judging, check, pod, asked = subject.run.spec.judging, subject.check, subject.pod, subject.asked
    numeric_class = worse(judging.model.numeric_class, subject.run.spec.stable_numeric_class)
    contract = judging.model.contract.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"files"}
    )
    roles = check.embedding_parity.references if check.embedding_parity is not None else []
    question: Object = {
        "operations": [_operation(operation, judging) for operation in asked.operations],
        "numericClass": numeric_class.value,
        "goldenSet": _golden_set(asked),
        "shard": asked.shard,
        "shards": asked.shards,
        "references": [
            {
                "role": known.role.value,
                "revision": known.revision,
                "path": f"{_mount_path(known)}/{OUTPUTS_KEY}",
                "digest": known.outputs.digest,
                "numericClass": known.numeric_class.value,
            }
            for known in against.recorded
        ],
        "recorded": api_checks.ReferenceRole.RECORDED in roles,
        "contract": contract,
        "gates": _gates(check),
        "record": check.embedding_parity is not None,
        "deadlineSeconds": max(1, judging.check_template.active_deadline_seconds - _LEAD_SECONDS),
        "maxRequestsPerSecond": judging.check_template.max_requests_per_second,
    }
    if subject.embedding_space:
        question["embeddingSpace"] = subject.embedding_space
    if against.live is not None:
        question["live"] = {
            "role": api_checks.ReferenceRole.STABLE.value,
            "revision": against.live.revision,
            "url": _url(against.live.pod),
            "numericClass": against.live.numeric_class.value,
            "maxRequestsPerSecond": STABLE_REQUESTS_PER_SECOND,
        }
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
    bound = {
        "schema": "checks.modelrelease.dev/v1",
        "check": {"name": check.name, "kind": kind(check), "configDigest": f"sha256:{digest}"},
        "run": subject.run.name,
        "attempt": subject.attempt,
        "nonce": nonce(subject.run_uid, check.name, subject.attempt, pod.uid, subject.portion),
        "pod": {"name": pod.name, "uid": pod.uid},
        "url": _url(pod),
        "subject": {"revision": subject.run.spec.revision},
    }
    return json.dumps(bound | question, sort_keys=True, separators=(",", ":"))


def _url(pod: observation.Pod) -> str:
    host = f"[{pod.ip}]" if ":" in pod.ip else pod.ip
    return f"http://{host}:{pod.port}"


def _operation(operation: endpoints.Operation, judging: api_run.Judging) -> Object:
    said: Object = operation.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"model": judging.model.served_name} | said


def _golden_set(asked: portions.Portion) -> Object:
    if asked.golden_set is None:
        return {"builtin": asked.builtin}
    digest = asked.golden_set.digest
    return {"path": _GOLDEN_PATH} | ({"digest": digest} if digest is not None else {})


def kind(check: api_checks.Check) -> str:
    """Return the kind of a check, in the words of the result contract."""
    if check.embedding_parity is not None:
        return "EmbeddingParity"
    return "Contract" if check.contract is not None else "Repeatability"


def _gates(check: api_checks.Check) -> list[Object]:
    judged = check.embedding_parity or check.repeatability
    gates = judged.gates if judged is not None else []
    return [{"metric": gate.metric.value, "max": gate.max} for gate in gates if gate.max is not None]


def _mount_path(known: references.Recorded) -> str:
    return f"/references/{known.role.value.lower()}"


def render(subject: Subject, against: Opponents, settings: Settings) -> Object:
    """Return the Job that probes one pod.

    Parameters
    ----------
    subject
        What is probed and for whom.
    against
        See :func:`opponents`.
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
            "name": name(run.name, subject.check.name, subject.attempt, subject.pod.uid, subject.portion),
            "namespace": subject.namespace,
            "labels": labels,
            "annotations": {
                ATTEMPT: str(subject.attempt),
                POD_UID: subject.pod.uid,
                REFERENCES: str(len(against.recorded) + (against.live is not None)),
                **_portion(subject),
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
                "spec": _pod_spec(subject, against, settings),
            },
        },
    }


def _portion(subject: Subject) -> dict[str, str]:
    count = len(portions.portions(subject.run.spec.judging, subject.check))
    return {PORTION: str(subject.portion), PORTIONS: str(count)} if count > 1 else {}


def _source(volume: golden_set.Volume) -> Object:
    """Return the volume's source as in a pod, read-only where it says so itself."""
    source: Object = volume.model_dump(mode="json", by_alias=True, exclude_none=True)
    for kind_, more in (
        ("persistentVolumeClaim", {"readOnly": True}),
        ("image", {"pullPolicy": "IfNotPresent"}),
    ):
        if kind_ in source:
            source[kind_] |= more
    return source


def _foreign(entries: Mapping[str, str]) -> dict[str, str]:
    """Return the user's own labels or annotations: none of ours, by which pods are selected."""
    return {key: value for key, value in entries.items() if not key.startswith(f"{constants.GROUP}/")}


def _pod_spec(subject: Subject, against: Opponents, settings: Settings) -> Object:
    template = subject.run.spec.judging.check_template
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the container's own
    volumes: list[Object] = [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}]
    for known in against.recorded:
        volume = known.role.value.lower()
        mounts.append({"name": volume, "mountPath": _mount_path(known), "readOnly": True})
        volumes.append({"name": volume, "configMap": {"name": known.outputs.config_map}})
    golden = subject.asked.golden_set
    if golden is not None:
        mounts.append({"name": "golden", "mountPath": _GOLDEN_PATH, "readOnly": True})
        volumes.append({"name": "golden", **_source(golden.volume)})
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
                    {"name": REQUEST_VARIABLE, "value": request(subject, against)},
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
