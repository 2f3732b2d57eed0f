import asyncio
import dataclasses
import json
import re
import socket

import numpy as np
import pytest

from benchmarks import load_server
from canary_checks import entry, inputs, operation, request, result, runner
from canary_checks import vocabulary as v
from canary_checks.cli import exits
from canary_checks.performance import driver, judging, memory, mixing, replay, templates, wire
from tests.unit.canary_checks import loads


@pytest.fixture(scope="module")
def server():
    with load_server.serving() as url:
        yield url


@pytest.fixture
def patient(monkeypatch):
    """Let the client be as late as the tests' machine makes it: that is judged elsewhere."""
    monkeypatch.setattr(judging, "_LAG_SECONDS", 10.0)


def load(template, **others):
    fields = {
        "templates": [template],
        "order": np.zeros(1, dtype=np.int64),
        "arrivals": None,
        "concurrency": 4,
        "warmup_seconds": 0.0,
        "seconds": 1.0,
        "requests": 10_000,
        "timeout_seconds": 5.0,
    }
    return driver.Load(**(fields | others))


async def driven(url, **others):
    client, writer = templates.connected(loads.EMBEDDINGS, url, "run-1")
    async with client:
        template = await templates.written(client.embed([inputs.Text("hello")]), may_be_refused=False)
        measured = await driver.Driver(writer, load(template, **others)).run()
    # The tests' machine may be busy; whether the client kept up is judged elsewhere.
    return dataclasses.replace(measured, lags=loads.QUIET), client


def judged(measured, stable, metric="LatencyP50Milliseconds"):
    asked = replay.Performance()
    limits = judging.Limits([request.GateOverride(metric=metric, max_ratio="1.25")], asked)
    mixed = mixing.Mixed(np.zeros((1, 1), dtype=np.int64), None, None)
    found = judging.Replayed(measured=measured, mixed=mixed, looked=1)
    known = dataclasses.replace(loads.performed(stable.latencies))
    gates = judging.judge(found, asked, limits, known)
    return next(gate for gate in gates if gate.metric == "LatencyP50Ratio")


async def test_equal_servers_pass_and_one_that_takes_twice_as_long_fails(server):
    # At the same time: what disturbs one of them disturbs all.
    stable, same, slower = await asyncio.gather(
        *(
            driven(f"{server}/delay={delay},jitter=4,seed={seed}")
            for delay, seed in ((40, 1), (40, 2), (80, 3))
        )
    )
    assert judged(same[0], stable[0]).verdict is v.Verdict.PASS
    assert judged(slower[0], stable[0]).verdict is v.Verdict.FAIL
    assert stable[0].answered == len(stable[0].latencies) > 50
    assert stable[1].sent == stable[0].answered


async def test_a_stall_is_charged_for_everybody_who_waited(server):
    arrivals = mixing.poisson(200.0, 1.0, most=1000, seed=1)
    (opened, _), (closed, _) = await asyncio.gather(
        driven(f"{server}/delay=1,stall=0.2:0.6,a=1", arrivals=arrivals, concurrency=200),
        driven(f"{server}/delay=1,stall=0.2:0.6,b=1", concurrency=4),
    )
    assert (opened.latencies > 0.1).mean() > 0.4, "half of the time nobody was answered"
    assert (closed.latencies > 0.1).mean() < 0.15, "who waits for an answer asks nothing meanwhile"
    assert len(opened.latencies) == len(arrivals)


async def test_too_few_connections_are_charged_too(server):
    arrivals = mixing.poisson(100.0, 0.6, most=1000, seed=1)
    measured, _ = await driven(
        f"{server}/delay=100", arrivals=arrivals, concurrency=1, seconds=0.6, timeout_seconds=0.3
    )
    assert measured.outcomes[driver.Outcome.UNSENT] > 0
    assert np.isinf(measured.latencies).sum() == measured.outcomes[driver.Outcome.UNSENT]
    assert measured.errors == measured.outcomes[driver.Outcome.UNSENT]
    answered = measured.latencies[np.isfinite(measured.latencies)]
    assert answered[-1] > answered[0] + 0.3, "the queue grows, and with it everybody's wait"


