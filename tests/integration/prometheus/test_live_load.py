"""Users' mix and rate, and what a GPU did, from a real Prometheus that scrapes what pods and DCGM export."""

import dataclasses
import datetime
import shutil
import time
from collections.abc import Iterator
from typing import Any

import prometheus_client
import pytest
import yaml

from modelrelease.api import checks as api_checks
from modelrelease.api import live as api_live
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.checks import accelerator
from modelrelease.controller import accelerating, live_loads
from modelrelease.core import observation
from modelrelease.prometheus import sources
from tests.integration.prometheus import conftest, servers
from tests.unit.checks import given

STABLE, CANARY = "embedder-stable-1", "embedder-canary-1"
NAMESPACE = "shop"


class Exported:
    """What vLLM, a generator and the exporter of DCGM say, all in one process."""

    def __init__(self) -> None:
        self.registry = registry = prometheus_client.CollectorRegistry()
        self.tokens = prometheus_client.Histogram(
            "vllm:request_prompt_tokens", "Tokens", ["model_name"], buckets=(10, 100, 1000), registry=registry
        )
        self.images = prometheus_client.Counter("images", "Drawn", ["size"], registry=registry)
        self.requests = prometheus_client.Counter(
            "http_requests", "Answers", ["handler", "status"], registry=registry
        )
        # With honor_labels: false this pod becomes exported_pod, as on most clusters.
        own = ["gpu", "namespace", "pod"]
        self.busy = prometheus_client.Gauge("DCGM_FI_DEV_GPU_UTIL", "%", own, registry=registry)
        self.memory = prometheus_client.Gauge("DCGM_FI_DEV_FB_USED", "MiB", own, registry=registry)
        self.busy.labels("0", NAMESPACE, CANARY).set(7)
        self.memory.labels("0", NAMESPACE, CANARY).set(20_000)

    def ask(self) -> None:
        """Let users ask 300 times."""
        for tokens, count in ((5, 150), (50, 120), (5000, 30)):
            for _ in range(count):
                self.tokens.labels("m").observe(tokens)
        self.images.labels("512x512").inc(75)
        self.images.labels("1024x768").inc(225)
        self.requests.labels("/v1/embeddings", "2xx").inc(300)
        self.requests.labels("/health", "2xx").inc(10_000)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Exported]]:
    """The URL of a Prometheus that scrapes stable's pod, and what the pod exports."""
    binary = shutil.which("prometheus")
    assert binary, "the Debian package `prometheus` is missing; `make cluster` installs it"
    exported, folder = Exported(), tmp_path_factory.mktemp("live")
    server = servers.serve(conftest.metrics_of(exported))  # type: ignore[arg-type]
    target = {
        "targets": [f"127.0.0.1:{server.server_address[1]}"],
        "labels": {"pod": STABLE, "namespace": NAMESPACE},
    }
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "pods", "static_configs": [target]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with servers.running(binary, folder) as url:
        yield url, exported
    server.shutdown()
    server.server_close()


@pytest.fixture
def live(source: tuple[str, Exported]) -> Iterator[live_loads.LiveLoads]:
    named = sources.Source(name="default", url=source[0], timeout_seconds=3)
    made = live_loads.LiveLoads(sources.Sources(sources=(named,)), time.monotonic)
    yield made
    made.close()


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def released(load: dict[str, Any], runtime: str = "VLLM") -> tuple[observation.Observation, observation.Run]:
    check = {"name": "speed", "deadlineSeconds": 1800, "performance": load}
    run = given.run(checks=[check], endpoint={"protocol": "OpenAIEmbeddings", "runtime": runtime})
    pod = observation.Pod(
        STABLE, "uid", "r00000000aa", ready=True, scheduled_time=now() - datetime.timedelta(minutes=10)
    )
    stable = observation.Revision("r00000000aa", pods=(pod,))
    return observation.Observation(
        release=None,  # type: ignore[arg-type]
        revisions={stable.name: stable},
        traffic=observation.Traffic(observation.Selects.NOTHING),
    ), run


def speed(run: observation.Run) -> api_checks.Check:
    return run.spec.judging.checks[0]


