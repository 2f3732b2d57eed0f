"""How long ``kubectl mrel report`` takes for a large run, and how large the page is.

The whole command is measured, interpreter and all; kubectl alone is replaced, by one that prints what a
server would send. Each of the checks has sent 1,000 items and left the plots of all of them.
"""

import base64
import datetime
import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import table
from canary_checks import result
from modelrelease.api import constants

ITEMS: Final = 1000
CHECKS: Final = 4
REPEATS: Final = 5
NOTE: Final = f"Median of {REPEATS} calls; {CHECKS} checks of {ITEMS} items, each with 4 series of all items."
_NOW: Final = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
_DIGEST: Final = "sha256:" + "a" * 64
_STABLE, _CANDIDATE, _RUN = "r0000000001", "r0000000002", "bench-r0000000002-1"
_ROOT: Final = Path(__file__).parents[1]
_KUBECTL: Final = """#!/bin/sh
# Answers from files: `get KIND …`.
cat "$(dirname "$0")/$(echo "$2" | cut -d. -f1).json"
"""


def measure() -> Iterator[table.Row]:
    """Yield the time and the size of a report in each form."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _written(folder)
        for form, seconds, size in (("html", 3.0, 3e6), ("json", None, None), ("md", None, None)):
            file = folder / f"report.{form}"
            took = sorted(_called(folder, file) for _ in range(REPEATS))[REPEATS // 2]
            about = f"{form}, {CHECKS} × {ITEMS} items"
            limit = table.Target(seconds) if seconds is not None else None
            yield table.Row(f"report as {about}", took, "s", limit)
            bound = table.Target(size / 1e6) if size is not None else None
            yield table.Row(f"size of {about}", file.stat().st_size / 1e6, "MB", bound)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    yield table.Row("memory of the command", peak, "MiB")


def _called(folder: Path, file: Path) -> float:
    environ = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(_ROOT / "operator"), str(_ROOT)]),
    }
    command = [sys.executable, "-m", "modelrelease.cli.mrel", "report", "bench", "-o", str(file)]
    began = time.perf_counter()
    subprocess.run(command, env=environ, check=True, capture_output=True)
    return time.perf_counter() - began


def _written(folder: Path) -> None:
    chance = random.Random(1)
    names = [f"check-{number}" for number in range(CHECKS)]
    answers = {
        "modelreleases": _release(),
        "modelreleaseruns": _list([_run(names)]),
        "controllerrevisions": _list([]),
        "configmaps": _list([_evidence(name, chance) for name in names]),
        "events": _list([]),
    }
    for kind, answer in answers.items():
        (folder / f"{kind}.json").write_text(json.dumps(answer), encoding="utf-8")
    program = folder / "kubectl"
    program.write_text(_KUBECTL, encoding="utf-8")
    program.chmod(0o755)


def _list(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": "List", "items": list(items)}


def _object(kind: str, name: str, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "bench", "uid": name, "creationTimestamp": _NOW.isoformat()}
    return {
        "apiVersion": f"{constants.GROUP}/{constants.VERSION}",
        "kind": kind,
        "metadata": metadata,
    } | parts


def _release() -> dict[str, Any]:
    return _object(
        "ModelRelease", "bench", spec={"model": {"version": "2"}, "endpoint": {}, "template": {}}, status={}
    )


def _run(names: Sequence[str]) -> dict[str, Any]:
    judging = {
        "model": {"version": "2"},
        "endpoint": {"protocol": "OpenAIEmbeddings"},
        "strategy": {},
        "checks": [{"name": name, "embeddingParity": {}} for name in names],
        "checkTemplate": {},
        "slos": [],
        "enforcement": "Enforce",
        "onInconclusive": "RollBack",
        "onError": "Hold",
    }
    spec = {
        "releaseName": "bench",
        "releaseUID": "bench",
        "revision": _CANDIDATE,
        "stable": _STABLE,
        "attempt": 1,
        "mode": "Full",
        "judgingDigest": _DIGEST,
        "judging": judging,
    }
    status = {
        "phase": "Done",
        "outcome": "RolledBack",
        "reason": "CheckFailed",
        "message": f"{names[0]} failed: many rows moved",
        "checks": [{"name": name, "verdict": "Fail", "evidence": f"{name}-evidence"} for name in names],
        "startTime": _NOW.isoformat(),
        "completionTime": _NOW.isoformat(),
    }
    return _object("ModelReleaseRun", _RUN, spec=spec, status=status)


def _evidence(name: str, chance: random.Random) -> dict[str, Any]:
    strata = [f"stratum-{number}" for number in range(8)]
    series = {"stratum": [float(chance.randrange(8)) for _ in range(ITEMS)]}
    for quantity in ("cosineDistance:Stable", "normDeviation:Stable", "cosineDistance:Anchor"):
        series[quantity] = [10 ** chance.uniform(-12, 0) for _ in range(ITEMS)]
    said = {
        "schema": "checks.modelrelease.dev/v1",
        "check": {"name": name, "kind": "EmbeddingParity", "configDigest": _DIGEST},
        "run": _RUN,
        "attempt": 1,
        "nonce": "n" * 32,
        "podUID": "pod-1",
        "shard": 0,
        "subject": {"role": "Candidate", "revision": _CANDIDATE},
        "verdict": "Fail",
        "reason": "ParityLost",
        "message": "many rows moved",
        "gates": [
            {
                "metric": "CosineDistanceWorst",
                "against": "Stable",
                "verdict": "Fail",
                "observed": 0.9,
                "operator": "<=",
                "limit": 1e-5,
                "basis": "ClassFloor",
                "samples": ITEMS,
            }
        ],
        "strata": [{"name": one, "items": ITEMS // 8, "failed": 3} for one in strata],
        "series": series,
        "requests": {"sent": ITEMS, "failed": 0, "retried": 0},
        "timings": {"startTime": _NOW.isoformat(), "completionTime": _NOW.isoformat()},
        "versions": {"checks": "0.1.0"},
    }
    read = result.CheckResult.model_validate_json(json.dumps(said), by_alias=True, by_name=False)
    packed = base64.b64encode(gzip.compress(result.dump(read).encode())).decode()
    made = _object("ConfigMap", f"{name}-evidence", binaryData={"result.json.gz": packed})
    made["metadata"]["labels"] = {constants.LABEL_RUN: _RUN, constants.LABEL_CHECK: name}
    return made
