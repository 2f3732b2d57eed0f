import dataclasses
from typing import Any

import pytest

from canary_checks import result
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.checks import evidence, jobs, results, subjects
from modelrelease.core import observation
from tests.unit.checks import given

KEPT = {"evidence": {"digest": given.DIGEST, "sizeBytes": 10, "truncated": False}}
FAILED = {"type": "Failed", "status": "True"}


def part(job: dict[str, Any], *pods: dict[str, Any]) -> observation.CheckPart:
    (found,) = results.read(given.run(), given.RUN_UID, [job], list(pods))
    return found


def message(**more: Any) -> str:
    return result.dump(given.answered(**more))


def test_an_answer_decides_and_explains():
    failing = {
        "metric": "NormDeviationWorst",
        "verdict": "Fail",
        "observed": 10.94,
        "operator": "<=",
        "limit": 0.002,
        "basis": "ClassFloor",
        "samples": 216,
        "against": "Anchor",
    }
    passing = given.answered().gates[0].model_dump(mode="json", by_alias=True)
    text = message(
        verdict="Fail",
        reason="NormMismatch",
        message="longer",
        gates=[passing, failing],
        diagnosis={"cause": "NotNormalised", "confidence": "Proven"},
        strata=[{"name": "image", "items": 9, "failed": 9}, {"name": "text", "items": 9, "failed": 0}],
    )
    found = part(given.job(), given.pod(given.ended(text)))
    assert found == observation.CheckPart(
        check="parity",
        attempt=1,
        pod_uid="pod-uid",
        finished=True,
        verdict=Verdict.FAIL,
        reason="NormMismatch",
        message="longer",
        nonce=subjects.nonce(given.RUN_UID, "parity", 1, "pod-uid"),
        diagnosis=api_run.Diagnosis(cause="NotNormalised", confidence="Proven"),
        gates=found.gates,
        strata=("image",),
        requests=27,
    )
    assert [(g.metric, g.observed, g.limit, g.against) for g in found.gates] == [
        ("NormDeviationWorst", "10.94", "0.002", "Anchor"),
        ("CosineDistanceWorst", "1e-06", "2e-05", "Stable"),
    ]


OTHER_POD = {"podUID": "other"}
OTHER_ATTEMPT = {"nonce": subjects.nonce(given.RUN_UID, "parity", 2, "pod-uid")}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (given.ended(""), "The check left no result."),
        (given.ended("rubbish"), "The result is not JSON."),
        (given.ended("{}"), "The result does not follow the schema"),
        (given.ended("x" * 4000), "more than the 3072 of a result"),
        (given.ended(message(**OTHER_ATTEMPT)), "nonce of another attempt"),
        (given.ended(message(**OTHER_POD)), "about another pod or check"),
        (given.ended(message(run="other")), "about another pod or check"),
        (given.ended("", 137, "OOMKilled"), "killed for its memory"),
        (given.ended("", 137, "Error"), "exit code 137"),
        (given.ended("invalid request: gates: no", 2, "Error"), "exit code 2"),
    ],
)
def test_what_can_not_be_believed_is_an_error(status: dict[str, Any], said: str):
    found = part(given.job(), given.pod(status))
    assert (found.finished, found.verdict, found.reason) == (True, Verdict.ERROR, "CheckNoResult")
    assert said in found.message
    assert len(found.message) <= 512


def test_a_verdict_stands_whatever_the_exit_code():
    assert part(given.job(), given.pod(given.ended(message(), 137, "Error"))).verdict is Verdict.PASS


WAITING = {
    "containerStatuses": [
        {"name": "check", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    ]
}
PENDING = {
    "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    ]
}


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, ""),
        (WAITING, "ImagePullBackOff: no such image"),
        (PENDING, "Unschedulable: 0/1 nodes"),
        ({"containerStatuses": [{"name": "check", "state": {"running": {}}}]}, ""),
    ],
)
def test_a_running_check_has_said_nothing(status: dict[str, Any], said: str):
    found = part(given.job(), given.pod(status))
    assert (found.finished, found.verdict, found.message) == (False, None, said)
    assert not part(given.job()).finished


