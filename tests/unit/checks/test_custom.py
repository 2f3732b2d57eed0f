"""A team's own check: what its container is told, and what is believed of what it leaves."""

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from canary_checks import result
from canary_checks.conformance import sample_server
from canary_checks.webhook import request as webhook_request
from modelrelease.api.verdict import Verdict
from modelrelease.checks import evidence, jobs, results, subjects
from modelrelease.core import observation, portions, references
from tests.unit.checks import given

GOLDEN = {"goldenSets": [{"name": "judged", "volume": {"configMap": {"name": "golden-v3"}}}]}
JOB = {"image": "example.test/quality:1"}
WEBHOOK = {"url": "https://quality.example.test/check", "signingKeyRef": {"name": "quality", "key": "key"}}


def run(custom: dict[str, Any], **more: Any) -> observation.Run:
    checks = [{"name": "quality", "deadlineSeconds": 120, "custom": custom}]
    return given.run(checks=checks, **more)


def rendered(of: observation.Run) -> dict[str, Any]:
    job = jobs.render(given.subject("quality", of), subjects.Opponents(), jobs.Settings("checks:1", "Always"))
    job["metadata"]["uid"] = "job-uid"
    return job


def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def variables(job: dict[str, Any]) -> dict[str, str]:
    """The environment as a container sees it, as far as its values are written out."""
    return {
        entry["name"]: entry["value"].replace("$$(", "$(")
        for entry in container(job)["env"]
        if "value" in entry
    }


def test_a_job_is_told_what_to_probe():
    of = run({"job": JOB | {"goldenSet": "judged"}}, **GOLDEN)
    job = rendered(of)
    said = variables(job)
    asked = result.Question.model_validate_json(said["MODELRELEASE_QUESTION"], by_alias=True, by_name=False)
    assert said["MODELRELEASE_URL"] == asked.url == "http://10.0.0.7:8000"
    assert (
        said["MODELRELEASE_NONCE"]
        == asked.answer.nonce
        == subjects.nonce(given.RUN_UID, "quality", 1, "pod-uid")
    )
    assert said["MODELRELEASE_CONFIG_DIGEST"] == asked.answer.check.config_digest
    assert said["MODELRELEASE_RUN"] == asked.answer.run == of.name
    assert (said["MODELRELEASE_REVISION"], said["MODELRELEASE_STABLE_REVISION"]) == (
        given.REVISION,
        "r00000000aa",
    )
    assert (said["MODELRELEASE_POD_NAME"], said["MODELRELEASE_ATTEMPT"]) == ("embedder-pod", "1")
    assert said["MODELRELEASE_DEADLINE_SECONDS"] == "110", "it can still say why"
    assert job["spec"]["activeDeadlineSeconds"] == 120
    assert (asked.release, asked.namespace, asked.model.served_name) == ("embedder", "shop", "bge")
    assert [operation["protocol"] for operation in asked.operations] == ["OpenAIEmbeddings"]
    assert said["MODELRELEASE_GOLDEN_SET"] == "/golden"
    mount = {"name": "golden", "mountPath": "/golden", "readOnly": True}
    assert mount in container(job)["volumeMounts"]
    assert (asked.answer.check.name, asked.answer.check.kind) == ("quality", "Job")


