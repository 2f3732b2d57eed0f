"""Into how many Jobs for each pod a check is split: by golden set, and by shares of a large one."""

import dataclasses
from typing import Final

from modelrelease.api import checks as api_checks
from modelrelease.api import endpoint as endpoints
from modelrelease.api import run as api_run

BUILTIN: Final = {endpoints.Modality.TEXT: "TextV1", endpoints.Modality.IMAGE: "ImageV1"}
"""The golden set that is sent where none is named."""
PROMPTS: Final = "PromptV1"
"""The same, of operations that draw."""


@dataclasses.dataclass(frozen=True, slots=True)
class Portion:
    """What one Job sends to one pod."""

    index: int
    """Among the portions of the check."""
    operations: tuple[endpoints.Operation, ...]
    golden_set: api_run.JudgedGoldenSet | None
    """None for the built-in one."""
    builtin: str
    """Name of the built-in set; empty where a set is named."""
    shard: int
    shards: int
    """Which share of the golden set, of how many."""


def portions(judging: api_run.Judging, check: api_checks.Check) -> tuple[Portion, ...]:
    """Return what a check sends to each pod, one portion after the other.

    Parameters
    ----------
    judging
        Declares operations and golden sets.
    check
        Names some of them; without a golden set each modality gets its built-in one, in Jobs of their own,
        and so do operations that draw.
    """
    probe, operations = check.probe, _operations(judging, check)
    named = next((golden for golden in judging.golden_sets if golden.name == probe.golden_set), None)
    if check.custom is not None:
        # What it sends is its own affair: one Job for each pod.
        return (Portion(0, operations, named, "", 0, 1),)
    builtins = dict.fromkeys(_builtin(operation) for operation in operations)
    groups = (
        [(operations, named, "")]
        if named is not None
        else [(tuple(o for o in operations if _builtin(o) == builtin), None, builtin) for builtin in builtins]
    )
    return tuple(
        Portion(group * probe.shards + shard, asked, golden, builtin, shard, probe.shards)
        for group, (asked, golden, builtin) in enumerate(groups)
        for shard in range(probe.shards)
    )


def _builtin(operation: endpoints.Operation) -> str:
    return PROMPTS if operation.draws else BUILTIN[operation.modality]


def _operations(judging: api_run.Judging, check: api_checks.Check) -> tuple[endpoints.Operation, ...]:
    declared = judging.endpoint.all_operations()
    names = [check.operation] if check.operation is not None else check.probe.operations
    if names is None:
        return tuple(operation for operation in declared if _can_ask(check, operation)) or declared
    wanted = set(names)
    for _ in declared:
        wanted |= {o.after for o in declared if o.name in wanted and o.after is not None}
    return tuple(operation for operation in declared if operation.name in wanted) or declared


def _can_ask(check: api_checks.Check, operation: endpoints.Operation) -> bool:
    """Return whether a check that names no operations asks this one."""
    if check.performance is not None or check.custom is not None:
        return True
    return operation.draws is (check.fidelity is not None)
