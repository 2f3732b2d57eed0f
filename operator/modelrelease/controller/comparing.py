"""What a candidate's objective is compared with: designated stable pods, and stable's last 24 hours."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from modelrelease.api import slo_state, verdict
from modelrelease.prometheus import targets
from modelrelease.slo import arms, observation, state

RECORDED_SECONDS: Final = 24 * 3600
CHUNK_SECONDS: Final = 6 * 3600
"""So much is asked for at once, which bounds an answer."""

RECORDING_SECONDS: Final = 8.0
"""Less than a judgement may take (:class:`modelrelease.controller.judging.Judging`)."""

Observed = observation.SliObservation | observation.SliFailure
Observe = Callable[[Sequence[targets.JudgedPod], float, float], Awaitable[Observed]]
"""Asks about pods, since when and until when, both in seconds since the epoch."""


async def baseline(
    observe: Observe,
    pods: Sequence[targets.JudgedPod],
    known: slo_state.SloState | None,
    *,
    since: float,
    now: float,
    record: bool,
) -> arms.Baseline | observation.SliFailure:
    """Return what to compare with.

    Parameters
    ----------
    observe
        Asks Prometheus.
    pods
        The designated stable pods; none in the bake, where stable takes no traffic.
    known
        The state so far; what it has recorded of stable is not asked for again.
    since, now
        Seconds since the epoch of what is judged.
    record
        Whether what is recorded is written down: it costs several questions.

    Returns
    -------
    Baseline or SliFailure
        An Error of the monitoring, which may pass. That stable has no such series is no failure: then
        the candidate is judged alone.
    """
    if not pods:
        return arms.Baseline()
    live = await observe(pods, since - state.VETO_SECONDS, now)
    if isinstance(live, observation.SliFailure):
        return live if live.verdict is verdict.Verdict.ERROR else arms.Baseline()
    found = arms.Baseline(live)
    if record and (known is None or known.recorded is None):
        found = dataclasses.replace(found, recorded=await _in_time(_recorded(observe, pods, since)))
    return found


async def _in_time(recording: Awaitable[observation.Events | None]) -> observation.Events | None:
    """Give a slow server up: a day is worth having, and holds no judgement up."""
    try:
        async with asyncio.timeout(RECORDING_SECONDS):
            return await recording
    except TimeoutError:
        return None


async def _recorded(
    observe: Observe, pods: Sequence[targets.JudgedPod], until: float
) -> observation.Events | None:
    """Return what the pods counted in the 24 hours before; None when that can't be read now."""
    counted = observation.Events()
    settled = [dataclasses.replace(pod, serving=False) for pod in pods]
    for number in range(RECORDED_SECONDS // CHUNK_SECONDS):
        end = until - number * CHUNK_SECONDS
        found = await observe(settled, end - CHUNK_SECONDS, end)
        if isinstance(found, observation.SliObservation):
            counted = counted + found.until(end)
        elif found.verdict is verdict.Verdict.ERROR:
            return None
        else:
            break  # younger than that, or nobody scraped them then
    return counted
