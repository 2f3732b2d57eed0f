"""Recall and precision of known queries within one space."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from canary_checks.golden import pack
from canary_checks.parity import retrieval


def item(name: str, *relevant: str) -> pack.Item:
    return pack.Item(id=name, stratum="plain", text=name, relevant=relevant)


def unit(degrees: float) -> np.ndarray:
    turn = np.deg2rad(degrees)
    return np.array([np.cos(turn), np.sin(turn)], dtype=np.float32)


ITEMS = (item("q-001", "d-001", "d-002"), item("q-002", "d-003"), *(item(f"d-00{n}") for n in range(1, 6)))
ANGLES = {"q-001": 0, "q-002": 90, "d-001": 1, "d-002": 50, "d-003": 88, "d-004": 20, "d-005": 170}
VECTORS = {name: unit(angle) for name, angle in ANGLES.items()}


def test_queries_are_the_items_that_say_what_they_should_find():
    known = retrieval.known(ITEMS)
    assert [one.id for one in known.queries] == ["q-001", "q-002"]
    assert [one.id for one in known.documents] == ["d-001", "d-002", "d-003", "d-004", "d-005"]
    assert known.relevant.tolist() == [[True, True, False, False, False], [False, False, True, False, False]]


@pytest.mark.parametrize(
    ("k", "recall", "precision"), [(1, [0.5, 1.0], [1.0, 1.0]), (3, [1.0, 1.0], [2 / 3, 1 / 3])]
)
def test_what_is_found_among_the_nearest(k, recall, precision):
    found = retrieval.search(retrieval.known(ITEMS), VECTORS, k)
    assert found.recall.tolist() == recall
    assert found.precision.tolist() == pytest.approx(precision)


def test_another_item_at_the_same_distance_counts_against_the_query():
    same = VECTORS | {"d-004": VECTORS["d-001"]}
    assert retrieval.search(retrieval.known(ITEMS), same, 1).recall[0] == 0.0


def test_a_query_does_not_find_itself_and_what_has_no_vector_is_not_found():
    items = (item("q-001", "q-001", "d-001"), item("d-001"), item("d-002"))
    known = retrieval.known(items)
    vectors = {"q-001": unit(0), "d-001": np.full(2, np.nan, dtype=np.float32), "d-002": unit(5)}
    assert retrieval.search(known, vectors, 2).recall.tolist() == [0.0]
    assert np.isnan(retrieval.search(retrieval.known((item("q-001", "q-001"),)), vectors).recall).all()


def test_without_queries_there_is_no_data():
    nothing = retrieval.search(retrieval.known(ITEMS[2:]), VECTORS)
    assert {gate.verdict for gate in retrieval.judge(nothing, nothing)} == {"NoData"}


@pytest.mark.parametrize(("share", "verdict"), [(1.0, "Pass"), (0.96, "Pass"), (0.94, "Fail")])
def test_the_new_space_has_to_find_nearly_as_much(share, verdict):
    stable = retrieval.Found(np.full(20, 0.8), np.full(20, 0.5))
    candidate = retrieval.Found(share * stable.recall, share * stable.precision)
    judged = retrieval.judge(candidate, stable)
    assert [gate.metric for gate in judged] == ["RecallAt10", "PrecisionAt10"]
    assert {gate.verdict for gate in judged} == {verdict}
    assert {gate.samples for gate in judged} == {20}


@hypothesis.given(st.integers(0, 1000), st.integers(1, 12))
def test_turning_a_space_finds_the_same(seed, k):
    random = np.random.default_rng(seed)
    items = [item(f"d-{n:03}") for n in range(30)]
    items += [item(f"q-{n:03}", f"d-{n:03}", f"d-{n + 9:03}") for n in range(12)]
    vectors = random.standard_normal((len(items), 8))
    turn, _ = np.linalg.qr(random.standard_normal((8, 8)))
    known = retrieval.known(items)
    spaces = [
        {one.id: row.astype(np.float32) for one, row in zip(items, side, strict=True)}
        for side in (vectors, 3 * vectors @ turn)
    ]
    found = [retrieval.search(known, space, k) for space in spaces]
    assert found[0].recall.tolist() == found[1].recall.tolist()
    assert found[0].precision.tolist() == found[1].precision.tolist()
