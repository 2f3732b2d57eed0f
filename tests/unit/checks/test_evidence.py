import base64
import datetime
import gzip
import hashlib
import json
import pathlib
import random
from typing import Any

import pytest

from canary_checks import failure, records, result
from canary_checks import vocabulary as v
from modelrelease.api import run as api_run
from modelrelease.checks import evidence, subjects
from modelrelease.cluster import api
from modelrelease.cluster import evidence as keeper
from tests.unit.checks import given

RELEASE = {"apiVersion": "modelrelease.dev/v1alpha1", "kind": "ModelRelease", "name": "embedder", "uid": "u"}
CONTENT = b"safetensors" * 100
CONTENT_DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


def log_line(*, recorded: bool, content: bytes = CONTENT) -> str:
    full = {"result": json.loads(result.dump(given.answered()))}
    if recorded:
        full["reference"] = {
            "digest": result.digest(content),
            "safetensors": base64.b64encode(content).decode(),
        }
    return json.dumps(full)


def due(line: str) -> evidence.Due:
    digest = "sha256:" + hashlib.sha256(line.encode()).hexdigest()
    summary = {"digest": digest, "sizeBytes": len(line), "truncated": False}
    text = result.dump(given.answered(evidence=summary))
    pods = [given.pod(given.ended(text))]
    (found,) = evidence.due(given.RUN_UID, [given.job()], pods)
    return found


def test_evidence_belongs_to_the_run_and_outputs_outlive_it():
    line = log_line(recorded=True)
    found = evidence.keeping(due(line), result.EVIDENCE_PREFIX + line, RELEASE, given.REVISION)
    report, outputs = found.config_maps
    assert report["metadata"]["ownerReferences"][0]["uid"] == given.RUN_UID
    assert report["metadata"]["name"] == found.annotations[evidence.EVIDENCE]
    packed = base64.b64decode(report["binaryData"][evidence.EVIDENCE_KEY])
    assert json.loads(gzip.decompress(packed))["reason"] == "Parity"
    assert outputs["metadata"]["ownerReferences"] == [RELEASE]
    assert outputs["metadata"]["labels"]["modelrelease.dev/revision"] == given.REVISION
    assert base64.b64decode(outputs["binaryData"]["outputs.safetensors"]) == CONTENT
    assert outputs["immutable"] is True
    kept = api_run.Reference.model_validate_json(found.annotations[evidence.OUTPUTS])
    assert kept == api_run.Reference(
        config_map=outputs["metadata"]["name"], digest=CONTENT_DIGEST, check="parity"
    )


def test_outputs_say_what_they_are_the_outputs_for():
    line = log_line(recorded=True)
    what = due(line)
    what.job["metadata"]["annotations"] |= {"modelrelease.dev/portion": "1", "modelrelease.dev/portions": "4"}
    found = evidence.keeping(what, result.EVIDENCE_PREFIX + line, RELEASE, given.REVISION)
    kept = api_run.Reference.model_validate_json(found.annotations[evidence.OUTPUTS])
    assert (kept.check, kept.portion, kept.portions, kept.golden_set) == ("parity", 1, 4, "")


def test_outputs_larger_than_an_object_may_be_are_kept_in_parts_and_read_as_one(tmp_path: pathlib.Path):
    # 106 texts of 4,096 float32: what the models of 7 billion parameters answer with.
    content = random.Random(7).randbytes(106 * 4096 * 4)
    line = log_line(recorded=True, content=content)
    found = evidence.keeping(due(line), result.EVIDENCE_PREFIX + line, RELEASE, given.REVISION)
    kept = api_run.Reference.model_validate_json(found.annotations[evidence.OUTPUTS])
    assert kept.parts == 2
    for stored in found.config_maps[1:]:
        assert stored["metadata"]["labels"]["modelrelease.dev/revision"] == given.REVISION
        for name, packed in stored["binaryData"].items():
            assert (tmp_path / name).write_bytes(base64.b64decode(packed)) < 1 << 20
    names = [stored["metadata"]["name"] for stored in found.config_maps[1:]]
    assert names == [name for name, _ in subjects.parts(kept)]
    any_format = records.Format("reference", "key", v.Model, frozenset())
    path = str(tmp_path / subjects.OUTPUTS_KEY)
    assert any_format.content(path, kept.digest, len(content)) == content
    with pytest.raises(failure.CheckError, match="has the digest"):
        any_format.content(path, kept.digest, len(content) - 2)
    (tmp_path / f"{subjects.OUTPUTS_KEY}.2").unlink()
    with pytest.raises(failure.CheckError, match="has the digest"):
        any_format.content(path, kept.digest, len(content))


