"""Evidence on a volume: whole or not at all, bounded, pruned, and never a reason for another verdict."""

import asyncio
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading

import pytest

from canary_checks import entry, job, request, result, runner, termination
from canary_checks.evidence import keeping, terms, volume
from canary_checks.parity import reference
from canary_checks.report import folders
from tests.unit.canary_checks import asking, toy_server

RUN = "query-embedder-r9a1b4c-1"
NAME = "contract-1-query-embedder-r9a1b4c-abc-0"


def where(root: pathlib.Path, **changes: object) -> dict[str, object]:
    return {"path": str(root), "namespace": "search", "release": "query-embedder"} | changes


def asked(root: pathlib.Path, run: str = RUN, **changes: object) -> request.CheckRequest:
    return asking.ask("http://127.0.0.1:1", run=run, evidence=where(root, **changes))


@pytest.fixture(scope="module")
def outcome() -> runner.Outcome:
    """A parity check with more gates, rows and points than a result has room for."""
    with toy_server.serving() as toy:
        made = asyncio.run(runner.run(asking.ask(toy.url, "EmbeddingParity", record=True), ()))
    assert made.result.verdict == "Pass"
    return made


@pytest.fixture
def content(outcome: runner.Outcome) -> keeping.Content:
    return outcome.content


def release(root: pathlib.Path) -> pathlib.Path:
    return root / "search" / "query-embedder"


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def everything(root: pathlib.Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def begun(root: pathlib.Path, run: str, hour: int) -> pathlib.Path:
    """Return the folder of a run that began at an hour, with evidence."""
    folder = release(root) / run
    (folder / "a-1-pod-0").mkdir(parents=True)
    (folder / "a-1-pod-0" / "result.json").write_text("{}")
    said = {"schema": keeping.SCHEMA, "run": run, "startTime": f"2026-11-21T{hour:02}:00:00Z"}
    (folder / keeping.MARKER).write_text(json.dumps(said))
    return folder


def test_everything_is_there_with_its_digests(tmp_path, content):
    kept = keeping.keep(asked(tmp_path), content)
    assert kept == keeping.Kept(f"search/query-embedder/{RUN}/{NAME}", None)
    folder = tmp_path / (kept.path or "")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["check"], manifest["verdict"], manifest["omitted"]) == ("contract", "Pass", [])
    for name, said in manifest["files"].items():
        file = (folder / name).read_bytes()
        assert (result.digest(file), len(file)) == (said["digest"], said["sizeBytes"])
    assert sorted(manifest["files"]) == ["outputs.safetensors", "result.json", "whole.json"]
    assert reference.decode((folder / "outputs.safetensors").read_bytes()).header.pack == "TextV1"
    whole = json.loads((folder / "whole.json").read_text())
    assert len(whole["gates"]) == len(content.found.gates)
    assert not [name for name in names(folder.parent) if name.startswith(volume.PARTIAL)]


def test_what_a_result_has_no_room_for_is_whole_on_the_volume(tmp_path, content):
    points = tuple(float(n) for n in range(10_000))
    found = dataclasses.replace(content.found, series={"cosineDistance:Stable": points})
    keeping.keep(asked(tmp_path), dataclasses.replace(content, found=found))
    whole = json.loads((release(tmp_path) / RUN / NAME / "whole.json").read_text())
    assert whole["series"]["cosineDistance:Stable"] == list(points)


def test_a_report_is_made_of_a_folder(tmp_path, content, capsys):
    for run in ("run-1", "run-2"):
        keeping.keep(asked(tmp_path, run), content)
    (release(tmp_path) / "run-1" / ".partial-1").mkdir()
    (release(tmp_path) / "elsewhere").symlink_to(release(tmp_path) / "run-1")
    assert len(folders.results(release(tmp_path))) == 2
    assert entry.main(["report", str(release(tmp_path) / "run-1"), "--output", "html"]) == 0
    assert "TextV1" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert entry.main(["report", str(tmp_path / "empty")]) == 3
    assert "holds no evidence" in capsys.readouterr().err


def test_the_oldest_runs_are_deleted_and_nothing_else(tmp_path, content):
    for hour in range(5):
        begun(tmp_path, f"run-{hour}", hour)
    (release(tmp_path) / "notes").mkdir()
    (release(tmp_path) / "notes" / "mine.txt").write_text("keep")
    (release(tmp_path) / "README").write_text("keep")
    renamed = begun(tmp_path, "run-9", 0)
    renamed.rename(release(tmp_path) / "copy-of-run-9")
    (release(tmp_path) / ".pruned-0123").mkdir()
    begun(tmp_path / "search", "x", 0)
    keeping.keep(asked(tmp_path, keepRuns=3), content)
    assert names(release(tmp_path)) == [
        "README",
        "copy-of-run-9",
        "notes",
        RUN,
        "run-3",
        "run-4",
    ]
    assert (tmp_path / "search" / "search" / "query-embedder" / "x").is_dir()