def test_a_job_is_hardened_like_ours_and_takes_what_the_manifest_says():
    env = [
        {"name": "TARGET", "value": "$(MODELRELEASE_URL)/v1"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "quality", "key": "token"}}},
    ]
    job = rendered(
        run(
            {
                "job": JOB
                | {
                    "command": ["/check"],
                    "args": ["--fast"],
                    "env": env,
                    "resources": {"limits": {"memory": "2Gi"}},
                    "mounts": [
                        {"path": "/data", "volume": {"persistentVolumeClaim": {"claimName": "data"}}},
                        {"path": "/more", "volume": {"secret": {"secretName": "more"}}},
                    ],
                    "runAsUser": 1000,
                }
            },
            checkTemplate={"serviceAccountName": "checker", "imagePullSecrets": ["registry"]},
        )
    )
    pod, own = job["spec"]["template"]["spec"], container(job)
    assert (own["image"], own["command"], own["args"]) == ("example.test/quality:1", ["/check"], ["--fast"])
    assert "imagePullPolicy" not in own, "Kubernetes' own rule by the tag"
    assert own["env"][-2:] == env, "after ours, so that it can refer to them"
    assert own["resources"] == {"limits": {"memory": "2Gi"}}
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert own["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "runAsUser": 1000,
    }
    assert (pod["serviceAccountName"], pod["imagePullSecrets"]) == ("checker", [{"name": "registry"}])
    by_path = {mount["mountPath"]: mount for mount in own["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    data = volumes[by_path["/data"]["name"]]
    assert data["persistentVolumeClaim"] == {"claimName": "data", "readOnly": True}
    assert by_path["/data"]["readOnly"]
    assert volumes[by_path["/more"]["name"]]["secret"] == {"secretName": "more"}
    assert "/tmp" in by_path  # noqa: S108 - the container's own


def test_kubernetes_expands_nothing_in_what_is_asked():
    job = rendered(run({"job": JOB}, model={"version": "1", "servedName": "$(HOME)"}))
    raw = {entry["name"]: entry["value"] for entry in container(job)["env"]}
    assert raw["MODELRELEASE_MODEL_NAME"] == "$$(HOME)"
    assert variables(job)["MODELRELEASE_MODEL_NAME"] == "$(HOME)"


def test_a_webhook_is_asked_by_a_container_of_ours_with_the_keys_of_the_namespace():
    more = {
        "authorizationRef": {"name": "quality", "key": "token"},
        "caBundleRef": {"name": "authorities", "key": "ca.crt"},
        "parameters": {"team": "search"},
        "pollSeconds": 7,
    }
    job = rendered(run({"webhook": WEBHOOK | more}))
    own = container(job)
    assert (own["image"], own["imagePullPolicy"]) == ("checks:1", "Always")
    assert own["command"] == ["python", "-m", "canary_checks", "webhook"]
    asked = webhook_request.WebhookRequest.model_validate_json(
        variables(job)["MODELRELEASE_WEBHOOK_REQUEST"], by_alias=True, by_name=False
    )
    assert (asked.url, asked.timeout_seconds, asked.poll_seconds) == (WEBHOOK["url"], 30, 7)
    assert asked.question.parameters == {"team": "search"}
    assert asked.question.deadline_seconds == 110
    keys = {entry["name"]: entry["valueFrom"] for entry in own["env"] if "valueFrom" in entry}
    assert keys == {
        "MODELRELEASE_WEBHOOK_SIGNING_KEY": {"secretKeyRef": {"name": "quality", "key": "key"}},
        "MODELRELEASE_WEBHOOK_AUTHORIZATION": {"secretKeyRef": {"name": "quality", "key": "token"}},
        "MODELRELEASE_WEBHOOK_CA_BUNDLE": {"configMapKeyRef": {"name": "authorities", "key": "ca.crt"}},
    }


def test_an_own_check_is_one_job_for_each_pod_and_compares_with_no_reference():
    endpoint = {
        "operations": [
            {"name": "text", "protocol": "OpenAIEmbeddings"},
            {"name": "image", "protocol": "OpenAIEmbeddings", "modality": "Image"},
        ]
    }
    of = run({"job": JOB, "operations": ["image"]}, endpoint=endpoint)
    check = given.check("quality", of)
    (only,) = portions.portions(of.spec.judging, check)
    assert [operation.name for operation in only.operations] == ["image"]
    observed = observation.Observation(
        release=None,  # type: ignore[arg-type]
        revisions={"r00000000aa": observation.Revision("r00000000aa", outputs=(given.recorded().outputs,))},
        traffic=observation.Traffic(observation.Selects.NOTHING),
    )
    assert references.recorded(observed, of, check) == ()
    assert references.live_stable(observed, of, check) is None


def test_another_configuration_is_another_question():
    def digest(custom: dict[str, Any], **more: Any) -> str:
        return variables(rendered(run(custom, **more)))["MODELRELEASE_CONFIG_DIGEST"]

    once = digest({"job": JOB})
    assert digest({"job": JOB}) == once
    assert digest({"job": JOB | {"args": ["--fast"]}}) != once
    assert digest({"job": JOB}, model={"version": "1", "servedName": "other"}) != once


# --- What is believed ---------------------------------------------------------------------------------------


def answer(job: dict[str, Any], verdict: str = "Pass", **changes: Any) -> str:
    """What a check writes that repeats what it was given."""
    gate = {
        "metric": "TripletAccuracy",
        "verdict": verdict,
        "observed": 0.97 if verdict == "Pass" else 0.5,
        "operator": ">=",
        "limit": 0.9,
        "basis": "Declared",
        "samples": 200,
    }
    said = json.loads(variables(job)["MODELRELEASE_QUESTION"])["answer"] | {
        "verdict": verdict,
        "reason": "Triplets",
        "message": "194 of 200 triplets are in order",
        "gates": [gate],
        "requests": {"sent": 200, "failed": 0, "retried": 0},
        "timings": {"startTime": given.TIME, "completionTime": given.TIME},
        "versions": {"checks": "quality 1"},
    }
    return json.dumps(said | changes)


def left(
    message: str,
    exit_code: int = 0,
    reason: str = "Completed",
    custom: dict[str, Any] | None = None,
    **pod: Any,
) -> observation.CheckPart:
    of = run(custom or {"job": JOB})
    status = given.pod(given.ended(message, exit_code, reason))
    status["metadata"] |= pod
    (part,) = results.read(of, given.RUN_UID, [rendered(of)], [status])
    return part


OWN = rendered(run({"job": JOB}))


def test_a_result_decides_whatever_the_exit_code():
    found = left(answer(OWN, "Fail"), 0)
    assert (found.verdict, found.reason, found.finished) == (Verdict.FAIL, "Triplets", True)
    assert [(gate.metric, gate.observed, gate.operator) for gate in found.gates] == [
        ("TripletAccuracy", "0.5", ">=")
    ]
    assert found.requests == 200
    assert left(answer(OWN), 1).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("code", "said", "verdict"),
    [
        (0, "", Verdict.PASS),
        (0, "all 200 are in order", Verdict.PASS),
        (1, "Traceback\n\nAssertionError: 0.71 < 0.9\n", Verdict.FAIL),
        (1, '{"level": "error", "message": "0.71"}', Verdict.FAIL),
        (2, "", Verdict.ERROR),
        (137, "", Verdict.ERROR),
    ],
)
def test_without_a_result_the_exit_code_decides(code: int, said: str, verdict: Verdict):
    found = left(said, code, "Completed" if code == 0 else "Error")
    assert (found.verdict, found.finished, found.reason) == (verdict, True, "ExitCode")
    assert f"exit code {code}" in found.message
    last = said.strip().rpartition("\n")[2]
    assert last in found.message
    if verdict is not Verdict.ERROR:
        (gate,) = found.gates
        assert (gate.metric, gate.observed, gate.operator, gate.limit) == ("ExitCode", f"{code}", "==", "0")


@pytest.mark.parametrize(
    ("message", "code", "said"),
    [
        (answer(OWN, nonce="another-nonce-0123"), 0, "nonce of another attempt"),
        (answer(OWN, podUID="other"), 0, "podUID is other"),
        (answer(OWN, run="other"), 0, "its run is other"),
        (answer(OWN, attempt=2), 0, "its attempt is 2"),
        (answer(OWN, subject={"role": "Candidate", "revision": "r00000000aa"}), 0, "subject.revision"),
        (
            answer(OWN, check={"name": "quality", "kind": "Job", "configDigest": given.DIGEST}),
            0,
            "configDigest",
        ),
        (answer(OWN, "Fail", gates=[]), 0, "Fail needs a gate that failed"),
        (answer(OWN, gates=[]), 0, "Pass needs at least one gate"),
        ('{"verdict": "Pass"}', 0, "does not follow the schema"),
        (answer(OWN)[:200], 1, "not JSON"),
        (answer(OWN, message="x" * 500) + " " * 3000, 0, "more than the 3072"),
    ],
)
def test_a_result_that_is_none_or_of_another_question_is_an_error(message: str, code: int, said: str):
    found = left(message, code)
    assert (found.verdict, found.reason) == (Verdict.ERROR, "CheckNoResult")
    assert said in found.message


@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_of_a_container_that_was_ended_from_outside_says_nothing(code: int):
    deleted = left("", code, "Completed", deletionTimestamp=given.TIME)
    assert deleted.verdict is Verdict.ERROR
    assert "before it could leave" in deleted.message
    killed = left("", code, "OOMKilled")
    assert killed.verdict is Verdict.ERROR
    assert "killed for its memory" in killed.message
    assert left(answer(OWN), code, deletionTimestamp=given.TIME).verdict is Verdict.PASS, "it had spoken"


def test_a_webhooks_container_is_ours_and_its_exit_code_is_no_verdict():
    found = left("", 0, custom={"webhook": WEBHOOK})
    assert (found.verdict, found.reason) == (Verdict.ERROR, "CheckNoResult")
    job = rendered(run({"webhook": WEBHOOK}))
    asked = json.loads(variables(job)["MODELRELEASE_WEBHOOK_REQUEST"])["question"]
    bound = answer(OWN, check=asked["answer"]["check"])
    assert left(bound, 0, custom={"webhook": WEBHOOK}).verdict is Verdict.PASS
    assert left(answer(OWN), 0, custom={"webhook": WEBHOOK}).verdict is Verdict.ERROR, "of a Job"


def test_the_examples_answer_to_the_rendered_question_is_believed(tmp_path: pathlib.Path):
    of, log = run({"job": JOB}), tmp_path / "termination-log"
    with sample_server.serving() as url:
        pod = dataclasses.replace(given.POD, ip="127.0.0.1", port=int(url.rpartition(":")[2]))
        subject = dataclasses.replace(given.subject("quality", of), pod=pod)
        job = jobs.render(subject, subjects.Opponents(), jobs.Settings("checks:1"))
        job["metadata"]["uid"] = "job-uid"
        # As Kubernetes would, but for the path, which is its own there.
        told = variables(job) | {"MODELRELEASE_TERMINATION_LOG": str(log)}
        check = pathlib.Path(__file__).parents[3] / "examples" / "custom-check" / "check.py"
        done = subprocess.run([sys.executable, str(check)], env=told, check=False, timeout=60)
    (part,) = results.read(
        of, given.RUN_UID, [job], [given.pod(given.ended(log.read_text(), done.returncode))]
    )
    assert (part.verdict, part.reason) == (Verdict.PASS, "Triplets"), part.message
    (gate,) = part.gates
    assert (gate.metric, gate.observed, gate.operator, gate.limit) == ("TripletAccuracy", "1", ">=", "0.9")


def test_an_own_check_leaves_evidence_and_never_a_reference():
    content = b"outputs of nobody"
    told = json.loads(answer(OWN))
    reference = {"digest": result.digest(content), "safetensors": "b3V0cHV0cyBvZiBub2JvZHk="}
    text = json.dumps({"result": told, "reference": reference})
    due = evidence.Due(OWN, "pod", result.digest(text.encode()), given.TIME)
    owner = {"apiVersion": "v1", "kind": "ModelRelease", "name": "embedder", "uid": "u"}
    plan = evidence.keeping(due, f"hello\n{result.EVIDENCE_PREFIX}{text}\n", owner, given.REVISION)
    (kept,) = plan.config_maps
    assert list(kept["binaryData"]) == ["result.json.gz"]
    assert evidence.OUTPUTS not in plan.annotations
    # The same of a check of ours is a reference: the difference is the kind alone.
    ours = dict(OWN, metadata=OWN["metadata"] | {"annotations": {"modelrelease.dev/kind": "EmbeddingParity"}})
    both = evidence.keeping(dataclasses.replace(due, job=ours), f"{result.EVIDENCE_PREFIX}{text}", owner, "r")
    assert evidence.OUTPUTS in both.annotations
