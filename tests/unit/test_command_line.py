import importlib.metadata
import sys

import pytest
import typer

from canary_checks.cli import app
from modelrelease.cli import commands, main


def point(name: str, value: str) -> importlib.metadata.EntryPoint:
    return importlib.metadata.EntryPoint(name, value, commands.GROUP)


def names(root: typer.Typer) -> set[str]:
    return set(typer.main.get_command(root).commands)  # type: ignore[attr-defined]


def test_the_console_script_has_the_commands_of_the_checks_and_three_of_its_own():
    registered = commands.load()
    assert registered.broken == {}
    assert names(commands.build(registered)) == names(app.build()) | {"alerts", "notify", "simulate"}


def test_a_command_that_cannot_be_imported_takes_no_other_with_it(capsys, monkeypatch):
    points = [point("check", "canary_checks.cli.check:check"), point("fly", "nowhere.at.all:fly")]
    registered = commands.load(points)
    assert set(registered.commands) == {"check"}
    assert set(registered.broken) == {"fly"}
    monkeypatch.setattr(commands, "load", lambda: registered)
    assert main.run(["fly"]) == main.USAGE
    said = capsys.readouterr().err
    assert said.startswith("usage: ")
    assert "fly is not available: No module named 'nowhere'" in said
    assert main.run(["--help"]) == 0
    assert "Not available" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["check"], ["check", "parity", "--candidate", "http://h"]]
)
def test_a_wrong_usage_is_one_sentence_and_64(arguments, capsys):
    assert main.run(arguments) == main.USAGE
    said = capsys.readouterr().err
    assert said.startswith("usage: ")
    assert said.count("\n") == 1


def test_nothing_asked_is_answered_with_help(capsys):
    assert main.run([]) == main.USAGE
    printed = capsys.readouterr()
    assert "Commands" in printed.out
    assert printed.err == ""


def test_the_verdict_is_the_exit_code(capsys, tmp_path):
    assert main.run(["check", "contract", "--candidate", "http://127.0.0.1:1", "--model", "m"]) == main.ERROR
    assert capsys.readouterr().err == ""


def test_a_command_that_breaks_is_an_error_and_no_fail(capsys, monkeypatch):
    def broken() -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(commands, "load", lambda: commands.Registered({"break": broken}, {}))
    assert main.run(["break"]) == main.ERROR
    assert capsys.readouterr().err == "error: internal error: ZeroDivisionError: by zero\n"


def test_without_typer_one_sentence_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "typer", None)
    assert main.run(["check"]) == main.ERROR
    assert "the extra `checks`" in capsys.readouterr().err


def test_the_script_exits_with_the_code(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["modelrelease", "nothing"])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == main.USAGE
