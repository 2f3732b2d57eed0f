"""One good and one bad manifest for each rule and place, for the linter and for a real API server."""

import copy
import dataclasses
import itertools
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


METRIC: dict[str, Any] = {"metric": "x_total"}
RATIO: dict[str, Any] = {"total": METRIC, "bad": METRIC | {"labels": [{"label": "a", "values": ["b"]}]}}
PODS = 'sum by (pod) (x_total{pod=~"$pods"})'
TRITON = {"endpoint": {"protocol": "OpenAIEmbeddings", "runtime": "Triton"}}


def timed(**changes: Any) -> dict[str, Any]:
    return {"slos": [{"name": "a", "objective": "95", "latency": {"thresholdMilliseconds": 100}} | changes]}


def own_series(kind: str, series: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    return {"slos": [{"name": "a", "objective": "99", "prometheus": {kind: series}} | changes]}


def searched(**retrieval: Any) -> dict[str, Any]:
    return GOLDEN | {"checks": [{"name": "a", "retrieval": {"goldenSet": "judged", **retrieval}}]}


GOLDEN = {"goldenSets": [{"name": "judged", "volume": {"configMap": {"name": "golden-v3"}}}]}
TWO_OPERATIONS = {
    "endpoint": {"operations": [{"name": n, "protocol": "OpenAIEmbeddings"} for n in ("query", "embeddings")]}
}
PVC = {"uri": "pvc://models/bge/3", "digest": "sha256:" + "a" * 64}
PULLED = {"uri": "hf://BAAI/bge-m3@" + "b" * 40}
IMAGE = "registry.example.test/golden/clip@sha256:" + "c" * 64


def model(**changes: Any) -> dict[str, Any]:
    return {"model": {"version": "1", **changes}}


def operation(protocol: str, **more: Any) -> dict[str, Any]:
    return {"endpoint": {"operations": [{"name": "a", "protocol": protocol, **more}]}}


def golden(**volume: Any) -> dict[str, Any]:
    return {"goldenSets": [{"name": "judged", "volume": volume}]}


def own(kind: str = "job", **settings: Any) -> dict[str, Any]:
    """A check of the team's own."""
    least = {"image": "example.test/check:1"} if kind == "job" else WEBHOOK
    return {"checks": [{"name": "a", "custom": {kind: {**least, **settings}}}]}


def load(**settings: Any) -> dict[str, Any]:
    """A performance check."""
    return {"checks": [{"name": "a", "performance": settings}]}


def limit(metric: str, **limits: str) -> dict[str, Any]:
    return load(gates=[{"metric": metric, **limits}], cost={"pricePerGpuHour": "2.50"}, soak={}) | SOAKING


def mount(**changes: Any) -> dict[str, Any]:
    return own(mounts=[{"path": "/data", "volume": {"configMap": {"name": "data"}}} | changes])


def drawn(*operations: Mapping[str, Any], **fidelity: Any) -> dict[str, Any]:
    """A release of a generator, with a fidelity check where its settings are given."""
    said = {"endpoint": {"operations": [{"protocol": "OpenAIImages", **one} for one in operations]}}
    return said | ({"checks": [{"name": "a", "fidelity": fidelity}]} if fidelity else {})


def inside(**settings: Any) -> dict[str, Any]:
    """A check of what happens inside a model whose files are mounted."""
    return model(artifact=PVC) | {"checks": [{"name": "a", "internals": settings}]}


def swept(**lists: Any) -> dict[str, Any]:
    return inside(sweep=lists)


CHAIN = ("draft", "b", "c", "d", "e")
DRAFT, REFINE = {"name": "draft"}, {"name": "refine", "after": "draft"}
ELSEWHERE = DRAFT | {"via": {"serviceName": "draft", "port": 80}}
VECTORS = {"name": "vectors", "protocol": "OpenAIEmbeddings"}
SOAKING = {"checkTemplate": {"activeDeadlineSeconds": 1800}}
WEBHOOK = {"url": "https://quality.example.test/check", "signingKeyRef": {"name": "quality", "key": "key"}}
KEY = {"name": "quality", "key": "token"}
PROBE = {"tokenSecret": {"name": "probe", "key": "token"}}


def probed(**changes: Any) -> dict[str, Any]:
    """A release with a probe endpoint, or with the changes of it that are named ``probe``."""
    more = changes.pop("probe", {})
    return {"endpoint": {"protocol": "OpenAIEmbeddings", "probe": PROBE | more}} | changes


def told(kind: str, *operations: Mapping[str, Any]) -> dict[str, Any]:
    """A generator that tells what it draws with, and one check of it."""
    said = drawn(*operations)
    return {"endpoint": said["endpoint"] | {"probe": PROBE}, "checks": [{"name": "a", kind: {}}]}


def drawing_with(**generation: Any) -> dict[str, Any]:
    return told("contract", DRAFT) | model(contract={"generation": generation})


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
    of("probe-port", "spec.endpoint.probe.port", probed(), probed(probe={"port": "probe"})),
    of(
        "contract-probe",
        "spec.model.contract",
        probed(**model(contract={"preprocess": {"lowercase": True, "mean": ["0.5", "0.5", "0.5"]}})),
        model(contract={"preprocess": {"lowercase": True}}),
    ),
    of(
        "contract-probe",
        "spec.model.contract",
        probed(**model(contract={"environment": {"packages.torch": "2.13.0"}})),
        model(contract={"environment": {"packages.torch": "2.13.0"}}),
    ),
    of(
        "contract-probe",
        "spec.model.contract",
        drawing_with(
            steps=30,
            guidanceScale="7.5",
            adapters=[{"name": "brand", "active": True}],
            latent={"channels": 4},
            components={"scheduler": {"class": "EulerDiscreteScheduler", "beta_start": "0.00085"}},
        ),
        model(contract={"generation": {"steps": 30}}),
    ),
    of(
        "contract-components",
        "spec.model.contract.generation.components",
        drawing_with(components={"a" * 63: {"b" * 63: ""}}),
        drawing_with(components={"vae": {"b" * 64: "1"}}),
    ),
    of(
        "contract-components",
        "spec.model.contract.generation.components",
        drawing_with(components={"vae": {"class": "AutoencoderKL"}}),
        drawing_with(components={"": {"class": "AutoencoderKL"}}),
    ),
    of(
        "contract-names",
        "spec.model.contract.generation.other",
        drawing_with(other={"refiner.steps": "5"}),
        drawing_with(other={"": "5"}),
    ),
    of(
        "contract-names",
        "spec.model.contract.environment",
        probed(**model(contract={"environment": {"a" * 128: "1"}})),
        probed(**model(contract={"environment": {"a" * 129: "1"}})),
    ),
    of(
        "contract-names",
        "spec.model.contract.preprocess.other",
        probed(**model(contract={"preprocess": {"other": {"dropout": "0"}}})),
        probed(**model(contract={"preprocess": {"other": {"": "0"}}})),
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
        for kind in ("embeddingParity", "contract", "repeatability", "retrieval")
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
    *(
        of(
            "retrieval-limits",
            "spec.checks[0].retrieval.gates[0]",
            searched(gates=[{"metric": "RecallAtK", **good}]),
            searched(gates=[{"metric": "RecallAtK", **bad}]),
        )
        for good, bad in (
            ({"min": "0.9", "minRatio": "1"}, {"minRatio": "0.9", "maxDrop": "0.1"}),
            ({"min": "0"}, {}),
            ({"maxDrop": "0.02"}, {"maxDrop": "2"}),
            ({"min": "0.5", "maxDrop": "0"}, {"min": "-0.5"}),
        )
    ),
    of(
        "retrieval-query-operation",
        "spec.checks",
        OPERATIONS | searched(queryOperation="query", operations=["query"]),
        OPERATIONS | searched(queryOperation="passage"),
    ),
    of(
        "retrieval-query-operation",
        "spec.checks",
        searched(queryOperation="embeddings"),
        searched(queryOperation="embeddings", operations=["query"]) | TWO_OPERATIONS,
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
    of("slo-latency-runtime", "spec.slos", TRITON | timed(runtime="Istio"), TRITON | timed()),
    of(
        "slo-availability-runtime",
        "spec.slos",
        {"endpoint": {"protocol": "OpenAIEmbeddings", "runtime": "KServe"}} | timed(),
        slo(runtime="KServe"),
    ),
    of(
        "slo-own-series",
        "spec.slos[0].prometheus",
        own_series("ratio", RATIO),
        own_series("ratio", RATIO, runtime="Istio"),
    ),
    of(
        "series-one-of",
        "spec.slos[0].prometheus",
        own_series("ratio", RATIO),
        own_series("ratio", RATIO, prometheus={"ratio": RATIO, "queries": {"total": PODS, "bad": PODS}}),
    ),
    of(
        "ratio-pair",
        "spec.slos[0].prometheus.ratio",
        own_series("ratio", RATIO),
        own_series("ratio", {"total": METRIC}),
    ),
    of(
        "ratio-absent",
        "spec.slos[0].prometheus.ratio.whenAbsent",
        own_series("ratio", RATIO | {"whenAbsent": "Zero"}),
        own_series("ratio", {"total": METRIC, "good": METRIC, "whenAbsent": "Zero"}),
    ),
    of(
        "threshold-bound",
        "spec.slos[0].prometheus.threshold",
        own_series("threshold", METRIC | {"max": "5"}),
        own_series("threshold", METRIC | {"max": "5", "min": "1"}),
    ),
    *(
        of(
            "query-pods",
            f"spec.slos[0].prometheus.queries.{field}",
            own_series("queries", {"total": PODS, "bad": PODS}),
            own_series("queries", {"total": PODS, "bad": PODS} | {field: "x{pod=~'$pods'}"}),
        )
        for field in ("total", "bad")
    ),
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
    of("custom-one-of", "spec.checks[0].custom", own(), {"checks": [{"name": "a", "custom": {}}]}),
    of(
        "custom-one-of",
        "spec.checks[0].custom",
        own("webhook"),
        {"checks": [{"name": "a", "custom": own()["checks"][0]["custom"] | {"webhook": WEBHOOK}}]},
    ),
    of(
        "custom-variable",
        "spec.checks[0].custom.job.env[0]",
        own(env=[{"name": "A", "value": ""}, {"name": "B", "valueFrom": {"secretKeyRef": KEY}}]),
        own(env=[{"name": "A"}]),
    ),
    of(
        "custom-variable-source",
        "spec.checks[0].custom.job.env[0].valueFrom",
        own(env=[{"name": "A", "valueFrom": {"configMapKeyRef": KEY}}]),
        own(env=[{"name": "A", "valueFrom": {"configMapKeyRef": KEY, "secretKeyRef": KEY}}]),
    ),
    of(
        "custom-variable-name",
        "spec.checks[0].custom.job.env[0].name",
        own(env=[{"name": "MODEL", "value": "$(MODELRELEASE_URL)"}]),
        own(env=[{"name": "MODELRELEASE_URL", "value": "http://elsewhere"}]),
    ),
    of("custom-mount-path", "spec.checks[0].custom.job.mounts[0].path", mount(), mount(path="/golden")),
    of(
        "custom-mount-path",
        "spec.checks[0].custom.job.mounts[0].path",
        mount(path="/development"),
        mount(path="/proc/data"),
    ),
    of(
        "golden-set-one-of",
        "spec.checks[0].custom.job.mounts[0].volume",
        mount(volume={"secret": {"secretName": "data"}}),
        mount(volume={}),
    ),
    of(
        "golden-set-image",
        "spec.checks[0].custom.job.mounts[0].volume.image.reference",
        mount(volume={"image": {"reference": IMAGE}}),
        mount(volume={"image": {"reference": "example.test/data:1"}}),
    ),
    of(
        "custom-golden-set",
        "spec.checks",
        GOLDEN | own(goldenSet="judged"),
        GOLDEN | own(goldenSet="jugded"),
    ),
    of(
        "custom-url",
        "spec.checks[0].custom.webhook.url",
        own("webhook", url="http://quality.search:8080/check?to=a@b"),
        own("webhook", url="https://user:word@quality.example.test/check"),
    ),
    of(
        "check-own-deadline",
        "spec.checks",
        {"checks": [{"name": "a", "contract": {}, "deadlineSeconds": 3600}]},
        {"checks": [{"name": "a", "contract": {}, "deadlineSeconds": 3601}]},
    ),
    of(
        "check-operations",
        "spec.checks",
        {"checks": [{"name": "a", "custom": {"webhook": WEBHOOK, "operations": ["embeddings"]}}]},
        {"checks": [{"name": "a", "custom": {"webhook": WEBHOOK, "operations": ["query"]}}]},
    ),
    *(
        of(
            "performance-limits",
            "spec.checks[0].performance.gates[0]",
            limit(metric, **good),
            limit(metric, **bad),
        )
        for metric, good, bad in (
            ("LatencyP95Milliseconds", {"max": "300", "maxRatio": "1.25"}, {}),
            ("LatencyP99Milliseconds", {"maxRatio": "1.5"}, {"max": "300", "min": "1"}),
            ("ThroughputPerSecond", {"min": "40", "minRatio": "0.9"}, {"max": "40"}),
            ("ThroughputPerSecond", {"minRatio": "0.9"}, {"minRatio": "0.9", "maxRatio": "1.1"}),
            ("GpuSecondsPerInference", {"maxRatio": "1.2"}, {"minRatio": "0.9"}),
            ("StepsPerImage", {"maxRatio": "1"}, {"min": "20"}),
            ("PricePerInference", {"max": "0.01"}, {"maxRatio": "2"}),
            ("MemoryGrowthSharePerHour", {"max": "0.02"}, {"max": "0.02", "maxRatio": "2"}),
        )
    ),
    of(
        "performance-arrivals",
        "spec.checks[0].performance.requestsPerSecond",
        load(arrivals="Poisson", requestsPerSecond="12.5"),
        load(arrivals="Poisson", requestsPerSecond="0"),
    ),
    of(
        "performance-arrivals",
        "spec.checks[0].performance.requestsPerSecond",
        load(arrivals="Closed", concurrency=8),
        load(requestsPerSecond="12.5"),
    ),
    of(
        "performance-mix",
        "spec.checks[0].performance.mix",
        load(mix=[{"upTo": 128, "share": "0.7"}, {"upTo": 4096, "share": "0.3"}]),
        load(mix=[{"upTo": 128, "share": "0.7"}, {"upTo": 4096, "share": "0.299999999"}]),
    ),
    of(
        "performance-mix",
        "spec.checks[0].performance.mix",
        load(mix=[{"upTo": 128, "share": "1"}]),
        load(mix=[{"upTo": 4096, "share": "0.3"}, {"upTo": 128, "share": "0.7"}]),
    ),
    of(
        "performance-price",
        "spec.checks[0].performance.gates",
        limit("PricePerInference", max="0.01"),
        load(gates=[{"metric": "PricePerInference", "max": "0.01"}]),
    ),
    *(
        of(
            "performance-accelerator",
            "spec.checks[0].performance.accelerator.gates[0]",
            load(accelerator={"gates": [{"metric": metric, **good}]}),
            load(accelerator={"gates": [{"metric": metric, **bad}]}),
        )
        for metric, good, bad in (
            ("GpuUtilizationPercent", {"min": "40", "max": "95"}, {}),
            ("GpuMemoryGrowthSharePerHour", {"max": "0.01"}, {"min": "0.01"}),
        )
    ),
    of(
        "performance-live-sizes",
        "spec.checks[0].performance.live.sizes.charactersPerToken",
        load(live={"sizes": {"metric": "vllm:request_prompt_tokens", "unit": "Tokens"}}),
        load(live={"sizes": {"metric": "prompt_tokens", "unit": "Tokens", "charactersPerToken": "0"}}),
    ),
    of(
        "performance-soak",
        "spec.checks[0].performance.gates",
        limit("MemoryGrowthSharePerHour", max="0.01"),
        load(gates=[{"metric": "MemoryGrowthSharePerHour", "max": "0.01"}]),
    ),
    of(
        "performance-deadline",
        "spec.checks",
        {"checks": [{"name": "a", "deadlineSeconds": 335, "performance": {"durationSeconds": 300}}]},
        {"checks": [{"name": "a", "deadlineSeconds": 334, "performance": {"durationSeconds": 300}}]},
    ),
    of("performance-deadline", "spec.checks", load(soak={}) | SOAKING, load(soak={})),
    of(
        "check-golden-set",
        "spec.checks",
        GOLDEN | load(goldenSet="judged"),
        GOLDEN | load(goldenSet="jugded"),
    ),
    of(
        "operation-generic",
        "spec.endpoint.operations[0]",
        operation("GenericJSON", path="/draw", body={"prompt": "$input"}, images="$.image"),
        operation("GenericJSON", **GENERIC, images="$.image"),
    ),
    of(
        "endpoint-images",
        "spec.endpoint.protocol",
        {"endpoint": {"protocol": "OpenAIEmbeddings"}},
        {"endpoint": {"protocol": "OpenAIImages"}},
    ),
    of(
        "endpoint-images",
        "spec.endpoint.protocol",
        {"endpoint": {"protocol": "OpenAIEmbeddings"}},
        {"endpoint": {"protocol": "OpenInferenceV2Images"}},
    ),
    of(
        "operation-draws",
        "spec.endpoint.operations[0]",
        operation("OpenInferenceV2Images", model="sd", via={"port": 8001}, binary=True),
        operation("OpenInferenceV2Images", model="sd", modality="Image"),
    ),
    of(
        "operation-model",
        "spec.endpoint",
        operation("OpenInferenceV2Images", model="sd"),
        operation("OpenInferenceV2Images"),
    ),
    of(
        "operation-draws",
        "spec.endpoint.operations[0]",
        operation("OpenAIImages", via={"port": 8001}, imageHosts=["files.shop:8080"]),
        operation("OpenAIEmbeddings", via={"port": 8001}),
    ),
    of(
        "operation-draws",
        "spec.endpoint.operations[0]",
        operation("OpenAIImages", extraBody={"quality": "high"}),
        operation("OpenAIImages", modality="Image"),
    ),
    of(
        "operation-draws",
        "spec.endpoint.operations[1]",
        drawn(DRAFT, {"name": "b", "protocol": "GenericJSON", **GENERIC}),
        drawn(DRAFT, {"name": "b", "protocol": "GenericJSON", **GENERIC, "after": "draft"}),
    ),
    *(
        of("operation-after", "spec.endpoint.operations", drawn(REFINE, DRAFT, *more), drawn(*bad))
        for more, bad in (
            ([{"name": "c", "after": "refine"}, {"name": "d", "after": "c"}], [REFINE]),
            ([], [REFINE | {"after": "refine"}]),
            ([], [REFINE, DRAFT | {"after": "refine"}]),
            ([], [VECTORS | DRAFT, REFINE]),
            ([], [DRAFT, *({"name": b, "after": a} for a, b in itertools.pairwise(CHAIN))]),
        )
    ),
    of(
        "operation-of-the-pod",
        "spec.endpoint.operations",
        drawn(ELSEWHERE, REFINE),
        drawn(ELSEWHERE, REFINE | {"via": {"serviceName": "refine", "port": 80}}),
    ),
    of(
        "check-of-the-pod",
        "spec.checks",
        drawn(ELSEWHERE, REFINE, operations=["draft", "refine"]),
        drawn(ELSEWHERE, REFINE, operations=["draft"]),
    ),
    *(
        of(
            "fidelity-limits",
            "spec.checks[0].fidelity.gates[0]",
            drawn(DRAFT, gates=[{"metric": metric, **good}]),
            drawn(DRAFT, gates=[{"metric": metric, **bad}]),
        )
        for metric, good, bad in (
            ("TextFidelity", {"min": "0.9", "maxDrop": "0.03"}, {}),
            ("CharacterErrorRate", {"maxRise": "0.02"}, {"maxDrop": "0.02"}),
            ("UniqueLevels", {"minRatio": "0.95"}, {"minRatio": "0.95", "max": "1"}),
            ("PromptDistance", {"maxRatio": "2"}, {"minRatio": "2"}),
            ("RefusedPrompts", {"max": "1"}, {"min": "1"}),
        )
    ),
    of(
        "fidelity-draws",
        "spec.checks",
        drawn(DRAFT, VECTORS, operations=["draft"]),
        drawn(DRAFT, VECTORS, operations=["vectors"]),
    ),
    of("fidelity-draws", "spec.checks", drawn(DRAFT, gates=[]), drawn(VECTORS, gates=[])),
    of(
        "fidelity-draws",
        "spec.checks",
        drawn(DRAFT, VECTORS) | {"checks": [{"name": "a", "operation": "draft", "fidelity": {}}]},
        {"checks": [{"name": "a", "fidelity": {}}]},
    ),
    *(
        of(
            "check-vectors",
            "spec.checks",
            drawn(DRAFT, VECTORS) | {"checks": [{"name": "a", kind: {"operations": ["vectors"]}}]},
            drawn(DRAFT, VECTORS) | {"checks": [{"name": "a", kind: {"operations": ["draft"]}}]},
        )
        for kind in ("embeddingParity", "contract", "repeatability")
    ),
    of(
        "check-vectors",
        "spec.checks",
        drawn(DRAFT, VECTORS) | {"checks": [{"name": "a", "contract": {}}]},
        drawn(DRAFT) | {"checks": [{"name": "a", "contract": {}}]},
    ),
    of("check-vectors", "spec.checks", told("contract", DRAFT), told("embeddingParity", DRAFT)),
    of(
        "check-vectors",
        "spec.checks",
        GOLDEN | drawn(DRAFT, VECTORS) | searched(),
        GOLDEN | drawn(DRAFT) | searched(),
    ),
    of(
        "check-golden-set",
        "spec.checks",
        GOLDEN | drawn(DRAFT, goldenSet="judged"),
        GOLDEN | drawn(DRAFT, goldenSet="jugded"),
    ),
    of(
        "check-golden-set",
        "spec.checks",
        GOLDEN | inside(goldenSet="judged"),
        GOLDEN | inside(goldenSet="jugded"),
    ),
    of("internals-artifact", "spec.checks", inside(), inside() | model()),
    of("internals-artifact", "spec.checks", inside(), inside() | model(artifact=PULLED)),
    of(
        "internals-operation",
        "spec.checks[0].operation",
        inside(),
        inside() | {"checks": [{"name": "a", "operation": "embeddings", "internals": {}}]},
    ),
    *(
        of(
            "internals-pipeline",
            "spec.checks[0].internals.library",
            inside(**pipeline),
            inside(library="Transformers", **pipeline),
        )
        for pipeline in (
            {"scheduler": "DDIMScheduler"},
            {"steps": 20},
            {"guidance": "7.5"},
            {"sweep": {"steps": [4, 8]}},
        )
    ),
    of(
        "internals-guidance",
        "spec.checks[0].internals.guidance",
        inside(guidance="100"),
        inside(guidance="100.5"),
    ),
    of(
        "internals-guidance",
        "spec.checks[0].internals.sweep.guidance[1]",
        swept(guidance=["0", "7.5"]),
        swept(guidance=["0", "101"]),
    ),
    of("internals-sweep", "spec.checks[0].internals.sweep", swept(steps=[4, 8]), swept(steps=[4])),
    of("internals-sweep", "spec.checks[0].internals.sweep", swept(steps=[4, 8]), swept()),
    of(
        "internals-sweep",
        "spec.checks[0].internals.sweep",
        swept(steps=[1, 2, 3, 4, 5, 6, 7, 8], guidance=["1", "2", "3", "4", "5", "6", "7", "8"]),
        swept(
            schedulers=["DDIMScheduler", "PNDMScheduler"],
            steps=[1, 2, 3, 4, 5, 6, 7, 8],
            guidance=["1", "2", "3", "4", "5"],
        ),
    ),
    *(
        of(
            "internals-limits",
            "spec.checks[0].internals.gates[0]",
            inside(gates=[{"metric": metric, **good}]),
            inside(gates=[{"metric": metric, **bad}]),
        )
        for metric, good, bad in (
            ("DecoderPsnrDecibels", {"min": "35"}, {"max": "35"}),
            ("EntropyShiftMax", {"max": "0.02"}, {"min": "0.02"}),
            ("StageDistance", {"max": "0.1"}, {}),
            ("NonFinite", {"max": "0"}, {"max": "0", "min": "0"}),
        )
    ),
)
