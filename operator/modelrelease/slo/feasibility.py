"""Whether and when an SLO can be judged at all, for messages and the manifest's author."""

from dataclasses import dataclass

from modelrelease.slo import burn, looks, objectives, proportion

LOOKS_MAX = 24
"""More than ten million times the first look: never, for people."""


@dataclass(frozen=True, slots=True)
class Feasibility:
    """What evidence costs at the observed rate."""

    requests_without_bad: int
    """For a Pass when no request is bad."""
    seconds_without_bad: float | None
    """None without traffic."""
    seconds_as_expected: float | None
    """For a Pass at the expected bad ratio; None when it is not to be expected."""
    hidden_ratio: float
    """Largest true bad ratio that a Pass leaves possible, at 95 %: the price of few requests."""
    detectable_ratio: float
    """Bad ratio above which a burning candidate fails without waiting for proof."""


def assess(objective: objectives.Objective, rate: float, expected_bad_ratio: float = 0.0) -> Feasibility:
    """Return what evidence costs.

    Parameters
    ----------
    objective : Objective
        What is asked for.
    rate : float
        Requests per second at the candidate, ≥ 0.
    expected_bad_ratio : float
        Such as stable's, in [0, 1].

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
    first = looks.requests_at(objective, 0)
    expected = requests_needed(objective, expected_bad_ratio)
    return Feasibility(
        requests_without_bad=first,
        seconds_without_bad=first / rate if rate else None,
        seconds_as_expected=expected / rate if rate and expected else None,
        hidden_ratio=objective.pass_limit,
        detectable_ratio=min(objective.burn_ratio(window.factor) for window in burn.WINDOWS),
    )


def requests_needed(objective: objectives.Objective, bad_ratio: float) -> int | None:
    """Return the first look that passes with the expected number of bad requests, if any does."""
    for number in range(LOOKS_MAX):
        total = looks.requests_at(objective, number)
        if looks.passes(objective, round(bad_ratio * total), total, looks.confidence(number)):
            return total
        if proportion.lower_bound(round(bad_ratio * total), total, looks.CONFIDENCE) > objective.pass_limit:
            return None
    return None
