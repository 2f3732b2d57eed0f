"""A performance check: the load as the checks understand it, and whose record it is compared with."""

import dataclasses
import json
import pathlib
import re
from typing import Any, get_args

import pytest
import yaml

from canary_checks import request as check_request
from canary_checks import result
from canary_checks.performance import replay
from modelrelease.api import lint
from modelrelease.api import performance as api_performance
from modelrelease.api import run as api_run
from modelrelease.checks import evidence, jobs, subjects
from modelrelease.core import observation, references
from tests.unit.api import rule_cases
from tests.unit.checks import given

LOAD = {
    "arrivals": "Poisson",
    "requestsPerSecond": "12.5",
    "concurrency": 8,
    "durationSeconds": 300,
    "mix": [{"upTo": 128, "share": "0.7"}, {"upTo": 4096, "share": "0.3"}],
    "cost": {"pricePerGpuHour": "2.50", "currency": "EUR", "requestsPerSecond": "40"},
    "soak": {"metricsPort": 9090},
    "gates": [
        {"metric": "LatencyP95Milliseconds", "max": "300", "maxRatio": "1.25"},
        {"metric": "ThroughputPerSecond", "minRatio": "0.9"},
    ],
}
STABLE = "r00000000aa"


def run(load: dict[str, Any], **more: Any) -> observation.Run:
    checks = [
        {"name": "speed", "deadlineSeconds": 1800, "performance": load},
        {"name": "parity", "embeddingParity": {}},
    ]
    return given.run(checks=checks, **more)


def rendered(load: dict[str, Any], against: subjects.Opponents | None = None) -> dict[str, Any]:
    pod = dataclasses.replace(given.POD, accelerator="NVIDIA-L4", gpus=2)
    subject = dataclasses.replace(given.subject("speed", run(load)), pod=pod)
    return jobs.render(subject, against or subjects.Opponents(), jobs.Settings("checks:1"))


def asked(job: dict[str, Any]) -> check_request.CheckRequest:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (text,) = [entry["value"] for entry in container["env"] if entry["name"] == "MODELRELEASE_CHECK_REQUEST"]
    return check_request.CheckRequest.model_validate_json(text, by_alias=True, by_name=False)


def test_the_load_is_asked_as_the_manifest_says():
    job = rendered(LOAD)
    found = asked(job)
    load = found.performance
    assert load is not None
    assert (found.check.kind, found.record, found.live, found.max_requests_per_second) == (
        "Performance",
        True,
        None,
        None,
    )
    assert (load.arrivals, load.requests_per_second, load.concurrency) == ("Poisson", "12.5", 8)
    assert [(one.up_to, one.share) for one in load.mix] == [(128, "0.7"), (4096, "0.3")]
    assert load.price == replay.Price(per_gpu_hour="2.50", currency="EUR", requests_per_second="40")
    assert load.hardware == replay.Hardware(accelerator="NVIDIA-L4", gpus=2, servers=1)
    assert load.soak == replay.Soak(metrics_port=9090)
    assert [(gate.metric, gate.limits()) for gate in found.gates] == [
        ("LatencyP95Milliseconds", {"max": 300.0, "maxRatio": 1.25}),
        ("ThroughputPerSecond", {"minRatio": 0.9}),
    ]
    assert (found.deadline_seconds, job["spec"]["activeDeadlineSeconds"]) == (1790, 1800)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"]["cpu"] == "500m"


def test_without_settings_the_defaults_are_those_of_the_checks():
    load = asked(rendered({})).performance
    assert load == replay.Performance(hardware=replay.Hardware(accelerator="NVIDIA-L4", gpus=2))


def test_the_api_knows_the_metrics_and_limits_of_the_checks():
    metrics = {metric.value: metric for metric in api_performance.PerformanceMetric}
    assert set(metrics) == set(replay.LIMITS)
    for name, limits in replay.LIMITS.items():
        side = "min" if metrics[name] in api_performance.AT_LEAST else "max"
        ratio = {f"{side}Ratio"} if metrics[name] in api_performance.COMPARED else set()
        assert limits == {side} | ratio, name
    (pattern,) = (part.pattern for part in get_args(replay.Positive) if hasattr(part, "pattern"))
    assert pattern == api_performance.base.POSITIVE_DECIMAL


# --- Whom it is compared with -------------------------------------------------------------------------------


