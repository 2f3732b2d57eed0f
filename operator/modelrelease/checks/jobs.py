"""The Job of a check, as a manifest: a pure function of the run, the check, the attempt and the pod to probe.

The pod of a check bears the release's label but not the role that Services select: it never takes traffic. It
has no token, no privileges and a read-only file system; its answer is its termination message.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrelease.api import checks as api_checks
from modelrelease.api import constants
from modelrelease.api import custom as api_custom
from modelrelease.api import endpoint as endpoints
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.checks import custom, evidence_volume, fidelity, performance, probe, retrieval, volumes
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
KIND: Final = f"{constants.GROUP}/kind"
"""Of the check, in the words of the result contract."""
OWN_KIND: Final = "Job"
"""Of a team's own check: what it answers moves no reference."""
TERMS: Final = f"{constants.GROUP}/terms"
"""Digest of the load under which performance is recorded; absent from every other check."""
REFERENCES: Final = f"{constants.GROUP}/references"
"""How many references the candidate can be compared with, live stable included."""
STABLE_REQUESTS_PER_SECOND: Final = 2
"""Stable serves users: it is asked gently, and only where nothing was recorded."""

_NAME_MAX: Final = 63
_GOLDEN_PATH: Final = custom.GOLDEN_PATH
_RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "128Mi"}}
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
    def deadline_seconds(self) -> int:
        """How long the Job may take."""
        return self.check.deadline_seconds or self.run.spec.judging.check_template.active_deadline_seconds

    @property
    def owner(self) -> evidence_volume.Owner:
        """Whose evidence it is."""
        return evidence_volume.Owner(self.namespace, self.run.spec.release_name, self.portion)

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
    roles = check.embedding_parity.references if check.embedding_parity is not None else []
    elsewhere = fidelity.elsewhere(asked.operations, _host(pod), subject.namespace)
    question: Object = {
        "operations": [_operation(operation, judging, elsewhere) for operation in asked.operations],
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
        "contract": probe.contract(judging),
        "gates": _gates(check),
        "record": check.embedding_parity is not None or check.fidelity is not None,
        "deadlineSeconds": max(1, subject.deadline_seconds - _LEAD_SECONDS),
        "maxRequestsPerSecond": judging.check_template.max_requests_per_second,
    }
    question |= probe.endpoint(judging, check, pod, _host(pod))
    if check.retrieval is not None:
        question["retrieval"] = retrieval.terms(check.retrieval)
    if check.performance is not None:
        question |= {"performance": performance.load(check.performance, pod), "record": True}
        # The load is what is asked, and is not throttled.
        del question["maxRequestsPerSecond"]
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
        urls = fidelity.elsewhere(asked.operations, _host(against.live.pod), subject.namespace)
        question["live"] |= {"urls": urls} if urls else {}
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
    bound: Object = {
        "schema": "checks.modelrelease.dev/v1",
        "check": {"name": check.name, "kind": kind(check), "configDigest": f"sha256:{digest}"},
        "run": subject.run.name,
        "attempt": subject.attempt,
        "nonce": nonce(subject.run_uid, check.name, subject.attempt, pod.uid, subject.portion),
        "pod": {"name": pod.name, "uid": pod.uid},
        "url": _url(pod),
        "subject": {"revision": subject.run.spec.revision},
    }
    bound |= evidence_volume.question(judging.check_template, subject.owner)
    return json.dumps(bound | question, sort_keys=True, separators=(",", ":"))


def _url(pod: observation.Pod) -> str:
    return f"http://{_host(pod)}:{pod.port}"


def _host(pod: observation.Pod) -> str:
    return f"[{pod.ip}]" if ":" in pod.ip else pod.ip


def _operation(
    operation: endpoints.Operation, judging: api_run.Judging, elsewhere: Mapping[str, str]
) -> Object:
    said: Object = operation.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"via"})
    url = {"url": elsewhere[operation.name]} if operation.name in elsewhere else {}
    return {"model": judging.model.served_name} | said | url


def _golden_set(asked: portions.Portion) -> Object:
    if asked.golden_set is None:
        return {"builtin": asked.builtin}
    digest = asked.golden_set.digest
    return {"path": _GOLDEN_PATH} | ({"digest": digest} if digest is not None else {})


