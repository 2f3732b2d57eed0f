"""Into how many Jobs for each pod a check is split: by golden set, and by shares of a large one."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Final

from modelrelease.api import checks as api_checks
from modelrelease.api import endpoint as endpoints
from modelrelease.api import internals
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
    generation: bool = False
    """Of a contract: whether it is about what operations draw with, which their process tells."""


def portions(judging: api_run.Judging, check: api_checks.Check) -> tuple[Portion, ...]:
    """Return what a check sends to each pod, one portion after the other.

    Parameters
    ----------
    judging
        Declares operations and golden sets.
    check
        Names some of them; without a golden set each modality gets its built-in one, in Jobs of their own,
        and so do operations that draw. Of a contract these are asked last, one Job for all of them.
    """
    probe, operations = check.probe, _operations(judging, check)
    named = next((golden for golden in judging.golden_sets if golden.name == probe.golden_set), None)
    if check.custom is not None:
        # What it sends is its own affair: one Job for each pod.
        return (Portion(0, operations, named, "", 0, 1),)
    if check.internals is not None:
        return (Portion(0, operations, named, "" if named is not None else _texts(check, operations), 0, 1),)
    drawing = tuple(o for o in operations if o.draws) if check.contract is not None else ()
    rest = tuple(o for o in operations if o not in drawing)
    builtins = dict.fromkeys(_builtin(operation) for operation in rest)
    groups = (
        [(rest, named, "")] * bool(rest)
        if named is not None
        else [(tuple(o for o in rest if _builtin(o) == builtin), None, builtin) for builtin in builtins]
    )
    answered = tuple(
        Portion(group * probe.shards + shard, asked, golden, builtin, shard, probe.shards)
        for group, (asked, golden, builtin) in enumerate(groups)
        for shard in range(probe.shards)
    )
    if not drawing:
        return answered
    prompts = "" if named is not None else PROMPTS
    return (*answered, Portion(len(answered), drawing, named, prompts, 0, 1, generation=True))


def told(judging: api_run.Judging, check: api_checks.Check) -> tuple[int, ...]:
    """Return the portions of a check that are about what operations draw with: they leave a record."""
    return tuple(one.index for one in portions(judging, check) if one.generation)


def asked_pods(check: api_checks.Check, tested: Sequence[str]) -> frozenset[str]:
    """Return the UIDs of the pods that a check is about.

    Parameters
    ----------
    check
        What happens inside a model is measured on its files, which are the same in every pod: one Job is
        enough, and its result is bound to the first pod.
    tested
        UIDs of the run's pods, in the order in which the run has noted them.
    """
    return frozenset(tested[:1] if check.internals is not None else tested)


def _texts(check: api_checks.Check, operations: Iterable[endpoints.Operation]) -> str:
    """Return the built-in set whose texts are run through a model: prompts where it draws."""
    declared = check.internals.library if check.internals is not None else None
    if declared is None:
        draws = any(operation.draws for operation in operations)
    else:
        draws = declared is internals.Library.DIFFUSERS
    return PROMPTS if draws else BUILTIN[endpoints.Modality.TEXT]


def _builtin(operation: endpoints.Operation) -> str:
    return PROMPTS if operation.draws else BUILTIN[operation.modality]


def _operations(judging: api_run.Judging, check: api_checks.Check) -> tuple[endpoints.Operation, ...]:
    declared = judging.endpoint.all_operations()
    names = [check.operation] if check.operation is not None else check.probe.operations
    if names is None:
        told = check.contract is not None and judging.endpoint.probe is not None
        return tuple(o for o in declared if told or _can_ask(check, o)) or declared
    wanted = set(names)
    for _ in declared:
        wanted |= {o.after for o in declared if o.name in wanted and o.after is not None}
    return tuple(operation for operation in declared if operation.name in wanted) or declared


def _can_ask(check: api_checks.Check, operation: endpoints.Operation) -> bool:
    """Return whether a check that names no operations asks this one."""
    if check.kind in {"performance", "internals", "custom"}:
        return True
    return operation.draws is (check.fidelity is not None)
