"""Neighbour overlap beside faiss and sklearn."""

import statistics
from collections.abc import Callable, Iterator

import faiss
import numpy as np
import numpy.typing as npt
import torch
from sklearn import neighbors

from benchmarks import table
from benchmarks.parity import timing
from canary_checks.parity import neighbours

ROWS, WIDTH, NEAREST = 10_000, 384, 10
ROUNDS = 5
TIMES_FAISS = 1.2
NOTE = """\
Neighbour overlap: 10 nearest of 10,000 × 384 in both sets, and the share they have in common; ours finds the
nearest one's agreement in the same call and breaks ties. Peers: two searches and a comparison of the lists.
Medians of rounds in turn."""

Vectors = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


def measure() -> Iterator[table.Row]:
    """Yield the rows of the table."""
    chance = np.random.default_rng(2)
    a = _unit(chance.standard_normal((ROWS, WIDTH)))
    b = _unit(a + 0.05 * chance.standard_normal((ROWS, WIDTH)))
    left, right = torch.from_numpy(a), torch.from_numpy(b)
    calls: dict[str, Callable[[], npt.NDArray[np.float64]]] = {
        "faiss": lambda: _shared(_by_faiss(a), _by_faiss(b)),
        "sklearn": lambda: _shared(_by_sklearn(a), _by_sklearn(b)),
        "numpy": lambda: neighbours.overlap(a, b, NEAREST),
        "torch": lambda: neighbours.overlap(left, right, NEAREST),
    }
    seconds = timing.alternating(calls, ROUNDS)
    yield table.Row("neighbour overlap: numpy", statistics.median(seconds["numpy"]), "s")
    for name, target in (("faiss", table.Target(TIMES_FAISS)), ("sklearn", None)):
        times = timing.ratio(seconds["numpy"], seconds[name])
        yield table.Row(f"  time ÷ {name}'s", times, "×", target)
    yield table.Row("  torch's time ÷ faiss's", timing.ratio(seconds["torch"], seconds["faiss"]), "×")
    yield table.Row("  peak temporaries", timing.growth(calls["numpy"]), "MiB")
    ours, theirs = calls["numpy"](), calls["faiss"]()
    yield table.Row("  rows where faiss says otherwise (ties)", float((ours != theirs).sum()), "")


def _by_faiss(vectors: Vectors) -> Indices:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return np.asarray(index.search(vectors, NEAREST + 1)[1][:, 1:])


def _by_sklearn(vectors: Vectors) -> Indices:
    search = neighbors.NearestNeighbors(n_neighbors=NEAREST + 1, metric="cosine", algorithm="brute")
    return np.asarray(search.fit(vectors).kneighbors(vectors, return_distance=False)[:, 1:])


def _shared(one: Indices, other: Indices) -> npt.NDArray[np.float64]:
    return np.asarray((one[:, :, np.newaxis] == other[:, np.newaxis, :]).any(axis=2).sum(axis=1) / NEAREST)


def _unit(vectors: npt.NDArray[np.float64]) -> Vectors:
    unit: npt.NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)
