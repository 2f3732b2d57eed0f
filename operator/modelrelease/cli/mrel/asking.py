"""Whether objectives find data in a Prometheus. Only queries are sent."""

import asyncio
from collections.abc import Iterator
from concurrent import futures
from typing import Final

import pydantic

from modelrelease.api import spec as api_spec
from modelrelease.cli.mrel import clock, port
from modelrelease.prometheus import alerts, answers, client, metrics, promql, series, sources

HOUR: Final = "1h"
_THREADS: Final = 4


def source(url: str) -> sources.Source:
    """Return a server to ask.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        That is no URL of one.
    """
    try:
        return sources.Source(name="lint", url=url, timeout_seconds=10)
    except pydantic.ValidationError as error:
        raise port.Failed(f"--prometheus {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error


def without_data(
    where: sources.Source, now: float, name: str, namespace: str, spec: api_spec.ReleaseSpec
) -> Iterator[tuple[str, str]]:
    """Yield the path of each objective whose series say nothing of the release's pods, and why.

    Parameters
    ----------
    where
        The server.
    now
        Seconds since the epoch.
    name, namespace
        Of the ModelRelease.
    spec
        What its manifest says.

    Raises
    ------
    modelrelease.cli.mrel.port.Failed
        The server gives no complete answer.
    """
    queries = dict(_queries(where, name, namespace, spec))
    try:
        found = asyncio.run(_ask(where, list(queries.values()), now))
    except answers.QueryError as error:
        raise port.Failed(error.message) from error
    for index, values in zip(queries, found, strict=True):
        told = f"has no data in {where.url}: within an hour no pod of {namespace}/{name} has"
        if not values:
            yield f"spec.slos[{index}]", f"{told} had such series, or their names or labels are wrong"
        elif not any(values):
            yield f"spec.slos[{index}]", f"{told} answered a request that counts"


def _queries(
    where: sources.Source, name: str, namespace: str, spec: api_spec.ReleaseSpec
) -> Iterator[tuple[int, str]]:
    """Yield by an objective's number what it counts: events as its alerts do, or samples of a value."""
    totals = alerts.totals(
        name, namespace, spec, HOUR, pod_label=where.pod_label, namespace_label=where.namespace_label
    )
    for index, slo in enumerate(spec.slos):
        counted = series.of(slo, spec.endpoint)
        if slo.name in totals:
            yield index, totals[slo.name]
        elif isinstance(counted, metrics.Threshold):
            place = (
                promql.equals(counted.namespace_label or where.namespace_label, namespace),
                promql.matching(counted.pod_label or where.pod_label, f"{name}-{alerts.REVISION}-.*"),
            )
            chosen = promql.selector(counted.metric, (*place, *counted.only))
            yield index, f"count_over_time({chosen}[{HOUR}])"


async def _ask(where: sources.Source, queries: list[str], now: float) -> list[list[float]]:
    with futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="lint") as pool:
        asked = client.Prometheus(where, pool, clock.monotonic)
        try:
            found = await asyncio.gather(*(asked.vector(query, now) for query in queries))
        finally:
            asked.close()
    return [[sample.value for one in all_series for sample in one.samples] for all_series in found]
