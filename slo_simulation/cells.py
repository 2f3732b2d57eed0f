"""The cells of the table: what must be reached, on what it was tuned, and on what it was not."""

import dataclasses
from collections.abc import Iterator
from typing import Final

from modelrelease.api import advice
from slo_simulation import traffic

NORMAL: Final = 0.001
"""Bad ratio of a good model; the objective is 99.9 %."""
RATES: Final = (0.1, 1.0, 10.0, 100.0)
FAULTS: Final = (0.005, 0.01, 0.02, 0.05)


@dataclasses.dataclass(frozen=True, slots=True)
class Cell:
    """One scenario, and what the product's rule must reach in it."""

    scenario: traffic.Scenario
    hold_seconds: int = 600
    """After which the product may promote; its peers watch until the end."""
    failed_max: float | None = None
    """Largest share of rolled back runs."""
    failed_bound_max: float | None = None
    """Largest 95 % upper bound of that share."""
    passed_max: float | None = None
    """Largest share of promoted runs."""
    seconds_max: float | None = None
    """Longest median until a run is rolled back."""

    @property
    def null(self) -> bool:
        """Whether the candidate is as good as stable."""
        return self.scenario.candidate_ratio == self.scenario.stable_ratio


def cells() -> Iterator[Cell]:
    """Yield every cell, in the order of the table."""
    family = traffic.Family
    for rate in RATES:
        yield Cell(_scenario(family.STEADY, rate), failed_max=0.004, failed_bound_max=0.006)
    for rate in RATES[1:]:
        yield Cell(_scenario(family.INCIDENT, rate), failed_max=0.01 if rate >= 10 else None)
    for rate in RATES:
        for fault in FAULTS:
            yield Cell(
                _scenario(family.STEADY, rate, fault),
                passed_max=0.0 if (rate, fault) == (0.1, 0.02) else None,
                seconds_max={(10.0, 0.01): 105.0, (10.0, 0.05): 75.0}.get((rate, fault)),
            )
    for known in (family.COLD, family.CLUSTERED):
        for rate in RATES[1:]:
            yield Cell(_scenario(known, rate))
    for unknown in family:
        if unknown not in traffic.TUNED_ON:
            for rate in RATES[1:]:
                # A fault that grows is small when a short hold ends: there all watch until the end.
                hold = 1800 if unknown in {family.RAMP, family.POISONING} else 600
                yield Cell(_scenario(unknown, rate), hold)
                yield Cell(_scenario(unknown, rate, 0.02), hold)
    # Last, so that every other cell keeps its draws.
    for rate in RATES[1:]:
        warmed = dataclasses.replace(_scenario(family.COLD, rate), warmup_seconds=advice.WARMUP_SECONDS)
        yield Cell(warmed, failed_max=0.004, failed_bound_max=0.006)


def _scenario(family: traffic.Family, rate: float, fault: float = NORMAL) -> traffic.Scenario:
    return traffic.Scenario(family, rate, NORMAL, fault)
