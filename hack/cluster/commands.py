"""Run a command to its end; a failure becomes a `StepError` with the end of its output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hack.cluster.steps import TAIL_LINES, StepError


def run(
    argv: Sequence[str | Path],
    *,
    hint: str,
    timeout: float = 60.0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a command and return what it printed on standard output.

    Parameters
    ----------
    argv : Sequence
        The program and its arguments; no shell is involved.
    hint : str
        What a person can do when it fails.
    timeout : float
        The most seconds that it may take.
    cwd : Path or None
        The folder to run it in.
    env : Mapping or None
        Variables to set in addition to the present ones.
    stdin : str or None
        What to give it on standard input; nothing by default.

    Returns
    -------
    str
        Its standard output.

    Raises
    ------
    StepError
        If the program is missing, fails or takes too long.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            check=False,
            cwd=cwd,
            encoding="utf-8",
            env={**os.environ, **env} if env else None,
            errors="replace",
            input=stdin if stdin is not None else "",
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise StepError(f"{words[0]} is not installed", hint) from error
    except subprocess.TimeoutExpired as error:
        raise StepError(f"{words[0]} took more than {timeout:.0f} s", hint) from error
    if done.returncode != 0:
        output = (done.stdout + done.stderr).splitlines()[-TAIL_LINES:]
        command = " ".join(words[:4])
        raise StepError(f"{command} ended with {done.returncode}", hint, "\n".join(output))
    return done.stdout


def succeeds(argv: Sequence[str | Path], timeout: float = 20.0) -> bool:
    """Tell whether a command is there and ends with 0; its output is dropped."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=timeout,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
