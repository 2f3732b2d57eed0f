"""The commands of the command line: whatever is registered in the entry point group `modelrelease.commands`.

An entry point is named like its command. It is a ``typer.Typer`` with commands of its own, or the function of
one command.
"""

import dataclasses
import importlib.metadata
from collections.abc import Iterable, Mapping
from typing import Any, Final

import typer

GROUP: Final = "modelrelease.commands"

HELP: Final = """Release machine-learning models safely: the checks, in CI and on a laptop.

Exit codes of a check: 0 Pass, 1 Fail, 2 NoData or Inconclusive, 3 Error, 64 usage.
"""


@dataclasses.dataclass(frozen=True)
class Registered:
    """What packages brought, and what of it cannot be used, by the command's name."""

    commands: Mapping[str, Any]
    broken: Mapping[str, str]


def load(points: Iterable[importlib.metadata.EntryPoint] | None = None) -> Registered:
    """Load the registered commands.

    Parameters
    ----------
    points
        Entry points; None for those of every installed distribution.

    Returns
    -------
    The commands by name. One that cannot be imported, such as for want of an extra, takes no other with it.
    """
    commands: dict[str, Any] = {}
    broken: dict[str, str] = {}
    chosen = importlib.metadata.entry_points(group=GROUP) if points is None else points
    for point in sorted(chosen, key=lambda one: one.name):
        try:
            commands[point.name] = point.load()
        except (ImportError, AttributeError) as error:
            broken[point.name] = str(error)
    return Registered(commands, broken)


def build(registered: Registered) -> typer.Typer:
    """Mount commands on one application.

    Parameters
    ----------
    registered
        As loaded. A broken command stays in the list and says what is missing when it is called.
    """
    root = typer.Typer(
        name="modelrelease",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @root.callback()
    def together() -> None:
        """Keep a single registered command a command: without a callback Typer would make it the whole."""

    together.__doc__ = HELP
    for name, command in registered.commands.items():
        if isinstance(command, typer.Typer):
            root.add_typer(command, name=name)
        else:
            root.command(name)(command)
    for name, why in registered.broken.items():
        root.command(name, help=f"Not available: {why}")(_unavailable(name, why))
    return root


def _unavailable(name: str, why: str) -> Any:
    def unavailable() -> None:
        raise typer.BadParameter(f"{name} is not available: {why}; is the extra `checks` installed?")

    return unavailable
