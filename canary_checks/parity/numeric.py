"""What a numeric class allows: how far apart the same product may come out in arithmetic of that precision.

The floors are the gates measured on a real model with 22 benign variants and 65 faults (research, parity.md
§2.5), about three times the worst benign row. A reference that was recorded with its own noise widens a limit
to three times that noise, and never beyond the ceiling of four times the floor: past it a fault could hide.
"""

import dataclasses
from collections.abc import Iterable
from typing import Final

from canary_checks import vocabulary as v

_CEILING: Final = 4.0
_NOISE: Final = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tolerance:
    """Limits of one numeric class.

    Attributes
    ----------
    cosine_distance
        Floor of the limit on the worst row's ``1 - cos`` against a reference.
    norm_deviation
        Floor of the limit on the worst row's ``| |a|/|b| - 1 |``, also used for the declared length 1.
    repeat_distance
        Limit on the worst row's ``1 - cos`` when one server is asked the same thing twice.
    repeat_norm_deviation
        The same for the norm.
    """

    cosine_distance: float
    norm_deviation: float
    repeat_distance: float
    repeat_norm_deviation: float


# Each class: the worst benign row that was measured (parity.md, its section), and what the limits make of it.
# Limits on repeats are on one server against itself, which has no other precision to differ by.
TOLERANCES: Final = {
    # 1.6e-12 over 8 variants of batch, padding, attention and library (§2.3), 1.9e-12 on other texts (§2.4).
    # Much wider than 3x, for models that are deeper: the mildest fault, one bit of one weight, is at 3.8e-6.
    v.NumericClass.FP32: Tolerance(
        cosine_distance=1e-9, norm_deviation=1e-5, repeat_distance=1e-10, repeat_norm_deviation=1e-5
    ),
    # 8.6e-7 (§2.4), emulated: operands rounded to 10 bits of mantissa, as many as fp16 has. So its limits.
    v.NumericClass.TF32: Tolerance(
        cosine_distance=2e-5, norm_deviation=2e-3, repeat_distance=5e-6, repeat_norm_deviation=1e-3
    ),
    # 2.7e-6, and 3.7e-6 with GELU's tanh form (§2.3): 5x. Batch 1 against 32: 1.4e-6 (§2.4): 3.5x.
    v.NumericClass.FP16: Tolerance(
        cosine_distance=2e-5, norm_deviation=2e-3, repeat_distance=5e-6, repeat_norm_deviation=1e-3
    ),
    # 1.5e-4 (§2.3): 3.3x. Batch 1 against 32: 6.1e-5 (§2.4): 3.3x. The mildest fault is at 8.5e-4.
    v.NumericClass.BF16: Tolerance(
        cosine_distance=5e-4, norm_deviation=1e-2, repeat_distance=2e-4, repeat_norm_deviation=5e-3
    ),
    # 3.4e-3, weights alone, one scale for each channel (§2.3): 3x. Repeats were not measured: a tenth.
    v.NumericClass.INT8: Tolerance(
        cosine_distance=1e-2, norm_deviation=2e-2, repeat_distance=1e-3, repeat_norm_deviation=1e-2
    ),
    # 1.2e-2 with e4m3 (§2.3), 1.9e-2 with 8-bit weights and a scale for each token (§2.4), both emulated: 2x
    # to 3x. Repeats were not measured: a tenth.
    v.NumericClass.FP8: Tolerance(
        cosine_distance=4e-2, norm_deviation=3e-2, repeat_distance=4e-3, repeat_norm_deviation=1e-2
    ),
}


@dataclasses.dataclass(frozen=True)
class Limit:
    """A limit and where it comes from."""

    value: float
    basis: v.Basis


def worse(classes: Iterable[v.NumericClass]) -> v.NumericClass:
    """Return the least exact of some classes, of which there is at least one."""
    order = list(TOLERANCES)
    return max(classes, key=order.index)


def calibrated(floor: float, noise: float | None) -> Limit:
    """Choose the limit between a class's floor and ceiling.

    Parameters
    ----------
    floor
        The class's floor, above 0.
    noise
        The worst row of an A/A run of the reference (the same model, other batches), or None when there was
        none.

    Returns
    -------
    ``clamp(3 x noise, floor, 4 x floor)`` and its basis.
    """
    wanted = _NOISE * noise if noise is not None else 0.0
    if wanted <= floor:
        return Limit(floor, v.Basis.CLASS_FLOOR)
    ceiling = _CEILING * floor
    if wanted >= ceiling:
        return Limit(ceiling, v.Basis.CLASS_CEILING)
    return Limit(wanted, v.Basis.CALIBRATED)
