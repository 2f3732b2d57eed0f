"""A run with its Job, and what the Job's pod may leave."""

import json
from typing import Any

from canary_checks import result
from modelrelease.api import checks as api_checks
from modelrelease.api import run as api_run
from modelrelease.api import spec as api_spec
from modelrelease.checks import jobs, subjects
from modelrelease.core import observation, references

RUN_UID = "run-uid"
REVISION = "r0123456789"
DIGEST = "sha256:" + "1" * 64
TIME = "2026-11-20T03:02:58Z"


def judging(**more: Any) -> api_run.Judging:
    spec = api_spec.ReleaseSpec.model_validate(
        {
            "model": {"version": "1", "servedName": "bge", "numericClass": "bf16"},
            "endpoint": {"protocol": "OpenAIEmbeddings"},
            "template": {
                "spec": {"containers": [{"name": "m", "ports": [{"name": "model", "containerPort": 1}]}]}
            },
            **more,
        }
    )
    return api_run.Judging(
        model=spec.model,
        endpoint=spec.endpoint,
        strategy=spec.strategy,
        checks=list(spec.all_checks()),
        check_template=spec.check_template,
        slos=spec.slos,
        enforcement=spec.enforcement,
        on_inconclusive=spec.on_inconclusive,
        on_error=spec.on_error,
        golden_sets=[api_run.JudgedGoldenSet(**dict(golden)) for golden in spec.golden_sets],
    )


def run(**more: Any) -> observation.Run:
    spec = api_run.RunSpec(
        release_name="embedder",
        release_uid="release-uid",
        revision=REVISION,
        stable="r00000000aa",
        stable_numeric_class=api_spec.NumericClass.FP16,
        attempt=1,
        mode=api_run.Mode.FULL,
        judging_digest=DIGEST,
        judging=judging(**more),
    )
    return observation.Run(f"embedder-{REVISION}-1", spec, api_run.RunStatus())


def check(name: str, of: observation.Run) -> api_checks.Check:
    return next(check for check in of.spec.judging.checks if check.name == name)


POD = observation.Pod("embedder-pod", "pod-uid", REVISION, ready=True, ip="10.0.0.7", port=8000)


def subject(name: str = "parity", of: observation.Run | None = None) -> subjects.Subject:
    of = of or run()
    return subjects.Subject(of, RUN_UID, "shop", check(name, of), 1, POD)


def recorded() -> references.Recorded:
    return references.Recorded(
        api_checks.ReferenceRole.STABLE,
        "r00000000aa",
        api_run.Reference(config_map="embedder-r00000000aa-outputs", digest=DIGEST),
        api_spec.NumericClass.FP16,
    )


def job(name: str = "parity", known: int = 1) -> dict[str, Any]:
    against = subjects.Opponents((recorded(),)[:known])
    found = jobs.render(subject(name), against, jobs.Settings("checks:1"))
    found["metadata"]["uid"] = "job-uid"
    return found


def pod(status: dict[str, Any], created: str = TIME, name: str = "check-pod") -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "creationTimestamp": created,
            "ownerReferences": [{"uid": "job-uid"}],
        },
        "status": status,
    }


def ended(message: str, exit_code: int = 0, reason: str = "Completed") -> dict[str, Any]:
    state = {"terminated": {"message": message, "exitCode": exit_code, "reason": reason, "finishedAt": TIME}}
    return {"containerStatuses": [{"name": "check", "state": state}]}


def answered(name: str = "parity", **more: Any) -> result.CheckResult:
    """A result that answers the probe."""
    passing = {
        "metric": "CosineDistanceWorst",
        "verdict": "Pass",
        "observed": 1e-6,
        "operator": "<=",
        "limit": 2e-5,
        "basis": "ClassFloor",
        "samples": 216,
        "against": "Stable",
    }
    said = {
        "schema": "checks.modelrelease.dev/v1",
        "check": {"name": name, "kind": "EmbeddingParity", "configDigest": DIGEST},
        "run": f"embedder-{REVISION}-1",
        "attempt": 1,
        "nonce": subjects.nonce(RUN_UID, name, 1, "pod-uid"),
        "podUID": "pod-uid",
        "shard": 0,
        "subject": {"role": "Candidate", "revision": REVISION},
        "verdict": "Pass",
        "reason": "Parity",
        "message": "all rows are equal",
        "gates": [passing],
        "requests": {"sent": 27, "failed": 0, "retried": 0},
        "timings": {"startTime": TIME, "completionTime": TIME},
        "versions": {"checks": "0.1"},
        **more,
    }
    return result.CheckResult.model_validate_json(json.dumps(said), by_alias=True, by_name=False)
