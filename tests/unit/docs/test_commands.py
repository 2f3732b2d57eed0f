"""Every command in the documentation is one that its program takes: names, options and values."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import typer

from canary_checks import entry
from canary_checks.cli import app as checks
from modelrelease.cli import commands as released
from modelrelease.cli.mrel import commands as plugin
from tests.unit.docs import blocks

# Programs of others: that they are called so is for them to say, or for an integration test.
OTHERS = {
    "argocd", "cat", "cd", "cp", "curl", "docker", "echo", "exit", "export", "find", "flux", "gh", "git",
    "head", "helm", "jq", "mkdir", "pip", "pipx", "pytest", "sed", "sha256sum", "sort", "source", "test",
    "xargs",
}  # fmt: skip
KUBECTL = {
    "annotate", "api-resources", "apply", "auth", "config", "create", "delete", "describe", "diff", "edit",
    "exec", "explain", "get", "krew", "kustomize", "label", "logs", "patch", "port-forward", "replace",
    "rollout", "run", "scale", "set", "top", "version", "wait",
}  # fmt: skip

COMMANDS = [command for block in blocks.of(*blocks.SHELLS) for command in blocks.commands(block)]
TARGETS = set(
    re.findall(r"^([a-z0-9-]+):", (blocks.ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
)


def applications() -> dict[str, Callable[[], typer.Typer]]:
    """Return our programs by how they are called."""
    return {
        "kubectl mrel": plugin.build,
        "modelrelease": lambda: released.build(released.load()),
        "python -m canary_checks": checks.build,
    }


@pytest.fixture(scope="module")
def parsers() -> dict[str, Any]:
    return {name: typer.main.get_command(build()) for name, build in applications().items()}


def ours(command: blocks.Command) -> tuple[str, list[str]] | None:
    """Return which of our programs a command calls, and its arguments."""
    for name in applications():
        words = name.split()
        if list(command.words[: len(words)]) == words:
            return name, list(command.words[len(words) :])
    return None


def parse(command: Any, name: str, arguments: list[str], parent: Any = None) -> None:
    """Parse a command line as its program does, down to the command that would run."""
    if not arguments and getattr(command, "commands", None):
        return
    context = command.make_context(name, list(arguments), parent=parent)
    if not getattr(command, "commands", None) or getattr(command, "chain", False):
        return
    rest = [*context._protected_args, *context.args]
    if rest:
        found, below, left = command.resolve_command(context, rest)
        parse(below, found, left, context)


# What pods call, which is no part of the application for people.
PROGRAMS = [["artifact"], ["schema"]]
PROGRAMS_USAGE = 2


def of_programs(arguments: list[str]) -> int:
    """Return the exit code; what the pages name does not exist here, so nothing happens."""
    try:
        return entry.main([re.sub(r"sha256:\w*…", f"sha256:{'a' * 64}", word) for word in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)


OWN = [command for command in COMMANDS if ours(command) is not None]


@pytest.mark.parametrize("command", OWN, ids=str)
def test_our_own_programs_take_it(command: blocks.Command, parsers: dict[str, Any]) -> None:
    known = ours(command)
    assert known is not None
    name, arguments = known
    if name == "python -m canary_checks" and arguments[:1] in PROGRAMS:
        assert of_programs(arguments) != PROGRAMS_USAGE, command
        return
    try:
        parse(parsers[name], name, arguments)
    except typer.Exit:  # --help
        pass
    except typer.TyperException as error:
        pytest.fail(f"{command}: {error.format_message()}", pytrace=False)


@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in OWN], ids=str)
def test_other_programs_exist(command: blocks.Command) -> None:
    program, *arguments = command.words
    if program == "make":
        goals = [word for word in arguments if "=" not in word and not word.startswith("-")]
        assert set(goals) <= TARGETS
    elif program == "kubectl":
        assert verb(arguments) in KUBECTL
    elif program in {"python", "python3"}:
        assert arguments[0] != "-m" or module(arguments[1]), command
    elif program.startswith("./"):
        assert (blocks.ROOT / program).exists()
    else:
        assert program in OTHERS


def verb(arguments: list[str]) -> str:
    """Return what kubectl is to do: the first word behind its own options."""
    left = iter(arguments)
    for word in left:
        if not word.startswith("-"):
            return word
        if "=" not in word:
            next(left, None)
    return ""


def module(name: str) -> bool:
    places = [blocks.ROOT / "operator", blocks.ROOT]
    path = name.replace(".", "/")
    return any((place / f"{path}.py").exists() or (place / path).is_dir() for place in places)


@pytest.mark.parametrize(
    ("name", "page"), [("kubectl mrel", "kubectl-mrel.md"), ("modelrelease", "command-line.md")]
)
def test_every_command_is_explained(name: str, page: str, parsers: dict[str, Any]) -> None:
    text = (blocks.DOCS / page).read_text(encoding="utf-8")
    shown = [one for one, command in parsers[name].commands.items() if not command.hidden]
    assert [one for one in shown if re.search(rf"(`|{name} ){one}\b", text) is None] == []


def test_the_reader_of_commands_sees_what_a_shell_would() -> None:
    text = (
        "$ make demo   # told live\nsaid: $ no command\n$ A=1 kubectl mrel status x | head -2\n"
        "$ modelrelease check parity \\\n    --candidate http://a\n$ cat <<EOF\nrm -r x\nEOF\n"
        "$ make a && make b\n"
    )
    block = blocks.Block(blocks.DOCS / "x.md", 1, "console", text)
    assert [one.words for one in blocks.commands(block)] == [
        ("make", "demo"), ("kubectl", "mrel", "status", "x"), ("head", "-2"),
        ("modelrelease", "check", "parity", "--candidate", "http://a"), ("cat",),
        ("make", "a"), ("make", "b"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong", ["status minilm --wach", "explain", "retry minilm --reason", "fly minilm", "debug m --seconds x"]
)
def test_a_command_that_does_not_exist_is_found(wrong: str, parsers: dict[str, Any]) -> None:
    with pytest.raises(typer.TyperException):
        parse(parsers["kubectl mrel"], "kubectl mrel", wrong.split())
