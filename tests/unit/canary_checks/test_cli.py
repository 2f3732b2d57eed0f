import asyncio
import io
import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from canary_checks import entry, result, runner, schema
from canary_checks import vocabulary as v
from canary_checks.cli import app, exits, task
from canary_checks.report import reading
from tests.unit.canary_checks import asking, toy_server

# Loopback needs no politeness.
FAST = ["--max-requests-per-second", "10000"]


def check(what: str, candidate: object, *options: object) -> int:
    url = getattr(candidate, "url", candidate)
    return entry.main(["check", *what.split(), "--candidate", str(url), "--model", "toy", *map(str, options)])


def results_of(text: str) -> list[schema.CheckResult]:
    return reading.results(text.encode(), "test")


def test_a_server_is_checked_against_another_one(capsys):
    with toy_server.serving() as stable, toy_server.serving() as candidate:
        everything = "contract repeatability parity"
        options = ["--stable", stable.url, "--dimensions", 24, "--unit", *FAST]
        assert check(everything, candidate, *options) == exits.PASS
        said = capsys.readouterr().out
        assert [line.split()[1:3] for line in said.splitlines() if line.startswith("✓")] == [
            ["PASS", "contract"],
            ["PASS", "repeatability"],
            ["PASS", "parity"],
        ]
        candidate.model = toy_server.ToyModel(lower=False)
        assert check("parity", candidate, "--stable", stable.url, *FAST) == exits.FAIL
    said = capsys.readouterr().out
    assert "CAUSE     Casing (proven): " in said
    assert "cased 13/13" in said
    assert "EXCLUDED  " in said
    assert "truncation: " in said
    assert "NEXT " in said


def test_stable_is_asked_twice_a_second_unless_somebody_says_otherwise():
    asked = task.Task(
        checks=(task.Check.PARITY,),
        candidates=(),
        operations=(),
        golden_set=task.golden_set("builtin:TextV1"),
        numeric_class=v.NumericClass.FP32,
    )
    assert asked.stable_rate == 2
    assert asked.rate is None


def test_several_candidates_stand_side_by_side(capsys):
    with (
        toy_server.serving() as stable,
        toy_server.serving() as same,
        toy_server.serving(model=toy_server.ToyModel(length=3.0)) as longer,
    ):
        options = ["--candidate", same.url, "--candidate", f"new={longer.url}", "--stable", stable.url]
        code = entry.main(["compare", *options, "--model", "toy", "--output", "json", *FAST])
    printed = capsys.readouterr()
    found = results_of(printed.out)
    assert code == exits.FAIL
    assert [(one.subject.revision, one.verdict) for one in found] == [("A", "Pass"), ("new", "Fail")]
    assert [line.split(":")[0] for line in printed.err.splitlines()] == ["PASS parity A", "FAIL parity new"]
    assert {party.role for one in found for party in one.references} == {v.Role.STABLE}


def test_the_columns_line_up_the_gates(capsys):
    with toy_server.serving() as stable, toy_server.serving(model=toy_server.ToyModel(lower=False)) as cased:
        options = ["--candidate", stable.url, "--candidate", cased.url, "--stable", stable.url]
        assert entry.main(["compare", *options, "--model", "toy", *FAST]) == exits.FAIL
    table = capsys.readouterr().out.partition("side by side")[2]
    assert [line.split() for line in table.splitlines() if line.strip().startswith(("cause", "verdict"))] == [
        ["cause", "–", "casing"],
        ["verdict", "Pass", "Fail"],
    ]


def test_every_output_comes_from_the_same_results(tmp_path, capsys):
    kept = tmp_path / "results.json"
    with toy_server.serving(model=toy_server.ToyModel(length=3.0)) as toy:
        options = ["--unit", "--output", "json", "--output-file", kept]
        assert check("contract repeatability", toy, *options) == exits.FAIL
    assert "✗ FAIL  contract" in capsys.readouterr().out
    found = results_of(kept.read_text())
    assert [one.verdict for one in found] == ["Fail", "Pass"]
    for form, begin in (("html", "<!DOCTYPE html>"), ("junit", "<?xml"), ("text", "✗ FAIL"), ("json", "[")):
        assert entry.main(["report", str(kept), "--output", form]) == exits.PASS
        assert capsys.readouterr().out.startswith(begin)
    suites = tmp_path / "junit.xml"
    assert entry.main(["report", str(kept), "--output", "junit", "--output-file", str(suites)]) == exits.PASS
    assert len(ElementTree.parse(suites).findall("testsuite")) == 2  # noqa: S314 - our own