def test_a_run_keeps_its_own_evidence_however_old_it_is(tmp_path, content):
    begun(tmp_path, RUN, 0)
    begun(tmp_path, "run-2", 2)
    keeping.keep(asked(tmp_path, keepRuns=1), content)
    assert names(release(tmp_path)) == [RUN]
    assert names(release(tmp_path) / RUN) == [keeping.MARKER, "a-1-pod-0", NAME]


def test_many_jobs_at_once_leave_all_of_theirs_and_prune_once(tmp_path, content):
    for hour in range(8):
        begun(tmp_path, f"run-{hour}", hour)
    kept: list[keeping.Kept] = []

    def job(number: int) -> None:
        kept.append(keeping.keep(asked(tmp_path, keepRuns=2, portion=number), content))

    threads = [threading.Thread(target=job, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.remark for one in kept} == {None}
    assert len({one.path for one in kept}) == 8
    assert all((tmp_path / (one.path or "") / "manifest.json").is_file() for one in kept)
    assert names(release(tmp_path)) == [RUN, "run-7"]


def test_a_checks_pod_that_is_replaced_overwrites_nothing(tmp_path, content):
    paths = [keeping.keep(asked(tmp_path), content).path for _ in range(3)]
    assert [str(path).rpartition("/")[2] for path in paths] == [NAME, f"{NAME}-2", f"{NAME}-3"]


@pytest.mark.parametrize("step", ["search", "search/query-embedder", f"search/query-embedder/{RUN}"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_in_the_way_leads_nowhere(tmp_path, content, step, kind):
    root, outside = tmp_path / "volume", tmp_path / "outside"
    outside.mkdir()
    begun(outside, "run-1", 1)
    before = everything(outside)
    place = root / step
    place.parent.mkdir(parents=True)
    place.symlink_to(outside) if kind == "link" else place.write_text("mine")
    kept = keeping.keep(asked(root, keepRuns=1), content)
    assert kept.path is None
    assert (kept.remark or "").startswith("its evidence is not on the evidence volume: ")
    assert everything(outside) == before


def test_a_link_among_the_runs_is_no_run_and_is_not_followed(tmp_path, content):
    root, outside = tmp_path / "volume", tmp_path / "outside"
    target = begun(outside, "run-1", 1)
    release(root).mkdir(parents=True)
    (release(root) / "run-1").symlink_to(target)
    inner = begun(root, "run-0", 0)
    (inner / "out").symlink_to(outside)
    (inner / "a-1-pod-0" / "result.json").unlink()
    (inner / "a-1-pod-0" / "result.json").symlink_to(target / "a-1-pod-0" / "result.json")
    assert keeping.keep(asked(root, keepRuns=1), content).remark is None
    assert names(release(root)) == [RUN, "run-1"]
    assert (target / "a-1-pod-0" / "result.json").read_text() == "{}"


@pytest.mark.parametrize(
    "marker",
    [b"", b"{", b"x" * 5000, b'{"schema":"evidence.modelrelease.dev/v1","run":"run-1"}', None],
)
def test_a_folder_without_a_sound_marker_is_not_ours(tmp_path, content, marker):
    folder = release(tmp_path) / "run-1"
    folder.mkdir(parents=True)
    if marker is None:
        os.mkfifo(folder / keeping.MARKER)
    else:
        (folder / keeping.MARKER).write_bytes(marker)
    assert keeping.keep(asked(tmp_path, keepRuns=1), content).remark is None
    assert folder.is_dir()


def test_a_volume_that_is_not_there(tmp_path, content):
    kept = keeping.keep(asked(tmp_path / "none"), content)
    assert kept.path is None
    assert "No such file or directory" in (kept.remark or "")


FORBIDDEN = """
import os, sys
from canary_checks import request
from canary_checks.evidence import keeping
asked = request.CheckRequest.model_validate_json(sys.argv[1], by_alias=True, by_name=False)
os.chmod(asked.evidence.path, 0o555)
if os.getuid() == 0:
    os.setgid(65534), os.setuid(65534)
print(keeping.keep(asked, None).remark)
"""


def test_a_volume_without_the_right_to_write_says_what_to_do(tmp_path):
    text = json.dumps(asking.raw_request("http://127.0.0.1:1", evidence=where(tmp_path)))
    ended = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, text], capture_output=True, text=True, check=True
    )
    assert "Permission denied: user " in ended.stdout
    assert "evidenceVolume.fsGroup" in ended.stdout


FULL = """
import resource, sys
from canary_checks.evidence import volume
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
with volume.root(sys.argv[1]) as root:
    try:
        made = root.publish("check", {"small": b"x" * 100, "large": b"x" * 100_000, "last": b"x" * 10})
        print(made.name, *made.omitted)
    except OSError as error:
        print(error.strerror)
"""


@pytest.mark.parametrize(
    ("room", "said", "left"),
    [
        (200_000, "check", ["check", "check/large", "check/last", "check/small"]),
        (50_000, "check large", ["check", "check/last", "check/small"]),
        (0, "No space left on device", []),
    ],
)
def test_a_full_disk_leaves_what_there_was_room_for_and_no_half_file(tmp_path, room, said, left):
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(room)], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == said
    assert everything(tmp_path) == left


