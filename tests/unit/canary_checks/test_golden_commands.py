"""The golden commands, from arguments to exit code, against a real server on loopback."""

import base64
import contextlib
import io
import json
import pathlib
import sys

import pytest
import typer
from typer.testing import CliRunner

from canary_checks import result, schema
from canary_checks import vocabulary as v
from canary_checks.cli import exits, golden
from canary_checks.golden import author, folder, pack, sensitivity
from canary_checks.parity import reference, shipped
from canary_checks.report import reading
from tests.unit.canary_checks import golden_sets as sets
from tests.unit.canary_checks import toy_server


def run(*arguments: object) -> int:
    try:
        code = golden.app([str(one) for one in arguments], standalone_mode=False)
    except typer.Exit as left:
        return left.exit_code
    return int(code or 0)


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own"
    assert run("init", path) == exits.PASS
    return path


def digest(path: pathlib.Path) -> str:
    return folder.read(path).digest


def test_a_set_begins_as_a_copy_under_its_own_name(tmp_path, capsys):
    own = tmp_path / "own"
    assert run("init", own) == exits.PASS
    built_in = pack.builtin("TextV1")
    found = folder.read(own)
    assert (found.name, found.version) == ("own", "1")
    assert (found.items, found.relations) == (built_in.items, built_in.relations)
    assert found.digest != built_in.digest
    assert found.digest in capsys.readouterr().out
    assert run("init", own) == exits.ERROR
    assert "is not empty" in capsys.readouterr().err


def test_images_are_copied_with_their_bytes(tmp_path):
    assert run("init", tmp_path / "pictures", "--from", "builtin:ImageV1") == exits.PASS
    found, built_in = folder.read(tmp_path / "pictures"), pack.builtin("ImageV1")
    assert found.items == built_in.items
    image = next(item for item in found.items if item.modality is v.Modality.IMAGE)
    assert found.content(image) == built_in.content(image)


def test_texts_are_added_as_they_are_and_make_another_version(own, tmp_path, capsys):
    (tmp_path / "texts").write_text("one more\n two \n\nthree", "utf-8")
    assert run("add", own, "--stratum", "mine", "--text-file", tmp_path / "texts", "--must-include") == 0
    found = folder.read(own)
    assert found.version == "2"
    added = [item for item in found.items if item.stratum == "mine"]
    assert [item.text for item in added] == ["one more", " two ", "three"]
    assert all(item.must_include for item in added)
    assert run("add", own, "--stratum", "mine", "--text-file", tmp_path / "texts") == exits.ERROR
    assert "a text of the set is the same" in capsys.readouterr().err
    assert folder.read(own).digest == found.digest


