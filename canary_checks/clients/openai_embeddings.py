"""The OpenAI embeddings protocol, asked gently and answered strictly.

Every request carries the run in a header and a trace context, so that a server's owner can tell probes from
users. Requests are counted exactly, because a reader may subtract them from the server's own counters.
"""

import asyncio
import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx
import numpy as np

from canary_checks import failure, inputs
from canary_checks import vocabulary as v
from canary_checks.clients import client

_CONNECT_ATTEMPTS: Final = 4
_BACKOFF_SECONDS: Final = 0.5
_RESPONSE_LIMIT_BYTES: Final = 32 << 20
_REFUSALS: Final = frozenset({400, 413, 422})
# Shorter than the keep-alive of common servers (uvicorn: 5 s): a connection they close cannot swallow a
# request.
_KEEPALIVE_SECONDS: Final = 2.0


class OpenAIEmbeddings:
    """A client of one server, for one run.

    Parameters
    ----------
    endpoint
        Full URL to POST to.
    model
        The served model's name, or None for the first one that the server lists.
    run
        The run that asks; it goes into the probe header.
    max_requests_per_second
        Upper bound of the rate, or None.
    connect_seconds, read_seconds
        Deadlines of opening a connection and of each wait for bytes.
    """

    def __init__(
        self,
        *,
        endpoint: str,
        model: str | None,
        run: str,
        max_requests_per_second: int | None = None,
        connect_seconds: float = 5.0,
        read_seconds: float = 60.0,
    ) -> None:
        self.sent = 0
        self.failed = 0
        self.retried = 0
        self._endpoint = endpoint
        self._served = model
        self._run = run
        self._interval = 1.0 / max_requests_per_second if max_requests_per_second else 0.0
        self._next_start = 0.0
        self._trace = hashlib.sha256(f"{run} {endpoint}".encode()).hexdigest()[:32]
        self._spans = itertools.count(1)
        self._http = httpx.AsyncClient(
            # A probe goes to the pod itself, never through a proxy of the environment.
            trust_env=False,
            timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
            limits=httpx.Limits(max_connections=4, keepalive_expiry=_KEEPALIVE_SECONDS),
            headers={"accept-encoding": "identity", v.PROBE_HEADER: run},
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def model(self) -> str:
        """Return the name that requests carry; a server that was given none is asked for its list, once.

        The list is no embedding request: it does not count as sent.

        Raises
        ------
        CheckError
            ``ModelUnknown``: the server does not list its models.
        """
        if self._served is None:
            models = re.sub(r"/[^/]*$", "/models", self._endpoint)
            try:
                response = await self._http.get(models)
                listed = response.raise_for_status().json()["data"]
                self._served = str(listed[0]["id"])
            except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
                raise failure.CheckError(
                    "ModelUnknown", f"{models} lists no model, so the manifest must say its servedName"
                ) from error
        return self._served

    async def embed(self, asked: Sequence[inputs.Input]) -> client.Answer:
        """Ask for the embeddings of some texts with one request; see `client.EmbeddingClient.embed`."""
        texts = [one.content for one in asked if isinstance(one, inputs.Text)]
        content = json.dumps(
            {"model": await self.model(), "input": texts, "encoding_format": "float"}
        ).encode()
        for attempt in range(1, _CONNECT_ATTEMPTS + 1):
            await self._pace()
            self.sent += 1
            try:
                return await self._ask(content)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                # Nobody saw this request: it is no request of ours in the server's counters.
                self.sent -= 1
                if attempt == _CONNECT_ATTEMPTS:
                    raise failure.CheckError(
                        "EndpointUnreachable",
                        f"{self._endpoint} could not be connected to in {attempt} attempts: {_said(error)}",
                    ) from error
                self.retried += 1
                await asyncio.sleep(_BACKOFF_SECONDS * 2 ** (attempt - 1))
            except BaseException:
                self.failed += 1
                raise
        raise AssertionError("the last attempt returns or raises")

    async def tokenize(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:  # noqa: ARG002
        """The protocol has no such route."""
        return None

    async def _ask(self, content: bytes) -> client.Answer:
        headers = {
            "content-type": "application/json",
            v.TRACE_HEADER: f"00-{self._trace}-{next(self._spans):016x}-01",
        }
        try:
            async with self._http.stream(
                "POST", self._endpoint, content=content, headers=headers
            ) as response:
                body = await _bounded(response)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise
        except httpx.TimeoutException as error:
            raise failure.CheckError("EndpointTimeout", f"{self._endpoint} did not answer in time") from error
        except httpx.HTTPError as error:
            raise failure.CheckError(
                "EndpointError", f"{self._endpoint} broke the connection: {_said(error)}"
            ) from error
        if response.status_code in _REFUSALS:
            raise client.Refused("RequestRefused", _status(self._endpoint, response.status_code, body))
        if not response.is_success:
            raise failure.CheckError("EndpointError", _status(self._endpoint, response.status_code, body))
        return _parse(body)

    async def _pace(self) -> None:
        """Wait until the next request may start."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + self._interval
        if start > now:
            await asyncio.sleep(start - now)


async def _bounded(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > _RESPONSE_LIMIT_BYTES:
            raise failure.CheckError(
                "ResponseInvalid", f"the response is larger than {_RESPONSE_LIMIT_BYTES >> 20} MiB"
            )
        parts.append(part)
    return b"".join(parts)


def _parse(body: bytes) -> client.Answer:
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise failure.CheckError(
            "ResponseInvalid", "the server answered 200 with something that is not JSON"
        ) from error
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        raise failure.CheckError("ResponseInvalid", "the response has no list `data`")
    model = answer.get("model")
    return client.Answer(
        model=model if isinstance(model, str) else None,
        indices=tuple(_index(entry) for entry in data),
        vectors=tuple(_vector(entry["embedding"]) for entry in data),
    )


def _index(entry: Any) -> int:
    index = entry.get("index") if isinstance(entry, dict) else None
    if not isinstance(index, int) or isinstance(index, bool) or "embedding" not in entry:
        raise failure.CheckError(
            "ResponseInvalid", "an entry of `data` has no integer `index` or no `embedding`"
        )
    return index


def _vector(values: Any) -> client.Vector:
    if not isinstance(values, list) or not values:
        raise failure.CheckError("ResponseInvalid", "an `embedding` is not a list of numbers")
    if not all(x is None or (isinstance(x, int | float) and not isinstance(x, bool)) for x in values):
        raise failure.CheckError("ResponseInvalid", "an `embedding` holds something that is not a number")
    try:
        with np.errstate(over="ignore"):
            return np.array([np.nan if x is None else x for x in values], dtype=np.float64).astype(np.float32)
    except OverflowError as error:
        raise failure.CheckError("ResponseInvalid", "an `embedding` holds a number beyond float64") from error


def _status(endpoint: str, status: int, body: bytes) -> str:
    said = v.sentence(body[:400].decode("utf-8", "replace"), 200)
    return f"{endpoint} answered {status}" + (f": {said}" if said else "")


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
