import datetime
import json
import math

import numpy as np
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canary_checks import failure, request, result
from canary_checks import vocabulary as v
from canary_checks.golden import pack
from canary_checks.parity import gates, recording, reference
from canary_checks.performance import driver, intervals, judging, memory, mixing, recorded, replay
from tests.unit.canary_checks import loads

CLOSED = replay.Performance(hardware=replay.Hardware(accelerator="H200", gpus=2))
STABLE = loads.performed(loads.lognormal(0.1, 2000, seed=1), steps=30.0)


def verdicts(found, *overrides, asked=CLOSED, stable=STABLE):
    limits = judging.Limits(overrides, asked)
    return {gate.metric: gate.verdict for gate in judging.judge(found, asked, limits, stable)}


def gate(metric, **limits):
    return request.GateOverride.model_validate({"metric": metric, **limits})


def test_an_equal_server_passes_every_gate():
    found = verdicts(loads.replayed(loads.lognormal(0.1, 2000, seed=2), steps=30.0))
    assert set(found.values()) == {v.Verdict.PASS}
    assert {"LatencyP95Ratio", "ThroughputRatio", "GpuSecondsRatio", "StepsRatio", "ErrorShare"} <= set(found)


def test_a_slower_server_fails_and_a_noisy_one_is_not_judged():
    slower = verdicts(loads.replayed(loads.lognormal(0.15, 2000, seed=2)))
    assert slower["LatencyP95Ratio"] is v.Verdict.FAIL
    few = verdicts(loads.replayed(loads.lognormal(0.078, 90, seed=2, spread=0.5)))
    assert few["LatencyP95Ratio"] is v.Verdict.INCONCLUSIVE


def test_fewer_answers_fail_the_throughput_and_the_cost():
    slower = loads.replayed(loads.lognormal(0.1, 1000, seed=2))
    found = verdicts(slower)
    assert found["ThroughputRatio"] is v.Verdict.FAIL
    assert found["GpuSecondsRatio"] is v.Verdict.FAIL
    # Where the arrivals set the throughput, it says nothing of the server.
    poisson = replay.Performance(arrivals=replay.Arrivals.POISSON, requests_per_second="33")
    assert "ThroughputRatio" not in verdicts(slower, asked=poisson)


@pytest.mark.parametrize(
    ("override", "metric", "verdict"),
    [
        (gate("LatencyP95Milliseconds", max="300"), "LatencyP95Milliseconds", "Pass"),
        (gate("LatencyP95Milliseconds", max="100"), "LatencyP95Milliseconds", "Fail"),
        (gate("LatencyP50Milliseconds", max="100"), "LatencyP50Milliseconds", "Inconclusive"),
        (gate("LatencyP99Milliseconds", maxRatio="1.5"), "LatencyP99Ratio", "Pass"),
        (gate("ThroughputPerSecond", min="10"), "ThroughputPerSecond", "Pass"),
        (gate("ThroughputPerSecond", min="40"), "ThroughputPerSecond", "Fail"),
        (gate("GpuSecondsPerInference", max="0.05"), "GpuSecondsPerInference", "Fail"),
        (gate("GpuSecondsPerInference", max="0.07"), "GpuSecondsPerInference", "Pass"),
        (gate("PricePerInference", max="1"), "PricePerInference", "NoData"),
        (gate("MemoryGrowthSharePerHour", max="0.1"), "MemoryGrowthSharePerHour", "NoData"),
        (gate("StepsPerImage", max="50"), "StepsPerImage", "NoData"),
        (gate("MixDistance", max="0.1"), "MixDistance", "NoData"),
        (gate("ErrorShare", max="0.0001"), "ErrorShare", "Pass"),
    ],
)
def test_declared_limits_are_judged_even_where_nothing_was_measured(override, metric, verdict):
    assert verdicts(loads.replayed(loads.lognormal(0.1, 2000, seed=2)), override)[metric] == verdict