def test_evidence_without_outputs():
    line = log_line(recorded=False)
    found = evidence.keeping(due(line), result.EVIDENCE_PREFIX + line, RELEASE, given.REVISION)
    assert len(found.config_maps) == 1
    assert evidence.OUTPUTS not in found.annotations


@pytest.mark.parametrize(
    "log",
    [None, "", "rubbish", result.EVIDENCE_PREFIX + "{}", result.EVIDENCE_PREFIX + log_line(recorded=True)],
)
def test_a_log_that_is_not_the_results_is_lost_and_nothing_else(log: str | None):
    found = evidence.keeping(due(log_line(recorded=False)), log, RELEASE, given.REVISION)
    assert found == evidence.Keeping((), {evidence.EVIDENCE: ""})


def test_only_finished_checks_with_evidence_are_due():
    assert evidence.due(given.RUN_UID, [given.job()], []) == []
    assert evidence.due(given.RUN_UID, [given.job()], [given.pod(given.ended("rubbish"))]) == []
    plain = given.pod(given.ended(result.dump(given.answered())))
    assert evidence.due(given.RUN_UID, [given.job()], [plain]) == []
    line = log_line(recorded=False)
    what = due(line)
    assert what.pod == "check-pod"
    what.job["metadata"]["annotations"][evidence.EVIDENCE] = ""
    text = result.dump(given.answered(evidence={"digest": what.digest, "sizeBytes": 1, "truncated": False}))
    assert evidence.due(given.RUN_UID, [what.job], [given.pod(given.ended(text))]) == []


class Port:
    """An API server that has one log, or an error in its place."""

    def __init__(self, log: str | api.ApiError, seconds_later: float = 0) -> None:
        self.log, self.written = log, []
        self.time = datetime.datetime.fromisoformat(given.TIME) + datetime.timedelta(seconds=seconds_later)
        self.written: list[tuple[str, dict[str, Any]]]

    def now(self) -> datetime.datetime:
        return self.time

    async def pod_log(self, *_: object) -> str:
        if isinstance(self.log, api.ApiError):
            raise self.log
        return self.log

    async def create(self, kind: api.Kind, obj: dict[str, Any]) -> dict[str, Any]:
        self.written.append((kind.kind, obj))
        return obj

    async def merge(self, kind: api.Kind, namespace: str, name: str, patch: dict[str, Any]) -> dict[str, Any]:
        self.written.append((kind.kind, patch))
        return patch


async def keep(port: Port) -> bool:
    what = due(log_line(recorded=True))
    what.job["metadata"]["resourceVersion"] = "7"

    def plan(log: str | None) -> tuple[api.Objects, dict[str, str]]:
        found = evidence.keeping(what, log, RELEASE, given.REVISION)
        return list(found.config_maps), dict(found.annotations)

    source = keeper.Log(what.pod, "check", what.finished_time, evidence.LOG_LIMIT_BYTES)
    return await keeper.keep(port, what.job, source, plan)  # type: ignore[arg-type]


async def test_objects_come_before_the_note_that_they_exist():
    port = Port(result.EVIDENCE_PREFIX + log_line(recorded=True))
    assert await keep(port)
    assert [kind for kind, _ in port.written] == ["ConfigMap", "ConfigMap", "Job"]
    assert port.written[-1][1]["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize("error", [api.NotFound("gone", 404), api.Invalid("container is not available", 400)])
async def test_a_log_that_is_gone_is_lost_at_once(error: api.ApiError):
    port = Port(error)
    assert await keep(port)
    assert [(kind, obj["metadata"]["annotations"]) for kind, obj in port.written] == [
        ("Job", {evidence.EVIDENCE: ""})
    ]


@pytest.mark.parametrize(("seconds", "settled"), [(0, False), (59, False), (61, True)])
async def test_a_node_that_does_not_answer_is_asked_for_a_minute(seconds: float, settled: bool):
    port = Port(api.Unavailable("kubelet"), seconds)
    assert await keep(port) is settled
    assert bool(port.written) is settled
