import dataclasses
import json
from typing import Any

import pytest

from canary_checks import result
from modelrelease.api import endpoint as api_endpoint
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.checks import jobs, question, subjects
from modelrelease.core import observation, references, traceparent
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
            "modality": "Text",
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


def test_references_in_parts_are_mounted_in_one_folder():
    known = dataclasses.replace(
        given.recorded(), outputs=given.recorded().outputs.model_copy(update={"parts": 2})
    )
    job = jobs.render(given.subject(), subjects.Opponents((known,)), jobs.Settings("checks:1"))
    (reference,) = asked(job)["references"]
    assert reference["path"] == "/references/stable/outputs.safetensors"
    maps = [{"configMap": {"name": f"embedder-r00000000aa-outputs{end}"}} for end in ("", "-2")]
    assert {"name": "stable", "projected": {"sources": maps}} in job["spec"]["template"]["spec"]["volumes"]


def test_ipv6_and_gates_and_tf32():
    run = given.run(
        model={"version": "1", "numericClass": "tf32"},
        checks=[
            {"name": "p", "embeddingParity": {"gates": [{"metric": "CosineDistanceWorst", "max": "0.001"}]}}
        ],
    )
    run = dataclasses.replace(run, spec=run.spec.model_copy(update={"stable_numeric_class": None}))
    subject = dataclasses.replace(given.subject("p", run), pod=dataclasses.replace(given.POD, ip="fd00::1"))
    request = asked(jobs.render(subject, subjects.Opponents(), jobs.Settings("i")))
    assert request["url"] == "http://[fd00::1]:8000"
    assert request["gates"] == [{"metric": "CosineDistanceWorst", "max": "0.001"}]
    assert request["numericClass"] == "tf32"
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
    job = jobs.render(given.subject("parity", run), subjects.Opponents(), jobs.Settings("i"))
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
        subjects.name(run, check, 1, "pod-1"),
        subjects.name(run, check, 2, "pod-1"),
        subjects.name(run, check, 1, "pod-2"),
        subjects.name(run, "d" + check[1:], 1, "pod-1"),
        subjects.name("run", "check", 1, "pod-1"),
    }
    assert len(names) == 5
    assert all(len(name) <= 63 and name == name.strip("-") for name in names)
    assert subjects.name(run, check, 1, "pod-1") in names
    assert subjects.name("run", "check", 1, "pod-1").startswith("run-check-1-")


def test_a_nonce_is_of_one_probe():
    nonces = {
        subjects.nonce("run", "check", 1, "pod"),
        subjects.nonce("run2", "check", 1, "pod"),
        subjects.nonce("run", "check2", 1, "pod"),
        subjects.nonce("run", "check", 2, "pod"),
        subjects.nonce("run", "check", 1, "pod2"),
    }
    assert len(nonces) == 5
    assert subjects.nonce("run", "check", 1, "pod") in nonces


OUTPUTS = api_run.Reference(config_map="c", digest=given.DIGEST)


def revision(name: str, **more: Any) -> observation.Revision:
    return observation.Revision(name, embedding_space="space", **more)