@pytest.mark.parametrize(
    ("override", "says"),
    [
        (gate("CosineDistanceWorst", max="1"), "no limit on CosineDistanceWorst"),
        (gate("LatencyP95Milliseconds", maxDrop="1"), "takes `max` and `maxRatio`"),
        (gate("ThroughputPerSecond", max="1"), "takes `min` and `minRatio`"),
        (gate("ErrorShare", max="-1"), "at least 0"),
    ],
)
def test_a_gate_that_would_be_ignored_is_refused(override, says):
    with pytest.raises(failure.CheckError, match=says) as refused:
        judging.Limits([override], CLOSED)
    assert refused.value.reason == "InvalidRequest"


@pytest.mark.parametrize(
    ("errors", "requests", "verdict"),
    [(0, 29, "Inconclusive"), (0, 30, "Pass"), (1, 60, "Inconclusive"), (6, 100, "Fail"), (3, 2000, "Pass")],
)
def test_errors_fail_where_their_interval_lies_above_the_limit(errors, requests, verdict):
    outcomes = {driver.Outcome.ANSWERED: requests - errors, driver.Outcome.FAILED: errors}
    found = loads.replayed(loads.lognormal(0.1, requests - errors, seed=2), outcomes=outcomes)
    assert verdicts(found)["ErrorShare"] == verdict


def test_what_the_server_may_decline_is_no_error():
    outcomes = {driver.Outcome.ANSWERED: 100, driver.Outcome.REFUSED: 50}
    assert (
        verdicts(loads.replayed(loads.lognormal(0.1, 100, seed=2), outcomes=outcomes))["ErrorShare"] == "Pass"
    )


def test_no_answer_at_all_never_passes():
    nothing = loads.replayed(np.empty(0), outcomes={driver.Outcome.FAILED: 100})
    judged = judging.judge(nothing, CLOSED, judging.Limits((), CLOSED), STABLE)
    assert gates.verdict_of(judged) is v.Verdict.FAIL
    empty = loads.replayed(np.empty(0), outcomes={})
    judged = judging.judge(empty, CLOSED, judging.Limits((), CLOSED), None)
    assert gates.verdict_of(judged) is not v.Verdict.PASS


def test_requests_that_time_out_are_slower_than_all_others():
    latencies = loads.lognormal(0.1, 2000, seed=2)
    latencies[::10] = math.inf
    found = verdicts(loads.replayed(latencies))
    assert found["LatencyP95Ratio"] is v.Verdict.FAIL
    assert found["ErrorShare"] is v.Verdict.FAIL


@pytest.mark.parametrize("slow", [{"lags": np.full(100, 0.03)}, {"processor": 0.97}])
def test_a_client_that_is_the_bottleneck_judges_nothing_but_errors(slow):
    judged = verdicts(loads.replayed(loads.lognormal(0.2, 2000, seed=2), **slow))
    assert judged["LatencyP95Ratio"] is v.Verdict.INCONCLUSIVE
    assert judged["ThroughputRatio"] is v.Verdict.INCONCLUSIVE
    assert judged["ErrorShare"] is v.Verdict.PASS
    assert {judged["ClientLagMilliseconds"], judged["ClientProcessorShare"]} == {"Pass", "Inconclusive"}
    assert judging.saturated(loads.measured(loads.lognormal(0.1, 100, seed=1), **slow))
    assert not judging.saturated(loads.measured(loads.lognormal(0.1, 100, seed=1)))


def test_an_answer_that_cannot_be_read_fails():
    assert (
        verdicts(loads.replayed(loads.lognormal(0.1, 2000, seed=2), unreadable=1))["UnreadableAnswers"]
        == "Fail"
    )


@pytest.mark.parametrize(
    ("distance", "uncovered", "verdict"),
    [(0.4, 0.0, "Pass"), (0.6, 0.0, "Inconclusive"), (0.4, 0.06, "Inconclusive")],
)
def test_a_mix_that_the_golden_set_cannot_represent_is_inconclusive(distance, uncovered, verdict):
    mixed = mixing.Mixed(np.zeros((10, 1), dtype=np.int64), distance, uncovered)
    found = verdicts(loads.replayed(loads.lognormal(0.1, 2000, seed=2), mixed=mixed))
    assert {found["MixDistance"], found["MixUncovered"]} == {"Pass", verdict}


