"""The Job of a retrieval check, and what its answer without a reference means."""

import json
from typing import Any

import pytest

from canary_checks import result
from modelrelease.checks import jobs, results, subjects
from modelrelease.core import portions
from tests.unit.checks import given

GATES = [
    {"metric": "RecallAtK", "min": "0.8", "maxDrop": "0.02"},
    {"metric": "PrecisionAtK", "minRatio": "0.9"},
]


def run(**retrieval: Any) -> Any:
    return given.run(
        goldenSets=[{"name": "judged", "volume": {"configMap": {"name": "golden-v3"}}}],
        checks=[{"name": "recall", "retrieval": {"goldenSet": "judged", **retrieval}}],
    )


def job(known: int = 1, **retrieval: Any) -> dict[str, Any]:
    against = subjects.Opponents((given.recorded(),)[:known])
    found = jobs.render(given.subject("recall", run(**retrieval)), against, jobs.Settings("checks:1"))
    found["metadata"]["uid"] = "job-uid"
    return found


def test_a_request_names_the_metrics_with_their_number_of_documents():
    rendered = job(k=5, gates=GATES, queryOperation="embeddings")
    (container,) = rendered["spec"]["template"]["spec"]["containers"]
    text = next(e["value"] for e in container["env"] if e["name"] == "MODELRELEASE_CHECK_REQUEST")
    asked = json.loads(text)
    result.CheckRequest.model_validate_json(text, by_alias=True, by_name=False)
    assert asked["check"]["kind"] == "Retrieval"
    assert asked["retrieval"] == {"k": [5], "queryOperation": "embeddings"}
    assert asked["gates"] == [
        {"metric": "RecallAt5", "min": "0.8", "maxDrop": "0.02"},
        {"metric": "PrecisionAt5", "minRatio": "0.9"},
    ]
    assert (asked["shards"], asked["record"], asked["goldenSet"]) == (1, False, {"path": "/golden"})
    assert [known["role"] for known in asked["references"]] == ["Stable"]


def test_the_towers_of_one_space_are_asked_by_one_job():
    towers = [
        {"name": "text", "protocol": "OpenAIEmbeddings"},
        {"name": "image", "protocol": "OpenAIEmbeddings", "modality": "Image"},
    ]
    declared = given.run(
        endpoint={"operations": towers},
        goldenSets=[{"name": "judged", "volume": {"configMap": {"name": "golden-v3"}}}],
        checks=[{"name": "recall", "retrieval": {"goldenSet": "judged"}}],
    )
    judging = declared.spec.judging
    (only,) = portions.portions(judging, judging.checks[0])
    assert [operation.name for operation in only.operations] == ["text", "image"]
    assert only.shards == 1


@pytest.mark.parametrize(
    ("gates", "known", "verdict", "skipped"),
    [
        ([], 0, "NoData", True),
        ([], 1, "NoData", False),
        ([], 0, "Error", False),
        (GATES[1:], 0, "NoData", True),
        (GATES[:1], 0, "NoData", False),
        (GATES[:1], 0, "Pass", False),
    ],
)
def test_without_a_reference_only_a_check_that_compares_is_skipped(
    gates: list[dict[str, str]], known: int, verdict: str, *, skipped: bool
):
    said = given.answered("recall", verdict=verdict, gates=[] if verdict != "Pass" else GATE)
    pod = given.pod(given.ended(result.dump(said)))
    (found,) = results.read(run(gates=gates), given.RUN_UID, [job(known, gates=gates)], [pod])
    assert found.skipped is skipped


GATE = [
    {
        "metric": "RecallAt10",
        "verdict": "Pass",
        "observed": 0.9,
        "operator": ">=",
        "limit": 0.8,
        "basis": "Declared",
        "samples": 200,
    }
]
