"""The cache against an API server that misbehaves on purpose, in time that a test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from modelrelease.cluster import api, cache

SECONDS_MAX = 10_000


def pod(name: str, version: int = 1, release: str = "embedder", namespace: str = "shop") -> dict[str, Any]:
    labels = {"modelrelease.dev/release": release} if release else {}
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "labels": labels,
            "managedFields": ["long"],
        }
    }


class Time:
    """Time that passes only while everything sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, future))
        await future

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(SECONDS_MAX):
            for _ in range(20):
                await asyncio.sleep(0)
            if condition():
                return
            waiting = [(at, f) for at, f in self._sleepers if not f.done()]
            assert waiting, "nothing will ever happen"
            at, future = min(waiting, key=lambda entry: entry[0])
            self.now = max(self.now, at)
            self._sleepers = [(a, f) for a, f in waiting if f is not future]
            future.set_result(None)
        pytest.fail("the condition never came true")


class Script:
    """An API server that answers from a script: lists and streams, each an error or a value."""

    def __init__(self, lists: list[Any], streams: list[Any]) -> None:
        self.lists, self.streams = lists, streams
        self.asked: list[str] = []

    async def list(self, kind: api.Kind, namespace: str | None = None, selector: str = "") -> Any:
        self.asked.append("list")
        answer = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def watch(
        self, kind: api.Kind, resource_version: str, namespace: str | None = None, selector: str = ""
    ) -> AsyncIterator[api.WatchEvent]:
        self.asked.append(f"watch {resource_version}")
        for step in self.streams.pop(0) if self.streams else [None]:
            if isinstance(step, Exception):
                raise step
            if step is None:
                await asyncio.get_running_loop().create_future()
            else:
                yield step


def event(kind: str, obj: dict[str, Any]) -> api.WatchEvent:
    return api.WatchEvent(kind, obj)


BOOKMARK = event("BOOKMARK", {"metadata": {"resourceVersion": "50"}})


