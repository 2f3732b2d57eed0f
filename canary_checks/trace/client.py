"""The client of ``probe.modelrelease.dev/v1``: bounded in time, size and load."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self

import httpx
import pydantic
from pydantic import alias_generators

from canary_checks import failure, inputs
from canary_checks import vocabulary as v
from canary_checks.clients import parent, transport
from canary_checks.trace import values

TOKEN_VARIABLE: Final = "MODELRELEASE_PROBE_TOKEN"
SCHEMA: Final = "probe.modelrelease.dev/v1"

_RESPONSE_LIMIT_BYTES: Final = 96 << 20
_INFO_LIMIT_BYTES: Final = 4 << 20
_TENSOR_LIMIT_BYTES: Final = 32 << 20
_REQUEST_LIMIT_BYTES: Final = 16 << 20
_ITEMS: Final = 32
_UNAUTHORIZED: Final = frozenset({401, 403})
_NOT_FOUND: Final = 404
_BUSY: Final = 429
_LONGEST_PAUSE_SECONDS: Final = 5.0


class _Open(pydantic.BaseModel):
    """Every key that the endpoint says beyond these is kept, for the diff."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="allow", alias_generator=alias_generators.to_camel, validate_by_name=True
    )


class Preprocess(_Open):
    """What the process says about its preprocessing."""

    digest: str | None = None
    contract: dict[str, pydantic.JsonValue] = pydantic.Field(default_factory=dict)


class Info(_Open):
    """What ``GET /probe/v1/info`` answers.

    `source` is ``Artifact`` for a sidecar that reads the model's files: it tells what these say, and not what
    the server does.
    """

    schema_version: Literal["probe.modelrelease.dev/v1"] = pydantic.Field(alias="schema")
    stages: tuple[str, ...]
    source: Literal["Process", "Artifact"] = "Process"
    model: dict[str, pydantic.JsonValue] = pydantic.Field(default_factory=dict)
    embedding: dict[str, pydantic.JsonValue] = pydantic.Field(default_factory=dict)
    max_input_tokens: int | None = None
    preprocess: Preprocess = Preprocess()
    generation: dict[str, pydantic.JsonValue] = pydantic.Field(default_factory=dict)
    accelerator: dict[str, pydantic.JsonValue] = pydantic.Field(default_factory=dict)
    packages: dict[str, str] = pydantic.Field(default_factory=dict)


Traced = Mapping[str, Mapping[str, values.Value]]
"""By item, then by stage."""


