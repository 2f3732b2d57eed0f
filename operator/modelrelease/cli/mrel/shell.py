"""The surroundings of one command: the terminal, the clock, and the cluster that options choose."""

import dataclasses
import datetime
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TextIO

from modelrelease.cli.mrel import clock, port

if TYPE_CHECKING:
    from modelrelease.cli.mrel import screen

_PIPED_WIDTH: Final = 120


def _kubectl(options: tuple[str, ...]) -> port.Cluster:
    from modelrelease.cli.mrel import kubectl  # noqa: PLC0415 - `--help` talks to nobody

    return kubectl.Kubectl(options)


@dataclasses.dataclass(frozen=True, slots=True)
class Shell:
    """Where a command runs.

    Parameters
    ----------
    out, err
        What is printed to.
    inp
        What a person answers on.
    environ
        The environment variables.
    connect
        From kubectl's options to a cluster.
    now
        The present, UTC.
    """

    out: TextIO = dataclasses.field(default_factory=lambda: sys.stdout)
    err: TextIO = dataclasses.field(default_factory=lambda: sys.stderr)
    inp: TextIO = dataclasses.field(default_factory=lambda: sys.stdin)
    environ: Mapping[str, str] = dataclasses.field(default_factory=lambda: os.environ)
    connect: Callable[[tuple[str, ...]], port.Cluster] = _kubectl
    now: Callable[[], datetime.datetime] = clock.now

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return self.inp.isatty() and self.err.isatty()

    @property
    def live(self) -> bool:
        """Whether what was printed can be drawn over."""
        return self.out.isatty() and self.environ.get("TERM") != "dumb"

    @property
    def colour(self) -> bool:
        """Whether colours are wanted: never in a pipe, nor with NO_COLOR."""
        return self.live and not self.environ.get("NO_COLOR")

    @property
    def width(self) -> int:
        """Columns of the terminal; of a pipe, those that COLUMNS says."""
        said = self.environ.get("COLUMNS", "")
        if said.isdecimal() and int(said) > 0:
            return int(said)
        return shutil.get_terminal_size().columns if self.out.isatty() else _PIPED_WIDTH

    def print(self, what: "screen.Screen") -> None:
        """Print a screen."""
        self.write(what.text(self.width, colour=self.colour))

    def write(self, text: str) -> None:
        """Print text as it is."""
        self.out.write(text)
        self.out.flush()

    def complain(self, text: str) -> None:
        """Print a sentence where errors go."""
        self.err.write(f"{text}\n")
        self.err.flush()

    def answer(self, form: str, value: Any) -> None:
        """Print a value for programs."""
        from modelrelease.cli.mrel import screen  # noqa: PLC0415 - `--help` shows none

        self.write(screen.document(value, form))
