"""Recall and precision of known queries within one space, and what is demanded of them."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from canary_checks import failure, request
from canary_checks.golden import pack
from canary_checks.parity import retrieval, retrieval_gates


def item(name: str, *relevant: str) -> pack.Item:
    return pack.Item(id=name, stratum="plain", text=name, relevant=relevant)


def unit(degrees: float) -> np.ndarray:
    turn = np.deg2rad(degrees)
    return np.array([np.cos(turn), np.sin(turn)], dtype=np.float32)


ITEMS = (item("q-001", "d-001", "d-002"), item("q-002", "d-003"), *(item(f"d-00{n}") for n in range(1, 6)))
ANGLES = {"q-001": 0, "q-002": 90, "d-001": 1, "d-002": 50, "d-003": 88, "d-004": 20, "d-005": 170}
VECTORS = {name: unit(angle) for name, angle in ANGLES.items()}


def found(items, vectors, k: int) -> retrieval.Found:
    known = retrieval.known(items)
    rows = [np.stack([vectors[one.id] for one in side]) for side in (known.queries, known.documents)]
    return retrieval.search(known, *rows, (k,))[k]


def test_queries_are_the_items_that_say_what_they_should_find():
    known = retrieval.known(ITEMS)
    assert [one.id for one in known.queries] == ["q-001", "q-002"]
    assert [one.id for one in known.documents] == ["d-001", "d-002", "d-003", "d-004", "d-005"]
    assert [columns.tolist() for columns in known.relevant] == [[0, 1], [2]]


def test_a_query_for_itself_or_for_what_is_not_asked_about_is_none():
    known = retrieval.known((item("q-001", "q-001"), item("q-002", "i-001"), item("d-001")))
    assert known.queries == ()
    assert len(known.documents) == 3


@pytest.mark.parametrize(
    ("k", "recall", "precision"), [(1, [0.5, 1.0], [1.0, 1.0]), (3, [1.0, 1.0], [2 / 3, 1 / 3])]
)
def test_what_is_found_among_the_nearest(k, recall, precision):
    there = found(ITEMS, VECTORS, k)
    assert there.recall.tolist() == recall
    assert there.precision.tolist() == pytest.approx(precision)


def test_another_item_at_the_same_distance_counts_against_the_query():
    same = VECTORS | {"d-004": VECTORS["d-001"]}
    assert found(ITEMS, same, 1).recall[0] == 0.0


def test_a_query_that_is_a_document_does_not_find_itself():
    items = (item("q-001", "q-002"), item("q-002", "q-001"), item("d-001"))
    vectors = {"q-001": unit(0), "q-002": unit(5), "d-001": unit(90)}
    assert found(items, vectors, 1).recall.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("lost", ["q-001", "d-001"])
def test_what_has_no_vector_is_not_found_and_finds_nothing(lost):
    items = (item("q-001", "d-001"), item("d-001"), item("d-002"))
    vectors = {"q-001": unit(0), "d-001": unit(1), "d-002": unit(5)}
    assert found(items, vectors, 2).recall.tolist() == [1.0]
    vectors[lost] = np.full(2, np.nan, dtype=np.float32)
    assert found(items, vectors, 2).recall.tolist() == [0.0]


def gate(metric: str, **limits: str) -> request.GateOverride:
    return request.GateOverride.model_validate({"metric": metric, **limits})


def judged(hits: int, before: int | None, *gates: request.GateOverride, of: int = 400) -> list[str]:
    """Verdicts on so many hits; whoever finds less finds some of the same."""
    ours = np.array([1.0] * hits + [0.0] * (of - hits))
    theirs = {"Stable": np.array([1.0] * before + [0.0] * (of - before))} if before is not None else {}
    wanted = retrieval_gates.demands(gates, (10,))
    return [str(made.verdict) for demand in wanted for made in retrieval_gates.judge(demand, ours, theirs)]


@pytest.mark.parametrize(
    ("hits", "before", "gates", "verdicts"),
    [
        (360, 360, (), ["Pass"]),
        (400, 360, (), ["Pass"]),
        (345, 360, (), ["Inconclusive"]),
        (300, 360, (), ["Fail"]),
        (360, None, (), []),
        (360, None, (gate("RecallAt10", min="0.85"),), ["Pass"]),
        (360, None, (gate("RecallAt10", min="0.9"),), ["Inconclusive"]),
        (300, None, (gate("RecallAt10", min="0.9"),), ["Fail"]),
        (360, 360, (gate("RecallAt10", min="0.85", maxDrop="0.05"),), ["Pass", "Pass"]),
        (300, 360, (gate("RecallAt10", maxDrop="0.3"),), ["Pass"]),
        (360, 360, (gate("RecallAt10", maxDrop="0"),), ["Inconclusive"]),
        (360, 360, (gate("PrecisionAt10", minRatio="0.9"),), ["Pass", "Pass"]),
        (360, 360, (gate("PrecisionAt10", min="0.99"),), ["Fail", "Pass"]),
    ],
)
def test_a_rate_is_judged_by_its_interval(hits, before, gates, verdicts):
    assert judged(hits, before, *gates) == verdicts


@pytest.mark.parametrize("hits", [0, 99])
def test_fewer_than_a_hundred_queries_say_nothing(hits):
    assert judged(hits, 99, of=99) == ["NoData"]


@pytest.mark.parametrize(
    "wrong",
    [
        gate("RecallAt5", min="0.9"),
        gate("CosineDistanceWorst", max="0.1"),
        gate("RecallAt10", max="0.9"),
        gate("RecallAt10", minRatio="0.9", maxDrop="0.1"),
        gate("RecallAt10", min="1.1"),
        gate("PrecisionAt10", maxDrop="-0.1"),
    ],
)
def test_a_gate_that_means_nothing_is_refused(wrong):
    with pytest.raises(failure.CheckError) as error:
        retrieval_gates.demands([wrong], (10,))
    assert error.value.reason == "InvalidRequest"


@hypothesis.given(st.integers(0, 1000), st.integers(1, 12))
def test_turning_a_space_finds_the_same(seed, k):
    random = np.random.default_rng(seed)
    items = [item(f"d-{n:03}") for n in range(30)]
    items += [item(f"q-{n:03}", f"d-{n:03}", f"d-{n + 9:03}") for n in range(12)]
    vectors = random.standard_normal((len(items), 8))
    turn, _ = np.linalg.qr(random.standard_normal((8, 8)))
    one, other = (
        found(items, {i.id: row.astype(np.float32) for i, row in zip(items, side, strict=True)}, k)
        for side in (vectors, 3 * vectors @ turn)
    )
    assert one.recall.tolist() == other.recall.tolist()
    assert one.precision.tolist() == other.precision.tolist()


@hypothesis.given(st.integers(0, 1000), st.integers(1, 12))
def test_a_search_finds_what_sorting_all_distances_does(seed, k):
    random = np.random.default_rng(seed)
    items = [item(f"d-{n:03}") for n in range(40)]
    items += [item(f"q-{n:03}", f"d-{n:03}", f"d-{n + 9:03}") for n in range(12)]
    # On a coarse grid, so that many are as near as each other.
    vectors = {i.id: random.integers(1, 3, 3).astype(np.float32) for i in items}
    there = found(items, vectors, k)
    for row, query in enumerate(items[40:]):

        def far(name: str, query: pack.Item = query) -> tuple[float, bool]:
            a, b = (
                vectors[x].astype(float) / np.linalg.norm(vectors[x].astype(float)) for x in (query.id, name)
            )
            return round(1 - float(a @ b), 9), name in query.relevant

        nearest = sorted((f"d-{n:03}" for n in range(40)), key=far)[:k]
        assert there.recall[row] == len(set(nearest) & set(query.relevant)) / 2