class TraceClient:
    """A client of one process, for one run; use it as an asynchronous context.

    Parameters
    ----------
    url
        Base URL of the server, or of the port where its probe listens.
    token
        What MODELRELEASE_PROBE_TOKEN is on the server.
    run
        The run that asks; it goes into the probe header.
    connect_seconds, read_seconds
        Deadlines of opening a connection and of each wait for bytes.
    busy_seconds
        How long to wait altogether for a server that traces for somebody else (429).
    """

    def __init__(
        self,
        *,
        url: str,
        token: str,
        run: str,
        connect_seconds: float = 5.0,
        read_seconds: float = 60.0,
        busy_seconds: float = 30.0,
    ) -> None:
        self.sent = 0
        self.failed = 0
        self.retried = 0
        self._base = re.sub(r"/+$", "", url) + "/probe/v1"
        # What messages show: a password in a URL is sent and appears in no result.
        self._shown = re.sub(r"//[^/]*@", "//", self._base)
        self._patience = busy_seconds
        self._http = httpx.AsyncClient(
            trust_env=False,
            verify=transport.authorities(),
            timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
            # Servers close what is idle for 5 s: a connection is not used again shortly before.
            limits=httpx.Limits(max_connections=1, keepalive_expiry=2.0),
            headers={
                "accept-encoding": "identity",
                "authorization": f"Bearer {token}",
                v.PROBE_HEADER: run,
                **({v.TRACE_HEADER: parented} if (parented := parent.header()) is not None else {}),
            },
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def info(self) -> Info:
        """Ask what the process says about itself.

        Raises
        ------
        CheckError
            ``ProbeUnavailable``: there is no endpoint, or the token is not its token.
            ``EndpointUnreachable``, ``EndpointTimeout``, ``EndpointError``, ``ResponseInvalid``.
        """
        answer = await self._ask("GET", "/info", None)
        try:
            return Info.model_validate(answer)
        except pydantic.ValidationError as error:
            self.failed += 1
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise failure.CheckError(
                "ResponseInvalid", f"{self._shown}/info is no {SCHEMA}: {where}: {first['msg']}"
            ) from error

    async def digests(
        self, items: Mapping[str, inputs.Input], stages: Sequence[str], seed: int | None = None
    ) -> Traced:
        """Ask for token ids and for the digests of tensors.

        Parameters
        ----------
        items
            What to trace, by id.
        stages
            Which stages.
        seed
            For stages that draw noise.

        Raises
        ------
        CheckError
            As `info`.
        """
        found: dict[str, Mapping[str, values.Value]] = {}
        for part in _parts({name: _length(one) for name, one in items.items()}, _REQUEST_LIMIT_BYTES):
            found |= await self._trace({name: items[name] for name in part}, stages, "Digest", seed)
        return found

    async def tensors(
        self, items: Mapping[str, inputs.Input], stage: str, sizes: Mapping[str, int], seed: int | None = None
    ) -> Traced:
        """Ask for the whole tensors of one stage.

        Parameters
        ----------
        items
            What to trace, by id.
        stage
            Which stage.
        sizes
            Bytes of each item's tensor, by id, as its digest said; one above 32 MiB is left out.
        seed
            For stages that draw noise.

        Raises
        ------
        CheckError
            As `info`.
        """
        small = {name: sizes[name] for name in items if sizes[name] <= _TENSOR_LIMIT_BYTES}
        found: dict[str, Mapping[str, values.Value]] = {}
        for part in _parts(small, _TENSOR_LIMIT_BYTES):
            found |= await self._trace({name: items[name] for name in part}, [stage], "Tensor", seed)
        return found

    async def _trace(
        self, items: Mapping[str, inputs.Input], stages: Sequence[str], include: str, seed: int | None
    ) -> dict[str, Mapping[str, values.Value]]:
        body = {
            "items": [{"id": name} | _payload(one) for name, one in items.items()],
            "stages": list(stages),
            "include": include,
        }
        answer = await self._ask("POST", "/trace", body | ({} if seed is None else {"seed": seed}))
        try:
            found = {entry["id"]: entry["stages"] for entry in answer["items"]}
            traced = {
                name: {stage: values.parse(value, stage) for stage, value in found[name].items()}
                for name in items
            }
        except (TypeError, LookupError, AttributeError) as error:
            raise failure.CheckError(
                "ResponseInvalid", f"{self._shown}/trace did not answer with the stages of each item"
            ) from error
        return {
            name: {stage: one for stage, one in made.items() if stage in stages}
            for name, made in traced.items()
        }

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """Ask, and count: a request that reached the server and had no usable answer has failed."""
        before = self.sent
        try:
            return await self._answer(method, path, body)
        except failure.CheckError:
            self.failed += self.sent > before
            raise

    async def _answer(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        content = None if body is None else json.dumps(body).encode()
        waited = 0.0
        while True:
            status, headers, answer = await self._send(method, path, content)
            if status != _BUSY:
                break
            pause = _pause(headers.get("retry-after", ""))
            waited += pause
            if waited > self._patience:
                raise failure.CheckError(
                    "EndpointError", f"{self._shown} traces for somebody else since {waited:.0f} s"
                )
            self.failed += 1
            self.retried += 1
            await asyncio.sleep(pause)
        if status in _UNAUTHORIZED:
            raise failure.CheckError(
                "ProbeUnavailable",
                f"{self._shown} answers {status}: it refuses the token of {TOKEN_VARIABLE}",
            )
        if status == _NOT_FOUND:
            raise failure.CheckError(
                "ProbeUnavailable",
                f"{self._shown} answers 404: the server has no probe endpoint, or {TOKEN_VARIABLE} is not set"
                " there, or is another one here",
            )
        if not 200 <= status < 300:  # noqa: PLR2004 - success, as HTTP has it
            said = v.sentence(answer[:400].decode("utf-8", "replace"), 200)
            raise failure.CheckError("EndpointError", f"{self._shown}{path} answered {status}: {said}")
        try:
            decoded = json.loads(answer, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise failure.CheckError("ResponseInvalid", f"{self._shown}{path} is not JSON") from error
        if not isinstance(decoded, dict):
            raise failure.CheckError("ResponseInvalid", f"{self._shown}{path} is no JSON object")
        return decoded

    async def _send(self, method: str, path: str, content: bytes | None) -> tuple[int, httpx.Headers, bytes]:
        limit = _INFO_LIMIT_BYTES if content is None else _RESPONSE_LIMIT_BYTES
        headers = {"content-type": "application/json"} if content is not None else {}
        try:
            self.sent += 1
            async with self._http.stream(
                method, self._base + path, content=content, headers=headers
            ) as response:
                parts: list[bytes] = []
                size = 0
                async for part in response.aiter_bytes():
                    size += len(part)
                    if size > limit:
                        raise failure.CheckError(
                            "ResponseInvalid", f"{self._shown}{path} answers more than {limit >> 20} MiB"
                        )
                    parts.append(part)
                return response.status_code, response.headers, b"".join(parts)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            # It reached nobody.
            self.sent -= 1
            raise failure.CheckError(
                "EndpointUnreachable", f"{self._shown}{path} could not be connected to"
            ) from error
        except httpx.TimeoutException as error:
            raise failure.CheckError(
                "EndpointTimeout", f"{self._shown}{path} did not answer in time"
            ) from error
        except httpx.HTTPError as error:
            raise failure.CheckError(
                "EndpointError", f"{self._shown}{path} broke the connection: {error}"
            ) from error


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(name)


def _parts(sizes: Mapping[str, int], limit: int) -> Iterator[list[str]]:
    """Divide items so that no part is larger than the limit, nor has too many of them."""
    part: list[str] = []
    room = limit
    for name, size in sizes.items():
        if part and (size > room or len(part) == _ITEMS):
            yield part
            part, room = [], limit
        part.append(name)
        room -= size
    if part:
        yield part


def _length(one: inputs.Input) -> int:
    return len(one.content) * (4 if isinstance(one, inputs.Text) else 2)


def _payload(one: inputs.Input) -> dict[str, Any]:
    if isinstance(one, inputs.Text):
        return {"text": one.content}
    return {"image": {"mediaType": one.media_type, "data": base64.b64encode(one.content).decode()}}


def _pause(retry_after: str) -> float:
    wished = float(retry_after) if re.fullmatch(r"[0-9]{1,6}", retry_after) else 1.0
    return min(max(wished, 0.1), _LONGEST_PAUSE_SECONDS)
