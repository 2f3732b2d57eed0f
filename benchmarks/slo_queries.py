"""What it costs to look at the objectives of many releases: queries and CPU of the operator's side.

``python -m benchmarks.slo_queries`` asks a server of its own, in another process, about 500 releases with an
availability and a latency objective each, as the operator does every 15 s, and prints how much of one core
that takes. The server's own time is not counted; its answers have the shape and the size of real ones.
"""

import argparse
import asyncio
import functools
import http.server
import json
import multiprocessing
import multiprocessing.connection
import re
import time
import urllib.parse
from concurrent import futures
from decimal import Decimal
from typing import Any

from modelrelease.api.endpoint import Runtime
from modelrelease.prometheus import client, runtimes, slis, sources, targets
from modelrelease.slo import objectives, observation

INTERVAL = 15
"""Seconds between scrapes, and between looks."""
HOLD = 900
"""Seconds of live traffic so far."""
NAMESPACE = "search"
AVAILABILITY = objectives.Objective("availability", objectives.Kind.AVAILABILITY, Decimal(99))
LATENCY = objectives.Objective("latency", objectives.Kind.LATENCY, Decimal(95), 0.5)
_SELECTOR = re.compile(r"(?P<metric>[\w:]+){(?P<matchers>[^{}]*)}\[(?P<seconds>\d+)s\]")
_PODS = re.compile(r'pod=~"([^"]*)"')
_LE = re.compile(r'le=~"([^"]*)"')


def answer(query: str, at: float) -> bytes:
    """Answer as Prometheus would, about pods that have always served ten requests a second."""
    if query == "time()":
        return _success("scalar", [at, str(at)])
    found = _SELECTOR.search(query)
    assert found, query
    pods = _PODS.search(query)
    assert pods, query
    names = [pod.replace("\\", "") for pod in pods[1].split("|")]
    if query.startswith("group by"):
        edges = [
            {"metric": {"le": edge, "pod": pod, "namespace": NAMESPACE}, "value": [at, "1"]}
            for pod in names
            for edge in ("0.1", "0.5", "1.0", "+Inf")
        ]
        return _success("vector", edges)
    labels: list[dict[str, str]] = [{}]
    if found["metric"] == "http_requests_total":
        labels = [
            {"handler": "/embeddings", "method": "POST", "status": status} for status in ("2xx", "4xx", "5xx")
        ]
    elif found["metric"].endswith("_bucket"):
        wanted = _LE.search(query)
        chosen = wanted[1].replace("\\", "").split("|") if wanted else ["+Inf"]
        labels = [{"handler": "/embeddings", "method": "POST", "le": edge} for edge in chosen]
    values = _values(found["metric"], int(found["seconds"]), int(at) // INTERVAL * INTERVAL)
    series = ",".join(
        f'{{"metric":{json.dumps(_place(pod, found["metric"]) | more)},"values":{values}}}'
        for pod in names
        for more in labels
    )
    return f'{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}'.encode()


def _place(pod: str, metric: str) -> dict[str, str]:
    return {"__name__": metric, "namespace": NAMESPACE, "pod": pod, "job": "pods", "instance": f"{pod}:8000"}


@functools.lru_cache(maxsize=64)
def _values(metric: str, seconds: int, newest: int) -> str:
    times = range(newest - seconds // INTERVAL * INTERVAL, newest + 1, INTERVAL)
    return json.dumps([[at, "1" if metric == "up" else str(10 * (at - times[0]))] for at in times])


def _success(kind: str, result: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a query."""
        form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        body = answer(form["query"], float(form.get("time", time.time())))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _serve(port: multiprocessing.connection.Connection, queries: Any) -> None:
    class Counting(_Handler):
        def do_POST(self) -> None:
            with queries.get_lock():
                queries.value += 1
            super().do_POST()

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    port.send(server.server_address[1])
    server.serve_forever()


async def look(prometheus: client.Prometheus, releases: int, pods: int) -> int:
    """Look at all objectives of all releases once, evenly over an interval; return how many spoke."""

    async def one(number: int) -> int:
        await asyncio.sleep(INTERVAL * number / releases)
        now = time.time()
        found = await asyncio.gather(
            *(
                slis.observe(
                    prometheus,
                    runtimes.RUNTIMES[Runtime.INFINITY],
                    "/embeddings",
                    objective,
                    namespace=NAMESPACE,
                    pods=[targets.JudgedPod(f"release-{number}-7c9f6d-{pod:05d}") for pod in range(pods)],
                    live_since=now - HOLD,
                    now=now,
                )
                for objective in (AVAILABILITY, LATENCY)
            )
        )
        return sum(
            isinstance(seen, observation.SliObservation) and seen.until(now).total > 0 for seen in found
        )

    return sum(await asyncio.gather(*map(one, range(releases))))


def main() -> None:
    """Measure, and print one line for each number of releases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--releases", type=int, nargs="*", default=[100, 500])
    parser.add_argument("--pods", type=int, default=2, help="of each candidate")
    chosen = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    queries = multiprocessing.Value("i", 0)
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(theirs, queries), daemon=True)
    server.start()
    source = sources.Source(name="default", url=f"http://127.0.0.1:{ours.recv()}", timeout_seconds=10)
    with futures.ThreadPoolExecutor(4) as pool:
        for releases in chosen.releases:
            prometheus = client.Prometheus(source, pool, time.monotonic)
            before = queries.value
            used, began = time.process_time(), time.monotonic()
            judged = asyncio.run(look(prometheus, releases, chosen.pods))
            cpu, wall = time.process_time() - used, time.monotonic() - began
            share = 100 * cpu / INTERVAL
            what = f"{releases} releases with 2 SLOs and {chosen.pods} pods"
            print(f"{what}: {judged} observations in {wall:.1f} s")
            print(f"  {queries.value - before} queries, {cpu:.2f} s of CPU: {share:.0f} % of a core")
            print(f"  {1000 * cpu / releases:.1f} ms of CPU for each release and look")
            prometheus.close()
    server.kill()


if __name__ == "__main__":
    main()
