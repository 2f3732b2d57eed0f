"""What can be said of the chart without Helm."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from hack.helm import programs, schema

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "modelrelease"
SCHEMA = json.loads(schema.FILE.read_text(encoding="utf-8"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
PAGES = [CHART / "README.md.gotmpl", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = [
    pytest.param(block, id=f"{page.name} {place}")
    for page in PAGES
    for place, block in enumerate(
        re.findall(
            r"^```yaml\n(# values\.yaml.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
    )
]


def test_the_schema_knows_the_settings_of_the_operator():
    assert schema.FILE.read_text(encoding="utf-8") == schema.text(), "run `make chart`"


def test_the_schema_is_one_and_the_defaults_meet_it():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)


@pytest.mark.parametrize("text", SHOWN)
def test_values_that_a_page_shows_meet_it(text: str):
    jsonschema.validate(yaml.safe_load(text), SCHEMA)


def test_every_value_has_a_schema():
    assert {*VALUES, "global"} == set(SCHEMA["properties"])


def closed(node: Any, at: str) -> None:
    """Assert that every object says what else it may hold."""
    if isinstance(node, list):
        for place, item in enumerate(node):
            closed(item, f"{at}[{place}]")
    elif isinstance(node, dict):
        assert "properties" not in node or "additionalProperties" in node or "required" in node, at
        for key, value in node.items():
            closed(value, f"{at}.{key}")


def test_a_misspelt_value_is_an_error_everywhere():
    closed(SCHEMA, "")


def test_chart_and_project_have_one_version():
    said = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{said["version"]}"\n' in project


def test_every_value_has_a_sentence_for_the_readme():
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(lines):
        if re.match(r"\w+: \S", line) or re.match(r"  \w+: (\"\"|\[\]|\w+)$", line):
            assert lines[place - 1].lstrip().startswith("# -- ") or "{" in line, line


def test_what_it_shares_with_kustomize_is_shared_not_copied():
    for name, source in (
        ("crds", "crds"),
        ("base", "manifests/base"),
        ("prometheus", "manifests/prometheus"),
    ):
        assert (CHART / "files" / name).resolve() == (ROOT / source).resolve()


@pytest.mark.parametrize("program", programs.ALL, ids=lambda program: program.name)
def test_helm_and_its_tools_are_pinned_with_checksums(program: Any):
    assert re.fullmatch(r"v\d+\.\d+\.\d+", program.version())
    assert (program.folder / "go.sum").stat().st_size > 0
