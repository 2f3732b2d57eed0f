from typing import Any

import pytest

from modelrelease.api import advice, base, lint
from tests.unit.api import rule_cases


def errors(changes: dict[str, Any]) -> dict[str, str]:
    findings = lint.lint(rule_cases.release(changes))
    return {f.path: f.message for f in findings if f.severity is advice.Severity.ERROR}


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"model": None}, "spec.model", "must be set: add it"),
        ({"model.version": 1}, "spec.model.version", "must be a string: put the value in quotes"),
        ({"model.version": ""}, "spec.model.version", "must not be empty: write a value"),
        (
            {"model.version": "x" * 64},
            "spec.model.version",
            "must have at most 63 characters: shorten it",
        ),
        (
            {"model.numericClass": "fp12"},
            "spec.model.numericClass",
            "must be 'fp32', 'tf32', 'fp16', 'bf16', 'fp8' or 'int8', not 'fp12'",
        ),
        ({"replicas": "2"}, "spec.replicas", "must be a whole number without quotes"),
        ({"replicas": 1.5}, "spec.replicas", "must be a whole number without quotes"),
        ({"replicas": -1}, "spec.replicas", "must be at least 0, not -1: raise it"),
        ({"replicas": 10_001}, "spec.replicas", "must be at most 10000, not 10001: lower it"),
        ({"strategy": 1}, "spec.strategy", "must be an object: write its fields below it, or {} for none"),
        ({"slos": {}}, "spec.slos", "must be a list: start each entry with '- '"),
        (
            {"service.annotations": 1},
            "spec.service.annotations",
            "must be a map of names to values: write {} for none",
        ),
        (
            {"strategy.steps": [{"weight": n} for n in range(1, 18)]},
            "spec.strategy.steps",
            "must have at most 16 entries, not 17: remove some",
        ),
        (
            {"template.spec.containers": []},
            "spec.template.spec.containers",
            "must have at least 1 entry: add one, or leave the field out",
        ),
        *(
            (
                {"model.artifact": {"uri": uri}},
                "spec.model.artifact.uri",
                "must be pvc://claim/path, image://name@sha256:digest or hf://organisation/name@commit, "
                f"without '..' and hidden parts, not '{uri}'",
            )
            for uri in (
                "s3://bucket/bge",
                "pvc://models/../secrets",
                "pvc://models/.hidden",
                "pvc://Models/bge",
                "pvc://models//bge",
                "hf://",
                "hf://a/b/c",
                "image://Registry/bge",
            )
        ),
        (
            {"model.artifact": rule_cases.PVC | {"mountPath": "/models/../etc"}},
            "spec.model.artifact.mountPath",
            "must be an absolute path, such as /models, without '..' and hidden parts, not '/models/../etc'",
        ),
        (
            {"model.contract.files": ["../weights.bin"]},
            "spec.model.contract.files[0]",
            "must be a path below a folder, such as 1_Pooling/config.json, without '..' and hidden parts, "
            "not '../weights.bin'",
        ),
        (
            rule_cases.operation("GenericJSON", **rule_cases.GENERIC | {"body": {"texts": []}}),
            "spec.endpoint.operations[0].body",
            'must hold "$inputs" (the list) or "$input" (one of them) once, as a value',
        ),
        (
            rule_cases.operation("GenericJSON", **rule_cases.GENERIC | {"vectors": "$[?(@.a)]"}),
            "spec.endpoint.operations[0].vectors",
            "must be a JSONPath of names, indices, slices and wildcards, such as $.data[*].embedding, "
            "not '$[?(@.a)]'",
        ),
        (
            rule_cases.operation("OpenAIEmbeddings", extraBody={"prompt": "x" * 8192}),
            "spec.endpoint.operations[0].extraBody",
            "must have at most 8192 bytes as JSON: shorten it",
        ),
        (
            {"override": {"pinned": {"revision": "6f2c80", "reason": "x"}}},
            "spec.override.pinned.revision",
            "must be a revision as in status, such as r0123456789, not '6f2c80'",
        ),
        (
            {"override": {"pinned": {"revision": rule_cases.R1}}},
            "spec.override.pinned.reason",
            "must be set: add it",
        ),
        (
            {"slos": [rule_cases.slo()["slos"][0]] * 2},
            "spec.slos",
            "must have one entry for a, not two: remove one",
        ),
        (
            {"checks": [{"name": "p", "embeddingParity": {"references": ["Stable", "Stable"]}}]},
            "spec.checks[0].embeddingParity.references",
            "must have one entry for Stable, not two: remove one",
        ),
        (
            {"checkTemplate.resources": {"limits": {"cpu": "much"}}},
            "spec.checkTemplate.resources.limits.cpu",
            "must be a quantity such as 500m, 2 or 4Gi",
        ),
    ],
)
def test_a_wrong_field_is_named_in_plain_words(changes: dict[str, Any], path: str, message: str) -> None:
    assert errors(changes) == {path: message}


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        (
            {"strategy.maxSurges": 1},
            "spec.strategy.maxSurges",
            "is not a field of spec.strategy: write maxSurge",
        ),
        # A name of Python's is no name of the API's.
        (
            {"strategy.max_surge": 1},
            "spec.strategy.max_surge",
            "is not a field of spec.strategy: write maxSurge",
        ),
        (
            {"slos": [{"name": "a", "objectives": "9", "availability": {}, "objective": "9"}]},
            "spec.slos[0].objectives",
            "is not a field of spec.slos[0]: write objective",
        ),
        (
            {"zzz": 1},
            "spec.zzz",
            "is not a field of this API version: remove it, or check its spelling",
        ),
    ],
)
def test_a_field_that_does_not_exist_is_not_ignored(changes: dict[str, Any], path: str, message: str) -> None:
    assert errors(changes) == {path: message}


