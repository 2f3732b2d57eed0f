"""What every verb takes: people on call don't look it up."""

import pytest
import typer

from modelrelease.cli.mrel import commands

LOOKS = {"status", "list", "history", "explain", "diff", "lint", "report"}
OFFLINE = {"lint", "completion"}
KNOWN = typer.main.get_command(commands.build()).commands  # type: ignore[attr-defined]
VERBS = sorted(name for name, command in KNOWN.items() if not command.hidden)


def options(verb: str) -> set[str]:
    return {name for parameter in KNOWN[verb].params for name in parameter.opts}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_changes_something_needs_a_reason_and_can_be_tried(verb: str):
    asked = {"--reason", "--yes", "-y", "--dry-run"} & options(verb)
    assert len(asked) == (0 if verb in LOOKS | OFFLINE else 4)


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"completion"}))
def test_every_verb_answers_programs(verb: str):
    assert {"--output", "-o"} <= options(verb)


@pytest.mark.parametrize("verb", sorted(set(VERBS) - OFFLINE))
def test_every_verb_takes_kubectls_own_options(verb: str):
    assert {"--namespace", "-n", "--context", "--kubeconfig"} <= options(verb)
