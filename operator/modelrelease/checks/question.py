"""What the container of a check is asked: the request of :mod:`canary_checks.request`, as JSON."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from modelrelease.api import checks as api_checks
from modelrelease.api import endpoint as endpoints
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.checks import custom, evidence_volume, fidelity, kinds, performance, probe, subjects
from modelrelease.core import portions

STABLE_REQUESTS_PER_SECOND: Final = 2
"""Stable serves users: it is asked gently, and only where nothing was recorded."""
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


def worse(one: api_spec.NumericClass, other: api_spec.NumericClass | None) -> api_spec.NumericClass:
    """Return the less exact of two numeric classes: what a pair is judged by."""
    return one if other is None else max(one, other, key=_EXACTNESS.index)


def request(subject: subjects.Subject, against: subjects.Opponents) -> str:
    """Return what the check is asked, as the JSON that its container reads."""
    judging, check, pod, asked = subject.run.spec.judging, subject.check, subject.pod, subject.asked
    numeric_class = worse(judging.model.numeric_class, subject.run.spec.stable_numeric_class)
    roles = check.embedding_parity.references if check.embedding_parity is not None else []
    elsewhere = fidelity.elsewhere(asked.operations, subjects.host(pod), subject.namespace)
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
                "path": f"{subjects.mount_path(known)}/{subjects.OUTPUTS_KEY}",
                "digest": known.outputs.digest,
                "numericClass": known.numeric_class.value,
            }
            for known in against.recorded
        ],
        "recorded": api_checks.ReferenceRole.RECORDED in roles,
        "contract": probe.contract(judging),
        "gates": kinds.gates(check),
        "record": kinds.of(check).records or asked.generation,
        "deadlineSeconds": max(1, subject.deadline_seconds - subjects.LEAD_SECONDS),
    }
    if kinds.of(check).throttled:
        question["maxRequestsPerSecond"] = judging.check_template.max_requests_per_second
    question |= kinds.request(check, pod)
    if subject.live is not None and check.performance is not None:
        question["performance"] = performance.seen(question["performance"], subject.live)
    question |= probe.endpoint(judging, check, pod, subjects.host(pod))
    if subject.embedding_space:
        question["embeddingSpace"] = subject.embedding_space
    if against.live is not None:
        question["live"] = {
            "role": api_checks.ReferenceRole.STABLE.value,
            "revision": against.live.revision,
            "url": subjects.url(against.live.pod),
            "numericClass": against.live.numeric_class.value,
            "maxRequestsPerSecond": STABLE_REQUESTS_PER_SECOND,
        }
        urls = fidelity.elsewhere(asked.operations, subjects.host(against.live.pod), subject.namespace)
        question["live"] |= {"urls": urls} if urls else {}
    digest = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()
    bound: Object = {
        "schema": "checks.modelrelease.dev/v1",
        "check": {"name": check.name, "kind": kinds.of(check).word, "configDigest": f"sha256:{digest}"},
        "run": subject.run.name,
        "attempt": subject.attempt,
        "nonce": subject.nonce,
        "pod": {"name": pod.name, "uid": pod.uid},
        "url": subjects.url(pod),
        "subject": {"revision": subject.run.spec.revision},
    }
    bound |= evidence_volume.question(judging.check_template, subject.owner)
    return json.dumps(bound | question, sort_keys=True, separators=(",", ":"))


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
    return {"path": custom.GOLDEN_PATH} | ({"digest": digest} if digest is not None else {})
