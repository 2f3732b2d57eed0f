"""The evidence volume in a check's Job, and where the operator notes what lies on it."""

import json
from typing import Any

import pytest

from canary_checks import result
from modelrelease.checks import evidence, jobs, subjects
from tests.unit.checks import given

CLAIM = {"persistentVolumeClaim": {"claimName": "evidence"}}


def rendered(volume: dict[str, Any] | None, **check: Any) -> dict[str, Any]:
    declared = {"checks": [{"name": "parity", **check}]} if check else {}
    run = given.run(checkTemplate={"evidenceVolume": volume} if volume else {}, **declared)
    return jobs.render(given.subject("parity", run), subjects.Opponents(), jobs.Settings("checks:1"))


def asked(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    text = next(e["value"] for e in container["env"] if e["name"] == "MODELRELEASE_CHECK_REQUEST")
    result.CheckRequest.model_validate_json(text, by_alias=True, by_name=False)
    found: dict[str, Any] = json.loads(text)
    return found


def test_the_claim_is_mounted_where_the_request_says():
    job = rendered(CLAIM)
    spec = job["spec"]["template"]["spec"]
    assert asked(job)["evidence"] == {
        "path": "/evidence",
        "namespace": "shop",
        "release": "embedder",
        "portion": 0,
        "keepRuns": 10,
    }
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "evidence"]
    assert mount == {"name": "evidence", "mountPath": "/evidence"}
    assert {"name": "evidence", "persistentVolumeClaim": {"claimName": "evidence"}} in spec["volumes"]
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert "fsGroup" not in spec["securityContext"]


def test_a_group_is_given_only_where_it_is_declared():
    spec = rendered(CLAIM | {"fsGroup": 65532, "keepRuns": 3})["spec"]["template"]["spec"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
    }


def test_where_evidence_is_kept_is_no_part_of_what_was_asked():
    with_volume, without = asked(rendered(CLAIM)), asked(rendered(None))
    assert with_volume["check"] == without["check"]
    assert "evidence" not in without
    assert "evidence" not in json.dumps(rendered(None)["spec"]["template"]["spec"])


def test_a_container_of_the_teams_own_gets_no_volume_of_ours():
    custom = {"job": {"image": "example.test/own:1"}}
    spec = rendered(CLAIM, custom=custom)["spec"]["template"]["spec"]
    assert "evidence" not in [volume["name"] for volume in spec["volumes"]]


@pytest.mark.parametrize("path", ["shop/embedder/run/parity-1-p-0", None])
def test_the_evidence_kept_in_the_cluster_says_where_the_whole_of_it_is(path: str | None):
    line = result.dump(result.Evidence(result=given.answered()))
    summary = {
        "digest": result.digest(line.encode()),
        "sizeBytes": len(line),
        "truncated": False,
        "path": path,
    }
    text = result.dump(given.answered(evidence=summary))
    (due,) = evidence.due(given.RUN_UID, [given.job()], [given.pod(given.ended(text))])
    kept = evidence.keeping(due, result.EVIDENCE_PREFIX + line, {"name": "r"}, given.REVISION)
    annotations = kept.config_maps[0]["metadata"].get("annotations")
    assert annotations == ({"modelrelease.dev/evidence-path": path} if path else None)
