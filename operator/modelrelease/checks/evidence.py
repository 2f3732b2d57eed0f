"""What a check leaves besides its verdict: which log is worth keeping, and as which objects. Pure.

The reading and writing is :mod:`modelrelease.cluster.evidence`'s. What was kept is noted on the Job, which
may be deleted only then.
"""

import base64
import dataclasses
import gzip
from collections.abc import Iterable, Mapping
from typing import Any, Final

import pydantic

from canary_checks import result
from modelrelease.api import constants
from modelrelease.api import run as api_run
from modelrelease.checks import accelerator, jobs, subjects

EVIDENCE: Final = f"{constants.GROUP}/evidence"
"""Name of the evidence's ConfigMap; empty when it was lost."""
OUTPUTS: Final = f"{constants.GROUP}/outputs"
PATH: Final = f"{constants.GROUP}/evidence-path"
"""On the evidence's ConfigMap: where the whole of it lies on the evidence volume."""
EVIDENCE_KEY: Final = "result.json.gz"
LOG_LIMIT_BYTES: Final = result.EVIDENCE_LIMIT_BYTES + len(result.EVIDENCE_PREFIX) + 2
_CONFIG_MAP_MAX_BYTES: Final = 900 * 1024
_PART_BYTES: Final = 1_000_000
"""Of recorded outputs in one ConfigMap: etcd takes no larger objects."""
_DISRUPTION_REASONS: Final = frozenset({"Evicted", "NodeLost", "NodeShutdown", "Preempting", "Shutdown"})

Object = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """How the container of a check ended."""

    message: str
    exit_code: int | None
    reason: str
    finished_time: str
    deleted: bool = False
    """Its pod is being deleted: it may have been ended rather than have ended."""


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """What a Job says is kept of it."""

    evidence: str
    outputs: api_run.Reference | None


@dataclasses.dataclass(frozen=True, slots=True)
class Keeping:
    """What has to be written for one Job: the objects first, then the note on the Job."""

    config_maps: tuple[Object, ...]
    annotations: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Due:
    """A finished check whose log is not kept yet."""

    job: Object
    pod: str
    """Name of the pod whose log it is."""
    digest: str
    finished_time: str
    path: str = ""
    """Where the whole evidence lies on the evidence volume, where there is one."""
    load: accelerator.Window | None = None
    """When it had its pod under load."""


def pods_of(job: Mapping[str, Any], pods: Iterable[Object]) -> list[Object]:
    """Return the pods of a Job, the newest first."""
    uid = job["metadata"]["uid"]
    own = [p for p in pods if any(r.get("uid") == uid for r in p["metadata"].get("ownerReferences") or ())]
    return sorted(own, key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)


