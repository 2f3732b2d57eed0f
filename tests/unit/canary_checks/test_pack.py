"""What TextV1 promises, what twins are, and how rows are chosen."""

import dataclasses
import itertools

import pytest

from canary_checks import inputs
from canary_checks import vocabulary as v
from canary_checks.golden import difference, folder, pack, selection

GOLDEN = pack.builtin("TextV1")
ALL = selection.select(GOLDEN, v.Modality.TEXT)
STRATA = {
    "plain", "cased", "accented-lower", "accented-cased", "long", "unicode", "compatibility", "encoding",
    "whitespace", "numbers", "punctuation", "code", "markup", "prompt-prefix", "special-token", "tiny",
    "repeated",
}  # fmt: skip


def test_the_content_of_text_v1_never_changes():
    # A new text is a new name, with which references must be recorded again.
    assert (GOLDEN.name, GOLDEN.version, GOLDEN.license) == ("TextV1", "1", "CC0-1.0")
    assert GOLDEN.digest == "sha256:c0bb35ed4e7ed848a3b9965805f08a20459186d220b57c48b8ec921f0e56a76b"


def test_text_v1_is_large_enough_and_in_strata():
    assert len(GOLDEN.items) >= 64
    assert {item.stratum for item in GOLDEN.items} == STRATA
    assert sum(item.must_include for item in GOLDEN.items) >= 20
    # Even a server that refuses every long item leaves enough to compare.
    assert sum(item.stratum != "long" for item in GOLDEN.items) >= 64
    assert len({item.text for item in GOLDEN.items}) == len(GOLDEN.items)


def test_text_v1_has_a_twin_for_every_property_of_texts():
    assert {relation.differs for relation in GOLDEN.relations} == set(itertools.takewhile(
        lambda one: one is not pack.Difference.EXIF, pack.Difference
    ))  # fmt: skip


def test_every_text_with_capitals_or_accents_has_its_folded_form_in_the_set():
    texts = {item.text for item in GOLDEN.items}
    changed = [item for item in GOLDEN.items if item.has_capitals or item.has_accents]
    assert len(changed) > 20
    assert all(pack.fold(item.text) in texts for item in changed)


def test_strata_isolate_what_they_are_named_for():
    for item in GOLDEN.items:
        accented = item.stratum.startswith("accented") or item.stratum in {"unicode", "encoding"}
        assert item.has_accents <= accented, item
        capitals = {"cased", "accented-cased", "code", "special-token", "encoding"}
        assert item.has_capitals <= (item.stratum in capitals), item
        if item.stratum in {"plain", "long"}:
            assert item.text.isascii()
            assert item.text.replace(" ", "").replace("'", "").isalnum()
    assert all(i.twin is not None and i.twin.differs == "Case" for i in GOLDEN.items if i.stratum == "cased")


def test_long_items_are_beginnings_of_one_text_around_the_usual_limits():
    words = [item.words for item in GOLDEN.items if item.stratum == "long"]
    # 16 … 512 tokens with two special ones, and one word more at each usual limit.
    assert set(words) >= {14, 30, 31, 62, 63, 126, 127, 254, 255, 510, 511, 700}
    assert sum(r.differs == "Length" for r in GOLDEN.relations) == 12
    assert sum(r.differs == "OneWord" for r in GOLDEN.relations) == 5
    assert max(item.words for item in GOLDEN.items if item.stratum != "long") <= 13


def test_the_files_are_ascii_so_that_no_editor_normalises_them():
    found = list((folder.PACKS / "TextV1").iterdir())
    assert {file.name for file in found} == {"pack.json", "items.jsonl", "relations.jsonl"}
    assert all(file.read_bytes().isascii() for file in found)


@pytest.mark.parametrize(
    ("text", "twin", "differs"),
    [
        ("A Cat", "a cat", "Case"),
        ("café", "cafe", "Accents"),
        ("Café", "cafe", "CaseAndAccents"),
        ("a cat sat", "a cat", "OneWord"),
        ("a cat sat down", "a cat", "Length"),
        ("cafe\u0301", "café", "Normalization"),
        ("ﬁne", "fine", "Compatibility"),
        ("a  cat", "a cat", "Whitespace"),
        ("a\u00a0cat", "a cat", "Whitespace"),
        ("机 器", "机器", "Spacing"),
        ("lap\u200btop", "laptop", "Invisible"),
        ("room 12", "room 13", "Number"),
        ("a cat.", "a cat", "Punctuation"),
        ("a &amp; b", "a & b", "Markup"),
        ("Ã© ", "é ", "Encoding"),
        ("caf?", "café", "Encoding"),
        ("query: a cat", "a cat", "Prompt"),
        ("a [SEP] cat", "a cat", "SpecialToken"),
        ("a cat</s>", "a cat", "SpecialToken"),
        ("a cat a cat", "a cat", "Repetition"),
    ],
)
def test_twins_differ_in_what_they_say_and_in_nothing_else(text, twin, differs):
    # A repeated text is also a longer one that begins alike; a lost accent is one way of losing it.
    also = {"Repetition": {"Length"}}.get(differs, set())
    fits = {d.value for d in pack.Difference if difference.of_texts(d, text, twin)}
    assert fits - also == {differs}


def test_a_text_is_no_twin_of_itself():
    assert not any(difference.of_texts(d, "a cat", "a cat") for d in pack.Difference)


def test_a_sample_takes_from_every_stratum_and_is_always_the_same():
    rows = ALL.sample(2, without=frozenset({"long"}))
    taken = [GOLDEN.items[row].stratum for row in rows]
    assert set(taken) == STRATA - {"long"}
    assert all(taken.count(stratum) == 2 for stratum in taken)
    assert rows == ALL.sample(2, without=frozenset({"long"})) == tuple(sorted(rows))


def test_a_sample_takes_what_must_be_included_first():
    first = {}
    for row in ALL.sample(1):
        first[ALL.items[row].stratum] = ALL.items[row].must_include
    must = {item.stratum for item in GOLDEN.items if item.must_include}
    assert all(first[stratum] for stratum in must)


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_shards_share_the_items_and_never_part_twins(shards):
    parts = [selection.select(GOLDEN, v.Modality.TEXT, shard=i, shards=shards) for i in range(shards)]
    ids = [name for part in parts for name in part.ids]
    assert sorted(ids) == list(ALL.ids)
    where = {name: i for i, part in enumerate(parts) for name in part.ids}
    assert all(where[relation.item] == where[relation.of] for relation in GOLDEN.relations)


def test_a_selection_gives_what_a_server_is_sent():
    item = ALL.items[0]
    assert ALL.input(item) == inputs.Text(item.text)
    assert ALL.rows[item.id] == 0
    assert selection.select(GOLDEN, v.Modality.IMAGE).items == ()
    assert dataclasses.replace(ALL, items=ALL.items[:3]).ids == ALL.ids[:3]
