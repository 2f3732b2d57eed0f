"""The alerts are rules that promtool accepts, and fire when they should."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelrelease.api import endpoint, parse, series_rules, spec
from modelrelease.prometheus import alerts
from tests.unit.api import rule_cases

ROOT = Path(__file__).parents[3]
OPERATOR = ROOT / "manifests" / "prometheus" / "operator.yaml"
PAGES = ROOT / "docs" / "alerts"
OLD, NEW = "r0123456789", "rabcdef0123"
RATIO = {"total": {"metric": "t_total"}, "good": {"metric": "g_total"}}
QUERIES = {
    "total": 'sum by (pod) (t_total{pod=~"$pods"})',
    "bad": 'sum by (pod) (b_total{pod=~"$pods"}) # of them',
}


def of(*slos: dict[str, Any], runtime: str = "Infinity", period_days: int = 30) -> dict[str, Any]:
    declared = [{"name": f"slo-{number}", "objective": "99.9", **slo} for number, slo in enumerate(slos)]
    chosen = {"endpoint": {"protocol": "OpenAIEmbeddings", "runtime": runtime}, "slos": declared}
    release = parse.parse_release(rule_cases.release(chosen)).spec
    assert isinstance(release, spec.ReleaseSpec), release
    made: dict[str, Any] = alerts.rules("minilm", "search", release, period_days=period_days)
    return made


def promtool(
    folder: Path, what: str, groups: Any, *tests: dict[str, Any]
) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yaml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    name = "rules.yaml"
    if tests:
        name = "tests.yaml"
        document = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": list(tests)}
        (folder / name).write_text(yaml.safe_dump(document), encoding="utf-8")
    return subprocess.run(
        ["promtool", what, "rules", name], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("runtime", [one.value for one in endpoint.Runtime])
def test_promtool_accepts_the_rules_of_every_runtime(tmp_path: Path, runtime: str) -> None:
    slos: list[dict[str, Any]] = [{"prometheus": {"ratio": RATIO}}, {"prometheus": {"queries": QUERIES}}]
    slos += [] if runtime in series_rules.WITHOUT_COUNTS else [{"availability": {}}]
    slos += [] if runtime in series_rules.WITHOUT_LATENCY else [{"latency": {"thresholdMilliseconds": 500}}]
    made = of(*slos, runtime=runtime)
    assert len(made["spec"]["groups"]) == len(slos)
    done = promtool(tmp_path, "check", made["spec"])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_promtool_accepts_the_rules_of_the_operator(tmp_path: Path) -> None:
    document = yaml.safe_load(OPERATOR.read_text(encoding="utf-8"))
    done = promtool(tmp_path, "check", document["spec"])
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def served(revision: str, good: int, bad: int) -> list[dict[str, str]]:
    """Return what a pod of a revision answers in a minute."""
    labels = f'handler="/v1/embeddings",namespace="search",pod="minilm-{revision}-5f7d9-x2x4z"'
    return [
        {"series": f'http_requests_total{{status="{status}",{labels}}}', "values": f"0+{count}x150"}
        for status, count in (("2xx", good), ("5xx", bad))
        if count
    ]


def fires(revision: str, name: str, team: str = "ml") -> dict[str, str]:
    severity = "page" if name.endswith("Fast") else "ticket"
    return {
        "revision": revision, "namespace": "search", "release": "minilm", "slo": "slo-0",
        "severity": severity, "team": team,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "alert", "fired"),
    [
        pytest.param(20, "ModelReleaseBudgetBurnsFast", True, id="2 % burn twenty times as fast as allowed"),
        pytest.param(5, "ModelReleaseBudgetBurnsFast", False, id="0.5 % is no page"),
        pytest.param(5, "ModelReleaseBudgetBurnsSlowly", True, id="and a ticket"),
        pytest.param(1, "ModelReleaseBudgetBurnsSlowly", False, id="0.1 % is what is allowed"),
    ],
)
def test_an_alert_names_the_revision_that_burns(tmp_path: Path, bad: int, alert: str, fired: bool) -> None:
    made = of({"availability": {}})
    expected = [{"exp_labels": fires(NEW, alert)}] if fired else []
    for rule in made["spec"]["groups"][0]["rules"]:
        rule.pop("annotations", None)
    done = promtool(
        tmp_path,
        "test",
        made["spec"],
        {
            "interval": "1m",
            "input_series": [*served(OLD, 1000, 0), *served(NEW, 1000 - bad, bad)],
            "alert_rule_test": [{"eval_time": "2h", "alertname": alert, "exp_alerts": expected}],
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("period", "fired"), [(7, True), (30, False)])
def test_half_a_budget_in_a_day_makes_a_page(tmp_path: Path, period: int, fired: bool) -> None:
    """4 times the budget: a ticket over 30 days, and 57 % of a week's budget in a day."""
    made = of({"availability": {}}, period_days=period)
    for rule in made["spec"]["groups"][0]["rules"]:
        rule.pop("annotations", None)
    alert = "ModelReleaseBudgetBurnsFast"
    done = promtool(
        tmp_path,
        "test",
        made["spec"],
        {
            "interval": "1m",
            "input_series": served(NEW, 996, 4),
            "alert_rule_test": [
                {
                    "eval_time": "2h",
                    "alertname": alert,
                    "exp_alerts": [{"exp_labels": fires(NEW, alert)}] if fired else [],
                }
            ],
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_its_page_and_its_row() -> None:
    document = yaml.safe_load(OPERATOR.read_text(encoding="utf-8"))
    groups = [*document["spec"]["groups"], *of({"availability": {}})["spec"]["groups"]]
    found = {
        rule["alert"]: (
            rule["labels"]["severity"],
            rule["labels"]["team"],
            rule["annotations"]["runbook_url"],
        )
        for group in groups
        for rule in group["rules"]
        if "alert" in rule
    }
    row = re.compile(r"\| \[(\w+)\]\((\w+\.md)\) \|[^|]*\| (\w+) \| (\w+) \|")
    table = [match for match in map(row.match, (PAGES / "README.md").read_text().splitlines()) if match]
    assert {one[1]: (one[3], one[4], f"docs/alerts/{one[2]}") for one in table} == found
    for name, (severity, team, page) in found.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        said = {"ml": "ML team", "sre": "SRE"}[team]
        assert text.startswith(f"# {name}\n\n**{severity.capitalize()}, {said}.**")
