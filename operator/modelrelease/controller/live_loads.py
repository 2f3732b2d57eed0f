"""Asks the installation's Prometheus servers how users ask stable, before a load is replayed.

It is asked once for each Job, and not for long: whatever Prometheus does, the load is replayed, with what is
declared in place of what is not known.
"""

import asyncio
import datetime
import logging
from collections.abc import Callable, Mapping
from typing import Final

from modelrelease.api import checks as api_checks
from modelrelease.api import endpoint as endpoints
from modelrelease.api import live as api_live
from modelrelease.api import run as api_run
from modelrelease.core import live_load, observation
from modelrelease.prometheus import answers, client, clients, load, runtimes, sources

_log = logging.getLogger(__name__)

SECONDS: Final = 5.0
"""For all questions of one Job: a turn waits for them, and a person's reject must not wait long."""
_THREADS: Final = 2
"""For each source."""


class LiveLoads:
    """What users ask stable.

    Parameters
    ----------
    known
        The installation's sources.
    monotonic
        A clock in seconds that never runs backwards.
    """

    def __init__(self, known: sources.Sources, monotonic: Callable[[], float]) -> None:
        self._clients = clients.Clients(known, monotonic, purpose="load", threads=lambda _: _THREADS)

    def close(self) -> None:
        """Wait for no query."""
        self._clients.close()

    def source(self, name: str) -> client.Prometheus:
        """Return the client of a source.

        Raises
        ------
        modelrelease.prometheus.sources.UnknownSourceError
            The installation has none of that name.
        """
        return self._clients.named(name)

    async def seen(
        self,
        observed: observation.Observation,
        run: observation.Run,
        check: api_checks.Check,
        namespace: str,
        now: datetime.datetime,
    ) -> live_load.Seen | None:
        """Return what is known of users' requests, or None where the check does not ask or nobody serves.

        Parameters
        ----------
        observed, run, check
            Whose performance is checked.
        namespace
            Of the release.
        now
            Of the cluster.
        """
        asked = check.performance.live if check.performance is not None else None
        stable = observed.revisions.get(run.spec.stable or "")
        pods = [pod for pod in stable.pods if pod.ready and not pod.terminating] if stable is not None else []
        if asked is None or not pods:
            return None
        ages = {
            pod.name: (now - pod.scheduled_time).total_seconds()
            for pod in pods
            if pod.scheduled_time is not None
        }
        sizes = asked.sizes or load.SIZES.get(run.spec.judging.endpoint.runtime)
        nothing = live_load.Seen(
            window_seconds=asked.window_seconds,
            wanted=sizes is not None,
            pixels=sizes is not None and sizes.unit is api_live.SizeUnit.PIXELS,
        )
        try:
            prometheus = self.source(asked.source)
            async with asyncio.timeout(SECONDS):
                question = load.Question(
                    prometheus, namespace, [pod.name for pod in pods], asked.window_seconds, now.timestamp()
                )
                return await _ask(question, run.spec.judging, check, nothing=nothing, sizes=sizes, ages=ages)
        except TimeoutError:
            said = f"Prometheus source {asked.source!r} did not answer within {SECONDS:g} s"
        except answers.QueryError as error:
            said = error.message
        except sources.UnknownSourceError as error:
            said = str(error)
        except Exception as error:  # noqa: BLE001 - whatever breaks in monitoring keeps no check from running
            _log.exception("Asking how users ask %s broke", run.spec.release_name)
            said = f"asking Prometheus broke: {type(error).__name__}"
        return live_load.with_remark(nothing, said)


async def _ask(
    question: load.Question,
    judging: api_run.Judging,
    check: api_checks.Check,
    *,
    nothing: live_load.Seen,
    sizes: api_live.LiveSizes | None,
    ages: Mapping[str, float],
) -> live_load.Seen:
    counters = runtimes.RUNTIMES[judging.endpoint.runtime].counters
    counts, mix = await asyncio.gather(
        question.requests(counters, _path(judging, check)), _mix(question, sizes)
    )
    remark = ""
    if sizes is not None and not mix:
        remark = f"{sizes.metric} tells of fewer than {live_load.LEAST_REQUESTS} requests"
    return live_load.seen(nothing, counts=counts, ages=ages, mix=mix, remark=remark)


async def _mix(question: load.Question, sizes: api_live.LiveSizes | None) -> tuple[live_load.Bin, ...]:
    if sizes is None:
        return ()
    if sizes.label is not None:
        return live_load.of_labels(await question.labels(sizes.metric, sizes.label), sizes)
    return live_load.of_histogram(await question.buckets(sizes.metric), sizes)


def _path(judging: api_run.Judging, check: api_checks.Check) -> str:
    """Return the path under which users' requests of the check's first operation are counted."""
    operations: tuple[endpoints.Operation, ...] = judging.endpoint.all_operations()
    asked = check.probe.operations
    operation = next((one for one in operations if asked is None or one.name in asked), operations[0])
    return operation.path or operation.usual_path(judging.model.served_name)