class Followed:
    def __init__(self, script: Script) -> None:
        self.time, self.told = Time(), []
        self.cache = cache.Cache(
            script,  # type: ignore[arg-type]
            api.POD,
            sleep=self.time.sleep,
            monotonic=self.time.monotonic,
            changed=lambda *where: self.told.append(where),
            stall_seconds=100,
        )
        self.told: list[tuple[str, str]]

    def names(self, release: str | None = "embedder") -> list[str]:
        return sorted(obj["metadata"]["name"] for obj in self.cache.list("shop", release))

    async def __aenter__(self) -> "Followed":
        self.task = asyncio.create_task(self.cache.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self.task.done(), "nothing but cancellation ends the loop"
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_it_lists_follows_and_trims():
    changes = [
        event("ADDED", pod("b", 2)),
        event("MODIFIED", pod("a", 3)),
        event("DELETED", pod("a", 4)),
        None,
    ]
    script = Script([([pod("a")], "1")], [changes])
    async with Followed(script) as followed:
        await followed.time.until(lambda: followed.names() == ["b"])
        assert followed.cache.synced
        assert "managedFields" not in followed.cache.list("shop", "embedder")[0]["metadata"]
        assert followed.told == [("shop", "embedder")] * 4
        assert script.asked == ["list", "watch 1"]


async def test_a_stream_that_ends_continues_where_it_was():
    script = Script([([], "1")], [[event("ADDED", pod("a", 7))], [BOOKMARK], [None]])
    async with Followed(script) as followed:
        await followed.time.until(lambda: len(script.asked) == 4)
        assert script.asked == ["list", "watch 1", "watch 7", "watch 50"]
        assert followed.names() == ["a"]


@pytest.mark.parametrize(
    "error",
    [api.Gone("too old", 410), api.Unavailable("reset"), RuntimeError("a defect"), KeyError("metadata")],
)
async def test_whatever_breaks_a_stream_everything_is_listed_again(error: Exception):
    script = Script([([pod("a"), pod("gone")], "1"), ([pod("a", 9), pod("b")], "9")], [[error], [None]])
    async with Followed(script) as followed:
        await followed.time.until(lambda: followed.names() == ["a", "b"])
        assert followed.told[-1] == ("shop", "embedder")


async def test_a_list_that_fails_is_tried_again_ever_later():
    failures = [api.Unavailable("down")] * 8
    script = Script([*failures, ([pod("a")], "1")], [[None]])
    async with Followed(script) as followed:
        await followed.time.until(lambda: followed.cache.synced)
        assert followed.time.now == 1 + 2 + 4 + 8 + 15 + 30 + 30 + 30


async def test_a_silent_stream_is_noticed_and_listed_again():
    script = Script([([pod("a")], "1"), ([pod("a"), pod("missed")], "2")], [[None], [None]])
    async with Followed(script) as followed:
        await followed.time.until(lambda: followed.names() == ["a", "missed"])
        assert 100 <= followed.time.now <= 102
        assert followed.cache.silent_seconds() <= 2


async def test_a_bookmark_is_a_sign_of_life():
    time_of_bookmark = 90.0
    script = Script([([], "1")], [])
    async with Followed(script) as followed:

        async def stream(*_: object) -> AsyncIterator[api.WatchEvent]:
            script.asked.append("watch")
            await followed.time.sleep(time_of_bookmark)
            yield BOOKMARK
            await asyncio.get_running_loop().create_future()

        script.watch = stream  # type: ignore[method-assign,assignment]
        await followed.time.until(lambda: script.asked.count("list") == 2)
        assert followed.time.now >= time_of_bookmark + 100


async def test_a_server_that_ends_every_stream_is_not_asked_in_a_tight_loop():
    script = Script([([], "1")], [[] for _ in range(5)])
    async with Followed(script) as followed:
        await followed.time.until(lambda: script.asked.count("watch 1") == 6)
        assert followed.time.now >= 5


async def test_what_bears_no_label_concerns_its_namespace():
    script = Script([([pod("svc", release="")], "1")], [[None]])
    async with Followed(script) as followed:
        await followed.time.until(lambda: followed.cache.synced)
        assert followed.told == [("shop", "")]
        assert followed.names(None) == ["svc"]
        assert followed.names() == []


async def test_a_relabelled_object_wakes_both_releases():
    moved = event("MODIFIED", pod("a", 2, release="other"))
    script = Script([([pod("a")], "1")], [[moved, None]])
    async with Followed(script) as followed:
        await followed.time.until(lambda: followed.names("other") == ["a"])
        assert followed.names() == []
        assert {("shop", "embedder"), ("shop", "other")} == set(followed.told)


async def test_an_unchanged_list_wakes_nobody():
    script = Script([([pod("a")], "1")], [[api.Gone("", 410)], [None]])
    async with Followed(script) as followed:
        await followed.time.until(lambda: script.asked.count("list") == 2)
        assert followed.told == [("shop", "embedder")]


def test_trimming_keeps_what_is_looked_at():
    full = pod("a") | {
        "spec": {
            "nodeName": "n",
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": ["big"],
            "containers": [{"name": "m", "env": ["big"], "ports": [{"name": "model", "containerPort": 1}]}],
            "initContainers": [
                {"name": "artifact", "env": ["big"]},
                {"name": "probe", "env": ["big"], "ports": [{"name": "probe", "containerPort": 2}]},
            ],
        },
        "status": {"phase": "Running"},
    }
    assert cache.trim_pod(full)["spec"] == {
        "nodeName": "n",
        "imagePullSecrets": [{"name": "registry"}],
        "containers": [{"name": "m", "ports": [{"name": "model", "containerPort": 1}]}],
        "initContainers": [{"name": "probe", "ports": [{"name": "probe", "containerPort": 2}]}],
    }
    assert cache.trim_pod(full)["status"] == {"phase": "Running"}
    limits = {"nvidia.com/gpu": "1", "memory": "80Gi"}
    on_gpu = full | {"spec": {"containers": [{"name": "m", "resources": {"limits": limits}}]}}
    (kept,) = cache.trim_pod(on_gpu)["spec"]["containers"]
    assert kept == {"name": "m", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    assert "template" not in cache.trim_job(pod("j") | {"spec": {"template": {}, "backoffLimit": 0}})["spec"]
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "big", "a": "b"}
    annotated = pod("a")
    annotated["metadata"]["annotations"] = applied
    assert cache.trim(annotated)["metadata"]["annotations"] == {"a": "b"}
