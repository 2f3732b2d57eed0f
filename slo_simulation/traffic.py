"""Requests of a candidate and of stable's designated pods, slice by slice, with known faults."""

import dataclasses
import enum
from typing import Final

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
"""Shape (runs, slices)."""
Rates = npt.NDArray[np.float64]

SLICE_SECONDS: Final = 15
DAY_SECONDS: Final = 86_400
CLUSTER_MEAN: Final = 5.0
"""Errors of one cluster."""
INCIDENT_SECONDS: Final = 180
INCIDENT_RATIO: Final = 0.03
COLD_SECONDS: Final = 60
COLD_RATIO: Final = 0.05


class Family(enum.StrEnum):
    """How traffic and errors behave in time."""

    STEADY = "steady"
    """Constant load, independent errors: the rule was tuned on these, and on the next three."""
    INCIDENT = "incident"
    """Both arms have 3 % more errors for three minutes."""
    COLD = "cold"
    """Both arms have 5 % more errors in the first minute that their pods are Ready."""
    CLUSTERED = "clustered"
    """Errors come in clusters, five on the average."""
    RAMP = "ramp"
    """Load grows fourfold, and the fault grows from nothing."""
    DIURNAL = "diurnal"
    """Load swings between 0.2 and 1.8 times the rate."""
    BURSTS = "bursts"
    """Load comes in bursts that both arms share, up to ten times the rate."""
    UNEQUAL = "unequal"
    """The candidate takes twice the traffic of what it is compared with."""
    STARVED = "starved"
    """The candidate takes half of the traffic of what it is compared with."""
    HEAVY = "heavy"
    """Errors come in clusters of twenty on the average."""
    POISONING = "poisoning"
    """The fault begins after ten minutes and grows from then on."""
    LONG_INCIDENT = "long-incident"
    """Both arms have 10 % more errors for eight minutes."""


TUNED_ON: Final = frozenset({Family.STEADY, Family.INCIDENT, Family.COLD, Family.CLUSTERED})


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """What happens in every run of a cell."""

    family: Family
    rate: float
    """Requests per second of each arm."""
    stable_ratio: float
    """Bad ratio of stable, and of a good candidate."""
    candidate_ratio: float
    """Bad ratio of the candidate when the fault is fully there."""
    seconds: int = 1800
    warmup_seconds: int = 0
    """For so long pods have been Ready before users meet them (``canary.warmupSeconds``)."""

    @property
    def slices(self) -> int:
        """How many whole slices there are."""
        return self.seconds // SLICE_SECONDS

    @property
    def label(self) -> str:
        """What people read in a table."""
        warmed = f", warmed for {self.warmup_seconds} s" if self.warmup_seconds else ""
        unseen = "" if self.family in TUNED_ON else " (unseen)"
        return f"{self.family}{warmed}{unseen}"


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """What both arms counted."""

    candidate: Counts
    candidate_bad: Counts
    stable: Counts
    stable_bad: Counts
    recorded: int
    """Requests of stable in the 24 hours before."""
    recorded_bad: npt.NDArray[np.int64]
    """Shape (runs,)."""


def generate(scenario: Scenario, runs: int, chance: np.random.Generator) -> Traffic:
    """Return the traffic of many runs.

    Parameters
    ----------
    scenario : Scenario
        What happens.
    runs : int
        Above 0.
    chance : numpy.random.Generator
        Seeded by the caller.
    """
    time = np.arange(scenario.slices) * SLICE_SECONDS
    load = _load(scenario, time, runs, chance)
    ours, theirs = _shares(scenario.family)
    fault = scenario.stable_ratio + (scenario.candidate_ratio - scenario.stable_ratio) * _growth(
        scenario, time
    )
    common = _common(scenario, time, runs, chance)
    candidate = chance.poisson(load * ours * scenario.rate * SLICE_SECONDS)
    stable = chance.poisson(load * theirs * scenario.rate * SLICE_SECONDS)
    mean = {Family.CLUSTERED: CLUSTER_MEAN, Family.HEAVY: 4 * CLUSTER_MEAN}.get(scenario.family)
    recorded = round(scenario.rate * DAY_SECONDS)
    return Traffic(
        candidate=candidate,
        candidate_bad=_bad(candidate, np.minimum(fault + common, 1.0), mean, chance),
        stable=stable,
        stable_bad=_bad(stable, np.minimum(scenario.stable_ratio + common, 1.0), mean, chance),
        recorded=recorded,
        recorded_bad=chance.binomial(recorded, scenario.stable_ratio, runs),
    )


def _shares(family: Family) -> tuple[float, float]:
    return {Family.UNEQUAL: (2.0, 1.0), Family.STARVED: (0.5, 1.0)}.get(family, (1.0, 1.0))


def _load(scenario: Scenario, time: npt.NDArray[np.int64], runs: int, chance: np.random.Generator) -> Rates:
    """Return the load of every run and slice, as a multiple of the rate."""
    flat = np.ones((runs, scenario.slices))
    if scenario.family is Family.RAMP:
        return flat * np.linspace(0.4, 1.6, scenario.slices)
    if scenario.family is Family.DIURNAL:
        phase = chance.uniform(0, 2 * np.pi, (runs, 1))
        return flat + 0.8 * np.sin(phase + 2 * np.pi * time / scenario.seconds)
    if scenario.family is Family.BURSTS:
        return np.asarray(chance.gamma(0.5, 2.0, (runs, scenario.slices)).clip(0, 10), np.float64)
    return flat


def _growth(scenario: Scenario, time: npt.NDArray[np.int64]) -> Rates:
    """Return how much of the fault is there, from 0 to 1."""
    if scenario.family is Family.RAMP:
        return np.linspace(0.0, 1.0, scenario.slices)
    if scenario.family is Family.POISONING:
        start = 600
        grown = (time - start) / max(scenario.seconds - start, 1)
        return np.asarray(grown.clip(0.0, 1.0), np.float64)
    return np.ones(scenario.slices)


def _common(scenario: Scenario, time: npt.NDArray[np.int64], runs: int, chance: np.random.Generator) -> Rates:
    """Return the bad ratio that both arms have beside their own."""
    if scenario.family is Family.COLD:
        cold = time + scenario.warmup_seconds < COLD_SECONDS
        return np.broadcast_to(COLD_RATIO * cold, (runs, scenario.slices))
    lasts, ratio = {
        Family.INCIDENT: (INCIDENT_SECONDS, INCIDENT_RATIO),
        Family.LONG_INCIDENT: (480, 0.1),
    }.get(scenario.family, (0, 0.0))
    begins = chance.uniform(0, max(scenario.seconds - lasts, 1), (runs, 1))
    return np.asarray(ratio * ((time >= begins) & (time < begins + lasts)), np.float64)


def _bad(total: Counts, ratio: Rates, mean: float | None, chance: np.random.Generator) -> Counts:
    """Return how many requests of each slice are bad."""
    if mean is None:
        return chance.binomial(total, ratio)
    clusters = chance.poisson(total * ratio / mean)
    # The sum of c geometric sizes is c, and a negative binomial number of further errors.
    further = chance.negative_binomial(np.maximum(clusters, 1), 1 / mean)
    return np.minimum(np.where(clusters > 0, clusters + further, 0), total)
