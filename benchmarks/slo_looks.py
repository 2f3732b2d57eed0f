"""What one look at one release costs, without the way to Prometheus: reading, counting and judging.

``python -m benchmarks.slo_looks`` prints the least of many measurements of CPU, which other work
on the machine disturbs least. The answers are those of :mod:`benchmarks.slo_queries`; every bound is
computed anew.
"""

import asyncio
import random
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final, cast

from benchmarks import slo_queries
from modelrelease.prometheus import (
    answers,
    batches,
    client,
    promql,
    series,
    slis,
    sources,
    targets,
    transport,
)
from modelrelease.slo import arms, burn, objectives, observation, proportion, state

NOW: Final = 1_790_000_000.0
INTERVAL: Final = slo_queries.INTERVAL
ROUNDS: Final = 40
STRICT: Final = objectives.Objective("availability", objectives.Kind.AVAILABILITY, Decimal("99.9"))


class Canned:
    """A Prometheus whose answers are at hand; each look reads them anew, once for both objectives."""

    source = sources.Source(name="canned", url="http://127.0.0.1:1")

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self.read: dict[str, tuple[answers.RawSeries, ...]] = {}

    async def now(self) -> float:
        """Return the clock."""
        return NOW

    async def vector(self, query: str, _at: float) -> tuple[str, ...]:
        """Answer that somebody has such a series."""
        return (query,)

    async def select(self, ask: batches.Ask) -> tuple[answers.RawSeries, ...]:
        """Answer as the server of the other benchmark does."""
        place = promql.equals("namespace", ask.namespace), promql.one_of("pod", ask.pods)
        query = promql.selector(ask.metric, (*place, *ask.matchers), ask.seconds)
        buckets = ask.wanted is batches.Wanted.BOUNDARIES
        if buckets:
            query = f"group by (le, namespace, pod) (last_over_time({query}))"
        if query not in self.read:
            if query not in self._bodies:
                self._bodies[query] = slo_queries.answer(query, NOW)
            read = answers.vector if buckets else answers.matrix
            self.read[query] = read("Canned", transport.Exchange(200, self._bodies[query]))
        return self.read[query]


def least(measured: Callable[[], object]) -> float:
    """Return the least CPU of many rounds, in milliseconds."""
    found = float("inf")
    for _ in range(ROUNDS):
        proportion.upper_bound.cache_clear()
        proportion.lower_bound.cache_clear()
        began = time.process_time()
        measured()
        found = min(found, time.process_time() - began)
    return 1000 * found


def line(rate: float, seconds: int, seed: int, pods: int = 2) -> observation.SliObservation:
    """Return what pods have counted that are scraped one after the other, with 0.1 % bad."""
    chance = random.Random(seed)
    points, counted = [], observation.Events()
    for number in range(1, seconds * pods // INTERVAL + 1):
        requests = round(rate * INTERVAL / pods)
        bad = sum(chance.random() < 0.001 for _ in range(requests))
        counted += observation.Events(requests, bad, bad)
        points.append(observation.Point(NOW - seconds + number * INTERVAL / pods, counted))
    return observation.SliObservation(NOW - seconds, tuple(points), interval=float(INTERVAL))


def judgement(rate: float, seconds: int) -> tuple[float, int]:
    """Return what a judgement costs at one look, and how many bytes its state has."""
    since = NOW - seconds
    ours, theirs = line(rate, seconds, 1), arms.Baseline(line(rate, seconds, 2))
    known = state.begin(since, INTERVAL)
    before = burn.judge(STRICT, ours, NOW - INTERVAL, since, baseline=theirs, known=known).state
    now = burn.judge(STRICT, ours, NOW, since, baseline=theirs, known=before).state
    assert now is not None
    cost = least(lambda: burn.judge(STRICT, ours, NOW, since, baseline=theirs, known=before))
    return cost, len(now.model_dump_json(by_alias=True, exclude_none=True))


async def look(canned: Canned, known: dict[str, burn.Judgement]) -> None:
    """Look at one release with two objectives, two pods and as many of stable, 15 min into its step."""
    canned.read.clear()
    since = NOW - slo_queries.HOLD
    asked = cast("client.Prometheus", canned)
    ours, theirs = ([targets.JudgedPod(f"release-{arm}-{pod:05d}") for pod in range(2)] for arm in "ab")
    for slo in slo_queries.SLOS:
        objective, counted = series.objective_of(slo), series.of(slo, slo_queries.ENDPOINT)
        seen = [
            await slis.observe(
                asked, counted, "/embeddings", objective,
                namespace=slo_queries.NAMESPACE, pods=pods, live_since=begin, now=NOW,
            )
            for pods, begin in ((ours, since), (theirs, since - state.VETO_SECONDS))
        ]  # fmt: skip
        beside = seen[1]
        assert isinstance(beside, observation.SliObservation)
        begun = known[slo.name].state if slo.name in known else state.begin(since, INTERVAL)
        judged = burn.judge(objective, seen[0], NOW, since, baseline=arms.Baseline(beside), known=begun)
        known.setdefault(slo.name, judged)


def main() -> None:
    """Measure, and print both tables."""
    canned, known = Canned(), dict[str, burn.Judgement]()
    with asyncio.Runner() as runner:
        cost = least(lambda: runner.run(look(canned, known)))
    print(f"one release, two objectives, one look: {cost:.1f} ms")
    for rate, seconds in ((1, 900), (10, 900), (100, 900), (1000, 900), (10, 6 * 3600)):
        cost, size = judgement(rate, seconds)
        print(f"one judgement at {rate} requests/s after {seconds} s: {cost:.1f} ms, a state of {size} bytes")


if __name__ == "__main__":
    main()
