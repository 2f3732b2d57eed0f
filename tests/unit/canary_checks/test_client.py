import itertools
import json
import math
import socket
from typing import Any

import pytest

from canary_checks import failure, inputs
from canary_checks.clients import client as clients
from canary_checks.clients import openai_embeddings
from tests.unit.canary_checks import toy_server


async def embed(toy: toy_server.ToyServer, texts: list[str], **settings: Any) -> clients.Answer:
    async with client_of(toy.url, **settings) as client:
        return await client.embed([inputs.Text(t) for t in texts])


def client_of(url: str, **settings: Any) -> openai_embeddings.OpenAIEmbeddings:
    return openai_embeddings.OpenAIEmbeddings(
        endpoint=url + "/v1/embeddings", run="run-1", **({"model": "toy"} | settings)
    )


def answering(content: object, status: int = 200) -> toy_server.Answer:
    return status, content if isinstance(content, bytes) else json.dumps(content).encode()


def entry(embedding: object, index: object = 0) -> dict[str, object]:
    return {"object": "embedding", "index": index, "embedding": embedding}


async def test_a_request_says_that_it_is_a_probe_and_what_it_wants():
    with toy_server.serving() as toy:
        async with client_of(toy.url) as client:
            answer = await client.embed([inputs.Text(t) for t in ["a cat", "a dog"]])
            await client.embed([inputs.Text(t) for t in ["a bird"]])
    assert (answer.model, answer.indices) == ("toy", (0, 1))
    assert toy.bodies[0] == {
        "model": "toy",
        "input": ["a cat", "a dog"],
        "encoding_format": "float",
        "path": "/v1/embeddings",
    }
    assert {h["x-modelrelease-probe"] for h in toy.headers} == {"run-1"}
    version, trace, span, flags = toy.headers[0]["traceparent"].split("-")
    assert (version, len(trace), len(span), flags) == ("00", 32, 16, "01")
    assert toy.headers[1]["traceparent"].split("-")[1] == trace
    assert toy.headers[1]["traceparent"].split("-")[2] != span
    assert (client.sent, client.failed, client.retried) == (2, 0, 0)


async def test_rows_come_in_the_order_of_their_index():
    def backwards(texts: list[str], whole: dict[str, Any]) -> dict[str, Any]:
        return whole | {"data": whole["data"][::-1]}

    texts = ["a cat", "a dog", "a bird"]
    with toy_server.serving() as toy:
        straight = (await embed(toy, texts)).in_order(3)
        toy.alter = backwards
        turned = await embed(toy, texts)
    assert turned.indices == (2, 1, 0)
    assert all((a == b).all() for a, b in zip(straight, turned.in_order(3), strict=True))


@pytest.mark.parametrize("indices", [[0], [0, 0], [0, 2], [1, 2], [0, 1, 2], [-1, 0], []])
async def test_indices_must_be_those_of_the_inputs(indices):
    with toy_server.serving(alter=lambda *_: {"data": [entry([1.0], i) for i in indices]}) as toy:
        answer = await embed(toy, ["a", "b"])
    with pytest.raises(failure.CheckError) as caught:
        answer.in_order(2)
    assert caught.value.reason == "ResponseInvalid"