def test_the_page_shows_what_is_valid():
    text = (pathlib.Path(__file__).parents[3] / "docs" / "checks" / "performance.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    whole = [block if "checks" in block else {"checks": [{"name": "speed"} | block]} for block in blocks]
    assert len(whole) == 3
    for block in whole:
        found = lint.lint(rule_cases.release(block))
        assert [one for one in found if one.severity is lint.Severity.ERROR] == []


def terms(load: dict[str, Any]) -> str:
    of = run(load)
    return references.terms(of, given.check("speed", of))


def reference(load: dict[str, Any] | None = None, **more: Any) -> api_run.Reference:
    said = {"configMap": "c", "digest": given.DIGEST, "check": "speed", **more}
    return api_run.Reference.model_validate(said | ({"terms": terms(load)} if load is not None else {}))


def compared(
    check: str, *outputs: api_run.Reference, load: dict[str, Any] | None = None, space: str = "space"
) -> tuple[list[str], bool]:
    of = run(load or LOAD)
    pod = observation.Pod("stable-pod", "uid", STABLE, ready=True, ip="10.0.0.9", port=8000)
    observed = observation.Observation(
        release=None,  # type: ignore[arg-type]
        revisions={
            given.REVISION: observation.Revision(given.REVISION, embedding_space="space"),
            STABLE: observation.Revision(STABLE, embedding_space=space, outputs=outputs, pods=(pod,)),
        },
        traffic=observation.Traffic(observation.Selects.NOTHING),
    )
    found = references.recorded(observed, of, given.check(check, of))
    return [known.role.value for known in found], references.asks_stable(observed, of, given.check(check, of))


CHEAPER = LOAD | {"cost": {"pricePerGpuHour": "1"}, "gates": [], "durationSeconds": 60}
FASTER = LOAD | {"requestsPerSecond": "25"}


@pytest.mark.parametrize(
    ("outputs", "roles"),
    [
        ((), []),
        ((reference(LOAD),), ["Stable"]),
        ((reference(CHEAPER),), ["Stable"]),
        ((reference(FASTER),), []),
        ((reference(LOAD, check="other"),), []),
        ((reference(),), []),
    ],
    ids=["no record", "this load", "the price is no load", "another load", "another check's", "outputs"],
)
def test_stables_record_of_the_same_load_is_the_reference_and_live_stable_never(
    outputs: tuple[api_run.Reference, ...], roles: list[str]
):
    assert compared("speed", *outputs) == (roles, False)
    assert compared("speed", *outputs, space="other") == (roles, False), "a pace has no vector space"


def test_other_inputs_are_another_load():
    def inputs(golden: str) -> str:
        sets = {"goldenSets": [{"name": "judged", "volume": {"configMap": {"name": golden}}}]}
        of = run(LOAD | {"goldenSet": "judged"}, **sets)
        return references.terms(of, given.check("speed", of))

    assert inputs("golden-v3") == inputs("golden-v3")
    assert len({inputs("golden-v3"), inputs("golden-v4"), terms(LOAD)}) == 3


def test_a_record_of_performance_is_none_of_outputs():
    assert compared("parity", reference(LOAD, check="parity")) == ([], True)


def test_a_record_is_stored_with_its_load():
    job = rendered(LOAD)
    job["metadata"]["uid"] = "job-uid"
    content = b"a record"
    told = {
        "schema": "checks.modelrelease.dev/v1",
        "check": {"name": "speed", "kind": "Performance", "configDigest": given.DIGEST},
        "verdict": "Error",
        "gates": [],
    }
    said = given.answered("speed", **told)
    found = result.Evidence(
        result=said,
        reference=result.ReferencePayload(digest=result.digest(content), safetensors="YSByZWNvcmQ="),
    )
    text = result.dump(found)
    owner = {"apiVersion": "v1", "kind": "ModelRelease", "name": "embedder", "uid": "u"}
    due = evidence.Due(job, "pod", result.digest(text.encode()), given.TIME)
    plan = evidence.keeping(due, result.EVIDENCE_PREFIX + text, owner, given.REVISION)
    kept = api_run.Reference.model_validate(json.loads(plan.annotations[evidence.OUTPUTS]))
    assert (kept.terms, kept.digest) == (terms(LOAD), result.digest(content))
    job = given.job("parity")
    assert "modelrelease.dev/terms" not in job["metadata"]["annotations"]