async def test_the_warm_up_is_sent_and_not_measured(server):
    measured, client = await driven(
        f"{server}/delay=10,stall=0.0:0.4", warmup_seconds=0.3, seconds=0.4, concurrency=2
    )
    assert client.sent == measured.answered + 2 > 2, "the two that stalled were sent before"
    assert np.median(measured.latencies) < 0.1
    arrivals = mixing.poisson(50.0, 0.6, most=100, seed=1) - 0.3
    measured, client = await driven(f"{server}/delay=1", arrivals=arrivals, warmup_seconds=0.3)
    assert (client.sent, measured.judged) == (len(arrivals), (arrivals >= 0).sum())


async def test_a_request_that_takes_too_long_is_an_error(server):
    measured, client = await driven(f"{server}/delay=400", timeout_seconds=0.1, seconds=0.3, concurrency=1)
    assert set(measured.outcomes) == {driver.Outcome.TIMED_OUT}
    assert np.isinf(measured.latencies).all()
    assert client.failed == client.sent == measured.errors


async def test_no_more_requests_are_sent_than_allowed_unless_the_load_must_last(server):
    measured, _ = await driven(f"{server}/delay=1", requests=20)
    assert measured.judged == 20
    measured, _ = await driven(f"{server}/delay=1", requests=20, least=(9.0, 60))
    assert measured.judged == 60
    measured, _ = await driven(f"{server}/delay=1", requests=20, least=(0.5, 10**6))
    assert 20 < measured.judged < 10_000


async def test_requests_are_those_of_the_protocol_and_marked(server):
    seen = []

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        seen.append((head, json.loads(await reader.readexactly(length))))
        writer.write(b"HTTP/1.1 200 OK\r\nserver-timing: model;dur=7\r\ncontent-length: 2\r\n\r\n{}")
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        measured, _ = await driven(f"http://127.0.0.1:{port}", requests=2, concurrency=1)
    assert seen[0][1] == {"model": "m", "input": ["hello"], "encoding_format": "float"}
    assert seen[0][0].startswith(b"POST /v1/embeddings HTTP/1.1\r\n")
    assert v.PROBE_HEADER.encode() + b": run-1" in seen[0][0].lower()
    assert measured.answered == 2
    assert measured.stages["model"].tolist() == [0.007, 0.007]
    assert not judging.saturated(dataclasses.replace(measured, processor=0.1))


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nabc", b"abc"),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na", b"a"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc", None),
        (b"no HTTP at all\r\n\r\n", None),
        (b"", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n" + b"a" * 101, None),
    ],
)
async def test_an_answer_is_read_whole_or_not_at_all(raw, body):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        connection = wire.Connection(wire.Target.of(f"http://127.0.0.1:{port}/x?y=1"), limit=100)
        for _ in range(2):
            # The second request finds the first one's connection closed, and opens another.
            if body is None:
                with pytest.raises(wire.Broken):
                    await connection.exchange("GET", {}, b"")
            else:
                assert (await connection.exchange("GET", {}, b""))[::2] == (200, body)
        await connection.closed()


# Whole checks.

SHORT = {"duration_seconds": 1, "max_requests": 80, "warmup_seconds": 0, "concurrency": 8}


async def checked(url, load, **others):
    return await runner.run(loads.asked(url, load, **others))


@pytest.mark.parametrize(("path", "said"), [("fail=0.2", "status 500"), ("busy=1", "status 429")])
async def test_errors_fail_the_check(server, path, said):
    outcome = await checked(f"{server}/delay=20,{path}", replay.Performance(**SHORT), record=True)
    found = outcome.result
    assert (found.verdict, found.reason) == (v.Verdict.FAIL, "TooManyErrors")
    assert said in found.message
    assert found.requests.failed > 0
    assert found.requests.retried == 0, "a load repeats nothing"
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
    assert evidence is not None
    assert evidence.reference is None, "what fails is no reference"


