"""Every command of this package under one name, for ``python -m canary_checks``.

Where the whole distribution is installed, the console script `modelrelease` mounts the same commands by their
entry points.
"""

from collections.abc import Sequence
from typing import Final

import typer

from canary_checks.cli import checking, compare, exits, golden, report, trace

HELP: Final = """Check a model server before its users do: in CI and on a laptop, with URLs and no cluster.

Exit codes: 0 Pass, 1 Fail, 2 NoData or Inconclusive, 3 Error, 64 usage.
"""


def build() -> typer.Typer:
    """Return the application with every command mounted."""
    root = typer.Typer(
        name="canary_checks",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    root.add_typer(checking.app, name="check")
    root.command("compare")(compare.compare)
    root.command("report")(report.report)
    root.command("trace")(trace.trace)
    root.add_typer(golden.app, name="golden")
    return root


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        The command line without the program's name.

    Returns
    -------
    0 Pass, 1 Fail, 2 NoData or Inconclusive, 3 Error, 64 usage, 130 interrupted.
    """
    return exits.guarded(lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    try:
        code = build()(list(arguments), prog_name="canary_checks", standalone_mode=False)
    except typer.TyperException as error:
        about = error.format_message().replace("Value error, ", "")
        if not about:
            # Without arguments the help is shown, and nothing is left to say.
            return exits.USAGE
        raise exits.UsageError(about) from error
    except typer.Abort:
        return exits.INTERRUPTED
    return int(code or 0)
