"""The inputs and outputs of one route, as a server's OpenAPI document states them."""

from typing import Any, Final

from canary_checks import vocabulary as v
from canary_checks.clients import client, describing

_PROPERTIES: Final = 96
_DEPTH: Final = 6
_WIDTH: Final = 16
_TYPE_LENGTH: Final = 512
_VARIANTS: Final = ("anyOf", "oneOf", "allOf")


def schema_of(document: Any, path: str) -> client.Description:
    """Name the properties of a route's request and response.

    Parameters
    ----------
    document
        What claims to be an OpenAPI 3 document.
    path
        The route's path, POST.

    Returns
    -------
    ``openapi.version`` and, of each body, ``openapi.request.<property>`` or ``openapi.response.<property>``
    with a type like ``array<string>|string, required``; empty where the document has no such route.
    """
    route = _at(document, "paths", path, "post")
    if not isinstance(route, dict):
        return {}
    found: client.Description = {}
    version = _at(document, "info", "version")
    if isinstance(version, str):
        found["openapi.version"] = describing.short(version)
    body = ("content", "application/json", "schema")
    _properties(document, _at(route, "requestBody", *body), "openapi.request", _DEPTH, found)
    _properties(document, _at(route, "responses", "200", *body), "openapi.response", _DEPTH, found)
    return found


def _properties(root: Any, schema: Any, name: str, depth: int, found: client.Description) -> None:
    schema = _resolved(root, schema)
    if not isinstance(schema, dict) or not depth or len(found) >= _PROPERTIES:
        return
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required")
        needed = set(map(str, required)) if isinstance(required, list) else set()
        for key in sorted(map(str, properties))[:_PROPERTIES]:
            said = _type(root, properties.get(key), _DEPTH) + (", required" if key in needed else "")
            found[v.sentence(f"{name}.{key[:64]}", 160)] = describing.short(said)
        return
    variants = _variants(schema)
    for place, variant in enumerate(variants):
        _properties(root, variant, f"{name}.{place}", depth - 1, found)
    if not variants:
        found[name] = describing.short(_type(root, schema, _DEPTH))


def _type(root: Any, schema: Any, depth: int) -> str:
    schema = _resolved(root, schema)
    if not isinstance(schema, dict) or not depth:
        return "any"
    options = schema.get("enum")
    if isinstance(options, list):
        return f"enum({', '.join(sorted(str(o)[:32] for o in options[:_WIDTH] if not _nested(o)))})"
    variants = _variants(schema)
    if variants:
        return "|".join(sorted({_type(root, one, depth - 1) for one in variants}))[:_TYPE_LENGTH]
    kind = schema.get("type")
    if kind == "array":
        return f"array<{_type(root, schema.get('items'), depth - 1)}>"
    return kind[:32] if isinstance(kind, str) else "any"


def _variants(schema: dict[str, Any]) -> list[Any]:
    return [one for key in _VARIANTS if isinstance(schema.get(key), list) for one in schema[key][:_WIDTH]]


def _resolved(root: Any, schema: Any) -> Any:
    """Follow references within the document, a bounded number of them."""
    for _ in range(_DEPTH):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        steps = reference[2:].split("/")[:_DEPTH]
        schema = _at(root, *(step.replace("~1", "/").replace("~0", "~") for step in steps))
    return None


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)
