"""What a GPU showed while a check loaded it, noted on the check's Job beside what else is kept of it."""

import datetime
import json
from collections.abc import Mapping
from typing import Any, Final

import pydantic

from canary_checks import result
from modelrelease.api import constants
from modelrelease.api import run as api_run
from modelrelease.core import accelerators

ANNOTATION: Final = f"{constants.GROUP}/accelerator"
_GATES: Final = pydantic.TypeAdapter(list[api_run.GateStatus])

Window = tuple[datetime.datetime, datetime.datetime]


def window(said: result.CheckResult) -> Window | None:
    """Return when the server was under load, or None of a check that loads nothing."""
    lasted = said.timings.phases_milliseconds.get("load")
    if not lasted:
        return None
    end = said.timings.completion_time
    return end - datetime.timedelta(milliseconds=lasted), end


def note(judged: accelerators.Judged) -> Mapping[str, str]:
    """Return the annotation of a Job."""
    gates = [gate.model_dump(mode="json", by_alias=True) for gate in judged.gates]
    return {ANNOTATION: json.dumps({"gates": gates, "message": judged.message})}


def noted(annotations: Mapping[str, Any]) -> accelerators.Judged | None:
    """Return what a Job has noted, or None; what cannot be read was never written by this operator."""
    try:
        said = json.loads(annotations.get(ANNOTATION) or "null")
        gates = _GATES.validate_python(said["gates"]) if isinstance(said, dict) else None
    except (ValueError, KeyError):
        return None
    return accelerators.Judged(tuple(gates), str(said.get("message", ""))) if gates else None