def test_images_are_added_with_their_captions(own, tmp_path, capsys):
    for n in range(2):
        (tmp_path / f"{n}.png").write_bytes(sets.png(n))
    (tmp_path / "captions.csv").write_text('0.png,"grey, and noisy"\n', "utf-8")
    files = [tmp_path / "0.png", tmp_path / "1.png"]
    captions = ("--captions", tmp_path / "captions.csv")
    assert run("add", own, *files, "--stratum", "noise", *captions, "--json") == exits.PASS
    assert json.loads(capsys.readouterr().out.splitlines()[-1] and "{}") == {}
    found = folder.read(own)
    pictures = [item for item in found.items if item.modality is v.Modality.IMAGE]
    assert [found.content(item) for item in pictures] == [sets.png(0), sets.png(1)]
    assert found.by_id[pictures[0].pair or ""].text == "grey, and noisy"
    assert pictures[1].pair is None
    assert run("add", own, files[0], "--stratum", "noise") == exits.ERROR
    assert "an image of the set is the same" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--stratum", "a"], exits.USAGE, "nothing to add"),
        (["no.gif", "--stratum", "a"], exits.ERROR, "ends in none of"),
        (["none.png", "--stratum", "a"], exits.ERROR, "No such file"),
        (["bad.png", "--stratum", "a"], exits.ERROR, "no image/png image"),
        (["good.png", "--stratum", "Not a stratum"], exits.USAGE, "stratum"),
        (["good.png", "--stratum", "a", "--captions", "other.csv"], exits.USAGE, "none of the files"),
        (["good.png", "--stratum", "a", "--captions", "bad.csv"], exits.ERROR, "file,caption"),
        (["--stratum", "a", "--text-file", "bad.png"], exits.USAGE, "not UTF-8"),
        (["good.png", "--stratum", "a", "--set-version", "../3"], exits.USAGE, "version"),
    ],
)
def test_what_cannot_be_added_is_said_and_changes_nothing(own, capsys, arguments, code, why):
    tmp_path = own.parent
    (tmp_path / "good.png").write_bytes(sets.png())
    (tmp_path / "bad.png").write_bytes(b"\xff\xfe no image")
    (tmp_path / "other.csv").write_text("other.png,a\n")
    (tmp_path / "bad.csv").write_text("good.png\n")
    before = digest(own)
    with contextlib.chdir(tmp_path):
        assert run("add", own, *arguments) == code
    assert why in capsys.readouterr().err
    assert digest(own) == before
    assert not list(tmp_path.glob(".own*"))


def test_a_set_is_shown(capsys):
    assert run("show", "builtin:TextV1") == exits.PASS
    said = capsys.readouterr().out
    assert pack.builtin("TextV1").digest in said
    assert "Length, OneWord" in said
    assert run("show", "builtin:ImageV1", "--items", "--json") == exits.PASS
    told = json.loads(capsys.readouterr().out)
    assert told["items"] == len(told["content"]) == len(pack.builtin("ImageV1").items)
    assert {"mustInclude", "mediaType"} <= told["content"][0].keys()
    assert run("show", "builtin:TextV9") == exits.USAGE
    assert run("show", "nowhere") == exits.USAGE


def problems(path: object, capsys: pytest.CaptureFixture[str]) -> dict[str, list[str]]:
    run("lint", path, "--json")
    found: dict[str, list[str]] = {}
    for one in json.loads(capsys.readouterr().out)["problems"]:
        found.setdefault(one["reason"], []).append(one["message"])
    return found


def test_the_built_in_sets_have_no_warnings(capsys):
    for name in ("TextV1", "ImageV1"):
        assert run("lint", f"builtin:{name}") == exits.PASS
        said = capsys.readouterr().out
        assert "warning" not in said
        assert "error" not in said
        assert "ConfigMap by client-side apply" in said


def test_lint_finds_what_is_private_without_repeating_it(tmp_path, capsys):
    private = {
        "an e-mail address": "write to ada.lovelace@mail.example.org",
        "a payment card number": "4111 1111 1111 1111",
        "an IBAN": "DE89 3704 0044 0532 0130 00",
        "a telephone number": "+49 30 1234567",
        "a social security number": "078-05-1120",
        "an IP address": "host 192.168.7.12",
    }
    public = ("3.14159 is not 3.14", "version 2.0.11 of 2026", "order 1234 5678 9012 3456", "call 555 0142")
    items = tuple(sets.text(n, one) for n, one in enumerate((*private.values(), *public), 1))
    found = problems(sets.written(tmp_path / "set", items, ()), capsys)
    assert len(found["PersonalData"]) == len(private)
    for what, said in zip(private, found["PersonalData"], strict=True):
        assert what in said
        assert private[what] not in said


def test_lint_finds_where_a_picture_was_taken(tmp_path, capsys):
    picture = sets.pixels()
    exif = picture.getexif()
    exif[0x8825] = {1: "N"}
    content = sets.encoded(picture, exif=exif)
    path = sets.written(tmp_path / "set", (sets.image(1, content),), (), (content,))
    assert problems(path, capsys)["PersonalData"] == ["item i-001 says where it was taken (EXIF GPS)"]


