"""What an SLO asks for, and what that means in requests."""

import enum
from dataclasses import dataclass, field
from decimal import Decimal

BURN_RATIO_MAX = 0.20
"""Design §6: a burn factor never asks for more than 20 % bad requests before it fires."""
PASS_BUDGETS = 6.0
PASS_RISE = 1.5
PASS_POINTS = 0.005
"""Design §6: Pass needs a bound of at most min(6·budget, 1.5·budget + 0.5 points)."""


class Kind(enum.StrEnum):
    """What makes a request bad."""

    AVAILABILITY = "Availability"
    LATENCY = "Latency"


@dataclass(frozen=True, slots=True)
class Objective:
    """The share of requests that must be good.

    Parameters
    ----------
    name : str
        The SLO's name in the manifest.
    kind : Kind
        Availability or Latency.
    objective_percent : Decimal
        Above 0 and below 100, such as 99.9.
    threshold_seconds : float, optional
        Latency only: a slower request is bad. Above 0.
    minimum_requests : int
        Fewer say nothing, above 0.
    events : str
        What is counted, for people.
    wrong : str
        What a bad one did, in place of what the kind says.

    Raises
    ------
    ValueError
        If a value is out of range, or the threshold does not fit the kind.
    """

    name: str
    kind: Kind
    objective_percent: Decimal
    threshold_seconds: float | None = None
    minimum_requests: int = 200
    events: str = "requests"
    wrong: str = ""
    budget: float = field(init=False, compare=False)
    """Ratio of requests that may be bad, in (0, 1)."""
    pass_limit: float = field(init=False, compare=False)
    """Largest bad ratio that a Pass may leave possible, in (budget, 1).

    The last term matters only for objectives below about 50 %, where 1.5·budget nears 1.
    """

    def __post_init__(self) -> None:
        """Refuse an objective that cannot be judged."""
        if not 0 < self.objective_percent < 100:  # noqa: PLR2004 - percent
            raise ValueError(f"objective {self.objective_percent} must be above 0 and below 100 percent")
        if (self.kind is Kind.LATENCY) != (self.threshold_seconds is not None):
            raise ValueError("a latency objective has a threshold, an availability objective has none")
        if self.threshold_seconds is not None and not 0 < self.threshold_seconds < float("inf"):
            raise ValueError(f"threshold {self.threshold_seconds} must be a positive number of seconds")
        if self.minimum_requests < 1:
            raise ValueError(f"minimum_requests {self.minimum_requests} must be at least 1")
        # Asked for at every turn of a judgement, and worked out once.
        budget = float((100 - self.objective_percent) / 100)
        limit = min(PASS_BUDGETS * budget, PASS_RISE * budget + PASS_POINTS, (1 + budget) / 2)
        object.__setattr__(self, "budget", budget)
        object.__setattr__(self, "pass_limit", limit)

    def burn_ratio(self, factor: float) -> float:
        """Return the bad ratio above which a window of this burn factor is burning.

        Capped at 20 %, because 14.4 × a budget of 10 % would let a candidate fail every request;
        but never below what a Pass accepts, or the same requests could mean Pass and Fail.
        """
        return max(min(factor * self.budget, BURN_RATIO_MAX), self.pass_limit)

    @property
    def bad(self) -> str:
        """What a bad one did, for people: it follows `events`."""
        if self.wrong:
            return self.wrong
        if self.threshold_seconds is None:
            return "failed (5xx)"
        return f"took longer than {milliseconds(self.threshold_seconds)}"


def milliseconds(seconds: float) -> str:
    """Write a duration for people; infinity is a histogram's last bucket."""
    return "+Inf" if seconds == float("inf") else f"{seconds * 1000:g} ms"
