"""HTTP as a probe needs it: gentle, bounded in time and memory, marked on the wire and counted exactly.

Requests are counted exactly because a reader may subtract them from the server's own counters. Only what no
server has seen (a connection that was not made) and what the server itself asked to be sent again (429) is
repeated.
"""

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import re
import ssl
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Self, TypeVar

import httpx

from canary_checks import failure
from canary_checks import vocabulary as v
from canary_checks.clients import client, parent, waiting

Read = TypeVar("Read")

JSON: Final = {"content-type": "application/json"}

_CONNECT_ATTEMPTS: Final = 4
_REFUSALS: Final = frozenset({400, 413, 422})
_OVERLOADED: Final = 429
_UNREACHED: Final = (httpx.ConnectError, httpx.ConnectTimeout)
# Shorter than the keep-alive of common servers (uvicorn: 5 s): a connection they close cannot swallow a
# request.
_KEEPALIVE_SECONDS: Final = 2.0
_CONNECTIONS: Final = 4
_LAST_PORT: Final = 65_535

# httpcore tries to import it several times in each request. Where it is not installed, each attempt would
# search all of sys.path again: two fifths of what a request takes.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]


@functools.cache
def authorities() -> ssl.SSLContext:
    """Return whom to trust with https unless told: read once, for that takes as long as many a request."""
    return httpx.create_ssl_context(trust_env=False)


@dataclasses.dataclass(frozen=True)
class Limits:
    """How long and how much a request may be.

    Attributes
    ----------
    connect_seconds, read_seconds
        Deadlines of opening a connection and of each wait for bytes.
    request_seconds
        Deadline of one request as a whole, whatever trickles in.
    response_bytes
        Largest body, after decompression.
    backoff_seconds
        The pause before the second attempt to connect; it doubles.
    patience_seconds
        How long, in all, a server that answers 429 is waited for.
    warm_up_seconds
        Deadline of a request that may make the server load or compile something, and of its waits.
    """

    connect_seconds: float = 5.0
    read_seconds: float = 60.0
    request_seconds: float = 120.0
    response_bytes: int = 16 << 20
    backoff_seconds: float = 0.5
    patience_seconds: float = 30.0
    warm_up_seconds: float = 600.0


@dataclasses.dataclass(frozen=True)
class Reply:
    """A whole response."""

    url: str
    status: int
    headers: httpx.Headers
    body: bytes


@dataclasses.dataclass(frozen=True)
class _Question:
    """A request, before it is marked."""

    method: str
    url: str
    content: bytes | None
    headers: Mapping[str, str]


@dataclasses.dataclass
class Tally:
    """Requests that reached the server, those of them without a usable answer, and attempts repeated."""

    sent: int = 0
    failed: int = 0
    retried: int = 0


