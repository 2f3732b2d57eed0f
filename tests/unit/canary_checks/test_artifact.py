import hashlib
import json
import os
import pathlib
import resource
import subprocess
import sys
from collections.abc import Callable

import hypothesis
import pytest
from hypothesis import strategies as st

from canary_checks import artifact

ROOT = pathlib.Path(__file__).parents[3]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def model(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "tokenizer.json").write_bytes(b"{}")
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    (folder / "1_Pooling" / "config.json").write_bytes(b"pooling")
    return folder


def digest_of(folder: pathlib.Path) -> str:
    return artifact.read(folder).digest


Verify = Callable[..., tuple[int, dict[str, object]]]


@pytest.fixture
def verify(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """Run the command; give its exit code and what the pod's status would hold."""
    log = tmp_path / "termination-log"
    monkeypatch.setenv(artifact.LOG_VARIABLE, str(log))

    def run(path: pathlib.Path, digest: str, *more: str) -> tuple[int, dict[str, object]]:
        code = artifact.main(["verify", "--path", str(path), "--digest", digest, *more])
        content = log.read_bytes()
        assert len(content) <= artifact.LOG_LIMIT_BYTES
        return code, json.loads(content)

    return run


def test_the_digest_of_a_folder_is_that_of_what_sha256sum_prints(model: pathlib.Path) -> None:
    command = "find . -type f | xargs sha256sum | sed 's, \\./, ,' | LC_ALL=C sort | sha256sum"
    printed = subprocess.run(["sh", "-c", command], cwd=model, capture_output=True, text=True, check=True)
    assert digest_of(model) == "sha256:" + printed.stdout.split()[0]


def test_the_digest_of_a_file_is_its_own(model: pathlib.Path) -> None:
    assert digest_of(model / "tokenizer.json") == "sha256:" + sha256(b"{}")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "tokenizer.json").write_bytes(b"{} "),
        lambda folder: (folder / "tokenizer.json").rename(folder / "tokeniser.json"),
        lambda folder: (folder / "tokenizer.json").unlink(),
        lambda folder: (folder / "more.txt").write_bytes(b""),
        lambda folder: (folder / "1_Pooling" / "SHA256SUMS").write_bytes(b""),
        lambda folder: (folder / "1_Pooling" / "..x").write_bytes(b""),
    ],
    ids=["content", "name", "missing", "added", "a nested manifest", "a nested name with dots"],
)
def test_every_change_of_content_or_name_changes_the_digest(model: pathlib.Path, change) -> None:
    before = digest_of(model)
    change(model)
    assert digest_of(model) != before


def test_what_is_no_content_does_not_change_the_digest(model: pathlib.Path) -> None:
    before = digest_of(model)
    (model / "tokenizer.json").chmod(0o600)
    os.utime(model / "tokenizer.json", (0, 0))
    (model / "empty").mkdir()
    (model / "lost+found").mkdir()
    (model / "lost+found" / "x").write_bytes(b"x")
    (model / ".cache" / "huggingface" / "download").mkdir(parents=True)
    (model / ".cache" / "huggingface" / "download" / "x.metadata").write_bytes(b"1763000000")
    (model / "SHA256SUMS").write_bytes(b"anything")
    assert digest_of(model) == before


def test_a_mounted_config_map_has_the_digest_of_its_files(tmp_path: pathlib.Path) -> None:
    plain, mounted = tmp_path / "plain", tmp_path / "mounted"
    plain.mkdir()
    (plain / "config.json").write_bytes(b"{}")
    (mounted / "..2026_11_21").mkdir(parents=True)
    (mounted / "..2026_11_21" / "config.json").write_bytes(b"{}")
    (mounted / "..data").symlink_to("..2026_11_21")
    (mounted / "config.json").symlink_to("..data/config.json")
    assert artifact.read(mounted).files == artifact.read(plain).files


def test_links_inside_are_followed_and_read_once(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "models--acme--bge"
    snapshot = cache / "snapshots" / "c0ffee"
    (cache / "blobs").mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (cache / "blobs" / "abc").write_bytes(b"weights")
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    opened: list[str] = []
    original = pathlib.Path.open

    def counting(self: pathlib.Path, *arguments, **options):
        opened.append(self.name)
        return original(self, *arguments, **options)

    monkeypatch.setattr(pathlib.Path, "open", counting)
    assert set(artifact.read(cache).files.values()) == {sha256(b"weights")}
    assert opened == ["abc"]
    with pytest.raises(artifact.Refused, match="outside"):
        artifact.read(snapshot)
    assert artifact.read(snapshot, cache).files == {"model.safetensors": sha256(b"weights")}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: (folder / "x").symlink_to("/etc/passwd"), "outside"),
        (lambda folder: (folder / "x").symlink_to("../../.."), "outside"),
        (lambda folder: (folder / "1_Pooling" / "x").symlink_to("../.."), "outside"),
        (lambda folder: (folder / "x").symlink_to("nothing"), "nowhere"),
        (lambda folder: (folder / "x").symlink_to("x"), "nowhere"),
        (lambda folder: (folder / "1_Pooling" / "x").symlink_to(".."), "circle"),
        (lambda folder: os.mkfifo(folder / "x"), "no regular file"),
        (lambda folder: (folder / "a\nb").write_bytes(b""), "line break"),
    ],
    ids=["file outside", "folder outside", "parent", "dangling", "itself", "circle", "pipe", "line break"],
)
def test_what_cannot_be_pinned_is_refused(model: pathlib.Path, verify: Verify, make, said) -> None:
    before = digest_of(model)
    make(model)
    code, status = verify(model, before)
    assert (code, status["outcome"]) == (artifact.MISMATCH, "Refused")
    assert said in str(status["message"])


