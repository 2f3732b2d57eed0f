"""Every row of docs/verdicts.md, on real servers: what breaks is told by its verdict, and never passes.

Time is compressed: the servers hold an hour that was written into their storage, most of it around one
healthy revision that would pass. Each case is that revision with one thing wrong.
"""

import asyncio
import datetime
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.controller import comparing
from modelrelease.core import lifecycle
from modelrelease.prometheus import answers
from modelrelease.prometheus.idle import Idle
from modelrelease.prometheus.slis import observe
from modelrelease.prometheus.targets import JudgedPod
from modelrelease.slo import arms, burn, state
from modelrelease.slo.observation import SliFailure, SliObservation
from tests.integration.prometheus import history, servers
from tests.integration.prometheus.verdict_cases import CASES, Case
from tests.unit.core import given

Connect = Callable[..., Any]
ROOT = Path(__file__).parents[3]
TABLE = ROOT / "docs" / "verdicts.md"
ON_EVERY_SERVER = sorted(
    name for name, case in CASES.items() if not (case.status or case.answers or case.changed or case.source)
)


def between(remembered: history.History, case: Case) -> servers.Answer:
    """Return a proxy in front of the real server that does what the case says."""

    def answer(request: BaseHTTPRequestHandler, form: dict[str, str]) -> None:
        if case.status:
            status, body = case.status, case.body
        else:
            sent = urllib.parse.urlencode({**form, **(case.asked or {})})
            url = f"{remembered.url}/api/v1/query"
            try:
                with urllib.request.urlopen(url, sent.encode(), timeout=10) as real:  # noqa: S310 - our own
                    status, body = real.status, real.read()
            except urllib.error.HTTPError as refused:
                status, body = refused.code, refused.read()
        if case.changed is not None:
            document = json.loads(body)
            case.changed(document)
            body = json.dumps(document).encode()
        request.send_response(status)
        if status == 302:
            request.send_header("Location", remembered.url)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return case.answers or answer


async def judged(connect: Connect, remembered: history.History, proxy: Any, case: Case) -> burn.Judgement:
    """Judge as the operator does: what is seen of the candidate, beside stable, from live traffic on."""
    proxy.answer = between(remembered, case)
    client = connect(**{"url": proxy.url if case.proxied else remembered.url, **case.source})
    idle = [Idle(remembered.now + case.idle[0], remembered.now + case.idle[1])] if case.idle else ()
    # The history ends where it was written: the proxies' clocks and ours go on.
    now, live_since = time.time(), float(remembered.now - history.LIVE)

    async def of(pods: Sequence[JudgedPod], since: float, until: float) -> comparing.Observed:
        return await observe(
            client,
            case.series,
            case.path,
            case.objective,
            namespace=servers.NAMESPACE,
            pods=pods,
            live_since=since,
            now=until,
            present=now,
            idle_times=idle if pods == candidate else (),
        )

    others = [asyncio.ensure_future(client.vector("vector(1)", now)) for _ in range(case.others)]
    candidate, beside, before = (
        [JudgedPod(pod) for pod in pods] for pods in (case.pods, case.beside, case.before)
    )
    seen = await of(candidate, live_since, now)
    await asyncio.gather(*others, return_exceptions=True)
    assert isinstance(seen, SliObservation) or (seen.message and len(seen.message) < 512)
    known = state.begin(live_since, seen.interval if isinstance(seen, SliObservation) else 0)
    # In the bake stable takes no traffic; what it did was recorded while it did.
    earlier = await comparing.baseline(of, before, None, since=live_since, now=now, record=True)
    assert isinstance(earlier, arms.Baseline)
    baseline = await comparing.baseline(of, beside, known, since=live_since, now=now, record=False)
    if isinstance(baseline, arms.Baseline):
        baseline = arms.Baseline(baseline.live, earlier.recorded)
    else:
        assert isinstance(baseline, SliFailure)
    return burn.judge(case.objective, seen, now, live_since, baseline=baseline, known=known)


@pytest.mark.parametrize("name", ON_EVERY_SERVER)
async def test_a_row_of_the_table_on_every_server(
    connect: Connect, proxy: Any, remembered: history.History, name: str
) -> None:
    said = await judged(connect, remembered, proxy, CASES[name])
    assert (said.verdict, said.reason) == CASES[name].said, said.message


async def test_the_rows_where_something_stands_in_between(
    connect: Connect, proxy: Any, remembered: history.History
) -> None:
    wrong = {}
    for name in sorted(set(CASES) - set(ON_EVERY_SERVER)):
        said = await judged(connect, remembered, proxy, CASES[name])
        if (said.verdict, said.reason) != CASES[name].said:
            wrong[name] = (said.verdict, said.reason, said.message)
    assert wrong == {}


def rows() -> dict[str, tuple[str, str]]:
    """Return the table of conditions in the documentation."""
    line = re.compile(r"\| `(?P<id>[a-z0-9-]+)` \|[^|]*\| (?P<verdict>\w+) \| `(?P<reason>\w+)` \|")
    return {
        match["id"]: (match["verdict"], match["reason"])
        for match in map(line.match, TABLE.read_text(encoding="utf-8").splitlines())
        if match is not None
    }


