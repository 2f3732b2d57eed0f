"""Sending a load and measuring what comes of it.

With Poisson arrivals a latency counts from the moment when the request was to be sent, whether or not a
connection was free then: a server that stalls is charged for everybody who waited, as its users are.
"""

import array
import asyncio
import dataclasses
import enum
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import httpx
import numpy as np
import numpy.typing as npt

from canary_checks import failure
from canary_checks.clients import transport
from canary_checks.performance import intervals, templates, wire

Scalars = npt.NDArray[np.float64]

_LAG_SECONDS: Final = 0.005
_LAGS: Final = 100_000
_SPARSER: Final = 1.1
_KEPT_BYTES: Final = 32 << 20
_REFUSALS: Final = frozenset({400, 413, 422})
_OVERLOADED: Final = 429
_GIVE_UP: Final = 20
_REFUSED_SECONDS: Final = 0.05
_TIMING_HEADER: Final = b"server-timing"
MOST_STAGES: Final = 8


class Outcome(enum.IntEnum):
    """What became of a request."""

    ANSWERED = 0
    REFUSED = 1
    """400, 413 or 422 to an input that a server may decline: no error, and no latency."""
    OVERLOADED = 2
    FAILED = 3
    BROKEN = 4
    UNREACHED = 5
    TIMED_OUT = 6
    UNSENT = 7
    """Its time had come and no connection was free until the end."""


SLOWER_THAN_ALL: Final = (Outcome.TIMED_OUT, Outcome.UNSENT)
ERRORS: Final = tuple(one for one in Outcome if one not in {Outcome.ANSWERED, Outcome.REFUSED})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Load:
    """What is sent, and when.

    Attributes
    ----------
    templates, order
        Requests, and which of them goes when: shape ``[n]`` of places.
    arrivals
        Shape ``[n]``, when each is to be sent, in seconds from the start of the measurement, negative while
        the server warms up; None sends the next one when an answer has come.
    concurrency
        Requests in flight, at most.
    warmup_seconds, seconds, requests
        How long, and how many requests at most once warm.
    timeout_seconds
        Of one request.
    least
        Seconds and requests: the load goes on until one of the two is reached.
    """

    templates: Sequence[templates.Template]
    order: npt.NDArray[np.int64]
    arrivals: Scalars | None
    concurrency: int
    warmup_seconds: float
    seconds: float
    requests: int
    timeout_seconds: float
    least: tuple[float, int] = (0.0, 0)

    def over(self, number: int, elapsed: float) -> bool:
        """Whether no further request is sent, after so many and so long."""
        enough = elapsed >= self.least[0] or number >= self.least[1]
        return enough and (elapsed >= self.seconds or number >= self.requests)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """What a load measured, the warm-up left out.

    Attributes
    ----------
    latencies
        Shape ``[n]``, seconds, in the order of their starts: of the answers, and infinity for what timed out
        or was never sent.
    outcomes
        How many requests had each outcome.
    seconds
        From the start of the measurement to the last request's, which is when the load begins to fade.
    completed
        Shape ``[intervals.BATCHES]``: answers in each of so many equal parts of that time.
    lags
        Shape ``[m]``, seconds: how late this process was when it wanted to do something.
    processor
        Share of one core that this process took.
    answers
        Some answers, for a look at what they hold.
    stages
        Seconds by the names of ``Server-Timing``, where the server sends it.
    """

    latencies: Scalars
    outcomes: dict[Outcome, int]
    seconds: float
    completed: Scalars
    lags: Scalars
    processor: float
    answers: tuple[tuple[int, transport.Reply], ...] = ()
    stages: dict[str, Scalars] = dataclasses.field(default_factory=dict)
    said: str = ""
    """Of the first error, for the reader."""

    @property
    def errors(self) -> int:
        """Requests that had no usable answer."""
        return sum(self.outcomes.get(one, 0) for one in ERRORS)

    @property
    def judged(self) -> int:
        """Requests that count: all but those that were declined."""
        return self.errors + self.outcomes.get(Outcome.ANSWERED, 0)

    @property
    def answered(self) -> int:
        """Requests with a usable answer."""
        return self.outcomes.get(Outcome.ANSWERED, 0)