class Transport:
    """The connections to one server, for one operation of one run; use it as an asynchronous context.

    Parameters
    ----------
    endpoint
        Full URL to POST to.
    root
        Base URL of the server.
    run
        The run that asks; it goes into the probe header.
    max_requests_per_second
        Upper bound of the rate of everything that is sent, or None.
    limits
        Bounds of every request.
    verify
        Whom to trust with https; by default the usual authorities.

    Raises
    ------
    CheckError
        ``RequestInvalid``: the endpoint is no URL.

    Attributes
    ----------
    tally
        The counted requests: those to the endpoint. What is asked besides is not counted.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        root: str,
        run: str,
        max_requests_per_second: int | None = None,
        limits: Limits | None = None,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        _check_url(endpoint)
        self.endpoint = endpoint
        self.root = re.sub(r"/+$", "", root)
        self.tally = Tally()
        self._aside = Tally()
        self._limits = limits = limits or Limits()
        self._interval = 1.0 / max_requests_per_second if max_requests_per_second else 0.0
        self._next_start = 0.0
        self._trace = hashlib.sha256(f"{run} {endpoint}".encode()).hexdigest()[:32]
        self._spans = itertools.count(1)
        self._parent = parent.header()
        self._http = httpx.AsyncClient(
            # A probe goes to the pod itself, never through a proxy of the environment.
            trust_env=False,
            verify=verify or authorities(),
            follow_redirects=False,
            timeout=self._timeout(),
            limits=httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_KEEPALIVE_SECONDS),
            headers={"accept-encoding": "identity", v.PROBE_HEADER: run},
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._http.aclose()

    @contextlib.contextmanager
    def patient(self) -> Iterator[None]:
        """Give requests the time to warm the server up, for as long as this lasts."""
        usual, longest = self._limits, self._limits.warm_up_seconds
        self._limits = dataclasses.replace(usual, read_seconds=longest, request_seconds=longest)
        try:
            yield
        finally:
            self._limits = usual

    def sibling(self, name: str) -> str:
        """Return the endpoint's URL with another last segment."""
        return re.sub(r"/[^/]*$", f"/{name}", self.endpoint)

    async def ask(
        self, content: bytes, read: Callable[[Reply], Read], headers: Mapping[str, str] = JSON
    ) -> Read:
        """Send one request to the endpoint and read its answer.

        Parameters
        ----------
        content, headers
            The request.
        read
            Makes something of a response that says success, or raises; it decides whether the request counts
            as failed.

        Returns
        -------
        What `read` returned.

        Raises
        ------
        Refused
            Status 400, 413 or 422.
        CheckError
            ``EndpointUnreachable``, ``EndpointTimeout``, ``EndpointOverloaded`` (429 for too long),
            ``EndpointError`` (another status, a redirect, a broken connection), ``ResponseInvalid`` (too
            large, or what `read` says).
        """

        def accepted(reply: Reply) -> Read:
            return read(accept(reply))

        return await self._send(self.tally, _Question("POST", self.endpoint, content, headers), accepted)

    async def look(
        self, url: str, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask something besides, by GET or with a JSON body by POST; it is paced, marked and not counted.

        Returns
        -------
        The response, whatever its status.

        Raises
        ------
        CheckError
            As `ask`, for want of a response.
        """
        question = (
            _Question("GET", url, None, headers or {})
            if content is None
            else _Question("POST", url, content, {**JSON, **(headers or {})})
        )
        return await self._send(self._aside, question, lambda reply: reply)

    async def _send(self, tally: Tally, question: _Question, read: Callable[[Reply], Read]) -> Read:
        unreached, waited = 0, 0.0
        while True:
            await self._pace()
            tally.sent += 1
            try:
                reply = await self._exchange(question)
                if reply.status != _OVERLOADED:
                    return read(reply)
                pause = self._wanted_pause(reply, waited)
            except _UNREACHED as error:
                # Nobody saw this request: it is no request of ours in the server's counters.
                tally.sent -= 1
                unreached += 1
                if unreached == _CONNECT_ATTEMPTS:
                    raise failure.CheckError(
                        "EndpointUnreachable",
                        f"{question.url} could not be connected to in {unreached} attempts: {_said(error)}",
                    ) from error
                pause = self._limits.backoff_seconds * 2 ** (unreached - 1)
            except BaseException:
                tally.failed += 1
                raise
            else:
                tally.failed += 1
                waited += pause
            tally.retried += 1
            await asyncio.sleep(pause)

    def _wanted_pause(self, reply: Reply, waited: float) -> float:
        """Return how long the server wants to be left alone, at least the backoff, or give up."""
        asked = waiting.seconds(reply.headers.get("retry-after"))
        # Without a wish: 1 s, then as long as was waited already.
        pause = max(waited, 1.0) if asked is None else max(asked, self._limits.backoff_seconds)
        if waited + pause > self._limits.patience_seconds:
            wish = "" if asked is None else f" and asks to wait {asked:g} s"
            raise failure.CheckError(
                "EndpointOverloaded",
                f"{reply.url} answered 429{wish}; it has been waited for {waited:g} s of the"
                f" {self._limits.patience_seconds:g} s that this check has",
            )
        return pause

    async def _exchange(self, question: _Question) -> Reply:
        url = question.url
        trace = self._parent or f"00-{self._trace}-{next(self._spans):016x}-01"
        headers = dict(question.headers) | {v.TRACE_HEADER: trace}
        # One that binds requests to a backend would hide the others.
        self._http.cookies.clear()
        try:
            async with (
                asyncio.timeout(self._limits.request_seconds),
                self._http.stream(
                    question.method, url, content=question.content, headers=headers, timeout=self._timeout()
                ) as response,
            ):
                body = await _bounded(response, self._limits.response_bytes)
        except _UNREACHED:
            raise
        except httpx.TimeoutException as error:
            raise failure.CheckError("EndpointTimeout", f"{url} did not answer in time") from error
        except TimeoutError as error:
            raise failure.CheckError(
                "EndpointTimeout",
                f"{url} did not finish its answer within {self._limits.request_seconds:g} s",
            ) from error
        except httpx.HTTPError as error:
            raise failure.CheckError(
                "EndpointError", f"{url} broke the connection: {_said(error)}"
            ) from error
        return Reply(url=url, status=response.status_code, headers=response.headers, body=body)

    def _timeout(self) -> httpx.Timeout:
        limits = self._limits
        return httpx.Timeout(limits.read_seconds, connect=limits.connect_seconds, pool=None)

    async def _pace(self) -> None:
        """Wait until the next request may start."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + self._interval
        if start > now:
            await asyncio.sleep(start - now)


def accept(reply: Reply) -> Reply:
    """Return a reply that says success.

    Raises
    ------
    Refused, CheckError
        ``RequestRefused`` (400, 413, 422) or ``EndpointError``: the status says something else.
    """
    if 200 <= reply.status < 300:  # noqa: PLR2004
        return reply
    if 300 <= reply.status < 400:  # noqa: PLR2004
        to = v.sentence(reply.headers.get("location", ""), 120)
        raise failure.CheckError(
            "EndpointError",
            f"{reply.url} answered {reply.status}, a redirect to {to or 'nowhere'}; a probe follows none,"
            " so it must be given the URL that answers itself",
        )
    said = v.sentence(reply.body[:400].decode("utf-8", "replace"), 200)
    message = f"{reply.url} answered {reply.status}" + (f": {said}" if said else "")
    if reply.status in _REFUSALS:
        raise client.Refused("RequestRefused", message)
    raise failure.CheckError("EndpointError", message)


def _check_url(url: str) -> None:
    """Refuse what the HTTP library would refuse or stumble over when it is used."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise failure.CheckError("RequestInvalid", f"{url} is no URL: {error}") from error
    if parsed.userinfo:
        # It would end in every message.
        raise failure.CheckError("RequestInvalid", f"the URL of {parsed.host} holds credentials")
    port = parsed.port
    if port is not None and not 0 < port <= _LAST_PORT:
        raise failure.CheckError("RequestInvalid", f"{url} is no URL: there is no port {port}")


async def _bounded(response: httpx.Response, limit: int) -> bytes:
    """Read a body of at most `limit` bytes; a compressed one grows no further than that either."""
    inflate = _decoder(response.headers.get("content-encoding", "identity").strip().lower())
    parts: list[bytes] = []
    size = 0
    async for raw in response.aiter_raw():
        part = raw
        if inflate is not None:
            try:
                part = inflate.decompress(raw, limit - size + 1)
            except zlib.error as error:
                raise failure.CheckError(
                    "ResponseInvalid", f"the compressed response is broken: {error}"
                ) from error
        size += len(part)
        if size > limit:
            raise failure.CheckError("ResponseInvalid", f"the response is larger than {limit >> 20} MiB")
        parts.append(part)
        if inflate is not None and inflate.eof:
            break
    if inflate is not None and not inflate.eof:
        raise failure.CheckError("ResponseInvalid", "the compressed response ends in the middle")
    return b"".join(parts)


def _decoder(coding: str) -> "zlib._Decompress | None":
    if coding in {"", "identity"}:
        return None
    if coding in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    raise failure.CheckError(
        "ResponseInvalid",
        f"the response is compressed with {v.sentence(coding, 40)!r}, though the request accepts none",
    )


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
