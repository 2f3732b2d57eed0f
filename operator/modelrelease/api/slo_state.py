"""What is remembered of an objective between two looks at it: evidence that is summed up over a run."""

from typing import Annotated

import pydantic

from modelrelease.api import base

Instant = Annotated[int, pydantic.Field(ge=0, le=9_007_199_254_740_991)]
"""Whole seconds since the epoch."""
Logs = Annotated[
    list[Annotated[int, pydantic.Field(ge=-(2**53), le=2**53)]], pydantic.Field(min_length=4, max_length=4)
]
"""Logarithms of likelihood ratios, in millionths."""
Total = Annotated[int, pydantic.Field(ge=0, le=9_007_199_254_740_991)]


class Counted(base.ApiModel):
    """Requests of one arm."""

    requests: Total = 0
    bad: Total = 0
    client_errors: Total = 0
    """Answers with 4xx, which are not among the requests."""


class SloFeasibility(base.ApiModel):
    """What evidence costs at the present traffic; numbers as strings for people."""

    reachable: bool
    """Whether a candidate as good as stable passes before the deadline."""
    requests_per_second: Annotated[str, pydantic.Field(max_length=24)] = ""
    requests_needed: base.Count | None = None
    """For a Pass; absent when it is not to be expected."""
    seconds_needed: base.Count | None = None
    """From now on; absent also without traffic."""
    smallest_seen: Annotated[str, pydantic.Field(max_length=24)] = ""
    """Percent of bad requests that mostly fail before the deadline; empty when none do."""
    largest_hidden: Annotated[str, pydantic.Field(max_length=24)] = ""
    """Percent of bad requests that a Pass leaves possible."""
    message: Annotated[str, pydantic.Field(max_length=512)] = ""


class SloLook(base.ApiModel):
    """What had been counted of the candidate, and what it proved, at some moment: for reports alone."""

    seconds: base.Count
    """Since counting began."""
    requests: Total
    bad: Total
    evidence: Annotated[str, pydantic.Field(max_length=12)]
    """The e-value, as a decimal: 1 is none."""


class SloState(base.ApiModel):
    """The evidence of a run for one objective, slice of time by slice of time; see ``slo/state.py``.

    The same samples give the same state, from whichever earlier one an operator goes on.
    """

    since: Instant
    """When counting began."""
    through: Instant
    """The end of the last slice that was counted; what is later has not been."""
    slice_seconds: Annotated[int, pydantic.Field(ge=1, le=3600)]
    candidate: Counted = Counted()
    baseline: Counted = Counted()
    """The designated stable pods."""
    recorded: Counted | None = None
    """Stable in the 24 hours before it had to share its traffic."""
    worse: base.Count = 0
    """Slices in which the candidate had the larger bad ratio."""
    better: base.Count = 0
    signs: Logs = [0, 0, 0, 0]
    minute_signs: Logs = [0, 0, 0, 0]
    bad_slices: Logs = [0, 0, 0, 0]
    client_error_signs: Logs = [0, 0, 0, 0]
    minute_candidate: Counted = Counted()
    """Of the four slices that are compared as one, those that were counted by now."""
    minute_baseline: Counted = Counted()
    peak: Annotated[int, pydantic.Field(ge=-(2**53), le=2**53)] = 0
    """Logarithm of the largest evidence so far, in millionths."""
    client_error_peak: Annotated[int, pydantic.Field(ge=-(2**53), le=2**53)] = 0
