"""Which mix is replayed where users' own was measured, and what a record of another one is worth."""

import asyncio
import dataclasses

import numpy as np
import pytest

from benchmarks import load_server
from canary_checks import outdated, request, runner
from canary_checks import vocabulary as v
from canary_checks.performance import judging, recorded, replay, representing
from tests.unit.canary_checks import golden_sets as sets
from tests.unit.canary_checks import loads


def mix(**shares: str) -> tuple[replay.Bin, ...]:
    return tuple(replay.Bin(up_to=int(size[1:]), share=share) for size, share in shares.items())


SHORT = mix(_10="0.7", _100="0.3")
SHORTER = mix(_10="0.75", _100="0.25")
LONG = mix(_10="0.2", _100="0.8")
SIZES = [5] * 7 + [50] * 3


def live(source: replay.MixSource, bins: tuple[replay.Bin, ...] = ()) -> replay.Performance:
    told = replay.Live(mix=source, window_seconds=86_400, requests=1234, remark=None)
    return replay.Performance(mix=bins, live=told)


def known(bins: tuple[replay.Bin, ...], size_of: replay.SizeOf = replay.SizeOf.INPUT) -> recorded.Performed:
    made = loads.performed(np.full(100, 0.04))
    return dataclasses.replace(made, said=made.said.model_copy(update={"bins": bins, "size_of": size_of}))


MEASURED, UNKNOWN = replay.MixSource.MEASURED, replay.MixSource.UNKNOWN


@pytest.mark.parametrize(
    ("load", "before", "bins", "comparable", "said"),
    [
        (replay.Performance(mix=SHORT), known(LONG), SHORT, True, ""),
        (live(MEASURED, SHORT), None, SHORT, True, "users' mix of 1234 requests in 24 h was replayed"),
        (live(MEASURED, SHORTER), known(SHORT), SHORT, True, "0.05 from the recorded one"),
        (live(MEASURED, LONG), known(SHORT), LONG, False, "no ratio was judged"),
        (live(MEASURED, SHORTER), known(()), (), True, "0.05 from the recorded one"),
        (live(MEASURED, LONG), known(()), LONG, False, "no ratio was judged"),
        (live(MEASURED, SHORT), known(SHORT, replay.SizeOf.PIXELS), SHORT, False, "1 from the one"),
        (live(UNKNOWN, LONG), known(SHORT), SHORT, True, "the recorded one was replayed"),
        (live(UNKNOWN, LONG), None, LONG, True, "the declared one was replayed"),
        (live(UNKNOWN), None, (), True, "the golden set's own one was replayed"),
    ],
)
def test_stable_and_candidate_are_asked_alike(load, before, bins, comparable, said):
    found = representing.choose(load, SIZES, before, 0.1)
    assert (found.bins, found.comparable) == (bins, comparable)
    assert said in found.remark
    assert bool(said) is bool(found.remark)


@pytest.mark.parametrize(
    ("one", "other", "exact", "apart"),
    [
        (SHORT, SHORT, False, 0.0),
        (SHORT, LONG, False, 0.5),
        (SHORT, mix(_10="0.7", _50="0.2", _100="0.1"), False, 0.0),
        (SHORT, mix(_11="0.5", _99="0.5"), False, 1.0),
        (SHORT, mix(_10="0.2"), False, 0.5),
        (mix(_4="1"), mix(_9="1"), True, 1.0),
        (mix(_4="0.5", _9="0.5"), mix(_4="0.5", _16="0.5"), True, 0.5),
    ],
)
def test_the_distance_is_the_share_of_requests_that_changed(one, other, exact, apart):
    assert representing.distance(one, other, exact=exact) == pytest.approx(apart)
    assert representing.distance(other, one, exact=exact) == pytest.approx(apart)


# --- In a whole check ---------------------------------------------------------------------------------------

QUICK = replay.Performance(duration_seconds=1, warmup_seconds=0, max_requests=60, concurrency=2)


@pytest.fixture(scope="module")
def server():
    with load_server.serving() as url:
        yield f"{url}/delay=10"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Let the client be as late as the tests' machine makes it: that is judged elsewhere."""
    monkeypatch.setattr(judging, "_LAG_SECONDS", 10.0)


def check(url, load, folder, record=None, *, tmp_path):
    others = {"golden_set": request.GoldenSet(path=str(folder)), "record": True}
    if record is not None:
        file = tmp_path / "stable.safetensors"
        file.write_bytes(record)
        source = request.ReferenceSource(
            role=v.Role.STABLE,
            revision="r0",
            path=str(file),
            digest=recorded.decode(record).digest,
            numeric_class=v.NumericClass.FP32,
        )
        others["references"] = (source,)
    asked = loads.asked(url, load, **others)
    return asyncio.run(runner.run(asked))


def test_a_record_of_another_golden_set_is_no_error_and_no_pass(server, tmp_path):
    old = sets.written(tmp_path / "old", name="Old")
    new = sets.written(tmp_path / "new", (*sets.TEXTS, sets.text(3, "a dog")), name="New")
    before = check(server, QUICK, old, tmp_path=tmp_path)
    assert before.content.recorded is not None, before.result.message
    found = check(server, QUICK, new, before.content.recorded, tmp_path=tmp_path)
    assert (found.result.verdict, found.result.reason) == (v.Verdict.NO_DATA, outdated.REASON)
    assert "recorded with Old 1" in found.result.message
    assert "this check sends New 1" in found.result.message
    assert "waive this check once" in found.result.message
    # The absolute limits were judged, and the record for the next one is there.
    assert {gate.metric for gate in found.result.gates if gate.verdict is v.Verdict.PASS} >= {"ErrorShare"}
    assert found.content.recorded is not None
    again = check(server, QUICK, new, found.content.recorded, tmp_path=tmp_path)
    assert {gate.against for gate in again.result.gates} >= {"Stable"}


def test_users_who_ask_otherwise_than_when_stable_was_recorded_leave_it_open(server, tmp_path):
    texts = (sets.text(1, "a cat"), sets.text(2, "a rather long text about a cat", stratum="long"))
    folder = sets.written(tmp_path / "set", texts, ())
    short, long = mix(_10="0.9", _100="0.1"), mix(_10="0.1", _100="0.9")
    near = QUICK.model_copy(update={"mix": short, "live": live(MEASURED).live})
    far = near.model_copy(update={"mix": long})
    before = check(server, near, folder, tmp_path=tmp_path)
    assert before.content.recorded is not None, before.result.message
    assert recorded.decode(before.content.recorded).operations["embeddings"].said.bins == short
    found = check(server, far, folder, before.content.recorded, tmp_path=tmp_path)
    assert (found.result.verdict, found.result.reason) == (v.Verdict.INCONCLUSIVE, "MixMoved")
    assert "users' mix of 1234 requests in 24 h is 0.8 from" in found.result.message
    drift = next(gate for gate in found.result.gates if gate.metric == "MixDrift")
    assert (drift.observed, drift.limit) == (pytest.approx(0.8), 0.1)
    outage = near.model_copy(update={"mix": (), "live": live(UNKNOWN).live})
    same = check(server, outage, folder, before.content.recorded, tmp_path=tmp_path)
    assert {gate.against for gate in same.result.gates} >= {"Stable"}, same.result.message
    assert "the recorded one was replayed" in same.result.message
    assert same.result.timings.phases_milliseconds["load"] > 0
