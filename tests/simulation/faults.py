"""The way between operator and API server: slow, lossy, and now and then the operator is killed on it."""

import asyncio
import contextvars
import dataclasses
import datetime
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from modelrelease.cluster import api
from tests.simulation import client, kubernetes

CALL_SECONDS = 15.0
"""Deadline of a call, as the real client has it."""
TURN: contextvars.ContextVar[str] = contextvars.ContextVar("turn", default="")
"""The release whose turn makes a call; empty for what the operator does for all of them."""
LAG_SECONDS = 0.1
"""A watch tells what happened up to so much later."""


@dataclasses.dataclass(slots=True)
class Fault:
    """What the next calls meet."""

    verb: str
    """``any``, or which calls."""
    mode: str
    """refused (before the effect), lost (after it), conflict, slow or hang."""
    count: int
    release: str = ""
    """Whose turns meet it; empty for every call."""


@dataclasses.dataclass(slots=True)
class Kill:
    """The operator's end at its n-th call from now."""

    calls: int
    after: bool
    """Once the call has had its effect."""
    seconds: float
    """How long no operator runs."""


class Line:
    """What every operator's calls go through; faults wait here for their call."""

    def __init__(self, server: kubernetes.Server, seed: int) -> None:
        self.server = server
        self.chance = random.Random(f"{seed}/line")
        self.lag = random.Random(f"{seed}/lag")
        self.faults: list[Fault] = []
        self.kills: list[Kill] = []
        self.calls = 0
        self._met: dict[str, float] = {}
        """When a call last met a fault, by the release that the fault was meant for."""

    def last_fault(self, release: str = "") -> float:
        """Return when a call last met a fault that concerns a release."""
        return max(self._met.get("", -1e9), self._met.get(release, -1e9))

    def waits(self, release: str = "") -> bool:
        """Return whether a fault that concerns a release waits for its call."""
        return any(fault.release in {"", release} for fault in self.faults)

    def fault_for(self, verb: str) -> str:
        """Take the fault that a call meets, or none."""
        for fault in self.faults:
            if fault.release not in {"", TURN.get()}:
                continue
            if fault.verb in {"any", verb} and not (fault.mode == "conflict" and verb in {"get", "list"}):
                fault.count -= 1
                if fault.count <= 0:
                    self.faults.remove(fault)
                self._met[fault.release] = self.server.seconds()
                return fault.mode
        return ""

    def kill_for(self) -> Kill | None:
        """Count a call against the first kill that waits, and return it when it is due."""
        if not self.kills:
            return None
        self.kills[0].calls -= 1
        return self.kills.pop(0) if self.kills[0].calls <= 0 else None


class Faulty:
    """:class:`modelrelease.cluster.api.Api` for one operator: when it is killed, no call ever ends again."""

    def __init__(self, line: Line, killed: Callable[[Kill], None]) -> None:
        self._line = line
        self._client = client.Client(line.server)
        self._killed = killed
        self.dead = False

    def now(self) -> datetime.datetime:
        """Return the server's time in whole seconds, advanced as the real client does it."""
        return self._line.server.now()

    async def _through(self, verb: str, call: Callable[[], Awaitable[Any]]) -> Any:
        line = self._line
        line.calls += 1
        kill, mode = line.kill_for(), line.fault_for(verb)
        await asyncio.sleep(line.chance.uniform(0.001, 0.02))
        if self.dead or (kill is not None and not kill.after):
            await self._die(kill)
        if mode == "slow":
            await asyncio.sleep(line.chance.uniform(2.0, 10.0))
        elif mode == "refused":
            raise api.Unavailable("429: too many requests", line.chance.choice([429, 500, 503]))
        elif mode == "conflict":
            raise api.Conflict("409: injected", 409)
        elif mode == "hang":
            await asyncio.sleep(CALL_SECONDS)
            if line.chance.random() < 0.5:
                raise api.Unavailable("timed out before it had an effect")
        if self.dead:
            await self._die(kill)
        result = await call()
        await asyncio.sleep(line.chance.uniform(0.001, 0.02))
        if self.dead or kill is not None:
            await self._die(kill)
        if mode in {"lost", "hang"}:
            raise api.Unavailable("the answer was lost")
        return result

    async def _die(self, kill: Kill | None) -> None:
        if kill is not None and not self.dead:
            self._killed(kill)
        await asyncio.Event().wait()

    async def get(self, kind: api.Kind, namespace: str, name: str) -> api.Object:
        """Read one object."""
        return await self._through("get", lambda: self._client.get(kind, namespace, name))

    async def list(
        self, kind: api.Kind, namespace: str | None = None, selector: str = ""
    ) -> tuple[list[api.Object], str]:
        """List objects."""
        return await self._through("list", lambda: self._client.list(kind, namespace, selector))

    async def watch(
        self, kind: api.Kind, resource_version: str, namespace: str | None = None, selector: str = ""
    ) -> AsyncIterator[api.WatchEvent]:
        """Follow changes; each kind is told at a pace of its own, so what one cache knows another may not."""
        line, arriving = self._line, asyncio.Queue[tuple[float, api.WatchEvent] | None]()

        async def send() -> None:
            try:
                async for event in self._client.watch(kind, resource_version, namespace, selector):
                    due = line.server.seconds() + line.lag.uniform(0.0, LAG_SECONDS)
                    arriving.put_nowait((due, event))
            finally:
                arriving.put_nowait(None)

        sending = asyncio.create_task(send())
        try:
            while (sent := await arriving.get()) is not None:
                due, event = sent
                await asyncio.sleep(max(0.0, due - line.server.seconds()))
                yield event
            await sending
        finally:
            sending.cancel()

    async def create(self, kind: api.Kind, obj: api.Object, *, dry_run: bool = False) -> api.Object:
        """Create an object."""
        return await self._through("create", lambda: self._client.create(kind, obj, dry_run=dry_run))

    async def apply(
        self, kind: api.Kind, obj: api.Object, *, subresource: str = "", force: bool = True
    ) -> api.Object:
        """Server-side apply."""
        return await self._through(
            "apply", lambda: self._client.apply(kind, obj, subresource=subresource, force=force)
        )

    async def merge(self, kind: api.Kind, namespace: str, name: str, patch: api.Object) -> api.Object:
        """JSON merge patch."""
        return await self._through("merge", lambda: self._client.merge(kind, namespace, name, patch))

    async def scale(self, namespace: str, name: str, replicas: int, resource_version: str) -> None:
        """Scale a Deployment."""
        await self._through("scale", lambda: self._client.scale(namespace, name, replicas, resource_version))

    async def delete(self, kind: api.Kind, namespace: str, name: str, *, uid: str = "") -> None:
        """Delete an object."""
        await self._through("delete", lambda: self._client.delete(kind, namespace, name, uid=uid))

    async def pod_log(self, namespace: str, name: str, container: str, limit_bytes: int) -> str:
        """Read a log."""
        return await self._through(
            "pod_log", lambda: self._client.pod_log(namespace, name, container, limit_bytes)
        )
