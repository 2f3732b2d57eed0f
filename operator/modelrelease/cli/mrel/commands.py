"""The verbs of ``kubectl mrel``, on one application."""

from collections.abc import Callable
from typing import Final

import typer

from modelrelease.cli.mrel import adopting, completing, reading, reporting, saying

HELP: Final = """What goes on with a model's release, and the words of people on call.

Every verb that changes something shows its patch, asks once and is one field of spec.override, which Git
never holds. Exit codes: 0 done, 1 not done, 64 usage.
"""


def build() -> typer.Typer:
    """Return the application."""
    app = typer.Typer(
        name="kubectl mrel",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    look: dict[str, Callable[..., int]] = {
        "status": reading.status,
        "list": reading.list_,
        "history": reading.history,
        "explain": reading.explain,
        "diff": reading.diff,
        "lint": reading.lint,
        "report": reporting.report,
    }
    say: dict[str, Callable[..., int]] = {
        "approve": saying.approve,
        "reject": saying.reject,
        "unreject": saying.unreject,
        "rollback": saying.rollback,
        "retry": saying.retry,
        "force": saying.force,
        "cancel": saying.cancel,
        "debug": saying.debug,
        "pause": saying.pause,
        "resume": saying.resume,
        "pin": saying.pin,
        "unpin": saying.unpin,
        "adopt": adopting.adopt,
        "completion": completing.completion,
    }
    for name, command in (look | say).items():
        app.command(name)(command)
    # Whatever was typed is its argument, also what looks like an option.
    typed = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(completing.ASKED, hidden=True, context_settings=typed)(completing.asked)
    return app
