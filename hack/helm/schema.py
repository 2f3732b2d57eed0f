"""The part of the chart's values.schema.json that the operator's own settings say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from modelrelease.controller import settings

CHART: Final = Path(__file__).parents[2] / "charts" / "modelrelease"
FILE: Final = CHART / "values.schema.json"
PLACE: Final = "config"
"""Of the generated part: below ``$defs``."""
OF_THE_CHART: Final = frozenset(
    {
        "checksImage",
        "checksTorchImage",
        "namespaces",
        "logLevel",
        "healthHost",
        "healthPort",
        "prometheus",
    }
)
"""Settings that the chart has values of its own for, or that its manifests rely on."""


def config() -> dict[str, Any]:
    """Return the schema of the value ``config``: the operator's settings, less those of the chart."""
    template = f"#/$defs/{PLACE}/$defs/{{model}}"
    found: dict[str, Any] = _plain(settings.Settings.model_json_schema(ref_template=template))
    found["properties"] = {
        name: said for name, said in found["properties"].items() if name not in OF_THE_CHART
    }
    del found["required"]
    return found


def _plain(said: Any) -> Any:
    """Return a schema without what a machine has no use for; a property may well be called ``title``."""
    if isinstance(said, list):
        return [_plain(item) for item in said]
    if not isinstance(said, dict):
        return said
    return {
        key: {name: _plain(inner) for name, inner in value.items()}
        if key in {"properties", "$defs"}
        else _plain(value)
        for key, value in said.items()
        if key not in {"title", "default"}
    }


def text() -> str:
    """Return the whole file, with the generated part as the settings now are."""
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    schema["$defs"][PLACE] = config()
    return f"{json.dumps(schema, indent=2)}\n"
