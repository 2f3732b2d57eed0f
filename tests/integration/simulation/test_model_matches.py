"""The Kubernetes in memory answers like a real one: random traces give the same observations on both."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from kubernetes.client import ApiClient

from modelrelease.api import constants
from modelrelease.cluster import client
from tests.integration.simulation import traces
from tests.simulation import client as memory
from tests.simulation import kubernetes

TRACES, BLOCKS = 200, 10


@pytest.fixture
async def port(kubeconfig: str, api_client: ApiClient) -> AsyncIterator[client.KubernetesApi]:
    found = client.KubernetesApi(await client.configuration(kubeconfig), time.monotonic)
    yield found
    await found.close()


async def _play_in_memory(calls: list[traces.Call], namespace: str) -> list[Any]:
    ticks = itertools.count()
    server = kubernetes.Server(lambda: float(next(ticks)))
    clients = {
        "operator": memory.Client(server, constants.FIELD_MANAGER),
        "person": memory.Client(server, "kubectl"),
    }
    # The version "1" must be a stale one here too.
    server._bump()
    return await traces.Player(clients.__getitem__, namespace).play(calls)


@pytest.mark.parametrize("block", range(BLOCKS))
async def test_traces_give_the_same_observations(port: client.KubernetesApi, namespace: str, block: int):
    for seed in range(block * TRACES // BLOCKS, (block + 1) * TRACES // BLOCKS):
        calls = traces.draw(seed)
        real = await traces.Player(lambda _: port, namespace).play(calls)
        modelled = await _play_in_memory(calls, namespace)
        for call, (one, other) in zip([*calls, *traces.KINDS], zip(real, modelled, strict=True), strict=True):
            assert one == other, f"seed {seed}: {call}\nreal: {one}\nmodel: {other}\ntrace: {calls}"
        places = itertools.product(traces.KINDS, ("one", "two"))
        await asyncio.gather(*(port.delete(kind, namespace, name) for kind, name in places))
