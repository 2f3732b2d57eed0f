"""Whether a check of a team's own keeps its contract: the example does, and each careless one does not."""

import json
import pathlib
import shlex
import sys

import httpx
import pytest

from canary_checks import failure, result
from canary_checks.cli import app
from canary_checks.conformance import container, sample_server, trials

EXAMPLE = pathlib.Path(__file__).parents[3] / "examples" / "custom-check" / "check.py"
ASKS = (
    "import os, sys, urllib.request\n"
    "try:\n urllib.request.urlopen(os.environ['MODELRELEASE_URL'] + '/health', timeout=1)\n"
)


def asked(folder: pathlib.Path, *command: str, patience: int = 1) -> dict[str, trials.Statement]:
    """Run the trials with a short patience; give the statements by their first word."""
    runner = container.Process([sys.executable, *command], folder)
    subject = trials.Subject(seconds=20, patience=patience)
    return {one.what: one for one in trials.run(runner, subject)}


def broken(said: dict[str, trials.Statement]) -> set[str]:
    return {what.partition(" ")[0] for what, one in said.items() if not one.kept}


def test_the_example_keeps_the_contract(tmp_path: pathlib.Path):
    said = asked(tmp_path, str(EXAMPLE), patience=2)
    assert broken(said) == set(), said
    assert said["measures a model that works"].said == "Pass: 100% of 5 triplets are in order"
    assert len(said) == 6


def test_a_check_of_exit_codes_keeps_it_too(tmp_path: pathlib.Path):
    careful = f"{ASKS}except OSError as error:\n sys.exit(2)\n"
    assert broken(asked(tmp_path, "-c", careful)) == set()


@pytest.mark.parametrize(
    ("script", "what", "why"),
    [
        ("pass", "measures nothing where no model listens", "exit code 0"),
        (
            ASKS.replace("try:\n ", "") + "",
            "measures nothing where no model listens",
            "exit code 1: urllib.error.URLError",
        ),
        ("print('{'); raise SystemExit(3)", "measures a model that works", "exit code 3"),
        (
            "import json, os; found = json.loads(os.environ['MODELRELEASE_QUESTION'])['answer']\n"
            "log = open(os.environ['MODELRELEASE_TERMINATION_LOG'], 'w')\n"
            "log.write(json.dumps(found | {'nonce': 'x' * 32}))",
            "answers the question that it was asked",
            "does not follow the schema",
        ),
    ],
    ids=["always well", "a crash is a Fail", "always an Error", "no result"],
)
def test_a_careless_check_is_told_what_it_breaks(tmp_path: pathlib.Path, script: str, what: str, why: str):
    found = asked(tmp_path, "-c", script)[what]
    assert not found.kept
    assert why in found.said


def test_a_check_that_does_not_end_is_ended(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trials, "_LEAD_SECONDS", 0)
    waits = "import os, urllib.request; urllib.request.urlopen(os.environ['MODELRELEASE_URL'] + '/health')"
    said = asked(tmp_path, "-c", waits)
    ends = next(one for what, one in said.items() if what.startswith("ends "))
    assert (ends.kept, ends.said) == (False, "it had to be ended")
    assert said["measures nothing where a model never answers"].kept, "cut short, it proves nothing"


# --- The command --------------------------------------------------------------------------------------------


