"""Requests and results for tests, valid unless a test says otherwise."""

import datetime
import json
from typing import Any

from canary_checks import request, result, schema

NONCE = "n0nce-0123456789ab"
DIGEST = "sha256:" + "0" * 64


def raw_request(url: str, kind: str = "Contract", **changes: Any) -> dict[str, Any]:
    return {
        "schema": "checks.modelrelease.dev/v1",
        "check": {"name": kind.lower(), "kind": kind, "configDigest": DIGEST},
        "run": "query-embedder-r9a1b4c-1",
        "attempt": 1,
        "nonce": NONCE,
        "pod": {"name": "query-embedder-r9a1b4c-abc", "uid": "0b1e2f3a-22"},
        "url": url,
        "operations": [{"name": "embed", "protocol": "OpenAIEmbeddings", "model": "toy"}],
        "subject": {"revision": "r9a1b4c"},
        "numericClass": "fp32",
        "goldenSet": {"builtin": "TextV1"},
        "deadlineSeconds": 60,
    } | changes


def ask(url: str, kind: str = "Contract", **changes: Any) -> request.CheckRequest:
    return request.CheckRequest.model_validate_json(
        json.dumps(raw_request(url, kind, **changes)), by_alias=True, by_name=False
    )


def gate(verdict: str = "Pass", **changes: Any) -> dict[str, Any]:
    observed = 0.5 if verdict == "Pass" else 2.0
    return {
        "metric": "CosineDistanceWorst",
        "verdict": verdict,
        "observed": observed,
        "operator": "<=",
        "limit": 1.0,
        "basis": "ClassFloor",
        "samples": 106,
    } | changes


def raw_result(verdict: str = "Pass", **changes: Any) -> dict[str, Any]:
    now = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC).isoformat()
    return {
        "schema": "checks.modelrelease.dev/v1",
        "check": {"name": "parity", "kind": "EmbeddingParity", "configDigest": DIGEST},
        "run": "query-embedder-r9a1b4c-1",
        "attempt": 1,
        "nonce": NONCE,
        "podUID": "0b1e2f3a-22",
        "shard": 0,
        "subject": {"role": "Candidate", "revision": "r9a1b4c"},
        "verdict": verdict,
        "reason": "Parity",
        "message": "106 items",
        "gates": [gate(verdict)] if verdict in {"Pass", "Fail"} else [],
        "requests": {"sent": 14, "failed": 0, "retried": 0},
        "timings": {"startTime": now, "completionTime": now},
        "versions": {"checks": "0.1.0"},
    } | changes


def a_result(verdict: str = "Pass", **changes: Any) -> schema.CheckResult:
    text = json.dumps(raw_result(verdict, **changes))
    return result.CheckResult.model_validate_json(text, by_alias=True, by_name=False)