def test_more_steps_than_stable_fail():
    found = verdicts(loads.replayed(loads.lognormal(0.1, 2000, seed=2), steps=50.0))
    assert found["StepsRatio"] is v.Verdict.FAIL


def watched(growth_per_hour: float, *, count: int = 100, starts: tuple[float, ...] = (1.0,)) -> memory.Series:
    times = np.linspace(0, 900, count)
    noise = np.random.default_rng(3).standard_normal(count) * 1e5
    resident = 1e9 * (1 + growth_per_hour * times / 3600) + noise
    return memory.Series(times.tolist(), resident.tolist(), list(starts))


@pytest.mark.parametrize(
    ("series", "metric", "verdict"),
    [
        (watched(0.0), "MemoryGrowthSharePerHour", "Pass"),
        (watched(0.2), "MemoryGrowthSharePerHour", "Fail"),
        (watched(0.01), "MemoryGrowthSharePerHour", "Inconclusive"),
        (watched(-0.2), "MemoryGrowthSharePerHour", "Pass"),
        (watched(0.0, starts=(1.0, 1.0, 9.0)), "Restarts", "Fail"),
        (watched(0.0, starts=(1.0, 9.0, 1.0, 9.0)), "Restarts", "Fail"),
        (watched(0.0, starts=(9.0, 1.0, 9.0, 1.0)), "Restarts", "Pass"),
        (watched(0.0, starts=()), "Restarts", "Pass"),
    ],
)
def test_a_soak_judges_memory_and_restarts(series, metric, verdict):
    found = loads.replayed(loads.lognormal(0.1, 2000, seed=2), watched=series)
    assert verdicts(found)[metric] == verdict


def test_a_soak_without_a_memory_series_is_not_judged_by_it():
    found = verdicts(loads.replayed(loads.lognormal(0.1, 2000, seed=2), watched=memory.Series()))
    assert "MemoryGrowthSharePerHour" not in found
    assert found["Restarts"] is v.Verdict.PASS


@pytest.mark.parametrize(
    ("requests", "seconds", "verdict"),
    [(1000, 10.0, "Pass"), (100, 900.0, "Pass"), (400, 500.0, "Inconclusive")],
)
def test_a_soak_that_was_too_short_is_inconclusive(requests, seconds, verdict):
    found = loads.replayed(loads.lognormal(0.1, requests, seed=2), seconds=seconds, watched=memory.Series())
    assert verdicts(found)["SoakShare"] == verdict


def test_a_refused_connection_is_a_restart():
    outcomes = {driver.Outcome.ANSWERED: 1999, driver.Outcome.UNREACHED: 1}
    found = loads.replayed(loads.lognormal(0.1, 1999, seed=2), outcomes=outcomes, watched=memory.Series())
    assert verdicts(found)["Restarts"] is v.Verdict.FAIL


def test_the_price_follows_from_gpus_throughput_and_the_live_rate():
    asked = replay.Performance(
        hardware=replay.Hardware(gpus=2),
        inputs_per_request=4,
        price=replay.Price(per_gpu_hour="3.6", requests_per_second="10"),
    )
    # 2,000 answers in 60 s, 4 inferences each: 133.3 inferences a second on 2 GPUs.
    made = judging.estimates(loads.replayed(loads.lognormal(0.1, 2000, seed=2)), asked)
    assert made["GpuSecondsPerInference"].point == pytest.approx(2 / (2000 / 60 * 4))
    assert made["PricePerInference"].point == pytest.approx(2 / (2000 / 60 * 4) / 3600 * 3.6)
    day = judging.projected(made, asked)
    assert day["GpuHoursPerDay"] == pytest.approx(10 / (2000 / 60) * 24 * 2)
    assert day["CostPerDay"] == pytest.approx(day["GpuHoursPerDay"] * 3.6)
    assert judging.projected(made, CLOSED) == {}


bounds = st.lists(st.floats(0, 1e6) | st.just(math.inf), min_size=3, max_size=3).map(sorted)