def test_a_recorded_reference_is_found_in_its_folder(tmp_path, recorded):
    (tmp_path / "stable.safetensors").write_bytes(recorded)
    with toy_server.serving(model=toy_server.ToyModel(longest=62)) as toy:
        assert check("parity", toy, "--reference", tmp_path, "--output", "json") == exits.FAIL
        (tmp_path / "second.safetensors").write_bytes(recorded)
        assert check("parity", toy, "--reference", tmp_path) == exits.USAGE


@pytest.fixture(scope="module")
def recorded():
    """Outputs of the toy model, as a Job leaves them."""
    with toy_server.serving() as toy:
        asked = task.Task(
            checks=(task.Check.PARITY,),
            candidates=(),
            operations=task.asked_operations(
                None,
                None,
                protocol=v.Protocol.OPENAI_EMBEDDINGS,
                modality=v.Modality.TEXT,
                path=None,
                model="toy",
            ),
            golden_set=task.golden_set("builtin:TextV1"),
            numeric_class=v.NumericClass.FP32,
        )
        prepared = asked.request(task.Server("stable", toy.url), task.Check.PARITY, record=True)
        outcome = asyncio.run(runner.run(prepared, ()))
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
    assert evidence is not None
    assert evidence.reference is not None
    return evidence.reference.content()


@pytest.mark.parametrize(
    ("settings", "what", "options", "code"),
    [
        ({"model": toy_server.ToyModel(wobble=0.1)}, "repeatability", [], exits.FAIL),
        ({"alter": lambda *_: (500, b"")}, "contract", [], exits.ERROR),
        ({}, "contract", ["--dimensions", "23"], exits.FAIL),
        ({}, "contract", ["--gate", "UnitNormDeviationWorst=1e-3", "--unit"], exits.PASS),
        ({"hang": True}, "contract", ["--deadline", "1"], exits.ERROR),
    ],
)
def test_the_exit_code_says_the_verdict(settings, what, options, code, capsys):
    with toy_server.serving(**settings) as toy:
        assert check(what, toy, *options) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_stable_that_gives_no_reference_is_an_error_of_every_comparison(capsys):
    with toy_server.serving() as toy, toy_server.serving(alter=lambda *_: (500, b"")) as broken:
        assert check("contract parity", toy, "--stable", broken.url, *FAST, "--output", "json") == exits.ERROR
        assert check("parity", toy, "--stable", "http://127.0.0.1:1", *FAST) == exits.ERROR
        broken.alter = None
        broken.model = toy_server.ToyModel(wobble=0.5)
        assert check("parity", toy, "--stable", broken.url, *FAST) == exits.ERROR
    printed = capsys.readouterr()
    first = results_of(printed.out[: printed.out.index("\n]\n") + 3])
    assert [(one.check.name, one.verdict) for one in first] == [("contract", "Pass"), ("parity", "Error")]
    assert first[1].message.startswith("stable gave no reference: ")
    assert printed.out.count("stable gave no reference: ") == 3


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["Pass", "Pass"], exits.PASS),
        (["Pass", "Fail", "Error"], exits.FAIL),
        (["Pass", "Error", "NoData"], exits.ERROR),
        (["Inconclusive", "Pass"], exits.NO_DATA),
        (["NoData", "Pass"], exits.NO_DATA),
        ([], exits.NO_DATA),
    ],
)
def test_the_worst_verdict_decides(verdicts, code):
    assert exits.exit_code([asking.a_result(verdict) for verdict in verdicts]) == code
    assert set(exits._OF_VERDICT) == set(v.Verdict)


