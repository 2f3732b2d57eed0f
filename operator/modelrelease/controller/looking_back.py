"""How the newest evidence of an objective came about, slice by slice: for reports, decided on by nobody."""

from typing import Final

from modelrelease.api import slo_state
from modelrelease.slo import arms, evidence, objectives, observation, state

LOOKS_MAX: Final = 8
"""Of one judgement: more are due only after a restart, and then the latest tell enough."""


def looks(
    objective: objectives.Objective,
    known: slo_state.SloState | None,
    seen: observation.SliObservation | observation.SliFailure,
    beside: arms.Baseline | observation.SliFailure,
    judged: slo_state.SloState | None,
    *,
    until: float,
) -> list[slo_state.SloLook]:
    """Return the looks that one judgement has brought.

    Parameters
    ----------
    objective, seen, beside, until
        What was judged.
    known, judged
        The state before and after.
    """
    if known is None or judged is None or not isinstance(seen, observation.SliObservation):
        return []
    if isinstance(beside, observation.SliFailure):
        return []
    found = []
    new = min(LOOKS_MAX, (judged.through - known.through) // judged.slice_seconds)
    for back in reversed(range(1, new)):
        now = until - back * judged.slice_seconds
        known = state.advance(known, seen, beside, objective.budget, now)
        found.append(_look(known))
    # What the judgement came to is the last look, and nearly always the only one.
    return [*found, _look(judged)] if new > 0 else []


def _look(counted: slo_state.SloState) -> slo_state.SloLook:
    signs = (tuple(counted.signs), tuple(counted.minute_signs))
    return slo_state.SloLook(
        seconds=counted.through - counted.since,
        requests=counted.candidate.requests,
        bad=counted.candidate.bad,
        evidence=f"{evidence.value(signs, (tuple(counted.bad_slices),)):.3g}",
    )
