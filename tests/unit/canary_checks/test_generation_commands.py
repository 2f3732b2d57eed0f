"""What is drawn with, on the command line: two folders side by side, and a server by its probe endpoint."""

import json
import pathlib
from typing import Any

import pytest

from canary_checks.cli import app as cli
from canary_checks.trace import client as tracing
from tests.unit.canary_checks import generators, sample_servers


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return generators.folder(tmp_path_factory.mktemp("saved") / "model")


def compared(capsys: Any, *arguments: Any) -> tuple[int, str]:
    code = cli.main(["compare", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out or said.err


def test_equal_folders_pass_and_tell_what_is_cut(saved, capsys):
    code, said = compared(capsys, saved, saved)
    assert code == 0
    assert said.startswith("PASS       generation: no field differs (sha256:")
    assert "tokenizer: 170 prompts: the same ids" in said
    assert "B cuts 2 prompts at 77 ids:" in said
    assert "p-210 loses 1 word: 'please'" in said


def test_two_folders_differ_by_name_and_by_token(saved, tmp_path, capsys):
    other = generators.folder(tmp_path, scheduler={"beta_schedule": "linear"}, lowercase=False)
    code, said = compared(capsys, saved, other)
    assert code == 1
    assert "scheduler.beta_schedule scaled_linear → linear" in said
    assert "PASS       tokenizer: " in said
    assert "FAIL       tokenizer_2: other token ids than A's in 170 of 170 prompts" in said
    assert "CAUSE Casing (proven)" in said


def test_a_contract_declares_what_is_stated_anew(saved, tmp_path, capsys):
    other = generators.folder(tmp_path / "b", scheduler={"beta_schedule": "linear"})
    declared = tmp_path / "contract.yaml"
    declared.write_text("generation: {components: {scheduler: {beta_schedule: linear}}}\n")
    code, said = compared(capsys, saved, other, "--contract", declared, "--output", "json")
    assert code == 0
    found = json.loads(said)["generation"]
    assert found["expected"] == [{"field": "scheduler.beta_schedule", "a": "scaled_linear", "b": "linear"}]
    assert found["a"]["fields"]["vae.scaling_factor"] == 0.18215


def test_a_tokenizer_that_cannot_be_read_is_no_data(saved, tmp_path, capsys):
    other = generators.folder(tmp_path)
    (other / "tokenizer" / "vocab.json").unlink()
    (other / "tokenizer" / "merges.txt").rename(other / "tokenizer" / "spiece.model")
    code, said = compared(capsys, saved, other, "--output", "json")
    # What else differs is told all the same.
    assert (code, json.loads(said)["verdict"]) == (1, "Fail")
    (broken, whole) = json.loads(said)["encoders"]
    assert (broken["verdict"], whole["verdict"]) == ("NoData", "Pass")
    assert "holds no tokenizer.json" in broken["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{}"], "1 folder is given"),
        (["{}", "{}", "--candidate", "http://a"], "leave --candidate"),
        (["{}", "{}/none"], "is no folder"),
        (["{}", "{}", "--output", "junit"], "text or json"),
        ([], "name servers by --candidate, or two folders"),
        (["--candidate", "http://a", "--contract", "{}"], "--contract is for folders"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(saved, capsys, arguments, said):
    code, told = compared(capsys, *(one.format(saved) for one in arguments))
    assert (code, said in told) == (64, True), told


def test_a_folder_of_something_else_is_an_error(saved, tmp_path, capsys):
    code, said = compared(capsys, saved, tmp_path)
    assert code == 3
    assert "it is no folder of a generator" in said


def test_two_servers_are_compared_by_what_they_draw_with_and_by_every_encoder(
    saved, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv(tracing.TOKEN_VARIABLE, sample_servers.TOKEN)
    other = generators.folder(tmp_path, lowercase=False)
    pipeline = generators.StableDiffusionXLPipeline({"beta_schedule": "linear"})
    with (
        sample_servers.serving(generators.serve(saved)) as a,
        sample_servers.serving(generators.serve(other, pipeline)) as b,
    ):
        arguments = ["--a", a, "--b", b, "--text", "A CAT on a Roof", "--text", "two dogs"]
        assert cli.main(["trace", *arguments]) == 1
    said = capsys.readouterr().out
    assert "PASS         text.tokens " in said
    assert "FAIL         text.tokens_2 " in said
    assert "CAUSE Casing (proven)" in said
    assert "Of the generation: changed: scheduler.beta_schedule scaled_linear → linear." in said


def test_a_server_is_checked_against_what_it_told_before(saved, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(tracing.TOKEN_VARIABLE, sample_servers.TOKEN)
    record = tmp_path / "stable.safetensors"

    def check(app: Any, *more: str) -> tuple[int, str]:
        with sample_servers.serving(app) as url:
            code = cli.main(
                [
                    "check",
                    "contract",
                    "--protocol",
                    "OpenAIImages",
                    "--candidate",
                    url,
                    "--probe-url",
                    url,
                    *more,
                ]
            )
        return code, capsys.readouterr().out

    code, said = check(generators.serve(saved, stages=()), "--record", str(record))
    assert code == 0, said
    other = generators.StableDiffusionXLPipeline({"beta_schedule": "linear"})
    code, said = check(generators.serve(saved, other, stages=()), "--reference", str(record))
    assert code == 1
    assert "scaled_linear" in said
    assert check(generators.serve(saved, stages=()), "--reference", str(record))[0] == 0
