"""A sweep over schedulers, steps and guidance: each setting in a few numbers, and what most of them share.

It is reported and never judged: a candidate that differs only far from the setting that users get is a reason
to look, and none to roll back.
"""

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from canary_checks.internals import asked, comparison, judging, metric, trace

_AXES: Final = ("scheduler", "steps", "guidance")
Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """A setting as it was asked for; None is what the pipeline does by itself."""

    scheduler: str | None = None
    steps: int | None = None
    guidance: str | None = None

    def named(self) -> str:
        """Return the setting in words for people."""
        parts = (
            self.scheduler,
            f"{self.steps} steps" if self.steps is not None else None,
            f"guidance {self.guidance}" if self.guidance is not None else None,
        )
        return ", ".join(part for part in parts if part is not None) or "the model's own"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """What one setting showed.

    Attributes
    ----------
    entropy
        By layer: mean over prompts and steps.
    snr
        Of each channel of the clean latents, dB, with the floor of `comparison`; shape ``[channels]``.
    distance
        Mean distance of successive latents; NaN without.
    non_finite
        How many values inside were not finite.
    """

    entropy: Mapping[str, float]
    snr: Floats
    distance: float
    non_finite: int


@dataclasses.dataclass(frozen=True)
class Report:
    """How far each setting is from the reference's, in times of the limit that fails, by metric."""

    shares: Mapping[Point, Mapping[str, float]]

    def failing(self) -> list[Point]:
        """Return the settings of which some number is beyond its limit."""
        return [point for point, own in self.shares.items() if max(own.values(), default=0.0) > 1]

    def dominant(self) -> str | None:
        """Say in words what most failing settings share; None where none fails."""
        failing = self.failing()
        if not failing:
            return None
        leads = collections.Counter(_lead(self.shares[point]) for point in failing)
        name, times = leads.most_common(1)[0]
        said = f"{len(failing)} of {len(self.shares)} settings of the sweep differ, {times} most in {name}"
        where = self._concentrated(failing)
        return f"{said}; {where}" if where else said

    def _concentrated(self, failing: Sequence[Point]) -> str:
        """Name the value of one axis that all failing settings share and that always fails, if any."""
        for axis in _AXES:
            values = {getattr(point, axis) for point in failing}
            if len(values) != 1 or len({getattr(point, axis) for point in self.shares}) == 1:
                continue
            (value,) = values
            if all(point in failing for point in self.shares if getattr(point, axis) == value):
                return f"exactly those with {axis} {value}"
        return ""


def _lead(shares: Mapping[str, float]) -> str:
    """Return the number that is farthest beyond its limit."""
    return max(shares, key=lambda name: shares[name])


def points(wanted: asked.Sweep) -> Iterator[Point]:
    """Give every setting of a sweep."""
    for scheduler, steps, guidance in itertools.product(
        wanted.schedulers or (None,), wanted.steps or (None,), wanted.guidance or (None,)
    ):
        yield Point(scheduler=scheduler, steps=steps, guidance=guidance)


def summary(seen: trace.Trace) -> Summary:
    """Reduce a trace to what a sweep keeps of it."""
    latents = seen.latents
    return Summary(
        entropy={
            comparison.name(one): float(one.entropy.astype(np.float64).mean()) for one in seen.attention
        },
        snr=np.zeros(0, np.float32)
        if latents is None
        else comparison.floored_snr(latents)[-1].astype(np.float32),
        distance=math.nan if latents is None else float(latents.distance.mean()),
        non_finite=judging.non_finite(seen),
    )


def compare(ours: Mapping[Point, Summary], theirs: Mapping[Point, Summary]) -> Report:
    """Compare the settings that both sides have."""
    return Report({point: _shares(own, theirs[point]) for point, own in ours.items() if point in theirs})


def _shares(ours: Summary, theirs: Summary) -> dict[str, float]:
    bands = judging.BANDS
    both = [abs(ours.entropy[name] - value) for name, value in theirs.entropy.items() if name in ours.entropy]
    found: dict[metric.Metric, float] = {metric.Metric.ENTROPY_SHIFT_MAX: max(both, default=0.0)}
    if ours.snr.shape == theirs.snr.shape and ours.snr.size:
        found[metric.Metric.CHANNEL_SNR_SHIFT_MAX_DECIBELS] = float(np.abs(ours.snr - theirs.snr).max())
    if theirs.distance:
        moved = abs(ours.distance - theirs.distance)
        found[metric.Metric.LATENT_DISTANCE_SHIFT] = moved / abs(theirs.distance)
    shares = {str(name): value / bands[name].fails for name, value in found.items()}
    shares = {name: math.inf if math.isnan(value) else value for name, value in shares.items()}
    return shares | {str(metric.Metric.NON_FINITE): math.inf if ours.non_finite else 0.0}
