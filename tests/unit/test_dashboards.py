"""The dashboards are what the generator makes, whole and consistent; what they ask for exists."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hack.dashboards import __main__ as dashboards
from hack.dashboards import boards, live, series
from modelrelease.api import endpoint
from modelrelease.controller import exposition, loop, telemetry

ROOT = Path(__file__).parents[2]
COMMITTED = sorted(dashboards.FOLDER.glob("*.json"))
FITTING = [one for one in endpoint.Runtime if one not in (endpoint.Runtime.TRITON, endpoint.Runtime.KSERVE)]
WORDS = {"by", "or", "unless", "offset", "and", "on"}
ELSEWHERE = {"ALERTS", "vllm:num_requests_waiting", "DCGM_FI_DEV_FB_USED"}
"""Metrics of others; panels that ask for them may be empty."""


class Clock:
    def monotonic(self) -> float:
        return 0.0


DOCUMENTS: list[tuple[str, Any]] = [
    (path.stem, json.loads(path.read_text(encoding="utf-8"))) for path in COMMITTED
]


def test_the_committed_dashboards_are_what_the_generator_makes():
    made = {path.name: path.read_text(encoding="utf-8") for path in COMMITTED}
    assert made == dashboards.documents(dashboards.RUNTIME), "run `make dashboards`"
    assert {path.stem for path in COMMITTED} == {"executive", "on-call", "debug"}


def test_the_chart_embeds_these_files():
    assert (ROOT / "charts" / "modelrelease" / "dashboards").resolve() == dashboards.FOLDER


@pytest.mark.parametrize(("name", "document"), DOCUMENTS)
def test_a_panel_says_what_it_shows_in_which_unit_and_stands_alone(name: str, document: Any):
    taken: set[tuple[int, int]] = set()
    assert len({panel["id"] for panel in document["panels"]}) == len(document["panels"])
    assert len({panel["title"] for panel in document["panels"]}) == len(document["panels"])
    for panel in document["panels"]:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, f"{name}: {panel['title']} lies on another panel"
        taken |= cells
    assert document["uid"] == f"modelrelease-{name}"


@pytest.mark.parametrize(("name", "document"), DOCUMENTS)
def test_every_dashboard_marks_deployments_and_can_be_narrowed(name: str, document: Any):
    variables = [variable["name"] for variable in document["templating"]["list"]]
    assert variables[:3] == ["datasource", "namespace", "release"], name
    assert {one["name"] for one in document["annotations"]["list"]} >= {"Traffic moves", "A run ends"}


def exported() -> set[str]:
    made = telemetry.Telemetry(Clock())  # type: ignore[arg-type]
    made.stands(loop.Key("1", "ns", "a"), exposition.Standing())
    names = set()
    for family in made.registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(
            family.type, ("",)
        )
        names |= {family.name + suffix for suffix in suffixes}
    return names


def asked_for(expr: str) -> set[str]:
    """Return the names of metrics in a query."""
    bare = re.sub(r'"[^"]*"', "", expr)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|\b(by|without|on) \([^)]*\)|\boffset \w+|\$\w+", " ", bare)
    names = re.findall(r"(?<![\w:])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])", bare)
    return {name for name in names if name not in WORDS}


def test_every_metric_is_exported_by_the_operator_or_named_by_a_runtime():
    known = exported() | series.Servers.of(dashboards.RUNTIME).names
    optional = live.optional()
    for question in live.everything():
        missing = asked_for(question.expr) - known
        if (question.board, question.what) in optional:
            missing -= ELSEWHERE
        assert not missing, f"{question.board}, {question.what}"


def test_names_of_metrics_are_found_in_queries():
    expr = 'sum by (le) (rate(a:b_total{x="y_total"}[5m] offset 1m)) / (c unless d offset 7d) * $price'
    assert asked_for(expr) == {"a:b_total", "c", "d"}


def test_no_variable_is_left_open():
    assert all("$namespace" not in question.filled(60) for question in live.everything())
    unknown = live.Asked("a", "b", 'x{y="$nobody"}')
    with pytest.raises(ValueError, match=r"a, b: nobody fills \$nobody"):
        unknown.filled(60)


@pytest.mark.parametrize("runtime", FITTING)
def test_every_runtime_with_a_histogram_has_dashboards(runtime: endpoint.Runtime, tmp_path: Path):
    assert dashboards.main(["--runtime", runtime.value, "--folder", str(tmp_path)]) == 0
    assert len(list(tmp_path.glob("*.json"))) == len(COMMITTED)


@pytest.mark.parametrize("runtime", ["Triton", "KServe"])
def test_a_runtime_without_one_is_refused_in_a_sentence(
    runtime: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert dashboards.main(["--runtime", runtime, "--folder", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"{runtime} has no histogram of its requests")
    assert not list(tmp_path.iterdir())


def test_the_documentation_shows_every_panel_and_why_one_may_be_empty():
    page = (ROOT / "docs" / "dashboards.md").read_text(encoding="utf-8")
    for board in boards.boards(series.Servers.of(dashboards.RUNTIME)):
        for panel in board.panels:
            assert panel.title in page
            assert panel.optional in page


def test_the_documentation_of_metrics_names_what_the_operator_exports():
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in exported() if name.startswith("modelrelease_")
    }
    assert {name for name in names if f"`{name}`" not in page} == set()
