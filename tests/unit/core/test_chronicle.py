import datetime

from hypothesis import given as drawn
from hypothesis import strategies as st

from modelrelease.api import run as api_run
from modelrelease.api import slo_state
from modelrelease.api.verdict import Verdict
from modelrelease.core import chronicle, lifecycle, situation
from tests.unit.core import given

Phase = api_run.Phase


def look(seconds: int) -> slo_state.SloLook:
    return slo_state.SloLook(seconds=seconds, requests=seconds, bad=0, evidence="1")


def judged(*seconds: int) -> api_run.SloStatus:
    return given.slo(Verdict.PASS).model_copy(update={"looks": [look(one) for one in seconds]})


def test_the_first_transition_notes_where_the_run_began():
    following = lifecycle.transition(given.observed([given.run("Queued")]), given.NOW)
    assert following is not None
    assert [one.phase for one in following.phases] == [Phase.QUEUED, Phase.STARTING]


def test_a_phase_under_traffic_is_noted_with_its_share_as_pods_can_split_it():
    before = given.run("Checking", start_time=given.ago(9))
    seen = given.observed([before], candidate=1)
    here = situation.Situation.of(seen, given.NOW)
    assert here is not None
    following = before.status.model_copy(update={"phase": Phase.SHIFTING, "step": 1})
    (noted,) = chronicle.phases(here, following)
    assert (noted.phase, noted.step, noted.time, noted.weight) == (Phase.SHIFTING, 1, given.NOW, 33)
    final = before.status.model_copy(update={"phase": Phase.SHIFTING, "step": 2})
    assert chronicle.phases(here, final)[-1].weight == 100


def test_what_is_only_taken_note_of_begins_no_phase():
    known = [api_run.PhaseRecord(phase=Phase.CHECKING, time=given.ago(5))]
    run = given.run("Checking", start_time=given.ago(9), phases=known)
    here = situation.Situation.of(given.observed([run], candidate=1), given.NOW)
    assert here is not None
    assert chronicle.phases(here, run.status.model_copy(update={"live_pods": ["one"]})) == known


def test_a_run_that_goes_back_and_forth_stays_small_and_keeps_its_ends():
    known = [
        api_run.PhaseRecord(
            phase=(Phase.SHIFTING, Phase.HOLDING)[n % 2],
            step=1,
            time=given.ago(1000) + datetime.timedelta(seconds=n),
        )
        for n in range(chronicle.PHASES_MAX)
    ]
    run = given.run("Holding", step=1, start_time=given.ago(2000), phases=known)
    here = situation.Situation.of(given.observed([run], candidate=1), given.NOW)
    assert here is not None
    found = chronicle.phases(here, run.status.model_copy(update={"phase": Phase.RETURNING}))
    assert len(found) == chronicle.PHASES_MAX
    assert (found[0], found[-1].phase) == (known[0], Phase.RETURNING)
    assert api_run.RunStatus(phases=found).phases == found


def test_looks_are_collected_and_none_is_taken_twice():
    once = chronicle.with_looks(judged(15, 30), judged(30, 45))
    assert [one.seconds for one in once.looks] == [15, 30, 45]
    assert chronicle.with_looks(once, judged(30, 45)) == once
    # An outage brings none, and takes none away.
    assert chronicle.with_looks(once, judged()).looks == once.looks


@drawn(st.sets(st.integers(0, 100_000), min_size=3, max_size=80), st.integers(3, 16))
def test_looks_are_thinned_out_and_the_first_and_the_newest_stay(seconds: set[int], limit: int):
    looks = [look(one) for one in sorted(seconds)]
    found = chronicle.thinned(looks, limit)
    assert len(found) == min(limit, len(looks))
    assert (found[0], found[-1]) == (looks[0], looks[-1])
    assert found == sorted(found, key=lambda one: one.seconds)


@drawn(st.integers(20, 400))
def test_looks_of_a_long_hold_stay_about_even(count: int):
    known = judged(15)
    for number in range(2, count):
        known = chronicle.with_looks(known, judged(15 * number))
    gaps = [b.seconds - a.seconds for a, b in zip(known.looks, known.looks[1:], strict=False)]
    assert len(known.looks) <= chronicle.LOOKS_MAX
    assert max(gaps) <= 15 * count / 2
    # The whole objective stays below 4 KiB of the run.
    assert len(known.model_dump_json(by_alias=True)) < 4096
