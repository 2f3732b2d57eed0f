"""Gates of a check of internals: limits by numeric class, and between Pass and Fail a band without a verdict.

The limits on attention, channels and latents are those measured on a real model (research, parity.md §2.8):
up to bf16 and FP8 everything benign is below the first number, and every fault above the second. What lies
between was seen of neither. A gate of the request is exact: what passes it passes, everything else fails.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from canary_checks import failure, request, schema
from canary_checks import vocabulary as v
from canary_checks.internals import comparison, metric, trace
from canary_checks.parity import gates, numeric

Metric = metric.Metric
_AT_LEAST: Final = frozenset({Metric.DECODER_PSNR_DECIBELS})
_UNITS: Final = {
    Metric.CHANNEL_SNR_SHIFT_MEAN_DECIBELS: "dB",
    Metric.CHANNEL_SNR_SHIFT_MAX_DECIBELS: "dB",
    Metric.DECODER_PSNR_DECIBELS: "dB",
}


@dataclasses.dataclass(frozen=True)
class Band:
    """Up to `passes` is Pass, beyond `fails` is Fail, between them is Inconclusive."""

    passes: float
    fails: float


BANDS: Final = {
    Metric.ENTROPY_SHIFT_MAX: Band(0.01, 0.02),
    # Over all layers, benign and faults: bf16 1.0e-3, FP8 6.4e-3, the mildest fault 1.8e-2.
    Metric.ENTROPY_SHIFT_MEAN: Band(0.01, 0.02),
    Metric.CHANNEL_SNR_SHIFT_MEAN_DECIBELS: Band(0.1, 0.4),
    Metric.CHANNEL_SNR_SHIFT_MAX_DECIBELS: Band(0.5, 1.0),
    Metric.LATENT_DISTANCE_SHIFT: Band(0.005, 0.012),
}
PSNR_SAME: Final = Band(40.0, 30.0)
"""With the same type of numbers on both sides."""
PSNR_OTHER: Final = Band(30.0, 25.0)
_STAGE_CEILING: Final = 4.0
"""As for vectors: a limit never grows beyond four times its floor."""
_SAMPLED: Final = frozenset({trace.LAST_STEP, trace.LATENTS, trace.DECODER})
_ROOM: Final = 2.0
"""The class's floor is of one pooled vector; T5's whole output moved by up to 1.3 of it in 16 bits."""
_SAMPLED_ROOM: Final = 4.0
"""Rounding adds up over the steps: in 8 of them to 1.6 of the floor, in bf16 and in fp16."""


def stage_band(numeric_class: v.NumericClass, stage: str = "") -> Band:
    """Return how far a stage's output may be from the reference's.

    ``|a - b| / |b|`` of two vectors of one length is ``sqrt(2 (1 - cos))``: the floor on the cosine distance
    of the class, and its ceiling, as relative distances; twice that, and four times after many steps.
    """
    floor = math.sqrt(2 * numeric.TOLERANCES[numeric_class].cosine_distance)
    floor *= _SAMPLED_ROOM if stage in _SAMPLED else _ROOM
    return Band(floor, _STAGE_CEILING * floor)


class Limits:
    """The limits of one check.

    Parameters
    ----------
    overrides
        From the request.

    Raises
    ------
    CheckError
        ``InvalidRequest``: a gate that this check would ignore.
    """

    def __init__(self, overrides: Sequence[request.GateOverride] = ()) -> None:
        self.declared: dict[Metric, float] = {}
        for one in overrides:
            try:
                asked = Metric(one.metric)
            except ValueError:
                known = ", ".join(sorted(Metric))
                raise failure.CheckError(
                    "InvalidRequest", f"this check has no limit on {one.metric}, only on {known}"
                ) from None
            side = "min" if asked in _AT_LEAST else "max"
            limits = one.limits()
            if set(limits) != {side} or limits[side] < 0:
                raise failure.CheckError(
                    "InvalidRequest", f"{asked} takes `{side}`, at least 0, and nothing else"
                )
            self.declared[asked] = limits[side]

    def band(self, which: Metric, default: Band) -> tuple[Band, v.Basis]:
        """Return the declared limit of a metric, or else the default."""
        own = self.declared.get(which)
        return (default, v.Basis.DEFAULT) if own is None else (Band(own, own), v.Basis.DECLARED)


def non_finite(seen: trace.Trace) -> int:
    """Count what is not finite inside a model: values of attention, of stages, of latents, of images."""
    count = sum(int(np.isnan(one.entropy[:, :]).sum()) for one in seen.attention if (one.keys > 1).all())
    count += sum(int((~np.isfinite(one.norm)).sum()) for one in seen.stages)
    if seen.latents is not None:
        count += int((~np.isfinite(seen.latents.norm)).sum())
    return count + int(seen.decoded is not None and not seen.decoded.finite)


def absolute(seen: trace.Trace, limits: Limits) -> list[schema.Gate]:
    """Judge what needs no reference."""
    return [
        _at_most(
            limits,
            Metric.NON_FINITE,
            float(non_finite(seen)),
            Band(0, 0),
            samples=len(seen.prompts),
            role="Absolute",
        )
    ]


def against(
    found: comparison.Difference,
    limits: Limits,
    *,
    numeric_class: v.NumericClass,
    same_numbers: bool,
    role: gates.Against,
) -> list[schema.Gate]:
    """Judge a difference; a number that there is none of has no gate.

    Parameters
    ----------
    found
        What was compared.
    limits
        Of the request.
    numeric_class
        The pair's.
    same_numbers
        Whether both sides were run in the same type of numbers.
    role
        Which reference it is.
    """
    n = found.prompts
    judged = []

    def add(which: Metric, value: float, default: Band) -> None:
        judged.append(_at_most(limits, which, value, default, samples=n, role=role))

    add(Metric.TOKEN_MISMATCHES, float(len(found.mismatched)), Band(0, 0))
    worst = found.entropy_worst()
    if found.missing:
        # Another architecture: what cannot be compared is not alike.
        add(Metric.STAGE_DISTANCE, math.inf, stage_band(numeric_class))
    elif found.stages:
        stage = max(found.stages, key=lambda name: _reached(found, name, numeric_class))
        add(Metric.STAGE_DISTANCE, float(found.stages[stage].max()), stage_band(numeric_class, stage))
    if worst is not None:
        add(Metric.ENTROPY_SHIFT_MAX, worst[0], BANDS[Metric.ENTROPY_SHIFT_MAX])
        add(Metric.ENTROPY_SHIFT_MEAN, found.entropy_mean(), BANDS[Metric.ENTROPY_SHIFT_MEAN])
    if found.snr is not None:
        size = np.abs(found.snr)
        for which, value in (
            (Metric.CHANNEL_SNR_SHIFT_MEAN_DECIBELS, float(size.mean())),
            (Metric.CHANNEL_SNR_SHIFT_MAX_DECIBELS, float(size.max())),
        ):
            add(which, value, BANDS[which])
        add(Metric.CHANNEL_SIGN_FLIPS, float(len({channel for _, channel in found.flips})), Band(0, 0))
    if found.distance is not None:
        add(Metric.LATENT_DISTANCE_SHIFT, float(found.distance.mean()), BANDS[Metric.LATENT_DISTANCE_SHIFT])
    if found.psnr is not None:
        default = PSNR_SAME if same_numbers else PSNR_OTHER
        band, basis = limits.band(Metric.DECODER_PSNR_DECIBELS, default)
        judged.append(
            _gate(
                Metric.DECODER_PSNR_DECIBELS,
                float(found.psnr.min()),
                band,
                basis=basis,
                samples=len(found.psnr),
                role=role,
            )
        )
    if Metric.GUIDANCE_SHIFT in limits.declared:
        value = float("nan") if found.guidance is None else float(found.guidance.mean())
        samples = 0 if found.guidance is None else n
        judged.append(_at_most(limits, Metric.GUIDANCE_SHIFT, value, Band(0, 0), samples=samples, role=role))
    return judged


def _at_most(
    limits: Limits, which: Metric, observed: float, default: Band, *, samples: int, role: gates.Against
) -> schema.Gate:
    band, basis = limits.band(which, default)
    return _gate(which, observed, band, basis=basis, samples=samples, role=role)


def _gate(
    which: Metric, observed: float, band: Band, *, basis: v.Basis, samples: int, role: gates.Against
) -> schema.Gate:
    upward = which in _AT_LEAST
    sign = -1 if upward else 1
    if not samples:
        verdict = v.Verdict.NO_DATA
    elif math.isfinite(observed) and sign * observed <= sign * band.passes:
        verdict = v.Verdict.PASS
    elif math.isfinite(observed) and sign * observed <= sign * band.fails:
        verdict = v.Verdict.INCONCLUSIVE
    else:
        verdict = v.Verdict.FAIL
    return schema.Gate(
        metric=which,
        against=role,
        verdict=verdict,
        observed=v.number(observed),
        operator=">=" if upward else "<=",
        limit=band.fails if verdict is v.Verdict.FAIL else band.passes,
        basis=basis,
        samples=samples,
        unit=_UNITS.get(which),
    )


def first_broken(found: comparison.Difference, numeric_class: v.NumericClass) -> tuple[str, float] | None:
    """Return the first stage beyond its limit, with its distance; None where none is."""
    for name, far in found.stages.items():
        value = float(far.max())
        if not value <= stage_band(numeric_class, name).passes:
            return name, value
    return None


def _reached(found: comparison.Difference, name: str, numeric_class: v.NumericClass) -> float:
    """Return a stage's distance in times of its limit; of what is no number, infinity."""
    value = float(found.stages[name].max()) / stage_band(numeric_class, name).passes
    return value if math.isfinite(value) else math.inf