def test_what_surrounds_the_spec_is_read_too() -> None:
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {}, "replicas": 2}
    assert {f.path: f.message for f in lint.lint(manifest)} == {
        "apiVersion": "must be modelrelease.dev/v1alpha1",
        "kind": "must be ModelRelease",
        "metadata.name": "must be set: it becomes the name of the Service",
        "replicas": "is not a field of a ModelRelease: indent it below spec",
        "spec": "must be an object: write its fields below it, or {} for none",
    }
    wrong = rule_cases.release() | {"kind": "Release"}
    assert [f.path for f in lint.lint(wrong)] == ["kind"]


def test_null_is_absent() -> None:
    assert errors({"model.servedName": None, "slos": None}) == {}
    manifest = rule_cases.release()
    manifest["spec"]["slos"] = [{"name": "a", "objective": "99", "availability": None}]
    assert [f.rule for f in lint.lint(manifest)] == ["slo-one-of"]


def test_yaml_is_read_as_kubectl_reads_it() -> None:
    text = """
kind: ModelRelease
spec: {model: {version: 2026-11-02}}
---
kind: Service
---
"""
    (only,) = lint.manifests(text)
    assert only["spec"]["model"]["version"] == "2026-11-02"


def test_every_pattern_has_words() -> None:
    message = errors({"model.embeddingSpace": "A_B"})["spec.model.embeddingSpace"]
    assert message == f"must be {base.PATTERN_WORDS[base.DNS_LABEL]}, not 'A_B'"


# --- Advice -------------------------------------------------------------------------------------------------

