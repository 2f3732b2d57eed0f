"""What Tab offers, as bash and kubectl ask for it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from modelrelease.cli.mrel import commands, completing
from tests.unit.cli.mrel import recorded

ROOT = Path(__file__).parents[4]
KUBECTL = """#!/bin/sh
case "$*" in
*forbidden*) echo 'Error from server (Forbidden)' >&2; exit 1 ;;
*modelreleases*search*) names='embedder encoder reranker' ;;
*modelreleases*) names='other' ;;
*controllerrevisions*release=embedder*) names='embedder-r5a87d75c60 embedder-r852ce82eee' ;;
esac
printf '{"items": ['
for name in $names; do printf '%s{"metadata": {"name": "%s"}}' "$comma" "$name"; comma=', '; done
printf ']}'
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A PATH with a kubectl that knows some names, and the plugin."""
    for name, module in (("kubectl-mrel", "modelrelease.cli.mrel"), ("kubectl", "")):
        program = tmp_path / name
        text = f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n' if module else KUBECTL
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    return {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "operator"), str(ROOT)]),
    }


@pytest.fixture
def offered(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What is offered after some words, in this process, whose environment is restored."""
    for name in (completing.VARIABLE, "_TYPER_COMPLETE_ARGS", "_TYPER_COMPLETE_FISH_ACTION"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PATH", environ["PATH"])
    return lambda *words: [line.partition("\t")[0] for line in completing.offered(words).splitlines()]


def test_kubectl_is_answered_as_its_own_programs_do(environ: dict[str, str]):
    command = ["kubectl-mrel", "__complete", "status", "-n", "search", "--help", "e"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True, timeout=60)
    assert (done.stdout, done.stderr) == ("embedder\nencoder\n:4\n", "")


def test_every_verb_is_offered(offered: Callable[..., list[str]]):
    found = offered("")
    assert {"status", "explain", "rollback", "adopt", "completion"} <= set(found)
    assert len(found) == sum(not command.hidden for command in commands.build().registered_commands)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("unp",), ["unpin"]),
        (("status", "--wa"), ["--watch", "--wait"]),
        (("status", "-o", "y"), ["yaml"]),
        (("status", "-n", "search", "e"), ["embedder", "encoder"]),
        (("status", ""), ["other"]),
        (("status", "-n", "forbidden", ""), []),
        (("reject", "-n", "search", "embedder", "r8"), ["r852ce82eee"]),
        (("pin", "embedder", ""), ["r5a87d75c60", "r852ce82eee"]),
        (("adopt", "-"), None),
        (("status", "it's \"$(odd)", "-"), None),
    ],
)
def test_what_is_offered(
    offered: Callable[..., list[str]], words: tuple[str, ...], expected: list[str] | None
):
    found = offered(*words)
    if expected is not None:
        assert found == expected


def test_bash_completes_the_program_itself(environ: dict[str, str]):
    script = """
    source <(kubectl-mrel completion bash)
    COMP_WORDS=(kubectl-mrel unpi); COMP_CWORD=1
    _kubectl_mrel_completion kubectl-mrel
    echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env=environ, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("unpin\n", "")


@pytest.mark.parametrize(
    ("shell", "begins"),
    [("bash", "_kubectl_mrel_completion()"), ("zsh", "#compdef kubectl-mrel"),
     ("fish", "complete --command kubectl-mrel"), ("kubectl", "#!/bin/sh")],
)  # fmt: skip
def test_each_shell_has_its_script(shell: str, begins: str):
    now, _ = recorded.snapshot("stable")
    said = recorded.call(recorded.Recorded([]), "completion", shell, now=now)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(begins)
    assert recorded.call(recorded.Recorded([]), "completion", "csh", now=now).code == 64
