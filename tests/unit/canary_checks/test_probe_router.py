"""The probe endpoint over real HTTP: who may ask, what it answers, and what it refuses."""

import asyncio
import base64
import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import fastapi
import httpx
import numpy as np
import pytest

from canary_checks import probe_router
from tests.unit.canary_checks import sample_servers

TOKEN = {"authorization": f"Bearer {sample_servers.TOKEN}"}


def refuse(item: dict[str, Any]) -> None:
    raise ValueError("no image")


class Gate:
    """A stage that waits, so that a second trace meets the first."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.leave = threading.Event()

    def __call__(self, item: dict[str, Any]) -> list[int]:
        self.entered.set()
        assert self.leave.wait(30)
        return [1]


def application(gate: Gate, token: str | None = sample_servers.TOKEN) -> fastapi.FastAPI:
    app = fastapi.FastAPI()
    stages = {
        "text.tokens": lambda item: [len(word) for word in item["text"].split()],
        "text.slow": gate,
        "text.seeded": lambda item: np.full((2, 2), item["seed"] or 0, dtype=np.float64),
        "image.pixels": lambda item: np.frombuffer(item["image"], dtype=np.uint8).reshape(1, -1) / 2,
        "image.broken": lambda item: np.array([np.nan, np.inf, 1.0]).reshape(3, 1),
        "image.refused": refuse,
        "audio.waveform": lambda item: np.float32(len(item["audio"])),
    }
    info = {"model": {"name": "toy"}, "own": "kept"}
    app.include_router(probe_router.probe_router(info, stages, token))
    return app


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def url(gate: Gate) -> Iterator[str]:
    with sample_servers.serving(application(gate)) as base:
        yield base + "/probe/v1"


def trace(url: str, body: Any, headers: Any = TOKEN) -> httpx.Response:
    return httpx.post(url + "/trace", json=body, headers=headers, trust_env=False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": sample_servers.TOKEN},
        {"authorization": "Bearer"},
    ],
    ids=["none", "wrong", "no scheme", "empty"],
)
def test_without_the_token_there_is_nothing(url: str, headers) -> None:
    nothing = httpx.get(url + "/nothing", trust_env=False)
    told = httpx.get(url + "/info", headers=headers, trust_env=False)
    assert (told.status_code, told.json()) == (404, nothing.json())
    # Not even by what it thinks of a body.
    broken = httpx.post(url + "/trace", content=b"{", headers=headers, trust_env=False)
    assert (broken.status_code, broken.json()) == (404, nothing.json())
    assert "/probe" not in httpx.get(url.removesuffix("/probe/v1") + "/openapi.json", trust_env=False).text


@pytest.mark.parametrize("token", ["", None])
def test_a_server_without_a_token_has_no_probe(gate: Gate, token, monkeypatch) -> None:
    monkeypatch.delenv(probe_router.TOKEN_VARIABLE, raising=False)
    with sample_servers.serving(application(gate, token)) as base:
        for headers in ({}, TOKEN, {"authorization": "Bearer"}):
            assert httpx.get(base + "/probe/v1/info", headers=headers, trust_env=False).status_code == 404


def test_info_names_the_stages_in_order_and_keeps_what_it_was_given(url: str) -> None:
    told = httpx.get(url + "/info", headers=TOKEN, trust_env=False).json()
    assert told["schema"] == "probe.modelrelease.dev/v1"
    assert told["stages"][0] == "text.tokens"
    assert told["own"] == "kept"
    assert told["packages"]["numpy"] == np.__version__


def test_a_trace_gives_ids_digests_and_tensors(url: str) -> None:
    items = [
        {"id": "t", "text": "a bcd"},
        {"id": "i", "image": {"mediaType": "image/png", "data": base64.b64encode(b"\x02\x04").decode()}},
    ]
    stages = ["image.pixels", "text.tokens", "no.such"]
    text, image = trace(url, {"items": items, "stages": stages}).json()["items"]
    assert text == {"id": "t", "stages": {"text.tokens": {"ids": [1, 3]}}}
    raw = np.array([1.0, 2.0], dtype="<f4").tobytes()
    assert image["stages"]["image.pixels"] == {
        "dtype": "float32",
        "shape": [1, 2],
        "sha256": hashlib.sha256(raw).hexdigest(),
        "mean": [1.5],
        "std": [0.5],
    }
    full = trace(url, {"items": items[1:], "stages": stages, "include": "Tensor"}).json()["items"][0]
    assert base64.b64decode(full["stages"]["image.pixels"]["data"]) == raw


def test_what_has_no_number_in_json_and_what_serving_refuses_are_said(url: str) -> None:
    item = {"id": "i", "image": {"mediaType": "image/png", "data": "AA=="}}
    stages = trace(url, {"items": [item], "stages": ["image.broken", "image.refused"]}).json()["items"][0][
        "stages"
    ]
    assert stages["image.broken"]["mean"] == [None, None, 1.0]
    assert stages["image.refused"] == {"error": "ValueError: no image"}


def test_a_scalar_and_a_seed_reach_their_stages(url: str) -> None:
    items = [
        {"id": "a", "audio": {"mediaType": "audio/wav", "data": "AAAA"}},
        {"id": "t", "text": "x"},
    ]
    body = {"items": items, "stages": ["audio.waveform", "text.seeded"], "seed": 3, "include": "Tensor"}
    audio, text = trace(url, body).json()["items"]
    assert (audio["stages"]["audio.waveform"]["shape"], audio["stages"]["audio.waveform"]["mean"]) == (
        [],
        [3.0],
    )
    assert text["stages"]["text.seeded"]["mean"] == [3.0, 3.0]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"items": {}, "stages": []},
        {"items": [], "stages": "text.tokens"},
        {"items": [], "stages": [], "include": "Everything"},
        {"items": [{"id": 1, "text": "x"}], "stages": []},
        {"items": [{"id": "x"}], "stages": []},
        {"items": [{"id": "x", "text": 3}], "stages": []},
        {"items": [{"id": "x", "text": "y", "image": {}}], "stages": []},
        {"items": [{"id": "x", "image": "y"}], "stages": []},
        {"items": [{"id": "x", "image": {"mediaType": "image/png", "data": "?"}}], "stages": []},
        {"items": [{"id": "x", "text": "y"}] * 65, "stages": []},
    ],
)
def test_what_is_no_request_is_refused_with_words(url: str, body) -> None:
    refused = trace(url, body)
    assert refused.status_code == 422
    assert refused.json()["detail"]


def test_a_body_that_is_no_json_or_too_large_is_refused(url: str) -> None:
    for content, status in ((b"{", 422), (b"[" * 100_000, 422), (b" " * ((64 << 20) + 1), 413)):
        refused = httpx.post(url + "/trace", content=content, headers=TOKEN, trust_env=False)
        assert refused.status_code == status
    # And the one place is free again.
    assert trace(url, {"items": [], "stages": []}).json() == {"items": []}


async def test_one_trace_at_a_time(url: str, gate: Gate) -> None:
    body = {"items": [{"id": "t", "text": "x"}], "stages": ["text.slow"]}
    async with httpx.AsyncClient(trust_env=False, headers=TOKEN) as client:
        first = asyncio.create_task(client.post(url + "/trace", json=body))
        await asyncio.to_thread(gate.entered.wait, 30)
        others = await asyncio.gather(*(client.post(url + "/trace", json=body) for _ in range(8)))
        assert {other.status_code for other in others} == {429}
        assert {other.headers["retry-after"] for other in others} == {"1"}
        # What it says of itself is told meanwhile.
        assert (await client.get(url + "/info")).status_code == 200
        gate.leave.set()
        assert (await first).json()["items"][0]["stages"]["text.slow"] == {"ids": [1]}
        assert (await client.post(url + "/trace", json=body)).status_code == 200


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_an_empty_tensor_is_a_tensor(shape) -> None:
    probe = probe_router.Probe({}, {"text.pooled": lambda item: np.zeros(shape)}, "t")
    traced = probe.trace({"items": [{"id": "x", "text": ""}], "stages": ["text.pooled"]})
    assert traced["items"][0]["stages"]["text.pooled"]["shape"] == list(shape)
