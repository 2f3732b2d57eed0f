import json

import pytest

from canary_checks import cli, result
from canary_checks import vocabulary as v
from tests.unit.canary_checks import asking, toy_server


def run(toy: toy_server.ToyServer, *options: object) -> int:
    return cli.main(["run", "--url", toy.url, "--model", "toy", *map(str, options)])


def test_a_server_is_checked_against_another_one(capsys):
    with toy_server.serving() as stable, toy_server.serving() as candidate:
        assert run(candidate, "--reference-url", stable.url, "--dimensions", 24, "--unit") == 0
        said = capsys.readouterr().out
        assert [line.split()[:2] for line in said.splitlines() if line.startswith("PASS")] == [
            ["PASS", "contract"],
            ["PASS", "repeatability"],
            ["PASS", "parity"],
        ]
        candidate.model = toy_server.ToyModel(lower=False)
        assert run(candidate, "--reference-url", stable.url, "--check", "parity") == 1
    said = capsys.readouterr().out
    assert "CAUSE      Casing (proven)" in said
    assert "cased 12/12" in said
    assert "not      Truncation: 0 of 12 long rows moved" in said


def test_a_recording_is_a_reference_for_later(tmp_path, capsys):
    file = tmp_path / "stable.safetensors"
    with toy_server.serving() as toy:
        assert run(toy, "--check", "parity", "--record", file) == 0
        assert run(toy, "--check", "parity", "--reference", file, "--json") == 0
        toy.model = toy_server.ToyModel(longest=62)
        assert run(toy, "--check", "parity", "--reference", file, "--json") == 1
    lines = capsys.readouterr().out.splitlines()
    found = [result.CheckResult.model_validate_json(line) for line in lines if line.startswith("{")]
    assert [one.verdict for one in found] == ["Pass", "Fail"]
    assert found[1].diagnosis is not None
    assert found[1].diagnosis.cause == "Truncation"


@pytest.mark.parametrize(
    ("settings", "options", "code"),
    [
        ({"model": toy_server.ToyModel(wobble=0.1)}, ["--check", "repeatability"], 1),
        ({}, ["--check", "parity"], 3),
        ({"alter": lambda *_: (500, b"")}, ["--check", "contract"], 4),
        ({"alter": lambda *_: (500, b"")}, ["--check", "parity", "--reference", "/nowhere"], 4),
        ({}, ["--check", "contract", "--dimensions", "0"], 2),
        ({}, ["--check", "contract", "--record", "/nowhere/x"], 0),
        ({}, ["--check", "parity", "--record", "/nowhere/x"], 4),
    ],
)
def test_the_exit_code_says_the_verdict(settings, options, code, capsys):
    with toy_server.serving(**settings) as toy:
        assert run(toy, *options) == code
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--check", "speed"], ["--reference", "a", "--reference-url", "b"], ["--what"]]
)
def test_a_wrong_usage_exits_with_2(options, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", "--url", "http://127.0.0.1:1", "--model", "toy", *options])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["Pass", "Pass"], 0),
        (["Pass", "Fail", "Error"], 1),
        (["Pass", "Error", "NoData"], 4),
        (["Inconclusive", "Pass"], 3),
        (["NoData", "Pass"], 3),
    ],
)
def test_the_worst_verdict_decides(verdicts, code):
    assert cli.exit_code([asking.a_result(verdict) for verdict in verdicts]) == code
    assert set(cli._EXIT) == set(v.Verdict)


def test_the_schema_is_printed(capsys):
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == result.result_json_schema()
