"""What it costs to judge the objectives of many releases: queries and CPU of the operator's side.

``python -m benchmarks.slo_queries`` asks a server of its own, in another process, about 500 releases with an
availability and a latency objective each, beside stable, as the operator does every 15 s, judges them, and
prints how much of one core that takes. The server's own time is not counted; its answers have the shape and
the size of real ones.
"""

import argparse
import asyncio
import datetime
import http.server
import json
import math
import multiprocessing
import multiprocessing.connection
import re
import time
import urllib.parse
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from modelrelease.api import endpoint as api_endpoint
from modelrelease.api import run as api_run
from modelrelease.api import slo_state, spec, verdict
from modelrelease.controller import judging, slos
from modelrelease.prometheus import sources, targets
from modelrelease.slo import state

INTERVAL = 15
"""Seconds between scrapes, and between looks."""
HOLD = 900
"""Seconds of live traffic so far."""
NAMESPACE = "search"
SLOS = (
    spec.Slo(name="availability", objective="99", availability=spec.Availability()),
    spec.Slo(name="latency", objective="95", latency=spec.Latency(threshold_milliseconds=500)),
)
ENDPOINT = api_endpoint.Endpoint(
    runtime=api_endpoint.Runtime.INFINITY,
    operations=[
        api_endpoint.Operation(
            name="embed", protocol=api_endpoint.Protocol.OPENAI_EMBEDDINGS, path="/embeddings"
        )
    ],
)
_SELECTOR = re.compile(r"(?P<metric>[\w:]+){(?P<matchers>[^{}]*)}\[(?P<seconds>\d+)s\]")
_PODS = re.compile(r'pod=~"([^"]*)"')
_LE = re.compile(r'le=~"([^"]*)"')


def answer(query: str, at: float) -> bytes:
    """Answer as Prometheus would, about pods that have always served some ten requests a second.

    No two of them are scraped at the same moment, or have counted the same; few requests are bad.
    """
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
    since = at - int(found["seconds"])
    series = ",".join(
        f'{{"metric":{json.dumps(_place(pod, found["metric"]) | more)},'
        f'"values":[{_values(found["metric"], pod, more, since, at)}]}}'
        for pod in names
        for more in labels
    )
    return f'{{"status":"success","data":{{"resultType":"matrix","result":[{series}]}}}}'.encode()


def _place(pod: str, metric: str) -> dict[str, str]:
    return {"__name__": metric, "namespace": NAMESPACE, "pod": pod, "job": "pods", "instance": f"{pod}:8000"}


def _values(metric: str, pod: str, labels: Mapping[str, str], since: float, until: float) -> str:
    """Return what was scraped in (since, until]."""
    chance = zlib.crc32(pod.encode())
    offset, each = chance % (1000 * INTERVAL) / 1000, INTERVAL * 10 - 12 + chance % 25
    scrapes = range(math.floor((since - offset) / INTERVAL) + 1, math.floor((until - offset) / INTERVAL) + 1)
    counted = _COUNTED.get(labels.get("status", labels.get("le", "")), _every)
    return ",".join(
        f'[{INTERVAL * number + offset:.3f},"{1 if metric == "up" else counted(number, each)}"]'
        for number in scrapes
    )


def _every(number: int, each: int) -> int:
    """Return how many requests were answered by a scrape; some more in one interval than in another."""
    return number * each + number * 7919 % 13


_COUNTED: Mapping[str, Callable[[int, int], int]] = {
    "0.5": lambda number, each: _every(number, each) - number // 10,
    "4xx": lambda number, _: number // 20,
    "5xx": lambda number, _: number // 40,
}


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


def subject(number: int, pods: int, now: float, known: Mapping[str, api_run.SloStatus]) -> judging.Subject:
    """Return a candidate and as many pods of stable, a quarter of an hour into its first step."""
    since = datetime.datetime.fromtimestamp(now - HOLD, datetime.UTC)
    names = [f"release-{number}-7c9f6d-{pod:05d}" for pod in range(pods)]
    return judging.Subject(
        namespace=NAMESPACE,
        run=f"release-{number}-1",
        phase=api_run.Phase.HOLDING,
        step=1,
        since=since,
        names=tuple(names),
        pods=tuple(targets.JudgedPod(name) for name in names),
        slos=SLOS,
        endpoint=ENDPOINT,
        baseline=tuple(targets.JudgedPod(name.replace("7c9f6d", "5b8e21")) for name in names),
        live_since=since,
        deadline=now + HOLD,
        known={name: status.state for name, status in known.items() if status.state is not None},
    )


def _begun(since: float) -> dict[str, api_run.SloStatus]:
    """Return what runs remember when a step begins: that stable's day was recorded, and nothing else."""
    recorded = slo_state.Counted(requests=864_000)
    begun = state.begin(since, INTERVAL).model_copy(update={"recorded": recorded})
    now = datetime.datetime.fromtimestamp(since, datetime.UTC)
    return {
        slo.name: api_run.SloStatus(
            name=slo.name, verdict=verdict.Verdict.NO_DATA, observed_time=now, state=begun
        )
        for slo in SLOS
    }


class Looks:
    """Looks at all objectives of all releases, one after the other, evenly over an interval."""

    def __init__(self, judge: slos.PrometheusJudge, releases: int, pods: int) -> None:
        self._judge, self._releases, self._pods = judge, releases, pods
        self._known = {number: _begun(time.time() - HOLD) for number in range(releases)}

    async def look(self) -> int:
        """Look once; return how many objectives were judged."""
        return sum(await asyncio.gather(*map(self._one, range(self._releases))))

    async def _one(self, number: int) -> int:
        await asyncio.sleep(INTERVAL * number / self._releases)
        now = datetime.datetime.now(datetime.UTC)
        asked = subject(number, self._pods, now.timestamp(), self._known[number])
        found = await asyncio.gather(*(self._judge(asked, slo, now) for slo in SLOS))
        self._known[number] = {status.name: status for status in found}
        return sum(status.verdict is verdict.Verdict.PASS for status in found)


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
    for releases in chosen.releases:
        judge = slos.PrometheusJudge(sources.Sources(sources=(source,)), time.monotonic)
        looks = Looks(judge, releases, chosen.pods)
        for which in ("first look, at all slices of the step", "next look"):
            before = queries.value
            used, began = time.process_time(), time.monotonic()
            passed = asyncio.run(looks.look())
            cpu, wall = time.process_time() - used, time.monotonic() - began
            what = f"{releases} releases with 2 SLOs, {chosen.pods} pods and as many of stable, {which}"
            print(f"{what}: {passed} objectives passed, {wall:.1f} s")
            share = 100 * cpu / INTERVAL
            print(f"  {queries.value - before} queries, {cpu:.2f} s of CPU: {share:.0f} % of a core")
            print(f"  {1000 * cpu / releases:.1f} ms of CPU for each release and look")
        judge.close()
    server.kill()


if __name__ == "__main__":
    main()