NOWHERE = ["--candidate", "http://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nothing"], "No such command"),
        (["check"], "Missing argument"),
        (["check", "speed", *NOWHERE], "speed"),
        (["check", "parity"], "--candidate"),
        (["check", "contract", "--candidate", "example.com"], "http://"),
        (["check", "contract", "--candidate", "http://"], "no URL"),
        (["check", "contract", "--candidate", "http://[::1"], "no URL"),
        (["check", "contract", "--candidate", "http://h:99999999"], "no URL"),
        (["check", "parity", *NOWHERE], "something to compare with"),
        (["check", "contract", *NOWHERE, "--stable", "http://h"], "compare with nothing"),
        (["check", "parity", *NOWHERE, "--reference", "/nowhere"], "does not exist"),
        (["check", "parity", *NOWHERE, "--reference", "."], "must hold one"),
        (["check", "contract", *NOWHERE, "--golden-set", "builtin:TextV9"], "builtin:TextV9"),
        (["check", "contract", *NOWHERE, "--golden-set", "/nowhere"], "no folder"),
        (["check", "contract", *NOWHERE, "--protocol", "Carrier"], "Carrier"),
        (["check", "contract", *NOWHERE, "--path", "v1"], "--path"),
        (["check", "contract", *NOWHERE, "--operation", "name"], "KEY=VALUE"),
        (["check", "contract", *NOWHERE, "--operation", "name=a,name=b"], "given twice"),
        (["check", "contract", *NOWHERE, "--operation", "name=a"], "protocol"),
        (
            ["check", "contract", *NOWHERE, "--operation", "name=a,protocol=OpenAIEmbeddings,colour=red"],
            "colour",
        ),
        (["check", "contract", *NOWHERE, "--operations", "/nowhere"], "No such file"),
        (["check", "contract", *NOWHERE, "--contract", "/nowhere"], "No such file"),
        (["check", "contract", *NOWHERE, "--dimensions", "0"], "--dimensions"),
        (["check", "contract", *NOWHERE, "--dimensions", "70000"], "dimensions"),
        (["check", "contract", *NOWHERE, "--gate", "UnitNormDeviationWorst"], "METRIC=MAX"),
        (["check", "contract", *NOWHERE, "--gate", "UnitNormDeviationWorst=much"], "--gate"),
        (
            ["check", "contract", *NOWHERE, "--gate", "CosineDistanceWorst=1"],
            "no limit on CosineDistanceWorst",
        ),
        (["check", "contract", *NOWHERE, "--deadline", "0"], "--deadline"),
        (["check", "contract", *NOWHERE, "--max-requests-per-second", "0"], "--max-requests-per-second"),
        (["check", "contract", *NOWHERE, "--output", "pdf"], "pdf"),
        (["check", "contract", *NOWHERE, "--output-file", "/nowhere/x"], "--output-file"),
        (["compare", *NOWHERE], "nothing to compare with"),
        (
            ["compare", "--candidate", "a=http://h", "--candidate", "a=http://g", "--stable", "http://s"],
            "same name",
        ),
        (["report", "/nowhere"], "No such file"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_64(arguments, says, capsys):
    assert entry.main(arguments) == exits.USAGE
    said = capsys.readouterr().err
    assert says in said
    assert said.startswith("usage: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"\xff\xfe", b"[1]", b"[" * 100_000, b'{"schema": "x"}', b"[]", b"[NaN]"]
)
def test_what_holds_no_result_is_one_sentence_and_3(content, tmp_path, capsys):
    file = tmp_path / "results.json"
    file.write_bytes(content)
    assert entry.main(["report", str(file)]) == exits.ERROR
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"lies", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_reference_that_is_none_is_one_sentence_and_3(content, tmp_path, capsys):
    file = tmp_path / "stable.safetensors"
    file.write_bytes(content)
    assert entry.main(["check", "parity", *NOWHERE, "--reference", str(file)]) == exits.ERROR
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_our_own_mistake_is_no_verdict(monkeypatch, capsys):
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(task, "server", broken)
    assert entry.main(["check", "contract", *NOWHERE]) == exits.ERROR
    assert "internal error: ZeroDivisionError" in capsys.readouterr().err


def test_operations_come_from_options_and_files(tmp_path):
    file = tmp_path / "operations.yaml"
    file.write_text(
        "operations:\n"
        "- {name: text, protocol: OpenAIEmbeddings, model: clip}\n"
        "- {name: image, protocol: OpenAIEmbeddings, modality: Image, model: clip}\n"
    )
    single = {
        "protocol": v.Protocol.OPENAI_EMBEDDINGS,
        "modality": v.Modality.TEXT,
        "path": None,
        "model": None,
    }
    texts = [
        "name=text,protocol=OpenAIEmbeddings,model=clip",
        "name=image,protocol=OpenAIEmbeddings,modality=Image,model=clip",
    ]
    assert task.asked_operations(None, file, **single) == task.asked_operations(texts, None, **single)
    as_json = tmp_path / "operations.json"
    as_json.write_text('[{"name": "text", "protocol": "OpenAIEmbeddings", "dimensions": 256}]')
    listed = ["name=text,protocol=OpenAIEmbeddings,dimensions=256"]
    assert task.asked_operations(None, as_json, **single) == task.asked_operations(listed, None, **single)
    with pytest.raises(exits.UsageError, match="exclude each other"):
        task.asked_operations(texts, file, **single)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "text",
        "operations: []",
        "- 1",
        "- {name: A}",
        "a: [",
        "!!python/object:os.system {}",
        "- 2001-01-01",
    ],
)
def test_a_file_of_no_operations_is_refused(content, tmp_path):
    file = tmp_path / "operations.yaml"
    file.write_text(content)
    with pytest.raises(exits.UsageError, match=r"operations\.yaml"):
        task.asked_operations(
            None,
            file,
            protocol=v.Protocol.OPENAI_EMBEDDINGS,
            modality=v.Modality.TEXT,
            path=None,
            model=None,
        )


