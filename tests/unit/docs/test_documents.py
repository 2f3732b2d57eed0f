"""Every manifest in the documentation is what the API server and the operator would take."""

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic.alias_generators import to_camel

from modelrelease.api import checks, constants, lint, spec
from modelrelease.controller import settings
from tests.unit.api import rule_cases
from tests.unit.docs import blocks

BLOCKS = blocks.of("yaml")
HERE = [
    (block, text)
    for block in blocks.of(*blocks.SHELLS)
    for text in blocks.documents(block)
    if "kind:" in text or text.lstrip().startswith(("apiVersion", "{"))
]
KINDS = {name for name in map(to_camel, checks.Check.model_fields) if name not in {"name", "enforcement"}}
SETTINGS = set(map(to_camel, settings.Settings.model_fields))
CHART = json.loads(
    (blocks.ROOT / "charts" / "modelrelease" / "values.schema.json").read_text(encoding="utf-8")
)
FIELDS = {field.alias or name for name, field in spec.ReleaseSpec.model_fields.items()}


def whole(text: str) -> str:
    """Return a document with what pages leave out for short: the digits of a digest, the rest of a list."""
    text = re.sub(r"sha256:\w*…", f"sha256:{'a' * 64}", text)
    return re.sub(r"@[0-9a-f]*…", f"@{'b' * 40}", text)


def load(block: blocks.Block) -> list[Any]:
    return [one for one in yaml.safe_load_all(whole(block.text)) if one is not None]


def errors(release: Any) -> list[str]:
    return [str(found) for found in lint.lint(release) if found.severity is lint.Severity.ERROR]


def within(part: dict[str, Any]) -> dict[str, Any]:
    """Return the smallest release with a part of a spec put into it, and with what that part refers to."""
    release = rule_cases.release()
    endpoint = release["spec"]["endpoint"]
    if "operations" in part.get("endpoint", {}):
        del endpoint["protocol"]
    if {"preprocess", "environment", "generation"} & set(part.get("model", {}).get("contract", {})):
        endpoint["probe"] = {"tokenSecret": {"name": "probe", "key": "token"}}
    if any("internals" in check for check in part.get("checks") or []):
        release["spec"]["model"]["artifact"] = {"uri": "pvc://models/a", "digest": f"sha256:{'a' * 64}"}
    merge(release["spec"], part)
    return release


def merge(into: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = value


def releases(document: Any) -> list[dict[str, Any]] | None:
    """Return the releases that a document is, or is a part of; None of anything else."""
    if isinstance(document, list):
        found = [releases(entry) for entry in document]
        return None if None in found else [one for several in found for one in several or ()]
    if document.get("kind") == constants.RELEASE_KIND:
        return [document]
    if set(document) == {"spec"}:
        return [within(document["spec"])]
    if set(document) <= FIELDS:
        return [within(document)]
    if "protocol" in document:
        before = {"name": document.get("after"), "protocol": document["protocol"], "model": "draft"}
        others = [before] if "after" in document else []
        return [rule_cases.release({"endpoint": {"operations": [*others, document]}})]
    if len(document) == 1 and set(document) <= KINDS:
        return [within({"checks": [{"name": "own", **document}]})]
    return None


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_manifest_has_no_errors(block: blocks.Block) -> None:
    """A whole release is linted; a part of one is linted within the smallest release."""
    for document in load(block):
        found = releases(document)
        if found is not None:
            assert [one for release in found for one in errors(release)] == []
        elif "kind" in document:
            assert document["apiVersion"]
        elif block.page.name == "install.md":
            jsonschema.validate(document, CHART)
        elif set(document) <= SETTINGS:
            settings.Settings.model_validate({"checksImage": "checks:1", **document})
        else:
            assert block.text.startswith("# "), "say in its first line what a foreign document is"


@pytest.mark.parametrize(("block", "text"), HERE, ids=lambda value: str(value)[:40])
def test_what_a_command_is_given_has_no_errors(block: blocks.Block, text: str) -> None:
    for document in yaml.safe_load_all(whole(text)):
        assert document["apiVersion"]
        if document["kind"] == constants.RELEASE_KIND and set(document["spec"]) == {"override"}:
            # What is applied server-side beside the rest of the spec.
            assert errors(rule_cases.release(document["spec"])) == []
        elif document["kind"] == constants.RELEASE_KIND:
            assert errors(document) == []


@pytest.mark.parametrize("block", blocks.of("json"), ids=str)
def test_json_is_json(block: blocks.Block) -> None:
    """One value, or one in each line."""
    try:
        json.loads(block.text)
    except json.JSONDecodeError:
        for line in block.text.splitlines():
            json.loads(line)


@pytest.mark.parametrize("block", blocks.of("python"), ids=str)
def test_python_is_python(block: blocks.Block) -> None:
    compile(block.text, str(block), "exec")


def test_every_fence_says_what_it_is_and_somebody_reads_it() -> None:
    """Commands, documents and code are tested; text was printed, or is a shape that no program reads."""
    known = {*blocks.SHELLS, "json", "markdown", "python", "text", "toml", "yaml"}
    fences = [block for page in blocks.PAGES for block in blocks.fences(page)]
    assert [str(block) for block in fences if block.language not in known] == []
