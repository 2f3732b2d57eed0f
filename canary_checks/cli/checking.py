"""``modelrelease check``: a check by its name, and ``conformance`` for a check of a team's own."""

from typing import Any, Final

import typer
from typer import core

from canary_checks.cli import check, conformance

CONFORMANCE: Final = "conformance"
_JUDGE: Final = "judge"


class _Check(core.TyperGroup):
    """A group of which one command needs no name: what does not begin with the other one's is its own."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Make the context of the command that is meant."""
        if args[:1] == [CONFORMANCE]:
            name, rest = f"{info_name} {CONFORMANCE}", args[1:]
            return self.commands[CONFORMANCE].make_context(name, rest, parent, **extra)
        return self.commands[_JUDGE].make_context(info_name, args, parent, **extra)


app = typer.Typer(cls=_Check, help=check.check.__doc__)
app.command(_JUDGE, epilog="`check conformance` says whether a check of your own keeps its contract.")(
    check.check
)
app.command(CONFORMANCE)(conformance.conformance)