@pytest.mark.parametrize(
    ("stable", "other", "roles"),
    [
        ({}, {}, []),
        ({"outputs": (OUTPUTS,)}, {}, ["Stable"]),
        ({"outputs": (OUTPUTS,), "anchor_of": "space"}, {}, ["Anchor", "Stable"]),
        ({"outputs": (OUTPUTS,)}, {"outputs": (OUTPUTS,), "anchor_of": "space"}, ["Anchor", "Stable"]),
        ({"outputs": (OUTPUTS,)}, {"outputs": (OUTPUTS,), "anchor_of": "another"}, ["Stable"]),
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
    found = references.recorded(observed, run, given.check("parity", run))
    assert [known.role.value for known in found] == roles
    # Token ids are compared with whoever recorded some; what is repeatable needs nobody.
    asked = references.recorded(observed, run, given.check("contract", run))
    assert sorted(known.role.value for known in asked) == roles
    assert references.recorded(observed, run, given.check("repeatability", run)) == ()


CLIP = {
    "model": {"version": "1", "servedName": "clip"},
    "endpoint": {
        "operations": [
            {"name": "text", "protocol": "OpenInferenceV2", "input": "TEXT", "output": "EMBEDDING"},
            {
                "name": "image",
                "protocol": "OpenInferenceV2",
                "modality": "Image",
                "model": "clip_image",
                "binary": True,
            },
        ]
    },
}


def rendered(probe: dict[str, Any], portion: int = 0, **more: Any) -> dict[str, Any]:
    run = given.run(checks=[{"name": "p", "embeddingParity": probe}], **more)
    subject = dataclasses.replace(given.subject("p", run), portion=portion, embedding_space="space")
    return jobs.render(subject, subjects.Opponents(), jobs.Settings("i"))


def golden(**volume: Any) -> dict[str, Any]:
    return {"goldenSets": [{"name": "pairs", "volume": volume}]}


def test_operations_are_asked_as_the_manifest_says():
    request = asked(rendered({"goldenSet": "pairs"}, **CLIP, **golden(secret={"secretName": "s"})))
    assert request["operations"] == [
        {
            "name": "text",
            "protocol": "OpenInferenceV2",
            "modality": "Text",
            "model": "clip",
            "input": "TEXT",
            "output": "EMBEDDING",
        },
        {
            "name": "image",
            "protocol": "OpenInferenceV2",
            "modality": "Image",
            "model": "clip_image",
            "binary": True,
        },
    ]
    assert request["embeddingSpace"] == "space"


OPERATIONS = [
    {"protocol": "OpenAIEmbeddings", "encoding": "Base64", "dimensions": 8, "extraBody": {"user": "a"}},
    {"protocol": "OpenAIEmbeddings", "modality": "Image", "path": "/v1/images"},
    {"protocol": "TextEmbeddingsInference", "truncate": True, "normalize": False, "promptName": "q"},
    {"protocol": "OpenInferenceV2", "model": "a/b", "datatype": "BF16"},
    {
        "protocol": "GenericJSON",
        "path": "/embed",
        "body": {"texts": "$inputs", "temperature": 0.5},
        "vectors": "$.data[*].vector",
        "imageForm": "DataURI",
    },
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation["protocol"])
def test_every_field_of_an_operation_is_one_that_the_checks_understand(operation: dict[str, Any]):
    endpoint = {"operations": [{"name": "a", **operation}]}
    (found,) = asked(rendered({}, endpoint=endpoint))["operations"]
    assert found.items() >= operation.items()


@pytest.mark.parametrize("operation", OPERATIONS[:4], ids=lambda operation: operation["protocol"])
def test_an_operations_usual_path_is_the_checks_own(operation: dict[str, Any]):
    said = {"name": "a"} | {key: value for key, value in operation.items() if key != "path"}
    own = api_endpoint.Operation.model_validate(said)
    job = rendered({}, endpoint={"operations": [said]})
    (container,) = job["spec"]["template"]["spec"]["containers"]
    read = result.CheckRequest.model_validate_json(container["env"][0]["value"], by_alias=True, by_name=False)
    assert read.operations[0].endpoint("http://host") == f"http://host{own.usual_path()}"


IMAGE = "registry.example.test/golden@sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("declared", "mounted"),
    [
        ({"configMap": {"name": "g"}}, {"configMap": {"name": "g"}}),
        ({"secret": {"secretName": "g"}}, {"secret": {"secretName": "g"}}),
        (
            {"persistentVolumeClaim": {"claimName": "g"}},
            {"persistentVolumeClaim": {"claimName": "g", "readOnly": True}},
        ),
        ({"image": {"reference": IMAGE}}, {"image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}}),
    ],
)
def test_a_golden_set_is_mounted_where_the_request_says(declared: dict[str, Any], mounted: dict[str, Any]):
    job = rendered({"goldenSet": "pairs"}, **golden(**declared))
    assert asked(job)["goldenSet"] == {"path": "/golden"}
    spec = job["spec"]["template"]["spec"]
    assert {"name": "golden", **mounted} in spec["volumes"]
    mount = {"name": "golden", "mountPath": "/golden", "readOnly": True}
    assert mount in spec["containers"][0]["volumeMounts"]


def test_a_declared_digest_is_asked_for():
    sets = golden(configMap={"name": "g"})
    sets["goldenSets"][0]["digest"] = given.DIGEST
    job = rendered({"goldenSet": "pairs"}, **sets)
    assert asked(job)["goldenSet"] == {"path": "/golden", "digest": given.DIGEST}


def test_portions_have_jobs_names_and_nonces_of_their_own():
    found = [rendered({"shards": 2}, index, **CLIP) for index in range(4)]
    requests = [asked(job) for job in found]
    assert [(r["goldenSet"]["builtin"], r["shard"], r["shards"]) for r in requests] == [
        ("TextV1", 0, 2),
        ("TextV1", 1, 2),
        ("ImageV1", 0, 2),
        ("ImageV1", 1, 2),
    ]
    assert len({job["metadata"]["name"] for job in found}) == len({r["nonce"] for r in requests}) == 4
    notes = found[3]["metadata"]["annotations"]
    assert (notes["modelrelease.dev/portion"], notes["modelrelease.dev/portions"]) == ("3", "4")
    assert "modelrelease.dev/portion" not in given.job()["metadata"]["annotations"], "as before"


def test_live_stable_is_named_with_its_pod_and_asked_gently():
    pod = observation.Pod("stable-pod", "uid", "r00000000aa", ready=True, ip="10.0.0.9", port=8000)
    live = references.LiveStable("r00000000aa", pod, api_spec.NumericClass.FP16)
    job = jobs.render(given.subject("parity"), subjects.Opponents(live=live), jobs.Settings("i"))
    assert asked(job)["live"] == {
        "role": "Stable",
        "revision": "r00000000aa",
        "url": "http://10.0.0.9:8000",
        "numericClass": "fp16",
        "maxRequestsPerSecond": 2,
    }
    assert job["metadata"]["annotations"]["modelrelease.dev/references"] == "1"


def test_a_reference_that_the_golden_set_ships_is_asked_for():
    sets = golden(configMap={"name": "g"})
    assert asked(rendered({"goldenSet": "pairs", "references": ["Recorded"]}, **sets))["recorded"] is True
    assert asked(rendered({"goldenSet": "pairs"}, **sets))["recorded"] is False


def test_files_of_the_contract_are_the_verifiers_and_not_the_checks():
    artifact = {"uri": "pvc://models", "digest": given.DIGEST}
    contract = {"dimensions": 8, "files": ["tokenizer.json"]}
    request = asked(rendered({}, model={"version": "1", "artifact": artifact, "contract": contract}))
    assert request["contract"] == {"dimensions": 8}


@pytest.mark.parametrize(
    ("one", "other", "worse"),
    [("fp32", "bf16", "bf16"), ("fp8", "int8", "fp8"), ("bf16", None, "bf16"), ("fp16", "tf32", "fp16")],
)
def test_a_pair_is_judged_by_the_worse_class(one: str, other: str | None, worse: str):
    numeric = api_spec.NumericClass
    assert question.worse(numeric(one), numeric(other) if other else None) is numeric(worse)


@pytest.mark.parametrize("name", ["contract", "parity"])
def test_a_probe_is_told_its_span_only_where_traces_are_kept(name: str):
    subject = given.subject(name)
    rendered = [
        jobs.render(subject, subjects.Opponents(), jobs.Settings("checks:1", traced=traced))
        for traced in (False, True)
    ]
    (quiet,), (told,) = (job["spec"]["template"]["spec"]["containers"] for job in rendered)
    parent = {
        "name": "TRACEPARENT",
        "value": traceparent.header(given.RUN_UID, rendered[1]["metadata"]["name"]),
    }
    assert told == quiet | {"env": [*quiet["env"], parent]}
    assert "TRACEPARENT" not in json.dumps(quiet)
