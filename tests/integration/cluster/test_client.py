"""The port and the caches against a real API server, and against one that misbehaves."""

import asyncio
import contextlib
import datetime
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from modelrelease.cluster import api, cache, client

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def config_map(namespace: str, name: str, **data: str) -> dict[str, Any]:
    labels = {"modelrelease.dev/release": "embedder"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "data": data,
    }


async def test_errors_have_names(port: client.KubernetesApi, namespace: str):
    with pytest.raises(api.NotFound):
        await port.get(api.CONFIG_MAP, namespace, "x")
    await port.create(api.CONFIG_MAP, config_map(namespace, "x"))
    with pytest.raises(api.AlreadyExists):
        await port.create(api.CONFIG_MAP, config_map(namespace, "x"))
    with pytest.raises(api.Invalid, match=r"metadata\.name"):
        await port.create(api.CONFIG_MAP, config_map(namespace, "X!"))
    stale = {"metadata": {"resourceVersion": "1", "annotations": {"a": "b"}}}
    with pytest.raises(api.Conflict):
        await port.merge(api.CONFIG_MAP, namespace, "x", stale)
    with pytest.raises(api.Conflict):
        await port.delete(api.CONFIG_MAP, namespace, "x", uid="another")
    await port.delete(api.CONFIG_MAP, namespace, "x")
    await port.delete(api.CONFIG_MAP, namespace, "x")


async def test_a_dry_run_leaves_nothing(port: client.KubernetesApi, namespace: str):
    await port.create(api.CONFIG_MAP, config_map(namespace, "x"), dry_run=True)
    with pytest.raises(api.NotFound):
        await port.get(api.CONFIG_MAP, namespace, "x")


async def test_lists_come_whole_page_by_page(
    port: client.KubernetesApi, namespace: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client, "PAGE", 2)
    for index in range(5):
        await port.create(api.CONFIG_MAP, config_map(namespace, f"x{index}"))
    found, version = await port.list(api.CONFIG_MAP, namespace, "modelrelease.dev/release=embedder")
    assert [obj["metadata"]["name"] for obj in found] == [f"x{index}" for index in range(5)]
    assert found[0]["kind"] == "ConfigMap"
    assert int(version) > 0


async def test_time_is_the_servers_and_never_runs_back(port: client.KubernetesApi, namespace: str):
    times = []
    for _ in range(5):
        await port.list(api.CONFIG_MAP, namespace)
        times.append(port.now())
    assert times == sorted(times)
    assert abs(times[-1] - datetime.datetime.now(datetime.UTC)) < datetime.timedelta(seconds=3)


@pytest.mark.parametrize(
    "data",
    [
        {"z": 1, "a": {"b": [1, {"d": None, "c": True}]}},
        {"args": ["a && b < c > d", 'é 😀 \u2028 \x7f \t \\ "']},
        {"number": 0.5, "large": 2**40},
    ],
)
async def test_metadata_of_a_controller_revision_can_be_patched(
    port: client.KubernetesApi, namespace: str, data: dict[str, Any]
):
    stored = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "x", "namespace": namespace},
        "revision": 1,
        "data": data,
    }
    assert (await port.create(api.CONTROLLER_REVISION, stored))["data"] == data
    patch = {"metadata": {"annotations": {"a": "b"}}}
    assert (await port.merge(api.CONTROLLER_REVISION, namespace, "x", patch))["data"] == data


async def test_an_old_version_is_gone(port: client.KubernetesApi, namespace: str):
    # On a new server the built-in kinds are watched from the first version on; ours came later.
    with pytest.raises(api.Gone):
        await anext(aiter(port.watch(api.RUN, "1", namespace)))


@contextlib.asynccontextmanager
async def misbehaving(
    kubeconfig: str, handler: Handler, **settings: Any
) -> AsyncIterator[client.KubernetesApi]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    configured = await client.configuration(kubeconfig)
    configured.host = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    port = client.KubernetesApi(configured, time.monotonic, **settings)
    yield port
    await port.close()
    server.close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(text)
    await writer.drain()


async def test_no_answer_is_unavailable_within_the_deadline(kubeconfig: str):
    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    counted: list[tuple[str, str, str]] = []
    async with misbehaving(
        kubeconfig, silent, timeout_seconds=0.3, count=lambda *said: counted.append(said)
    ) as port:
        began = time.monotonic()
        with pytest.raises(api.Unavailable):
            await port.get(api.POD, "shop", "x")
        assert time.monotonic() - began < 2
        with pytest.raises(api.Unavailable, match="not told its time"):
            port.now()
    assert counted == [("get", "pods", "none")]


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot json!",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_nonsense_is_unavailable(kubeconfig: str, text: bytes):
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer, text)
        writer.close()

    async with misbehaving(kubeconfig, nonsense, timeout_seconds=2) as port:
        with pytest.raises(api.Unavailable):
            await port.get(api.POD, "shop", "x")


async def test_a_watch_that_falls_silent_is_unavailable(kubeconfig: str):
    line = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"5"}}}\n'

    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        await answer(reader, writer, head + f"{len(line):x}\r\n".encode() + line + b"\r\n")
        await reader.read()

    async with misbehaving(kubeconfig, stalls, inactivity_seconds=0.3) as port:
        events = aiter(port.watch(api.POD, "1"))
        assert (await anext(events)).type == "BOOKMARK"
        with pytest.raises(api.Unavailable):
            await anext(events)


async def test_lines_of_any_length_and_in_any_pieces(kubeconfig: str):
    large = b'{"type":"ADDED","object":{"metadata":{"name":"' + b"x" * 400_000 + b'"}}}\n'

    async def pieces(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        for start in range(0, 2 * len(large), 70_001):
            writer.write((large * 2)[start : start + 70_001])
            await writer.drain()
        writer.close()

    async with misbehaving(kubeconfig, pieces) as port:
        assert [event.type async for event in port.watch(api.POD, "1")] == ["ADDED", "ADDED"]


async def test_caches_see_what_happens(port: client.KubernetesApi, namespace: str):
    changed = asyncio.Event()
    caches = cache.Caches(
        port,
        sleep=asyncio.sleep,
        monotonic=time.monotonic,
        namespace=namespace,
        changed=lambda *_: changed.set(),
    )
    following = asyncio.create_task(caches.run())
    try:
        await asyncio.wait_for(caches.wait_synced(), 10)
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "users", "namespace": namespace},
            "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]},
        }
        await port.create(api.SERVICE, service)
        await asyncio.wait_for(changed.wait(), 5)
        (found,) = caches[api.SERVICE].list(namespace)
        assert found["spec"]["selector"] == {"app": "x"}
        changed.clear()
        await port.delete(api.SERVICE, namespace, "users")
        await asyncio.wait_for(changed.wait(), 5)
        assert caches[api.SERVICE].list(namespace) == []
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
