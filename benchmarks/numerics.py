"""What a judgement costs: SLOs in plain Python, vectors in numpy, each beside a peer in the same run."""

import functools
import random
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks import figures
from benchmarks.table import Row
from canary_checks import schema
from canary_checks import vocabulary as v
from canary_checks.golden import pack
from canary_checks.parity import comparison, gates, reference
from modelrelease.controller import settings
from modelrelease.core import comparison as core_comparison
from modelrelease.slo import burn, objectives, observation, proportion

HOURS, SCRAPE_SECONDS, RATE = 6, 2, 50
DIMENSIONS = (384, 4096)
COUNTS = ((0, 1_000), (12, 10_000), (300, 100_000), (5_000, 1_000_000))
CONFIDENCE = 0.95
MICROSECONDS, MILLISECONDS = 1e6, 1e3
NOTE = "The fastest call of a second, in turn with its peer: scipy's `beta.ppf`, a float32 dot product."


def measure() -> Iterator[Row]:
    """Yield the rows."""
    yield from _judgement()
    for bad, total in COUNTS:
        yield from _bound(bad, total)
    for dimensions in DIMENSIONS:
        yield from _parity(dimensions)


def _judgement() -> Iterator[Row]:
    """Judge six hours of scrapes, without what an earlier judgement has left in caches."""
    chance = random.Random(1)
    points, total, bad = [], 0, 0
    for scrape in range(1, HOURS * 3600 // SCRAPE_SECONDS + 1):
        total += RATE * SCRAPE_SECONDS
        bad += chance.random() < 0.05
        points.append(observation.Point(float(scrape * SCRAPE_SECONDS), observation.Events(total, bad, bad)))
    seen = observation.SliObservation(start=0.0, points=tuple(points), interval=float(SCRAPE_SECONDS))
    objective = objectives.Objective("availability", objectives.Kind.AVAILABILITY, Decimal("99.9"))
    now = points[-1].time
    # As a run has recorded it: a minute ago.
    known = burn.judge(objective, seen, now - core_comparison.RECORD_SECONDS, 0.0).state

    def cold(live_since: float) -> burn.Judgement:
        proportion.upper_bound.cache_clear()
        proportion.lower_bound.cache_clear()
        return burn.judge(objective, seen, now, live_since, known=known)

    interval = settings.Intervals().judging_seconds
    what = f"SLO judgement of {HOURS} h of {SCRAPE_SECONDS} s samples"
    for said, live_since in (("", 0.0), (", counted from a later step", now / 2)):
        (seconds,) = figures.fastest(functools.partial(cold, live_since))
        yield Row(f"{what}{said}", seconds * MILLISECONDS, "ms")
        yield Row("  share of a core at one each judging interval", 100 * seconds / interval, "%")


def _bound(bad: int, total: int) -> Iterator[Row]:
    """Compare one Clopper–Pearson bound, uncached, with scipy's quantile of the beta distribution."""
    ours = proportion.upper_bound.__wrapped__

    def peer() -> float:
        return float(stats.beta.ppf(CONFIDENCE, bad + 1, total - bad))

    mine, theirs = figures.fastest(lambda: ours(bad, total, CONFIDENCE), peer)
    yield Row(f"Clopper–Pearson bound, {bad} of {total}", mine * MICROSECONDS, "µs")
    yield Row("  time ÷ scipy's", mine / theirs, "×")
    difference = abs(ours(bad, total, CONFIDENCE) / peer() - 1)
    yield Row("  relative difference from scipy's", difference, "")


def _parity(dimensions: int) -> Iterator[Row]:
    """Compare a whole parity judgement with the one line that most people would write."""
    golden = pack.builtin("TextV1")
    items = len(golden.items)
    generator = np.random.default_rng(1)
    recorded = _unit(generator.standard_normal((items, dimensions)))
    answered = _unit(recorded + 1e-6 * generator.standard_normal(recorded.shape))
    refused = np.zeros(items, dtype=np.bool_)
    opponent = comparison.Opponent(
        party=schema.Party(role=v.Role.STABLE, revision="r000000000a"),
        role="Stable",
        numeric_class=v.NumericClass.FP32,
        recorded=reference.Recording(tuple(item.id for item in golden.items), recorded, refused, (0.0, 0.0)),
    )
    limits = gates.Limits((), frozenset())

    def judged() -> comparison.Comparison:
        return comparison.compare(answered, refused, opponent, v.NumericClass.FP32, limits)

    def peer() -> float:
        return float((1 - (answered * recorded).sum(axis=1)).max())

    mine, theirs = figures.fastest(judged, peer)
    yield Row(f"parity judgement, {items} × {dimensions}", mine * MILLISECONDS, "ms")
    yield Row("  time ÷ float32 dot product", mine / theirs, "×")
    worst = gates.worst(judged().cosine)
    yield Row("  worst 1 − cos", worst, "")
    yield Row("  the same by float32 dot product", peer(), "")


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    unit: npt.NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)