async def test_a_check_that_is_cut_never_passes(server):
    asked = replay.Performance(duration_seconds=60, warmup_seconds=0)
    found = (await checked(f"{server}/delay=20", asked, deadline_seconds=1)).result
    assert (found.verdict, found.reason) == (v.Verdict.ERROR, "DeadlineExceeded")
    assert found.requests.sent > 0


async def test_a_server_that_is_not_there_is_an_error_soon():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    found = (await checked(f"http://127.0.0.1:{port}", replay.Performance(duration_seconds=60))).result
    assert (found.verdict, found.reason) == (v.Verdict.ERROR, "EndpointUnreachable")
    assert found.requests.sent == 0


async def test_a_soak_notices_a_restart_and_says_that_memory_was_not_told(server):
    asked = replay.Performance(
        duration_seconds=1,
        warmup_seconds=0,
        concurrency=32,
        soak=replay.Soak(metrics_path="/restart=1/metrics"),
    )
    found = (await checked(f"{server}/delay=5", asked)).result
    assert (found.verdict, found.reason) == (v.Verdict.FAIL, "ServerRestarted")
    assert re.search("told its memory [1-7] times only, so its growth was not judged", found.message)
    assert found.requests.sent >= replay.SOAK_REQUESTS


async def test_memory_is_read_from_the_metrics(server):
    for leak, grows in ((0.0, False), (0.01, True)):
        watch = memory.Watch(f"{server}/x", replay.Soak(metrics_path=f"/leak={leak}/metrics"))
        for _ in range(12):
            await watch.sample()
        assert len(watch.series.times) == 12
        growth = watch.series.growth
        assert growth is not None
        assert (growth.low > 0.01) is grows
        assert watch.series.restarts == 0


async def test_metrics_that_are_not_there_leave_no_series(server):
    watch = memory.Watch("http://127.0.0.1:1", replay.Soak())
    await watch.sample()
    assert watch.series.growth is None
    assert watch.series.starts == []


async def test_a_mix_that_the_set_cannot_represent_is_inconclusive(server):
    bins = (replay.Bin(up_to=50, share="0.1"), replay.Bin(up_to=51, share="0.9"))
    asked = replay.Performance(**SHORT, mix=bins)
    found = (await checked(f"{server}/delay=20", asked)).result
    assert found.verdict is v.Verdict.INCONCLUSIVE
    assert any(gate.metric == "MixDistance" and gate.verdict == "Inconclusive" for gate in found.gates)


DRAFT = operation.Operation(name="draft", protocol=v.Protocol.OPENAI_IMAGES, model="m")
REFINE = operation.Operation(name="refine", protocol=v.Protocol.OPENAI_IMAGES, model="m", after="draft")


async def test_image_generators_are_asked_stage_by_stage(server, tmp_path, patient):
    load = replay.Performance(duration_seconds=1, max_requests=32, warmup_seconds=0, concurrency=8)
    told = {
        "operations": (DRAFT, REFINE),
        "golden_set": request.GoldenSet(builtin="PromptV1"),
    }
    outcome = await checked(f"{server}/delay=120,steps=30", load, record=True, **told)
    found = outcome.result
    assert found.verdict is v.Verdict.PASS, found.message
    assert {m.operation: m.p50 for m in found.measurements if m.metric == "StepsPerImage"} == {
        "draft": 30.0,
        "refine": 30.0,
    }
    assert found.requests.sent > 64, "what is refined was drawn first, and counted"
    evidence = result.parse_evidence(result.EVIDENCE_PREFIX + outcome.evidence)
    assert evidence is not None
    assert evidence.reference is not None
    file = tmp_path / "record.safetensors"
    file.write_bytes(evidence.reference.content())
    source = request.ReferenceSource(
        role=v.Role.STABLE,
        revision="stable",
        path=str(file),
        digest=evidence.reference.digest,
        numeric_class=v.NumericClass.FP32,
    )
    found = (await checked(f"{server}/delay=120,steps=50", load, references=(source,), **told)).result
    assert (found.verdict, found.reason) == (v.Verdict.FAIL, "StepsChanged")
    assert {gate.operation for gate in found.gates if gate.verdict == "Fail"} == {"draft", "refine"}