def test_lint_finds_what_is_weak(tmp_path, capsys):
    content = sets.png(1, (700, 700))
    items = (sets.text(1, "a"), sets.text(2, "a"), sets.text(3, "b", stratum="x"), sets.image(1, content))
    path = sets.written(tmp_path / "set", items, (), (content,))
    (path / "notes.txt").write_text("hello")
    found = problems(path, capsys)
    assert found["Duplicate"] == ["items p-001 and p-002 have the same content"]
    assert all("faults of few rows" in said for said in found["TooFewItems"])
    assert any(said.startswith("x has 1 items") for said in found["ThinStratum"])
    assert any("Case, Accents, Length" in said for said in found["MissingTwins"])
    assert "notes.txt" in found["OtherFiles"][0]
    assert len(found["TooLargeForConfigMap"]) == 2
    assert "NoReference" in found


def test_lint_says_that_a_set_cannot_be_read(tmp_path, capsys):
    path = sets.written(tmp_path / "set")
    (path / "items.jsonl").write_text("{}\n")
    assert run("lint", path) == exits.FAIL
    assert "GoldenSetMismatch" in capsys.readouterr().out
    content = sets.encoded(sets.pixels(1, (64, 64)))[:300]
    damaged = sets.written(tmp_path / "damaged", (sets.image(1, content),), (), (content,))
    assert run("lint", damaged) == exits.FAIL
    assert "damaged" in capsys.readouterr().out


