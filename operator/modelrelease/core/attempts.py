"""How often a check is asked that measures and cannot decide.

A load or a gallery costs minutes of an accelerator and gives as many samples the next time as it gave before.
Such a check is asked three times in all: once would let one noisy minute decide, and each further look at
intervals of 95 % makes it likelier that chance has the word. What broke before anything was measured
(`Error`) is no look, and is tried until the deadline.
"""

from typing import Final

from modelrelease.api import checks as api_checks
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict

LOOKS: Final = 3
_UNDECIDED: Final = frozenset({Verdict.INCONCLUSIVE, Verdict.NO_DATA})


def following(status: api_run.CheckStatus) -> api_run.CheckStatus:
    """Return the status of the next attempt: nothing said, and what was looked at before not forgotten."""
    return api_run.CheckStatus(
        name=status.name,
        attempt=status.attempt + 1,
        undecided=status.undecided + (status.verdict in _UNDECIDED),
    )


def exhausted(check: api_checks.Check, status: api_run.CheckStatus) -> bool:
    """Return whether a check has spoken, could not decide, and may not look again."""
    costly = check.performance is not None or check.fidelity is not None
    return costly and status.verdict in _UNDECIDED and status.undecided + 1 >= LOOKS
