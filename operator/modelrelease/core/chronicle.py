"""What a run remembers of its own past, for reports: when each phase began, and how evidence came about.

Nothing is ever decided on it, and it is bounded.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

from modelrelease.api import run as api_run
from modelrelease.api import slo_state
from modelrelease.core.situation import Situation

PHASES_MAX: Final = 48
LOOKS_MAX: Final = 16

_UNDER_TRAFFIC: Final = frozenset({api_run.Phase.SHIFTING, api_run.Phase.HOLDING})


def phases(here: Situation, following: api_run.RunStatus) -> list[api_run.PhaseRecord]:
    """Return when each phase began, with the one that a transition leads to.

    Parameters
    ----------
    here
        Before the transition.
    following
        The status after it.
    """
    known = list(here.status.phases)
    if not known and here.status.start_time is None:
        known.append(api_run.PhaseRecord(phase=here.status.phase, time=here.now))
    last = known[-1] if known else None
    if last is None or (last.phase, last.step) != (following.phase, following.step):
        weight = _weight(here, following)
        made = api_run.PhaseRecord(phase=following.phase, step=following.step, time=here.now, weight=weight)
        known.append(made)
    half = PHASES_MAX // 2
    return known if len(known) <= PHASES_MAX else [*known[:half], *known[-half:]]


def _weight(here: Situation, following: api_run.RunStatus) -> int:
    if following.phase not in _UNDER_TRAFFIC:
        return 100 if following.outcome is api_run.Outcome.PROMOTED else 0
    after = Situation(here.observed, dataclasses.replace(here.run, status=following), here.now)
    return 100 if after.final else after.split.attained_weight


def with_looks(known: api_run.SloStatus | None, fresh: api_run.SloStatus) -> api_run.SloStatus:
    """Return a new judgement with the looks that came before it.

    Parameters
    ----------
    known
        What the run has recorded of the objective.
    fresh
        Judged in this turn; it brings at most its own look.
    """
    before = known.looks if known is not None else []
    if not before:
        return fresh
    newer = [look for look in fresh.looks if look.seconds > before[-1].seconds]
    return fresh.model_copy(update={"looks": thinned([*before, *newer], LOOKS_MAX)})


def thinned(looks: Sequence[slo_state.SloLook], limit: int) -> list[slo_state.SloLook]:
    """Return so many looks at most, about evenly in time, the first and the last of them kept."""
    kept = list(looks)
    while len(kept) > limit:
        gaps = [kept[n + 1].seconds - kept[n - 1].seconds for n in range(1, len(kept) - 1)]
        del kept[1 + gaps.index(min(gaps))]
    return kept
