"""Starts the process that sends, and ends it when its time is up."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from modelrelease.notifications import notice as notices
from modelrelease.notifications import settings

SECONDS: Final = 30.0
"""For all messages together, from the start of the process."""
LATE: Final = "it did not take the message within {:g} s"
BROKE: Final = "the process that sends ended without a word of it"

COMMAND: Final = (sys.executable, "-m", "modelrelease.notifications")


async def send(
    messages: Sequence[tuple[settings.Target, notices.Message]], *, seconds: float = SECONDS
) -> Mapping[str, str | None]:
    """Send a message to each target.

    Returns
    -------
    Why it failed, or None, by the target's name.
    """
    tasks = [
        {
            "target": target.name,
            "urlFile": str(target.url_file),
            "title": message.title,
            "body": message.body,
            "kind": message.kind,
        }
        for target, message in messages
    ]
    outcomes: dict[str, str | None] = {target.name: BROKE for target, _ in messages}
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Nothing that a library prints about a URL may reach a log.
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(seconds):
            with contextlib.suppress(ConnectionError):
                process.stdin.write(json.dumps(tasks).encode())
                await process.stdin.drain()
            process.stdin.close()
            async for line in process.stdout:
                said = json.loads(line)
                outcomes[said["target"]] = said["why"]
    except TimeoutError:
        late = LATE.format(seconds)
        return {name: late if why == BROKE else why for name, why in outcomes.items()}
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return outcomes
