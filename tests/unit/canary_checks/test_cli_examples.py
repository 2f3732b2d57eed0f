"""The examples for CI parse, and every command in them is one that the command line takes as written."""

import pathlib
import re
import shlex
from typing import Any

import pytest
import typer
import yaml

from canary_checks.cli import app
from modelrelease.cli import commands

EXAMPLES = pathlib.Path(__file__).parents[3] / "examples" / "ci"
OURS = ("modelrelease", "python -m canary_checks")


def document(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text())


def scripts(node: Any) -> list[str]:
    """Every shell script of a workflow."""
    if isinstance(node, dict):
        own = [node["run"]] if isinstance(node.get("run"), str) else []
        return own + [text for child in node.values() for text in scripts(child)]
    return [text for child in node for text in scripts(child)] if isinstance(node, list) else []


def commands_of(script: str) -> list[list[str]]:
    """Arguments of each call of ours in a script, without redirections."""
    joined = re.sub(r"\\\n\s*", " ", script)
    lines = [
        shlex.split(line, comments=True) for line in joined.splitlines() if line.strip().startswith(OURS)
    ]
    return [words[1 : words.index(">>") if ">>" in words else None] for words in lines]


def in_containers(node: Any) -> list[list[str]]:
    """Arguments of each container that runs ours."""
    if isinstance(node, dict):
        own = [node["args"]] if node.get("command") == shlex.split(OURS[1]) else []
        return own + [words for child in node.values() for words in in_containers(child)]
    return [words for child in node for words in in_containers(child)] if isinstance(node, list) else []


def parse(root: typer.Typer, arguments: list[str]) -> None:
    """Parse a command line as a call would, and call nothing."""
    group = typer.main.get_command(root)
    name, *rest = arguments
    command = group.commands[name]  # type: ignore[attr-defined]
    with command.make_context(name, list(rest)) as context:
        assert context.params


def test_the_examples_are_the_ones_that_are_tested():
    assert {path.name for path in EXAMPLES.iterdir()} == {"github-actions.yaml", "argo-workflows.yaml"}


def test_the_github_workflow_ends_before_a_deployment():
    workflow = document("github-actions.yaml")
    calls = [words for script in scripts(workflow) for words in commands_of(script)]
    assert [words[0] for words in calls] == ["check", "report", "report", "report"]
    for words in calls:
        parse(commands.build(commands.load()), words)
    jobs = workflow["jobs"]
    assert jobs["deploy"]["needs"] == "check"
    checking = next(step for step in jobs["check"]["steps"] if step.get("name") == "Check the candidate")
    assert "continue-on-error" not in checking
    assert "|" not in checking["run"]


def test_the_argo_workflow_ends_before_a_deployment():
    workflow = document("argo-workflows.yaml")
    [words] = in_containers(workflow)
    parse(app.build(), words)
    templates = {template["name"]: template for template in workflow["spec"]["templates"]}
    tasks = {task["name"]: task for task in templates["main"]["dag"]["tasks"]}
    assert tasks["deploy"]["depends"] == "check.Succeeded"
    assert "exitCode) == 1" not in templates["check"]["retryStrategy"]["expression"]


@pytest.mark.parametrize(
    "arguments", [["check", "parity"], ["check", "speed", "--candidate", "x"], ["check", "--no"]]
)
def test_an_example_that_is_wrong_would_be_noticed(arguments):
    with pytest.raises(typer.TyperException):
        parse(app.build(), arguments)
