import pytest

from modelrelease.api.verdict import Verdict
from modelrelease.prometheus import targets
from modelrelease.prometheus.answers import RawSeries
from modelrelease.prometheus.targets import JudgedPod, SliError
from modelrelease.slo.counters import Sample

PLACE = {"namespace": "n", "job": "j"}


def up(pod: str, *samples: tuple[float, float], instance: str = "1") -> RawSeries:
    labels = {"__name__": "up", "pod": pod, "instance": instance, **PLACE}
    return RawSeries(labels, tuple(Sample(*sample) for sample in samples))


def counter(pod: str, *samples: tuple[float, float], instance: str = "1", **labels: str) -> RawSeries:
    named = {"__name__": "http_requests_total", "pod": pod, "instance": instance, **PLACE, **labels}
    return RawSeries(named, tuple(Sample(*sample) for sample in samples))


def made(
    ups: list[RawSeries], counters: list[RawSeries], *pods: JudgedPod, start: float = 10
) -> tuple[targets.Target, ...]:
    return targets.targets(ups, counters, pods or (JudgedPod("a"),), pod_label="pod", start=start)


def refused(ups: list[RawSeries], counters: list[RawSeries]) -> tuple[Verdict, str]:
    with pytest.raises(SliError) as raised:
        made(ups, counters)
    return raised.value.failure.verdict, raised.value.failure.reason


def test_a_counter_belongs_to_the_target_whose_labels_it_carries() -> None:
    model, sidecar = up("a", (8, 1), instance="8080"), up("a", (9, 1), instance="9090")
    (target,) = made([sidecar, model], [counter("a", (8, 3), instance="8080", code="200")])
    assert (target.pod, target.scrapes) == ("a", (8,))


@pytest.mark.parametrize(
    ("samples", "started", "since"),
    [
        pytest.param([(4, 1), (8, 1)], None, 4, id="watched since its first scrape"),
        pytest.param([(4, 0), (8, 1)], None, 8, id="a scrape that failed has seen nothing"),
        pytest.param([(4, 0)], None, None, id="never seen"),
        pytest.param([(14, 1)], None, 14, id="Prometheus came late: what was before is unknown"),
        pytest.param([(14, 1)], 12.0, 12.0, id="created after the start: it has counted nothing before"),
        pytest.param([(14, 1)], 4.0, 14, id="created before the start, seen after it"),
    ],
)
def test_since_when_a_pod_was_watched(
    samples: list[tuple[float, float]], started: float | None, since: float | None
) -> None:
    (target,) = made([up("a", *samples)], [counter("a", (20, 5))], JudgedPod("a", started))
    assert target.observed_since == since


def test_a_pod_that_is_scraped_twice_is_an_error() -> None:
    ups = [up("a", (8, 1), instance="1"), up("a", (8, 1), instance="2")]
    doubled = [counter("a", (8, 1), instance="1"), counter("a", (8, 1), instance="2")]
    assert refused(ups, doubled) == (Verdict.ERROR, "ScrapedTwice")


def test_a_counter_without_a_target_is_an_error() -> None:
    assert refused([up("a", (8, 1))], [counter("a", (8, 1), instance="other")]) == (
        Verdict.ERROR,
        "LabelMismatch",
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), (Verdict.NO_DATA, "NotANumber")),
        (float("inf"), (Verdict.NO_DATA, "NotANumber")),
        (-1.0, (Verdict.ERROR, "NotACounter")),
    ],
)
def test_what_no_counter_can_show_is_not_judged(value: float, said: tuple[Verdict, str]) -> None:
    assert refused([up("a", (8, 1))], [counter("a", (8, value))]) == said


@pytest.mark.parametrize("labels", [{"pod": "b"}, {"namespace": "other"}])
def test_an_answer_about_something_else_is_an_error(labels: dict[str, str]) -> None:
    answer = RawSeries({"pod": "a", "namespace": "n", **labels}, ())
    with pytest.raises(SliError, match="asked for"):
        targets.check_labels([answer], {"pod": frozenset({"a"}), "namespace": frozenset({"n"})})
    with pytest.raises(SliError, match="without it"):
        targets.check_labels([RawSeries({}, ())], {"pod": frozenset({"a"})})


@pytest.mark.parametrize(
    ("ups", "pod", "unseen"),
    [
        pytest.param([up("a", (70, 1), (80, 1))], JudgedPod("a"), (), id="20 s are fresh at any interval"),
        pytest.param([up("a", (60, 1), (62, 1), (64, 1))], JudgedPod("a"), ("a",), id="36 s are not at 2 s"),
        pytest.param([up("a", (40, 1), (60, 1))], JudgedPod("a"), (), id="40 s are at 20 s"),
        pytest.param([up("a", (60, 1), (98, 0))], JudgedPod("a"), (), id="40 s at 38 s, the last one failed"),
        pytest.param([up("a", (96, 0), (98, 0))], JudgedPod("a"), ("a",), id="only failed scrapes"),
        pytest.param([up("b", (98, 1))], JudgedPod("a"), ("a",), id="never scraped"),
        pytest.param([up("b", (98, 1))], JudgedPod("a", serving=False), (), id="gone"),
    ],
)
def test_serving_pods_must_be_seen(ups: list[RawSeries], pod: JudgedPod, unseen: tuple[str, ...]) -> None:
    assert targets.blind(ups, (), [pod], pod_label="pod", now=100) == unseen


def test_a_fresh_sidecar_does_not_stand_for_the_model() -> None:
    ups = [up("a", (50, 1), (52, 1), instance="1"), up("a", (96, 1), (98, 1), instance="2")]
    model = made(ups, [counter("a", (52, 7), instance="1")])
    assert targets.blind(ups, model, [JudgedPod("a")], pod_label="pod", now=100) == ("a",)


@pytest.mark.parametrize(
    ("first", "pod", "lost"),
    [
        pytest.param(100, JudgedPod("a"), False, id="found in time"),
        pytest.param(300, JudgedPod("a"), True, id="found late: its first requests are lost"),
        pytest.param(300, JudgedPod("a", started=2), True, id="it was there before"),
        pytest.param(300, JudgedPod("a", started=250), False, id="created later: it counts from 0"),
        pytest.param(300, JudgedPod("a", serving=False), False, id="gone: nobody waits for it"),
    ],
)
def test_pods_must_have_been_watched_since_the_start(first: float, pod: JudgedPod, lost: bool) -> None:
    ups = [up("a", (first, 1), (first + 15, 1))]
    found = made(ups, [counter("a", (first, 7))], pod)
    if not lost:
        targets.check_history(ups, found, [pod], 10)
        return
    with pytest.raises(SliError, match="before 290 s after live traffic") as raised:
        targets.check_history(ups, found, [pod], 10)
    assert (raised.value.failure.verdict, raised.value.failure.reason) == (Verdict.NO_DATA, "HistoryLost")


def test_a_target_without_its_counters_is_not_seen() -> None:
    ups = [up("a", (70, 1), (80, 1), (90, 1), (100, 1))]
    gone = made(ups, [counter("a", (40, 7))])
    assert targets.blind(ups, gone, [JudgedPod("a")], pod_label="pod", now=100) == ("a",)


def test_the_same_series_twice_is_an_error() -> None:
    with pytest.raises(SliError, match="two series of the same labels") as raised:
        targets.check_labels([up("a", (8, 1)), up("a", (8, 1))], {"pod": frozenset({"a"})})
    assert raised.value.failure.reason == "DuplicateSeries"
