"""What many ask of one metric goes out as one query, and everybody gets their own part."""

import asyncio
import re

import pytest

from modelrelease.prometheus import promql, rate
from modelrelease.prometheus.answers import QueryError, RawSeries, Trouble
from modelrelease.prometheus.batches import PODS_MAX, Ask, Batches, Wanted
from modelrelease.slo.counters import Sample

SAMPLES = tuple(Sample(float(at), float(at)) for at in range(0, 101, 10))


def ask(*pods: str, namespace: str = "n", at: float = 100, seconds: int = 50, metric: str = "up") -> Ask:
    return Ask(Wanted.SAMPLES, metric, (), "namespace", "pod", namespace, pods, at, seconds)


class Server:
    """Knows every pod of two namespaces, and refuses queries about pods that are too many, or cursed."""

    def __init__(self, limit: int = 1000, cursed: str = "", foreign: bool = False) -> None:
        self.queries: list[str] = []
        self.limit, self.cursed, self.foreign = limit, cursed, foreign

    async def __call__(self, query: str, at: float) -> tuple[RawSeries, ...]:
        self.queries.append(query)
        matchers = dict(re.findall(r'(\w+)=~?"([^"]*)"', query))
        pods = matchers["pod"].replace("\\", "").split("|")
        if len(pods) > self.limit or self.cursed in pods:
            raise QueryError(Trouble.FAILED, "too much", too_much=True)
        places = [(namespace, pod) for namespace in matchers["namespace"].split("|") for pod in pods]
        places += [("n", "somebody")] if self.foreign else []
        return tuple(RawSeries({"namespace": space, "pod": pod}, SAMPLES) for space, pod in places)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def batches(server: Server, clock: Clock | None = None) -> Batches:
    return Batches(server, server, clock or Clock())


async def test_what_is_asked_at_once_is_one_query_and_everybody_gets_their_own() -> None:
    server = Server()
    made = batches(server)
    found = await asyncio.gather(
        made.ask(ask("a", "b")), made.ask(ask("b", at=80, seconds=20)), made.ask(ask("a", namespace="m"))
    )
    assert server.queries == ['up{namespace=~"m|n",pod=~"a|b"}[50s]']
    assert [[(one.labels["namespace"], one.labels["pod"]) for one in part] for part in found] == [
        [("n", "a"), ("n", "b")],
        [("n", "b")],
        [("m", "a")],
    ]
    assert [sample.time for sample in found[0][0].samples] == [60, 70, 80, 90, 100]
    assert [sample.time for sample in found[1][0].samples] == [70, 80]


async def test_another_metric_another_condition_or_a_far_longer_range_is_another_query() -> None:
    server = Server()
    made = batches(server)
    other = Ask(Wanted.SAMPLES, "up", (promql.equals("a", "b"),), "namespace", "pod", "n", ("a",), 100, 50)
    asked = (ask("a"), ask("a", metric="down"), other, ask("a", seconds=5000))
    await asyncio.gather(*map(made.ask, asked))
    assert len(server.queries) == 4


async def test_whoever_comes_later_goes_with_the_next() -> None:
    clock, server = Clock(), Server()
    made = batches(server, clock)
    await made.ask(ask("a"))
    clock.now += 0.45  # of the half second between two queries
    later = await asyncio.gather(made.ask(ask("b")), made.ask(ask("c")))
    assert [len(part) for part in later] == [1, 1]
    assert len(server.queries) == 2


async def test_too_many_pods_are_several_queries() -> None:
    server = Server()
    made = batches(server)
    await asyncio.gather(*(made.ask(ask(f"p{number}")) for number in range(PODS_MAX + 1)))
    assert len(server.queries) == 2


async def test_who_asks_too_much_blames_nobody_else() -> None:
    server = Server(cursed="c")
    made = batches(server)
    found = await asyncio.gather(*(made.ask(ask(pod)) for pod in "abcdefgh"), return_exceptions=True)
    assert [isinstance(part, QueryError) for part in found] == [pod == "c" for pod in "abcdefgh"]
    assert len(server.queries) <= 7


async def test_an_outage_is_asked_about_once() -> None:
    queries = 0

    async def down(query: str, at: float) -> tuple[RawSeries, ...]:
        nonlocal queries
        queries += 1
        raise QueryError(Trouble.UNREACHABLE, "nobody listens")

    made = Batches(down, down, Clock())
    found = await asyncio.gather(*(made.ask(ask(pod)) for pod in "abcd"), return_exceptions=True)
    assert queries == 1
    assert {str(one) for one in found} == {"nobody listens"}


async def test_a_series_of_somebody_else_is_noticed_by_everybody() -> None:
    made = batches(Server(foreign=True))
    found = await asyncio.gather(made.ask(ask("a")), made.ask(ask("b")))
    assert [sorted(one.labels["pod"] for one in part) for part in found] == [
        ["a", "somebody"],
        ["b", "somebody"],
    ]


async def test_so_many_a_second_and_whoever_would_wait_too_long_is_told() -> None:
    clock = Clock()
    allowed = rate.Rate(100, clock, longest=0.02)
    clock.now = 10.0
    assert all([await allowed.enter() for _ in range(100)]), "after a pause all at once"
    waited = await asyncio.gather(*(allowed.enter() for _ in range(10)))
    assert 2 <= sum(waited) <= 4
    assert not waited[-1]


@pytest.mark.parametrize("broken", [RuntimeError("ours")])
async def test_a_mistake_of_ours_leaves_nobody_waiting(broken: Exception) -> None:
    async def breaks(query: str, at: float) -> tuple[RawSeries, ...]:
        raise broken

    with pytest.raises(RuntimeError, match="ours"):
        await Batches(breaks, breaks, Clock()).ask(ask("a"))
