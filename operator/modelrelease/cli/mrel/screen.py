"""What screens are made of: a heading, rows with a label, tables. Pure; rich lays them out.

A screen is drawn for whatever width there is. Below 80 columns tables are given up where they would be
unreadable, and nothing is cut: somebody on call reads it on a telephone.
"""

import dataclasses
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import yaml
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

NARROW: Final = 80
WIDE: Final = 130
"""A list of releases is a table from here on: its last column is a sentence."""
WIDTH_MAX: Final = 160
"""A terminal may be wider, a sentence should not be."""

Cell = str | Text


@dataclasses.dataclass(frozen=True, slots=True)
class Screen:
    """Something to print, for people."""

    parts: tuple[RenderableType, ...]

    def text(self, width: int, *, colour: bool = False) -> str:
        """Return the screen as lines without trailing blanks."""
        console = Console(
            file=io.StringIO(),
            width=min(width, WIDTH_MAX),
            force_terminal=colour,
            color_system="standard" if colour else None,
            no_color=not colour,
            highlight=False,
            emoji=False,
            markup=False,
            legacy_windows=False,
        )
        console.print(Group(*self.parts))
        file = console.file
        assert isinstance(file, io.StringIO)
        return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def styled(text: str, style: str = "") -> Text:
    """Return text in one style."""
    return Text(text, style=style)


def line(*pieces: Cell | tuple[str, str]) -> Text:
    """Return pieces, each with its style, as one paragraph."""
    return Text.assemble(*pieces)


def rows(entries: Iterable[tuple[str, RenderableType]]) -> Table:
    """Return paragraphs with a label at their left."""
    grid = Table.grid(padding=(0, 2, 0, 0), expand=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for label, content in entries:
        grid.add_row(label, content)
    return grid


def table(head: Sequence[str], body: Sequence[Sequence[Cell]], *, keep: Sequence[int] = ()) -> Table:
    """Return a table without rules.

    Parameters
    ----------
    head
        Words above the columns; all empty for none.
    body
        The rows; the last column wraps, the others are as wide as what is in them.
    keep
        Further columns that may wrap.
    """
    grid = Table(
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        show_header=any(head),
        header_style="dim",
        show_edge=False,
    )
    for index, word in enumerate(head):
        wraps = index == len(head) - 1 or index in keep
        grid.add_column(word, no_wrap=not wraps, overflow="fold")
    for entry in body:
        grid.add_row(*entry)
    return grid


def indented(content: RenderableType, by: int = 2) -> RenderableType:
    """Return something moved to the right."""
    return Padding(content, (0, 0, 0, by))


def numbered(entries: Iterable[str]) -> Table:
    """Return sentences with their numbers."""
    return table(("", ""), [(str(number), entry) for number, entry in enumerate(entries, 1)])


def document(value: Any, form: str) -> str:
    """Return a value for programs: ``json`` or ``yaml``."""
    plain = json.loads(json.dumps(value, default=str, ensure_ascii=False))
    if form == "json":
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=WIDTH_MAX))
