"""Into how many Jobs for each pod a check is split: by golden set, and by shares of a large one."""

import dataclasses
from typing import Final

from modelrelease.api import checks as api_checks
from modelrelease.api import endpoint as endpoints
from modelrelease.api import run as api_run

BUILTIN: Final = {endpoints.Modality.TEXT: "TextV1", endpoints.Modality.IMAGE: "ImageV1"}
"""The golden set that is sent where none is named."""


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
        Names some of them; without a golden set each modality gets its built-in one, in Jobs of their own.
    """
    probe, operations = check.probe, _operations(judging, check)
    named = next((golden for golden in judging.golden_sets if golden.name == probe.golden_set), None)
    modalities = dict.fromkeys(operation.modality for operation in operations)
    groups = (
        [(operations, named, "")]
        if named is not None
        else [
            (tuple(o for o in operations if o.modality is modality), None, BUILTIN[modality])
            for modality in modalities
        ]
    )
    return tuple(
        Portion(group * probe.shards + shard, asked, golden, builtin, shard, probe.shards)
        for group, (asked, golden, builtin) in enumerate(groups)
        for shard in range(probe.shards)
    )


def _operations(judging: api_run.Judging, check: api_checks.Check) -> tuple[endpoints.Operation, ...]:
    declared = judging.endpoint.all_operations()
    names = [check.operation] if check.operation is not None else check.probe.operations
    return tuple(o for o in declared if names is None or o.name in names) or declared
