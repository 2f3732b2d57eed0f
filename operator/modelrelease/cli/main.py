"""The console script `modelrelease`."""

import sys
from collections.abc import Sequence
from typing import Final

USAGE: Final = 64
"""As in sysexits.h; the usual 2 is the exit code of the verdicts NoData and Inconclusive."""
ERROR: Final = 3
INTERRUPTED: Final = 130


def main() -> None:
    """Run the command line of this process and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        The command line without the program's name.

    Returns
    -------
    The command's own exit code; 64 for a command or an option that does not exist, 3 when the command line is
    not installed whole.
    """
    try:
        import typer  # noqa: PLC0415 - the operator's own image has no command line

        from modelrelease.cli import commands  # noqa: PLC0415
    except ImportError as error:
        sys.stderr.write(f"error: {error}; the command line is the extra `checks` of modelrelease\n")
        return ERROR
    application = commands.build(commands.load())
    try:
        code = application(list(arguments), prog_name="modelrelease", standalone_mode=False)
    except typer.TyperException as error:
        # Without arguments the help is shown, and nothing is left to say.
        about = " ".join(error.format_message().split())
        sys.stderr.write(f"usage: {about}\n" if about else "")
        return USAGE
    except typer.Abort:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - Python's own exit code of a traceback is 1, and 1 is Fail
        sys.stderr.write(f"error: internal error: {type(error).__name__}: {error}\n")
        return ERROR
    return int(code or 0)