async def test_what_json_cannot_say_is_not_a_number():
    with toy_server.serving(
        alter=lambda *_: answering(b'{"data":[{"index":0,"embedding":[null,NaN,1e39,1]}]}')
    ) as toy:
        (row,) = (await embed(toy, ["a"])).vectors
    assert [math.isnan(row[0]), math.isnan(row[1]), math.isinf(row[2]), row[3] == 1] == [True] * 4


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"", 200, "ResponseInvalid"),
        (b"<html>", 200, "ResponseInvalid"),
        (b"\xff\xfe", 200, "ResponseInvalid"),
        ([], 200, "ResponseInvalid"),
        ({}, 200, "ResponseInvalid"),
        ({"data": None}, 200, "ResponseInvalid"),
        ({"data": [1]}, 200, "ResponseInvalid"),
        ({"data": [{"index": 0}]}, 200, "ResponseInvalid"),
        ({"data": [{"embedding": [1]}]}, 200, "ResponseInvalid"),
        ({"data": [entry([1.0], True)]}, 200, "ResponseInvalid"),
        ({"data": [entry([1.0], "0")]}, 200, "ResponseInvalid"),
        ({"data": [entry([])]}, 200, "ResponseInvalid"),
        ({"data": [entry("AACAPw==")]}, 200, "ResponseInvalid"),
        ({"data": [entry(["1"])]}, 200, "ResponseInvalid"),
        ({"data": [entry([True])]}, 200, "ResponseInvalid"),
        ({"data": [entry([10**400])]}, 200, "ResponseInvalid"),
        (b'{"error":"too long"}', 400, "RequestRefused"),
        (b"", 413, "RequestRefused"),
        (b"", 422, "RequestRefused"),
        (b"no such model", 404, "EndpointError"),
        (b"boom\n\x00at line 3", 500, "EndpointError"),
        (b"", 503, "EndpointError"),
        (b"", 302, "EndpointError"),
    ],
)
async def test_an_answer_that_is_none_is_an_error_with_its_reason(content, status, reason):
    with toy_server.serving(alter=lambda *_: answering(content, status)) as toy:
        async with client_of(toy.url) as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text(t) for t in ["a"]])
    assert caught.value.reason == reason
    assert caught.value.message.isprintable()
    assert (status == 200) or str(status) in caught.value.message
    # One request, seen by the server, and not repeated: a status is an answer.
    assert (client.sent, client.failed, client.retried, len(toy.bodies)) == (1, 1, 0, 1)


async def test_a_response_without_end_is_cut(monkeypatch):
    monkeypatch.setattr(openai_embeddings, "_RESPONSE_LIMIT_BYTES", 1 << 20)
    with (
        toy_server.serving(alter=lambda *_: answering(b" " * ((1 << 20) + 1))) as toy,
        pytest.raises(failure.CheckError, match="larger than 1 MiB"),
    ):
        await embed(toy, ["a"])


async def test_a_server_that_does_not_answer_is_not_waited_for():
    with toy_server.serving(hang=True) as toy:
        async with client_of(toy.url, read_seconds=0.05) as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text(t) for t in ["a"]])
    assert caught.value.reason == "EndpointTimeout"
    assert (client.sent, client.failed, client.retried) == (1, 1, 0)


async def test_a_server_that_hangs_up_has_seen_the_request():
    with toy_server.serving(hang_up=True) as toy:
        async with client_of(toy.url) as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text(t) for t in ["a"]])
    assert caught.value.reason == "EndpointError"
    assert (client.sent, client.failed, client.retried, len(toy.bodies)) == (1, 1, 0, 1)


async def test_a_connection_that_nobody_takes_is_tried_again_and_was_no_request(monkeypatch):
    monkeypatch.setattr(openai_embeddings, "_BACKOFF_SECONDS", 0.001)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with client_of(url) as client:
            with pytest.raises(failure.CheckError, match="4 attempts") as caught:
                await client.embed([inputs.Text(t) for t in ["a"]])
    assert caught.value.reason == "EndpointUnreachable"
    assert (client.sent, client.failed, client.retried) == (0, 0, 3)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with toy_server.serving() as toy:
        assert (await embed(toy, ["a"])).model == "toy"


async def test_requests_start_no_faster_than_the_rate(monkeypatch):
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    # The waiting itself is the platform's; what is ours is how long is waited for.
    monkeypatch.setattr(openai_embeddings.asyncio, "sleep", wait)
    with toy_server.serving() as toy:
        async with client_of(toy.url, max_requests_per_second=2) as client:
            for _ in range(4):
                await client.embed([inputs.Text(t) for t in ["a"]])
    assert len(waits) == 3
    assert all(b > a for a, b in itertools.pairwise(waits))
    assert 1.0 < waits[-1] <= 1.5


async def test_a_model_that_was_not_named_is_the_first_one_that_the_server_lists():
    with toy_server.serving(served_name="first") as toy:
        async with client_of(toy.url, model=None) as client:
            await client.embed([inputs.Text(t) for t in ["a cat"]])
            await client.embed([inputs.Text(t) for t in ["a dog"]])
            assert client.sent == 2
    assert [body["model"] for body in toy.bodies] == ["first", "first"]


async def test_a_server_that_lists_no_model_needs_the_name():
    with toy_server.serving(served_name="") as toy:
        async with client_of(toy.url, model=None) as client:
            with pytest.raises(failure.CheckError, match="servedName"):
                await client.embed([inputs.Text(t) for t in ["a cat"]])
    assert toy.bodies == []
