import contextlib
import datetime
import gzip
import itertools
import json
import math
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from email import utils as email_utils
from typing import Any

import pytest

from canary_checks import failure, inputs, operation
from canary_checks import vocabulary as v
from canary_checks.clients import client as clients
from canary_checks.clients import connect, parent, transport, waiting
from tests.unit.canary_checks import toy_server

GENTLE = transport.Limits(backoff_seconds=0.001)


async def embed(toy: toy_server.ToyServer, texts: list[str], **settings: Any) -> clients.Answer:
    async with client_of(toy.url, **settings) as client:
        return await client.embed([inputs.Text(t) for t in texts])


def client_of(
    url: str, *, max_requests_per_second: int | None = None, limits: transport.Limits = GENTLE, **fields: Any
) -> clients.EmbeddingClient:
    asked = operation.Operation(
        **({"name": "embed", "protocol": v.Protocol.OPENAI_EMBEDDINGS, "model": "toy"} | fields)
    )
    return connect.connect(
        asked, url=url, run="run-1", max_requests_per_second=max_requests_per_second, limits=limits
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


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_requests_are_children_of_the_span_that_the_process_is_given(monkeypatch):
    monkeypatch.setenv("TRACEPARENT", PARENT)
    with toy_server.serving() as toy:
        async with client_of(toy.url) as client:
            for text in ("a cat", "a dog"):
                await client.embed([inputs.Text(text)])
    assert [h["traceparent"] for h in toy.headers] == [PARENT, PARENT]


@pytest.mark.parametrize(
    "said",
    [
        "",
        "nonsense",
        PARENT.upper(),
        "ff" + PARENT[2:],
        PARENT[:-3],
        f"00-{'0' * 32}{PARENT[35:]}",
        PARENT + "\n",
    ],
)
def test_a_malformed_parent_is_ignored(said):
    assert parent.header({"TRACEPARENT": said}) is None


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


async def test_a_server_that_does_not_answer_is_not_waited_for():
    with toy_server.serving(hang=True) as toy:
        async with client_of(toy.url, limits=transport.Limits(read_seconds=0.05)) as client:
            with pytest.raises(failure.CheckError, match="did not answer in time") as caught:
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


async def test_a_connection_that_nobody_takes_is_tried_again_and_was_no_request():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with client_of(url) as client:
            with pytest.raises(failure.CheckError, match="4 attempts") as caught:
                await client.embed([inputs.Text(t) for t in ["a"]])
    assert caught.value.reason == "EndpointUnreachable"
    assert (client.sent, client.failed, client.retried) == (0, 0, 3)


@pytest.mark.parametrize("protocol", ["OpenAIEmbeddings", "TextEmbeddingsInference"])
async def test_a_server_that_is_gone_is_not_said_to_list_no_model(protocol):
    with toy_server.serving() as toy:
        url = toy.url
    async with client_of(url, protocol=v.Protocol(protocol), model=None) as client:
        with pytest.raises(failure.CheckError, match="could not be connected to in 4 attempts") as caught:
            await client.model()
    assert caught.value.reason == "EndpointUnreachable"


@pytest.mark.parametrize("url", ["http://x:port", "http://127.0.0.1:99999", "http://x:0"])
def test_what_is_no_url_is_said_before_anything_is_sent(url):
    with pytest.raises(failure.CheckError, match="is no URL") as caught:
        client_of(url)
    assert caught.value.reason == "RequestInvalid"


def test_credentials_in_a_url_are_refused_and_not_repeated():
    with pytest.raises(failure.CheckError, match="the URL of x holds credentials") as caught:
        client_of("http://someone:secret@x")
    assert (caught.value.reason, "secret" in caught.value.message) == ("RequestInvalid", False)


async def test_a_cookie_is_not_sent_back():
    with toy_server.serving(response_headers={"set-cookie": "backend=7; Path=/"}) as toy:
        async with client_of(toy.url) as client:
            await client.embed([inputs.Text("a")])
            await client.embed([inputs.Text("a")])
    assert not any("cookie" in headers for headers in toy.headers)


@pytest.mark.parametrize("url", ["http://[", "http://a..b"])
async def test_a_host_that_is_no_name_cannot_be_reached(url):
    async with client_of(url) as client:
        with pytest.raises(failure.CheckError) as caught:
            await client.embed([inputs.Text("a")])
    assert (caught.value.reason, client.sent) == ("EndpointUnreachable", 0)


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
    monkeypatch.setattr(transport.asyncio, "sleep", wait)
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


# --- Warming up -----------------------------------------------------------------------------------


async def test_the_first_request_may_take_as_long_as_a_compiler_and_no_other_one():
    compiled = threading.Event()

    def first_slow(texts: list[str], whole: dict[str, Any]) -> dict[str, Any]:
        if not compiled.is_set():
            # Longer than any other request may take.
            time.sleep(0.4)
            compiled.set()
        return whole

    limits = transport.Limits(read_seconds=0.1, request_seconds=0.1, warm_up_seconds=30)
    with toy_server.serving(alter=first_slow) as toy:
        async with client_of(toy.url, limits=limits) as client:
            await client.warm_up([inputs.Text("a")])
            compiled.clear()
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text("a")])
    assert caught.value.reason == "EndpointTimeout"
    assert (client.sent, client.failed) == (2, 1)


