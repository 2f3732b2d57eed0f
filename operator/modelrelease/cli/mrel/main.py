"""The console script ``kubectl-mrel``, which kubectl finds as ``kubectl mrel``.

It imports nothing before it can be interrupted in silence: at 3 a.m. people press Ctrl-C early.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from modelrelease.cli.mrel import shell

FAILED: Final = 1
USAGE: Final = 64
"""As in sysexits.h."""
INTERRUPTED: Final = 130


def main() -> None:
    """Run the plugin in this process and exit."""
    try:
        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.exit(code)


def run(arguments: Sequence[str], here: "shell.Shell | None" = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        The command line after ``kubectl mrel``.
    here
        Its surroundings; by default this process's.

    Returns
    -------
    The exit code; never a traceback, which at 3 a.m. tells nobody anything.
    """
    import typer  # noqa: PLC0415 - see above

    from modelrelease.cli.mrel import commands, completing, port, shell  # noqa: PLC0415 - see above

    here = here or shell.Shell()
    completing.prepare()
    try:
        code = commands.build()(
            list(arguments),
            prog_name="kubectl mrel",
            standalone_mode=False,
            obj=here,
            complete_var=completing.VARIABLE,
        )
    except port.Failed as error:
        here.complain(f"error: {error}")
        return FAILED
    except typer.TyperException as error:
        about = " ".join(error.format_message().split())
        # Without arguments the help is shown, and nothing is left to say.
        if about:
            here.complain(f"usage: {about}")
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # `| head` has seen enough; what is left in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - one sentence, whatever it is
        here.complain(f"error: internal error: {type(error).__name__}: {error}")
        return FAILED
    return int(code or 0)
