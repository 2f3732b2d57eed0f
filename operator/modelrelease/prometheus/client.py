"""One Prometheus, asked from asyncio: complete answers or a reason, nothing in between."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from modelrelease.prometheus import answers, batches, rate, transport
from modelrelease.prometheus.sources import Source

QUEUE_SECONDS = 2.0
"""How long a query may wait for its turn and for a thread, each beyond its own time."""
CLOCK_SECONDS = 10.0
"""How long a reading of Prometheus' clock is good."""


class Prometheus:
    """The query API of one source.

    Parameters
    ----------
    source : Source
        Where, and how to be let in.
    pool : ThreadPoolExecutor
        Bounded, and for Prometheus alone: `requests` blocks.
    clock : Callable
        Monotonic seconds.
    response_bytes_max : int
        Larger answers are an Error.

    Notes
    -----
    A `requests.Session` is not safe between threads, so each thread of the pool has its own.
    """

    def __init__(
        self,
        source: Source,
        pool: ThreadPoolExecutor,
        clock: Callable[[], float],
        *,
        response_bytes_max: int = transport.RESPONSE_BYTES_MAX,
    ) -> None:
        self.source = source
        self._pool = pool
        self._clock = clock
        self._response_bytes_max = response_bytes_max
        self._local = threading.local()
        self._sessions: list[requests.Session] = []
        self._rate = rate.Rate(source.queries_per_second, clock, longest=QUEUE_SECONDS)
        self._batches = batches.Batches(self.matrix, self.vector, clock)
        self._asked_clock: asyncio.Future[float] | None = None
        self._clock_read = 0.0

    def close(self) -> None:
        """Close all connections; call it when no query is under way."""
        while self._sessions:
            self._sessions.pop().close()

    async def matrix(self, query: str, at: float) -> tuple[answers.RawSeries, ...]:
        """Return the raw samples of a range selector, as of an instant.

        Parameters
        ----------
        query : str
            A selector with a range, from :func:`modelrelease.prometheus.promql.selector`.
        at : float
            Seconds since the epoch.

        Returns
        -------
        tuple of RawSeries
            Empty where nothing matches.

        Raises
        ------
        QueryError
            If there is no complete answer of that type.
        """
        return answers.matrix(self._who, await self._ask(query, at))

    async def vector(self, query: str, at: float) -> tuple[answers.RawSeries, ...]:
        """Return the series of an instant vector, each with one sample; otherwise as :meth:`matrix`."""
        return answers.vector(self._who, await self._ask(query, at))

    async def select(self, ask: batches.Ask) -> tuple[answers.RawSeries, ...]:
        """Return series of some pods, asked together with what others ask; raises as :meth:`matrix`."""
        return await self._batches.ask(ask)

    async def now(self) -> float:
        """Return Prometheus' own clock in seconds since the epoch; raises as :meth:`matrix`.

        It is asked every few seconds, and goes on by ours in between.
        """
        asked = self._asked_clock
        if asked is None or (asked.done() and self._clock() - self._clock_read > CLOCK_SECONDS):
            asked = self._asked_clock = asyncio.ensure_future(self._read_clock())
            asked.add_done_callback(_heard)
        try:
            ahead = await asyncio.shield(asked)
        except answers.QueryError:
            if self._asked_clock is asked:
                self._asked_clock = None
            raise
        return ahead + self._clock()

    async def _read_clock(self) -> float:
        """Return by how much Prometheus' clock is ahead of the monotonic one."""
        said = answers.scalar(self._who, await self._ask("time()", None))
        self._clock_read = self._clock()
        return said - self._clock_read

    async def _ask(self, query: str, at: float | None) -> transport.Exchange:
        params = {
            # Ends the query in the server before we stop waiting for it.
            "timeout": f"{self.source.timeout_seconds * 900}ms",
            # Fail rather than leave stores out: Thanos, VictoriaMetrics. Others ignore what they don't know.
            "partial_response": "false",
            "deny_partial_response": "1",
        }
        if at is not None:
            params["time"] = f"{at:.3f}"
        if not await self._rate.enter():
            raise answers.QueryError(
                answers.Trouble.THROTTLED,
                f"{self._who} allows {self.source.queries_per_second} queries per second, more are wanted",
            )
        try:
            async with asyncio.timeout(self.source.timeout_seconds + QUEUE_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._exchange, query, params
                )
        except TimeoutError:
            raise answers.QueryError(answers.Trouble.TIMEOUT, f"{self._who} did not answer in time") from None

    @property
    def _who(self) -> str:
        return f"Prometheus source {self.source.name!r}"

    def _exchange(self, query: str, params: Mapping[str, str]) -> transport.Exchange:
        """Send one query; runs in a thread of the pool."""
        connect, adapter = self._client()
        adapter.take()  # what an earlier query may have left
        trouble: Exception | None = None
        try:
            connect.custom_query(query, params=dict(params))
        except (PrometheusApiClientException, KeyError, TypeError, ValueError) as error:
            trouble = error  # not 200, or no result in it: what was answered says more than the exception
        except requests.RequestException as error:
            raise self._trouble(error) from error
        answered = adapter.take()
        if answered is None:
            raise self._trouble(trouble or RuntimeError("nothing was sent")) from trouble
        return answered

    def _client(self) -> tuple[PrometheusConnect, transport.CappedAdapter]:
        client: tuple[PrometheusConnect, transport.CappedAdapter] | None
        client = getattr(self._local, "client", None)
        if client is None:
            session = transport.session(self.source)
            connect = PrometheusConnect(
                url=self.source.url, session=session, retry=Retry(total=0), method="POST"
            )
            adapter = transport.CappedAdapter(
                self._clock, self.source.timeout_seconds, self._response_bytes_max
            )
            session.mount(self.source.url, adapter)  # after PrometheusConnect, which mounts its own there
            client = self._local.client = (connect, adapter)
            self._sessions.append(session)
        return client

    def _trouble(self, error: Exception) -> answers.QueryError:
        trouble = answers.Trouble
        if isinstance(error, transport.CredentialsError):
            return answers.QueryError(trouble.CREDENTIALS, f"{self._who}: {error}")
        if isinstance(error, requests.Timeout):
            said = f"did not answer within {self.source.timeout_seconds} s"
            return answers.QueryError(trouble.TIMEOUT, f"{self._who} {said}")
        if isinstance(error, requests.TooManyRedirects):
            return answers.QueryError(trouble.INVALID, f"{self._who} redirects elsewhere; give its final URL")
        if isinstance(error, transport.TooLargeError | transport.CutOffError):
            too_much = isinstance(error, transport.TooLargeError)
            return answers.QueryError(trouble.INVALID, f"{self._who}: {error}", too_much=too_much)
        host = urlsplit(self.source.url).netloc
        said = f"at {host} cannot be reached: {_innermost(error)}"
        return answers.QueryError(trouble.UNREACHABLE, f"{self._who} {said}")


def _heard(read: asyncio.Future[float]) -> None:
    """Take note of a failure, also when nobody waits for it any more."""
    if not read.cancelled():
        read.exception()


def _innermost(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return answers.short(getattr(error, "strerror", None) or type(error).__name__)
