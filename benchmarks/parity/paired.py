"""Paired statistics of a million rows, against the speed at which this machine can read them at all."""

import concurrent.futures
import functools
import importlib
import os
import statistics as stdlib_statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import pairwise

from benchmarks import table
from benchmarks.parity import timing
from canary_checks.parity import statistics

ROWS, WIDTH = 1_000_000, 768
ROUNDS = 5
BASE = 8_192
PIECE = 4 * 1024**2
SHARE_COMPILED, SHARE_PLAIN, TEMPORARIES = 50.0, 12.0, 64.0
HEADROOM = 1.35
"""Of the inputs: what they, the temporaries and the rest of the machine need."""
NOTE = """\
Paired statistics: share of the bandwidth of a plain dot product of the same arrays on all cores, median of
rounds in turn. The peers compute one of the eight outputs, with errors of 2e-7, on a quarter of the rows."""

Vectors = npt.NDArray[np.float32]


def measure() -> Iterator[table.Row]:
    """Yield the rows of the table."""
    size = 2 * WIDTH * np.float32().itemsize
    rows = min(ROWS, int(timing.available() / HEADROOM) // size)
    a, b = _vectors(rows)
    yield table.Row("paired statistics: rows of 768 float32", rows, "" if rows == ROWS else "(memory!)")
    start = time.perf_counter()
    statistics.paired(a[:1], b[:1], compiled=True)
    yield table.Row("  compiled kernel: load, from its cache if any", time.perf_counter() - start, "s")
    pool = concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0)))
    calls: dict[str, Callable[[], object]] = {
        "dot": functools.partial(_dot, pool, a.ravel(), b.ravel()),
        "compiled": lambda: statistics.paired(a, b, compiled=True),
        "plain": lambda: statistics.paired(a, b, compiled=False),
    }
    seconds = timing.alternating(calls, ROUNDS)
    best = min(seconds["dot"])
    yield table.Row("  dot product, two reads", rows * size / best / 1e9, "GB/s")
    for name, target in (("compiled", SHARE_COMPILED), ("plain", SHARE_PLAIN)):
        yield table.Row(f"  {name}", stdlib_statistics.median(seconds[name]), "s")
        share = 100 * timing.ratio(seconds["dot"], seconds[name])
        yield table.Row("    of the dot's bandwidth", share, "%", table.Target(target, table.Bound.AT_LEAST))
        grown = timing.growth(calls[name])
        yield table.Row("    peak temporaries", grown, "MiB", table.Target(TEMPORARIES))
    yield from _peers(a, b, pool)


def _peers(a: Vectors, b: Vectors, pool: concurrent.futures.Executor) -> Iterator[table.Row]:
    # Two more copies of both inputs is what the hungriest of them takes; a quarter of the rows says as much.
    some = min(len(a) // 4, int(timing.available() / HEADROOM) // (4 * WIDTH * np.float32().itemsize))
    ours, theirs = a[:some], b[:some]
    left, right = torch.from_numpy(ours), torch.from_numpy(theirs)
    cosine: Any = importlib.import_module("torch.nn.functional").cosine_similarity

    def einsum() -> float:
        dots = np.einsum("nd,nd->n", ours, theirs)
        lengths = [np.sqrt(np.einsum("nd,nd->n", side, side)) for side in (ours, theirs)]
        return float((1 - dots / lengths[0] / lengths[1]).max())

    calls: dict[str, Callable[[], object]] = {
        "dot": functools.partial(_dot, pool, ours.ravel(), theirs.ravel()),
        "numpy einsum, 1 − cos alone": einsum,
        "sklearn paired_cosine_distances": lambda: pairwise.paired_cosine_distances(ours, theirs).max(),
        "torch F.cosine_similarity": lambda: float((1 - cosine(left, right)).max()),
    }
    seconds = timing.alternating(calls, 3)
    yield table.Row("  peers: rows", some, "")
    del calls["dot"]
    for name, call in calls.items():
        share = 100 * timing.ratio(seconds["dot"], seconds[name])
        yield table.Row(f"    {name}: of the dot's bandwidth", share, "%")
        yield table.Row("      peak temporaries", timing.growth(call), "MiB")


def _vectors(rows: int) -> tuple[Vectors, Vectors]:
    """Return two sets that differ by one part in a thousand; random numbers for all would take a minute."""
    chance = np.random.default_rng(1)
    base = chance.standard_normal((BASE, WIDTH), dtype=np.float32)
    noise = np.float32(1e-3) * chance.standard_normal((BASE, WIDTH), dtype=np.float32)
    a, b = (np.empty((rows, WIDTH), dtype=np.float32) for _ in "ab")
    for start in range(0, rows, BASE):
        some = slice(start, min(start + BASE, rows))
        count = some.stop - some.start
        scale = np.float32(1 + start / rows)
        np.multiply(base[:count], scale, out=a[some])
        np.add(a[some], noise[:count], out=b[some])
    return a, b


def _dot(pool: concurrent.futures.Executor, a: Vectors, b: Vectors) -> float:
    """Return the dot product of all elements, on all cores: one read of each array and nothing else."""
    pieces = [slice(start, start + PIECE) for start in range(0, len(a), PIECE)]
    return sum(pool.map(lambda piece: float(a[piece] @ b[piece]), pieces))
