"""How a check's container ends: its verdict is the termination message, its log's last line the evidence."""

import asyncio
import os
import pathlib
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import pydantic

from canary_checks import result, schema
from canary_checks import vocabulary as v

Outcome = TypeVar("Outcome")

LOG_VARIABLE: Final = "MODELRELEASE_TERMINATION_LOG"
_DEFAULT_LOG: Final = "/dev/termination-log"
BAD_REQUEST: Final = 2


def log_file() -> pathlib.Path:
    """Return the file that becomes the termination message."""
    return pathlib.Path(os.environ.get(LOG_VARIABLE, _DEFAULT_LOG))


def refuse(log: pathlib.Path, error: pydantic.ValidationError, variable: str) -> int:
    """Say that a request cannot be understood, and return the exit code of that.

    Without a request there is no nonce, so this can be no result: a person reads it, nobody believes it.
    """
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or variable
    text = v.sentence(f"invalid request: {where}: {first['msg']}")
    log.write_text(text, encoding="utf-8")
    sys.stderr.write(text + "\n")
    return BAD_REQUEST


def leave(log: pathlib.Path, found: schema.CheckResult, evidence: str) -> None:
    """Write the verdict, and then the evidence as the log's last line.

    The verdict first: it decides, and a kill between the two loses only what explains.
    """
    log.write_text(result.to_termination_message(found), encoding="utf-8")
    sys.stdout.write(result.EVIDENCE_PREFIX + evidence + "\n")
    sys.stdout.flush()


def amend(log: pathlib.Path, found: schema.CheckResult) -> None:
    """Replace the verdict by one that explains more, in one write: a kill leaves the one or the other."""
    text = result.to_termination_message(found).encode()
    with log.open("r+b", buffering=0) as file:
        # What is left of a longer one is written over with spaces, which JSON allows at its end.
        file.write(text.ljust(log.stat().st_size))


async def until_terminated(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Do something so that SIGTERM, the Job's deadline, cancels it: it ends with a result of its own."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