@given(bounds, st.floats(0, 1e6), st.booleans())
def test_a_verdict_is_certain_only_beyond_the_interval(found, limit, upper):
    made = intervals.Interval(*found)
    verdict = judging.verdict_of(made, limit, upper=upper)
    inside = [(x <= limit) if upper else (x >= limit) for x in made]
    if verdict is v.Verdict.PASS:
        assert all(inside)
    elif verdict is v.Verdict.FAIL:
        assert not any(inside)
    else:
        assert not all(inside)
        assert any(inside) or limit in made


def written(asked=CLOSED, **operations):
    return recorded.new(
        asked,
        operations or {"embeddings": STABLE},
        revision="stable",
        checks="0.1.0",
        now=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    )


def test_a_record_is_read_as_it_was_written():
    found = recorded.decode(written())
    assert found.operations["embeddings"].said == STABLE.said
    np.testing.assert_allclose(found.operations["embeddings"].latencies, STABLE.latencies, rtol=1e-6)
    assert found.digest == result.digest(written())
    assert recorded.usable(found, "embeddings", CLOSED, loads.MIX).said.steps == 30.0


def test_a_record_of_many_latencies_stays_small():
    latencies = loads.lognormal(0.1, 100_001, seed=1)
    latencies[7] = math.inf
    content = written(embeddings=loads.performed(latencies))
    assert len(content) < 4 * recorded.MOST_LATENCIES + 4096
    assert len(recorded.decode(content).operations["embeddings"].latencies) <= recorded.MOST_LATENCIES


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"concurrency": 8}, "concurrency 4, this check has 8"),
        ({"arrivals": "Poisson", "requestsPerSecond": "5"}, "arrivals Closed, this check has Poisson"),
        ({"inputsPerRequest": 2}, "inputs per request 1"),
        ({"hardware": {"accelerator": "A100", "gpus": 2}}, "accelerator H200, this check has A100"),
        ({"hardware": {"accelerator": "H200", "gpus": 1}}, "gpus 2, this check has 1"),
        ({"hardware": {"accelerator": "H200", "gpus": 2, "servers": 3}}, "servers 1, this check has 3"),
    ],
)
def test_a_record_of_another_load_is_refused_with_a_sentence(changed, says):
    told = CLOSED.model_dump(mode="json", by_alias=True, exclude_none=True) | changed
    asked = replay.Performance.model_validate_json(json.dumps(told))
    with pytest.raises(failure.CheckError, match=says) as refused:
        recorded.usable(recorded.decode(written()), "embeddings", asked, loads.MIX)
    assert refused.value.reason == "ReferenceMismatch"


def test_a_record_of_another_mix_or_operation_is_refused():
    record = recorded.decode(written())
    with pytest.raises(failure.CheckError, match="recorded with mix"):
        recorded.usable(record, "embeddings", CLOSED, "sha256:" + "2" * 64)
    with pytest.raises(failure.CheckError, match="the operation image"):
        recorded.usable(record, "image", CLOSED, loads.MIX)


def test_what_is_not_told_of_the_hardware_is_not_compared():
    unknown = replay.Performance()
    assert recorded.usable(recorded.decode(written()), "embeddings", unknown, loads.MIX)


def outputs() -> bytes:
    header = recording.Header(
        schema_version=recording.SCHEMA,
        pack="TextV1",
        pack_version="1",
        pack_digest=loads.MIX,
        operations={"embeddings": recording.RecordedOperation(items=("a",))},
        revision="stable",
        numeric_class=v.NumericClass.FP32,
        recorded_time=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    )
    made = recording.Recording(("a",), np.ones((1, 4), np.float32), np.zeros(1, np.bool_))
    return recording.encode(header, {"embeddings": made})


def test_neither_kind_of_reference_is_taken_for_the_other():
    with pytest.raises(failure.CheckError, match="no record of performance"):
        recorded.decode(outputs())
    with pytest.raises(failure.CheckError, match="no reference"):
        reference.decode(written())


