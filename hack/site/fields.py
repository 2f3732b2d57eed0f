"""The page of every field, made of the schema that the API server gets."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelrelease.api import constants, crd

Schema = Mapping[str, Any]

_INTRODUCTION: Final = f"""# Every field

Made of the models at each build of this site. [The API](api.md) explains what belongs together; in a
cluster `kubectl explain mrel.spec.strategy` shows the same. Bounds are inclusive. `?` stands behind fields
that may be left out.

The group is `{constants.GROUP}`, the version `{constants.VERSION}`.
"""
_HEAD: Final = "| field | type | default | bounds | meaning |\n|---|---|---|---|---|"


def page() -> str:
    """Return the page, in Markdown."""
    parts = [_INTRODUCTION]
    for title, schema in (
        (constants.RELEASE_KIND, crd.release_schema()),
        (constants.RUN_KIND, crd.run_schema()),
    ):
        parts.append(f"## {title}\n\n{schema['description']}")
        for top in ("spec", "status"):
            parts += _sections(top, schema["properties"][top])
    return "\n\n".join(parts) + "\n"


def _sections(path: str, schema: Schema) -> Iterator[str]:
    """Return a section with a table for an object, then those of the objects in it."""
    rows, inner = [], []
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        mark = "" if name in required else "?"
        rows.append(
            f"| `{name}`{mark} | {_type(field)} | {_default(field)} | {_bounds(field)} "
            f"| {_cell(field.get('description', ''))} |"
        )
        held = _held(field)
        if held is not None:
            suffix = "[]" if field.get("type") == "array" else ""
            inner.append((f"{path}.{name}{suffix}", held))
    text = schema.get("description", "")
    rules = [f"- {_cell(rule['message'])}" for rule in schema.get("x-kubernetes-validations", ())]
    yield "\n\n".join(
        part
        for part in (
            f"### {path}",
            text,
            "\n".join([_HEAD, *rows]) if rows else "",
            "Rules:\n\n" + "\n".join(rules) if rules else "",
        )
        if part
    )
    for below, held in inner:
        yield from _sections(below, held)


def _held(field: Schema) -> Schema | None:
    """Return the object that a field holds, alone or in a list, where it has fields of its own."""
    held: Schema = field.get("items", field)
    return held if held.get("properties") else None


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"map of {_type(field['additionalProperties'])}"
    if "enum" in field:
        return " ".join(f"`{_cell(str(value))}`" for value in field["enum"])
    return str(field.get("type", "any"))


def _default(field: Schema) -> str:
    # An object's default is that of its fields, which its own section shows.
    if "default" not in field or _held(field) is not None:
        return ""
    value = field["default"]
    return f"`{_cell(value if isinstance(value, str) else json.dumps(value))}`"


def _bounds(field: Schema) -> str:
    said = [
        f"{word} {field[key]:,}".replace(",", "\u202f")
        for key, word in (
            ("minimum", "≥"),
            ("maximum", "≤"),
            ("minLength", "length ≥"),
            ("maxLength", "length ≤"),
            ("minItems", "items ≥"),
            ("maxItems", "items ≤"),
            ("maxProperties", "entries ≤"),
        )
        if key in field
    ]
    if "pattern" in field:
        said.append(f"`{_cell(field['pattern'])}`")
    return ", ".join(said)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
