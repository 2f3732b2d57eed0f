from decimal import Decimal

import pytest

from modelrelease.slo import looks, proportion
from modelrelease.slo.feasibility import assess, detectable, requests_needed, told
from modelrelease.slo.objectives import Kind, Objective
from modelrelease.slo.observation import Events


def objective(percent: str, minimum: int = 200) -> Objective:
    return Objective("availability", Kind.AVAILABILITY, Decimal(percent), minimum_requests=minimum)


def test_what_evidence_costs_at_three_nines() -> None:
    said = assess(objective("99.9"), rate=2.0, expected_bad_ratio=0.001)
    assert (said.requests_without_bad, said.seconds_without_bad) == (613, 306.5)
    assert said.seconds_as_expected == 613.0
    assert said.hidden_ratio == pytest.approx(0.006)
    assert said.detectable_ratio is not None
    assert 0.001 < said.detectable_ratio < 0.01
    assert said.reachable


def test_without_traffic_there_is_no_time() -> None:
    said = assess(objective("99"), rate=0.0)
    assert (said.seconds_without_bad, said.seconds_as_expected) == (None, None)
    assert (said.detectable_ratio, said.reachable) == (None, False)
    assert "no fault shows" in told(objective("99"), said)
    assert "can't be reached without traffic" in told(objective("99"), said)


def test_a_tenth_of_a_request_per_second_is_told_what_to_change() -> None:
    said = assess(objective("99.9"), rate=0.1, deadline_seconds=4200)
    assert not said.reachable
    assert told(objective("99.9"), said) == (
        "At 0.1 requests/s the smallest fault that shows is about "
        f"{said.detectable_ratio * 100:.3g} % bad; a Pass can hide up to 0.6 %; Pass can't be reached in the "
        "70 min left, it needs 613 requests, 102 min more: hold longer, or give the step 1.5 times the "
        "traffic; or ask for 99.5 %; or approve it (stage Infeasible)"
    )


def test_what_was_counted_already_is_not_waited_for_again() -> None:
    said = assess(objective("99.9"), rate=1.0, counted=Events(600, 0, 0), deadline_seconds=60)
    assert (said.requests_as_expected, said.seconds_as_expected, said.reachable) == (613, 13.0, True)
    missed = assess(objective("99.9"), rate=1.0, counted=Events(700, 3, 3), deadline_seconds=60)
    assert (missed.requests_as_expected, missed.reachable) == (2452, False)


@pytest.mark.parametrize("percent", ["99.9", "99", "95", "90"])
@pytest.mark.parametrize("rate", [0.05, 1.0, 300.0])
def test_more_traffic_and_more_time_show_smaller_faults(percent: str, rate: float) -> None:
    asked = objective(percent)

    def smallest(rate: float, seconds: float) -> float:
        return detectable(asked, rate, seconds) or 1.0

    assert smallest(rate, 1800) >= smallest(rate, 3600) >= asked.budget
    assert smallest(rate, 1800) >= smallest(4 * rate, 1800)
    assert len(told(asked, assess(asked, rate))) <= 512


def test_a_candidate_beyond_the_limit_is_not_expected_to_pass() -> None:
    assert requests_needed(objective("95"), 0.09) is None
    assert assess(objective("95"), 4.0, 0.5).seconds_as_expected is None


@pytest.mark.parametrize("percent", ["99.99", "99.9", "99", "95", "90", "60"])
def test_the_requests_it_names_suffice_and_half_of_them_do_not(percent: str) -> None:
    asked = objective(percent, minimum=1)
    needed = requests_needed(asked, 0.0)
    assert needed == looks.requests_at(asked, 0)
    assert proportion.upper_bound(0, needed, 0.975) <= asked.pass_limit
    assert needed == 1 or proportion.upper_bound(0, needed - 1, 0.975) > asked.pass_limit


@pytest.mark.parametrize(("rate", "ratio"), [(-1, 0), (1, -0.1), (1, 1.1)])
def test_impossible_expectations_are_refused(rate: float, ratio: float) -> None:
    with pytest.raises(ValueError, match="out of range"):
        assess(objective("99"), rate, ratio)


@pytest.mark.parametrize(
    ("percent", "kind", "threshold", "minimum"),
    [
        ("0", Kind.AVAILABILITY, None, 200),
        ("100", Kind.AVAILABILITY, None, 200),
        ("99", Kind.LATENCY, None, 200),
        ("99", Kind.AVAILABILITY, 0.1, 200),
        ("99", Kind.LATENCY, 0.0, 200),
        ("99", Kind.LATENCY, float("inf"), 200),
        ("99", Kind.AVAILABILITY, None, 0),
    ],
)
def test_an_objective_that_cannot_be_judged_is_refused(
    percent: str, kind: Kind, threshold: float | None, minimum: int
) -> None:
    with pytest.raises(ValueError, match=r"objective|threshold|minimum"):
        Objective("slo", kind, Decimal(percent), threshold, minimum)
