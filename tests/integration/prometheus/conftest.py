"""A real Prometheus that scrapes what looks like pods."""

import asyncio
import http.server
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import yaml

from modelrelease.prometheus.client import Prometheus
from modelrelease.prometheus.sources import Source
from tests.integration.prometheus import history, servers

DEADLINE = servers.DEADLINE


@dataclass
class Pod:
    """A process with the metrics of Infinity, and one that nothing may use."""

    name: str
    port: int = 0
    registry: prometheus_client.CollectorRegistry = field(init=False)
    requests: prometheus_client.Counter = field(init=False)
    durations: prometheus_client.Histogram = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget everything, as a new process does."""
        registry = prometheus_client.CollectorRegistry()
        labels = ("handler", "method")
        self.requests = prometheus_client.Counter(
            "http_requests", "Answers", (*labels, "status"), registry=registry
        )
        self.durations = prometheus_client.Histogram(
            "http_request_duration_seconds", "Of answers", labels, buckets=(0.1, 0.5, 1), registry=registry
        )
        self.registry = registry

    def answer(
        self, count: int, status: str = "2xx", seconds: float = 0.02, path: str = "/embeddings"
    ) -> None:
        """Answer so many requests."""
        if count:
            self.requests.labels(path, "POST", status).inc(count)
        for _ in range(count):
            self.durations.labels(path, "POST").observe(seconds)


def metrics_of(pod: Pod) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = prometheus_client.generate_latest(pod.registry)
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@pytest.fixture(scope="session")
def pods() -> Iterator[dict[str, Pod]]:
    """Pods by name; each test has its own, because counters never go back."""
    names = (
        "born",
        "hidden",
        "slow",
        "restarted",
        "idle",
        "quiet",
        "twice",
        "client-errors",
        "odd",
        "faulty",
    )
    made = {name: Pod(name) for name in names}
    started = []
    for pod in made.values():
        server = servers.serve(metrics_of(pod))
        pod.port = server.server_address[1]
        started.append(server)
    yield made
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def prometheus_url(pods: dict[str, Pod], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    binary = shutil.which("prometheus")
    assert binary, "the Debian package `prometheus` is missing; `make cluster` installs it"
    folder = tmp_path_factory.mktemp("prometheus")
    targets = [
        {"targets": [f"127.0.0.1:{pod.port}"], "labels": {"pod": pod.name, "namespace": servers.NAMESPACE}}
        for pod in pods.values()
    ]
    second = [target for target in targets if target["labels"]["pod"] == "twice"]  # type: ignore[call-overload]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [
            {"job_name": "pods", "static_configs": targets},
            {"job_name": "again", "static_configs": second},
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with servers.running(binary, folder) as url:
        yield url


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=2) as made:
        yield made


Connect = Callable[..., Prometheus]


@pytest.fixture
def connect(pool: ThreadPoolExecutor) -> Iterator[Connect]:
    """Return a maker of clients."""
    made: list[Prometheus] = []

    def connect(url: str, *, response_bytes_max: int = 1 << 20, **fields: Any) -> Prometheus:
        source = Source(name="default", url=url, **{"timeout_seconds": 3, **fields})
        client = Prometheus(source, pool, time.monotonic, response_bytes_max=response_bytes_max)
        made.append(client)
        return client

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def prometheus(connect: Connect, prometheus_url: str) -> Prometheus:
    return connect(prometheus_url)


Until = Callable[[Callable[[], Awaitable[Any]], Callable[[Any], bool]], Awaitable[Any]]


@pytest.fixture
def until() -> Until:
    """Return a function that asks again until the answer is the wanted one, or a deadline passes."""

    async def ask(question: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + DEADLINE
        while not wanted(answer := await question()):
            assert time.monotonic() < deadline, f"still {answer}"
            await asyncio.sleep(0.1)
        return answer

    return ask


@pytest.fixture
def proxy() -> Iterator[servers.Proxy]:
    made = servers.Proxy()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    promtool = shutil.which("promtool")
    assert promtool, "the Debian package `prometheus` is missing; `make cluster` installs it"
    folder = tmp_path_factory.mktemp("history")
    now = int(time.time())
    (folder / "metrics").write_text("\n".join(history.openmetrics(now)) + "\n", encoding="ascii")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", folder / "metrics", folder / "data"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder / "data", now


@pytest.fixture(scope="session", params=sorted(history.SERVERS))
def remembered(
    request: pytest.FixtureRequest, blocks: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[history.History]:
    """A server that scrapes nothing and remembers an hour."""
    binary = history.SERVERS[request.param]
    assert binary, "the Debian package `prometheus` is missing; `make cluster` installs it"
    folder = tmp_path_factory.mktemp(request.param)
    shutil.copytree(blocks[0], folder / "data")
    (folder / "prometheus.yml").write_text("scrape_configs: []\n", encoding="ascii")
    with servers.running(binary, folder) as url:
        yield history.History(url, blocks[1])
