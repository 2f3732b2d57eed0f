import random

from hypothesis import given
from hypothesis import strategies as st

from modelrelease.slo.counters import CounterSeries, Sample
from modelrelease.slo.observation import Contribution, Events, Line, Point, SliObservation, accumulate


def good(*samples: tuple[float, float], observed_since: float | None = 0.0) -> Contribution:
    line = CounterSeries({}, tuple(Sample(time, value) for time, value in samples))
    return Contribution(line, observed_since, total=1)


def bad(*samples: tuple[float, float], observed_since: float | None = 0.0) -> Contribution:
    line = CounterSeries({}, tuple(Sample(time, value) for time, value in samples))
    return Contribution(line, observed_since, total=1, bad=1, possibly_bad=1)


def test_pods_are_summed_at_the_times_of_their_scrapes() -> None:
    points = accumulate([good((9, 5), (12, 8), (14, 9)), bad((9, 1), (13, 3), (14, 4))], 10, 20)
    assert points == (
        Point(12, Events(total=3)),
        Point(13, Events(total=5, bad=2, possibly_bad=2)),
        Point(14, Events(total=7, bad=3, possibly_bad=3)),
    )


def test_a_pod_that_went_away_keeps_what_it_counted_and_a_new_one_counts_from_zero() -> None:
    gone, fresh = good((9, 100), (12, 110)), good((15, 7), (16, 9), observed_since=14)
    assert accumulate([gone, fresh], 10, 20)[-1].events.total == 19


def test_slow_requests_are_those_that_are_in_no_bucket_up_to_the_boundary() -> None:
    line = [(9.0, 0.0), (12.0, 10.0)]
    buckets = [
        Contribution(CounterSeries({}, tuple(Sample(t, v * share) for t, v in line)), None, (), *weights)
        for share, weights in ((1.0, (1, 1, 1)), (0.6, (0, 0, -1)), (0.9, (0, -1, 0)))
    ]
    assert accumulate(buckets, 10, 20)[-1].events == Events(total=10, bad=1, possibly_bad=4)


def test_a_scrape_between_two_buckets_does_not_make_negative_counts() -> None:
    torn = Contribution(CounterSeries({}, (Sample(9, 0), Sample(12, 5))), None, (), 0, -1, -1)
    assert accumulate([torn], 10, 20)[-1].events == Events()


def test_points_in_columns_are_the_same_points() -> None:
    points = tuple(Point(float(n), Events(9 * n, n, 2 * n, 3 * n)) for n in range(4))
    line = Line.of(points)
    assert (tuple(line), line[-1], Line.of(line)) == (points, points[-1], line)
    assert (line, hash(line), line[1:3]) == (points, hash(points), points[1:3])
    assert line != points[1:]
    assert SliObservation(0, points) == SliObservation(0, line)


LINES = st.lists(
    st.tuples(st.booleans(), st.lists(st.integers(0, 20), max_size=12), st.integers(0, 3)), max_size=6
)


def contributions(lines: list[tuple[bool, list[int], int]]) -> list[Contribution]:
    made = []
    for is_bad, steps, offset in lines:
        samples, value = [], 0
        for number, step in enumerate(steps):
            value += step
            samples.append((number + offset / 4, float(value)))
        made.append((bad if is_bad else good)(*samples, observed_since=-1.0))
    return made


@given(LINES, st.randoms(use_true_random=False))
def test_the_order_of_series_says_nothing(
    lines: list[tuple[bool, list[int], int]], chance: random.Random
) -> None:
    parts = contributions(lines)
    shuffled = parts.copy()
    chance.shuffle(shuffled)
    assert accumulate(parts, 0, 20) == accumulate(shuffled, 0, 20)


@given(LINES, st.floats(0, 15), st.floats(0, 15))
def test_windows_add_up_and_a_later_start_forgets_exactly_what_lies_before(
    lines: list[tuple[bool, list[int], int]], a: float, b: float
) -> None:
    middle, end = sorted((a, b))
    seen = SliObservation(0, accumulate(contributions(lines), 0, 20))
    first, second, whole = seen.between(0, middle), seen.between(middle, end), seen.between(0, end)
    assert (first.total + second.total, first.bad + second.bad) == (whole.total, whole.bad)
    later = seen.since(middle)
    assert later.until(end) == second
    assert later.points == accumulate(contributions(lines), middle, 20)
    assert seen.since(-5) is seen
