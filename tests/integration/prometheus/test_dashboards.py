"""The queries of the dashboards, for every runtime: Prometheus reads them, and says what they should."""

import subprocess
from pathlib import Path

import pytest
import yaml

from hack.dashboards import __main__ as dashboards
from hack.dashboards import live, series
from modelrelease.api import endpoint
from tests.unit import test_dashboards


def promtool(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("runtime", test_dashboards.FITTING)
def test_prometheus_reads_every_query(tmp_path: Path, runtime: endpoint.Runtime):
    questions = [
        question
        for name, text in dashboards.documents(runtime).items()
        for question in live.asked(name, text)
    ]
    rules = [
        {"record": f"query:{number}", "expr": question.filled(1200)}
        for number, question in enumerate(questions)
    ]
    document = {"groups": [{"name": "dashboards", "rules": rules}]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    done = promtool(tmp_path, "check", "rules", "--lint=none", "rules.yaml")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def served(
    status: str, values: str, path: str = "/v1/embeddings", revision: str = "r0123456789"
) -> dict[str, str]:
    labels = f'namespace="search",pod="minilm-{revision}-5f7d9-x2x4z",handler="{path}",status="{status}"'
    return {"series": f"http_requests_total{{{labels}}}", "values": values}


LABELS = '{namespace="search", release="minilm", revision="r0123456789"}'
SERVERS = series.Servers.of(dashboards.RUNTIME)


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        pytest.param(SERVERS.share("bad"), [{"labels": LABELS, "value": 0.25}], id="the server's failures"),
        pytest.param(SERVERS.share("refused"), [{"labels": LABELS, "value": 0}], id="nobody was refused"),
        pytest.param(SERVERS.per_second(), [{"labels": LABELS, "value": 1}], id="health checks are no users"),
        pytest.param(
            series.grown("modelrelease_runs_total", "30m"),
            [
                {"labels": '{outcome="Promoted"}', "value": 6},
                {"labels": '{outcome="RolledBack"}', "value": 2},
            ],
            id="an outcome that is born with its first run counts",
        ),
    ],
)
def test_a_query_says_what_it_should(tmp_path: Path, expr: str, expected: list[dict[str, object]]):
    """One request a second, one of four failed; six runs promoted in half an hour, two returned of late."""
    seen = [
        served("2xx", "0+45x60"),
        served("5xx", "0+15x60"),
        served("2xx", "0+600x60", "/health"),
        {"series": 'modelrelease_runs_total{outcome="Promoted"}', "values": "4+0.2x60"},
        {"series": 'modelrelease_runs_total{outcome="RolledBack"}', "values": "_x40 1+0x9 2+0x20"},
    ]
    filled = live.Asked("a", "b", expr).filled(1200).replace("[1m]", "[5m]")
    asked = {"expr": f"round({filled}, 0.125)", "eval_time": "60m"}
    test = {"interval": "1m", "input_series": seen, "promql_expr_test": [{**asked, "exp_samples": expected}]}
    document = {"rule_files": [], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    done = promtool(tmp_path, "test", "rules", "tests.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