def test_a_password_in_a_url_stays_out_of_the_result(capsys):
    with toy_server.serving() as toy:
        url = toy.url.replace("//", "//user:s3cret@")
        assert check("contract", url, "--output", "json") in {exits.PASS, exits.ERROR}
    assert "s3cret" not in capsys.readouterr().out


def test_the_schema_is_printed(capsys):
    assert entry.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == result.result_json_schema()


def imported_by(*arguments: str) -> set[str]:
    """Run a command in a process of its own; the first parts of the modules that it imported."""
    program = (
        "import sys, canary_checks.entry as e\n"
        "try:\n    e.main(sys.argv[1:])\n"
        "finally:\n    sys.stderr.write('\\n' + ' '.join({m.partition('.')[0] for m in sys.modules}))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    return set(ended.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "--help"], ["check", "parity", *NOWHERE], ["report"]]
)
def test_help_and_mistakes_take_no_numerics(arguments):
    assert not {"torch", "numpy", "httpx", "jinja2"} & imported_by(*arguments)


@pytest.mark.parametrize("arguments", [["job"], ["schema"]])
def test_a_job_takes_no_command_line(arguments):
    # Not rich: httpx imports it where its own command line is installed too.
    assert not {"torch", "typer", "jinja2"} & imported_by(*arguments)


def test_verifying_an_artifact_takes_the_standard_library(tmp_path):
    taken = imported_by("artifact", "digest", str(tmp_path))
    assert not {"torch", "numpy", "typer", "rich", "pydantic", "httpx"} & taken


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("kind", "shown"), [(Terminal, True), (io.StringIO, False)])
def test_progress_is_shown_where_somebody_looks(kind, shown, monkeypatch, capsys):
    stderr = kind()
    with toy_server.serving() as toy:
        monkeypatch.setattr(sys, "stderr", stderr)
        assert check("contract", toy) == exits.PASS
    assert ("candidate: contract" in stderr.getvalue()) is shown
    assert "candidate: contract" not in capsys.readouterr().out


def test_every_command_explains_itself(capsys):
    for arguments in (["--help"], ["check", "--help"], ["compare", "--help"], ["report", "--help"]):
        assert app.main(arguments) == 0
        assert "Exit codes" in capsys.readouterr().out
