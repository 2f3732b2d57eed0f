"""Golden sets in folders: what is read, and that everything else is refused with one sentence."""

import contextlib
import json
import os
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary_checks import failure, inputs, request, result
from canary_checks import vocabulary as v
from canary_checks.golden import files, folder, pack, selection, store
from tests.unit.canary_checks import golden_sets as sets


def refused(path: pathlib.Path) -> failure.CheckError:
    with pytest.raises(failure.CheckError) as caught:
        folder.read(path)
    assert caught.value.reason in {"GoldenSetUnreadable", "GoldenSetMismatch"}
    assert len(caught.value.message) <= 512
    assert "\n" not in caught.value.message
    return caught.value


def test_a_folder_is_read_and_named_by_the_digest_of_its_pack(tmp_path):
    path = sets.written(tmp_path / "set")
    found = folder.read(path)
    assert (found.name, found.version, found.license) == ("T", "1", "CC0-1.0")
    assert found.digest == result.digest((path / "pack.json").read_bytes())
    assert [item.text for item in found.items] == ["a cat", "A Cat"]
    assert found.by_id["p-002"].twin == pack.Twin("p-001", pack.Difference.CASE)
    assert found.by_id["p-001"].twin is None


def test_any_change_is_another_digest(tmp_path):
    one = folder.read(sets.written(tmp_path / "one"))
    other = folder.read(sets.written(tmp_path / "other", (sets.text(1, "a cow"), *sets.TEXTS[1:]), ()))
    assert one.digest != other.digest


@pytest.mark.parametrize("flat", [False, True])
def test_blobs_lie_in_a_folder_or_flat_as_in_a_config_map(tmp_path, flat):
    content = sets.png()
    path = sets.written(tmp_path / "set", (sets.image(1, content),), (), (content,), flat=flat)
    chosen = selection.select(folder.read(path), v.Modality.IMAGE)
    assert chosen.input(chosen.items[0]) == inputs.Image(content, "image/png")


def test_kubernetes_links_inside_the_folder_are_followed(tmp_path):
    mount = tmp_path / "mount"
    content = sets.png()
    mount.mkdir()
    sets.written(mount / "..2026_11_21", (sets.image(1, content),), (), (content,), flat=True)
    (mount / "..data").symlink_to("..2026_11_21")
    for file in (mount / "..2026_11_21").iterdir():
        (mount / file.name).symlink_to(pathlib.Path("..data") / file.name)
    found = folder.read(mount)
    assert found.content(found.items[0]) == content


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    path = sets.written(tmp_path / "set")
    (path / "items.jsonl").rename(tmp_path / "elsewhere.jsonl")
    (path / "items.jsonl").symlink_to("../elsewhere.jsonl")
    assert "leaves the folder" in refused(path).message


def test_a_linked_folder_of_blobs_that_leads_outside_is_refused(tmp_path):
    content = sets.png()
    path = sets.written(tmp_path / "set", (sets.image(1, content),), (), (content,))
    (path / "blobs/sha256").rename(tmp_path / "elsewhere")
    (path / "blobs/sha256").symlink_to("../../elsewhere")
    assert "leaves the folder" in refused(path).message


def test_links_in_a_circle_are_refused(tmp_path):
    path = sets.written(tmp_path / "set")
    (path / "items.jsonl").unlink()
    (path / "items.jsonl").symlink_to("items.jsonl")
    assert refused(path).reason == "GoldenSetUnreadable"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    path = sets.written(tmp_path / "set")
    (path / "items.jsonl").unlink()
    os.mkfifo(path / "items.jsonl")
    assert "not a regular file" in refused(path).message


def test_an_absent_folder_is_said(tmp_path):
    assert "No such file" in refused(tmp_path / "none").message


def test_a_file_with_another_digest_is_a_mismatch(tmp_path):
    path = sets.written(tmp_path / "set")
    content = (path / "items.jsonl").read_bytes()
    (path / "items.jsonl").write_bytes(content.replace(b"a cat", b"a cow"))
    assert refused(path).reason == "GoldenSetMismatch"


