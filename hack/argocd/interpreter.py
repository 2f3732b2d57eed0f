"""Run the scripts as Argo CD runs them, in this process: Lua 5.1 with as little of its libraries.

The real thing is ``argocd admin settings resource-overrides``, which `make test-argocd` asks; this is for the
tests that have to be quick.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from lupa import lua51  # type: ignore[import-untyped]

from hack.argocd import fragment

FORBIDDEN: Final = ("string", "math", "io", "debug", "coroutine", "dofile", "loadfile", "python")


class Refused(Exception):
    """The script ended with an error; the message is what Argo CD shows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """What Argo CD shows beside the heart."""

    status: str
    message: str


def health(obj: Mapping[str, Any]) -> Health:
    """Return the health of an object of ours."""
    found = run(fragment.health(obj["kind"]), obj)
    return Health(found["status"], found["message"])


def actions(obj: Mapping[str, Any]) -> dict[str, bool]:
    """Return which actions Argo CD offers for a release, and whether each can be chosen."""
    found = run(fragment.discovery(), obj)
    return {name: not action["disabled"] for name, action in found.items()}


def act(obj: Mapping[str, Any], action: str, **parameters: str) -> dict[str, Any]:
    """Return the release as an action leaves it."""
    # Lua knows no difference between an empty list and an empty object: what it touched is what counts.
    changed = run(fragment.action(action), obj, parameters)
    return {
        **copy.deepcopy(dict(obj)),
        "spec": {**obj["spec"], "override": changed["spec"]["override"] or {}},
    }


def run(script: str, obj: Mapping[str, Any], parameters: Mapping[str, str] | None = None) -> Any:
    """Run a script over an object, and return what it returns.

    Raises
    ------
    Refused
        It ends with an error, or with something that Argo CD can't read.
    """
    runtime = lua51.LuaRuntime(register_eval=False, unpack_returned_tuples=True)
    space = runtime.globals()
    space.obj = runtime.table_from(obj, recursive=True)
    space.actionParams = runtime.table_from(dict(parameters or {}))
    for name in FORBIDDEN:
        space[name] = None
    try:
        return _python(runtime.execute(script))
    except lua51.LuaError as error:
        raise Refused(str(error)) from None


def _python(value: Any, seen: set[str] | None = None) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    seen = seen if seen is not None else set()
    if str(value) in seen:
        raise Refused("the same table twice: Argo CD can't encode that")
    seen.add(str(value))
    found = {key: _python(entry, seen) for key, entry in value.items()}
    return list(found.values()) if found and list(found) == list(range(1, len(found) + 1)) else found
