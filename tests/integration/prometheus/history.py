"""An hour of history that is written into a server's storage: what Prometheus would have scraped."""

import dataclasses
import math
import shutil
from collections.abc import Callable, Iterator, Mapping

from hack.cluster import binaries
from modelrelease.api.endpoint import Runtime
from tests.integration.prometheus import expositions, servers

STEP = 15
BEFORE, LIVE, AFTER = 1200, 600, 900
"""Seconds of history before now, of live traffic, and beyond now: a slow test still finds fresh samples."""

Value = float | str | None
Series = tuple[str, dict[str, str], Callable[[int], Value]]
"""Metric, labels, and the value at a second relative to now; None where there is no sample."""


def requests(at: int) -> int:
    """Ten a second since the start."""
    return 10 * (at + BEFORE)


def counter(status: str, value: Callable[[int], Value], name: str = "http_requests_total") -> Series:
    return name, {"handler": "/embeddings", "method": "POST", "status": status}, value


def up(value: Callable[[int], Value] = lambda at: 1) -> Series:
    return "up", {}, value


def bucket(le: str, share: float) -> Series:
    labels = {"handler": "/embeddings", "method": "POST", "le": le}
    return "http_request_duration_seconds_bucket", labels, lambda at: math.floor(share * requests(at))


GOOD = counter("2xx", requests)


def unless(gone: Callable[[int], bool], series: Series) -> Series:
    name, labels, value = series
    return name, labels, lambda at: None if gone(at) else value(at)


def both(gone: Callable[[int], bool]) -> tuple[Series, ...]:
    return unless(gone, up()), unless(gone, GOOD)


