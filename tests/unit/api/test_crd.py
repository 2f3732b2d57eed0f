from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml

from modelrelease.api import base, crd, parse, spec
from tests.unit.api import rule_cases

CRDS = Path(__file__).parents[3] / "crds"
RELEASE = crd.release_schema()
RUN = crd.run_schema()


def test_crds_are_current() -> None:
    stored = {path.name: path.read_text(encoding="utf-8") for path in CRDS.iterdir()}
    assert stored == crd.files(), "run `make crds`"


def test_the_command_writes_the_files(tmp_path: Path) -> None:
    assert crd.main([str(tmp_path / "crds")]) == 0
    assert {path.name: path.read_text() for path in (tmp_path / "crds").iterdir()} == crd.files()
    assert crd.main([]) == 2


def test_they_stay_small() -> None:
    assert all(len(text.encode()) < 200 * 1024 for text in crd.files().values())


def walk(schema: dict[str, Any], at: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield at, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{at}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from walk(schema[key], f"{at}[*]")


NODES = [
    node
    for kind, schema in (("release", RELEASE), ("run", RUN))
    for part in ("spec", "status")
    for node in walk(schema["properties"][part], f"{kind}.{part}")
]


@pytest.mark.parametrize(("at", "schema"), NODES, ids=[at for at, _ in NODES])
def test_everything_is_typed_and_bounded(at: str, schema: dict[str, Any]) -> None:
    if schema.get("x-kubernetes-int-or-string"):
        return
    kind = schema["type"]
    if kind == "integer":
        assert {"minimum", "maximum", "format"} <= schema.keys()
    elif kind == "string":
        assert {"maxLength", "enum"} & schema.keys() or schema.get("format") == "date-time"
    elif kind == "array":
        assert "maxItems" in schema
    else:
        assert kind in {"object", "boolean"}
        assert "additionalProperties" not in schema or "maxProperties" in schema
    assert "nullable" not in schema


def test_lists_of_named_entries_are_merged_by_their_keys() -> None:
    keys = {
        path: crd.at(RELEASE, path)["x-kubernetes-list-map-keys"]
        for path in (
            "spec.checks",
            "spec.slos",
            "spec.endpoint.operations",
            "spec.override.rejected",
            "spec.override.approvals",
            "spec.override.waivers",
            "status.conditions",
        )
    }
    assert keys == {
        "spec.checks": ["name"],
        "spec.slos": ["name"],
        "spec.endpoint.operations": ["name"],
        "spec.override.rejected": ["revision"],
        "spec.override.approvals": ["revision", "stage"],
        "spec.override.waivers": ["revision", "check"],
        "status.conditions": ["type"],
    }


def test_what_the_operator_writes_has_no_defaults() -> None:
    # Of a whole status the default says what its absence means, and fills in no field of a record.
    written = [(at, node) for at, node in NODES if at not in {"run.status", "release.status"}]
    records = [node for at, node in written if not at.startswith("release.spec")]
    assert [node for node in records if "default" in node] == []


def test_nothing_is_defaulted_on_call() -> None:
    override = crd.at(RELEASE, "spec.override")
    assert [node for _, node in walk(override, "") if "default" in node] == []


def defaulted(schema: dict[str, Any], value: Any) -> Any:
    """Fill in defaults as the API server does."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        filled = {name: child["default"] for name, child in properties.items() if "default" in child}
        merged = filled | value
        inner = schema.get("additionalProperties", {})
        return {name: defaulted(properties.get(name, inner), entry) for name, entry in merged.items()}
    if isinstance(value, list):
        return [defaulted(schema.get("items", {}), entry) for entry in value]
    return value


@pytest.mark.parametrize("case", rule_cases.CASES, ids=str)
def test_the_servers_defaults_are_pydantics(case: rule_cases.Case) -> None:
    parsed = spec.ReleaseSpec.model_validate(case.good["spec"], by_name=False)
    filled = defaulted(crd.at(RELEASE, "spec"), case.good["spec"])
    filled.setdefault("override", {})
    stored = parse.defaulted(parsed)
    stored.setdefault("override", {})
    assert filled == stored


def test_live_fields_have_the_specs_defaults() -> None:
    release = spec.ReleaseSpec.model_validate(rule_cases.RELEASE["spec"])
    assert parse.Live() == parse.Live(
        replicas=release.replicas,
        max_surge=release.strategy.max_surge,
        max_unavailable=release.strategy.max_unavailable,
        revision_history_limit=release.revision_history_limit,
        run_history_limit=release.run_history_limit,
    )


def test_columns_tell_the_story() -> None:
    definition = yaml.safe_load(crd.files()["modelreleases.yaml"])
    version = definition["spec"]["versions"][0]
    columns = [c["name"] for c in version["additionalPrinterColumns"] if not c.get("priority")]
    assert columns == ["Phase", "Stable", "Candidate", "Weight", "Verdict", "Override", "Message", "Age"]
    assert definition["spec"]["names"]["shortNames"] == ["mrel"]
    assert definition["spec"]["names"]["categories"] == ["mlops"]
    assert set(version["subresources"]) == {"status", "scale"}


def test_what_nothing_has_touched_says_so() -> None:
    assert RUN["properties"]["status"]["default"] == {"phase": "Queued"}
    # No generation is -1: tools that follow kstatus wait instead of taking a newborn release for done.
    assert RELEASE["properties"]["status"]["default"] == {"observedGeneration": -1}


def test_columns_exist_in_the_schema() -> None:
    for name, schema in (("modelreleases.yaml", RELEASE), ("modelreleaseruns.yaml", RUN)):
        version = yaml.safe_load(crd.files()[name])["spec"]["versions"][0]
        for column in version["additionalPrinterColumns"]:
            if column["jsonPath"] != ".metadata.creationTimestamp":
                assert crd.at(schema, column["jsonPath"].removeprefix("."))["type"] == column["type"]


def test_descriptions_are_plain_and_short() -> None:
    for at, node in NODES:
        text = node.get("description", "")
        assert ":mod:" not in text, at
        assert "``" not in text, at
        assert len(text) <= 200, at


def test_a_model_that_has_no_structural_schema_is_refused() -> None:
    class Union(base.ApiModel):
        """Two kinds of value."""

        value: int | str

    class Multiple(base.ApiModel):
        """A keyword that structural schemas lack."""

        value: int = pydantic.Field(multiple_of=2)

    class Nothing(base.ApiModel):
        """A fixed value is an enum of one."""

        value: int | None = pydantic.Field(default=None, ge=0, le=3_000_000_000)

    with pytest.raises(ValueError, match="can't say"):
        crd.structural(Union, defaults=True)
    with pytest.raises(ValueError, match="multipleOf"):
        crd.structural(Multiple, defaults=True)
    value = crd.structural(Nothing, defaults=True)["properties"]["value"]
    assert value == {"type": "integer", "format": "int64", "minimum": 0, "maximum": 3_000_000_000}