def test_a_file_that_is_larger_than_stated_is_not_read(tmp_path):
    path = sets.written(tmp_path / "set")
    with (path / "items.jsonl").open("ab") as file:
        file.truncate(200 << 20)
    assert "more than" in refused(path).message


def test_a_blob_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    content = sets.png()
    path = sets.written(tmp_path / "set", (sets.image(1, content),), (), (content,))
    blob = next((path / "blobs/sha256").iterdir())
    with blob.open("ab") as file:
        file.truncate(files.BLOB_LIMIT_BYTES + 1)
    assert "more than" in refused(path).message


def test_a_missing_and_an_unnamed_blob_are_refused(tmp_path):
    one, other = sets.png(1), sets.png(2)
    missing = sets.written(tmp_path / "missing", (sets.image(1, one),), ())
    assert "is missing" in refused(missing).message
    unnamed = sets.written(tmp_path / "unnamed", (sets.image(1, one),), (), (one, other))
    assert "no item names this blob" in refused(unnamed).message
    strange = sets.written(tmp_path / "strange", (sets.image(1, one),), (), (one,))
    (strange / "blobs/sha256/readme").write_text("hello")
    assert "not the name of a blob" in refused(strange).message


def test_a_blob_with_other_bytes_is_found_when_it_is_read(tmp_path):
    content = sets.png()
    path = sets.written(tmp_path / "set", (sets.image(1, content),), (), (content,))
    found = folder.read(path)
    next((path / "blobs/sha256").iterdir()).write_bytes(sets.png(3))
    with pytest.raises(failure.CheckError) as caught:
        found.content(found.items[0])
    assert caught.value.reason == "GoldenSetMismatch"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no image", "no image/png image"),
        (sets.encoded(sets.pixels(), "JPEG"), "no image/png image"),
        (sets.encoded(sets.pixels(), "GIF"), "no image/png image"),
    ],
)
def test_a_blob_that_is_not_the_image_it_is_said_to_be_is_refused(tmp_path, content, why):
    path = sets.written(tmp_path / "set", (sets.image(1, content),), (), (content,))
    found = folder.read(path)
    with pytest.raises(failure.CheckError, match=why):
        found.content(found.items[0])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"surprise": 1}, "unknown key surprise"),
        ({"name": "../etc"}, "name"),
        ({"version": ""}, "version"),
        ({"schema": "golden.modelrelease.dev/v2"}, "schema"),
        ({"items": 3}, "its counts"),
        ({"strata": {"plain": 2}}, "its counts"),
        ({"modalities": ["Image"]}, "its modalities"),
        ({"files": {"../items.jsonl": {"digest": "sha256:" + "0" * 64, "sizeBytes": 1}}}, "files"),
        ({"files": {}}, "files"),
        ({"sensitivity": "Secret"}, "sensitivity"),
    ],
)
def test_a_pack_that_says_something_else_is_refused(tmp_path, change, why):
    path = sets.written(tmp_path / "set")
    said = json.loads((path / "pack.json").read_bytes()) | change
    (path / "pack.json").write_bytes(files.canonical(said))
    assert why in refused(path).message


@pytest.mark.parametrize(
    "content", [b"", b"[]\n", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}\n', b"null\n"]
)
def test_a_pack_that_is_no_json_object_is_refused(tmp_path, content):
    path = sets.written(tmp_path / "set")
    (path / "pack.json").write_bytes(content)
    assert refused(path).reason == "GoldenSetUnreadable"


def test_a_pack_that_is_not_canonical_would_have_two_digests(tmp_path):
    path = sets.written(tmp_path / "set")
    said = json.loads((path / "pack.json").read_bytes())
    (path / "pack.json").write_text(json.dumps(said, indent=1))
    assert "not canonical" in refused(path).message


