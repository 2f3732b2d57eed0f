"""``modelrelease check conformance``: whether a team's own check keeps its contract."""

import pathlib
import shlex
import sys
import tempfile
from typing import Annotated, Final

import typer

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.cli import exits, task
from canary_checks.conformance import container, sample_server, trials

BROKEN: Final = 1


def conformance(
    *,
    image: Annotated[
        str | None, typer.Argument(metavar="[IMAGE", help="The check's image, run by docker or podman.")
    ] = None,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="ARGUMENT…]", help="Of its command.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(metavar="COMMAND", help="Run the check as a process of this machine instead."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(metavar="URL", help="Have it judge this server, not the small sample one.")
    ] = None,
    model: Annotated[str, typer.Option(help="The served model's name.")] = sample_server.MODEL,
    protocol: Annotated[v.Protocol, typer.Option(help="How the server is asked.")] = (
        v.Protocol.OPENAI_EMBEDDINGS
    ),
    run_as_user: Annotated[
        int | None, typer.Option(min=1, metavar="UID", help="As runAsUser in the manifest.")
    ] = None,
    deadline: Annotated[
        int, typer.Option(min=1, max=3600, metavar="SECONDS", help="How long the check may take.")
    ] = 60,
) -> None:
    """Ask a check of your own about small servers, and say whether its answers keep the contract.

    Exit codes: 0 it does, 1 it does not, 3 it could not be run, 64 usage.
    """

    def carry_out() -> int:
        if (image is None) is (command is None):
            raise exits.UsageError("give either the check's IMAGE or --command COMMAND")
        if command is not None and run_as_user is not None:
            raise exits.UsageError("--run-as-user is an image's: a process runs as you")
        with tempfile.TemporaryDirectory() as folder:
            runner = _runner(image, arguments or [], command, pathlib.Path(folder), run_as_user)
            server = task.server(url, "--url", "server").url if url is not None else None
            return _report(runner, trials.Subject(server, model, protocol, deadline))

    raise typer.Exit(exits.guarded(carry_out))


def _runner(
    image: str | None, arguments: list[str], command: str | None, folder: pathlib.Path, user: int | None
) -> container.Runner:
    if command is not None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise exits.UsageError(f"--command: {error}") from error
        if not words:
            raise exits.UsageError("--command is empty")
        return container.Process(words, folder)
    program = container.engine()
    if program is None:
        raise failure.CheckError(
            "CheckNotStarted",
            "there is no docker or podman here to run an image: --command runs the check as a process",
        )
    return container.Engine(program, image or "", arguments, folder, user)


def _report(runner: container.Runner, subject: trials.Subject) -> int:
    kept = True
    if isinstance(runner, container.Engine):
        user = runner.user()
        kept = _say(
            trials.Statement(
                "runs as another user than root, given by number",
                not container.is_root(user),
                f"its user is {user or 'root'}" + ("; set runAsUser" if container.is_root(user) else ""),
            )
        )
    for statement in trials.run(runner, subject):
        kept = _say(statement) and kept
    sys.stdout.write("the check keeps the contract\n" if kept else "the check does not keep the contract\n")
    return exits.PASS if kept else BROKEN


def _say(statement: trials.Statement) -> bool:
    sign = "kept   " if statement.kept else "BROKEN "
    sys.stdout.write(f"{sign}{statement.what}\n       {v.sentence(statement.said)}\n")
    sys.stdout.flush()
    return statement.kept
