from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from modelrelease.api.verdict import Verdict
from modelrelease.controller import looking_back
from modelrelease.slo import arms, evidence, objectives, observation, state

OBJECTIVE = objectives.Objective("one", objectives.Kind.AVAILABILITY, Decimal(99))


def seen(bad: list[int]) -> observation.SliObservation:
    points, total = [], observation.Events()
    for number, wrong in enumerate(bad, start=1):
        total = total + observation.Events(100, wrong, wrong)
        points.append(observation.Point(number * 5.0, total))
    return observation.SliObservation(0.0, tuple(points), interval=5.0)


@given(st.lists(st.integers(0, 30), min_size=12, max_size=120))
def test_the_last_look_is_the_evidence_that_was_judged(bad: list[int]):
    counted, until = seen(bad), len(bad) * 5.0
    known = state.begin(0.0, 5.0)
    judged = state.advance(known, counted, arms.Baseline(), OBJECTIVE.budget, until)
    found = looking_back.looks(OBJECTIVE, known, counted, arms.Baseline(), judged, until=until)
    assert len(found) == min(looking_back.LOOKS_MAX, (judged.through - judged.since) // judged.slice_seconds)
    assert [one.seconds for one in found] == sorted({one.seconds for one in found})
    if found:
        told = evidence.value((tuple(judged.signs), tuple(judged.minute_signs)), (tuple(judged.bad_slices),))
        assert found[-1].seconds == judged.through - judged.since
        assert (found[-1].requests, found[-1].bad) == (judged.candidate.requests, judged.candidate.bad)
        assert found[-1].evidence == f"{told:.3g}"


def test_what_could_not_be_judged_has_no_look():
    failure = observation.SliFailure(Verdict.ERROR, "Broke", "it broke")
    known = state.begin(0.0, 5.0)
    counted = seen([0] * 12)
    assert looking_back.looks(OBJECTIVE, known, failure, arms.Baseline(), known, until=60.0) == []
    assert looking_back.looks(OBJECTIVE, known, counted, failure, known, until=60.0) == []
    assert looking_back.looks(OBJECTIVE, None, counted, arms.Baseline(), None, until=60.0) == []
