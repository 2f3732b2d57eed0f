"""What a candidate is compared with, asked of a Prometheus that answers as told."""

import asyncio
from collections.abc import Sequence

import pytest

from modelrelease.api import slo_state, verdict
from modelrelease.controller import comparing
from modelrelease.prometheus import targets
from modelrelease.slo import arms, observation, state

NOW, SINCE = 2_000_000.0, 1_999_000.0
PODS = (targets.JudgedPod("stable-0"), targets.JudgedPod("stable-1"))
HOUR = 3600.0

FAILED = observation.SliFailure(verdict.Verdict.ERROR, "PrometheusTimeout", "slow")
UNSEEN = observation.SliFailure(verdict.Verdict.NO_DATA, "NotScraped", "nobody scrapes")


class Prometheus:
    """Ten requests per second, one in a thousand bad, from so many hours before the step on."""

    def __init__(self, hours: float = 100, live: comparing.Observed | None = None, past_fails: bool = False):
        self.hours, self.live, self.past_fails = hours, live, past_fails
        self.asked: list[tuple[int, float, float]] = []

    async def __call__(
        self, pods: Sequence[targets.JudgedPod], since: float, until: float
    ) -> comparing.Observed:
        self.asked.append((len(pods), since, until))
        if until == NOW and self.live is not None:
            return self.live
        if until < NOW and self.past_fails:
            return FAILED
        if until <= SINCE - self.hours * HOUR:
            return UNSEEN
        total = int(10 * (until - since))
        return observation.SliObservation(
            since, (observation.Point(until, observation.Events(total, total // 1000, total // 1000)),)
        )


def asked(
    prometheus: Prometheus,
    pods: Sequence[targets.JudgedPod] = PODS,
    known: slo_state.SloState | None = None,
    record: bool = True,
) -> arms.Baseline | observation.SliFailure:
    return asyncio.run(comparing.baseline(prometheus, pods, known, since=SINCE, now=NOW, record=record))


def test_stable_is_seen_beside_and_its_day_before_is_recorded() -> None:
    prometheus = Prometheus()
    found = asked(prometheus)
    assert isinstance(found, arms.Baseline)
    assert found.live is not None
    assert found.live.start == SINCE - state.VETO_SECONDS
    assert found.recorded == observation.Events(864_000, 864, 864)
    spans = [(since, until) for _, since, until in prometheus.asked[1:]]
    assert spans == [(SINCE - 6 * HOUR * (n + 1), SINCE - 6 * HOUR * n) for n in range(4)]


def test_younger_pods_have_a_shorter_past() -> None:
    found = asked(Prometheus(hours=7))
    assert isinstance(found, arms.Baseline)
    assert found.recorded == observation.Events(432_000, 432, 432)


def test_what_is_recorded_already_or_is_not_written_down_is_not_asked_for() -> None:
    known = state.begin(SINCE, 15).model_copy(update={"recorded": slo_state.Counted(requests=1)})
    for prometheus, found in (
        (one := Prometheus(), asked(one, known=known)),
        (two := Prometheus(), asked(two, record=False)),
    ):
        assert isinstance(found, arms.Baseline)
        assert (found.recorded, len(prometheus.asked)) == (None, 1)


def test_in_the_bake_nobody_is_asked() -> None:
    prometheus = Prometheus()
    assert asked(prometheus, pods=()) == arms.Baseline()
    assert prometheus.asked == []


def test_a_broken_monitoring_is_an_error_and_series_that_stable_has_not_are_none() -> None:
    assert asked(Prometheus(live=FAILED)) == FAILED
    assert asked(Prometheus(live=UNSEEN)) == arms.Baseline()
    past = asked(Prometheus(past_fails=True))
    assert isinstance(past, arms.Baseline)
    assert (past.live is not None, past.recorded) == (True, None)


def test_a_day_that_takes_too_long_to_read_holds_no_judgement_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "RECORDING_SECONDS", 0.01)
    prometheus = Prometheus()

    async def slow(pods: Sequence[targets.JudgedPod], since: float, until: float) -> comparing.Observed:
        if until < NOW:
            await asyncio.Event().wait()
        return await prometheus(pods, since, until)

    found = asyncio.run(comparing.baseline(slow, PODS, None, since=SINCE, now=NOW, record=True))
    assert isinstance(found, arms.Baseline)
    assert found.live is not None
    assert found.recorded is None
