"""Requests that were counted between two instants, from raw samples of a counter.

`rate()` and `increase()` of PromQL extrapolate, and lose what a series brings with its birth: 40
errors that arrive with the first sample of a status give 0 for ever. Integer differences of raw
samples lose nothing.
"""

import bisect
import itertools
import math
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload


class CounterError(ValueError):
    """The samples are not those of a counter."""


class Sample(NamedTuple):
    """One scrape of one series."""

    time: float
    """Seconds since the epoch, by Prometheus' clock."""
    value: float


@dataclass(frozen=True, slots=True)
class Samples(Sequence[Sample]):
    """Scrapes of one series, oldest first, in two columns: a look at one release reads thousands of them."""

    times: tuple[float, ...]
    values: tuple[float, ...]
    """As many as times."""

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Samples":
        """Return samples in columns, as they are where they are so already."""
        if isinstance(samples, cls):
            return samples
        return cls(tuple([sample[0] for sample in samples]), tuple([sample[1] for sample in samples]))

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> "Samples": ...

    def __getitem__(self, index: int | slice) -> "Sample | Samples":
        """Return one sample, or the samples of a slice."""
        if isinstance(index, slice):
            return Samples(self.times[index], self.values[index])
        return Sample(self.times[index], self.values[index])

    def __iter__(self) -> Iterator[Sample]:
        """Return the samples, one after the other."""
        return map(Sample, self.times, self.values)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.times)

    def between(self, after: float, until: float) -> "Samples":
        """Return what was scraped in (after, until]."""
        times = self.times
        if not times or (times[0] > after and times[-1] <= until):
            return self
        return self[bisect.bisect_right(times, after) : bisect.bisect_right(times, until)]


@dataclass(frozen=True, slots=True)
class CounterSeries:
    """Raw samples of one counter, oldest first.

    Raises
    ------
    CounterError
        If a value is negative, NaN or infinite, or if time does not advance.
    """

    labels: Mapping[str, str]
    samples: Sequence[Sample]

    def __post_init__(self) -> None:
        """Refuse what no counter can show, before it becomes a number that looks healthy."""
        if not self.samples:
            return
        line = Samples.of(self.samples)
        times, values = line.times, line.values
        # A sum is finite where all are; what is in order is found to be so at once.
        ordered = all(map(operator.lt, times, times[1:]))
        if ordered and min(values) >= 0 and math.isfinite(sum(values) + sum(times)):
            return
        for sample in self.samples:
            if not math.isfinite(sample.value) or not math.isfinite(sample.time) or sample.value < 0:
                raise CounterError(f"a counter cannot be {sample.value} at {sample.time}")
        for before, after in itertools.pairwise(self.samples):
            if after.time <= before.time:
                raise CounterError(f"time does not advance after {before.time}")


@dataclass(frozen=True, slots=True)
class Increase:
    """What a counter counted in (start, end]."""

    value: float
    resets: int
    first: float | None
    """Time of the first sample that counts; None when none does."""
    last: float | None


def resets(group: Iterable[CounterSeries]) -> tuple[float, ...]:
    """Return when a process restarted: whenever any of its counters fell.

    Parameters
    ----------
    group : Iterable of CounterSeries
        The series of one process, scraped together.

    Returns
    -------
    tuple of float
        Times of the first sample after each restart, ascending.

    Notes
    -----
    A single series does not always show it: after a restart an error counter may have climbed past
    its old value before the next scrape, while the counter of good requests fell.
    """
    found: set[float] = set()
    for series in group:
        line = Samples.of(series.samples)
        fell = map(operator.lt, line.values[1:], line.values)
        found.update(itertools.compress(line.times[1:], fell))
    return tuple(sorted(found))


def differences(
    series: CounterSeries,
    start: float,
    end: float,
    *,
    observed_since: float | None = None,
    restarts: Sequence[float] = (),
) -> tuple[tuple[float, ...], list[float]]:
    """Return when each sample in (start, end] was taken, and the requests that it adds (≥ 0).

    Parameters
    ----------
    series : CounterSeries
        Fetched from before `start`, so that the last sample at or before it is present.
    start, end : float
        Seconds since the epoch.
    observed_since : float, optional
        Since when the series' process is known to be scraped, or not to have existed before. Only
        then is a series that first appears after `start` new, and counts from 0; otherwise what it
        brings may be older than `start`, and it counts from its first sample.
    restarts : sequence of float
        From :func:`resets` over the whole process, ascending.
    """
    line = Samples.of(series.samples)
    first = bisect.bisect_right(line.times, start)
    last = bisect.bisect_right(line.times, end)
    if first == last:
        return (), []
    seen = line[max(first - 1, 0) : last]
    times, values = seen.times, seen.values
    later = values[1:]
    if restarts or any(map(operator.lt, later, values)):
        added = [
            value if value < before or _between(restarts, at, time) else value - before
            for (at, before), (time, value) in itertools.pairwise(seen)
        ]
    else:
        added = list(map(operator.sub, later, values))
    if first:
        return times[1:], added
    born = observed_since is not None and observed_since < times[0]
    return times, [values[0] if born else 0.0, *added]


def deltas(
    series: CounterSeries,
    start: float,
    end: float,
    *,
    observed_since: float | None = None,
    restarts: Sequence[float] = (),
) -> Iterator[Sample]:
    """Yield the same as :func:`differences`, sample by sample."""
    return map(Sample, *differences(series, start, end, observed_since=observed_since, restarts=restarts))


def _between(times: Sequence[float], after: float, until: float) -> bool:
    return bisect.bisect_right(times, after) < bisect.bisect_right(times, until)


def increase(
    series: CounterSeries,
    start: float,
    end: float,
    *,
    observed_since: float | None = None,
    restarts: Sequence[float] = (),
) -> Increase:
    """Return what one counter counted in (start, end]; parameters as for :func:`deltas`."""
    added = list(deltas(series, start, end, observed_since=observed_since, restarts=restarts))
    own = resets([series])
    restarted = {*own, *restarts}
    return Increase(
        value=math.fsum(sample.value for sample in added),
        resets=sum(start < time <= end for time in restarted),
        first=added[0].time if added else None,
        last=added[-1].time if added else None,
    )
