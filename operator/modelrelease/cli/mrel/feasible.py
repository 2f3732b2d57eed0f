"""What judging a manifest's objectives will cost at a given traffic, before anything is released. Pure."""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from modelrelease.api import spec as api_spec
from modelrelease.cli.mrel import port, words
from modelrelease.prometheus import series
from modelrelease.slo import feasibility, objectives

EVERY: Final = ""
"""Of all operations."""
RPS_MAX: Final = 1_000_000.0


def rates(said: Sequence[str]) -> dict[str, float]:
    """Return requests per second by operation, from values such as ``12`` or ``embed=3.5``.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        One is no such value.
    """
    found = {}
    for value in said:
        operation, _, number = value.rpartition("=")
        try:
            rate = float(number)
        except ValueError:
            rate = math.nan
        if not 0 < rate <= RPS_MAX:
            raise port.Failed(
                f"--rps {value} is neither requests per second (12) nor those of an operation (embed=3.5)"
            )
        found[operation] = rate
    return found


def costs(spec: api_spec.ReleaseSpec, traffic: Mapping[str, float]) -> Iterator[tuple[str, str, bool]]:
    """Yield each objective's path, what judging it costs in the first step, and whether it can pass in time.

    The candidate is taken to be as good as the objective asks for, and not better. Bounds on values
    (``prometheus.threshold``) are left out: scrapes are counted there, not requests.

    Parameters
    ----------
    spec
        What the manifest says.
    traffic
        Requests per second of the whole release, from :func:`rates`; where an operation has none, what
        a Pass needs is told.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        Traffic was given of an operation that the manifest does not have.
    """
    operations = [operation.name for operation in spec.endpoint.all_operations()]
    unknown = sorted(set(traffic) - {EVERY, *operations})
    if unknown:
        raise port.Failed(f"--rps {unknown[0]}=…: no such operation, only {', '.join(operations)}")
    steps = spec.strategy.steps
    share, held = (
        (steps[0].weight / 100, steps[0].hold_seconds) if steps else (1.0, spec.strategy.bake_seconds)
    )
    deadline = held + spec.strategy.deadlines.inconclusive_seconds
    step = f"{100 * share:.0f} % for {words.duration(held)}"
    for index, slo in enumerate(spec.slos):
        if slo.prometheus is not None and slo.prometheus.threshold is not None:
            continue
        objective = series.objective_of(slo)
        rate = traffic.get(slo.operation or operations[0], traffic.get(EVERY))
        path = f"spec.slos[{index}]"
        if rate is None:
            yield path, f"{slo.name}: {_needed(objective, share, deadline)}", True
            continue
        told, reachable = _told(objective, rate * share, deadline)
        yield path, f"{slo.name}, {step}: {told}", reachable


# A folder of manifests asks for the same again and again.
@functools.lru_cache(maxsize=1024)
def _told(objective: objectives.Objective, rate: float, deadline: float) -> tuple[str, bool]:
    found = feasibility.assess(objective, rate, objective.budget, deadline_seconds=deadline)
    return feasibility.told(objective, found), found.reachable


@functools.lru_cache(maxsize=1024)
def _needed(objective: objectives.Objective, share: float, deadline: float) -> str:
    requests = feasibility.requests_needed(objective, objective.budget)
    assert requests is not None  # what is exactly as good as asked for passes at some look
    return (
        f"a Pass needs {requests} {objective.events} of the first step, so {requests / deadline / share:.2g} "
        f"per second of the whole release; say with --rps how many there are"
    )