def test_the_table_and_the_cases_are_the_same() -> None:
    assert rows() == {name: case.said for name, case in CASES.items()}


def test_every_row_is_one_of_the_tables_above() -> None:
    """A row that the pattern of `rows` does not read would be tested by nobody."""
    first = TABLE.read_text(encoding="utf-8").split("### Never asked")[0]
    assert len(re.findall(r"^\| `", first, re.MULTILINE)) == len(rows())


def named_tests() -> list[tuple[str, str]]:
    """Return the files and names of tests that stand in the tables of what real servers can't show."""
    text = TABLE.read_text(encoding="utf-8").split("### Never asked")[1]
    return [
        (where, name)
        for where, names in re.findall(r"\| `(tests/[\w/]+\.py)`: ((?:`\w+`(?:, )?)+) \|", text)
        for name in re.findall(r"\w+", names)
    ]


def test_every_other_row_names_tests_that_exist() -> None:
    text = TABLE.read_text(encoding="utf-8").split("### Never asked")[1]
    lines = [
        line
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith(("| what ", "| verdict "))
    ]
    assert len(lines) == 10
    assert [line for line in lines if "| `tests/" not in line] == []
    found = named_tests()
    assert len(found) >= len(lines)
    missing = [
        (where, name)
        for where, name in found
        if not re.search(rf"^(async )?def {name}\(", (ROOT / where).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_every_reason_stands_in_the_table() -> None:
    sources = (Path(answers.__file__).parent).glob("*.py")
    written = "".join(path.read_text(encoding="utf-8") for path in sources)
    found = {*re.findall(r'Verdict\.\w+,\s*"([A-Z]\w+)"', written), *answers.Trouble}
    # Of the rule itself, every one.
    rule = set(re.findall(r'"((?:[A-Z][a-z]+){2,})"', Path(burn.__file__).read_text(encoding="utf-8")))
    assert rule <= {reason for _, reason in rows().values()}
    assert len(found) > 20
    text = TABLE.read_text(encoding="utf-8")
    controllers = {reasons.JUDGING_BROKE, reasons.NOT_LIVE, reasons.UNKNOWN_PROMETHEUS_SOURCE}
    assert {reason for reason in found | controllers if f"`{reason}`" not in text} == set()


def test_nothing_broken_passes() -> None:
    passing = {name for name, case in CASES.items() if case.said[0] == Verdict.PASS}
    assert all(name.startswith("healthy") for name in passing)


# --- From a verdict to what happens -------------------------------------------------------------------------


def follows(verdict: str, reason: str, **changes: Any) -> tuple[str, str]:
    """Return the phase, and what the clock does, after a verdict of a step that has been held long enough."""
    slo = given.slo(Verdict(verdict), reason)
    beside = {"baseline_pods": [f"{given.STABLE}-0"]}
    status = {"step": 1, "elapsed": 61, "live_pods": [f"{given.CANDIDATE}-0"], "slos": [slo], **beside}
    run = given.run("Holding", **{**status, **changes})
    seen = given.observed([run], candidate=1, traffic=given.WIDENED, slos=(slo,))
    after = lifecycle.transition(seen, given.NOW)
    if after is None:
        return "Holding", "runs"
    stopped = after.clock is not None and after.clock.stopped_since is not None
    return after.phase.value, "stands" if stopped else "runs"


def test_every_verdict_of_a_real_server_acts_as_the_table_says() -> None:
    """Every row of the first table, on to the second: only Pass goes on, and only Fail returns at once."""
    wrong = {}
    for name, (verdict, reason) in rows().items():
        expected = {"Pass": ("Shifting", "runs"), "Fail": ("Returning", "runs")}.get(verdict)
        if expected is None:
            counts = verdict == Verdict.INCONCLUSIVE or reason == reasons.TOO_FEW_REQUESTS
            expected = ("Holding", "runs" if counts else "stands")
        found = follows(verdict, reason)
        if found != expected:
            wrong[name] = (found, expected)
    assert wrong == {}


@pytest.mark.parametrize(
    ("verdict", "reason", "phase"),
    [
        (Verdict.INCONCLUSIVE, "NotProven", "Returning"),
        (Verdict.NO_DATA, "TooFewRequests", "Returning"),
        (Verdict.NO_DATA, "NotScraped", "Returning"),
        (Verdict.ERROR, "PrometheusTimeout", "Holding"),
    ],
)
def test_a_deadline_acts_as_the_table_says(verdict: Verdict, reason: str, phase: str) -> None:
    past = 4000 + 61
    clock: dict[str, Any] = {"elapsed": past}
    if verdict is Verdict.ERROR or reason == "NotScraped":
        stopped = given.ago(past)
        clock["silent_since"] = stopped
        clock["clock"] = api_run.Clock(
            start_time=stopped - datetime.timedelta(seconds=30), stopped_since=stopped
        )
    assert follows(verdict, reason, **clock)[0] == phase
