#!/usr/bin/env python3
# ruff: noqa: S310 - the URL is the operator's
"""A check of a team's own, whole: it asks the canary, judges, and writes a result that follows the contract.

It needs nothing but Python, and is told everything by its environment. Try it without a cluster::

    modelrelease check conformance --command "python examples/custom-check/check.py"

A check may be far simpler: exit code 0 is Pass, 1 is Fail, any other is Error, and its last line says why.
"""

import datetime
import json
import math
import os
import pathlib
import sys
import urllib.error
import urllib.request
from typing import Any

VERSION = "custom-check 1"
ACCURACY_MIN = 0.9
# What this team's users mean: the second text is nearer to the first than the third is.
TRIPLETS = (
    ("waterproof hiking boots", "boots for hiking in the rain", "a wooden kitchen table"),
    ("cheap flights to Rome", "cheap tickets to Rome", "sharpening kitchen knives"),
    ("reset my password", "I forgot my password", "opening hours on Sunday"),
    ("vegetarian lasagne recipe", "a recipe for lasagne without meat", "winter tyres for a van"),
    ("children's bicycle 20 inch", "a 20 inch bicycle for a child", "income tax return form"),
)

Object = dict[str, Any]


def vectors(question: Object, texts: list[str]) -> list[list[float]]:
    """Ask the canary's own pod: no user's request ever reaches it meanwhile."""
    operation = question["operations"][0]
    request = urllib.request.Request(
        question["url"] + (operation.get("path") or "/v1/embeddings"),
        json.dumps({"model": operation.get("model"), "input": texts}).encode(),
        # So that the probe is not counted as a user's request.
        {"Content-Type": "application/json", "X-ModelRelease-Probe": question["answer"]["run"]},
    )
    with urllib.request.urlopen(request, timeout=min(30, question["deadlineSeconds"])) as response:
        return [row["embedding"] for row in json.load(response)["data"]]


def cosine(one: list[float], other: list[float]) -> float:
    """Return the cosine of two vectors."""
    norm = math.sqrt(sum(x * x for x in one) * sum(y * y for y in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / norm


def judge(question: Object) -> Object:
    """Return what is found: a verdict never without its gate."""
    rows = vectors(question, [text for triplet in TRIPLETS for text in triplet])
    triples = [rows[index : index + 3] for index in range(0, len(rows), 3)]
    accuracy = sum(cosine(one, near) > cosine(one, far) for one, near, far in triples) / len(TRIPLETS)
    verdict = "Pass" if accuracy >= ACCURACY_MIN else "Fail"
    gate = {"metric": "TripletAccuracy", "verdict": verdict, "observed": accuracy, "operator": ">="}
    return {
        "verdict": verdict,
        "reason": "Triplets",
        "message": f"{accuracy:.0%} of {len(TRIPLETS)} triplets are in order",
        "gates": [gate | {"limit": ACCURACY_MIN, "basis": "Declared", "samples": len(TRIPLETS)}],
        "requests": {"sent": 1, "failed": 0, "retried": 0},
    }


def main() -> int:
    """Judge, and leave a result; what broke is an Error, and never a Pass or a Fail."""
    question = json.loads(os.environ["MODELRELEASE_QUESTION"])
    started = datetime.datetime.now(datetime.UTC).isoformat()
    try:
        found = judge(question)
    except (urllib.error.URLError, OSError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        found = {
            "verdict": "Error",
            "reason": "ProbeFailed",
            "message": f"{type(error).__name__}: {error}"[:500].replace("\n", " "),
            "gates": [],
            "requests": {"sent": 1, "failed": 1, "retried": 0},
        }
    # The answer begins with what the question bound: nonce, run, pod, configuration.
    result = question["answer"] | found
    result["timings"] = {
        "startTime": started,
        "completionTime": datetime.datetime.now(datetime.UTC).isoformat(),
    }
    result["versions"] = {"checks": VERSION}
    text = json.dumps(result)
    pathlib.Path(os.environ["MODELRELEASE_TERMINATION_LOG"]).write_text(text, encoding="utf-8")
    sys.stderr.write(f"{found['verdict']}: {found['message']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