async def test_what_is_refused_while_warming_up_is_left_to_be_judged():
    with toy_server.serving(alter=lambda *_: answering({"error": "too long"}, 413)) as toy:
        async with client_of(toy.url) as client:
            await client.warm_up([inputs.Text("a")])
            with pytest.raises(clients.Refused):
                await client.embed([inputs.Text("a")])
    assert len(toy.bodies) == 2


# --- Bad servers ----------------------------------------------------------------------------------


def part(handler: Any, content: bytes, status: str = "200 OK", **headers: str) -> None:
    """Write a response by hand; the connection closes behind it."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    handler.wfile.write("\r\n".join(lines).encode() + content)
    handler.wfile.flush()


async def refused(raw: Callable[[Any], None], **settings: Any) -> tuple[failure.CheckError, Any]:
    """Return the error of one request to a server that answers by hand."""
    with toy_server.serving(raw=raw) as toy:
        async with client_of(toy.url, **settings) as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text("a")])
    assert (client.sent, client.failed, client.retried, len(toy.bodies)) == (1, 1, 0, 1)
    assert caught.value.message.isprintable()
    return caught.value, client


async def test_a_server_that_trickles_its_answer_is_not_waited_for():
    def trickle(handler: Any) -> None:
        part(handler, b"", **{"content-length": "1000000"})
        while True:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.005)

    error, _ = await refused(trickle, limits=transport.Limits(request_seconds=0.1))
    assert error.reason == "EndpointTimeout"
    assert "did not finish its answer within 0.1 s" in error.message


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b'{"data":[{"index":0,"emb', {"content-length": "500"}),
        (b'1f4\r\n{"data":[{"index":0,"emb', {"transfer-encoding": "chunked"}),
        (b"not a chunk", {"transfer-encoding": "chunked"}),
        (b"", {"content-length": "what"}),
    ],
)
async def test_a_connection_cut_in_the_body_is_an_error_and_is_not_asked_again(content, headers):
    error, _ = await refused(lambda handler: part(handler, content, **headers))
    assert error.reason == "EndpointError"
    assert "broke the connection" in error.message


async def test_what_is_not_http_is_an_error():
    error, _ = await refused(lambda handler: handler.wfile.write(b"220 smtp ready\r\n\r\n"))
    assert error.reason == "EndpointError"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!doctype html><title>Sign in</title>", "the server answered 200 with HTML"),
        (b"", "the server answered 200 with an empty body"),
        (b"[" * 100_000, "the response is nested too deeply"),
        (b'{"a":' * 90_000, "the response is nested too deeply"),
        (b"[1e1,", "something that is not JSON"),
        ({"error": {"message": "CUDA out of memory", "code": 500}}, "with an error: CUDA out of memory"),
        ({"error": "model\nnot loaded"}, "with an error: model not loaded"),
        ({"object": "error", "message": "too long", "code": 400}, "with an error: too long"),
        ({"error": {"message": {"deep": []}}}, "with an error: no message"),
        (b"[" + b"{}," * 1_000_001, "more than 1000000 strings, lists and objects"),
    ],
)
async def test_an_answer_that_only_claims_success_is_invalid(content, message):
    with toy_server.serving(alter=lambda *_: answering(content)) as toy:
        async with client_of(toy.url) as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text("a")])
    assert (caught.value.reason, client.sent, client.failed) == ("ResponseInvalid", 1, 1)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("status", "where"), [(301, "http://elsewhere.test/v1"), (302, "/login"), (307, ""), (308, "//other")]
)
async def test_a_redirect_is_refused_with_where_it_leads(status, where):
    with toy_server.serving() as elsewhere, toy_server.serving() as toy:
        toy.alter = lambda *_: answering(b"", status)
        toy.response_headers = {"location": where or elsewhere.url + "/v1/embeddings"}
        async with client_of(toy.url) as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text("a")])
    assert caught.value.reason == "EndpointError"
    assert f"answered {status}, a redirect to {toy.response_headers['location']}" in caught.value.message
    assert elsewhere.bodies == []


@pytest.mark.parametrize(
    ("headers", "chunk"),
    [
        ({"content-length": str(100 << 20)}, b" " * (1 << 16)),
        ({"transfer-encoding": "chunked"}, b"10000\r\n" + b"[" * (1 << 16) + b"\r\n"),
    ],
)
async def test_a_body_of_100_megabytes_is_cut(headers, chunk):
    written = 0

    def flood(handler: Any) -> None:
        nonlocal written
        part(handler, b"", **headers)
        for _ in range((100 << 20) // (1 << 16)):
            handler.wfile.write(chunk)
            written += len(chunk)

    tracemalloc.start()
    try:
        error, _ = await refused(flood)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.reason == "ResponseInvalid"
    assert error.message == "the response is larger than 16 MiB"
    assert peak < 24 << 20
    assert written < 64 << 20


@pytest.mark.parametrize(
    ("coding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("x-gzip", gzip.compress)],
)
async def test_a_compressed_bomb_goes_off_within_bounds(coding, compress):
    bomb = compress(b" " * (40 << 20))
    assert len(bomb) < 1 << 17
    tracemalloc.start()
    try:
        headers = {"content-encoding": coding, "content-length": str(len(bomb))}
        error, _ = await refused(lambda handler: part(handler, bomb, **headers))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error.message == "the response is larger than 16 MiB"
    assert peak < 36 << 20


async def test_a_server_that_compresses_though_it_was_asked_not_to_is_understood():
    def compress(handler: Any) -> None:
        content = gzip.compress(b'{"data":[{"index":0,"embedding":[1,2]}]}', mtime=0)
        part(handler, content, **{"content-encoding": "gzip", "content-length": str(len(content))})

    with toy_server.serving(raw=compress) as toy:
        (row,) = (await embed(toy, ["a"])).vectors
    assert row.tolist() == [1, 2]
    assert toy.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("coding", "content", "message"),
    [
        ("br", b"x", "compressed with 'br'"),
        ("gzip, gzip", b"x", "compressed with 'gzip, gzip'"),
        ("gzip", b"x" * 50, "the compressed response is broken"),
        ("gzip", gzip.compress(b"[1]", mtime=0)[:-8], "ends in the middle"),
    ],
)
async def test_a_compression_that_is_none_is_invalid(coding, content, message):
    headers = {"content-encoding": coding, "content-length": str(len(content))}
    error, _ = await refused(lambda handler: part(handler, content, **headers))
    assert error.reason == "ResponseInvalid"
    assert message in error.message


# --- 429 and Retry-After --------------------------------------------------------------------------


@contextlib.contextmanager
def overloaded(monkeypatch: pytest.MonkeyPatch, times: float, **headers: str) -> Any:
    """Serve 429 so many times; yield the server and the pauses that the client made."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) >= times:
            toy.alter, toy.response_headers = None, {}

    monkeypatch.setattr(transport.asyncio, "sleep", pause)
    with toy_server.serving(alter=lambda *_: answering({"error": "busy"}, 429)) as toy:
        toy.response_headers = headers
        yield toy, pauses


