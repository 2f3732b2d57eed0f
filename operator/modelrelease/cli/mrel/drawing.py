"""Draw ``status -w``: over itself on a terminal, a line for each change in a pipe, documents for programs."""

import contextlib
import dataclasses
import datetime
import json
from collections.abc import Iterator
from typing import Protocol

from rich import console as rich_console
from rich import live as rich_live

from modelrelease.cli.mrel import screen, shell, standing, standing_screen


class Canvas(Protocol):
    """What a view is drawn on, again and again."""

    def draw(self, view: standing.Standing, now: datetime.datetime, lost: str) -> None:
        """Draw a view; ``lost`` says why it may be old."""


@contextlib.contextmanager
def canvas(here: shell.Shell, form: str) -> Iterator[Canvas]:
    """Yield what fits the terminal."""
    if form or not here.live:
        yield _Lines(here, form)
        return
    console = rich_console.Console(
        file=here.out,
        force_terminal=True,
        no_color=not here.colour,
        highlight=False,
        emoji=False,
        markup=False,
    )
    with rich_live.Live(console=console, auto_refresh=False, vertical_overflow="visible") as live:
        yield _Over(live)


@dataclasses.dataclass(slots=True)
class _Over:
    """One screen that is drawn over."""

    live: rich_live.Live

    def draw(self, view: standing.Standing, now: datetime.datetime, lost: str) -> None:
        parts = [*standing_screen.show(view, now).parts]
        if lost:
            parts.append(screen.styled(f"Not heard from the cluster: {lost}. Trying again.", "yellow"))
        self.live.update(rich_console.Group(*parts), refresh=True)


@dataclasses.dataclass(slots=True)
class _Lines:
    """What is new, and only that."""

    here: shell.Shell
    form: str
    before: object = None
    lost: str = ""

    def draw(self, view: standing.Standing, now: datetime.datetime, lost: str) -> None:
        if lost and lost != self.lost:
            self.here.complain(f"note: not heard from the cluster: {lost}; trying again")
        self.lost = lost
        said = (
            view.phase,
            view.message,
            view.weight,
            view.overrides,
            bool(view.silent_seconds),
            view.verdict,
        )
        if said == self.before:
            return
        self.before = said
        if self.form == "json":
            self.here.write(json.dumps(dataclasses.asdict(view), default=str, ensure_ascii=False) + "\n")
        elif self.form:
            self.here.write("---\n" + screen.document(dataclasses.asdict(view), self.form))
        else:
            flags = "".join(f"  ! {text}" for text in view.overrides)
            silent = "  The operator is silent; serving is not affected." if view.silent_seconds else ""
            self.here.write(f"{now:%H:%M:%S}  {view.phase}  {view.message}{flags}{silent}\n")
