"""A result made of an exit code: what a container says that writes no result of its own."""

import datetime
from typing import Final

from canary_checks import question, schema
from canary_checks import vocabulary as v

REASON: Final = "ExitCode"
_VERDICTS: Final = {0: v.Verdict.PASS, 1: v.Verdict.FAIL}
_UNKNOWN: Final = "unknown"


def judged(
    answer: question.Answer, exit_code: int, said: str, ended: datetime.datetime | None = None
) -> schema.CheckResult:
    """Return the result that an exit code means: 0 Pass, 1 Fail, any other Error.

    Parameters
    ----------
    answer
        What was asked.
    exit_code
        Of the container.
    said
        What it said besides, such as the end of its log: the last line of it that is not empty is shown.
    ended
        When it ended.

    Returns
    -------
    A result with the one gate ``ExitCode``; an Error has none, because nothing was measured.
    """
    verdict = _VERDICTS.get(exit_code, v.Verdict.ERROR)
    gates: tuple[schema.Gate, ...] = ()
    if verdict is not v.Verdict.ERROR:
        gates = (
            schema.Gate(
                metric=REASON,
                verdict=verdict,
                observed=float(exit_code),
                operator="==",
                limit=0.0,
                basis=v.Basis.EXACT,
                samples=1,
            ),
        )
    time = ended or datetime.datetime.fromtimestamp(0, datetime.UTC)
    lines = [line for line in said.splitlines() if line.strip()]
    about = f": {lines[-1]}" if lines else ""
    return answer.result(
        verdict,
        REASON,
        f"the check's container ended with exit code {exit_code}{about}",
        timings=schema.Timings(start_time=time, completion_time=time),
        measured_by=_UNKNOWN,
        gates=gates,
    )
