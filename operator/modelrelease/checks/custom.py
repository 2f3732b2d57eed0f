"""A team's own check: what it is asked, and the container that answers.

The container of a custom Job is the team's, hardened like ours. That of a webhook is ours: it signs the
question, sends it from the release's namespace, and validates what comes back.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from canary_checks import result
from modelrelease.api import checks as api_checks
from modelrelease.api import custom
from modelrelease.api import run as api_run
from modelrelease.checks import volumes
from modelrelease.core import observation, portions

WEBHOOK_VARIABLE: Final = "MODELRELEASE_WEBHOOK_REQUEST"
WEBHOOK_COMMAND: Final = ("python", "-m", "canary_checks", "webhook")
GOLDEN_PATH: Final = "/golden"
TERMINATION_LOG: Final = "/dev/termination-log"
"""Where Kubernetes reads a container's last words."""
HARDENED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_SECRET, _CONFIG_MAP = "secretKeyRef", "configMapKeyRef"

Object = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """One question to one pod."""

    run: observation.Run
    namespace: str
    check: api_checks.Check
    own: custom.Custom
    answer: result.Answer
    pod: observation.Pod
    url: str
    embedding_space: str
    deadline_seconds: int
    """Of the question: the Job itself lives a little longer."""


def answer(
    run: observation.Run, check: api_checks.Check, *, attempt: int, pod_uid: str, nonce: str
) -> result.Answer:
    """Return what binds the answer to one question; known again after a crash."""
    return result.Answer.to(
        check=check.name,
        config_digest=config_digest(run.spec.judging, check),
        run=run.name,
        attempt=attempt,
        nonce=nonce,
        pod_uid=pod_uid,
        revision=run.spec.revision,
    )


def config_digest(judging: api_run.Judging, check: api_checks.Check) -> str:
    """Return the digest of all that a custom check is configured with."""
    own = check.custom.model_dump(mode="json", by_alias=True, exclude_none=True) if check.custom else {}
    sets = [known.model_dump(mode="json", by_alias=True, exclude_none=True) for known in judging.golden_sets]
    said = {"custom": own, "operations": operations(judging, check), "goldenSets": sets}
    return f"sha256:{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}"


def operations(judging: api_run.Judging, check: api_checks.Check) -> list[Object]:
    """Return the operations that a check asks, as in the manifest, each with its model's name."""
    (asked, *_) = portions.portions(judging, check)
    return [
        {"model": judging.model.served_name}
        | operation.model_dump(mode="json", by_alias=True, exclude_none=True)
        for operation in asked.operations
    ]


def question(probe: Probe) -> result.Question:
    """Return what is asked."""
    judging, webhook = probe.run.spec.judging, probe.own.webhook
    model: Object = {
        "version": judging.model.version,
        "servedName": judging.model.served_name,
        "numericClass": judging.model.numeric_class.value,
        "embeddingSpace": probe.embedding_space or None,
    }
    asked: Object = {
        "schema": result.QUESTION_SCHEMA,
        "answer": json.loads(result.dump(probe.answer)),
        "release": probe.run.spec.release_name,
        "namespace": probe.namespace,
        "url": probe.url,
        "pod": {"name": probe.pod.name, "uid": probe.pod.uid},
        "model": model,
        "stable": probe.run.spec.stable,
        "operations": operations(judging, probe.check),
        "parameters": dict(webhook.parameters) if webhook is not None else {},
        "deadlineSeconds": probe.deadline_seconds,
    }
    return result.Question.model_validate_json(json.dumps(asked), by_alias=True, by_name=False)


# --- A container of the team's ------------------------------------------------------------------------------


def job_container(probe: Probe, job: custom.Job, resources: Object, mounts: Sequence[Object]) -> Object:
    """Return the container of a custom Job; ``mounts`` are what every check has."""
    container: Object = {
        "image": job.image,
        "env": [*_variables(probe), *(_variable(entry) for entry in job.env)],
        "resources": job.resources or resources,
        # Where it wrote nothing and failed, the end of its log says why.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": HARDENED | ({"runAsUser": job.run_as_user} if job.run_as_user else {}),
        "volumeMounts": [
            *mounts,
            *(
                {"name": f"own-{index}", "mountPath": mount.path, "readOnly": True}
                for index, mount in enumerate(job.mounts)
            ),
        ],
    }
    if job.command is not None:
        container["command"] = list(job.command)
    if job.args:
        container["args"] = list(job.args)
    return container


def job_volumes(job: custom.Job) -> list[Object]:
    """Return the volumes that a custom Job mounts."""
    return [
        {"name": f"own-{index}", **volumes.source(mount.volume)} for index, mount in enumerate(job.mounts)
    ]


def _variables(probe: Probe) -> list[Object]:
    mounted = GOLDEN_PATH if probe.check.probe.golden_set is not None else ""
    said = question(probe).environment(termination_log=TERMINATION_LOG, golden_set=mounted)
    # Kubernetes would expand $(NAME) in a value of ours.
    ours = [{"name": name, "value": value.replace("$(", "$$(")} for name, value in said.items()]
    return [*ours, {"name": "HOME", "value": "/tmp"}]  # noqa: S108 - the container's own


def _variable(entry: custom.Variable) -> Object:
    said: Object = entry.model_dump(mode="json", by_alias=True, exclude_none=True)
    return said


# --- A container of ours that asks the team's service -------------------------------------------------------


def webhook_variables(probe: Probe, webhook: custom.Webhook) -> list[Object]:
    """Return the variables by which our container knows whom to ask, and with which keys."""
    asked = {
        "question": json.loads(result.dump(question(probe))),
        "url": webhook.url,
        "timeoutSeconds": webhook.timeout_seconds,
        "pollSeconds": webhook.poll_seconds,
    }
    text = json.dumps(asked, sort_keys=True, separators=(",", ":")).replace("$(", "$$(")
    found: list[Object] = [
        {"name": WEBHOOK_VARIABLE, "value": text},
        _key("SIGNING_KEY", _SECRET, webhook.signing_key_ref),
    ]
    if webhook.authorization_ref is not None:
        found.append(_key("AUTHORIZATION", _SECRET, webhook.authorization_ref))
    if webhook.ca_bundle_ref is not None:
        found.append(_key("CA_BUNDLE", _CONFIG_MAP, webhook.ca_bundle_ref))
    return found


def _key(name: str, kind: str, ref: custom.KeyRef) -> Object:
    return {
        "name": f"MODELRELEASE_WEBHOOK_{name}",
        "valueFrom": {kind: {"name": ref.name, "key": ref.key}},
    }
