"""What a check's pod leaves behind in the simulation: a result in the real contract, or one of its faults."""

import base64
import dataclasses
import datetime
import json
from collections.abc import Mapping
from typing import Any, Final

from canary_checks import result as contract

FAULTS: Final = ("rubbish", "nothing", "too-much", "old-nonce", "killed", "evicted", "error", "hang")


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """The end of a check's container."""

    message: str
    log: str = ""
    exit_code: int = 0
    reason: str = "Completed"
    verdict: str = ""
    """What it really found; empty when it can't say."""


def asked(environment: Mapping[str, str]) -> Mapping[str, Any]:
    """Return what a container was asked: by a request, or in a check of the team's own by a question."""
    request: dict[str, Any] = json.loads(environment.get("MODELRELEASE_CHECK_REQUEST", "{}"))
    if request:
        return request
    question = json.loads(environment["MODELRELEASE_QUESTION"])
    return question["answer"] | {"pod": question["pod"]}


def reply(request: Mapping[str, Any], behaviour: str, fault: str, now: datetime.datetime) -> Reply:
    """Return what the check says of a pod that behaves like this.

    Parameters
    ----------
    request
        The CheckRequest's JSON.
    behaviour
        Of the probed pod; see :mod:`tests.simulation.nodes`.
    fault
        One of FAULTS, or empty for a check that works.
    """
    match fault:
        case "rubbish":
            return Reply("Segmentation fault")
        case "nothing":
            return Reply("")
        case "too-much":
            return Reply("x" * 4096)
        case "killed" | "evicted":
            return Reply("", exit_code=137, reason="OOMKilled" if fault == "killed" else "Error")
    kind = request["check"]["kind"]
    if kind == "Job" and fault != "old-nonce":
        code = 2 if fault == "error" or behaviour == "gone" else int(behaviour == "casing")
        return Reply("", "measured", code, "Error" if code else "Completed", ("Pass", "Fail", "Error")[code])
    compares = bool(request.get("references") or request.get("live"))
    fails = behaviour == "casing" and kind == "EmbeddingParity" and compares
    broken = fault == "error" or behaviour == "gone"
    said = _result(request, now, "Error" if broken else "Fail" if fails else "Pass")
    if fault == "old-nonce":
        said["nonce"] = "0" * 32
    evidence = {"result": said}
    if request.get("record") and not broken:
        share = f" share {request['shard']}" if request["shard"] else ""
        content = f"outputs of {request['subject']['revision']}{share}".encode()
        evidence["reference"] = {
            "digest": contract.digest(content),
            "safetensors": base64.b64encode(content).decode(),
        }
    log = contract.dump(contract.Evidence.model_validate_json(json.dumps(evidence), by_alias=True))
    summary = {"digest": contract.digest(log.encode()), "sizeBytes": len(log.encode()), "truncated": False}
    result = contract.CheckResult.model_validate_json(json.dumps(said | {"evidence": summary}), by_alias=True)
    real = "" if fault == "old-nonce" else said["verdict"]
    return Reply(
        contract.to_termination_message(result),
        verdict=real,
        log=f"starting\n{contract.EVIDENCE_PREFIX}{log}\n",
    )


def _result(request: Mapping[str, Any], now: datetime.datetime, verdict: str) -> dict[str, Any]:
    gate = {
        "metric": "CosineDistanceWorst",
        "against": "Stable",
        "verdict": verdict,
        "observed": 0.5 if verdict == "Fail" else 1e-7,
        "operator": "<=",
        "limit": 1e-5,
        "basis": "ClassFloor",
        "samples": 64,
    }
    diagnosis = {"cause": "Casing", "confidence": "Likely"} if verdict == "Fail" else None
    return {
        "schema": request["schema"],
        "check": request["check"],
        "run": request["run"],
        "attempt": request["attempt"],
        "nonce": request["nonce"],
        "podUID": request["pod"]["uid"],
        "shard": request.get("shard", 0),
        "subject": {"role": "Candidate", "revision": request["subject"]["revision"]},
        "verdict": verdict,
        "reason": {"Pass": "Parity", "Fail": "ParityLost", "Error": "ProbeFailed"}[verdict],
        "message": f"the simulated check says {verdict}",
        "gates": [] if verdict == "Error" else [gate],
        "diagnosis": diagnosis,
        "requests": {"sent": 10, "failed": 0, "retried": 0},
        "timings": {"startTime": now.isoformat(), "completionTime": now.isoformat()},
        "versions": {"checks": "simulation"},
    }