PODS: Mapping[str, tuple[Series, ...]] = {
    "healthy": (up(), GOOD, bucket("0.1", 0.9), bucket("0.5", 1), bucket("+Inf", 1)),
    "burning": (up(), GOOD, counter("5xx", lambda at: max(0, at + LIVE))),
    "nan": (up(), counter("2xx", lambda at: "NaN" if at > -60 else requests(at))),
    "inf": (up(), counter("2xx", lambda at: "+Inf" if at > -60 else requests(at))),
    "minus-inf": (up(), counter("2xx", lambda at: "-Inf" if at > -60 else requests(at))),
    "negative": (up(), counter("2xx", lambda at: -5 if at > -60 else requests(at))),
    # 500 failures of long ago, forgotten by a restart, and as many new ones before the next scrape.
    "reset": (
        up(),
        counter("2xx", lambda at: requests(at) if at < -300 else 10 * (at + 300)),
        counter("5xx", lambda at: 500 + max(0, at + 300)),
    ),
    "down": (up(lambda at: 0 if at > -120 else 1), unless(lambda at: at > -120, GOOD)),
    "stale": (up(), unless(lambda at: at > -300, GOOD)),
    "gap": (
        *both(lambda at: -400 < at < -200),
        counter("5xx", lambda at: 0 if at < -300 else 500 + (at + 300)),
    ),
    "gap-now": both(lambda at: at > -200),
    "lost": both(lambda at: at < -120),
    "renamed": (up(), counter("2xx", requests, name="http_server_requests_total")),
    "unknown-status": (up(), GOOD, counter("great", requests)),
    "few": (up(), counter("2xx", lambda at: requests(-LIVE) + max(0, at + LIVE) // 10)),
    "near": (
        up(),
        counter("2xx", lambda at: requests(-LIVE) + max(0, at + LIVE) // 2),
        counter("5xx", lambda at: max(0, at + LIVE) // 180),
    ),
    "early": (up(), GOOD, counter("5xx", lambda at: 0 if at < -LIVE else min(85, 0.3 * (at + LIVE)))),
    "violating": (up(), GOOD, counter("5xx", lambda at: 0.035 * requests(at))),
    "refusing": (up(), counter("4xx", requests)),
    "own": (
        up(),
        ("answers_total", {}, requests),
        ("failures_total", {"kind": "model"}, lambda at: 0),
        ("queue", {}, lambda at: 3),
    ),
    "nan-gauge": (up(), ("queue", {}, lambda at: "NaN" if at > -60 else 3)),
    "crowded": (up(), ("queue", {}, lambda at: 30 if at > -LIVE else 3)),
    "restarting": (
        up(),
        ("restarts_total", {"exported_pod": "restarting"}, lambda at: 5 if at < -450 else 7),
    ),
    "slightly": (up(), GOOD, counter("5xx", lambda at: 0.008 * requests(at))),
    "slightly-too": (up(), GOOD, counter("5xx", lambda at: 0.008 * requests(at))),
    "busy": (
        up(),
        counter("2xx", lambda at: 100 * requests(at)),
        counter("5xx", lambda at: 3.5 * requests(at)),
    ),
    "crowd": (up(), GOOD),
    "burning-too": (up(), GOOD, counter("5xx", lambda at: max(0, at + LIVE))),
    "refusing-some": (up(), GOOD, counter("4xx", lambda at: 0.25 * requests(at))),
    "refusing-too": (up(), GOOD, counter("4xx", lambda at: 0.25 * requests(at))),
    "minilm-r0123456789-7c9f6d-00001": (up(), GOOD, bucket("0.1", 0.9), bucket("0.5", 1), bucket("+Inf", 1)),
    "quiet-r0123456789-7c9f6d-00001": (up(), counter("2xx", lambda at: 7)),
    "coarse": (
        up(),
        bucket("0.1", 0.8),
        bucket("1.0", 1),
        bucket("+Inf", 1),
    ),
}


def pod_of(runtime: Runtime) -> str:
    """Return the pod that exports what a runtime does."""
    return f"runtime-{runtime.lower()}"


def exported(exposition: expositions.Exposition) -> tuple[Series, ...]:
    def line(metric: str, labels: dict[str, str], per_minute: int) -> Series:
        return metric, labels, lambda at: per_minute * (at + BEFORE) / 60

    return up(), *(line(*one) for one in exposition.lines)


ALL_PODS = {**PODS, **{pod_of(runtime): exported(one) for runtime, one in expositions.RUNTIMES.items()}}


def openmetrics(now: int) -> Iterator[str]:
    by_metric: dict[str, list[str]] = {}
    for pod, all_series in ALL_PODS.items():
        for name, labels, value in all_series:
            places = {"pod": pod, "namespace": servers.NAMESPACE, "instance": pod, "job": "pods"}
            said = ",".join(f'{key}="{text}"' for key, text in (labels | places).items())
            lines = by_metric.setdefault(name, [])
            for at in range(-BEFORE, AFTER, STEP):
                found = value(at)
                if found is not None:
                    lines.append(f"{name}{{{said}}} {found} {now + at}")
    twice = by_metric["up"] + by_metric["http_requests_total"]
    again = [line.replace('job="pods"', 'job="again"') for line in twice if 'pod="healthy"' in line]
    for name, lines in by_metric.items():
        family = name.removesuffix("_total").removesuffix("_bucket")
        kind = {"_total": "counter", "_bucket": "histogram"}.get(name.removeprefix(family), "gauge")
        yield f"# TYPE {family} {kind}"
        yield from lines
        yield from (line.replace('pod="healthy"', 'pod="twice"') for line in again if line.startswith(name))
        if name in {"up", "http_requests_total"}:
            first = [line for line in lines if 'pod="healthy"' in line]
            yield from (line.replace('pod="healthy"', 'pod="twice"') for line in first)
    yield "# EOF"


def binaries_found() -> dict[str, str]:
    """Return the binaries that are there, by name: Debian's, and the cluster's own where it was built."""
    found = {"debian": shutil.which("prometheus") or ""}
    own = binaries.PROMETHEUS.target() / "prometheus"
    return found | ({"own": str(own)} if own.exists() else {})


SERVERS = binaries_found()


@dataclasses.dataclass(frozen=True)
class History:
    """A server that remembers it, and when it ends."""

    url: str
    now: int
