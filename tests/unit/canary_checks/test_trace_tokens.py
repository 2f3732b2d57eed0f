"""Token ids: distances against an oracle, and counterfactuals that name one cause and never two."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from canary_checks import vocabulary as v
from canary_checks.trace import tokens

SEQUENCES = {"a": (1, 10, 11, 12, 2), "b": (1, 20, 21, 2), "c": (1, 30, 31, 32, 33, 34, 2)}
PROVEN, LIKELY, UNKNOWN = v.Confidence.PROVEN, v.Confidence.LIKELY, v.Confidence.UNKNOWN


def levenshtein(a, b) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    table[:, 0], table[0] = range(len(a) + 1), range(len(b) + 1)
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (x != y))
    return int(table[-1, -1])


IDS = st.lists(st.integers(0, 4), max_size=12).map(tuple)


@hypothesis.given(IDS, IDS)
def test_the_edit_distance_is_levenshteins(a, b) -> None:
    assert tokens.edit_distance(a, b) == pytest.approx(levenshtein(a, b) / max(len(a), len(b), 1))


def test_long_sequences_are_compared_in_time() -> None:
    chance = np.random.default_rng(0)
    a, b = (tuple(chance.integers(0, 1000, 8192).tolist()) for _ in range(2))
    assert tokens.edit_distance(a, b) > 0.9


def each(change) -> dict[str, tuple[int, ...]]:
    return {name: tuple(change(ids)) for name, ids in SEQUENCES.items()}


@pytest.mark.parametrize(
    ("b", "cause", "confidence"),
    [
        (each(lambda ids: ids[1:-1]), "SpecialTokens", PROVEN),
        (each(lambda ids: ids[:-1]), "SpecialTokens", PROVEN),
        (each(lambda ids: (1, 7, 8, *ids[1:])), "PromptPrefix", PROVEN),
        (each(lambda ids: ids if len(ids) <= 5 else (*ids[:4], 2)), "Truncation", PROVEN),
        (each(lambda ids: ids[:4]), "Truncation", PROVEN),
        (each(lambda ids: ids if len(ids) <= 4 else (1, *ids[-3:])), "Truncation", PROVEN),
        (each(lambda ids: ids + (0,) * (9 - len(ids))), "PaddingMask", LIKELY),
        (each(lambda ids: [x + 1 for x in ids]), "Vocabulary", PROVEN),
        (each(lambda ids: [{10: 20, 20: 10}.get(x, x) for x in ids]), "Vocabulary", LIKELY),
        (each(lambda ids: [hash((x, n)) % 97 for n, x in enumerate(ids)]), "Unknown", UNKNOWN),
    ],
)
def test_one_operation_on_ids_that_explains_every_item_is_the_cause(b, cause, confidence) -> None:
    for one, other in ((SEQUENCES, b), (b, SEQUENCES)):
        found = tokens.explain(one, other, {}, {})
        assert (found.cause, found.confidence) == (cause, confidence), found


def test_a_change_that_explains_all_but_one_item_is_no_cause() -> None:
    b = each(lambda ids: (1, 7, 8, *ids[1:])) | {"c": (1, 30, 2)}
    assert tokens.explain(SEQUENCES, b, {}, {}).cause == "Unknown"


def words(text: str, *, lower: bool = False, strip: bool = False) -> tuple[int, ...]:
    text = text.lower() if lower else text
    text = tokens.strip_accents(text) if strip else text
    return tuple(hash_of(word) for word in text.split())


def hash_of(word: str) -> int:
    return int.from_bytes(word.encode()[:6], "big")


TEXTS = {"a": "A Cat", "b": "a cat", "c": "Élan vital", "d": "plain"}


def told(texts, **how):
    return {name: words(text, **how) for name, text in texts.items()}


def asked(**how):
    return {variant: told(of, **how) for variant, of in tokens.variants(TEXTS).items()}


@pytest.mark.parametrize(
    ("one", "other", "cause", "words_of_it"),
    [
        ({}, {"lower": True}, "Casing", "B lowercases the text and A does not"),
        ({"lower": True}, {}, "Casing", "A lowercases the text and B does not"),
        ({}, {"strip": True}, "Accents", "B strips accents and A does not"),
        ({}, {"lower": True, "strip": True}, "Casing", "B lowercases the text and strips accents"),
        ({"lower": True}, {"lower": True, "strip": True}, "Accents", "B strips accents"),
    ],
)
def test_the_side_that_changes_the_text_is_found_by_asking_the_other(one, other, cause, words_of_it) -> None:
    found = tokens.explain(told(TEXTS, **one), told(TEXTS, **other), asked(**one), asked(**other))
    assert (found.cause, found.confidence) == (cause, PROVEN)
    assert words_of_it in found.evidence[0]


def test_a_recording_that_answers_for_some_items_makes_a_cause_likely() -> None:
    lowered = asked(lower=True)
    recorded = {
        variant: {name: ids if name == "a" else None for name, ids in of.items()}
        for variant, of in asked().items()
    }
    found = tokens.explain(told(TEXTS), told(TEXTS, lower=True), recorded, lowered)
    assert (found.cause, found.confidence) == ("Casing", LIKELY)
    assert "1 of the 2" in found.evidence[0]
