import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrelease.slo.counters import (
    CounterError,
    CounterSeries,
    Sample,
    Samples,
    deltas,
    increase,
    resets,
)


def series(*samples: tuple[float, float]) -> CounterSeries:
    return CounterSeries({}, tuple(Sample(time, value) for time, value in samples))


@pytest.mark.parametrize(
    ("samples", "observed_since", "value"),
    [
        pytest.param([(8, 100), (12, 107), (20, 140)], None, 40, id="from the last sample before the start"),
        pytest.param([(10, 100), (12, 107)], None, 7, id="a sample at the start belongs to the past"),
        pytest.param([(8, 100), (12, 107), (21, 140)], None, 7, id="a sample after the end does not count"),
        pytest.param([(8, 100), (20, 103)], None, 3, id="a sample at the end counts"),
        pytest.param([(14, 40), (16, 40)], 9, 40, id="40 errors in one scrape of a new series"),
        pytest.param([(14, 40), (16, 43)], 14, 3, id="first seen when its process was first scraped"),
        pytest.param([(14, 40), (16, 43)], None, 3, id="since when it was watched is unknown"),
        pytest.param([(14, 40), (16, 43)], 12, 43, id="watched since after the start, born later"),
        pytest.param([(8, 100), (12, 5), (14, 9)], None, 9, id="a restart counts from 0"),
        pytest.param([(8, 100), (12, 103), (14, 2), (16, 1)], None, 6, id="two restarts"),
        pytest.param([(2, 50), (4, 60)], None, 0, id="nothing since the start"),
        pytest.param([], 2, 0, id="no sample"),
    ],
)
def test_increase_of_one_series(
    samples: list[tuple[float, float]], observed_since: float | None, value: float
) -> None:
    assert increase(series(*samples), 10, 20, observed_since=observed_since).value == value


def test_increase_says_what_it_used() -> None:
    used = increase(series((8, 1), (12, 4), (14, 2), (19, 3)), 10, 20)
    assert (used.value, used.resets, used.first, used.last) == (6, 1, 12, 19)
    empty = increase(series((8, 1)), 10, 20)
    assert (empty.value, empty.resets, empty.first, empty.last) == (0, 0, None, None)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf])
def test_what_no_counter_can_show_is_refused(value: float) -> None:
    with pytest.raises(CounterError):
        series((1, 0), (2, value))


@pytest.mark.parametrize("times", [(2, 1), (1, 1)])
def test_time_must_advance(times: tuple[float, float]) -> None:
    with pytest.raises(CounterError):
        series((times[0], 0), (times[1], 0))


def test_a_restart_that_one_series_hides_is_seen_in_another() -> None:
    good = series((8, 100), (12, 4))
    errors = series((8, 3), (12, 5))  # 5 new ones after the restart, not 2
    assert increase(errors, 10, 20).value == 2
    assert increase(errors, 10, 20, restarts=resets([good, errors])).value == 5


def test_a_restart_is_seen_when_the_series_comes_back_only_later() -> None:
    good = series((8, 100), (12, 4), (14, 6))
    errors = series((8, 3), (14, 5))
    assert increase(errors, 10, 20, restarts=resets([good, errors])).value == 5


@st.composite
def processes(draw: st.DrawFn) -> tuple[list[tuple[float, int, int]], list[float]]:
    """What a process answers before each scrape (time, good, errors), and when it has restarted."""
    steps = draw(
        st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.booleans()), min_size=1, max_size=30)
    )
    events = [(float(number), good, errors) for number, (good, errors, _) in enumerate(steps, start=1)]
    restarts = [float(number) for number, (_, _, restart) in enumerate(steps, start=1) if restart]
    return events, restarts


@given(processes(), st.integers(0, 30), st.integers(0, 30))
def test_every_request_is_counted_once_whatever_restarts_and_births_happen(
    process: tuple[list[tuple[float, int, int]], list[float]], start: int, length: int
) -> None:
    """Scraped each second since 0; a label set appears with its first request in each life."""
    events, restarts = process
    end = start + length
    lines: dict[str, list[Sample]] = {"good": [], "errors": []}
    values = {"good": 0, "errors": 0}
    expected = {"good": 0, "errors": 0}
    for time, good, errors in events:
        if time in restarts:
            values = {"good": 0, "errors": 0}
        for name, count in (("good", good), ("errors", errors)):
            values[name] += count
            if values[name]:
                lines[name].append(Sample(time, values[name]))
            if start < time <= end:
                expected[name] += count
    made = {name: CounterSeries({}, tuple(samples)) for name, samples in lines.items()}
    for name, line in made.items():
        counted = increase(line, start, end, observed_since=0.0, restarts=restarts)
        assert counted.value == expected[name]


@given(st.sets(st.integers(0, 30)), st.integers(-1, 31), st.integers(-1, 31), st.integers(0, 30))
def test_samples_in_columns_are_the_same_samples(times: set[int], after: int, until: int, index: int) -> None:
    plain = tuple(Sample(float(time), float(time * time)) for time in sorted(times))
    columns = Samples.of(plain)
    assert (tuple(columns), len(columns), bool(columns)) == (plain, len(plain), bool(plain))
    assert Samples.of(columns) is columns
    assert tuple(columns[index:]) == plain[index:]
    assert [columns[at] for at in range(len(plain))] == list(plain)
    assert tuple(columns.between(after, until)) == tuple(
        sample for sample in plain if after < sample.time <= until
    )


COUNTER = st.lists(st.integers(0, 50), max_size=20).map(
    lambda steps: series(*((float(i), float(v)) for i, v in enumerate(steps)))
)


@given(COUNTER, st.floats(0, 20), st.floats(0, 20), st.floats(0, 20))
def test_windows_that_follow_each_other_add_up(line: CounterSeries, a: float, b: float, c: float) -> None:
    start, middle, end = sorted((a, b, c))
    parts = [increase(line, *window, observed_since=-1.0) for window in ((start, middle), (middle, end))]
    whole = increase(line, start, end, observed_since=-1.0)
    assert whole.value == sum(part.value for part in parts)
    assert whole.resets == sum(part.resets for part in parts)


@given(COUNTER, st.floats(0, 20), st.floats(0, 20))
def test_an_increase_is_never_negative_and_is_the_sum_of_its_steps(
    line: CounterSeries, a: float, b: float
) -> None:
    start, end = sorted((a, b))
    steps = list(deltas(line, start, end))
    assert all(step.value >= 0 for step in steps)
    assert all(before.time < after.time for before, after in itertools.pairwise(steps))
    assert increase(line, start, end).value == math.fsum(step.value for step in steps)
