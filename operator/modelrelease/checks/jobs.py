"""The Job of a check, as a manifest: a pure function of the run, the check, the attempt and the pod to probe.

The pod of a check bears the release's label but not the role that Services select: it never takes traffic. It
has no token, no privileges and a read-only file system; its answer is its termination message.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrelease.api import constants
from modelrelease.api import custom as api_custom
from modelrelease.api import run as api_run
from modelrelease.checks import (
    custom,
    evidence_volume,
    internals,
    kinds,
    probe,
    question,
    subjects,
    volumes,
)
from modelrelease.core import portions, references, traceparent

CONTAINER: Final = "check"
ROLE_CHECK: Final = "check"
REQUEST_VARIABLE: Final = "MODELRELEASE_CHECK_REQUEST"

ATTEMPT: Final = f"{constants.GROUP}/attempt"
POD_UID: Final = f"{constants.GROUP}/pod-uid"
PORTION: Final = f"{constants.GROUP}/portion"
PORTIONS: Final = f"{constants.GROUP}/portions"
"""Which of the check's portions the Job sends, of how many; absent for the only one."""
KIND: Final = f"{constants.GROUP}/kind"
"""Of the check, in the words of the result contract."""
TERMS: Final = f"{constants.GROUP}/terms"
"""Digest of the load under which performance is recorded; absent from every other check."""
REFERENCES: Final = f"{constants.GROUP}/references"
"""How many references the candidate can be compared with, live stable included."""

Object = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the installation says about checks."""

    image: str
    image_pull_policy: str = "IfNotPresent"
    torch_image: str = ""
    """Of checks that run a model themselves; where there is none, the usual image says what is missing."""
    traced: bool = False
    """Whether probes tell the model servers which trace they are of."""


def render(subject: subjects.Subject, against: subjects.Opponents, settings: Settings) -> Object:
    """Return the Job that probes one pod.

    Parameters
    ----------
    subject
        What is probed and for whom.
    against
        See :func:`modelrelease.checks.subjects.opponents`.
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
            "name": subjects.name(
                run.name, subject.check.name, subject.attempt, subject.pod.uid, subject.portion
            ),
            "namespace": subject.namespace,
            "labels": labels,
            "annotations": {
                ATTEMPT: str(subject.attempt),
                POD_UID: subject.pod.uid,
                KIND: kinds.of(subject.check).word,
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


def _outputs(stored: api_run.Reference) -> Object:
    """Return the source of a volume with recorded outputs, all parts of them in one folder."""
    maps = [{"name": name} for name, _ in subjects.parts(stored)]
    if len(maps) == 1:
        return {"configMap": maps[0]}
    return {"projected": {"sources": [{"configMap": one} for one in maps]}}


def _portion(subject: subjects.Subject) -> dict[str, str]:
    count = len(portions.portions(subject.run.spec.judging, subject.check))
    return {PORTION: str(subject.portion), PORTIONS: str(count)} if count > 1 else {}


def _terms(subject: subjects.Subject) -> dict[str, str]:
    found = references.terms(subject.run, subject.check, subject.portion)
    return {TERMS: found} if found else {}


def _foreign(entries: Mapping[str, str]) -> dict[str, str]:
    """Return the user's own labels or annotations: none of ours, by which pods are selected."""
    return {key: value for key, value in entries.items() if not key.startswith(f"{constants.GROUP}/")}


def _container(
    subject: subjects.Subject, against: subjects.Opponents, settings: Settings, mounts: Sequence[Object]
) -> Object:
    container = _untraced(subject, against, settings, mounts)
    if not settings.traced:
        return container
    job = subjects.name(
        subject.run.name, subject.check.name, subject.attempt, subject.pod.uid, subject.portion
    )
    parent = {"name": traceparent.VARIABLE, "value": traceparent.header(subject.run_uid, job)}
    return container | {"env": [*container["env"], parent]}


def _untraced(
    subject: subjects.Subject, against: subjects.Opponents, settings: Settings, mounts: Sequence[Object]
) -> Object:
    kind, inside = kinds.of(subject.check), subject.check.internals
    resources = subject.run.spec.judging.check_template.resources or dict(kind.resources)
    own = subject.check.custom
    if own is not None and own.job is not None:
        return custom.job_container(_own_probe(subject, own), own.job, resources, mounts)
    ours: Object = {
        "image": (kind.torch and settings.torch_image) or settings.image,
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
    asked = {"name": REQUEST_VARIABLE, "value": question.request(subject, against)}
    if inside is not None:
        return ours | internals.container(inside, resources) | {"env": [asked, home, *internals.VARIABLES]}
    secrets = probe.variables(subject.run.spec.judging, subject.check)
    return ours | {"env": [asked, home, *secrets]}


def _own_probe(subject: subjects.Subject, own: api_custom.Custom) -> custom.Probe:
    return custom.Probe(
        run=subject.run,
        namespace=subject.namespace,
        check=subject.check,
        own=own,
        answer=custom.answer(
            subject.run, subject.check, attempt=subject.attempt, pod_uid=subject.pod.uid, nonce=subject.nonce
        ),
        pod=subject.pod,
        url=subjects.url(subject.pod),
        embedding_space=subject.embedding_space,
        deadline_seconds=max(1, subject.deadline_seconds - subjects.LEAD_SECONDS),
    )


def _pod_spec(subject: subjects.Subject, against: subjects.Opponents, settings: Settings) -> Object:
    template = subject.run.spec.judging.check_template
    own = subject.check.custom.job if subject.check.custom is not None else None
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the container's own
    mounted: list[Object] = [{"name": "tmp", "emptyDir": {"sizeLimit": kinds.of(subject.check).tmp_size}}]
    for known in against.recorded:
        volume = known.role.value.lower()
        mounts.append({"name": volume, "mountPath": subjects.mount_path(known), "readOnly": True})
        mounted.append({"name": volume, **_outputs(known.outputs)})
    golden = subject.asked.golden_set
    if golden is not None:
        mounts.append({"name": "golden", "mountPath": custom.GOLDEN_PATH, "readOnly": True})
        mounted.append({"name": "golden", **volumes.source(golden.volume)})
    if subject.check.internals is not None:
        mounts += internals.mounts(subject.run.spec.judging)
        mounted += internals.volumes(subject.run.spec.judging)
    if subject.check.custom is None:
        mounts += evidence_volume.mounts(template)
        mounted += evidence_volume.volumes(template)
    spec: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": subjects.LEAD_SECONDS,
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
