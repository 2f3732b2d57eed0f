"""The operator's process: everything is put together here, started, and stopped within seconds."""

import asyncio
import contextlib
import logging
import os
import platform
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import kopf

from modelrelease.checks import jobs, results
from modelrelease.cluster import api, cache, client, observe, resolve
from modelrelease.controller import clock as clocks
from modelrelease.controller import (
    handlers,
    health,
    judging,
    live_loads,
    loop,
    noticing,
    settings,
    slos,
    telemetry,
    tracing,
    turn,
)
from modelrelease.notifications import dispatch, sending
from modelrelease.tracing import export

STOP_SECONDS: Final = 5.0
LAST_WORDS_SECONDS: Final = 8.0
"""For notices that are under way when the operator is told to stop."""
RETRY_SECONDS: Final = 3.0

_log = logging.getLogger(__name__)


async def run(configured: settings.Settings) -> int:
    """Run until a signal comes or a part fails; return the exit code."""
    stop = asyncio.Event()
    _stop_on_signals(stop)
    clock = clocks.SystemClock()
    metrics = telemetry.Telemetry(clock)
    port = client.KubernetesApi(
        await client.configuration(kubeconfig()), clock.monotonic, count=metrics.request, trimmed=cache.trim
    )
    judge = slos.PrometheusJudge(configured.prometheus, clock.monotonic)
    live = live_loads.LiveLoads(configured.prometheus, clock.monotonic)
    people = dispatch.Dispatch(
        configured.notifications,
        send=sending.send,
        monotonic=clock.monotonic,
        sleep=clock.sleep,
        count=metrics.notices,
    )
    spans = export.Exporter(configured.tracing)
    traced = configured.tracing.on(os.environ)
    traces = tracing.Traces(spans.send, port.now, metrics) if traced else None
    try:
        return await _serve(
            configured,
            port,
            judge,
            live=live,
            people=people,
            traces=traces,
            metrics=metrics,
            clock=clock,
            stop=stop,
        )
    finally:
        await people.close(LAST_WORDS_SECONDS)
        await asyncio.to_thread(spans.close, STOP_SECONDS)
        judge.close()
        live.close()
        await port.close()


def kubeconfig() -> str | None:
    """Return the kubeconfig to use, or None inside a cluster."""
    named = os.environ.get("KUBECONFIG")
    if named or "KUBERNETES_SERVICE_HOST" not in os.environ:
        return named or str(Path.home() / ".kube" / "config")
    return None


async def _serve(
    configured: settings.Settings,
    port: api.Api,
    judge: slos.PrometheusJudge,
    *,
    live: live_loads.LiveLoads,
    people: dispatch.Dispatch,
    traces: tracing.Traces | None,
    metrics: telemetry.Telemetry,
    clock: clocks.Clock,
    stop: asyncio.Event,
) -> int:
    def changed(namespace: str, release: str) -> None:
        operator.wake(namespace, release)

    caches = {
        namespace: cache.Caches(
            port,
            sleep=clock.sleep,
            monotonic=clock.monotonic,
            namespace=namespace,
            changed=changed,
        )
        for namespace in configured.namespaces or (None,)
    }
    observers = {
        namespace: observe.Observer(
            port, followed, resolve.Resolver(port, configured.checks_image), results.read
        )
        for namespace, followed in caches.items()
    }
    chance = clocks.chance()
    turns = turn.Turns(
        turn.Shell(
            port=port,
            observer_of=lambda namespace: observers.get(namespace) or observers[None],
            judging=judging.Judging(
                judge, clock=clock, interval_seconds=configured.intervals.judging_seconds
            ),
            unknown_source=judge.unknown_source,
            checks=jobs.Settings(
                image=configured.checks_image,
                torch_image=configured.checks_torch_image,
                traced=traces is not None,
            ),
            report=metrics,
            traces=traces,
            live=live,
            notify=noticing.to(configured.notifications, people.tell)
            if configured.notifications.targets
            else None,
            misnamed=noticing.misnamed(configured.notifications),
        )
    )
    operator = loop.Operator(
        turns,
        clock=clock,
        chance=chance,
        observer=traces or metrics,
        pacing=configured.intervals.pacing(),
    )
    synced = asyncio.Event()
    watched = health.Health(operator, synced.is_set, metrics, clock)
    kopf_stop = asyncio.Event()

    async def follow() -> None:
        """Caches first, so that the first turn of every release sees what there is; then kopf."""
        await _wait_installed(port, configured, clock)
        async with asyncio.TaskGroup() as group:
            for followed in caches.values():
                group.create_task(followed.run(), name="caches")
            for followed in caches.values():
                await followed.wait_synced()
            synced.set()
            _log.info("The caches are filled; watching releases")
            await _watch_releases(configured, operator, stop, kopf_stop)

    parts = [
        _part("health", watched.serve(configured.health_host, configured.health_port)),
        _part("lag", watched.sample_lag()),
        _part("loops", operator.run_forever()),
        _part("follow", follow()),
    ]
    stopped = _part("stop", stop.wait())
    await asyncio.wait([stopped, *parts], return_when=asyncio.FIRST_COMPLETED)
    failed = [part for part in parts if part.done()]
    for part in failed:
        _log.error("%s ended", part.get_name(), exc_info=part.exception())
    await operator.shut_down()
    kopf_stop.set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await asyncio.wait([parts[-1]], timeout=STOP_SECONDS / 2)
            for part in [stopped, *parts]:
                part.cancel()
            await asyncio.gather(stopped, *parts, return_exceptions=True)
    _log.info("Stopped")
    return 1 if failed else 0


async def _watch_releases(
    configured: settings.Settings, operator: loop.Operator, stop: asyncio.Event, kopf_stop: asyncio.Event
) -> None:
    # Without it kopf asks for the user's name, which a container's user has none of.
    os.environ.setdefault("POD_ID", platform.node() or "modelrelease-operator")
    registry = kopf.OperatorRegistry()
    handlers.register(registry, operator)
    ready = asyncio.Event()

    async def take_signals_back() -> None:
        await ready.wait()
        _stop_on_signals(stop)

    taker = asyncio.create_task(take_signals_back(), name="signals")
    try:
        await kopf.operator(
            registry=registry,
            settings=handlers.settings(),
            standalone=True,
            clusterwide=not configured.namespaces,
            namespaces=configured.namespaces,
            stop_flag=kopf_stop,
            ready_flag=ready,
        )
    finally:
        taker.cancel()


async def _wait_installed(port: api.Api, configured: settings.Settings, clock: clocks.Clock) -> None:
    """Wait until the API server answers and knows our kinds: kopf looks for them only once."""
    namespace = next(iter(configured.namespaces), None)
    while True:
        try:
            for kind in (api.RELEASE, api.RUN):
                await port.list(kind, namespace)
        except api.ApiError as error:
            _log.warning("Waiting for the API server and the CRDs: %s", error)
            await clock.sleep(RETRY_SECONDS)
        else:
            return


def _stop_on_signals(stop: asyncio.Event) -> None:
    running = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop.set)


def _part(name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(work, name=name)
