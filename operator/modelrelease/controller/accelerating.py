"""Asks Prometheus what a GPU did while a check loaded its pod."""

import asyncio
import datetime
from collections.abc import Mapping
from typing import Final

from modelrelease.api import checks as api_checks
from modelrelease.checks import accelerator
from modelrelease.controller import live_loads
from modelrelease.core import accelerators
from modelrelease.prometheus import answers, dcgm, sources

PATIENCE: Final = datetime.timedelta(seconds=60)
"""So long after a load a Prometheus that does not answer is asked again."""


async def notes(
    live: live_loads.LiveLoads,
    check: api_checks.Check,
    window: accelerator.Window | None,
    *,
    namespace: str,
    pod: str,
    now: datetime.datetime,
) -> Mapping[str, str] | None:
    """Return what is to be noted on the Job of a finished check.

    Parameters
    ----------
    live
        The installation's sources.
    check
        Which may bound what its GPU does.
    window
        Of its load.
    namespace, pod
        Whose GPU.
    now
        Of the cluster.

    Returns
    -------
    Annotations, none of a check that bounds nothing; None when Prometheus is to be asked again.
    """
    asked = check.performance.accelerator if check.performance is not None else None
    if asked is None or window is None:
        return {}
    try:
        prometheus = live.source(asked.source)
        async with asyncio.timeout(live_loads.SECONDS):
            found = {
                gate.metric: await dcgm.series(
                    prometheus,
                    gate.metric,
                    namespace=namespace,
                    pod=pod,
                    start=window[0].timestamp(),
                    end=window[1].timestamp(),
                )
                for gate in asked.gates
            }
    except sources.UnknownSourceError as error:
        return accelerator.note(accelerators.unknown(asked.gates, str(error)))
    except (TimeoutError, answers.QueryError) as error:
        if now < window[1] + PATIENCE:
            return None
        why = error.message if isinstance(error, answers.QueryError) else "Prometheus did not answer in time"
        return accelerator.note(accelerators.unknown(asked.gates, why))
    return accelerator.note(accelerators.judge(asked.gates, found))
