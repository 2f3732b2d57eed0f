"""The queue between the turns and the people: bounded, and nobody waits for it.

A notice is left here and the turn goes on. What has gathered since the last message goes out as one, so a
storm of transitions is a few messages and none of them is lost; a target that fails is tried again a few
times and then given up, beside the others. While nothing is to be told, there is no task and no process.
"""

import asyncio
import collections
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from modelrelease.notifications import notice as notices
from modelrelease.notifications import routing, settings

GATHER_SECONDS: Final = 0.5
"""What else happens meanwhile goes out with the first message."""
PAUSE_SECONDS: Final = 5.0
"""Between two messages."""
BACKOFF_SECONDS: Final = (10.0, 60.0, 300.0)
"""Before the second attempt, the third and so on; after the last one it is given up."""
WAITING_MAX: Final = 256
"""Notices that wait for one target."""
REMEMBERED_MAX: Final = 1024

SENT: Final = "sent"
FAILED: Final = "failed"
DROPPED: Final = "dropped"
UNKNOWN: Final = "unknown"
"""The release names a target that it cannot have."""

Messages = Sequence[tuple[settings.Target, notices.Message]]

_log = logging.getLogger(__name__)


class Count(Protocol):
    """Counts notices by what became of them."""

    def __call__(self, target: str, result: str, number: int) -> None: ...


@dataclasses.dataclass(slots=True)
class _Line:
    """What waits for one target."""

    target: settings.Target
    waiting: collections.deque[notices.Notice] = dataclasses.field(default_factory=collections.deque)
    attempt: int = 0
    due: float = 0.0
    full: bool = False
    """Something was dropped since it was last empty: said once."""


class Dispatch:
    """Takes notices and tells people.

    Parameters
    ----------
    configured
        The targets.
    send
        Sends messages; returns why each failed, or None (:func:`modelrelease.notifications.sending.send`).
    monotonic, sleep
        Time.
    count
        Is told what became of each notice.
    """

    def __init__(
        self,
        configured: settings.Notifications,
        *,
        send: Callable[[Messages], Awaitable[Mapping[str, str | None]]],
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        count: Count,
    ) -> None:
        self._configured = configured
        self._send = send
        self._monotonic = monotonic
        self._sleep = sleep
        self._count = count
        self._lines: dict[str, _Line] = {}
        self._known: collections.OrderedDict[str, None] = collections.OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._next = 0.0
        """Monotonic time before which no further message goes out."""

    def tell(self, notice: notices.Notice) -> None:
        """Leave a notice; one of the same key is told once. Never waits and never fails."""
        if notice.key in self._known:
            return
        self._known[notice.key] = None
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        for name in routing.unknown(notice.targets, notice.namespace, self._configured):
            self._count("", UNKNOWN, 1)
            _log.warning(
                "%s/%s names the notification target %r, which this installation does not have for it",
                notice.namespace,
                notice.release,
                name,
            )
        for target in routing.targets(notice, self._configured):
            self._queue(target, notice)
        if self._lines and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work(), name="notifications")

    async def close(self, seconds: float) -> None:
        """Let what is under way end, at most so long; what waits after that is lost, and said."""
        if self._task is None or self._task.done():
            return
        self._next = now = self._monotonic()
        if any(line.due <= now for line in self._lines.values()):
            await asyncio.wait({self._task}, timeout=seconds)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        left = {name: len(line.waiting) for name, line in self._lines.items() if line.waiting}
        for name, number in left.items():
            self._count(name, DROPPED, number)
            _log.warning("%d notices for target %r are lost: the operator stops", number, name)

    def _queue(self, target: settings.Target, notice: notices.Notice) -> None:
        line = self._lines.setdefault(target.name, _Line(target))
        if len(line.waiting) < WAITING_MAX:
            line.waiting.append(notice)
            return
        self._count(target.name, DROPPED, 1)
        if not line.full:
            line.full = True
            _log.warning("%d notices wait for target %r: further ones are dropped", WAITING_MAX, target.name)

    async def _work(self) -> None:
        while self._lines:
            now = self._monotonic()
            first = min(line.due for line in self._lines.values())
            # Short enough that what another target is told meanwhile does not wait for this one's backoff.
            wait = max(self._next - now, min(first - now, PAUSE_SECONDS))
            await self._sleep(max(GATHER_SECONDS, wait))
            now = self._monotonic()
            due = [line for line in self._lines.values() if line.due <= now]
            if due:
                await self._deliver(due)
                self._next = self._monotonic() + PAUSE_SECONDS

    async def _deliver(self, due: Sequence[_Line]) -> None:
        batches = [(line, tuple(line.waiting)) for line in due]
        messages = [
            (line.target, notices.message(batch, cluster=self._configured.cluster)) for line, batch in batches
        ]
        outcomes: Mapping[str, str | None] = {}
        broke = "nothing could be sent"
        try:
            outcomes = await self._send(messages)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next message must have its chance
            broke = f"nothing could be sent: {type(error).__name__}"
        for line, batch in batches:
            self._settle(line, len(batch), outcomes.get(line.target.name, broke))

    def _settle(self, line: _Line, number: int, why: str | None) -> None:
        name = line.target.name
        line.attempt += 1
        if why is not None and line.attempt <= len(BACKOFF_SECONDS):
            pause = BACKOFF_SECONDS[line.attempt - 1]
            line.due = self._monotonic() + pause
            _log.warning("Target %r was not told, next attempt in %g s: %s", name, pause, why)
            return
        if why is not None:
            said = "Target %r is not told of %d notices, after %d attempts: %s"
            _log.error(said, name, number, line.attempt, why)
        self._count(name, SENT if why is None else FAILED, number)
        for _ in range(number):
            line.waiting.popleft()
        line.attempt, line.due, line.full = 0, 0.0, False
        if not line.waiting:
            del self._lines[name]