def test_the_command_says_what_is_kept_and_exits_with_0_or_1(capsys: pytest.CaptureFixture[str]):
    python = shlex.quote(sys.executable)
    careful = shlex.quote(f"{ASKS}except OSError as error:\n sys.exit(2)\n")
    assert app.main(["check", "conformance", "--command", f"{python} -c {careful}"]) == 0
    assert capsys.readouterr().out.endswith("the check keeps the contract\n")
    assert app.main(["check", "conformance", "--command", f"{python} -c pass", "--deadline", "5"]) == 1
    out = capsys.readouterr().out
    assert "BROKEN measures nothing where no model listens" in out
    assert out.endswith("the check does not keep the contract\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 64),
        (["image:1", "--command", "x"], 64),
        (["--command", "x", "--run-as-user", "7"], 64),
        (["--command", "'"], 64),
        (["--command", " "], 64),
        (["--command", "x", "--url", "ftp://x"], 64),
        (["--command", "/nowhere/check"], 3),
    ],
)
def test_what_can_not_be_run_is_no_verdict(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
):
    assert app.main(["check", "conformance", *arguments]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_without_an_engine_it_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert app.main(["check", "conformance", "example.test/check:1"]) == 3
    assert "--command" in capsys.readouterr().err


# --- The engine's command line ------------------------------------------------------------------------------


def test_an_image_is_hardened_as_in_the_cluster(tmp_path: pathlib.Path):
    engine = container.Engine("podman", "example.test/check:1", ["--fast"], tmp_path, user=1000)
    assert engine.command({"MODELRELEASE_URL": "http://x", "MODELRELEASE_NONCE": "secret"}, "name") == [
        *("podman", "run", "--rm", "--name", "name", "--network", "host", "--read-only"),
        *("--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),  # noqa: S108
        *("--user", "1000", "--volume", f"{tmp_path}/termination-log:/dev/termination-log"),
        *("--env", "MODELRELEASE_NONCE", "--env", "MODELRELEASE_URL", "example.test/check:1", "--fast"),
    ]
    assert engine.termination_log() == "/dev/termination-log"


def script(folder: pathlib.Path, text: str) -> str:
    """A program in place of an engine."""
    program = folder / "engine"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return str(program)


def test_an_engine_that_can_not_start_the_image_is_no_verdict(tmp_path: pathlib.Path):
    program = script(tmp_path, "echo no such image >&2; exit 125")
    engine = container.Engine(program, "example.test/check:1", [], tmp_path)
    with pytest.raises(failure.CheckError, match="no such image"):
        engine.run({}, 5)
    with pytest.raises(failure.CheckError, match="there is no image"):
        engine.user()


def test_an_engines_container_is_read_like_a_process(tmp_path: pathlib.Path):
    program = script(
        tmp_path, f'[ "$1" = run ] && printf %s "$MODELRELEASE_NONCE" > {tmp_path}/termination-log'
    )
    ended = container.Engine(program, "i", [], tmp_path).run({"MODELRELEASE_NONCE": "abc"}, 5)
    assert ended == container.Ended("abc", 0)
    assert container.Engine(script(tmp_path, "echo 65532:65532"), "i", [], tmp_path).user() == "65532:65532"


@pytest.mark.parametrize(
    ("user", "root"),
    [
        ("", True),
        ("0", True),
        ("0:0", True),
        ("root", True),
        ("nobody", True),
        ("65532", False),
        ("1000:0", False),
    ],
)
def test_a_user_that_kubernetes_can_not_verify_is_taken_for_root(user: str, root: bool):
    assert container.is_root(user) is root


# --- What it is asked about ---------------------------------------------------------------------------------


def test_the_sample_server_answers_as_a_model_server_does():
    with sample_server.serving() as url:
        asked = {"model": "sample", "input": ["hiking boots", "boots for hiking", "tax"]}
        reply = httpx.post(f"{url}/v1/embeddings", json=asked)
    one, near, far = (row["embedding"] for row in reply.json()["data"])
    assert sum(x * x for x in one) == pytest.approx(1)
    assert sum(a * b for a, b in zip(one, near, strict=True)) > sum(
        a * b for a, b in zip(one, far, strict=True)
    )


def test_a_question_is_bound_to_its_own_answer_alone():
    one, other = (trials._question(trials.Subject(), "http://127.0.0.1:1", 5) for _ in range(2))
    assert one.answer.nonce != other.answer.nonce
    text = result.dump(one)
    assert json.loads(text)["answer"]["check"]["kind"] == "Job"
