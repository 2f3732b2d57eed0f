"""What the golden commands share: sets and servers by their names, and how things are said."""

# ruff: noqa: PLC0415 - help and mistakes in arguments need neither numpy nor Pillow

import dataclasses
import json
import pathlib
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import rich.box
import rich.console
import rich.status
import rich.table
import typer
from pydantic import alias_generators

from canary_checks import operation, probing
from canary_checks import vocabulary as v
from canary_checks.cli import task

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from canary_checks.golden import pack as golden_pack
    from canary_checks.golden import recorder

_PIPED_WIDTH: Final = 120

Set = Annotated[str, typer.Argument(metavar="NAME", help="Folder of the set, or builtin:NAME.")]
Folder = Annotated[pathlib.Path, typer.Argument(metavar="NAME", help="Folder of the set.")]
OwnClass = Annotated[v.NumericClass, typer.Option(help="Of the server that is asked.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]


def load(name: str) -> "golden_pack.Pack":
    """Read a set, built in or of a folder."""
    from canary_checks.golden import store

    return store.load(task.golden_set(name))


def server(
    url: str,
    operations: tuple[operation.Operation, ...],
    numeric_class: v.NumericClass,
    rate: int | None,
    probe: probing.ProbeEndpoint | None = None,
) -> "recorder.Server":
    """Describe the server that is asked."""
    from canary_checks.golden import recorder

    return recorder.Server(
        url=task.server(url, "--url", "server").url,
        operations=operations,
        numeric_class=numeric_class,
        max_requests_per_second=rate,
        probe=probe,
    )


def tell(said: Any, sentence: str, *, as_json: bool) -> None:
    """Say what was done, for people or for programs."""
    if as_json:
        write(said)
    else:
        sys.stdout.write(sentence + "\n")


def fields(of: "DataclassInstance") -> dict[str, Any]:
    """Return the fields of a dataclass under the names that they have in JSON."""
    return {alias_generators.to_camel(name): value for name, value in dataclasses.asdict(of).items()}


def write(said: Any) -> None:
    """Write JSON."""
    sys.stdout.write(json.dumps(said, ensure_ascii=False, indent=1) + "\n")


def console() -> rich.console.Console:
    """Return standard output as people see it; a pipe has room for what matters."""
    return rich.console.Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)


def waiting(what: str) -> rich.status.Status:
    """Show that something is going on, on standard error and to people alone."""
    return rich.console.Console(stderr=True).status(what)


def table(*headings: str) -> rich.table.Table:
    """Return an empty table."""
    made = rich.table.Table(box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made
