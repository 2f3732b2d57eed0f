"""One query for the pods of many releases: what they ask of the same metric goes out together.

A query costs its way far more than its samples. So what is asked of one metric with the same conditions waits
a moment for others, longer where many ask: at most two queries of a kind leave in a second, and each holds
everybody who has asked since. Whoever is alone waits for nobody.
"""

import asyncio
import bisect
import enum
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from modelrelease.prometheus import promql
from modelrelease.prometheus.answers import QueryError, RawSeries
from modelrelease.slo.counters import Samples

LINGER_SECONDS = 0.01
"""For what one look asks at once."""
SPACING_SECONDS = 0.5
"""Between two queries of a kind."""
SPAN_SECONDS = 600
"""Ranges of a batch differ by less than a factor of two above it, so that nobody fetches another's hours."""
POD_SECONDS_MAX = 256 * 1024
"""Pods × seconds of one query: 256 pods over 17 minutes."""
PODS_MAX = 512


class Wanted(enum.Enum):
    """What an ask wants of its series."""

    SAMPLES = enum.auto()
    BOUNDARIES = enum.auto()
    """Of the buckets: which values of ``le`` each pod has."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Some series of some pods."""

    wanted: Wanted
    metric: str
    matchers: tuple[promql.Matcher, ...]
    namespace_label: str
    pod_label: str
    namespace: str
    pods: tuple[str, ...]
    at: float
    """Seconds since the epoch."""
    seconds: int
    """So far back from there."""

    @property
    def kind(self) -> tuple[object, ...]:
        """What asks of one query have in common."""
        span = max(0, math.ceil(math.log2(max(self.seconds, 1) / SPAN_SECONDS)))
        return self.wanted, self.metric, self.matchers, self.namespace_label, self.pod_label, span


Waiting = tuple[Ask, asyncio.Future[tuple[RawSeries, ...]]]
Send = Callable[[str, float], Awaitable[tuple[RawSeries, ...]]]


@dataclass(slots=True)
class _Kind:
    sent: float = -math.inf
    """Monotonic time at which the newest query left."""
    waiting: list[Waiting] = field(default_factory=list)


class Batches:
    """Joins asks into queries, and gives everybody their own part of the answer.

    Parameters
    ----------
    matrix, vector : Callable
        Ask the server; raise :class:`~modelrelease.prometheus.answers.QueryError`.
    clock : Callable
        Monotonic seconds.
    """

    def __init__(self, matrix: Send, vector: Send, clock: Callable[[], float]) -> None:
        self._send = {Wanted.SAMPLES: matrix, Wanted.BOUNDARIES: vector}
        self._clock = clock
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, ask: Ask) -> tuple[RawSeries, ...]:
        """Return the series of the pods; a series of anybody else is among them, so that it is noticed.

        Raises
        ------
        QueryError
            If there is no complete answer.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[tuple[RawSeries, ...]] = loop.create_future()
        kind = self._kinds.setdefault(ask.kind, _Kind())
        kind.waiting.append((ask, future))
        if len(kind.waiting) == 1:
            delay = max(LINGER_SECONDS, kind.sent + SPACING_SECONDS - self._clock())
            loop.call_later(delay, self._leave, ask.kind)
        return await future

    def _leave(self, key: tuple[object, ...]) -> None:
        kind = self._kinds[key]
        waiting = [one for one in kind.waiting if not one[1].done()]
        kind.waiting.clear()
        now = self._clock()
        kind.sent = now
        for known in [known for known, one in self._kinds.items() if now - one.sent > 60 * SPACING_SECONDS]:
            if not self._kinds[known].waiting:
                del self._kinds[known]
        for group in _sized(waiting):
            task = asyncio.create_task(self._answer(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, group: Sequence[Waiting]) -> None:
        try:
            found = await self._query([ask for ask, _ in group])
        except QueryError as error:
            if len(group) > 1 and error.too_much:
                # Too much for one answer, or one of them is to blame: it shall not blame the others.
                half = len(group) // 2
                await asyncio.gather(self._answer(group[:half]), self._answer(group[half:]))
                return
            for _, future in group:
                if not future.done():
                    future.set_exception(QueryError(error.reason, error.message))
            return
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), part in zip(group, _parts([ask for ask, _ in group], found), strict=True):
            if not future.done():
                future.set_result(part)

    async def _query(self, asks: Sequence[Ask]) -> tuple[RawSeries, ...]:
        first = asks[0]
        at = max(ask.at for ask in asks)
        since = min(ask.at - ask.seconds for ask in asks)
        namespaces = sorted({ask.namespace for ask in asks})
        selector = promql.selector(
            first.metric,
            (
                promql.equals(first.namespace_label, namespaces[0])
                if len(namespaces) == 1
                else promql.one_of(first.namespace_label, namespaces),
                promql.one_of(first.pod_label, sorted({pod for ask in asks for pod in ask.pods})),
                *first.matchers,
            ),
            math.ceil(at - since),
        )
        if first.wanted is Wanted.BOUNDARIES:
            by = f"le, {first.namespace_label}, {first.pod_label}"
            selector = f"group by ({by}) (last_over_time({selector}))"
        return await self._send[first.wanted](selector, at)


def _sized(waiting: Sequence[Waiting]) -> list[list[Waiting]]:
    """Cut what waits into queries whose answers have a bounded size."""
    groups: list[list[Waiting]] = []
    pods = 0
    for one in waiting:
        ask = one[0]
        pods += len(ask.pods)
        if not groups or pods > PODS_MAX or pods * ask.seconds > POD_SECONDS_MAX:
            groups.append([])
            pods = len(ask.pods)
        groups[-1].append(one)
    return groups


def _parts(asks: Sequence[Ask], found: Sequence[RawSeries]) -> list[tuple[RawSeries, ...]]:
    """Give each ask its own series, and everybody those that nobody can have asked for."""
    first = asks[0]
    namespaces = {ask.namespace for ask in asks}
    pods = {pod for ask in asks for pod in ask.pods}
    by: dict[tuple[str, str], list[RawSeries]] = {}
    foreign = []
    for raw in found:
        place = raw.labels.get(first.namespace_label, ""), raw.labels.get(first.pod_label, "")
        if place[0] in namespaces and place[1] in pods:
            by.setdefault(place, []).append(raw)
        else:
            foreign.append(raw)
    return [
        (
            *foreign,
            *(
                part
                for pod in dict.fromkeys(ask.pods)
                for raw in by.get((ask.namespace, pod), ())
                if (part := _between(raw, ask)) is not None
            ),
        )
        for ask in asks
    ]


def _between(raw: RawSeries, ask: Ask) -> RawSeries | None:
    """Return the part of a series that an ask is about, or None where that is nothing."""
    if ask.wanted is Wanted.BOUNDARIES:
        return raw
    since = ask.at - ask.seconds
    times = attrgetter("time")
    known, histograms = Samples.of(raw.samples), raw.histograms
    samples = known.between(since, ask.at)
    if histograms and (histograms[0].time <= since or histograms[-1].time > ask.at):
        first = bisect.bisect_right(histograms, since, key=times)
        histograms = histograms[first : bisect.bisect_right(histograms, ask.at, key=times)]
    if samples is known and histograms is raw.histograms:
        return raw
    return RawSeries(raw.labels, samples, histograms) if samples or histograms else None