def kind(check: api_checks.Check) -> str:
    """Return the kind of a check, in the words of the result contract."""
    if check.embedding_parity is not None:
        return "EmbeddingParity"
    if check.retrieval is not None:
        return "Retrieval"
    if check.performance is not None:
        return "Performance"
    if check.fidelity is not None:
        return "Fidelity"
    if check.custom is not None:
        return OWN_KIND
    return "Contract" if check.contract is not None else "Repeatability"


def _gates(check: api_checks.Check) -> list[Object]:
    if check.retrieval is not None:
        return retrieval.gates(check.retrieval)
    if check.performance is not None:
        return performance.gates(check.performance)
    if check.fidelity is not None:
        return fidelity.gates(check.fidelity)
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
                KIND: kind(subject.check),
                REFERENCES: str(len(against.recorded) + (against.live is not None)),
                **_portion(subject),
                **_terms(subject),
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
            "activeDeadlineSeconds": subject.deadline_seconds,
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


def _terms(subject: Subject) -> dict[str, str]:
    found = references.terms(subject.run, subject.check)
    return {TERMS: found} if found else {}


def _foreign(entries: Mapping[str, str]) -> dict[str, str]:
    """Return the user's own labels or annotations: none of ours, by which pods are selected."""
    return {key: value for key, value in entries.items() if not key.startswith(f"{constants.GROUP}/")}


def _container(subject: Subject, against: Opponents, settings: Settings, mounts: Sequence[Object]) -> Object:
    usual = _resources(subject.check)
    resources = subject.run.spec.judging.check_template.resources or usual
    own = subject.check.custom
    if own is not None and own.job is not None:
        return custom.job_container(_own_probe(subject, own), own.job, resources, mounts)
    ours: Object = {
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "resources": resources,
        "terminationMessagePolicy": "File",
        "securityContext": custom.HARDENED,
        "volumeMounts": list(mounts),
    }
    home = {"name": "HOME", "value": "/tmp"}  # noqa: S108
    if own is not None and own.webhook is not None:
        variables = custom.webhook_variables(_own_probe(subject, own), own.webhook)
        return ours | {"command": list(custom.WEBHOOK_COMMAND), "env": [*variables, home]}
    asked = {"name": REQUEST_VARIABLE, "value": request(subject, against)}
    secrets = probe.variables(subject.run.spec.judging, subject.check)
    return ours | {"env": [asked, home, *secrets]}


def _resources(check: api_checks.Check) -> Object:
    if check.performance is not None:
        return performance.RESOURCES
    return fidelity.RESOURCES if check.fidelity is not None else _RESOURCES


def _own_probe(subject: Subject, own: api_custom.Custom) -> custom.Probe:
    bound = nonce(subject.run_uid, subject.check.name, subject.attempt, subject.pod.uid, subject.portion)
    return custom.Probe(
        run=subject.run,
        namespace=subject.namespace,
        check=subject.check,
        own=own,
        answer=custom.answer(
            subject.run, subject.check, attempt=subject.attempt, pod_uid=subject.pod.uid, nonce=bound
        ),
        pod=subject.pod,
        url=_url(subject.pod),
        embedding_space=subject.embedding_space,
        deadline_seconds=max(1, subject.deadline_seconds - _LEAD_SECONDS),
    )


def _pod_spec(subject: Subject, against: Opponents, settings: Settings) -> Object:
    template = subject.run.spec.judging.check_template
    own = subject.check.custom.job if subject.check.custom is not None else None
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the container's own
    mounted: list[Object] = [{"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}}]
    for known in against.recorded:
        volume = known.role.value.lower()
        mounts.append({"name": volume, "mountPath": _mount_path(known), "readOnly": True})
        mounted.append({"name": volume, "configMap": {"name": known.outputs.config_map}})
    golden = subject.asked.golden_set
    if golden is not None:
        mounts.append({"name": "golden", "mountPath": _GOLDEN_PATH, "readOnly": True})
        mounted.append({"name": "golden", **volumes.source(golden.volume)})
    if subject.check.custom is None:
        mounts += evidence_volume.mounts(template)
        mounted += evidence_volume.volumes(template)
    spec: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _LEAD_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            **evidence_volume.security(template),
        },
        "containers": [{"name": CONTAINER, **_container(subject, against, settings, mounts)}],
        "volumes": [*mounted, *(custom.job_volumes(own) if own is not None else ())],
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
