"""Reports of lives that the real operator has lived: what they say, and that every form says the same."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from modelrelease.report import model
from tests.unit.cli.mrel import recorded
from tests.unit.report import lives, pages

SCHEMA = Path(model.__file__).with_name("report.v1.schema.json")
NAMES = ["promoted", "parity", "drift"]


def reported(name: str, *arguments: str, **change: Any) -> recorded.Said:
    left = lives.left(name)
    cluster = left.cluster
    for key, value in change.items():
        setattr(cluster, key, value)
    return recorded.call(cluster, "report", "embedder", *arguments, now=left.now)


def found(name: str, **change: Any) -> dict[str, Any]:
    said = reported(name, "-o", "json", **change)
    assert (said.code, said.err) == (0, "")
    read: dict[str, Any] = json.loads(said.out)
    return read


def test_the_schema_that_is_published_is_the_models():
    assert SCHEMA.read_text(encoding="utf-8") == model.schema_text(), "run `python -m modelrelease.report`"
    jsonschema.Draft202012Validator.check_schema(model.json_schema())


@pytest.mark.parametrize("name", NAMES)
def test_every_report_follows_the_schema_and_is_read_back(name: str):
    said = reported(name, "-o", "json").out
    jsonschema.validate(json.loads(said), json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert model.dump(model.Report.model_validate_json(said, by_alias=True, by_name=False)) == said.strip()


def test_a_promoted_run_tells_its_traffic_its_evidence_and_who_approved():
    report = found("promoted")
    assert (report["outcome"], report["tone"]) == ("Promoted", "Good")
    assert report["sentence"].endswith(" is stable. 3 checks passed and 1 objective passed.")
    phases = [(one["phase"], one["step"], one["weight"]) for one in report["phases"]]
    assert phases == [
        ("Queued", 0, 0),
        ("Starting", 0, 0),
        ("Checking", 0, 0),
        ("Shifting", 1, 25),
        ("Holding", 1, 25),
        ("Shifting", 2, 50),
        ("Holding", 2, 50),
        ("Shifting", 3, 100),
        ("Holding", 3, 100),
    ]
    assert all(
        one["end"] == next_["start"]
        for one, next_ in zip(report["phases"], report["phases"][1:], strict=False)
    )
    counted = [one["requests"] for one in report["phases"] if one["phase"] == "Holding"]
    assert counted == sorted(counted)
    assert counted[-1] > counted[0] > 0
    (slo,) = report["slos"]
    assert slo["verdict"] == "Pass"
    assert len(slo["looks"]) > 5
    assert all(one["evidence"] < slo["proof"] for one in slo["looks"])
    assert slo["proof"] == 200
    assert [(one["kind"], one["reason"]) for one in report["people"]] == [
        ("approved BeforeFull", lives.people.WHY)
    ]
    assert {one["area"]: one["after"] for one in report["changes"]}["image"] == "registry/good:1"
    assert report["questions"] == []


def test_a_failed_check_comes_with_its_cause_its_gates_and_its_rows():
    report = found("parity")
    assert (report["outcome"], report["reason"], report["tone"]) == ("RolledBack", "CheckFailed", "Bad")
    assert "was rolled back: parity failed: 27 of 144 items moved (Casing, proven)" in report["sentence"]
    assert report["users"].startswith("No user request reached ")
    first = report["checks"][0]
    assert (first["name"], first["verdict"], first["cause"]) == ("parity", "Fail", "Casing")
    (kept,) = first["results"]
    assert kept["diagnosis"]["confidence"] == "Proven"
    assert kept["series"]
    assert "How did Casing get in, and what would have shown it before the release?" in report["questions"]
    told = [one["what"] for one in report["moments"]]
    assert told.count("CheckFailed") == 1
    assert told == [one["what"] for one in sorted(report["moments"], key=lambda one: one["time"])]


def test_a_return_that_cures_nothing_is_called_so():
    report = found("drift")
    assert report["reason"] == "SloFailed"
    assert report["recovery"]["verdict"] == "NotFixedByReturn"
    assert report["recovery"]["seconds"] >= 60
    assert (
        "What do both revisions share that fails now: inputs, a dependency, the nodes?" in report["questions"]
    )
    assert "NotFixedByReturn" in [one["what"] for one in report["moments"]]
    assert report["users"].startswith("Users sent ")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_asks_nobody_for_anything_and_can_be_read_by_all(name: str):
    page = pages.Page(reported(name, "-o", "html").out)
    assert not page.tags & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert all(said.startswith("data:") for said in page.asked)
    assert "url(" not in page.style
    assert "@import" not in page.style
    assert "prefers-color-scheme: dark" in page.style
    assert "@media print" in page.style
    (policy,) = [one["content"] for one in page.of("meta") if "http-equiv" in one]
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert [one["lang"] for one in page.of("html")] == ["en"]
    assert len(page.of("h1")) == 1
    # Whoever does not see a drawing hears of it, or is spared it.
    assert all(one.get("aria-label") or one.get("aria-hidden") for one in page.of("svg"))
    assert all(one.get("alt") for one in page.of("img"))
    assert all(one.get("scope") for one in page.of("th"))


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_its_json_says(name: str):
    page, report = pages.Page(reported(name, "-o", "html").out), found(name)
    said = [report["sentence"], report["users"], *report["questions"], *report["missing"]]
    said += [one["text"] for one in report["moments"]]
    said += [one["message"] for one in report["slos"]]
    said += [one["message"] for one in report["checks"]]
    said += [one["value"] for one in report["environment"]]
    for text in said:
        assert " ".join(text.split()) in page.text
    (link,) = page.asked
    assert link.startswith("data:application/json;base64,")


def test_a_page_draws_phases_burn_and_evidence():
    page = pages.Page(reported("promoted", "-o", "html").out)
    labels = [one.get("aria-label") or "" for one in page.of("svg")]
    assert labels.count("25 % of traffic") == 2
    assert any(label.startswith("Burn") for label in labels)
    assert any(label.startswith("Evidence against the candidate") for label in labels)


def test_a_postmortem_has_the_time_line_the_questions_and_room_to_write():
    said = reported("drift", "--postmortem")
    assert said.code == 0
    for heading in (
        "# Postmortem: embedder",
        "## Impact",
        "## Time line (UTC)",
        "## Open questions",
        "## Actions",
    ):
        assert f"{heading}" in said.out
    assert "- [ ] What do both revisions share that fails now: inputs, a dependency, the nodes?" in said.out
    assert "**NotFixedByReturn**" in said.out


def test_markdown_tells_checks_gates_and_looks():
    said = reported("promoted", "-o", "md").out
    assert "- **Pass** parity" in said
    assert "e-value" in said


# --- What is not there --------------------------------------------------------------------------------------


def without(name: str, kind: str) -> list[dict[str, Any]]:
    return [obj for obj in lives.left(name).objects if obj["kind"] != kind]


def test_events_that_are_gone_are_told_from_what_the_run_remembers():
    report = found("drift", objects=without("drift", "Event"))
    assert any(text.startswith("No Event of this run is left") for text in report["missing"])
    told = [one["what"] for one in report["moments"]]
    assert told[0] == "Queued"
    assert {"Holding", "Returning", "Done", "NotFixedByReturn"} <= set(told)


def test_evidence_that_is_gone_is_said_to_be():
    report = found("parity", objects=without("parity", "ConfigMap"))
    assert any("parity" in text and "are not kept" in text for text in report["missing"])
    page = pages.Page(reported("parity", "-o", "html", objects=without("parity", "ConfigMap")).out)
    assert "1 − cos, worst row" in page.text


@pytest.mark.parametrize("kind", [recorded.port.EVENTS, recorded.port.CONFIG_MAPS, recorded.port.REVISIONS])
def test_what_may_not_be_read_is_said_and_nothing_else_is_missing(kind: str):
    report = found("parity", forbidden=frozenset({kind}))
    assert report["outcome"] == "RolledBack"
    assert any("read" in text for text in report["missing"])


def test_an_older_operators_run_has_a_report_too():
    objects = json.loads(json.dumps(lives.left("drift").objects))
    for obj in objects:
        if obj["kind"] == "ModelReleaseRun":
            obj["status"].pop("phases")
            obj["status"].pop("recovery", None)
            for slo in obj["status"]["slos"]:
                slo.pop("looks", None)
    report = found("drift", objects=objects)
    assert report["phases"] == []
    missing = " ".join(report["missing"])
    assert "When each phase began is not recorded" in missing
    assert "How availability came about over time is not recorded" in missing
    assert pages.Page(reported("drift", "-o", "html", objects=objects).out).text


# --- The command --------------------------------------------------------------------------------------------


def test_a_run_is_reported_by_its_own_name_and_by_its_revision():
    left = lives.left("promoted")
    runs = [obj for obj in left.objects if obj["kind"] == "ModelReleaseRun"]
    first = runs[0]["metadata"]["name"]
    for arguments in (
        (first,),
        ("embedder", "--run", first),
        ("embedder", "--run", runs[0]["spec"]["revision"]),
    ):
        said = recorded.call(left.cluster, "report", *arguments, "-o", "json", now=left.now)
        assert json.loads(said.out)["attempt"]["run"] == first
    report = json.loads(recorded.call(left.cluster, "report", first, "-o", "json", now=left.now).out)
    assert "first release" in report["users"]
    # Its Events end where the next run's begin.
    assert all(one["time"] < runs[1]["status"]["startTime"] for one in report["moments"])


def test_a_file_is_written_in_the_form_that_its_name_says(tmp_path: Path):
    for suffix, begins in (
        ("html", "<!DOCTYPE html>"),
        ("json", '{"schema":"report.modelrelease.dev/v1"'),
        ("md", "# "),
    ):
        file = tmp_path / f"report.{suffix}"
        said = reported("parity", "-o", str(file))
        assert (said.code, said.out) == (0, "")
        assert str(file) in said.err
        assert file.read_text(encoding="utf-8").startswith(begins)


def test_at_a_terminal_a_page_becomes_a_file_and_in_a_pipe_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    left = lives.left("parity")
    assert recorded.call(left.cluster, "report", "embedder", now=left.now).out.startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == []
    said = recorded.call(left.cluster, "report", "embedder", now=left.now, tty=True)
    (file,) = tmp_path.iterdir()
    assert said.err == f"{file.stem} is reported in {file.name}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nobody", "-o", "md"), 1, 'error: modelreleases.v1alpha1.modelrelease.dev "nobody" not found'),
        (("nobody-r0123456789-1", "-o", "md"), 1, "not found"),
        (("embedder", "--run", "rffff"), 1, "error: no revision begins with rffff"),
        (("embedder", "-o", "report.pdf"), 64, "report.pdf: give html, json or md, or a file that ends in"),
        (("embedder", "--postmortem", "-o", "html"), 64, "a postmortem is Markdown"),
        (("embedder", "-o", "/nowhere/at/all.md"), 1, "/nowhere/at/all.md can't be written"),
    ],
)
def test_bad_input_gets_one_sentence(arguments: tuple[str, ...], code: int, said: str):
    left = lives.left("parity")
    shown = recorded.call(left.cluster, "report", *arguments, now=left.now)
    assert shown.code == code
    assert said in shown.err
    assert shown.out == ""
