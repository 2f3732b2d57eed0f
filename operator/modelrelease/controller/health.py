"""Health, readiness and metrics over HTTP.

``/healthz`` fails when the event loop crawls or a turn is stuck: restarting helps then. An API server that
does not answer is no reason to restart. ``/readyz`` says that the caches hold what the cluster holds.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import aiohttp as exposition

from modelrelease.controller import clock as clocks
from modelrelease.controller import loop, telemetry

LAG_SAMPLE_SECONDS: Final = 1.0
LAG_LIMIT_SECONDS: Final = 10.0


class Health:
    """Answers the kubelet's probes and Prometheus' scrapes.

    Parameters
    ----------
    operator
        Whose loops are watched.
    ready
        Whether the caches are filled.
    metrics
        What is exposed.
    clock
        Time.
    """

    def __init__(
        self,
        operator: loop.Operator,
        ready: Callable[[], bool],
        metrics: telemetry.Telemetry,
        clock: clocks.Clock,
    ) -> None:
        self._operator = operator
        self._ready = ready
        self._metrics = metrics
        self._clock = clock
        self._lag = 0.0

    def problems(self) -> list[str]:
        """Return why the process should be restarted."""
        found = [f"the turn of {key} is stuck" for key in self._operator.stuck()]
        if self._lag > LAG_LIMIT_SECONDS:
            found.append(f"the event loop is {self._lag:.1f} s late")
        return found

    def application(self) -> web.Application:
        """Return the HTTP application."""
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", exposition.make_aiohttp_handler(self._metrics.registry))
        return application

    async def sample_lag(self) -> None:
        """Measure, for ever, how late a sleeper is woken."""
        while True:
            before = self._clock.monotonic()
            await self._clock.sleep(LAG_SAMPLE_SECONDS)
            self._lag = max(0.0, self._clock.monotonic() - before - LAG_SAMPLE_SECONDS)
            self._metrics.lagged(self._lag)

    async def serve(self, host: str, port: int) -> None:
        """Serve until cancelled."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        problems = self.problems()
        return web.Response(text="\n".join(problems) or "ok", status=500 if problems else 200)

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text=f"ok: {self._operator.count} releases")
        return web.Response(text="the caches are not filled yet", status=503)
