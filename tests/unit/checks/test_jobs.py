import dataclasses
import json
from typing import Any

import pytest

from canary_checks import result
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.checks import jobs
from modelrelease.core import observation
from tests.unit.checks import given


def asked(job: dict[str, Any]) -> dict[str, Any]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (text,) = [entry["value"] for entry in container["env"] if entry["name"] == "MODELRELEASE_CHECK_REQUEST"]
    result.CheckRequest.model_validate_json(text, by_alias=True, by_name=False)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("name", ["contract", "repeatability", "parity"])
def test_a_request_is_one_that_the_checks_understand(name: str):
    request = asked(given.job(name))
    assert request["check"]["name"] == name
    assert request["url"] == "http://10.0.0.7:8000"
    assert request["operations"] == [
        {
            "name": "embeddings",
            "protocol": "OpenAIEmbeddings",
            "path": "/v1/embeddings",
            "model": "bge",
        }
    ]
    assert request["numericClass"] == "bf16", "the worse of both"
    assert request["record"] is (name == "parity")


def test_references_are_mounted_where_the_request_says():
    job = given.job()
    (reference,) = asked(job)["references"]
    spec = job["spec"]["template"]["spec"]
    (mount,) = [m for m in spec["containers"][0]["volumeMounts"] if m["name"] == "stable"]
    assert reference["path"] == f"{mount['mountPath']}/outputs.safetensors"
    assert {"name": "stable", "configMap": {"name": "embedder-r00000000aa-outputs"}} in spec["volumes"]
    assert job["metadata"]["annotations"]["modelrelease.dev/references"] == "1"


def test_ipv6_and_gates_and_tf32():
    run = given.run(
        model={"version": "1", "numericClass": "tf32"},
        checks=[
            {"name": "p", "embeddingParity": {"gates": [{"metric": "CosineDistanceWorst", "max": "0.001"}]}}
        ],
    )
    subject = dataclasses.replace(given.subject("p", run), pod=dataclasses.replace(given.POD, ip="fd00::1"))
    request = asked(jobs.render(subject, [], jobs.Settings("i")))
    assert request["url"] == "http://[fd00::1]:8000"
    assert request["gates"] == [{"metric": "CosineDistanceWorst", "max": "0.001"}]
    assert request["numericClass"] == "fp16"
    assert request["operations"][0]["model"] is None


def test_a_checks_pod_can_do_nothing_but_ask():
    job = given.job()
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["backoffLimit"], spec["podReplacementPolicy"], pod["restartPolicy"]) == (
        0,
        "Failed",
        "Never",
    )
    assert spec["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert "ttlSecondsAfterFinished" not in spec
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["terminationMessagePolicy"] == "File"


def test_the_namespaces_needs_are_met_but_no_label_of_ours_is_given_away():
    run = given.run(
        checkTemplate={
            "serviceAccountName": "checker",
            "imagePullSecrets": ["registry"],
            "nodeSelector": {"pool": "cpu"},
            "tolerations": [{"key": "cpu", "operator": "Exists"}],
            "resources": {"limits": {"memory": "1Gi"}},
            "labels": {"team": "search", "modelrelease.dev/role": "serving"},
            "annotations": {"a": "b"},
            "activeDeadlineSeconds": 100,
        }
    )
    job = jobs.render(given.subject("parity", run), [], jobs.Settings("i"))
    template = job["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "search"
    assert template["metadata"]["labels"]["modelrelease.dev/role"] == "check"
    assert "modelrelease.dev/revision" not in template["metadata"]["labels"]
    assert template["metadata"]["annotations"]["a"] == "b"
    spec = template["spec"]
    assert spec["serviceAccountName"] == "checker"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["nodeSelector"] == {"pool": "cpu"}
    assert spec["tolerations"] == [{"key": "cpu", "operator": "Exists"}]
    assert spec["containers"][0]["resources"] == {"limits": {"memory": "1Gi"}}
    assert job["spec"]["activeDeadlineSeconds"] == 100
    assert asked(job)["deadlineSeconds"] == 90


def test_names_fit_and_differ_and_are_the_same_after_a_crash():
    run, check = "a" * 40 + "-r0123456789-10000", "c" * 63
    names = {
        jobs.name(run, check, 1, "pod-1"),
        jobs.name(run, check, 2, "pod-1"),
        jobs.name(run, check, 1, "pod-2"),
        jobs.name(run, "d" + check[1:], 1, "pod-1"),
        jobs.name("run", "check", 1, "pod-1"),
    }
    assert len(names) == 5
    assert all(len(name) <= 63 and name == name.strip("-") for name in names)
    assert jobs.name(run, check, 1, "pod-1") in names
    assert jobs.name("run", "check", 1, "pod-1").startswith("run-check-1-")


def test_a_nonce_is_of_one_probe():
    nonces = {
        jobs.nonce("run", "check", 1, "pod"),
        jobs.nonce("run2", "check", 1, "pod"),
        jobs.nonce("run", "check2", 1, "pod"),
        jobs.nonce("run", "check", 2, "pod"),
        jobs.nonce("run", "check", 1, "pod2"),
    }
    assert len(nonces) == 5
    assert jobs.nonce("run", "check", 1, "pod") in nonces


OUTPUTS = api_run.Reference(config_map="c", digest=given.DIGEST)


def revision(name: str, **more: Any) -> observation.Revision:
    return observation.Revision(name, embedding_space="space", **more)


@pytest.mark.parametrize(
    ("stable", "other", "roles"),
    [
        ({}, {}, []),
        ({"outputs": OUTPUTS}, {}, ["Stable"]),
        ({"outputs": OUTPUTS, "anchor_of": "space"}, {}, ["Anchor", "Stable"]),
        ({"outputs": OUTPUTS}, {"outputs": OUTPUTS, "anchor_of": "space"}, ["Anchor", "Stable"]),
        ({"outputs": OUTPUTS}, {"outputs": OUTPUTS, "anchor_of": "another"}, ["Stable"]),
        ({}, {"anchor_of": "space"}, []),
    ],
)
def test_references_are_what_was_recorded(stable: dict[str, Any], other: dict[str, Any], roles: list[str]):
    run = given.run()
    revisions = [
        revision(given.REVISION),
        revision("r00000000aa", **stable),
        revision("r00000000bb", **other),
    ]
    observed = observation.Observation(
        release=None,  # type: ignore[arg-type]
        revisions={r.name: r for r in revisions},
        traffic=observation.Traffic(observation.Selects.NOTHING),
    )
    found = jobs.references_of(observed, run, given.check("parity", run))
    assert [reference.role.value for reference in found] == roles
    assert jobs.references_of(observed, run, given.check("contract", run)) == ()


@pytest.mark.parametrize(
    ("one", "other", "worse"),
    [("fp32", "bf16", "bf16"), ("fp8", "int8", "fp8"), ("bf16", None, "bf16"), ("fp16", "tf32", "fp16")],
)
def test_a_pair_is_judged_by_the_worse_class(one: str, other: str | None, worse: str):
    numeric = api_spec.NumericClass
    assert jobs.worse(numeric(one), numeric(other) if other else None) is numeric(worse)