def with_items(path: pathlib.Path, content: bytes, **change: object) -> pathlib.Path:
    """Put other bytes into items.jsonl, with the digest that they have."""
    said = json.loads((path / "pack.json").read_bytes())
    said["files"]["items.jsonl"] = {"digest": result.digest(content), "sizeBytes": len(content)}
    (path / "items.jsonl").write_bytes(content)
    (path / "pack.json").write_bytes(files.canonical(said | change))
    return path


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"id":"p-001","modality":"Text","stratum":"plain","text":"a","twin":1}', "unknown key twin"),
        ('{"id":"p-001","modality":"Text","stratum":"plain","text":""}', "text"),
        ('{"id":"p-001","modality":"Text","stratum":"plain"}', "a Text has"),
        ('{"id":"p-001","modality":"Image","stratum":"plain","text":"a"}', "an Image has"),
        ('{"id":"../x","modality":"Text","stratum":"plain","text":"a"}', "id"),
        ('{"id":"p-001","modality":"Text","stratum":"PLAIN","text":"a"}', "stratum"),
        ('{"id":"p-001","modality":"Audio","stratum":"plain","text":"a"}', "modality"),
        ('{"id":"p-001","modality":"Text","stratum":"plain","text":"\\ud800"}', "line 1"),
        (
            '{"id":"i-001","modality":"Image","stratum":"a","blob":"sha256:../../etc","mediaType":"image/png"}',
            "blob",
        ),
        (
            '{"id":"i-001","modality":"Image","stratum":"a","blob":"sha256:'
            + "0" * 64
            + '","mediaType":"image/svg+xml"}',
            "mediaType",
        ),
        ('{"id":"p-001","modality":"Text","stratum":"plain","text":"a","request":{}}', "unknown key request"),
        ("not json", "it is not JSON"),
    ],
)
def test_a_line_that_does_not_follow_the_format_is_refused(tmp_path, line, why):
    path = with_items(sets.written(tmp_path / "set", relations=()), line.encode() + b"\n")
    assert why in refused(path).message
    assert "items.jsonl line 1" in refused(path).message


PLAIN = b'{"id":"p-001","modality":"Text","stratum":"plain","text":"a"}\n'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (PLAIN * 2, "share the id p-001"),
        (PLAIN.replace(b"p-001", b"p-002") + PLAIN, "sorted by id"),
        (PLAIN.strip(), "no line feed"),
        (PLAIN.replace(b'"a"', b'"' + b"a" * files.LINE_LIMIT_BYTES + b'"'), "longer than 1 MiB"),
        (b"\n" * 10_001, "more than 10000"),
    ],
)
def test_items_that_cannot_be_told_apart_or_bounded_are_refused(tmp_path, content, why):
    assert why in refused(with_items(sets.written(tmp_path / "set", relations=()), content)).message


def relation(item: str, of: str, differs: str = "Case") -> files.RelationLine:
    return files.RelationLine(item=item, of=of, differs=files.Difference(differs))


@pytest.mark.parametrize(
    ("relations", "why"),
    [
        ((relation("p-002", "p-009"),), "p-009 is not in the set"),
        ((relation("p-009", "p-001"),), "p-009 is not in the set"),
        ((relation("p-002", "p-001", "Accents"),), "do not differ in Accents alone"),
        ((relation("p-002", "p-001", "Flip"),), "do not differ in Flip alone"),
        ((relation("p-002", "p-002"),), "do not differ"),
        ((sets.CASE, sets.CASE), "two relations join"),
    ],
)
def test_a_relation_that_is_not_true_is_refused(tmp_path, relations, why):
    assert why in refused(sets.written(tmp_path / "set", relations=relations)).message