GOOD_POD: dict[str, Any] = {
    "containers": [
        {
            "name": "server",
            "image": f"example.test/minilm@sha256:{'0' * 64}",
            "ports": [{"name": "model", "containerPort": 8000}],
            "resources": {"requests": {"cpu": 1}},
            "readinessProbe": {"httpGet": {"path": "/health", "port": "model"}},
            "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        }
    ]
}
SERVER = "spec.template.spec.containers[0]"
AVAILABILITY = {"name": "availability", "objective": "99", "availability": {}}
LATENCY = {"name": "latency", "objective": "95", "latency": {"thresholdMilliseconds": 500}}


def warnings(changes: dict[str, Any]) -> list[str]:
    findings = lint.lint(rule_cases.release({"template.spec": GOOD_POD} | changes))
    assert {f.severity for f in findings} <= {advice.Severity.WARNING}
    return [f.path for f in findings]


def pod(**changes: Any) -> dict[str, Any]:
    server = GOOD_POD["containers"][0] | changes
    return {"template.spec.containers": [{k: v for k, v in server.items() if v is not None}]}


@pytest.mark.parametrize(
    ("changes", "paths"),
    [
        ({}, []),
        (pod(image="example.test/minilm:1"), [f"{SERVER}.image"]),
        (pod(resources=None), [f"{SERVER}.resources"]),
        (pod(readinessProbe=None), [f"{SERVER}.readinessProbe"]),
        (pod(lifecycle=None), [f"{SERVER}.lifecycle.preStop"]),
        (
            pod(lifecycle={"preStop": {"sleep": {"seconds": 30}}}),
            ["spec.template.spec.terminationGracePeriodSeconds"],
        ),
        (
            {
                "template.spec.containers": [
                    *GOOD_POD["containers"],
                    {"name": "side", "image": "a@sha256:0", "resources": {"limits": {"cpu": 1}}},
                ]
            },
            [],
        ),
        ({"override": {"paused": {"reason": "incident 42"}}}, ["spec.override"]),
        ({"model.artifact": rule_cases.PVC}, []),
        ({"model.artifact": rule_cases.PULLED}, []),
        ({"model.artifact": {"uri": "hf://BAAI/bge-m3@main"}}, ["spec.model.artifact.uri"]),
        (rule_cases.GOLDEN, ["spec.goldenSets[0]"]),
        (rule_cases.GOLDEN | {"checks": [{"name": "a", "contract": {"goldenSet": "judged"}}]}, []),
        ({"strategy": {"maxSurge": 0, "maxUnavailable": 1}}, ["spec.strategy.maxSurge"]),
        ({"strategy": {"maxSurge": 0, "maxUnavailable": 1}, "replicas": 2}, []),
        ({"strategy": {"maxSurge": 0, "maxUnavailable": 1}, "replicas": 0}, []),
        ({"strategy": {"maxSurge": 0, "maxUnavailable": "25%"}, "replicas": 3}, ["spec.strategy"]),
        ({"strategy": {"maxSurge": 0, "maxUnavailable": "25%"}, "replicas": 4}, []),
        (
            {"strategy": {"maxSurge": 0, "maxUnavailable": 1, "steps": [{"weight": 5}]}},
            ["spec.strategy.maxSurge", "spec.strategy.steps"],
        ),
        (rule_cases.own(), ["spec.checks[0].custom.job.image"]),
        (rule_cases.own(image=rule_cases.IMAGE), []),
        (rule_cases.own("webhook"), []),
        (rule_cases.own("webhook", url="http://quality.search.svc.cluster.local:8080/check"), []),
        (rule_cases.own("webhook", url="http://quality.search/check"), []),
        (
            rule_cases.own("webhook", url="http://quality.example.test/check"),
            ["spec.checks[0].custom.webhook.url"],
        ),
        (rule_cases.own("webhook", url="http://[x"), []),
        ({"slos": [AVAILABILITY]}, []),
        ({"slos": [AVAILABILITY, LATENCY]}, ["spec.strategy.canary.warmupSeconds"]),
        ({"slos": [LATENCY], "strategy": {"canary": {"warmupSeconds": 90}}}, []),
    ],
)
def test_advice_on_what_the_server_accepts(changes: dict[str, Any], paths: list[str]) -> None:
    assert warnings(changes) == paths


def test_percentages_are_rounded_as_in_a_deployment() -> None:
    assert advice.pods_of("25%", 3, up=True) == 1
    assert advice.pods_of("25%", 3, up=False) == 0
    assert advice.pods_of(2, 3, up=False) == 2


def test_a_finding_is_one_line() -> None:
    (finding,) = lint.lint(rule_cases.release({"replicas": -1}))
    assert str(finding) == "Error: spec.replicas: must be at least 0, not -1: raise it"
