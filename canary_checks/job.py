"""The entry point of a check's Job: a request in the environment, a verdict in the termination message."""

import asyncio
import os
import pathlib
import signal
import sys
from typing import Final

import pydantic

from canary_checks import request, result, runner
from canary_checks import vocabulary as v

REQUEST_VARIABLE: Final = "MODELRELEASE_CHECK_REQUEST"
LOG_VARIABLE: Final = "MODELRELEASE_TERMINATION_LOG"
_DEFAULT_LOG: Final = "/dev/termination-log"
BAD_REQUEST: Final = 2


def main() -> int:
    """Run the check that the environment asks for.

    Returns
    -------
    0 when a verdict was reached, whichever; 2 when the request cannot be understood.
    """
    log = pathlib.Path(os.environ.get(LOG_VARIABLE, _DEFAULT_LOG))
    try:
        asked = request.CheckRequest.model_validate_json(
            os.environ.get(REQUEST_VARIABLE, ""), by_alias=True, by_name=False
        )
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or REQUEST_VARIABLE
        # Without a request there is no nonce, so this can be no result: a person reads it, nobody believes
        # it.
        text = v.sentence(f"invalid request: {where}: {first['msg']}")
        log.write_text(text, encoding="utf-8")
        sys.stderr.write(text + "\n")
        return BAD_REQUEST
    outcome = asyncio.run(_until_terminated(asked))
    # The verdict first: it decides, and a kill between the two lines loses only what explains.
    log.write_text(result.to_termination_message(outcome.result), encoding="utf-8")
    sys.stdout.write(result.EVIDENCE_PREFIX + outcome.evidence + "\n")
    sys.stdout.flush()
    return outcome.exit_code


async def _until_terminated(asked: request.CheckRequest) -> runner.Outcome:
    """Run a check so that SIGTERM, the Job's deadline, ends it with a result."""
    check = asyncio.ensure_future(runner.run(asked))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, check.cancel)
    return await check
