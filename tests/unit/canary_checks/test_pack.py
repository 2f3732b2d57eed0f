import json
import pathlib

import pydantic
import pytest

from canary_checks import vocabulary as v
from canary_checks.golden import pack, selection

GOLDEN = pack.builtin("TextV1")
ALL = selection.select(GOLDEN, v.Modality.TEXT)
STRATA = {
    "plain", "cased", "accented-lower", "accented-cased", "long", "unicode", "whitespace", "numbers",
    "punctuation", "code", "prompt-prefix", "tiny", "repeated",
}  # fmt: skip


def test_the_content_of_text_v1_never_changes():
    # A new text is a new version, with which references must be recorded again.
    assert (GOLDEN.name, GOLDEN.version) == ("TextV1", "1")
    assert GOLDEN.digest == "sha256:a08b4662f2c24cfcca48d8dfe2a448fb480221a021e3ea0dbe7151595bb54a46"


def test_text_v1_is_large_enough_and_in_strata():
    assert len(GOLDEN.items) >= 64
    assert {item.stratum for item in GOLDEN.items} == STRATA
    # Even a server that refuses every long item leaves enough to compare.
    assert sum(item.stratum != "long" for item in GOLDEN.items) >= 64
    assert len({item.text for item in GOLDEN.items}) == len(GOLDEN.items)


def test_every_text_with_capitals_or_accents_has_its_folded_form_in_the_set():
    texts = {item.text for item in GOLDEN.items}
    changed = [item for item in GOLDEN.items if item.has_capitals or item.has_accents]
    assert len(changed) > 20
    assert all(pack.fold(item.text) in texts for item in changed)


def test_strata_isolate_what_they_are_named_for():
    for item in GOLDEN.items:
        accented = item.stratum.startswith("accented") or item.stratum == "unicode"
        assert item.has_accents <= accented, item
        assert item.has_capitals <= (item.stratum in {"cased", "accented-cased", "code"}), item
        if item.stratum in {"plain", "long"}:
            assert item.text.isascii()
            assert item.text.replace(" ", "").replace("'", "").isalnum()
    assert all(i.twin is not None and i.twin.differs == "Case" for i in GOLDEN.items if i.stratum == "cased")


def test_long_items_are_beginnings_of_one_text_around_the_usual_limits():
    words = [item.words for item in GOLDEN.items if item.stratum == "long"]
    assert words == sorted(words)
    assert set(words) >= {14, 30, 62, 126, 254, 510}  # 16 … 512 tokens with two special ones
    assert max(item.words for item in GOLDEN.items if item.stratum != "long") <= 12


def test_a_sample_takes_from_every_stratum_and_is_always_the_same():
    rows = ALL.sample(2, without=frozenset({"long"}))
    taken = [GOLDEN.items[row].stratum for row in rows]
    assert set(taken) == STRATA - {"long"}
    assert all(taken.count(stratum) == 2 for stratum in taken)
    assert rows == ALL.sample(2, without=frozenset({"long"})) == tuple(sorted(rows))


def item(number: int, text: str, differs: str | None = None, of: str = "p-001") -> dict[str, object]:
    raw: dict[str, object] = {"id": f"p-{number:03}", "stratum": "plain", "text": text}
    return raw | ({"twin": {"of": of, "differs": differs}} if differs else {})


def load(*items: dict[str, object]) -> pack.Pack:
    raw = {
        "schema": "golden.modelrelease.dev/v1",
        "name": "T",
        "version": "1",
        "license": "CC0-1.0",
        "items": items,
    }
    return pack.Pack.model_validate_json(json.dumps(raw), by_alias=True, by_name=False)


@pytest.mark.parametrize(
    ("text", "twin", "differs"),
    [
        ("A Cat", "a cat", "Case"),
        ("café", "cafe", "Accents"),
        ("Café", "cafe", "CaseAndAccents"),
        ("a cat sat", "a cat", "Length"),
        ("cafe\u0301", "café", "Normalization"),
        ("a  cat", "a cat", "Whitespace"),
        ("room 12", "room 13", "Number"),
        ("a cat.", "a cat", "Punctuation"),
        ("query: a cat", "a cat", "Prompt"),
        ("a cat a cat", "a cat", "Repetition"),
    ],
)
def test_twins_differ_in_what_they_say_and_in_nothing_else(text, twin, differs):
    assert len(load(item(1, twin), item(2, text, differs)).items) == 2
    # A repeated text is also a longer one that begins alike.
    also = {"Repetition": {"Length"}}.get(differs, set())
    for other in set(pack.Difference) - {differs} - also:
        with pytest.raises(pydantic.ValidationError, match="do not differ in"):
            load(item(1, twin), item(2, text, other.value))


@pytest.mark.parametrize(
    ("items", "why"),
    [
        ((item(1, "a"), item(1, "b")), "share an id"),
        ((item(1, "a"), item(2, "A", "Case", of="p-009")), "not in the set"),
        ((item(1, "a"), item(2, "a", "Case")), "do not differ"),
        ((item(1, ""),), "at least 1"),
        ((), "at least 1"),
    ],
)
def test_a_set_that_is_not_what_it_says_is_refused(items, why):
    with pytest.raises(pydantic.ValidationError, match=why):
        load(*items)


def test_the_digest_is_of_the_content():
    assert load(item(1, "a")).digest != load(item(1, "b")).digest
    assert load(item(1, "a")).digest == load(item(1, "a")).digest


def test_the_file_is_ascii_so_that_no_editor_normalises_it():
    assert pathlib.Path("canary_checks/golden/text_v1.json").read_text("utf-8").isascii()
