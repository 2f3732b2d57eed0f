import datetime

import pytest

from modelrelease.api import status

T1 = datetime.datetime(2026, 11, 21, 8, tzinfo=datetime.UTC)
T2 = T1 + datetime.timedelta(minutes=5)
TRUE, FALSE = status.ConditionStatus.TRUE, status.ConditionStatus.FALSE


def test_a_transition_is_a_change_of_status_alone() -> None:
    first = status.condition((), "Ready", TRUE, "ServingStable", "It serves.", generation=1, now=T1)
    assert first.last_transition_time == T1
    same = status.condition([first], "Ready", TRUE, "ScaledToZero", "It sleeps.", generation=2, now=T2)
    assert (same.last_transition_time, same.reason, same.observed_generation) == (T1, "ScaledToZero", 2)
    turned = status.condition([same], "Ready", FALSE, "Stalled", "", generation=2, now=T2)
    assert turned.last_transition_time == T2
    other = status.condition([first], "Paused", TRUE, "PausedByUser", "", generation=1, now=T2)
    assert other.last_transition_time == T2


@pytest.mark.parametrize(("length", "kept"), [(1024, 1024), (1025, 1024), (5000, 1024)])
def test_a_long_message_is_cut(length: int, kept: int) -> None:
    condition = status.condition((), "Ready", TRUE, "Why", "x" * length, generation=1, now=T1)
    assert len(condition.message) == kept
    assert condition.message.endswith("…") is (length > 1024)


def test_an_empty_status_says_nothing() -> None:
    assert status.ReleaseStatus().model_dump(mode="json", by_alias=True, exclude_defaults=True) == {}
