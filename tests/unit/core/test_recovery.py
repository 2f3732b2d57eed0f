import dataclasses
import datetime

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api.verdict import Verdict
from modelrelease.controller import judging
from modelrelease.core import lifecycle, observation, presentation, recovery, wake
from tests.unit.core import given

Phase, Said = api_run.Phase, api_run.RecoveryVerdict
PODS = [f"{given.STABLE}-0", f"{given.STABLE}-1"]


def after(seconds: float) -> datetime.datetime:
    return given.NOW + datetime.timedelta(seconds=seconds)


def returning(**status: object) -> observation.Run:
    caused = {
        "failed": True,
        "outcome": api_run.Outcome.ROLLED_BACK,
        "reason": reasons.SLO_FAILED,
        "live_since": given.ago(60),
        "start_time": given.ago(100),
        "slos": [given.slo(Verdict.FAIL)],
    }
    return given.run("Returning", step=1, elapsed=None, **(caused | status))


def done(phase: str = "Done", **changes: object) -> observation.Run:
    begun = api_run.Recovery(since=given.NOW, pods=PODS).model_copy(update=changes)
    found = returning(recovery=begun)
    return dataclasses.replace(found, status=found.status.model_copy(update={"phase": Phase(phase)}))


def test_a_return_that_an_objective_has_caused_is_judged_from_when_traffic_is_back():
    following = lifecycle.transition(given.observed([returning()]), given.NOW)
    assert following is not None
    assert following.recovery == api_run.Recovery(since=given.NOW, pods=PODS)


@pytest.mark.parametrize(
    "other",
    [
        {"reason": reasons.REJECTED, "failed": False},
        {"reason": reasons.CHECK_FAILED, "live_since": None},
        {"reason": reasons.CRASH_LOOP, "failed": False},
    ],
)
def test_no_other_return_is_judged(other: dict[str, object]):
    following = lifecycle.transition(given.observed([returning(**other)]), given.NOW)
    assert following is not None
    assert following.recovery is None


@pytest.mark.parametrize("phase", ["Returning", "Done"])
@pytest.mark.parametrize(
    ("seconds", "verdict", "said"),
    [
        (59, Verdict.PASS, None),
        (60, Verdict.PASS, Said.RECOVERED),
        (59, Verdict.FAIL, None),
        (60, Verdict.FAIL, Said.NOT_FIXED_BY_RETURN),
        (599, Verdict.NO_DATA, None),
        (600, Verdict.NO_DATA, Said.UNDECIDED),
        (600, Verdict.ERROR, Said.UNDECIDED),
        (600, None, Said.UNDECIDED),
        (86_400, Verdict.PASS, Said.RECOVERED),
    ],
)
def test_stable_is_judged_by_what_the_candidate_has_failed(
    phase: str, seconds: float, verdict: Verdict | None, said: api_run.RecoveryVerdict | None
):
    judged = () if verdict is None else (given.slo(verdict),)
    found = recovery.settled(given.observed([done(phase)], recovery=judged), after(seconds))
    assert (found.recovery.verdict if found is not None else None) is said
    if found is not None:
        assert found.recovery.seconds == seconds
        assert given.STABLE in found.recovery.message
        assert found.status.model_copy(update={"recovery": None}) == found.run.status.model_copy(
            update={"recovery": None}
        )


def test_what_is_said_of_a_return_is_said_once():
    spoken = done(verdict=Said.RECOVERED, seconds=60)
    seen = given.observed([spoken], recovery=(given.slo(Verdict.FAIL),))
    assert recovery.settled(seen, after(700)) is None


def test_a_later_run_ends_the_judging():
    later = given.run("Checking")
    seen = given.observed([done(), later], candidate=1, recovery=(given.slo(Verdict.PASS),))
    assert recovery.settled(seen, after(100)) is None
    assert not judging.Subject.of("ns", dataclasses.replace(seen, runs=(later,))).recovering


def test_the_failed_objective_alone_is_asked_of_the_recorded_pods_of_stable():
    subject = judging.Subject.of("ns", given.observed([done()]))
    assert subject is not None
    assert subject.recovering
    assert [slo.name for slo in subject.slos] == ["latency"]
    assert subject.names == tuple(PODS)
    assert [pod.name for pod in subject.pods] == PODS
    assert (subject.since, subject.live_since, subject.known) == (given.NOW, given.NOW, {})
    # The same while the canary is drained and after: what is under way goes on.
    assert subject == judging.Subject.of("ns", given.observed([done("Returning")]))


def test_there_is_a_turn_at_the_deadline():
    assert wake.wake_time(given.observed([done()], desired=given.STABLE), given.NOW) == after(600)


@pytest.mark.parametrize(("said", "shown"), [(Said.RECOVERED, True), (Said.UNDECIDED, False), (None, False)])
def test_people_see_it_as_a_condition(said: api_run.RecoveryVerdict | None, shown: bool):
    seen = given.observed([done(verdict=said, seconds=60, message="so it is")], desired=given.STABLE)
    status = presentation.present(seen, given.NOW, None)
    kinds = {one.type: one.message for one in status.conditions if one.status == "True"}
    assert kinds.get("Recovered") == ("so it is" if shown else None)


@drawn(
    st.sampled_from(["Queued", "Starting", "Checking", "Shifting", "Holding", "Returning", "Done"]),
    st.sampled_from([None, *Verdict]),
    st.floats(0, 2000),
)
def test_only_a_return_is_ever_judged_and_never_early(phase: str, verdict: Verdict | None, seconds: float):
    judged = () if verdict is None else (given.slo(verdict),)
    found = recovery.settled(given.observed([done(phase)], recovery=judged), after(seconds))
    if found is not None:
        assert phase in {"Returning", "Done"}
        assert seconds >= recovery.SETTLE_SECONDS
    elif phase in {"Returning", "Done"}:
        assert seconds < recovery.WINDOW_SECONDS