@given(st.binary(max_size=200), st.integers(0, 3000))
@settings(max_examples=50)
def test_a_broken_record_is_refused_and_never_raises_otherwise(noise, place):
    content = written()
    for broken in (noise, content[:place], content[:place] + noise + content[place + len(noise) :]):
        try:
            recorded.decode(broken)
        except failure.CheckError as refused:
            assert refused.reason == "ReferenceUnreadable"  # noqa: PT017 - most of these are refused, not all


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_latencies_that_cannot_be_are_refused(value):
    latencies = STABLE.latencies.copy()
    latencies[3] = value
    header, impossible = recorded.decode(written()).header, recorded.Performed(STABLE.said, latencies)
    with pytest.raises(failure.CheckError, match="no positive numbers"):
        recorded.decode(recorded.encode(header, {"embeddings": impossible}))


def test_a_record_of_another_digest_or_none_is_refused(tmp_path):
    file = tmp_path / "record.safetensors"
    with pytest.raises(failure.CheckError, match="cannot be opened"):
        recorded.load(str(file), None)
    file.write_bytes(written())
    assert recorded.load(str(file), result.digest(written())).header.revision == "stable"
    with pytest.raises(failure.CheckError, match="has the digest"):
        recorded.load(str(file), loads.MIX)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"arrivals": "Poisson"}, "requestsPerSecond"),
        ({"requestsPerSecond": "3"}, "requestsPerSecond"),
        ({"arrivals": "Poisson", "requestsPerSecond": "0"}, "above 0"),
        ({"mix": [{"upTo": 10, "share": "0.5"}]}, "add up to 1"),
        ({"mix": [{"upTo": 10, "share": "0.5"}, {"upTo": 9, "share": "0.5"}]}, "ascending"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"throughput": 1}, "Extra inputs"),
    ],
)
def test_a_load_that_cannot_be_meant_is_refused(said, why):
    with pytest.raises(pydantic.ValidationError, match=why):
        replay.Performance.model_validate_json(json.dumps(said))


def test_the_example_of_the_documentation_is_a_load():
    text = (replay.__doc__ or "").split("::\n\n", 1)[1].split("\n\nEvery", 1)[0]
    lines = [line.split("#")[0].rstrip() for line in text.splitlines()]
    said = "".join(lines).replace('"performance":', "").replace('"requestsPerSecond": "12.5",', "", 1)
    load = replay.Performance.model_validate_json(said)
    assert load.price.per_gpu_hour == "2.50"
    assert load.soak is not None


def test_every_default_is_a_limit_that_a_gate_may_replace():
    for metric, limits in replay.DEFAULTS.items():
        assert set(limits) <= replay.LIMITS[metric]


def test_a_performance_check_needs_its_load_and_no_other_check_has_one():
    asked = loads.asked("http://127.0.0.1:1", CLOSED)
    told = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert request.CheckRequest.model_validate_json(asked.model_dump_json(by_alias=True)) == asked
    for change in (
        {"performance": None},
        {"check": told["check"] | {"kind": "Contract"}},
        {"maxRequestsPerSecond": 5},
        {"live": {"revision": "s", "url": "http://h", "numericClass": "fp32"}},
    ):
        with pytest.raises(pydantic.ValidationError, match="performance"):
            request.CheckRequest.model_validate_json(json.dumps(told | change))


def test_the_bounds_of_an_estimate_travel_with_its_gate():
    judged = judging.judge(
        loads.replayed(loads.lognormal(0.1, 2000, seed=2)), CLOSED, judging.Limits((), CLOSED), STABLE
    )
    ratio = next(one for one in judged if one.metric == "LatencyP95Ratio")
    assert ratio.low is not None
    assert ratio.low < ratio.observed < ratio.high  # type: ignore[operator]


def test_the_golden_sets_of_this_package_are_a_mix():
    items = pack.builtin("TextV1").items
    found = mixing.mixed([len(one.text) for one in items], (), requests=len(items), inputs=1, seed=1)
    assert sorted(found.order.ravel()) == list(range(len(items)))


def test_stages_are_read_from_server_timing():
    header = b'tokenize;dur=1.5, model;desc="x";dur=20, cache;hit, bad;dur=oops, worse;dur=inf'
    assert list(driver.stage_seconds(header)) == [("tokenize", 0.0015), ("model", 0.02)]