@pytest.mark.parametrize(
    ("condition", "pods", "said"),
    [
        (FAILED | {"reason": "DeadlineExceeded"}, [], "did not end within 600 s"),
        (FAILED | {"reason": "DeadlineExceeded"}, [WAITING], "600 s: ImagePullBackOff"),
        (FAILED | {"reason": "BackoffLimitExceeded", "message": "backoff"}, [], "without a result: backoff"),
        ({"type": "Complete", "status": "True"}, [], "its pod is gone"),
    ],
)
def test_a_job_that_ended_without_an_answer(condition: dict[str, Any], pods: list[dict[str, Any]], said: str):
    job = given.job() | {"status": {"conditions": [condition]}}
    found = part(job, *(given.pod(status) for status in pods))
    assert (found.finished, found.verdict) == (True, Verdict.ERROR)
    assert said in found.message


EVICTED = {"conditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_an_evicted_pod_is_no_verdict_even_if_it_answered():
    gone = given.pod(EVICTED | given.ended(message()))
    assert not part(given.job(), gone).finished
    ended = given.job() | {"status": {"conditions": [FAILED]}}
    found = part(ended, gone)
    assert (found.finished, found.disrupted, found.verdict) == (True, True, None)


def test_the_pod_that_replaced_an_evicted_one_counts():
    gone = given.pod(EVICTED, created="2026-11-20T03:00:00Z", name="a")
    assert part(given.job(), gone, given.pod(given.ended(message()))).verdict is Verdict.PASS


def test_a_pod_of_another_job_is_not_looked_at():
    other = given.pod(given.ended(message()))
    other["metadata"]["ownerReferences"] = [{"uid": "another"}]
    assert not part(given.job(), other).finished


@pytest.mark.parametrize(("verdict", "skipped"), [("Pass", True), ("NoData", True), ("Fail", False)])
def test_parity_without_a_reference_compares_nothing(verdict: str, skipped: bool):
    gates = [given.answered().gates[0].model_dump(mode="json", by_alias=True) | {"verdict": verdict}]
    text = message(verdict=verdict, gates=[] if verdict == "NoData" else gates)
    found = part(given.job(known=0), given.pod(given.ended(text)))
    assert found.skipped is skipped
    assert not part(given.job("contract", known=0), given.pod(given.ended(""))).skipped


def test_a_part_is_finished_only_once_its_evidence_is_settled():
    job, pod = given.job(), given.pod(given.ended(message(**KEPT)))
    assert not part(job, pod).finished
    outputs = api_run.Reference(config_map="c", digest=given.DIGEST)
    said = {evidence.EVIDENCE: "kept", evidence.OUTPUTS: outputs.model_dump_json(by_alias=True)}
    job["metadata"]["annotations"] |= said
    found = part(job, pod)
    assert (found.finished, found.evidence, found.outputs) == (True, "kept", outputs)
    job["metadata"]["annotations"] |= {evidence.EVIDENCE: "", evidence.OUTPUTS: "junk"}
    found = part(job, pod)
    assert (found.finished, found.evidence, found.outputs) == (True, "", None)


def test_a_portions_answer_is_known_by_its_nonce():
    run = given.run(checks=[{"name": "parity", "embeddingParity": {"shards": 2}}])
    subject = dataclasses.replace(given.subject("parity", run), portion=1)
    job = jobs.render(subject, subjects.Opponents(), jobs.Settings("i"))
    job["metadata"]["uid"] = "job-uid"
    nonce = subjects.nonce(given.RUN_UID, "parity", 1, "pod-uid", 1)
    right, wrong = message(nonce=nonce, shard=1), message()
    (found,) = results.read(run, given.RUN_UID, [job], [given.pod(given.ended(right))])
    assert (found.portion, found.verdict) == (1, Verdict.PASS)
    (found,) = results.read(run, given.RUN_UID, [job], [given.pod(given.ended(wrong))])
    assert (found.portion, found.verdict) == (1, Verdict.ERROR)


def test_a_reference_from_the_golden_set_is_compared_with_although_none_was_mounted():
    shipped = [{"role": "Recorded", "revision": "training", "numericClass": "fp32"}]
    assert not part(given.job(known=0), given.pod(given.ended(message(references=shipped)))).skipped
