"""``kubectl mrel lint --prometheus``: whether objectives find data, on real servers."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from modelrelease.cli.mrel import main, shell
from tests.integration.prometheus import history, servers
from tests.unit.api import rule_cases

RATIO = {"total": {"metric": "answers_total"}, "bad": {"metric": "failures_total"}}


def release(name: str, path: str, *own: dict[str, Any]) -> dict[str, Any]:
    slos = [
        {"name": "availability", "objective": "99", "availability": {}},
        {"name": "latency", "objective": "95", "latency": {"thresholdMilliseconds": 500}},
        *own,
    ]
    made = rule_cases.release({"slos": slos}, name=name)
    operation = {"name": "embed", "protocol": "OpenAIEmbeddings", "path": path}
    made["spec"]["endpoint"] = {"runtime": "Infinity", "operations": [operation]}
    made["metadata"]["namespace"] = servers.NAMESPACE
    return made


@pytest.mark.parametrize(
    ("manifest", "without"),
    [
        (release("minilm", "/embeddings"), {}),
        (release("minilm", "/embedding"), {0: "had such series", 1: "had such series"}),
        (release("other", "/embeddings"), {0: "had such series", 1: "had such series"}),
        (release("quiet", "/embeddings"), {0: "answered a request that counts", 1: "had such series"}),
        (
            release(
                "minilm",
                "/embeddings",
                {"name": "own", "objective": "99", "prometheus": {"ratio": RATIO}},
                {"name": "up", "objective": "90", "prometheus": {"threshold": {"metric": "up", "min": "1"}}},
                {"name": "q", "objective": "90", "prometheus": {"threshold": {"metric": "queu", "max": "1"}}},
            ),
            {2: "had such series", 4: "had such series"},
        ),
    ],
    ids=["found", "another path", "another release", "no request", "one's own"],
)
def test_objectives_without_data_are_told(
    remembered: history.History, tmp_path: Path, manifest: dict[str, Any], without: dict[int, str]
) -> None:
    path = tmp_path / "release.json"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    here = shell.Shell(out=io.StringIO(), err=io.StringIO())
    asked = ["lint", str(path), "--production", "--prometheus", remembered.url, "-o", "json"]
    assert main.run(asked, here) == 1  # it has neither owner nor runbook
    assert isinstance(here.out, io.StringIO)
    found = {
        entry[1]: entry[2]
        for entry in json.loads(here.out.getvalue())[0]["findings"]
        if "no data" in entry[2]
    }
    assert set(found) == {f"spec.slos[{index}]" for index in without}
    for index, says in without.items():
        assert says in found[f"spec.slos[{index}]"]
