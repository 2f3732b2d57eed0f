"""The manifests that people copy: valid, and each one mistake away from its neighbour."""

import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from modelrelease.api import lint

ROOT = pathlib.Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"
RELEASES = sorted(SAMPLES.glob("[1-9]-*.yaml"))


def load(path: pathlib.Path) -> Any:
    return yaml.safe_load(path.read_text())


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{index}]")
    else:
        yield path, value


@pytest.mark.parametrize("path", RELEASES, ids=lambda path: path.stem)
def test_a_sample_has_no_errors(path: pathlib.Path):
    errors = [found for found in lint.lint(load(path)) if found.severity is lint.Severity.ERROR]
    assert errors == []


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ("1-first-release", "2-modules", ".spec.template.spec.containers[0].image"),
        ("2-modules", "3-lost-lowercase", ".spec.template.spec.containers[0].image"),
        ("2-modules", "4-cpu-limit", ".spec.template.spec.containers[0].resources.limits.cpu"),
        ("2-modules", "5-grace-period", ".spec.template.spec.terminationGracePeriodSeconds"),
    ],
)
def test_a_life_changes_one_value(before: str, after: str, field: str):
    old, new = (dict(leaves(load(SAMPLES / f"{name}.yaml"))) for name in (before, after))
    assert {path for path in old | new if old.get(path) != new.get(path)} == {field}


def test_the_simplest_manifest_of_the_readme_is_valid():
    text = (ROOT / "README.md").read_text()
    manifest = next(
        block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "kind: ModelRelease" in block
    )
    manifest = manifest.replace("sha256:…", "sha256:" + "a" * 64)
    errors = [found for found in lint.lint(yaml.safe_load(manifest)) if found.severity is lint.Severity.ERROR]
    assert errors == []