def test_a_matching_folder_is_reported_whole(model: pathlib.Path, verify: Verify) -> None:
    code, status = verify(model, digest_of(model), "--files", "tokenizer.json")
    assert code == artifact.MATCH
    assert status["outcome"] == "Match"
    assert status["digest"] == status["expected"] == digest_of(model)
    assert status["bytes"] == 2 + 7000 + 7
    assert status["files"] == artifact.read(model).files
    assert status["filesTotal"] == 3


def test_a_mismatch_names_the_files_by_the_manifest_beside_them(model: pathlib.Path, verify: Verify) -> None:
    pinned = digest_of(model)
    (model / "SHA256SUMS").write_bytes(artifact.manifest(artifact.read(model).files))
    (model / "tokenizer.json").write_bytes(b"other")
    (model / "1_Pooling" / "config.json").unlink()
    (model / "new.bin").write_bytes(b"")
    code, status = verify(model, pinned)
    assert (code, status["outcome"]) == (artifact.MISMATCH, "Mismatch")
    assert str(status["message"]).endswith(
        "changed: tokenizer.json; missing: 1_Pooling/config.json; added: new.bin"
    )


def test_a_manifest_that_is_not_the_pinned_one_is_called_so(model: pathlib.Path, verify: Verify) -> None:
    pinned = digest_of(model)
    (model / "tokenizer.json").write_bytes(b"other")
    (model / "SHA256SUMS").write_bytes(artifact.manifest(artifact.read(model).files))
    _, status = verify(model, pinned)
    assert "nor has its SHA256SUMS" in str(status["message"])
    assert "every file is as SHA256SUMS says" in str(status["message"])


@pytest.mark.parametrize("content", [b"", b"not a manifest", b"\xff\x00\n", b"0" * 64])
def test_a_manifest_that_is_none_is_no_help_and_no_harm(
    model: pathlib.Path, verify: Verify, content: bytes
) -> None:
    (model / "SHA256SUMS").write_bytes(content)
    code, status = verify(model, "sha256:" + "0" * 64)
    assert code == artifact.MISMATCH
    assert "a file SHA256SUMS beside the model would name" in str(status["message"])


def test_a_contract_file_that_is_missing_is_a_mismatch(model: pathlib.Path, verify: Verify) -> None:
    code, status = verify(model, digest_of(model), "--files", "tokenizer.json,vocab.txt")
    assert (code, status["outcome"]) == (artifact.MISMATCH, "Mismatch")
    assert "vocab.txt" in str(status["message"])


def test_storage_that_is_not_there_is_not_the_models_fault(tmp_path: pathlib.Path, verify: Verify) -> None:
    code, status = verify(tmp_path / "no", "sha256:" + "0" * 64)
    assert (code, status["outcome"]) == (artifact.UNREADABLE, "Unreadable")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["verify"],
        ["verify", "--path", "."],
        ["verify", "--path", ".", "--digest", "sha256:xyz"],
        ["sign"],
    ],
)
def test_a_command_that_makes_no_sense_is_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        artifact.main(arguments)
    assert ended.value.code == artifact.USAGE


@hypothesis.given(
    names=st.lists(
        st.text(st.characters(exclude_characters="/\0\n", codec="utf-8"), min_size=1, max_size=60),
        max_size=80,
        unique=True,
    ),
    message=st.text(max_size=4000),
    first=st.integers(0, 10),
)
def test_the_status_is_small_json_that_keeps_what_was_named(
    names: list[str], message: str, first: int
) -> None:
    files = {name: sha256(name.encode()) for name in names}
    found = artifact.Found(
        files=files,
        sizes={name: place for place, name in enumerate(names)},
        digest="sha256:" + "0" * 64,
        seconds=1.5,
    )
    text = artifact.report(
        found, outcome="Mismatch", expected="sha256:" + "1" * 64, message=message, first=names[-first:]
    )
    assert len(text.encode()) <= artifact.LOG_LIMIT_BYTES
    kept = json.loads(text)["files"]
    assert kept.items() <= files.items()
    if len(kept) < len(names):
        assert len(text) > artifact.LOG_LIMIT_BYTES - 512
        assert all(name in kept for name in names[-3:]) or first < 3


def test_weights_of_any_size_are_read_in_bounded_memory(tmp_path: pathlib.Path) -> None:
    """A sparse file of 576 MiB under an address space that could not hold it."""
    weights = tmp_path / "model.safetensors"
    with weights.open("wb") as stream:
        stream.truncate(576 << 20)
    limit = 512 << 20
    ended = subprocess.run(
        [sys.executable, "-m", "canary_checks", "artifact", "digest", str(weights)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert ended.stdout == "sha256:07081ab506eb0f2e10d0fdf35c376d456d74eaf2840ea3ea391f2cfe3295799c\n"


def test_the_command_imports_nothing_but_the_standard_library() -> None:
    program = (
        "import sys; sys.argv = ['x', 'artifact', 'digest', 'LICENSE']\n"
        "import runpy\n"
        "try: runpy.run_module('canary_checks', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "ours = {m for m in sys.modules if m.partition('.')[0] == 'canary_checks'}\n"
        "assert ours <= {'canary_checks', 'canary_checks.artifact', 'canary_checks.entry'}, ours\n"
        "others = {m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)\n"
        "assert not others & {'numpy', 'pydantic', 'httpx', 'typer', 'rich'}, others\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
