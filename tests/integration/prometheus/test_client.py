"""The client gives a complete answer or one short reason, whatever answers in Prometheus' place."""

import asyncio
import gzip
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from modelrelease.api.endpoint import Runtime
from modelrelease.api.verdict import Verdict
from modelrelease.prometheus.answers import QueryError, Trouble
from modelrelease.prometheus.client import Prometheus
from modelrelease.prometheus.runtimes import RUNTIMES
from modelrelease.prometheus.slis import observe
from modelrelease.prometheus.targets import JudgedPod
from modelrelease.slo.objectives import Kind, Objective
from modelrelease.slo.observation import SliFailure

Connect = Callable[..., Prometheus]
Answer = Callable[[BaseHTTPRequestHandler, dict[str, str]], None]
QUERY = 'up{pod="a"}[60s]'
BOMB = gzip.compress(b" " * 2_000_000)


def plain(status: int, body: bytes, content_type: str = "application/json", **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in {
            "Content-Type": content_type,
            "Content-Length": str(len(body)),
            **headers,
        }.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


def success(result: Any, kind: str = "matrix", **more: Any) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}, **more}).encode()


def failure(kind: str, text: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": text}).encode()


def cut(request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    body = success([])
    request.send_response(200)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[:-5])
    request.close_connection = True


def cut_chunk(request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    request.wfile.write(b"5\r\n{" + b'"sta' + b"\r\n")
    request.close_connection = True


SERIES = {"metric": {"pod": "a"}, "values": [[1.5, "2"], [2.5, "NaN"], [3.5, "+Inf"]]}


async def trouble(client: Prometheus) -> QueryError:
    with pytest.raises(QueryError) as raised:
        await client.matrix(QUERY, 100.0)
    assert len(raised.value.message) < 300
    assert raised.value.message.isprintable()
    return raised.value


async def test_a_real_prometheus_answers_each_kind_of_query(prometheus: Prometheus, until: Any) -> None:
    async def ups() -> Any:
        return await prometheus.matrix('up{pod="quiet"}[60s]', await prometheus.now())

    (series,) = await until(ups, lambda found: bool(found) and len(found[0].samples) > 2)
    assert series.labels["namespace"] == "search"
    assert all(sample.value == 1 for sample in series.samples)
    now = await prometheus.now()
    assert 0 <= now - series.samples[-1].time < 30
    (instant,) = await prometheus.vector('up{pod="quiet"}', now)
    assert instant.samples[0].value == 1
    assert await prometheus.vector("up == 7", now) == ()
    (undefined,) = await prometheus.vector("0 * vector(1) / 0", now)
    assert undefined.samples[0].value != undefined.samples[0].value


@pytest.mark.parametrize(
    ("query", "reason", "says"),
    [
        ("up{", Trouble.FAILED, "400 (bad_data)"),
        ("up * on() group_left up * on() up", Trouble.FAILED, "422 (execution)"),
        ('up{pod="quiet"}', Trouble.INVALID, "a vector instead of a matrix"),
        ("1", Trouble.INVALID, "a scalar instead of a matrix"),
    ],
)
async def test_a_real_prometheus_refuses(
    prometheus: Prometheus, until: Any, query: str, reason: Trouble, says: str
) -> None:
    async def scraped() -> Any:
        return await prometheus.vector("count(up)", await prometheus.now())

    await until(scraped, lambda found: bool(found) and found[0].samples[0].value > 2)
    with pytest.raises(QueryError, match="default") as raised:
        await prometheus.matrix(query, await prometheus.now())
    assert raised.value.reason is reason
    assert says in raised.value.message


@pytest.mark.parametrize(
    ("answer", "reason", "says"),
    [
        (plain(500, failure("internal", "disk")), Trouble.FAILED, "500 (internal): disk"),
        (plain(503, failure("timeout", "query timed out")), Trouble.TIMEOUT, "503 (timeout)"),
        (plain(503, b"<html>busy</html>", "text/html"), Trouble.FAILED, "HTTP status 503"),
        (plain(422, failure("execution", "too\nmany\x1b[31m " + "x" * 999)), Trouble.FAILED, "too many [31m"),
        (plain(401, b"who?"), Trouble.REFUSED, "HTTP status 401"),
        (plain(403, b"[]"), Trouble.REFUSED, "HTTP status 403"),
        (plain(404, b"not here", "text/plain"), Trouble.FAILED, "HTTP status 404"),
        (plain(302, b"", Location="http://127.0.0.1:9/"), Trouble.INVALID, "redirects"),
        (plain(200, success([SERIES], warnings=["store down"])), Trouble.PARTIAL, "store down"),
        (plain(200, b"{"), Trouble.INVALID, "no query result"),
        (plain(200, b"<html>log in</html>", "text/html"), Trouble.INVALID, "no query result"),
        (plain(200, b"[]"), Trouble.INVALID, "no query result"),
        (plain(200, failure("execution", "late")), Trouble.INVALID, "no query result"),
        (plain(200, success([SERIES], "vector")), Trouble.INVALID, "a vector instead"),
        (plain(200, success([{"metric": {}}])), Trouble.INVALID, "unknown shape"),
        (plain(200, success([{"metric": {}, "histograms": []}])), Trouble.INVALID, "unknown shape"),
        (plain(200, success([{"metric": {}, "values": [[1, "many"]]}])), Trouble.INVALID, "unknown shape"),
        (cut, Trouble.INVALID, "cut off"),
        (cut_chunk, Trouble.INVALID, "cut off"),
        (plain(200, b" " * 2_000_000), Trouble.INVALID, "larger than"),
        (plain(200, BOMB, Content_Encoding="gzip"), Trouble.INVALID, "larger than"),
        (plain(200, b"no gzip", Content_Encoding="gzip"), Trouble.INVALID, "cut off"),
    ],
)  # fmt: skip
async def test_a_faulty_answer_is_one_short_reason(
    connect: Connect, proxy: Any, answer: Answer, reason: Trouble, says: str
) -> None:
    proxy.answer = answer
    error = await trouble(connect(proxy.url))
    assert (error.reason, says in error.message) == (reason, True), error.message
    assert len(proxy.seen) == 1, "a failure is not retried behind our back"


@pytest.mark.parametrize("drip", [False, True])
async def test_a_slow_answer_ends_in_time(connect: Connect, proxy: Any, drip: bool) -> None:
    def slow(request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        if drip:
            request.send_response(200)
            request.send_header("Content-Length", "100000")
            request.end_headers()
        while not proxy.stopping.wait(0.05):
            if drip:
                request.wfile.write(b" ")

    proxy.answer = slow
    started = asyncio.get_running_loop().time()
    error = await trouble(connect(proxy.url, timeout_seconds=1))
    assert error.reason is Trouble.TIMEOUT
    assert "within 1 s" in error.message
    assert asyncio.get_running_loop().time() - started < 3
    proxy.stopping.set()


async def test_numbers_that_are_none_and_infos_come_through(connect: Connect, proxy: Any) -> None:
    proxy.answer = plain(200, success([SERIES], infos=["metric might not be a counter"]))
    (series,) = await connect(proxy.url).matrix(QUERY, 100.0)
    values = [sample.value for sample in series.samples]
    assert (values[0], values[1] != values[1], values[2]) == (2, True, float("inf"))
    proxy.answer = plain(200, success([]))
    assert await connect(proxy.url).matrix(QUERY, 100.0) == ()


async def test_nobody_there(connect: Connect) -> None:
    error = await trouble(connect("http://127.0.0.1:9"))
    assert error.reason is Trouble.UNREACHABLE
    assert error.message == (
        "Prometheus source 'default' at 127.0.0.1:9 cannot be reached: Connection refused"
    )


async def test_a_query_that_waits_too_long_for_a_thread_ends(connect: Connect, proxy: Any) -> None:
    proxy.answer = lambda request, form: proxy.stopping.wait(20) and None
    client = connect(proxy.url, timeout_seconds=3)
    found = await asyncio.gather(*(trouble(client) for _ in range(5)))
    assert {error.reason for error in found} == {Trouble.TIMEOUT}
    proxy.stopping.set()


async def test_each_query_says_when_how_long_and_who(connect: Connect, proxy: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n", encoding="ascii")
    proxy.answer = plain(200, success([]))
    client = connect(proxy.url, timeout_seconds=2, bearer_token_file=token, tenant={"value": "team-search"})
    await client.matrix(QUERY, 1234.5)
    token.write_text("two\n", encoding="ascii")
    await client.matrix(QUERY, 1234.5)
    (form, headers), (_, rotated) = proxy.seen
    assert form == {
        "query": QUERY,
        "time": "1234.500",
        "timeout": "1800ms",
        "partial_response": "false",
        "deny_partial_response": "1",
    }
    assert (headers["Authorization"], rotated["Authorization"]) == ("Bearer one", "Bearer two")
    assert headers["X-Scope-OrgID"] == "team-search"


async def test_basic_credentials(connect: Connect, proxy: Any, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret", encoding="ascii")
    proxy.answer = plain(200, success([]))
    basic = {"username": "me", "password_file": tmp_path / "password"}
    await connect(proxy.url, basic_auth=basic).matrix(QUERY, 1.0)
    assert proxy.seen[0][1]["Authorization"] == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize("content", [None, "", "two words", "line\nfeed", "caf\u00e9"])
async def test_an_unusable_credential_is_told_and_not_shown(
    connect: Connect, proxy: Any, tmp_path: Path, content: str | None
) -> None:
    token = tmp_path / "token"
    if content is not None:
        token.write_text(content, encoding="utf-8")
    error = await trouble(connect(proxy.url, bearer_token_file=token))
    assert error.reason is Trouble.CREDENTIALS
    assert str(token) in error.message
    assert not content or content not in error.message
    assert proxy.seen == []


def rewriting(body: Callable[[str], bytes]) -> Answer:
    def answer(request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        plain(200, success([1000, "1000"], "scalar") if form["query"] == "time()" else body(form["query"]))(
            request, form
        )

    return answer


def of(pod: str, name: str, value: str = "1", **labels: str) -> dict[str, Any]:
    metric = {"__name__": name, "pod": pod, "namespace": "search", "instance": "i", **labels}
    return {"metric": metric, "values": [[999, value]]}


@pytest.mark.parametrize(
    ("body", "verdict", "reason"),
    [
        pytest.param(
            lambda _: success([of("a", "up"), of("b", "up")]), Verdict.ERROR, "LabelMismatch", id="more pods"
        ),
        pytest.param(
            lambda query: success([
                of("a", "http_requests_total", status="2xx", job="j") if "http" in query
                else of("a", "up", job="i")
            ]),
            Verdict.ERROR, "LabelMismatch", id="a counter of another target",
        ),
        pytest.param(
            lambda query: success([
                of("a", "http_requests_total", "NaN", status="2xx") if "http" in query else of("a", "up")
            ]),
            Verdict.NO_DATA, "NotANumber", id="NaN",
        ),
        pytest.param(
            lambda query: success([
                of("a", "http_requests_total", "-1", status="2xx") if "http" in query else of("a", "up")
            ]),
            Verdict.ERROR, "NotACounter", id="a negative counter",
        ),
        pytest.param(
            lambda _: success([], warnings=["x"]), Verdict.ERROR, "PrometheusPartialResponse", id="warning"
        ),
        pytest.param(lambda _: success([]), Verdict.NO_DATA, "NotScraped", id="empty"),
    ],
)  # fmt: skip
async def test_an_observation_becomes_the_right_verdict(
    connect: Connect, proxy: Any, body: Callable[[str], bytes], verdict: Verdict, reason: str
) -> None:
    proxy.answer = rewriting(body)
    found = await observe(
        connect(proxy.url),
        RUNTIMES[Runtime.INFINITY],
        "/embeddings",
        Objective("availability", Kind.AVAILABILITY, 99),  # type: ignore[arg-type]
        namespace="search",
        pods=[JudgedPod("a")],
        live_since=900,
        now=1000,
    )
    assert isinstance(found, SliFailure)
    assert (found.verdict, found.reason) == (verdict, reason)
