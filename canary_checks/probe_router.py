"""``probe.modelrelease.dev/v1``: what a served process makes of an input, step by step, for its own checks.

Add it to the FastAPI server of a model; it needs FastAPI and numpy and nothing else of this package, so the
file may be copied. Two routes, ``GET /probe/v1/info`` and ``POST /probe/v1/trace``, answer only who knows the
token in the environment variable MODELRELEASE_PROBE_TOKEN; for everybody else they do not exist::

    app.include_router(
        probe_router(
            info={"model": {"name": "clip", "version": VERSION, "dtype": "float16"}, "maxInputTokens": 77},
            stages={
                "text.tokens": lambda item: tokenizer.encode(item["text"]).ids,
                "image.pixels": lambda item: preprocess(load(item["image"])),
            },
        )
    )

Pass the *same function objects* that serving uses. A probe that does the preprocessing again proves nothing.
"""

import base64
import binascii
import functools
import hashlib
import hmac
import importlib.metadata
import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import fastapi
import numpy as np
from fastapi import concurrency

SCHEMA: Final = "probe.modelrelease.dev/v1"
TOKEN_VARIABLE: Final = "MODELRELEASE_PROBE_TOKEN"

_ITEMS: Final = 64
_CHANNELS: Final = 64
_LIMIT_BYTES: Final = 64 << 20
_PAYLOADS: Final = ("text", "image", "audio")

Stage = Callable[[dict[str, Any]], Any]
"""Makes of an item what one step of serving makes of it: a list of token ids, or an array of numbers.

An item has ``id``, ``seed`` (or None), and ``text`` (str), or ``image`` or ``audio`` (bytes) with
``mediaType``.
"""


class Busy(Exception):
    """Another trace is going on; a probe never takes more than one request's worth of a server."""


class Invalid(Exception):
    """The request is none."""


@functools.cache
def packages() -> Mapping[str, str]:
    """Return the versions of what is installed, read once: that takes a tenth of a second."""
    return {one.name: one.version for one in importlib.metadata.distributions()}