class _Rows:
    """What became of each request, in some bytes for each: a soak has a million of them."""

    def __init__(self) -> None:
        self._numbers = array.array("q")
        self._wanted = array.array("d")
        self._seconds = array.array("d")
        self._outcomes = array.array("b")

    def add(self, number: int, wanted: float, done: float, outcome: Outcome) -> None:
        self._numbers.append(number)
        self._wanted.append(wanted)
        self._seconds.append(done - wanted)
        self._outcomes.append(outcome)

    def sorted(self) -> tuple[Scalars, Scalars, npt.NDArray[np.int8]]:
        """Return when each was to be sent, how long it took and what became of it, in their order."""
        order = np.argsort(np.array(self._numbers, dtype=np.int64), kind="stable")
        outcomes = np.array(self._outcomes, dtype=np.int8)
        return np.array(self._wanted)[order], np.array(self._seconds)[order], outcomes[order]


class Driver:
    """A load on its way; `measured` is whole once `run` has returned.

    Parameters
    ----------
    writer
        Whose endpoint is asked, and who counts.
    load
        What is sent.
    """

    def __init__(self, writer: templates.Writer, load: Load) -> None:
        self._writer = writer
        self._load = load
        self._look_at = 1
        self._target = wire.Target.of(writer.endpoint)
        # For whom the time has come before the end: they wait so much longer, and not for ever.
        self._grace = min(load.timeout_seconds, max(1.0, load.seconds / 4))
        self._rows = _Rows()
        self._answers: list[tuple[int, transport.Reply]] = []
        self._kept = 0
        self._stages: dict[str, array.array[float]] = {}
        self._lags = array.array("d")
        self._said = ""
        self._unreached = 0
        self._done = array.array("d")
        self._cpu = (0.0, 0.0)
        self._zero = 0.0
        self._end = math.inf

    async def run(self) -> Measured:
        """Send the load.

        Raises
        ------
        CheckError
            ``EndpointUnreachable``: nothing answers at all.
        """
        load = self._load
        self._zero = time.perf_counter() + load.warmup_seconds
        if load.arrivals is not None and len(load.arrivals):
            self._end = self._zero + float(load.arrivals[-1])
        places = self._places()
        watch = asyncio.create_task(self._watch())
        try:
            # Each takes the next place when it is free: late ones are sent late, and pay for it.
            async with asyncio.TaskGroup() as group:
                for _ in range(load.concurrency):
                    group.create_task(self._work(places))
        except* failure.CheckError as errors:
            raise errors.exceptions[0] from None
        finally:
            watch.cancel()
        return self._measured()

    def _places(self) -> Iterator[tuple[int, float]]:
        """Yield the number of each request and when it is to be sent; negative numbers warm up."""
        if self._load.arrivals is not None:
            return self._scheduled(self._load.arrivals)
        return self._answering()

    def _answering(self) -> Iterator[tuple[int, float]]:
        warm = 0
        while self._load.warmup_seconds and time.perf_counter() < self._zero:
            warm -= 1
            yield warm, time.perf_counter()
        self._zero = now = time.perf_counter()
        self._started()
        number = 0
        while not self._load.over(number, now - self._zero):
            yield number, now
            number, now = number + 1, time.perf_counter()

    def _scheduled(self, arrivals: Scalars) -> Iterator[tuple[int, float]]:
        cold = int(np.searchsorted(arrivals, 0.0))
        for place, wanted in enumerate(arrivals.tolist()):
            if place == cold:
                self._started()
            if self._load.over(place - cold, wanted):
                return
            yield place - cold, self._zero + wanted

    def _started(self) -> None:
        self._lags = array.array("d")
        self._cpu = (time.perf_counter(), time.process_time())

    async def _work(self, places: Iterator[tuple[int, float]]) -> None:
        connection = wire.Connection(self._target)
        try:
            for number, wanted in places:
                pause = wanted - time.perf_counter()
                if pause > 0:
                    await asyncio.sleep(pause)
                if time.perf_counter() > self._end + self._grace:
                    self._rows.add(number, wanted, math.inf, Outcome.UNSENT)
                    continue
                if await self._send(connection, number, wanted) is Outcome.UNREACHED:
                    await asyncio.sleep(_REFUSED_SECONDS)
        finally:
            await connection.closed()

    async def _send(self, connection: wire.Connection, number: int, wanted: float) -> Outcome:
        load, tally = self._load, self._writer.tally
        template = load.templates[load.order[number % len(load.order)]]
        tally.sent += 1
        try:
            async with asyncio.timeout(load.timeout_seconds):
                status, headers, body = await connection.exchange("POST", template.headers, template.content)
        except TimeoutError:
            outcome, why = Outcome.TIMED_OUT, f"no answer within {load.timeout_seconds:g} s"
        except wire.Unreached as error:
            outcome, why = Outcome.UNREACHED, str(error)
            tally.sent -= 1
            tally.retried += 1
            self._unreachable(why)
        except wire.Broken as error:
            outcome, why = Outcome.BROKEN, str(error)
        except BaseException:
            tally.failed += 1
            raise
        else:
            outcome, why = self._outcome(template, status), f"status {status}"
            self._unreached = 0
            if number >= 0 and outcome is Outcome.ANSWERED:
                self._look(number, status, headers, body)
        done = time.perf_counter()
        if outcome is not Outcome.ANSWERED:
            tally.failed += outcome is not Outcome.UNREACHED
            self._said = self._said or (why if outcome in ERRORS else "")
        else:
            self._done.append(done)
        if number >= 0:
            self._rows.add(number, wanted, done, outcome)
        return outcome

    def _unreachable(self, why: str) -> None:
        """Give up on a server that never answered: nothing would be measured, quickly and in vain."""
        self._unreached += 1
        if self._unreached >= _GIVE_UP and self._unreached > self._writer.tally.sent:
            raise failure.CheckError(
                "EndpointUnreachable",
                f"{self._writer.endpoint} could not be connected to in {self._unreached} attempts: {why}",
            )

    @staticmethod
    def _outcome(template: templates.Template, status: int) -> Outcome:
        if 200 <= status < 300:  # noqa: PLR2004
            return Outcome.ANSWERED
        if status == _OVERLOADED:
            return Outcome.OVERLOADED
        refused = status in _REFUSALS and template.may_be_refused
        return Outcome.REFUSED if refused else Outcome.FAILED

    def _look(self, number: int, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
        """Keep what the verdict needs of an answer; it is read when nothing is measured any more."""
        # The 1st, 2nd, 3rd, 4th, 6th, 9th …: few of many, and early and late ones.
        if number + 1 >= self._look_at and self._kept + len(body) <= _KEPT_BYTES:
            self._look_at = max(self._look_at + 1, int(self._look_at * _SPARSER))
            self._kept += len(body)
            place = int(self._load.order[number % len(self._load.order)])
            told = httpx.Headers(list(headers.items()))
            self._answers.append((place, transport.Reply(self._writer.endpoint, status, told, body)))
        timing = headers.get(_TIMING_HEADER)
        if timing is not None:
            for name, seconds in stage_seconds(timing):
                if name in self._stages or len(self._stages) < MOST_STAGES:
                    self._stages.setdefault(name, array.array("d")).append(seconds)

    async def _watch(self) -> None:
        """Note how late this process is: what waits here waits in every request, too."""
        while True:
            wanted = time.perf_counter() + _LAG_SECONDS
            await asyncio.sleep(_LAG_SECONDS)
            if len(self._lags) < _LAGS:
                self._lags.append(max(0.0, time.perf_counter() - wanted))

    def _measured(self) -> Measured:
        wall, processor = time.perf_counter() - self._cpu[0], time.process_time() - self._cpu[1]
        wanted, latencies, outcomes = self._rows.sorted()
        latencies[np.isin(outcomes, SLOWER_THAN_ALL)] = math.inf
        done = np.array(self._done) - self._zero
        # Until the last start: behind it the load fades. What warmed up and came later counts as it came.
        seconds = float(wanted.max(initial=self._zero)) - self._zero
        if done.size and seconds < done.max() / 2:
            seconds = float(done.max())
        counts, _ = np.histogram(done, bins=intervals.BATCHES, range=(0.0, max(seconds, 1e-9)))
        return Measured(
            latencies=latencies[np.isin(outcomes, (Outcome.ANSWERED, *SLOWER_THAN_ALL))],
            outcomes={one: int((outcomes == one).sum()) for one in Outcome if (outcomes == one).any()},
            seconds=seconds,
            completed=counts.astype(np.float64),
            lags=np.array(self._lags, dtype=np.float64),
            processor=processor / wall if wall > 0 else 0.0,
            answers=tuple(self._answers),
            stages={name: np.array(found) for name, found in self._stages.items()},
            said=self._said,
        )


def stage_seconds(header: bytes) -> Iterator[tuple[str, float]]:
    """Yield the stages of a ``Server-Timing`` header (W3C) that have a duration, in seconds."""
    for part in header[:1024].decode("latin-1").split(","):
        name, *parameters = (text.strip() for text in part.split(";"))
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip().lower() == "dur" and name.isidentifier():
                try:
                    seconds = float(value.strip().strip('"')) / 1000
                except ValueError:
                    continue
                if 0 <= seconds < math.inf:
                    yield name, seconds