async def test_a_server_that_asks_for_patience_gets_it_and_every_request_is_counted(monkeypatch):
    with overloaded(monkeypatch, 2, **{"retry-after": "7"}) as (toy, pauses):
        async with client_of(toy.url) as client:
            assert len((await client.embed([inputs.Text("a")])).vectors) == 1
    assert pauses == [7, 7]
    assert (client.sent, client.failed, client.retried, len(toy.bodies)) == (3, 2, 2, 3)


async def test_without_a_wish_the_pauses_double(monkeypatch):
    with overloaded(monkeypatch, math.inf) as (toy, pauses):
        async with client_of(toy.url) as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text("a")])
    assert caught.value.reason == "EndpointOverloaded"
    assert pauses == [1, 1, 2, 4, 8]
    assert (client.sent, client.failed, client.retried) == (6, 6, 5)


@pytest.mark.parametrize(("wish", "said"), [("31", "31"), ("86400", "86400"), ("999999999", "1e+09")])
async def test_a_wish_beyond_the_bound_is_an_error_of_its_own_at_once(monkeypatch, wish, said):
    with overloaded(monkeypatch, math.inf, **{"retry-after": wish}) as (toy, pauses):
        async with client_of(toy.url) as client:
            with pytest.raises(failure.CheckError) as caught:
                await client.embed([inputs.Text("a")])
    assert (caught.value.reason, pauses) == ("EndpointOverloaded", [])
    assert f"answered 429 and asks to wait {said} s; it has been waited for 0 s of the 30 s" in str(
        caught.value
    )
    assert (client.sent, client.failed, client.retried) == (1, 1, 0)


async def test_a_wish_of_nothing_does_not_end_in_a_storm(monkeypatch):
    with overloaded(monkeypatch, math.inf, **{"retry-after": "0"}) as (toy, pauses):
        async with client_of(toy.url, limits=transport.Limits(patience_seconds=5)) as client:
            with pytest.raises(failure.CheckError):
                await client.embed([inputs.Text("a")])
    assert pauses == [0.5] * 10


def test_retry_after_is_seconds_or_a_date():
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
    assert waiting.seconds("12") == 12
    assert 18 < (waiting.seconds(email_utils.format_datetime(soon, usegmt=True)) or 0) <= 20
    assert waiting.seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert waiting.seconds("Wed, 21 Oct 2015 07:28:00") == 0
    for nothing in [None, "", "soon", "-1", "1.5", "1e9", "١٢", "Wed, 99 Oct 2015", "9" * 400]:
        assert waiting.seconds(nothing) is None


# --- Warming up -----------------------------------------------------------------------------------