def test_relations_of_images_are_proven_by_decoding(tmp_path):
    image = sets.pixels(1, (9, 9))
    mirrored = sets.encoded(image.transpose(0))
    here = sets.encoded(image)
    items = (sets.image(1, here), sets.image(2, mirrored))
    true = sets.written(tmp_path / "true", items, (relation("i-002", "i-001", "Flip"),), (here, mirrored))
    assert folder.read(true).by_id["i-002"].twin == pack.Twin("i-001", pack.Difference.FLIP)
    for lie in ("Transposed", "Channels", "Case", "Exif", "AlphaOnWhite", "Squashed", "ResizedBicubic"):
        path = sets.written(tmp_path / lie, items, (relation("i-002", "i-001", lie),), (here, mirrored))
        assert f"do not differ in {lie} alone" in refused(path).message


def test_a_damaged_twin_is_said(tmp_path):
    whole = sets.encoded(sets.pixels(1, (64, 64)))
    half = whole[: len(whole) // 2]
    items = (sets.image(1, whole), sets.image(2, half))
    path = sets.written(tmp_path / "set", items, (relation("i-002", "i-001", "Flip"),), (whole, half))
    assert "damaged" in refused(path).message


def test_twins_are_of_one_modality(tmp_path):
    content = sets.png()
    items = (sets.image(1, content), sets.text(1, "a"))
    path = sets.written(tmp_path / "set", items, (relation("p-001", "i-001"),), (content,))
    assert "two modalities" in refused(path).message


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"pair": "p-001"}, "no item of the other modality"),
        ({"pair": "i-001"}, "no item of the other modality"),
        ({"expect": files.Expect(relevant=("p-009",))}, "no other item of the set"),
        ({"expect": files.Expect(relevant=("p-002",))}, "no other item of the set"),
    ],
)
def test_pairs_and_expectations_point_to_items_of_the_set(tmp_path, more, why):
    items = (sets.text(1, "a"), sets.text(2, "b", **more))
    assert why in refused(sets.written(tmp_path / "set", items, ())).message


def test_pairs_and_expectations_are_read(tmp_path):
    content = sets.png()
    items = (
        sets.image(1, content, pair="p-001"),
        sets.text(1, "a", pair="i-001"),
        sets.text(2, "b", expect=files.Expect(relevant=("p-001",))),
    )
    found = folder.read(sets.written(tmp_path / "set", items, (), (content,)))
    assert found.by_id["i-001"].pair == "p-001"
    assert found.by_id["p-002"].relevant == ("p-001",)
    for shard in range(3):
        part = [selection.select(found, m, shard=shard, shards=3).ids for m in v.Modality]
        assert ("p-001" in part[0]) == ("i-001" in part[1])


def test_other_files_beside_the_set_are_nobodys_business(tmp_path):
    path = sets.written(tmp_path / "set")
    (path / "README.md").write_text("hello")
    (path / "lost+found").mkdir()
    assert len(folder.read(path).items) == 2


@given(st.binary(max_size=300))
def test_rubbish_is_refused_and_never_a_crash(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("rubbish") / "set"
    sets.written(path, relations=())
    refused(with_items(path, content))


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_pack_is_refused_or_another_one(tmp_path_factory, place, byte):
    path = sets.written(tmp_path_factory.mktemp("damaged") / "set")
    whole = (path / "pack.json").read_bytes()
    before = folder.read(path).digest
    changed = bytearray(whole)
    changed[place % len(whole)] = byte
    (path / "pack.json").write_bytes(bytes(changed))
    found = None
    with contextlib.suppress(failure.CheckError):
        found = folder.read(path)
    assert found is None or (found.digest == before) == (bytes(changed) == whole)


def test_the_set_of_a_request_must_have_its_digest(tmp_path):
    path = sets.written(tmp_path / "set")
    digest = folder.read(path).digest
    assert store.load(request.GoldenSet(path=str(path), digest=digest)).digest == digest
    assert store.load(request.GoldenSet(builtin="TextV1")).name == "TextV1"
    for asked in (
        request.GoldenSet(path=str(path), digest="sha256:" + "0" * 64),
        request.GoldenSet(builtin="TextV1", digest=digest),
    ):
        with pytest.raises(failure.CheckError, match="has the digest") as caught:
            store.load(asked)
        assert caught.value.reason == "GoldenSetMismatch"
