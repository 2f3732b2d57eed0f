"""Progress bars on standard error, and none where nobody looks."""

import asyncio
import contextlib
import math
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich import console as rich_console
from rich import progress as rich_progress

from canary_checks import request, runner
from canary_checks import vocabulary as v
from canary_checks.golden import selection
from canary_checks.parity import comparison
from canary_checks.probes import asking

_SECONDS: Final = 0.1


class Bars:
    """One bar for each check; use it as a context."""

    def __init__(self) -> None:
        self._progress = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}", markup=False),
            rich_progress.BarColumn(),
            rich_progress.TextColumn("{task.completed:.0f} requests", style="dim"),
            rich_progress.TimeElapsedColumn(),
            console=rich_console.Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    async def follow(
        self, title: str, asked: request.CheckRequest, known: Sequence[comparison.Known]
    ) -> runner.Outcome:
        """Run a check and show how far it is.

        Parameters
        ----------
        title
            What the bar is called.
        asked, known
            As of `runner.run`.
        """
        seen = runner.Progress()
        bar = self._progress.add_task(title, total=None)
        shown = asyncio.create_task(self._show(bar, asked, seen))
        try:
            return await runner.run(asked, known, seen)
        finally:
            shown.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await shown
            self._progress.update(bar, total=1, completed=1, visible=False)

    async def _show(
        self, bar: rich_progress.TaskID, asked: request.CheckRequest, seen: runner.Progress
    ) -> None:
        if self._progress.disable:
            return
        while True:
            sent = seen.requests.sent
            total = _expected(asked, seen)
            # A diagnosis asks again, how often nobody knows: the bar then waits at its end.
            self._progress.update(bar, completed=sent, total=max(total, sent) if total else None)
            await asyncio.sleep(_SECONDS)


def _expected(asked: request.CheckRequest, seen: runner.Progress) -> int | None:
    """Return how many requests the whole golden set takes, or None for a check that sends a sample."""
    if seen.golden is None or asked.check.kind is not v.CheckKind.EMBEDDING_PARITY:
        return None
    counts = (
        len(selection.select(seen.golden, one.modality, shard=asked.shard, shards=asked.shards).items)
        for one in asked.operations
    )
    return sum(math.ceil(count / asking.BATCH) for count in counts)
