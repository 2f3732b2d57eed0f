"""``modelrelease check``: a check by its name, ``internals`` of files, ``conformance`` of a team's own."""

from typing import Any, Final

import typer
from typer import core

from canary_checks.cli import check, conformance, internals

CONFORMANCE: Final = "conformance"
INTERNALS: Final = "internals"
_JUDGE: Final = "judge"


class _Check(core.TyperGroup):
    """A group of which one command needs no name: what does not begin with another one's is its own."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make the context of the command that is meant."""
        if args and args[0] in {CONFORMANCE, INTERNALS}:
            return self.commands[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return self.commands[_JUDGE].make_context(info_name, args, parent, **extra)


app = typer.Typer(cls=_Check, help=check.check.__doc__)
app.command(
    _JUDGE,
    epilog="`check internals` runs a model's files and looks inside. `check conformance` says whether a check"
    " of your own keeps its contract.",
)(check.check)
app.command(INTERNALS)(internals.internals)
app.command(CONFORMANCE)(conformance.conformance)
