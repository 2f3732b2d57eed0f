"""Whether and when an SLO can be judged at all, for messages and the manifest's author."""

import decimal
import math
from dataclasses import dataclass
from typing import Final

from modelrelease.slo import arms, evidence, looks, objectives, observation, proportion, windows

LOOKS_MAX = 24
"""More than ten million times the first look: never, for people."""
MARGIN: Final = 1.5
"""Of the expected evidence: so much more, and the fault is seen in most runs, not in half of them."""
BAD_MARGIN: Final = 1.4
"""Likewise of bad requests that a burning window needs."""
VIOLATED_Z: Final = 4.4
"""Standard deviations to the lower bound at 99.9 %, and to what nine of ten candidates exceed."""
STEPS: Final = 30
EASIER: Final = tuple(
    decimal.Decimal(percent) for percent in ("99.95", "99.9", "99.5", "99", "98", "95", "90")
)
"""Objectives that are proposed where a stricter one is out of reach."""


@dataclass(frozen=True, slots=True)
class Feasibility:
    """What evidence costs at the observed rate."""

    rate: float
    """Requests per second of the candidate."""
    requests_without_bad: int
    """For a Pass when no request is bad."""
    seconds_without_bad: float | None
    """None without traffic."""
    requests_as_expected: int | None
    """For a Pass at the expected bad ratio; None when it is not to be expected."""
    seconds_as_expected: float | None
    """The same, from now on; None also without traffic."""
    hidden_ratio: float
    """Largest true bad ratio that a Pass leaves possible, at 95 %: the price of few requests."""
    detectable_ratio: float | None
    """Smallest bad ratio that mostly fails before the deadline; None when none does."""
    deadline_seconds: float
    """From now on."""

    @property
    def reachable(self) -> bool:
        """Whether a candidate as good as expected passes before the deadline."""
        return self.seconds_as_expected is not None and self.seconds_as_expected <= self.deadline_seconds