def test_sensitivity_shows_which_gates_fire(capsys):
    with toy_server.serving() as toy:
        assert (
            run("lint", "builtin:TextV1", "--sensitivity", "--url", toy.url, "--model", "toy", "--json") == 0
        )
    found = {one["fault"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["vectors not normalised"]["fired"] == ["NormDeviationWorst"]
    assert "CosineDistanceWorst" in found["axes reversed"]["fired"]
    assert found["one row of a hundred spoiled"]["moved"] == 1
    assert found["nothing (asked again)"]["fired"] == []
    # The toy is uncased: a server that lowercases too much cannot be told from it.
    assert (found["lowercased"]["touched"] > 15, found["lowercased"]["moved"]) == (True, 0)
    assert found["prefixed with `query: `"]["moved"] == found["prefixed with `query: `"]["touched"]
    assert found["cut after 30 words"]["moved"] >= 10
    assert all(one["asWanted"] for one in found.values() if one["ofVectors"])


def test_sensitivity_of_images(tmp_path, capsys):
    source = pack.builtin("ImageV1")
    few = [source.by_id[name] for name in ("n-001", "g-001", "e-002", "a-001", "i-001", "w-001", "c-001")]
    contents = tuple(source.content(item) for item in few)
    items = tuple(
        sets.image(n, content, media_type=item.media_type)
        for n, (item, content) in enumerate(zip(few, contents, strict=True))
    )
    path = sets.written(tmp_path / "set", items, (), contents)
    asked = ["--operation", "name=image,protocol=OpenAIEmbeddings,modality=Image,model=toy"]
    with toy_server.serving() as toy:
        assert run("lint", path, "--sensitivity", "--url", toy.url, *asked, "--json") == exits.PASS
    found = {one["fault"]: one for one in json.loads(capsys.readouterr().out)}
    touched = {
        "red and blue exchanged": 6,
        "colours lost": 6,
        "transparency dropped": 1,
        "orientation ignored": 1,
        "colour profile ignored": 1,
    }
    assert {name: found[name]["touched"] for name in touched} == touched
    assert all(one["moved"] == one["touched"] for one in found.values() if not one["ofVectors"])


def test_sensitivity_needs_a_server(capsys):
    assert run("lint", "builtin:TextV1", "--sensitivity") == exits.USAGE
    assert run("lint", "builtin:TextV1", "--url", "http://127.0.0.1:1") == exits.USAGE
    assert "belong together" in capsys.readouterr().err


def recorded(
    toy: toy_server.ToyServer, out: pathlib.Path, *options: object, name: str = "toy-24"
) -> pathlib.Path:
    arguments = ["--url", toy.url, "--model", "toy", "--out", out, "--space", name, *options]
    assert run("record", "builtin:TextV1", *arguments) == exits.PASS
    return next(out.glob(f"{name}-*"))


def test_a_recording_tells_where_it_comes_from(tmp_path, capsys):
    options = ["--numeric-class", "bf16", "--accelerator", "NVIDIA L4", "--recorded-by", "ci"]
    with toy_server.serving() as toy:
        target = recorded(toy, tmp_path / "references", *options)
    assert target.name == "toy-24-bf16-nvidia-l4"
    assert str(target) in capsys.readouterr().out
    found = reference.load(str(target / "outputs.safetensors"), None)
    assert (found.header.embedding_space, found.header.recorded_by) == ("toy-24", "ci")
    made = found.recordings["embeddings"]
    assert made.self_repeat == reference.Repeat(cosine_distance_worst=0, norm_deviation_worst=0)
    assert made.batch_invariance is not None
    assert made.batch_invariance.batches == (1, 8, 32)
    assert made.tokens is not None
    assert len(made.tokens) == len(made.items)
    assert shipped.find(tmp_path, "toy-24", v.NumericClass.FP32) is not None


def test_a_server_that_is_not_repeatable_is_not_recorded(tmp_path, capsys):
    with toy_server.serving(model=toy_server.ToyModel(wobble=0.1)) as toy:
        options = ["--url", toy.url, "--model", "toy", "--space", "s", "--out", tmp_path / "out"]
        assert run("record", "builtin:TextV1", *options) == exits.ERROR
    assert "ReferenceNotRepeatable" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_recording_needs_a_name(capsys):
    assert run("record", "builtin:TextV1", "--url", "http://127.0.0.1:1") == exits.USAGE
    assert "--space" in capsys.readouterr().err


def result_of(text: str) -> schema.CheckResult:
    (found,) = reading.results(text.encode(), "test")
    return found


def test_two_recordings_are_judged_as_servers_are(tmp_path, capsys):
    with toy_server.serving() as toy:
        one = recorded(toy, tmp_path / "one")
        same = recorded(toy, tmp_path / "same")
        toy.model = toy_server.ToyModel(lower=False)
        other = recorded(toy, tmp_path / "other")
    capsys.readouterr()
    assert run("diff", one, same) == exits.PASS
    assert "PASS" in capsys.readouterr().out
    assert run("diff", other, one, "--output", "json") == exits.FAIL
    found = result_of(capsys.readouterr().out)
    assert found.verdict is v.Verdict.FAIL
    assert found.diagnosis is not None
    assert found.diagnosis.cause == "Casing"
    # A recording is no server: nobody may say that it is repeatable.
    assert "asked again" not in json.dumps(json.loads(result.dump(found)))


def test_items_that_both_sides_refused_are_left_out_of_a_diff(tmp_path, capsys):
    def refuse(texts: list[str], whole: dict[str, object]) -> object:
        return (400, b"too long") if any(len(text.split()) > 200 for text in texts) else whole

    with toy_server.serving(alter=refuse) as toy:
        one, same = recorded(toy, tmp_path / "one"), recorded(toy, tmp_path / "same")
        toy.alter = None
        whole = recorded(toy, tmp_path / "whole")
    capsys.readouterr()
    assert run("diff", one, same) == exits.PASS
    assert run("diff", whole, one, "--output", "json") == exits.FAIL
    said = capsys.readouterr().out
    assert "RefusedByOneSide" in said


def test_a_diff_of_two_versions_says_what_it_compares(own, tmp_path, capsys):
    with toy_server.serving() as toy:
        options = ["--url", toy.url, "--model", "toy", "--space", "s"]
        assert run("record", own, *options, "--out", tmp_path / "one") == exits.PASS
        (tmp_path / "texts").write_text("one more\n")
        assert run("add", own, "--stratum", "mine", "--text-file", tmp_path / "texts") == exits.PASS
        assert run("record", own, *options, "--out", tmp_path / "two") == exits.PASS
    one, two = (next((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert run("diff", two, one, "--golden-set", own) == exits.ERROR
    assert "record it again" in capsys.readouterr().err
    assert run("diff", two, one, "--golden-set", own, "--common-items", "--output", "json") == exits.PASS
    assert "144 of 145 items are the same" in result_of(capsys.readouterr().out).message


def test_an_anchor_leaves_its_config_map_and_enters_a_golden_set(own, tmp_path, capsys, monkeypatch):
    with toy_server.serving() as toy:
        options = ["--url", toy.url, "--model", "toy", "--space", "s", "--out", tmp_path / "out"]
        assert run("record", own, *options) == exits.PASS
    content = next((tmp_path / "out").rglob("*.safetensors")).read_bytes()
    short = result.digest(content).removeprefix("sha256:")[:10]
    held = {"outputs.safetensors": base64.b64encode(content).decode()}
    config_map = {"metadata": {"name": f"embedder-r1-outputs-{short}"}, "binaryData": held}
    given = io.TextIOWrapper(io.BytesIO(json.dumps(config_map).encode()))
    monkeypatch.setattr(sys, "stdin", given)
    anchor = tmp_path / "anchor.safetensors"
    assert run("export-anchor", "-", "--out", anchor) == exits.PASS
    assert anchor.read_bytes() == content
    before = digest(own)
    assert run("import-anchor", anchor, "--into", own, "--digest", result.digest(content)) == exits.PASS
    assert digest(own) == before  # references are no part of a set
    assert shipped.find(own, "s", v.NumericClass.FP32) is not None
    assert run("import-anchor", anchor, "--into", own, "--digest", "sha256:" + "0" * 64) == exits.ERROR
    other = author.begin(tmp_path / "other", pack.builtin("ImageV1"))
    assert run("import-anchor", anchor, "--into", tmp_path / other.name) == exits.ERROR
    assert "ReferenceMismatch" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"{" * 100_000,
        b'{"metadata":{"name":"x"},"binaryData":{"outputs.safetensors":"?"}}',
        b'{"metadata":{"name":"x"},"binaryData":{"outputs.safetensors":"AAAA"}}',
        b"rubbish",
    ],
)
def test_what_holds_no_reference_is_not_exported(tmp_path, capsys, content):
    (tmp_path / "given").write_bytes(content)
    assert run("export-anchor", tmp_path / "given", "--out", tmp_path / "out") == exits.ERROR
    assert "ReferenceUnreadable" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_name_of_a_config_map_says_its_digest(tmp_path, capsys):
    with toy_server.serving() as toy:
        content = next(recorded(toy, tmp_path / "out").iterdir()).read_bytes()
    held = {"outputs.safetensors": base64.b64encode(content).decode()}
    named = {"metadata": {"name": "embedder-r1-outputs-0123456789"}, "binaryData": held}
    (tmp_path / "given").write_text(json.dumps(named))
    assert run("export-anchor", tmp_path / "given", "--out", tmp_path / "out.safetensors") == exits.ERROR
    assert "another digest than its name says" in capsys.readouterr().err


def test_help_needs_no_numerics():
    assert CliRunner().invoke(golden.app, ["lint", "--help"]).exit_code == 0


def test_a_fault_is_as_wanted_when_it_is_caught_and_a_harmless_change_when_it_is_not():
    caught = sensitivity.Seen("e", "f", 1, 1, ("CosineDistanceWorst",))
    assert caught.as_wanted
    assert not sensitivity.Seen("e", "f", 1, 0, ()).as_wanted
    assert sensitivity.Seen("e", "f", 0, 0, (), harmless=True).as_wanted
