"""What a shell offers behind Tab: verbs and options, the releases of a namespace and their revisions.

kubectl's own completion asks a program ``kubectl_complete-mrel`` for what follows ``kubectl mrel``.
"""

import contextlib
import enum
import io
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from modelrelease.cli.mrel import port, shell

PROGRAM: Final = "kubectl-mrel"
VARIABLE: Final = "_KUBECTL_MREL_COMPLETE"
"""Set by the script of a shell that asks; Typer's convention."""
NO_FILES: Final = 4
"""Cobra's directive to the shell: what is not offered is no file either."""
_SECONDS: Final = 3.0
"""Who presses Tab does not wait for a cluster that is away."""
ASKED: Final = "__complete"
"""The hidden verb behind the program that kubectl looks for, as kubectl itself calls its own."""
_SHIM: Final = f"""\
#!/bin/sh
# Save as kubectl_complete-mrel on the PATH, executable.
exec {PROGRAM} {ASKED} "$@"
"""
_NOTE: Final = """\
# That is for `kubectl-mrel`. `kubectl mrel` is completed by `kubectl completion {shell}`, as soon as
# kubectl_complete-mrel is on the PATH. pipx puts it there; `kubectl mrel completion kubectl` prints it.
"""


class Asks(enum.StrEnum):
    """Who completes."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    KUBECTL = "kubectl"


def completion(
    ctx: typer.Context,
    asks: Annotated[
        Asks,
        typer.Argument(
            metavar="bash|zsh|fish|kubectl",
            help="The shell; kubectl: the program that kubectl's own completion looks for.",
            show_default=False,
        ),
    ],
) -> int:
    """Print what makes Tab complete: source it, or save it where your shell looks."""
    here = ctx.obj
    assert isinstance(here, shell.Shell)
    if asks is Asks.KUBECTL:
        here.write(_SHIM)
        return 0
    import typer.completion as typers  # noqa: PLC0415 - `--help` completes nothing

    script = typers.get_completion_script(  # type: ignore[attr-defined]
        prog_name=PROGRAM, complete_var=VARIABLE, shell=asks.value
    )
    # The script first: zsh reads what it completes in its first line.
    here.write(f"{script}\n{_NOTE.format(shell=asks.value)}")
    return 0


def prepare() -> None:
    """Be ready to answer the script of a shell, if that is who calls."""
    if VARIABLE not in os.environ:
        return
    import typer.completion as typers  # noqa: PLC0415 - as above

    typers.completion_init()  # type: ignore[attr-defined]


def offered(words: Sequence[str]) -> str:
    """Return what may follow, a line each with a tab before its explanation, as fish and kubectl read it.

    Parameters
    ----------
    words
        What was typed after ``kubectl mrel``; the last one is unfinished, and may be empty.
    """
    from modelrelease.cli.mrel import commands  # noqa: PLC0415 - it imports this module

    os.environ[VARIABLE] = "complete_fish"
    os.environ["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    last = words[-1] if words else ""
    typed = shlex.join([PROGRAM, *words[:-1]])
    os.environ["_TYPER_COMPLETE_ARGS"] = f"{typed} {shlex.quote(last) if last else ''}"
    prepare()
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        commands.build()([], prog_name=PROGRAM, complete_var=VARIABLE)
    return out.getvalue().strip("\n")


def asked(ctx: typer.Context) -> int:
    """Answer kubectl: it gives what was typed so far."""
    here = ctx.obj
    assert isinstance(here, shell.Shell)
    found = offered(ctx.args)
    here.write(f"{found}\n:{NO_FILES}\n" if found else f":{NO_FILES}\n")
    return 0


def main() -> None:
    """Run what kubectl looks for, ``kubectl_complete-mrel``."""
    from modelrelease.cli.mrel import main as plugin  # noqa: PLC0415 - it imports this module

    sys.exit(plugin.run([ASKED, *sys.argv[1:]]))


# --- What only the cluster knows ----------------------------------------------------------------------------


def releases(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the releases of the namespace that begin so."""
    return _names(ctx, port.RELEASES, "", incomplete)


def revisions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the stored revisions of the release that begin so."""
    name = ctx.params.get("name")
    if not name:
        return []
    label = f"modelrelease.dev/release={name}"
    found = _names(ctx, port.REVISIONS, label, f"{name}-{incomplete}")
    return [one.removeprefix(f"{name}-") for one in found]


def _names(ctx: typer.Context, kind: str, selector: str, incomplete: str) -> list[str]:
    from modelrelease.cli.mrel import kubectl, options  # noqa: PLC0415 - `--help` talks to nobody

    where = (ctx.params.get(part) for part in ("namespace", "context", "kubeconfig"))
    chosen = options.kubectl(*(part if isinstance(part, str) else None for part in where))
    try:
        found = kubectl.Kubectl(chosen, seconds=_SECONDS).select([kind], selector)
    except port.Failed:
        # A shell has nowhere to put an error.
        return []
    names = (str(obj["metadata"]["name"]) for obj in found)
    return sorted(name for name in names if name.startswith(incomplete))
