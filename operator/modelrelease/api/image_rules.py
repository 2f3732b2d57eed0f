"""The rules about operations that draw: what they read, what they go on with, and where they are asked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrelease.api import endpoint as endpoints
from modelrelease.api import rule

_OPERATION: Final = "spec.endpoint.operations[*]"
_STAGES: Final = 4
_DRAWING: Final = tuple(one.value for one in endpoints.Protocol if one.endswith("Images"))


def draws_cel(operation: str) -> str:
    """Return the CEL of: this operation answers a prompt with an image."""
    return f"({operation}.protocol.endsWith('Images') || has({operation}.images))"


def draws(operation: Mapping[str, Any]) -> bool:
    """Return whether an operation answers a prompt with an image."""
    return operation["protocol"] in _DRAWING or "images" in operation


def _end(operations: Sequence[Mapping[str, Any]]) -> bool:
    by_name = {one["name"]: one for one in operations}
    for one in operations:
        stages = [one]
        while "after" in stages[-1]:
            before = by_name.get(stages[-1]["after"])
            if before is None or not draws(before) or len(stages) == _STAGES:
                return False
            stages.append(before)
    return True


def _end_cel(stages: int, after: str = "") -> str:
    """Return the CEL of: what an operation comes after draws, and begins at most so many stages before."""
    one = f"o{stages}"
    begins = f"!has({one}.after)"
    if after:
        begins = f"{one}.name == {after} && {draws_cel(one)} && ({begins}"
    if stages > 1:
        begins += f" || {_end_cel(stages - 1, f'{one}.after')}"
    return f"self.exists({one}, {begins}))" if after else f"self.all({one}, {begins})"


IMAGE_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="endpoint-images",
        paths=("spec.endpoint.protocol",),
        cel="!self.endsWith('Images')",
        message=(
            "must not be one of images, whose operation has a name of its own: write operations: "
            "[{name: image, protocol: OpenAIImages}] instead of protocol"
        ),
        holds=lambda protocol: protocol not in _DRAWING,
    ),
    rule.Rule(
        id="operation-draws",
        paths=(_OPERATION,),
        cel=f"{draws_cel('self')} ? self.modality == 'Text' : (!has(self.after) && !has(self.via))",
        message=(
            "must have modality Text where it draws, because it reads a prompt, and neither after nor via "
            "where it answers with vectors: only images go from one operation to the next"
        ),
        holds=lambda operation: (
            operation["modality"] == "Text"
            if draws(operation)
            else "after" not in operation and "via" not in operation
        ),
    ),
    rule.Rule(
        id="operation-after",
        paths=("spec.endpoint.operations",),
        cel=_end_cel(_STAGES),
        message=(
            "must name in each after another operation that draws, in chains of at most "
            f"{_STAGES} operations that never come back to their beginning: correct the name"
        ),
        holds=_end,
    ),
)
