"""Show what is being done, how long each step took, and what to do when one fails."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

TAIL_LINES = 25
HEARTBEAT_SECONDS = 15.0
INTERRUPTED = 130


class StepError(Exception):
    """A step failed, with what a person needs to go on.

    Parameters
    ----------
    message : str
        What went wrong, in one line.
    hint : str
        What to do about it, in one line.
    log : str
        The end of the output that explains it.
    """

    def __init__(self, message: str, hint: str, log: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.log = log


@dataclass(frozen=True)
class Step:
    """One step of a plan: `action` returns a short note, such as "present"."""

    title: str
    action: Callable[[], str]


class Progress:
    """Print numbered steps with the time that each took.

    Parameters
    ----------
    total : int
        How many steps the plan has.
    out : TextIO or None
        Where to print; standard error by default, so that standard output holds only results.
    """

    def __init__(self, total: int, out: TextIO | None = None) -> None:
        self._total = total
        self._number = 0
        self._out = out if out is not None else sys.stderr

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Print one step around the work in the block; notes appended to the list are shown."""
        self._number += 1
        width = len(str(self._total))
        self._print(f"[{self._number:>{width}}/{self._total}] {title} … ")
        notes: list[str] = []
        started = time.monotonic()
        finished = threading.Event()
        heartbeat = threading.Thread(target=self._beat, args=(finished,), daemon=True)
        heartbeat.start()
        try:
            yield notes
        except BaseException:
            self._print(f"failed after {time.monotonic() - started:.1f} s\n")
            raise
        finally:
            finished.set()
            heartbeat.join()
        note = f" ({', '.join(notes)})" if notes else ""
        self._print(f"{time.monotonic() - started:.1f} s{note}\n")

    def _beat(self, finished: threading.Event) -> None:
        while not finished.wait(HEARTBEAT_SECONDS):
            self._print(".")

    def _print(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def run_steps(steps: Sequence[Step], out: TextIO | None = None) -> None:
    """Run the steps of a plan in order, and show each."""
    progress = Progress(len(steps), out)
    for step in steps:
        with progress.step(step.title) as notes:
            note = step.action()
            if note:
                notes.append(note)


def report(error: StepError, out: TextIO | None = None) -> None:
    """Print a failed step: the end of its log, what went wrong, what to do."""
    stream = out if out is not None else sys.stderr
    if error.log:
        stream.write("".join(f"    | {line}\n" for line in error.log.splitlines()))
    stream.write(f"error: {error}\nwhat to do: {error.hint}\n")
    stream.flush()


def say(text: str = "") -> None:
    """Print a result on standard output; progress goes to standard error."""
    sys.stdout.write(f"{text}\n")


def say_status(running: Mapping[str, bool]) -> int:
    """Print what runs, by name, and return the exit status: 0 if there is something and all of it runs."""
    for name, runs in running.items():
        say(f"{name:26} {'running' if runs else 'ENDED: run `up`'}")
    if not running:
        say("not up")
    return 0 if running and all(running.values()) else 1


def exit_status(action: Callable[[], int]) -> int:
    """Do what a command line says; a failed step and Ctrl-C become their exit status."""
    try:
        return action()
    except StepError as error:
        report(error)
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; the same command goes on from here\n")
        return INTERRUPTED


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a text file, or nothing if there is none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def wait_until(check: Callable[[], bool], seconds: float, interval: float = 0.1) -> bool:
    """Poll a condition until it holds or the time is over.

    Parameters
    ----------
    check : Callable
        Returns True when the condition holds.
    seconds : float
        How long to go on.
    interval : float
        The pause between two looks.

    Returns
    -------
    bool
        Whether the condition held in time.
    """
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() >= deadline:
            return False
        time.sleep(interval)
    return True