class Probe:
    """The two answers, without a web framework: for servers that are not FastAPI applications of their own.

    Parameters
    ----------
    info
        What the process says about itself: any of ``model``, ``embedding``, ``maxInputTokens``,
        ``preprocess``, ``generation``, ``accelerator``; everything is optional, other keys are allowed. A
        function is called whenever somebody asks: for what may change while the process serves.
    stages
        By name ``<modality>.<step>``, in the order of execution; each function is one that serving calls.
    token
        Who may ask; None takes it from MODELRELEASE_PROBE_TOKEN, and without any nobody may.
    """

    def __init__(
        self, info: Mapping[str, Any], stages: Mapping[str, Stage], token: str | None = None
    ) -> None:
        self._said = dict(info)
        self._stages = dict(stages)
        self._token = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        self._busy = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether anybody may ask at all."""
        return bool(self._token)

    def admits(self, authorization: str) -> bool:
        """Say whether the value of an Authorization header carries the token."""
        given, wanted = authorization.encode(), f"Bearer {self._token}".encode()
        return self.is_open and hmac.compare_digest(given, wanted)

    def info(self) -> dict[str, Any]:
        """Return what ``GET /probe/v1/info`` answers."""
        said = {name: value() if callable(value) else value for name, value in self._said.items()}
        return {"schema": SCHEMA, "stages": list(self._stages), "packages": dict(packages())} | said

    def reserve(self) -> threading.Lock:
        """Return the lock that the one trace at a time holds, already taken.

        Raises
        ------
        Busy
            Another one holds it.
        """
        if not self._busy.acquire(blocking=False):
            raise Busy
        return self._busy

    def trace(self, body: Any) -> dict[str, Any]:
        """Return what ``POST /probe/v1/trace`` answers.

        Parameters
        ----------
        body
            The decoded JSON: ``items``, ``stages``, ``include`` (``Digest`` or ``Tensor``), ``seed``.

        Raises
        ------
        Invalid
            It is malformed, or the answer would be larger than 64 MiB.
        """
        wanted, full, items = _request(body)
        steps = {name: step for name, step in self._stages.items() if name in wanted}
        room = _LIMIT_BYTES
        answers = []
        for item in items:
            made = {
                name: _outcome(step, item, full=full)
                for name, step in steps.items()
                if name.partition(".")[0] in item
            }
            room -= sum(len(value.get("data", "")) for value in made.values())
            if room < 0:
                raise Invalid("these tensors are larger than 64 MiB; ask for fewer items")
            answers.append({"id": item["id"], "stages": made})
        return {"items": answers}


def _request(body: Any) -> tuple[frozenset[str], bool, list[dict[str, Any]]]:
    if not isinstance(body, dict) or not isinstance(body.get("items"), list):
        raise Invalid("the body is an object with a list `items`")
    stages, include = body.get("stages"), body.get("include", "Digest")
    if not isinstance(stages, list) or not all(isinstance(name, str) for name in stages):
        raise Invalid("`stages` is a list of names")
    if include not in {"Digest", "Tensor"}:
        raise Invalid("`include` is Digest or Tensor")
    if len(body["items"]) > _ITEMS:
        raise Invalid(f"at most {_ITEMS} items at a time")
    return frozenset(stages), include == "Tensor", [_item(one, body.get("seed")) for one in body["items"]]


def _item(given: Any, seed: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(given.get("id"), str):
        raise Invalid("an item has a string `id`")
    payloads = [name for name in _PAYLOADS if name in given]
    if len(payloads) != 1:
        raise Invalid("an item has one of `text`, `image` and `audio`")
    payload = given[payloads[0]]
    item = {"id": given["id"], "seed": seed}
    if payloads[0] == "text":
        if not isinstance(payload, str):
            raise Invalid("`text` is a string")
        return item | {"text": payload}
    try:
        content = base64.b64decode(payload["data"], validate=True)
        return item | {payloads[0]: content, "mediaType": str(payload["mediaType"])}
    except (LookupError, TypeError, ValueError, binascii.Error) as error:
        raise Invalid(f"`{payloads[0]}` has a `mediaType` and base64 `data`") from error


def _outcome(step: Stage, item: dict[str, Any], *, full: bool) -> dict[str, Any]:
    try:
        return _packed(step(item), full=full)
    except Exception as error:  # noqa: BLE001 - what serving refuses is an outcome too, and comparable
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def _packed(value: Any, *, full: bool) -> dict[str, Any]:
    array = np.asarray(value)
    if array.ndim == 1 and (array.size == 0 or np.issubdtype(array.dtype, np.integer)):
        return {"ids": [int(x) for x in array]}
    wire = np.asarray(array, dtype="<f4", order="C")
    raw = wire.tobytes()
    # In float64: a mean of 150 000 pixels in float32 would differ between two builds of numpy.
    exact = np.atleast_1d(wire).astype(np.float64)
    channels = exact.reshape(exact.shape[0], -1)[:_CHANNELS] if exact.size else np.zeros((0, 1))
    with np.errstate(invalid="ignore"):
        mean, std = channels.mean(axis=1), channels.std(axis=1)
    packed = {
        "dtype": "float32",
        "shape": list(wire.shape),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "mean": [_plain(x) for x in mean],
        "std": [_plain(x) for x in std],
    }
    return packed | ({"data": base64.b64encode(raw).decode()} if full else {})


def _plain(x: Any) -> float | None:
    # JSON has no NaN.
    return float(x) if math.isfinite(x) else None


def probe_router(
    info: Mapping[str, Any], stages: Mapping[str, Stage], token: str | None = None
) -> fastapi.APIRouter:
    """Make the routes of a probe; parameters as of `Probe`.

    Returns
    -------
    What ``app.include_router`` takes. Without a token it has no routes at all.
    """
    probe = Probe(info, stages, token)
    router = fastapi.APIRouter(prefix="/probe/v1", include_in_schema=False)

    def admit(authorization: str = fastapi.Header("")) -> None:
        if not probe.admits(authorization):
            raise fastapi.HTTPException(404)

    async def answer_info() -> fastapi.Response:
        return _json(await concurrency.run_in_threadpool(probe.info))

    async def answer_trace(request: fastapi.Request) -> fastapi.Response:
        try:
            busy = probe.reserve()
        except Busy:
            raise fastapi.HTTPException(429, "another trace is going on", {"retry-after": "1"}) from None
        # Reserved before the body is read, so that one body at most is in memory.
        try:
            body = json.loads(await _body(request))
            return _json(await concurrency.run_in_threadpool(probe.trace, body))
        except (Invalid, ValueError, RecursionError) as error:
            raise fastapi.HTTPException(422, str(error) or "the body is not JSON") from None
        finally:
            busy.release()

    if probe.is_open:
        guarded = [fastapi.Depends(admit)]
        router.add_api_route("/info", answer_info, methods=["GET"], dependencies=guarded)
        router.add_api_route("/trace", answer_trace, methods=["POST"], dependencies=guarded)
    return router


async def _body(request: fastapi.Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > _LIMIT_BYTES:
            raise fastapi.HTTPException(413)
        parts.append(part)
    return b"".join(parts)


def _json(content: dict[str, Any]) -> fastapi.Response:
    return fastapi.Response(json.dumps(content, allow_nan=False), media_type="application/json")
