"""Keeps what checks leave: reads logs, writes ConfigMaps, and then notes on the Job that it is done."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from typing import Final

from modelrelease.cluster import act, api, facts

GIVE_UP_SECONDS: Final = 60.0
"""How long a log that can't be reached is asked for; after that its node is taken for lost."""

Plan = Callable[[str | None], tuple[api.Objects, Mapping[str, str]]]
"""From the log's last line, or None when it is lost, to the ConfigMaps and the note on the Job."""


@dataclasses.dataclass(frozen=True, slots=True)
class Log:
    """The log of a finished container."""

    pod: str
    container: str
    finished_time: str
    limit_bytes: int
    """Longest line that is read."""


async def keep(port: api.Api, job: api.Object, source: Log, plan: Plan) -> bool:
    """Keep the evidence of one finished check.

    Parameters
    ----------
    port
        The API server.
    job
        The check's Job.
    source
        Where its evidence is.
    plan
        What to write, see :func:`modelrelease.checks.evidence.keeping`.

    Returns
    -------
    Whether it is settled; else it is tried again in a later turn.
    """
    namespace = job["metadata"]["namespace"]
    try:
        log: str | None = await port.pod_log(namespace, source.pod, source.container, source.limit_bytes)
    except api.Unavailable:
        ended = facts.time_of(source.finished_time)
        if ended is not None and port.now() - ended < datetime.timedelta(seconds=GIVE_UP_SECONDS):
            return False
        log = None
    except (api.NotFound, api.Invalid):
        log = None
    config_maps, note = plan(log)
    for config_map in config_maps:
        await act.create_once(port, api.CONFIG_MAP, config_map)
    await act.annotate(port, api.JOB, job, note)
    return True
