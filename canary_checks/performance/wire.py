"""One HTTP connection as a replay needs it: little between the clock and the socket.

The clients' own transport is careful and slow: at 800 requests per second it would measure itself. h11 reads
HTTP, asyncio the socket, and nothing is pooled, repeated or followed.
"""

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import Mapping
from typing import Final
from urllib import parse

import h11

from canary_checks import failure

LIMIT_BYTES: Final = 64 << 20
"""As much as an image may have (see canary_checks.clients.generation)."""
_CONNECT_SECONDS: Final = 5.0
_CHUNK: Final = 1 << 16
# Shorter than the keep-alive of common servers (uvicorn: 5 s): see canary_checks.clients.transport.
_KEEPALIVE_SECONDS: Final = 2.0

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Unreached(Exception):
    """No connection could be made: nobody saw the request."""


class Broken(Exception):
    """The server broke the connection, or what it said is no HTTP."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a request goes."""

    host: str
    port: int
    path: str
    tls: bool
    authority: str

    @classmethod
    def of(cls, url: str) -> "Target":
        """Read a URL.

        Raises
        ------
        CheckError
            ``RequestInvalid``: it is none.
        """
        try:
            parts = parse.urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise failure.CheckError("RequestInvalid", f"{url} is no URL: {error}") from error
        if not parts.hostname:
            raise failure.CheckError("RequestInvalid", f"{url} is no URL of a server")
        tls = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.hostname, port or (443 if tls else 80), path, tls, parts.netloc.rpartition("@")[2])


class Connection:
    """A connection that is opened when it is needed; for one request at a time.

    Parameters
    ----------
    target
        Where to.
    limit
        Largest body of an answer, in bytes.
    """

    def __init__(self, target: Target, limit: int = LIMIT_BYTES) -> None:
        self._limit = limit
        self._target = target
        self._streams: _Streams | None = None
        self._state = h11.Connection(h11.CLIENT)
        self._opened_last: _Streams | None = None
        self._heard = False
        self._used = 0.0

    async def exchange(
        self, method: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, Mapping[bytes, bytes], bytes]:
        """Send one request and read its whole answer.

        Parameters
        ----------
        method, headers, content
            The request; host and length are added.

        Returns
        -------
        Status, headers in lower case, and body.

        Raises
        ------
        Unreached
            No connection could be made.
        Broken
            The connection ended before the answer did, or the answer is too large or no HTTP.
        """
        kept = self._streams
        try:
            return await self._exchange(method, headers, content)
        except Broken:
            # The server let go of an idle connection while the request was on its way: nobody read it.
            if self._heard or kept is None or self._opened_last is not kept:
                raise
            return await self._exchange(method, headers, content)

    async def _exchange(
        self, method: str, headers: Mapping[str, str], content: bytes
    ) -> tuple[int, Mapping[bytes, bytes], bytes]:
        reader, writer = self._opened_last = await self._opened()
        self._heard = False
        whole = False
        try:
            named = {"host": self._target.authority, "content-length": str(len(content))} | dict(headers)
            head = h11.Request(method=method, target=self._target.path, headers=list(named.items()))
            sent = [self._state.send(head), self._state.send(h11.Data(data=content))]
            writer.write(b"".join(part or b"" for part in (*sent, self._state.send(h11.EndOfMessage()))))
            answer = await self._answer(reader)
            whole = True
        except (OSError, h11.ProtocolError) as error:
            raise Broken(str(error) or type(error).__name__) from error
        finally:
            # Whatever cut it short: what is left of this answer must not become the next one's.
            if not whole or self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
                self.close()
            else:
                self._state.start_next_cycle()
                self._used = asyncio.get_running_loop().time()
        return answer

    def close(self) -> None:
        """Let go of the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def closed(self) -> None:
        """Close the connection and wait for it."""
        if self._streams is not None:
            writer = self._streams[1]
            self.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _opened(self) -> _Streams:
        streams = self._streams
        idle = asyncio.get_running_loop().time() - self._used
        if streams is not None and not streams[0].at_eof() and idle < _KEEPALIVE_SECONDS:
            return streams
        self.close()
        tls = ssl.create_default_context() if self._target.tls else None
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                streams = await asyncio.open_connection(
                    self._target.host, self._target.port, ssl=tls, limit=_CHUNK * 2
                )
        except (OSError, TimeoutError) as error:
            raise Unreached(str(error) or "no connection in time") from error
        self._state = h11.Connection(h11.CLIENT)
        self._streams = streams
        return streams

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, Mapping[bytes, bytes], bytes]:
        status, headers, parts, size = 0, dict[bytes, bytes](), list[bytes](), 0
        while True:
            event = self._state.next_event()
            if event is h11.NEED_DATA:
                received = await reader.read(_CHUNK)
                self._heard = self._heard or bool(received)
                self._state.receive_data(received)
            elif isinstance(event, h11.Response):
                status, headers = event.status_code, dict(event.headers)
            elif isinstance(event, h11.Data):
                parts.append(bytes(event.data))
                size += len(parts[-1])
                if size > self._limit:
                    raise Broken(f"the response is larger than {self._limit} bytes")
            elif isinstance(event, h11.EndOfMessage):
                return status, headers, b"".join(parts)
            elif isinstance(event, h11.ConnectionClosed):
                raise Broken("the server closed the connection without an answer")
