"""The examples of a team's own checks, as people copy them; their code runs in the tests of canary_checks."""

import pathlib
import re
from typing import Any

import pytest
import yaml

from modelrelease.api import lint

ROOT = pathlib.Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*-check/release.yaml"))
DIGEST = "sha256:" + "a" * 64


def objects(path: pathlib.Path) -> dict[str, Any]:
    return {obj["kind"]: obj for obj in yaml.safe_load_all(path.read_text())}


def errors(manifest: Any) -> list[lint.Finding]:
    return [found for found in lint.lint(manifest) if found.severity is lint.Severity.ERROR]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_is_a_valid_release_without_a_warning(path: pathlib.Path):
    release = objects(path)["ModelRelease"]
    assert lint.lint(release) == ()
    (own,) = [check["custom"] for check in release["spec"]["checks"] if "custom" in check]
    assert set(own) == {"job" if path.parent.name == "custom-check" else "webhook"}


def test_the_service_of_the_example_is_the_one_that_is_asked_with_the_key_that_it_knows():
    found = objects(ROOT / "examples" / "webhook-check" / "release.yaml")
    (webhook,) = [c["custom"]["webhook"] for c in found["ModelRelease"]["spec"]["checks"] if "custom" in c]
    assert webhook["url"] == f"http://{found['Service']['metadata']['name']}/check"
    key = webhook["signingKeyRef"]
    assert key["name"] == found["Secret"]["metadata"]["name"]
    assert len(found["Secret"]["stringData"][key["key"]]) >= 16
    (container,) = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["env"][0]["valueFrom"]["secretKeyRef"] == key


def test_the_checks_of_the_page_are_valid():
    text = (ROOT / "docs" / "checks" / "custom.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    release = objects(EXAMPLES[0])["ModelRelease"]
    release["spec"]["checks"] = yaml.safe_load(block.replace("sha256:…", DIGEST))["checks"]
    assert errors(release) == []
    assert [check["name"] for check in release["spec"]["checks"]] == ["quality", "review"]


@pytest.mark.parametrize("program", ["custom-check/check.py", "webhook-check/server.py"])
def test_an_image_holds_the_program_and_does_not_run_as_root(program: str):
    folder, _, name = program.partition("/")
    lines = (ROOT / "examples" / folder / "Dockerfile").read_text().splitlines()
    assert f"COPY {name} /{name}" in lines
    (user,) = [line for line in lines if line.startswith("USER ")]
    assert re.fullmatch(r"USER [1-9][0-9]*:[1-9][0-9]*", user)