def disrupted(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod was evicted or preempted, or its node is lost: no verdict, whatever it left."""
    status = pod.get("status") or {}
    conditions = status.get("conditions") or ()
    targeted = any(c.get("type") == "DisruptionTarget" and c.get("status") == "True" for c in conditions)
    return targeted or status.get("reason") in _DISRUPTION_REASONS


def answer_of(pods: Iterable[Object]) -> Answer | None:
    """Return how the newest pod that was not disrupted has ended, or None while none has."""
    answered = answering_pod(pods)
    return answered[1] if answered is not None else None


def answering_pod(pods: Iterable[Object]) -> tuple[Object, Answer] | None:
    """Return the pod of :func:`answer_of` with its answer."""
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (status.get("state") or {}).get("terminated")
            if status.get("name") == jobs.CONTAINER and ended and not disrupted(pod):
                return pod, Answer(
                    message=str(ended.get("message") or ""),
                    exit_code=ended.get("exitCode"),
                    reason=str(ended.get("reason") or ""),
                    finished_time=str(ended.get("finishedAt") or ""),
                    deleted="deletionTimestamp" in pod["metadata"],
                )
    return None


def kept_of(job: Mapping[str, Any]) -> Kept | None:
    """Return what a Job notes as kept, or None when that is not settled."""
    said = job["metadata"].get("annotations") or {}
    if EVIDENCE not in said:
        return None
    try:
        outputs = api_run.Reference.model_validate_json(said[OUTPUTS]) if said.get(OUTPUTS) else None
    except pydantic.ValidationError:
        outputs = None
    return Kept(said[EVIDENCE], outputs)


def due(run_uid: str, found: Iterable[Object], pods: Iterable[Object]) -> list[Due]:
    """Return the finished checks whose evidence has to be kept now.

    Parameters
    ----------
    run_uid
        Of the run that the Jobs belong to.
    found
        Its Jobs.
    pods
        The pods of checks.
    """
    known, waiting = list(pods), []
    for job in found:
        answered = answering_pod(pods_of(job, known)) if kept_of(job) is None else None
        if answered is None:
            continue
        pod, answer = answered
        try:
            said = result.parse_termination_message(answer.message, _nonce(run_uid, job))
        except result.ResultInvalid:
            continue
        if said.evidence is not None:
            kept, name, load = said.evidence, pod["metadata"]["name"], accelerator.window(said)
            waiting.append(Due(job, name, kept.digest, answer.finished_time, kept.path or "", load))
    return waiting


def _nonce(run_uid: str, job: Mapping[str, Any]) -> str:
    labels, said = job["metadata"].get("labels") or {}, job["metadata"].get("annotations") or {}
    attempt = int(said.get(jobs.ATTEMPT) or 0)
    portion = int(said.get(jobs.PORTION) or 0)
    return subjects.nonce(
        run_uid, labels.get(constants.LABEL_CHECK, ""), attempt, said.get(jobs.POD_UID, ""), portion
    )


def keeping(what: Due, log: str | None, release: Mapping[str, Any], revision: str) -> Keeping:
    """Return what to write for a finished check.

    Parameters
    ----------
    what
        The check.
    log
        The last line of its log; None when it is lost, which degrades the report and not the verdict.
    release
        Owner reference of the release: recorded outputs outlive the run.
    revision
        The candidate, whose outputs were recorded.
    """
    found = result.parse_evidence(log, expected_digest=what.digest) if log is not None else None
    if found is None:
        return Keeping((), {EVIDENCE: ""})
    metadata, config_maps, said = what.job["metadata"], [], {EVIDENCE: ""}
    packed = gzip.compress(result.dump(found.result).encode("utf-8"), mtime=0)
    if len(packed) <= _CONFIG_MAP_MAX_BYTES:
        said[EVIDENCE] = f"{metadata['name']}-evidence"
        config_maps.append(
            _config_map(metadata, said[EVIDENCE], EVIDENCE_KEY, packed, metadata["ownerReferences"][0])
        )
        if what.path:
            config_maps[0]["metadata"]["annotations"] = {PATH: what.path}
    own = (metadata.get("annotations") or {}).get(jobs.KIND) == subjects.OWN_KIND
    reference = None if own else found.reference
    if reference is not None:
        # Named by content: what another attempt or pod has recorded stays what it is.
        short = reference.digest.removeprefix("sha256:")[:10]
        name = f"{metadata['labels'][constants.LABEL_RELEASE]}-{revision}-outputs-{short}"
        content = reference.content()
        parts = [content[start : start + _PART_BYTES] for start in range(0, len(content), _PART_BYTES)]
        kept = _reference(what.job, found.result, name, reference.digest, len(parts))
        for (stored, key), part in zip(subjects.parts(kept), parts, strict=True):
            outputs = _config_map(metadata, stored, key, part, release)
            outputs["metadata"]["labels"][constants.LABEL_REVISION] = revision
            config_maps.append(outputs)
        said[OUTPUTS] = kept.model_dump_json(by_alias=True)
    return Keeping(tuple(config_maps), said)


def _reference(
    job: Mapping[str, Any], said: result.CheckResult, name: str, digest: str, parts: int
) -> api_run.Reference:
    """Return recorded outputs with what they are the outputs of."""
    notes = job["metadata"].get("annotations") or {}
    return api_run.Reference(
        config_map=name,
        parts=parts,
        digest=digest,
        check=job["metadata"]["labels"].get(constants.LABEL_CHECK, ""),
        golden_set=said.golden_set.digest if said.golden_set is not None else "",
        portion=int(notes.get(jobs.PORTION) or 0),
        portions=int(notes.get(jobs.PORTIONS) or 1),
        terms=notes.get(jobs.TERMS, ""),
    )


def _config_map(
    job: Mapping[str, Any], name: str, key: str, content: bytes, owner: Mapping[str, Any]
) -> Object:
    kept = (constants.LABEL_RELEASE, constants.LABEL_RUN, constants.LABEL_CHECK)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": job["namespace"],
            "labels": {key: job["labels"][key] for key in kept if key in job["labels"]},
            "ownerReferences": [dict(owner)],
        },
        "immutable": True,
        "binaryData": {key: base64.b64encode(content).decode("ascii")},
    }
