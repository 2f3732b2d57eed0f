"""The entry point of a webhook's Job: a question in the environment, a verdict in the termination message."""

import asyncio
import datetime
import os
import pathlib
from collections.abc import Mapping
from typing import Final

import pydantic

import canary_checks
from canary_checks import failure, result, schema, termination
from canary_checks import vocabulary as v
from canary_checks.webhook import exchange, request

REQUEST_VARIABLE: Final = "MODELRELEASE_WEBHOOK_REQUEST"
SIGNING_KEY_VARIABLE: Final = "MODELRELEASE_WEBHOOK_SIGNING_KEY"
AUTHORIZATION_VARIABLE: Final = "MODELRELEASE_WEBHOOK_AUTHORIZATION"
CA_BUNDLE_VARIABLE: Final = "MODELRELEASE_WEBHOOK_CA_BUNDLE"


def main() -> int:
    """Ask the service that the environment names.

    Returns
    -------
    0 when a verdict was reached, whichever; 2 when the request cannot be understood.
    """
    log = termination.log_file()
    try:
        asked = request.WebhookRequest.model_validate_json(
            os.environ.get(REQUEST_VARIABLE, ""), by_alias=True, by_name=False
        )
    except pydantic.ValidationError as error:
        return termination.refuse(log, error, REQUEST_VARIABLE)
    found = asyncio.run(termination.until_terminated(run(asked, keys_of(os.environ))))
    leave(log, found)
    return 0


def keys_of(environment: Mapping[str, str]) -> exchange.Keys:
    """Return the secrets that a Job is given."""
    return exchange.Keys(
        signing=os.fsencode(environment.get(SIGNING_KEY_VARIABLE, "")),
        # A file that was made with an editor ends in a line break, which no header can hold.
        authorization=environment.get(AUTHORIZATION_VARIABLE, "").strip(),
        ca_bundle=environment.get(CA_BUNDLE_VARIABLE, ""),
    )


async def run(asked: request.WebhookRequest, keys: exchange.Keys) -> schema.CheckResult:
    """Ask a service, whatever happens.

    Parameters
    ----------
    asked
        Whom, and what.
    keys
        The secrets.

    Returns
    -------
    The service's result, or an `Error` that says why there is none.
    """
    started = datetime.datetime.now(datetime.UTC)
    progress = exchange.Progress()
    try:
        async with asyncio.timeout(asked.question.deadline_seconds):
            body = await exchange.ask(asked, keys, progress)
        return result.parse_answer(body.decode("utf-8"), asked.question.answer)
    except failure.CheckError as error:
        reason, message = error.reason, error.message
    except UnicodeDecodeError:
        reason, message = "WebhookAnswerInvalid", f"{asked.url} answered with something that is no text"
    except result.ResultInvalid as error:
        reason, message = "WebhookAnswerInvalid", f"{asked.url} answered with no valid result: {error}"
    except (TimeoutError, asyncio.CancelledError):
        reason = "DeadlineExceeded"
        message = (
            f"the deadline of {asked.question.deadline_seconds} s is over for {asked.url}: {progress.state}"
        )
    except Exception as error:  # noqa: BLE001 - a verdict must come out, never a traceback
        reason, message = "InternalError", f"{type(error).__name__}: {error}"
    return asked.question.answer.result(
        v.Verdict.ERROR,
        reason,
        message,
        timings=schema.Timings(start_time=started, completion_time=datetime.datetime.now(datetime.UTC)),
        measured_by=canary_checks.__version__,
    )


def leave(log: pathlib.Path, found: schema.CheckResult) -> None:
    """Write the verdict, and as the last line of the log the whole result."""
    text = result.dump(result.Evidence(result=found))
    truncated = len(text.encode()) > result.EXPLANATION_LIMIT_BYTES
    if truncated:
        text = result.dump(result.Evidence(result=found.model_copy(update={"series": {}})))
    summary = schema.EvidenceSummary(
        digest=result.digest(text.encode()), size_bytes=len(text.encode()), truncated=truncated
    )
    termination.leave(log, found.model_copy(update={"evidence": summary}), text)
