"""The rules about checks of what happens inside a model."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from modelrelease.api import artifact, internals, rule

_AT: Final = "spec.checks[*].internals"
_AT_LEAST: Final = sorted(metric.value for metric in internals.AT_LEAST)
_OF_PIPELINES: Final = ("scheduler", "steps", "guidance", "sweep")
_SWEPT: Final = ("schedulers", "steps", "guidance")
_GUIDANCE_MAX: Final = 100


def _inside(release: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for check in release.get("checks", ()):
        if "internals" in check:
            yield check["internals"]


def _is_mounted(release: Mapping[str, Any]) -> bool:
    uri = (release["model"].get("artifact") or {}).get("uri", "")
    return uri.startswith(artifact.MOUNTED) or next(_inside(release), None) is None


def _settings(sweep: Mapping[str, Any]) -> int:
    """Return how many settings a sweep has."""
    found = 1
    for field in _SWEPT:
        found *= len(sweep.get(field, [None]))
    return found


def _limits(gate: Mapping[str, Any]) -> bool:
    wanted = "min" if gate["metric"] in _AT_LEAST else "max"
    return {limit for limit in ("min", "max") if limit in gate} == {wanted}


_COUNTS: Final = " * ".join(f"(has(self.{field}) ? size(self.{field}) : 1)" for field in _SWEPT)
_MOUNTED: Final = " || ".join(
    f"self.model.artifact.uri.startsWith('{scheme}')" for scheme in artifact.MOUNTED
)

INTERNALS_RULES: Final[tuple[rule.Rule, ...]] = (
    rule.Rule(
        id="internals-artifact",
        paths=("spec",),
        field=".checks",
        cel=(
            "!has(self.checks) || !self.checks.exists(c, has(c.internals)) || "
            f"(has(self.model.artifact) && ({_MOUNTED}))"
        ),
        message=(
            "must hold internals only with a model.artifact that is mounted (pvc:// or image://), because "
            "the check loads its files itself: declare it, or remove the check"
        ),
        holds=_is_mounted,
    ),
    rule.Rule(
        id="internals-operation",
        paths=("spec.checks[*]",),
        field=".operation",
        cel="!has(self.internals) || !has(self.operation)",
        message="must be left out with internals, which asks no operation and runs the model's files itself",
        holds=lambda check: "internals" not in check or "operation" not in check,
    ),
    rule.Rule(
        id="internals-pipeline",
        paths=(_AT,),
        field=".library",
        cel=(
            "!has(self.library) || self.library == 'Diffusers' || "
            f"!({' || '.join(f'has(self.{field})' for field in _OF_PIPELINES)})"
        ),
        message=(
            "must be Diffusers with scheduler, steps, guidance or sweep, which a model of Transformers has "
            "not: remove them, or correct the library"
        ),
        holds=lambda inside: (
            inside.get("library", "Diffusers") == "Diffusers"
            or not any(field in inside for field in _OF_PIPELINES)
        ),
    ),
    rule.Rule(
        id="internals-guidance",
        paths=(f"{_AT}.guidance", f"{_AT}.sweep.guidance[*]"),
        cel=f"double(self) <= {_GUIDANCE_MAX}.0",
        message=f'must be a guidance scale from 0 to {_GUIDANCE_MAX}, such as "7.5"',
        holds=lambda guidance: Decimal(guidance) <= _GUIDANCE_MAX,
    ),
    rule.Rule(
        id="internals-sweep",
        paths=(f"{_AT}.sweep",),
        cel=f"{_COUNTS} >= 2 && {_COUNTS} <= {internals.SWEEP_MAX}",
        message=(
            f"must name 2 to {internals.SWEEP_MAX} settings, which are the numbers of schedulers, steps and "
            "guidance scales multiplied: shorten the lists, or leave sweep out"
        ),
        holds=lambda sweep: 2 <= _settings(sweep) <= internals.SWEEP_MAX,  # noqa: PLR2004
    ),
    rule.Rule(
        id="internals-limits",
        paths=(f"{_AT}.gates[*]",),
        cel=(
            f"self.metric in {_AT_LEAST} ? (has(self.min) && !has(self.max)) : "
            "(has(self.max) && !has(self.min))"
        ),
        message="must set min for DecoderPsnrDecibels, and max for every other metric",
        holds=_limits,
    ),
)
