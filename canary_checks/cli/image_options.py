"""What a command means that asks for images: what it may stand beside, and what it leaves out."""

import pathlib
from collections.abc import Sequence
from typing import Final

from canary_checks import operation
from canary_checks import vocabulary as v
from canary_checks.cli import exits, task

_DEFAULT_SET: Final = "builtin:TextV1"
_PROMPTS: Final = "builtin:PromptV1"


def alone(checks: Sequence[task.Check], stable: str | None, reference: pathlib.Path | None) -> bool:
    """Say whether images are to be drawn.

    Parameters
    ----------
    checks
        What is asked for.
    stable, reference
        As given.

    Raises
    ------
    UsageError
        Another check stands beside it, or it has two references.
    """
    if task.Check.FIDELITY not in checks:
        return False
    if len(checks) > 1:
        raise exits.UsageError("fidelity is asked for alone: the others ask for vectors, of other items")
    if stable is not None and reference is not None:
        raise exits.UsageError("fidelity compares with one of --stable and --reference")
    return True


def told(checks: Sequence[task.Check], operations: Sequence[operation.Operation]) -> bool:
    """Say whether it is asked what images are drawn with: a contract of nothing but such operations."""
    return tuple(checks) == (task.Check.CONTRACT,) and all(one.draws for one in operations)


def golden_set(text: str) -> str:
    """Return the golden set of a command that names none: prompts in place of texts."""
    return _PROMPTS if text == _DEFAULT_SET else text


def protocol(given: v.Protocol) -> v.Protocol:
    """Return the protocol of a command that names none: one that draws."""
    return v.Protocol.OPENAI_IMAGES if given is v.Protocol.OPENAI_EMBEDDINGS else given
