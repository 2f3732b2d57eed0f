"""How a command ends: one exit code for each verdict, and one sentence for whatever went wrong."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Final

import pydantic

from canary_checks import failure, schema
from canary_checks import vocabulary as v

PASS: Final = 0
FAIL: Final = 1
NO_DATA: Final = 2
ERROR: Final = 3
USAGE: Final = 64
"""As in sysexits.h; the usual 2 would be taken for a verdict."""
INTERRUPTED: Final = 130

DEBUG_VARIABLE: Final = "MODELRELEASE_DEBUG"
"""When set, an internal error also shows its traceback."""

_OF_VERDICT: Final = {
    v.Verdict.PASS: PASS,
    v.Verdict.FAIL: FAIL,
    v.Verdict.INCONCLUSIVE: NO_DATA,
    v.Verdict.NO_DATA: NO_DATA,
    v.Verdict.ERROR: ERROR,
}
_PRECEDENCE: Final = (v.Verdict.FAIL, v.Verdict.ERROR, v.Verdict.INCONCLUSIVE, v.Verdict.NO_DATA)


class UsageError(Exception):
    """An argument cannot be meant; the message says in one sentence which and why."""


def worst(results: Sequence[schema.CheckResult]) -> v.Verdict:
    """Return the verdict of several results: Fail > Error > Inconclusive > NoData > Pass; of none, NoData."""
    found = {one.verdict for one in results}
    passed = v.Verdict.PASS if found else v.Verdict.NO_DATA
    return next((verdict for verdict in _PRECEDENCE if verdict in found), passed)


def exit_code(results: Sequence[schema.CheckResult]) -> int:
    """Return the exit code of several results: 0 Pass, 1 Fail, 2 NoData or Inconclusive, 3 Error."""
    return _OF_VERDICT[worst(results)]


def guarded(command: Callable[[], int]) -> int:
    """Run a command so that whatever goes wrong ends in one sentence on standard error.

    Parameters
    ----------
    command
        Does the work and returns its exit code.

    Returns
    -------
    Its exit code; `USAGE` for arguments that cannot be meant, `ERROR` for what cannot be read, written or
    reached, and also for our own mistakes: no accident may look like the verdict ``Fail``.
    """
    try:
        return command()
    except UsageError as error:
        return _say(USAGE, "usage", str(error))
    except pydantic.ValidationError as error:
        return _say(USAGE, "usage", first_problem(error))
    except failure.CheckError as error:
        return _say(ERROR, "error", f"{error.message} ({error.reason})")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _say(ERROR, "error", f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        return _say(INTERRUPTED, "error", "interrupted")
    except Exception as error:  # noqa: BLE001 - Python's own exit code of a traceback is 1, and 1 is Fail
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        about = f"internal error: {type(error).__name__}: {error} ({DEBUG_VARIABLE}=1 shows the traceback)"
        return _say(ERROR, "error", about)


def first_problem(error: pydantic.ValidationError) -> str:
    """Say what is wrong first in something that does not follow its model."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _say(code: int, kind: str, about: str) -> int:
    sys.stderr.write(f"{kind}: {v.sentence(about, 1000)}\n")
    return code
