"""What Prometheus told goes into the Job's request, and what it did not tell goes there as a sentence."""

import dataclasses
import datetime
import json

import pytest

from canary_checks.performance import replay
from modelrelease.api import live as api_live
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.checks import accelerator, evidence, jobs, results, subjects
from modelrelease.core import accelerators, live_load
from tests.unit.checks import given
from tests.unit.checks import test_performance as performance

DECLARED = {"mix": [{"upTo": 10, "share": "1"}], "cost": {"requestsPerSecond": "3"}, "live": {}}
MIX = (live_load.Bin(40, "0.75"), live_load.Bin(1000, "0.25"))


def asked(seen: live_load.Seen | None) -> replay.Performance:
    of = performance.run(DECLARED)
    subject = dataclasses.replace(given.subject("speed", of), live=seen)
    load = performance.asked(
        jobs.render(subject, subjects.Opponents(), jobs.Settings("checks:1"))
    ).performance
    assert load is not None
    return load


def test_what_was_measured_takes_the_place_of_what_is_declared():
    load = asked(live_load.Seen(3600, requests=500, rate="12.5", wanted=True, mix=MIX, pixels=True))
    assert [(one.up_to, one.share) for one in load.mix] == [(40, "0.75"), (1000, "0.25")]
    assert (load.size_of, load.price.requests_per_second) == (replay.SizeOf.PIXELS, "12.5")
    assert load.live == replay.Live(mix=replay.MixSource.MEASURED, window_seconds=3600, requests=500)


@pytest.mark.parametrize(
    ("seen", "source"),
    [
        (live_load.Seen(3600, wanted=True, remark="Prometheus cannot be reached"), replay.MixSource.UNKNOWN),
        (live_load.Seen(3600), replay.MixSource.DECLARED),
    ],
)
def test_what_is_not_known_stays_declared(seen: live_load.Seen, source: replay.MixSource):
    load = asked(seen)
    assert [(one.up_to, one.share) for one in load.mix] == [(10, "1")]
    assert load.price.requests_per_second == "3"
    assert load.live is not None
    assert (load.live.mix, load.live.remark or "") == (source, seen.remark)


def test_without_anybody_to_ask_the_request_says_nothing_of_it():
    assert asked(None).live is None


# --- What the GPU showed ------------------------------------------------------------------------------------


def finished(load: int | None) -> tuple[dict, dict]:
    phases = {"phasesMilliseconds": {"load": load}} if load else {}
    told = given.answered(timings={"startTime": given.TIME, "completionTime": given.TIME, **phases})
    said = told.model_dump(mode="json", by_alias=True, exclude_none=True) | {
        "evidence": {"digest": given.DIGEST, "sizeBytes": 5, "truncated": False}
    }
    return given.job(), given.pod(given.ended(json.dumps(said)))


def test_the_window_of_the_load_ends_with_the_check():
    for load, seconds in ((60_000, 60.0), (None, None)):
        job, pod = finished(load)
        (due,) = evidence.due(given.RUN_UID, [job], [pod])
        assert (due.load is None) is (seconds is None)
        if due.load is not None:
            assert due.load[1] == datetime.datetime.fromisoformat(given.TIME)
            assert (due.load[1] - due.load[0]).total_seconds() == seconds


def test_what_is_noted_on_a_job_is_part_of_what_the_check_says():
    gates = [api_live.AcceleratorGate(metric=api_live.AcceleratorMetric.UTILIZATION, min="40")]
    idle = [(15.0 * n, 10.0 + n % 2) for n in range(9)]
    starved = accelerators.judge(gates, {api_live.AcceleratorMetric.UTILIZATION: [idle]})
    job, pod = finished(60_000)
    job["metadata"]["annotations"] |= {evidence.EVIDENCE: "kept", **accelerator.note(starved)}
    (part,) = results.read(given.run(), given.RUN_UID, [job], [pod])
    assert (part.verdict, part.reason) == (Verdict.FAIL, "AcceleratorOutOfBounds")
    assert part.gates[0] == starved.gates[0]
    assert isinstance(part.gates[0], api_run.GateStatus)
    assert part.finished


@pytest.mark.parametrize("text", ["", "{", "[]", '{"gates": 3}', '{"gates": []}', '{"other": 1}'])
def test_a_note_that_is_none_is_passed_over(text: str):
    assert accelerator.noted({accelerator.ANNOTATION: text}) is None