def test_a_folder_is_bounded_and_says_what_is_left_out(tmp_path, content, monkeypatch):
    monkeypatch.setattr(keeping, "LIMIT_BYTES", 20_000)
    kept = keeping.keep(asked(tmp_path), content)
    assert "no room for" in (kept.remark or "")
    assert "outputs.safetensors" in (kept.remark or "")
    manifest = json.loads((tmp_path / (kept.path or "") / "manifest.json").read_text())
    assert manifest["omitted"][-1] == "outputs.safetensors"


def test_a_run_has_so_many_folders_and_no_more(tmp_path, content, monkeypatch):
    monkeypatch.setattr(keeping, "FOLDERS", 2)
    kept = [keeping.keep(asked(tmp_path), content) for _ in range(3)]
    assert [one.path is None for one in kept] == [False, False, True]


def test_a_volume_that_does_not_answer_is_given_up(tmp_path, content, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(keeping, "keep", lambda *_: released.wait(30))
    kept = keeping.keep_within(0.05, asked(tmp_path), content)
    released.set()
    assert kept.path is None
    assert "did not answer within 0 s" in (kept.remark or "")


def test_long_names_are_shortened_and_stay_different(tmp_path, content):
    paths = set()
    for number in (1, 2):
        pod = {"name": "p" * 250 + f"-{number}", "uid": "u"}
        changes = {"check": {"name": "c" * 60, "kind": "Contract", "configDigest": asking.DIGEST}}
        made = asking.ask("http://127.0.0.1:1", pod=pod, evidence=where(tmp_path), **changes)
        paths.add(keeping.keep(made, content).path)
    assert len(paths) == 2
    assert all(path is not None and len(path.rpartition("/")[2]) == 200 for path in paths)


@pytest.mark.parametrize("message", ["short", "x" * 512])
def test_the_message_says_what_is_missing_and_the_verdict_stays(message):
    said = asking.a_result(
        message=message, evidence={"digest": asking.DIGEST, "sizeBytes": 1, "truncated": False}
    )
    remark = "its evidence is not on the evidence volume: No space left on device"
    told = keeping.told(said, keeping.Kept(None, remark))
    assert (told.verdict, told.gates) == (said.verdict, said.gates)
    assert told.message.endswith(f"; {remark}")
    result.parse_termination_message(result.to_termination_message(told), asking.NONCE)
    there = keeping.told(said, keeping.Kept("a/b/c/d", None))
    assert (there.message, there.evidence.path) == (said.message, "a/b/c/d")


def test_the_request_names_no_other_place():
    for wrong in ({"namespace": ".."}, {"release": "a/b"}, {"path": "evidence"}, {"keepRuns": 0}):
        with pytest.raises(ValueError, match="validation error"):
            terms.Evidence.model_validate_json(json.dumps(where(pathlib.Path("/e"), **wrong)))


@pytest.mark.parametrize("there", [True, False])
def test_a_job_says_where_its_evidence_is_and_its_verdict_is_the_same_without_it(
    tmp_path, monkeypatch, capsys, there
):
    log, root = tmp_path / "termination-log", tmp_path / "volume"
    if there:
        root.mkdir()
    with toy_server.serving() as toy:
        asked_for = json.dumps(asking.raw_request(toy.url, evidence=where(root)))
        monkeypatch.setenv(job.REQUEST_VARIABLE, asked_for)
        monkeypatch.setenv(termination.LOG_VARIABLE, str(log))
        assert job.main() == 0
    found = result.parse_termination_message(log.read_text("utf-8"), asking.NONCE)
    assert found.verdict == "Pass"
    assert found.evidence is not None
    out = capsys.readouterr().out
    assert result.parse_evidence(out, expected_digest=found.evidence.digest) is not None
    if there:
        assert found.evidence.path == f"search/query-embedder/{RUN}/{NAME}"
        assert (root / found.evidence.path / "result.json").is_file()
    else:
        assert found.evidence.path is None
        assert "its evidence is not on the evidence volume: No such file or directory" in found.message


@pytest.mark.parametrize("length", [10, 400])
def test_a_message_is_replaced_in_one_write_and_stays_a_result(tmp_path, length):
    log = tmp_path / "log"
    log.write_text(result.to_termination_message(asking.a_result(message="x" * 200)))
    termination.amend(log, asking.a_result(message="y" * length))
    found = result.parse_termination_message(log.read_text(), asking.NONCE)
    assert found.message == "y" * length
