"""One good and one bad manifest for each rule and place, for the linter and for a real API server."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from modelrelease.api import constants

RELEASE: dict[str, Any] = {
    "apiVersion": constants.API_VERSION,
    "kind": constants.RELEASE_KIND,
    "metadata": {"name": "minilm"},
    "spec": {
        "model": {"version": "1"},
        "endpoint": {"protocol": "OpenAIEmbeddings"},
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "server",
                        "image": "example.test/minilm:1",
                        "ports": [{"name": "model", "containerPort": 8000}],
                    }
                ]
            }
        },
    },
}


def release(changes: Mapping[str, Any] | None = None, *, name: str = "minilm") -> dict[str, Any]:
    """Return the smallest release, with some fields below ``spec`` replaced; None removes one."""
    made = copy.deepcopy(RELEASE)
    made["metadata"]["name"] = name
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        place = made["spec"]
        for parent in parents:
            place = place.setdefault(parent, {})
        if value is None:
            place.pop(last, None)
        else:
            place[last] = copy.deepcopy(value)
    return made


@dataclasses.dataclass(frozen=True)
class Case:
    """A rule at one of its places."""

    rule: str
    path: str
    """The field that is blamed."""
    good: dict[str, Any]
    bad: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.rule}-{self.path}"


def of(rule: str, path: str, good: Mapping[str, Any], bad: Mapping[str, Any]) -> Case:
    return Case(rule, path, release(good), release(bad))


R1, R2 = "r0123456789", "rabcdefabcd"
WHY = "incident 42"
OPERATIONS = {"endpoint": {"operations": [{"name": "query", "protocol": "OpenAIEmbeddings"}]}}


def container(port: str, name: str = "server") -> dict[str, Any]:
    return {"name": name, "image": "example.test/x:1", "ports": [{"name": port, "containerPort": 8000}]}


def check(kind: str, gate: Mapping[str, Any]) -> dict[str, Any]:
    return {"checks": [{"name": "a", kind: {"gates": [gate]}}]}


def slo(**changes: Any) -> dict[str, Any]:
    return {"slos": [{"name": "a", "objective": "99.9", "availability": {}} | changes]}


PVC = {"uri": "pvc://models/bge/3", "digest": "sha256:" + "a" * 64}
PULLED = {"uri": "hf://BAAI/bge-m3@" + "b" * 40}
IMAGE = "registry.example.test/golden/clip@sha256:" + "c" * 64
GOLDEN = {"goldenSets": [{"name": "judged", "volume": {"configMap": {"name": "golden-v3"}}}]}


def model(**changes: Any) -> dict[str, Any]:
    return {"model": {"version": "1", **changes}}


def operation(protocol: str, **more: Any) -> dict[str, Any]:
    return {"endpoint": {"operations": [{"name": "a", "protocol": protocol, **more}]}}


def golden(**volume: Any) -> dict[str, Any]:
    return {"goldenSets": [{"name": "judged", "volume": volume}]}


GENERIC = {"path": "/embed", "body": {"texts": "$inputs"}, "vectors": "$.vectors[*]"}

CASES = (
    of(
        "artifact-digest",
        "spec.model.artifact.digest",
        model(artifact=PVC),
        model(artifact={"uri": "pvc://models"}),
    ),
    of(
        "artifact-digest",
        "spec.model.artifact.digest",
        model(artifact=PULLED),
        model(artifact=PULLED | {"digest": PVC["digest"]}),
    ),
    of(
        "artifact-mount-path",
        "spec.model.artifact.mountPath",
        model(artifact=PVC | {"mountPath": "/mnt/models"}),
        model(artifact=PULLED | {"mountPath": "/mnt/models"}),
    ),
    of(
        "artifact-image",
        "spec.model.artifact.uri",
        model(artifact={"uri": f"image://{IMAGE}"}),
        model(artifact={"uri": "image://registry.example.test/bge:3"}),
    ),
    of(
        "contract-files",
        "spec.model.contract.files",
        model(artifact=PVC, contract={"files": ["tokenizer.json", "1_Pooling/config.json"]}),
        model(contract={"files": ["tokenizer.json"]}),
    ),
    of(
        "contract-files",
        "spec.model.contract.files",
        model(artifact=PULLED, contract={"dimensions": 8}),
        model(artifact=PULLED, contract={"files": ["tokenizer.json"]}),
    ),
    of(
        "endpoint-generic",
        "spec.endpoint.protocol",
        {"endpoint": {"protocol": "TextEmbeddingsInference"}},
        {"endpoint": {"protocol": "GenericJSON"}},
    ),
    of(
        "operation-generic",
        "spec.endpoint.operations[0]",
        operation("GenericJSON", **GENERIC),
        operation("GenericJSON", path="/embed", vectors="$[*]"),
    ),
    of(
        "operation-fields",
        "spec.endpoint.operations[0]",
        operation("OpenAIEmbeddings", encoding="Base64", dimensions=8, extraBody={"user": "a"}),
        operation("OpenAIEmbeddings", truncate=True),
    ),
    of(
        "operation-fields",
        "spec.endpoint.operations[0]",
        operation("TextEmbeddingsInference", dimensions=8, truncate=True, normalize=False, promptName="q"),
        operation("TextEmbeddingsInference", body={"texts": "$inputs"}),
    ),
    of(
        "operation-fields",
        "spec.endpoint.operations[0]",
        operation("OpenInferenceV2", model="clip", input="IN", output="OUT", datatype="FP16", binary=True),
        operation("OpenInferenceV2", model="clip", imageForm="Base64"),
    ),
    of(
        "operation-modality",
        "spec.endpoint.operations[0].modality",
        operation("OpenAIEmbeddings", modality="Image"),
        operation("TextEmbeddingsInference", modality="Image"),
    ),
    of(
        "operation-model",
        "spec.endpoint",
        operation("OpenInferenceV2", model="clip_text"),
        operation("OpenInferenceV2"),
    ),
    of(
        "operation-model",
        "spec.endpoint",
        model(servedName="clip_text") | {"endpoint": {"protocol": "OpenInferenceV2"}},
        {"endpoint": {"protocol": "OpenInferenceV2"}},
    ),
    of(
        "golden-set-one-of",
        "spec.goldenSets[0].volume",
        golden(persistentVolumeClaim={"claimName": "golden"}),
        golden(persistentVolumeClaim={"claimName": "golden"}, secret={"secretName": "golden"}),
    ),
    of("golden-set-one-of", "spec.goldenSets[0].volume", golden(secret={"secretName": "golden"}), golden()),
    of(
        "golden-set-image",
        "spec.goldenSets[0].volume.image.reference",
        golden(image={"reference": IMAGE}),
        golden(image={"reference": "registry.example.test/golden/clip:3"}),
    ),
    *(
        of(
            "check-golden-set",
            "spec.checks",
            GOLDEN | {"checks": [{"name": "a", kind: {"goldenSet": "judged"}}]},
            GOLDEN | {"checks": [{"name": "a", kind: {"goldenSet": "jugded"}}]},
        )
        for kind in ("embeddingParity", "contract", "repeatability")
    ),
    *(
        of(
            "check-operations",
            "spec.checks",
            OPERATIONS | {"checks": [{"name": "a", kind: {"operations": ["query"]}}]},
            OPERATIONS | {"checks": [{"name": "a", kind: {"operations": ["query", "passage"]}}]},
        )
        for kind in ("embeddingParity", "contract", "repeatability")
    ),
    of(
        "check-operations",
        "spec.checks",
        {"checks": [{"name": "a", "contract": {"operations": ["embeddings"]}}]},
        {"checks": [{"name": "a", "contract": {"operations": ["query"]}}]},
    ),
    of(
        "check-operation-once",
        "spec.checks[0]",
        OPERATIONS | {"checks": [{"name": "a", "operation": "query", "contract": {"shards": 2}}]},
        OPERATIONS | {"checks": [{"name": "a", "operation": "query", "contract": {"operations": ["query"]}}]},
    ),
    of(
        "recorded-golden-set",
        "spec.checks[0].embeddingParity.references",
        GOLDEN
        | {
            "checks": [
                {
                    "name": "a",
                    "embeddingParity": {"goldenSet": "judged", "references": ["Recorded", "Stable"]},
                }
            ]
        },
        {"checks": [{"name": "a", "embeddingParity": {"references": ["Recorded"]}}]},
    ),
    Case("name", "metadata.name", release(name="a" * 40), release(name="a" * 41)),
    Case("name", "metadata.name", release(name="x-1"), release(name="1-x")),
    Case("name", "metadata.name", release(name="a-b"), release(name="a.b")),
    of(
        "endpoint-one-of",
        "spec.endpoint",
        OPERATIONS,
        {"endpoint": OPERATIONS["endpoint"] | {"protocol": "OpenAIEmbeddings"}},
    ),
    of("endpoint-one-of", "spec.endpoint", {}, {"endpoint": {"runtime": "Infinity"}}),
    of(
        "template-model-port",
        "spec.template.spec.containers",
        {"template.spec.containers": [container("http", "proxy"), container("model")]},
        {"template.spec.containers": [container("http")]},
    ),
    of(
        "template-model-port",
        "spec.template.spec.containers",
        {
            "template.spec.containers": [{"name": "side", "image": "x"}],
            "template.spec.initContainers": [container("model")],
        },
        {"template.spec.containers": [container("model", "one"), container("model", "two")]},
    ),
    of(
        "labels-reserved",
        "spec.template.metadata.labels",
        {"template.metadata.labels": {"team": "search"}},
        {"template.metadata.labels": {constants.LABEL_RELEASE: "other"}},
    ),
    of(
        "labels-reserved",
        "spec.checkTemplate.labels",
        {"checkTemplate.labels": {"queue": "gpu"}},
        {"checkTemplate.labels": {constants.LABEL_ROLE: "serving"}},
    ),
    of(
        "int-or-percentage",
        "spec.strategy.maxSurge",
        {"strategy.maxSurge": "25%"},
        {"strategy.maxSurge": "25"},
    ),
    of(
        "int-or-percentage",
        "spec.strategy.maxUnavailable",
        {"strategy.maxUnavailable": 2},
        {"strategy.maxUnavailable": -1},
    ),
    of(
        "strategy-room",
        "spec.strategy",
        {"strategy": {"maxSurge": 0, "maxUnavailable": 1}},
        {"strategy": {"maxSurge": 0, "maxUnavailable": 0}},
    ),
    of(
        "strategy-room",
        "spec.strategy",
        {"strategy": {"maxSurge": "1%"}},
        {"strategy": {"maxSurge": "0%"}},
    ),
    of(
        "canary-room",
        "spec.strategy.canary.replicas",
        {"strategy": {"maxSurge": 1, "maxUnavailable": 1, "canary": {"replicas": 2}}},
        {"strategy": {"maxSurge": 1, "maxUnavailable": 1, "canary": {"replicas": 3}}},
    ),
    of(
        "steps-ascending",
        "spec.strategy.steps",
        {"strategy.steps": [{"weight": 5}, {"weight": 50}]},
        {"strategy.steps": [{"weight": 50}, {"weight": 5}]},
    ),
    of(
        "steps-ascending",
        "spec.strategy.steps",
        {"strategy.steps": [{"weight": 5}]},
        {"strategy.steps": [{"weight": 5}, {"weight": 5}]},
    ),
    of("checks-enforced", "spec.checks", {"checks": [], "enforcement": "Observe"}, {"checks": []}),
    of(
        "checks-enforced",
        "spec.checks",
        {
            "checks": [
                {"name": "a", "contract": {}},
                {"name": "b", "enforcement": "Observe", "repeatability": {}},
            ]
        },
        {"checks": [{"name": "b", "enforcement": "Observe", "repeatability": {}}]},
    ),
    of(
        "check-one-of",
        "spec.checks[0]",
        {"checks": [{"name": "a", "contract": {}}]},
        {"checks": [{"name": "a", "contract": {}, "repeatability": {}}]},
    ),
    of(
        "check-one-of",
        "spec.checks[1]",
        {"checks": [{"name": "a", "contract": {}}, {"name": "b", "embeddingParity": {}}]},
        {"checks": [{"name": "a", "contract": {}}, {"name": "b"}]},
    ),
    of(
        "check-operation",
        "spec.checks",
        OPERATIONS | {"checks": [{"name": "a", "contract": {}, "operation": "query"}]},
        OPERATIONS | {"checks": [{"name": "a", "contract": {}, "operation": "embeddings"}]},
    ),
    of(
        "check-operation",
        "spec.checks",
        {"checks": [{"name": "a", "contract": {}, "operation": "embeddings"}]},
        {"checks": [{"name": "a", "contract": {}, "operation": "query"}]},
    ),
    of(
        "gate-max",
        "spec.checks[0].embeddingParity.gates[0]",
        check("embeddingParity", {"metric": "CosineDistanceWorst", "max": "1e-5"}),
        check("embeddingParity", {"metric": "CosineDistanceWorst", "max": "-0.001"}),
    ),
    of(
        "gate-max",
        "spec.checks[0].repeatability.gates[0]",
        check("repeatability", {"metric": "RepeatDistanceWorst", "max": "0"}),
        check("repeatability", {"metric": "RepeatDistanceWorst"}),
    ),
    of(
        "parity-metrics",
        "spec.checks[0].embeddingParity.gates[0].metric",
        check("embeddingParity", {"metric": "NormDeviationWorst", "max": "0.1"}),
        check("embeddingParity", {"metric": "RepeatDistanceWorst", "max": "0.1"}),
    ),
    of(
        "repeatability-metrics",
        "spec.checks[0].repeatability.gates[0].metric",
        check("repeatability", {"metric": "RepeatNormDeviationWorst", "max": "0.1"}),
        check("repeatability", {"metric": "CosineDistanceWorst", "max": "0.1"}),
    ),
    of(
        "check-deadline",
        "spec.checkTemplate.activeDeadlineSeconds",
        {"checkTemplate.activeDeadlineSeconds": 1200, "strategy.deadlines.checkSeconds": 1200},
        {"strategy.deadlines.checkSeconds": 599},
    ),
    of(
        "slo-one-of",
        "spec.slos[0]",
        slo(),
        slo(latency={"thresholdMilliseconds": 100}),
    ),
    of(
        "slo-one-of",
        "spec.slos[0]",
        {"slos": [{"name": "a", "objective": "95", "latency": {"thresholdMilliseconds": 100}}]},
        {"slos": [{"name": "a", "objective": "95"}]},
    ),
    of("slo-objective", "spec.slos[0].objective", slo(objective="0.1"), slo(objective="0")),
    of("slo-objective", "spec.slos[0].objective", slo(objective="99.9999"), slo(objective="100")),
    of("slo-operation", "spec.slos", OPERATIONS | slo(operation="query"), slo(operation="query")),
    of("names-shared", "spec.slos", slo(name="latency"), slo(name="parity")),
    of(
        "names-shared",
        "spec.slos",
        slo(name="parity") | {"checks": [{"name": "b", "contract": {}}]},
        slo(name="b") | {"checks": [{"name": "b", "contract": {}}]},
    ),
    *(
        of(
            f"{verb}-rejected",
            f"spec.override.{verb}",
            {
                "override": {
                    verb: {"revision": R1, "reason": WHY},
                    "rejected": [{"revision": R2, "reason": WHY}],
                }
            },
            {
                "override": {
                    verb: {"revision": R1, "reason": WHY},
                    "rejected": [{"revision": R1, "reason": WHY}],
                }
            },
        )
        for verb in ("pinned", "forced")
    ),
)
