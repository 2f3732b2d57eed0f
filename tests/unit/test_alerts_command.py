from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer import testing

from modelrelease.cli import alerts
from tests.unit.api import rule_cases

APP = typer.Typer()
APP.command()(alerts.alerts)


def run(folder: Path, *documents: Any, options: tuple[str, ...] = ()) -> Any:
    path = folder / "release.yaml"
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return testing.CliRunner().invoke(APP, [str(path), *options])


def test_each_release_of_a_file_has_its_rules(tmp_path: Path) -> None:
    service = {"kind": "Service", "metadata": {"name": "x"}}
    one = rule_cases.release(rule_cases.slo(), name="one")
    two = rule_cases.release(rule_cases.slo(), name="two")
    two["metadata"]["namespace"] = "search"
    done = run(tmp_path, one, service, two, options=("--period-days", "7", "--runbooks", "https://x.test/"))
    assert done.exit_code == 0, done.output
    made = list(yaml.safe_load_all(done.output))
    assert [(rule["metadata"]["name"], rule["metadata"]["namespace"]) for rule in made] == [
        ("one-slos", "default"),
        ("two-slos", "search"),
    ]
    (group,) = made[0]["spec"]["groups"]
    (page, _) = [rule for rule in group["rules"] if "alert" in rule]
    assert page["annotations"]["runbook_url"] == "https://x.test/ModelReleaseBudgetBurnsFast.md"
    assert "over 7 days" in page["annotations"]["summary"]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"kind": "Service"}, "holds no ModelRelease"),
        (rule_cases.release({"slos": [{"name": "a", "objective": "99"}]}), "must have exactly one of"),
    ],
)
def test_what_is_no_release_is_told_in_a_sentence(tmp_path: Path, document: Any, says: str) -> None:
    done = run(tmp_path, document)
    assert done.exit_code == 64
    assert says in done.output


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = testing.CliRunner().invoke(APP, [str(tmp_path / "none.yaml")])
    assert (done.exit_code, "cannot be read" in done.output) == (64, True)