def assess(
    objective: objectives.Objective,
    rate: float,
    expected_bad_ratio: float = 0.0,
    *,
    deadline_seconds: float = 4200.0,
    counted: observation.Events | None = None,
) -> Feasibility:
    """Return what evidence costs.

    Parameters
    ----------
    objective : Objective
        What is asked for.
    rate : float
        Requests per second at the candidate, ≥ 0.
    expected_bad_ratio : float
        Such as stable's, in [0, 1].
    deadline_seconds : float
        How long evidence is waited for, from now on.
    counted : Events, optional
        What the candidate has answered by now.

    Returns
    -------
    Feasibility
        Counts, seconds and ratios.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    if rate < 0 or not 0 <= expected_bad_ratio <= 1:
        raise ValueError(f"rate {rate} or ratio {expected_bad_ratio} is out of range")
    counted = counted or observation.Events()
    first = looks.requests_at(objective, 0)
    expected = requests_needed(objective, expected_bad_ratio, counted)
    left = max(0, expected - counted.total) if expected is not None else None
    return Feasibility(
        rate=rate,
        requests_without_bad=first,
        seconds_without_bad=first / rate if rate else None,
        requests_as_expected=expected,
        seconds_as_expected=left / rate if rate and left is not None else None,
        hidden_ratio=objective.pass_limit,
        detectable_ratio=detectable(objective, rate, max(0.0, deadline_seconds)),
        deadline_seconds=max(0.0, deadline_seconds),
    )


def requests_needed(
    objective: objectives.Objective, bad_ratio: float, counted: observation.Events | None = None
) -> int | None:
    """Return the first look ahead that passes with the expected number of bad requests, if any does."""
    counted = counted or observation.Events()
    for number in range(LOOKS_MAX):
        total = looks.requests_at(objective, number)
        if total <= counted.total:
            continue
        bad = counted.possibly_bad + round(bad_ratio * (total - counted.total))
        if looks.passes(objective, bad, total, looks.confidence(number)):
            return total
        if proportion.lower_bound(bad, total, looks.CONFIDENCE) > objective.pass_limit:
            return None
    return None


def detectable(objective: objectives.Objective, rate: float, seconds: float) -> float | None:
    """Return the smallest bad ratio that mostly fails within a time.

    Parameters
    ----------
    objective : Objective
        What is asked for.
    rate : float
        Requests per second, ≥ 0.
    seconds : float
        Until the deadline.

    Returns
    -------
    float or None
        An estimate: the smallest of what burns, of what the evidence of bad slices proves and of what exceeds
        a Pass for sure, each with a margin. The simulation holds it against what the rule does.
    """
    found = [_burning(objective, window, rate, seconds) for window in windows.WINDOWS]
    found += [_proven(objective, rate, seconds), _violating(objective, rate * seconds)]
    seen = [ratio for ratio in found if ratio is not None]
    return min(seen, default=None)


def _burning(
    objective: objectives.Objective, window: windows.BurnWindow, rate: float, seconds: float
) -> float | None:
    requests = rate * min(window.long_seconds, seconds)
    ratio = objective.burn_ratio(window.factor)
    needed = windows.minimum_bad(ratio, objective.budget, window.minimum_bad)
    if requests * ratio <= 0:
        return None
    # The short window must burn, too, and few requests make it unsteady.
    found = max(ratio * BAD_MARGIN, BAD_MARGIN * needed / requests)
    return found if found <= 1 else None


def _violating(objective: objectives.Objective, requests: float) -> float | None:
    """Return the ratio whose lower bound is mostly above what a Pass accepts."""
    if requests < objective.minimum_requests:
        return None
    found = objective.pass_limit
    for _ in range(STEPS):
        found = min(objective.pass_limit + VIOLATED_Z * math.sqrt(found * (1 - found) / requests), 1.0)
    return max(found, BAD_MARGIN * windows.WINDOWS[0].minimum_bad / requests) if found < 1 else None


def _proven(objective: objectives.Objective, rate: float, seconds: float) -> float | None:
    """Return the ratio at which the bet on bad slices is expected to reach proof."""
    count = math.floor(seconds / arms.SLICE_SECONDS)
    requests = rate * arms.SLICE_SECONDS
    needed = MARGIN * math.log(2 * len(evidence.MULTIPLES) / evidence.ALPHA)
    if not count or not requests or count * _growth(objective.budget, 1.0, requests) < needed:
        return None
    low, high = objective.budget, 1.0
    for _ in range(STEPS):
        middle = math.sqrt(low * high)
        enough = count * _growth(objective.budget, middle, requests) >= needed
        low, high = (low, middle) if enough else (middle, high)
    return high


def _growth(accepted: float, ratio: float, requests: float) -> float:
    """Return the expected logarithm that the best alternative gains in a slice."""

    def some(bad: float) -> float:
        return min(-math.expm1(requests * math.log1p(-min(bad, evidence.CERTAIN))), evidence.CERTAIN)

    null, true = some(accepted), some(ratio)
    gains = []
    for multiple in evidence.MULTIPLES:
        other = some(accepted * multiple)
        gains.append(true * math.log(other / null) + (1 - true) * math.log((1 - other) / (1 - null)))
    return max(gains)


def told(objective: objectives.Objective, found: Feasibility) -> str:
    """Tell people what is feasible, and what to change where it is not, in at most 512 characters."""
    seen = (
        f"the smallest fault that shows is about {_percent(found.detectable_ratio)} bad"
        if found.detectable_ratio is not None
        else "no fault shows"
    )
    hidden = _percent(found.hidden_ratio)
    said = f"At {found.rate:.3g} {objective.events}/s {seen}; a Pass can hide up to {hidden}"
    if found.reachable:
        assert found.seconds_as_expected is not None
        return f"{said}; Pass takes about {_duration(found.seconds_as_expected)} more"
    left = _duration(found.deadline_seconds)
    if found.requests_as_expected is None:
        return f"{said}; Pass is not to be expected with so many bad ones"
    if found.seconds_as_expected is None:
        return (
            f"{said}; Pass can't be reached without traffic: it needs {found.requests_as_expected} "
            f"{objective.events}"
        )
    return (
        f"{said}; Pass can't be reached in the {left} left, it needs {found.requests_as_expected} "
        f"{objective.events}, {_duration(found.seconds_as_expected)} more: "
        f"{'; or '.join(_changes(objective, found))}"
    )


def _changes(objective: objectives.Objective, found: Feasibility) -> list[str]:
    """Return what would make a Pass reachable."""
    assert found.seconds_as_expected is not None
    times = found.seconds_as_expected / max(found.deadline_seconds, 1.0)
    changes = [f"hold longer, or give the step {times:.1f} times the traffic"]
    affordable = found.rate * found.deadline_seconds
    easier = next(
        (
            percent
            for percent in EASIER
            if percent < objective.objective_percent and _requests(objective, percent) <= affordable
        ),
        None,
    )
    if easier is not None:
        changes.append(f"ask for {easier} %")
    changes.append("approve it (stage Infeasible)")
    return changes


def _requests(objective: objectives.Objective, percent: decimal.Decimal) -> int:
    other = objectives.Objective(
        objective.name,
        objective.kind,
        percent,
        objective.threshold_seconds,
        objective.minimum_requests,
    )
    return looks.requests_at(other, 0)


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.3g} %"


def _duration(seconds: float) -> str:
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