async def test_the_mix_and_the_rate_are_those_of_users(
    live: live_loads.LiveLoads, source: tuple[str, Exported], until: conftest.Until
) -> None:
    observed, run = released({"live": {"windowSeconds": 300}})
    _, drawn = released(
        {
            "live": {
                "windowSeconds": 300,
                "sizes": {"metric": "images_total", "label": "size", "unit": "Pixels"},
            }
        }
    )

    async def seen(of: observation.Run = run) -> Any:
        return await live.seen(observed, of, speed(of), NAMESPACE, now())

    async def scraped() -> bool:
        client = live.source("default")
        return bool(await client.vector("http_requests_total", now().timestamp()))

    # Counters begin somewhere: what was counted before the first scrape is nobody's growth.
    source[1].tokens.labels("m").observe(5)
    source[1].images.labels("512x512").inc(0)
    source[1].images.labels("1024x768").inc(0)
    source[1].requests.labels("/v1/embeddings", "2xx").inc(0)
    await until(scraped, bool)
    source[1].ask()
    found = await until(seen, lambda answer: bool(answer.mix) and answer.requests >= 250)
    assert [one.up_to for one in found.mix] == [40, 400, 4000, 1_000_000_000]
    assert [float(one.share) for one in found.mix] == pytest.approx([0.5, 0.4, 0.0, 0.1], abs=0.02)
    # 300 requests in the 300 s of the window, whose pod is older. `increase` adds half a scrape interval at
    # both ends, which doubles what only two scrapes have seen.
    assert 0.8 < float(found.rate) <= 2.0
    assert (found.wanted, found.pixels, found.remark) == (True, False, "")
    sized = await seen(drawn)
    assert {one.up_to: float(one.share) for one in sized.mix} == pytest.approx({262_144: 0.25, 786_432: 0.75})
    assert sized.pixels


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"source": "elsewhere"}, "no Prometheus source 'elsewhere'"),
        ({"sizes": {"metric": "nobody_counts_this"}}, "tells of fewer than 100 requests"),
    ],
)
async def test_what_is_not_known_is_said_and_fails_nothing(
    live: live_loads.LiveLoads, asked: dict[str, Any], said: str
) -> None:
    observed, run = released({"live": asked})
    found = await live.seen(observed, run, speed(run), NAMESPACE, now())
    assert found is not None
    assert (found.mix, found.wanted) == ((), True)
    assert said in found.remark


async def test_a_prometheus_that_is_gone_costs_a_sentence() -> None:
    nowhere = sources.Source(name="default", url=f"http://127.0.0.1:{servers.free_port()}", timeout_seconds=1)
    live = live_loads.LiveLoads(sources.Sources(sources=(nowhere,)), time.monotonic)
    observed, run = released({"live": {}})
    found = await live.seen(observed, run, speed(run), NAMESPACE, now())
    assert found is not None
    assert (found.mix, found.rate) == ((), "")
    assert "cannot be reached" in found.remark
    gate = {"metric": "GpuUtilizationPercent", "min": "40"}
    _, bounded = released({"accelerator": {"gates": [gate]}})
    window = now() - datetime.timedelta(seconds=60), now()
    asking = {"namespace": NAMESPACE, "pod": CANARY}
    assert await accelerating.notes(live, speed(bounded), window, **asking, now=window[1]) is None
    late = await accelerating.notes(
        live, speed(bounded), window, **asking, now=window[1] + accelerating.PATIENCE
    )
    live.close()
    judged = accelerator.noted(late or {})
    assert judged is not None
    assert (judged.verdict, "cannot be reached" in judged.message) == (Verdict.NO_DATA, True)


async def test_nobody_is_asked_where_the_check_asks_nothing_or_nobody_serves(
    live: live_loads.LiveLoads,
) -> None:
    observed, run = released({})
    assert await live.seen(observed, run, speed(run), NAMESPACE, now()) is None
    observed, run = released({"live": {}})
    first = dataclasses.replace(observed, revisions={})
    assert await live.seen(first, run, speed(run), NAMESPACE, now()) is None
    assert (
        await accelerating.notes(live, speed(run), (now(), now()), namespace=NAMESPACE, pod=CANARY, now=now())
        == {}
    )


async def test_a_gpu_that_idles_under_the_load_is_starved(
    live: live_loads.LiveLoads, until: conftest.Until
) -> None:
    gates = [
        {"metric": "GpuUtilizationPercent", "min": "40"},
        {"metric": "GpuMemoryGrowthSharePerHour", "max": "0.01"},
        {"metric": "SmActivePercent", "min": "20"},
    ]
    _, run = released({"accelerator": {"gates": gates}})
    start = now()

    async def judged() -> Any:
        said = await accelerating.notes(
            live, speed(run), (start, now()), namespace=NAMESPACE, pod=CANARY, now=now()
        )
        return accelerator.noted(said or {})

    found = await until(judged, lambda answer: answer.gates[1].verdict is Verdict.PASS)
    by_metric = {gate.metric: gate for gate in found.gates}
    busy = by_metric[api_live.AcceleratorMetric.UTILIZATION.value]
    assert isinstance(busy, api_run.GateStatus)
    assert (busy.verdict, busy.observed) == (Verdict.FAIL, "7")
    assert by_metric["SmActivePercent"].verdict is Verdict.NO_DATA
    assert found.verdict is Verdict.FAIL
