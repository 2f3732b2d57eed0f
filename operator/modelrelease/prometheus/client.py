"""One Prometheus, asked from asyncio: complete answers or a reason, nothing in between."""

import asyncio
import enum
import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

import pydantic
import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from modelrelease.prometheus import transport
from modelrelease.prometheus.sources import Source
from modelrelease.slo.counters import Sample

QUEUE_SECONDS = 2.0
"""How long a query may wait for a thread, beyond its own time."""
DETAIL_MAX = 160
HTTP_OK = 200
T = TypeVar("T")


class Trouble(enum.StrEnum):
    """Why a query gave nothing: the reasons of an Error."""

    UNREACHABLE = "PrometheusUnreachable"
    TIMEOUT = "PrometheusTimeout"
    REFUSED = "PrometheusRefused"
    FAILED = "PrometheusQueryFailed"
    PARTIAL = "PrometheusPartialResponse"
    INVALID = "PrometheusInvalidResponse"
    CREDENTIALS = "PrometheusCredentials"


class QueryError(Exception):
    """A query gave no complete answer. The message is one short sentence for people."""

    def __init__(self, reason: Trouble, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class RawSeries:
    """One series of an answer; values may be NaN or infinite."""

    labels: Mapping[str, str]
    samples: tuple[Sample, ...]


class _Series(pydantic.BaseModel):
    metric: dict[str, str]
    values: list[tuple[float, Annotated[float, pydantic.Field(allow_inf_nan=True)]]]


class _Point(pydantic.BaseModel):
    metric: dict[str, str]
    value: tuple[float, Annotated[float, pydantic.Field(allow_inf_nan=True)]]


class _Data(pydantic.BaseModel):
    result_type: str = pydantic.Field(alias="resultType")
    result: list[Any]


class _Success(pydantic.BaseModel):
    status: Literal["success"]
    data: _Data
    warnings: list[str] = []


_MATRIX = pydantic.TypeAdapter(list[_Series])
_VECTOR = pydantic.TypeAdapter(list[_Point])
_SCALAR = pydantic.TypeAdapter(tuple[float, float])


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

    def close(self) -> None:
        """Close all connections; call it when no query is under way."""
        while self._sessions:
            self._sessions.pop().close()

    async def matrix(self, query: str, at: float) -> tuple[RawSeries, ...]:
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
        result = await self._ask(query, "matrix", at)
        return tuple(
            RawSeries(series.metric, tuple(Sample(time, value) for time, value in series.values))
            for series in _checked(_MATRIX, result)
        )

    async def vector(self, query: str, at: float) -> tuple[RawSeries, ...]:
        """Return the series of an instant vector, each with one sample; otherwise as :meth:`matrix`."""
        result = await self._ask(query, "vector", at)
        return tuple(RawSeries(point.metric, (Sample(*point.value),)) for point in _checked(_VECTOR, result))

    async def now(self) -> float:
        """Return Prometheus' own clock in seconds since the epoch; raises as :meth:`matrix`."""
        _, value = _checked(_SCALAR, await self._ask("time()", "scalar", None))
        return value

    async def _ask(self, query: str, expected: str, at: float | None) -> list[Any]:
        params = {
            # Ends the query in the server before we stop waiting for it.
            "timeout": f"{self.source.timeout_seconds * 900}ms",
            # Thanos: fail rather than leave stores out. Prometheus ignores it.
            "partial_response": "false",
        }
        if at is not None:
            params["time"] = f"{at:.3f}"
        try:
            async with asyncio.timeout(self.source.timeout_seconds + QUEUE_SECONDS):
                exchange = await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._exchange, query, params
                )
        except TimeoutError:
            raise QueryError(Trouble.TIMEOUT, f"{self._who} did not answer in time") from None
        envelope = self._envelope(exchange)
        if envelope.warnings:
            raise QueryError(
                Trouble.PARTIAL,
                f"{self._who} answered with a warning, data may be missing: {_short(envelope.warnings[0])}",
            )
        if envelope.data.result_type != expected:
            raise QueryError(
                Trouble.INVALID,
                f"{self._who} answered with a {_short(envelope.data.result_type)} instead of a {expected}",
            )
        return envelope.data.result

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
            raise QueryError(*self._trouble(error)) from error
        answered = adapter.take()
        if answered is None:
            raise QueryError(*self._trouble(trouble or RuntimeError("nothing was sent"))) from trouble
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

    def _trouble(self, error: Exception) -> tuple[Trouble, str]:
        if isinstance(error, transport.CredentialsError):
            return Trouble.CREDENTIALS, f"{self._who}: {error}"
        if isinstance(error, requests.Timeout):
            return Trouble.TIMEOUT, f"{self._who} did not answer within {self.source.timeout_seconds} s"
        if isinstance(error, requests.TooManyRedirects):
            return Trouble.INVALID, f"{self._who} redirects elsewhere; give its final URL"
        if isinstance(error, transport.TooLargeError | transport.CutOffError):
            return Trouble.INVALID, f"{self._who}: {error}"
        host = urlsplit(self.source.url).netloc
        return Trouble.UNREACHABLE, f"{self._who} at {host} cannot be reached: {_innermost(error)}"

    def _envelope(self, exchange: transport.Exchange) -> _Success:
        if exchange.status != HTTP_OK:
            kind, detail = _error_of(exchange.body)
            if kind:
                raise QueryError(
                    Trouble.TIMEOUT if kind in ("timeout", "canceled") else Trouble.FAILED,
                    f"{self._who} answered {exchange.status} ({_short(kind)}): {_short(detail)}",
                )
            reason = Trouble.REFUSED if exchange.status in (401, 403) else Trouble.FAILED
            raise QueryError(reason, f"{self._who} answered with HTTP status {exchange.status}")
        try:
            return _Success.model_validate_json(exchange.body)
        except pydantic.ValidationError:
            raise QueryError(
                Trouble.INVALID, f"{self._who} answered with something that is no query result"
            ) from None


def _checked(adapter: pydantic.TypeAdapter[T], result: list[Any]) -> T:
    try:
        return adapter.validate_python(result)
    except pydantic.ValidationError:
        raise QueryError(Trouble.INVALID, "Prometheus answered with series of an unknown shape") from None


def _error_of(body: bytes) -> tuple[str, str]:
    """Return errorType and error of the API's error envelope, or nothing."""
    try:
        document = json.loads(body)
    except ValueError:
        return "", ""
    if not isinstance(document, dict):
        return "", ""
    return str(document.get("errorType", "")), str(document.get("error", ""))


def _innermost(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return _short(getattr(error, "strerror", None) or type(error).__name__)


def _short(text: str) -> str:
    """Make foreign text fit for a status: one printable line of bounded length."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: DETAIL_MAX + 1])
    return line if len(line) <= DETAIL_MAX else line[:DETAIL_MAX] + "…"
