"""Blame: which cause explains what differs inside a model, which are ruled out, and which are left.

Each cause is one line of a table, in the order in which a prompt passes through a generator. `Proven` means
that the candidate was run otherwise and every gate passed. `Likely` means that the place where the two sides
part admits nothing else. Where the evidence fits two causes the answer is `Unknown`.
"""

import dataclasses
from typing import Final

from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.internals import trace
from canary_checks.internals.causes import (
    blocks,
    cause,
    contrast,
    decoding,
    denoising,
    inquiry,
    numbers,
    reading,
    sampling,
)
from canary_checks.parity.causes import naming

_GENERATORS: Final = (
    *numbers.TABLE,
    *reading.TABLE,
    *sampling.TABLE,
    *denoising.TABLE,
    *decoding.TABLE,
)
_MODELS: Final = (*numbers.TABLE, *reading.TOKENS_TABLE, *blocks.TABLE)
TABLE: Final = (*_GENERATORS, *blocks.TABLE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blame:
    """What a difference inside a model is blamed on, and where it begins.

    Attributes
    ----------
    report
        For the result.
    stage
        First stage whose output differs; None where all are the same.
    step
        First step after which the latents differ, from 1; None where that is not known.
    layer
        First layer whose attention differs at the first step; None where none does.
    tried
        How often the candidate was run otherwise.
    """

    report: schema.DiagnosisReport
    stage: str | None
    step: int | None
    layer: str | None
    tried: int


def diagnose(
    seen: contrast.Contrast,
    measure: inquiry.Measure | None = None,
    passes: inquiry.Passes | None = None,
) -> Blame:
    """Name the cause of a difference, or say what is excluded and what is left.

    Parameters
    ----------
    seen
        The traces of both sides; some gate failed.
    measure, passes
        Run the candidate otherwise and judge it; without them nothing can be proven.

    Returns
    -------
    A named cause with its confidence, or `Unknown`; never more than the evidence carries.
    """
    if measure is not None and passes is not None:
        seen = inquiry.inquire(seen, measure, passes)
    layer = seen.first_layer(*contrast.DENOISERS, *seen.encoders, contrast.MODEL)
    step = seen.step
    return Blame(
        report=_report(seen),
        stage=seen.broken,
        step=None if step is None else step + 1,
        layer=layer,
        tried=len(seen.trials),
    )


def _report(seen: contrast.Contrast) -> schema.DiagnosisReport:
    table = _GENERATORS if seen.reference.library is trace.Library.DIFFUSERS else _MODELS
    fitting = [(one, named) for one in table if one.signature and (named := one.signature(seen)) is not None]
    fitting.sort(key=lambda pair: (pair[1].confidence is not v.Confidence.PROVEN, not pair[1].fact))
    contradicted = {one.name: one.contradiction(seen) for one in table}
    both = _together(seen)
    chosen = None if both else next(((one, named) for one, named in fitting if named.sole), None)
    if chosen is None and not both:
        chosen = _without_rivals(fitting, contradicted)
    where = _where(seen)
    return naming.report(table, contradicted, chosen, seen=[*both, *where], where=where)


def _without_rivals(
    fitting: list[tuple[cause.Cause, cause.Named]], contradicted: dict[str, str | None]
) -> tuple[cause.Cause, cause.Named] | None:
    """Return the only cause whose signature fits, if every rival is contradicted or known to look alike."""
    left = {name for name, because in contradicted.items() if because is None}
    alone = [
        (one, named) for one, named in fitting if one.name in left and left - {one.name} <= one.compatible
    ]
    return alone[0] if len(alone) == 1 else None


def _together(seen: contrast.Contrast) -> list[str]:
    """Say which changes cure only together."""
    for change, trial in seen.trials.items():
        said = [name for name in ("tokens", "steps", "guidance", "scheduler") if getattr(change, name)]
        if trial.passed and len(said) > 1:
            return [f"two faults: only with the reference's {' and '.join(said)} every gate passes"]
    return []


def _where(seen: contrast.Contrast) -> list[str]:
    """Say where the two sides part."""
    parts = []
    if seen.broken is not None:
        parts.append(
            f"first stage that differs: {seen.broken} (relative distance {seen.stages[seen.broken]:.2g})"
        )
    if seen.step is not None:
        parts.append(f"latents differ from step {seen.step + 1} of {seen.reference.setting.steps} on")
    return ["; ".join(parts)] if parts else []
