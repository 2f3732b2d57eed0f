"""Every screen, as text: what the operator has really written, drawn wide and narrow.

``MREL_GOLDEN=write pytest tests/unit/cli/mrel/test_screens.py`` writes the files anew; read what changed.
"""

import base64
import gzip
import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from modelrelease.cli.mrel import screen
from tests.unit.cli.mrel import recorded

GOLDEN = Path(__file__).parent / "golden"
NARROW, WIDE = 60, 140

SCREENS = {
    "status-first": ("first", ("status", "embedder")),
    "status-stable": ("stable", ("status", "embedder")),
    "status-checking": ("checking", ("status", "embedder")),
    "status-holding": ("holding", ("status", "embedder")),
    "status-approval": ("approval", ("status", "embedder")),
    "status-baking": ("baking", ("status", "embedder")),
    "status-waiting": ("waiting", ("status", "embedder")),
    "status-paused": ("paused", ("status", "embedder")),
    "status-rolled-back": ("rolled-back", ("status", "embedder")),
    "status-reloading": ("reloading", ("status", "embedder")),
    "list": ("rejected", ("list", "-A")),
    "history": ("rejected", ("history", "embedder")),
    "diff": ("holding", ("diff", "embedder")),
    "explain-rolled-back": ("rolled-back", ("explain", "embedder")),
    "explain-waiting": ("waiting", ("explain", "embedder")),
    "rollback-cold": ("two-promoted", ("rollback", "embedder", "--reason", "INC-4812 worse", "--yes")),
    "rollback-warm": ("baking", ("rollback", "embedder", "--reason", "INC-4812 worse", "--yes")),
    "approve": ("approval", ("approve", "embedder", "--reason", "looks good", "--yes")),
    "force": ("rolled-back", ("force", "embedder", "--reason", "CVE-2026-1", "--yes")),
    "retry": ("rolled-back", ("retry", "embedder", "--reason", "node fixed", "--yes")),
    "cancel": ("holding", ("cancel", "embedder", "--reason", "wrong dataset", "--yes")),
    "debug": ("rolled-back", ("debug", "embedder", "--reason", "to look", "--yes")),
    "resume": ("paused", ("resume", "embedder", "--reason", "over", "--yes")),
    "pin": ("two-promoted", ("pin", "embedder", "r852", "--reason", "until monday", "--yes")),
}


def said(objects: str, arguments: tuple[str, ...], width: int, **how: Any) -> recorded.Said:
    now, found = recorded.snapshot(objects)
    return recorded.call(recorded.Recorded(found), *arguments, now=now, width=width, **how)


def check(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("MREL_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("name", SCREENS)
def test_screen(name: str, width: int):
    shown = said(*SCREENS[name], width)
    assert (shown.code, shown.err) == (0, "")
    assert max(columns(line) for line in shown.out.splitlines()) <= width
    check(f"{name}-{width}", shown.out)


@pytest.mark.parametrize("name", SCREENS)
def test_nothing_is_cut_on_a_narrow_terminal(name: str):
    narrow, wide = ("".join(said(*SCREENS[name], width).out.split()) for width in (NARROW, screen.WIDTH_MAX))
    if name in {"list", "history", "explain-rolled-back"}:
        # Tables become paragraphs: every word of the narrow one is one of the wide one's.
        assert "…" not in narrow.replace("--reason…", "")
    else:
        assert narrow == wide


@pytest.mark.parametrize("name", SCREENS)
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_for_programs(name: str, form: str):
    objects, arguments = SCREENS[name]
    shown = said(objects, (*arguments, "-o", form), NARROW)
    assert shown.code == 0
    parsed = json.loads(shown.out) if form == "json" else __import__("yaml").safe_load(shown.out)
    assert parsed
    if form == "json":
        assert parsed == json.loads(said(objects, (*arguments, "-o", form), WIDE).out)


def test_colours_on_a_terminal_and_nowhere_else():
    objects, arguments = SCREENS["status-rolled-back"]
    plain = said(objects, arguments, WIDE).out
    coloured = said(objects, arguments, WIDE, tty=True).out
    assert "\x1b[" in coloured
    assert "\x1b[" not in plain
    assert said(objects, arguments, WIDE, tty=True, environ={"NO_COLOR": "1"}).out == plain
    assert said(objects, arguments, WIDE, tty=True, environ={"TERM": "dumb"}).out == plain


# --- Evidence -----------------------------------------------------------------------------------------------


def with_evidence(change: dict[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """Return the rolled back release, whose parity check left a full diagnosis."""
    now, objects = recorded.snapshot("rolled-back")
    run = next(obj for obj in objects if obj["kind"] == "ModelReleaseRun" and obj["status"].get("failed"))
    name = next(check["evidence"] for check in run["status"]["checks"] if check["name"] == "parity")
    found = next(obj for obj in objects if obj["metadata"]["name"] == name)
    result = json.loads(gzip.decompress(base64.b64decode(found["binaryData"]["result.json.gz"])))
    packed = gzip.compress(json.dumps(result | change).encode())
    found["binaryData"]["result.json.gz"] = base64.b64encode(packed).decode()
    return now, objects


def gate(metric: str, verdict: str, **fields: Any) -> dict[str, Any]:
    return {
        "metric": metric,
        "operation": "image",
        "against": "Anchor",
        "verdict": verdict,
        "observed": 10.94,
        "operator": "<=",
        "limit": 0.002,
        "basis": "ClassFloor",
        "samples": 216,
        **fields,
    }


DIAGNOSED = {
    "gates": [
        gate("NormDeviationWorst", "Fail"),
        *(gate("CosineDistanceWorst", "Pass", observed=3.1e-6, limit=2e-5, samples=n) for n in range(1, 7)),
    ],
    "strata": [
        {"name": "photo", "items": 120, "failed": 120},
        {"name": "caption", "items": 200, "failed": 0},
    ],
    "worst": [{"item": "i-118", "stratum": "photo", "values": {"normRatio": 11.94}}],
    "diagnosis": {
        "cause": "Unknown",
        "confidence": "Unknown",
        "evidence": ["directions agree on 216/216 rows"],
        "excluded": [{"cause": "Casing", "because": "64/64 token ids are equal"}],
        "left": ["Precision", "Weights"],
        "next": ["compare the attention backends"],
    },
}


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_explain_with_evidence(width: int):
    now, objects = with_evidence(DIAGNOSED)
    shown = recorded.call(recorded.Recorded(objects), "explain", "embedder", now=now, width=width)
    assert (shown.code, shown.err) == (0, "")
    check(f"explain-evidence-{width}", shown.out)


@pytest.mark.parametrize("packed", ["", "bm90IGd6aXA=", "%%%", "H4sIAAAAAAAAAw=="])
def test_evidence_that_cannot_be_read_is_lost_and_nothing_else(packed: str):
    now, objects = recorded.snapshot("rolled-back")
    for obj in objects:
        if "result.json.gz" in (obj.get("binaryData") or {}):
            obj["binaryData"]["result.json.gz"] = packed
    shown = recorded.call(recorded.Recorded(objects), "explain", "embedder", now=now)
    assert shown.code == 0
    assert "The evidence of parity is lost" in " ".join(shown.out.split())
    assert "FAIL  parity" in shown.out
