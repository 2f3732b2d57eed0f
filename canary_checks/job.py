"""The entry point of a check's Job: a request in the environment, a verdict in the termination message."""

import asyncio
import os
import time
from typing import Final

import pydantic

from canary_checks import request, runner, termination
from canary_checks.evidence import keeping

REQUEST_VARIABLE: Final = "MODELRELEASE_CHECK_REQUEST"
_GRACE_SECONDS: Final = 5.0
"""Of the ten that a Job has beyond its check's deadline: what a volume may take in any case."""


def main() -> int:
    """Run the check that the environment asks for.

    Returns
    -------
    0 when a verdict was reached, whichever; 2 when the request cannot be understood.
    """
    log = termination.log_file()
    try:
        asked = request.CheckRequest.model_validate_json(
            os.environ.get(REQUEST_VARIABLE, ""), by_alias=True, by_name=False
        )
    except pydantic.ValidationError as error:
        return termination.refuse(log, error, REQUEST_VARIABLE)
    started = time.monotonic()
    outcome = asyncio.run(termination.until_terminated(runner.run(asked)))
    termination.leave(log, outcome.result, outcome.evidence)
    if asked.evidence is not None:
        left = asked.deadline_seconds + _GRACE_SECONDS - (time.monotonic() - started)
        kept = keeping.keep_within(max(_GRACE_SECONDS, left), asked, outcome.content)
        termination.amend(log, keeping.told(outcome.result, kept))
    return outcome.exit_code