async def test_an_operation_that_comes_after_nothing_is_refused(server):
    told = {"operations": (REFINE,), "golden_set": request.GoldenSet(builtin="PromptV1")}
    found = (await checked(server, replay.Performance(**SHORT), **told)).result
    assert (found.verdict, found.reason) == (v.Verdict.ERROR, "RequestInvalid")


async def test_a_replay_that_is_kept_from_running_notices(server):
    async def hold():
        while True:
            sum(range(500_000))
            await asyncio.sleep(0)

    holding = asyncio.create_task(hold())
    client, writer = templates.connected(loads.EMBEDDINGS, f"{server}/delay=20", "run-1")
    async with client:
        template = await templates.written(client.embed([inputs.Text("hello")]), may_be_refused=False)
        measured = await driver.Driver(writer, load(template, seconds=0.5)).run()
    holding.cancel()
    assert judging.saturated(measured)


async def test_what_cannot_be_compared_is_said(server):
    gates = (request.GateOverride(metric="LatencyP95Milliseconds", max_ratio="1.1"),)
    found = (await checked(server, replay.Performance(**SHORT), gates=gates)).result
    assert (found.verdict, found.reason) == (v.Verdict.NO_DATA, "ReferenceMissing")
    assert "never asked" in found.message
    assert found.requests.sent == 0


def command(server, path, *options):
    fast = ["--duration", "1", "--warmup", "0", "--concurrency", "16", "--max-requests", "32", "--model", "m"]
    return entry.main(["check", "performance", "--candidate", f"{server}/{path}", *fast, *map(str, options)])


def test_a_command_records_and_compares(server, tmp_path, capsys, patient):
    recorded = tmp_path / "stable.safetensors"
    assert command(server, "delay=250", "--record", recorded) == exits.PASS
    assert "no recorded performance to compare with" in " ".join(capsys.readouterr().out.split())
    page = tmp_path / "report.html"
    options = ["--gate", "LatencyP50Milliseconds.maxRatio=1.25", "--output-file", page, "--output", "html"]
    assert command(server, "delay=500", "--reference", recorded, *options) == exits.FAIL
    assert "p50 latency, ratio" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "log₁₀ ms" in text
    assert ">recorded<" in text
    assert command(server, "delay=1", "--reference", tmp_path, "--concurrency", 7) == exits.ERROR
    said = " ".join(capsys.readouterr().out.split())
    assert "was recorded with concurrency 16, this check has 7" in said


def test_a_load_on_a_command_line_gets_the_time_that_it_takes(server, capsys):
    # Two rounds of 16 take longer than the deadline, which is for checks of another kind.
    command(server, "delay=600", "--duration", "400", "--output", "json", "--deadline", "1")
    (found,) = json.loads(capsys.readouterr().out)
    assert found["requests"]["sent"] == 32
    assert found["reason"] != "DeadlineExceeded"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["performance", "repeatability"], "is asked for alone"),
        (["repeatability", "--record", "x"], "--record is of"),
        (["performance", "--stable", "http://h"], "no use for --stable"),
        (["soak", "--max-requests-per-second", "5"], "no use for --max-requests-per-second"),
        (["performance", "--mix", "a:1"], "not SIZE:SHARE"),
        (["performance", "--mix", "10:0.5"], "add up to 1"),
        (["performance", "--arrivals-per-second", "0"], "above 0"),
        (["performance", "--price-per-gpu-hour", "dear"], "pattern"),
    ],
)
def test_a_load_that_cannot_be_meant_is_a_usage_error(arguments, says, capsys):
    assert entry.main(["check", *arguments, "--candidate", "http://127.0.0.1:1"]) == exits.USAGE
    assert says in capsys.readouterr().err
