"""The operator's memory: idle, and for each further release."""

import itertools
import time
from collections.abc import Iterator

from benchmarks import figures, process, releases, workplace
from benchmarks.table import Row, Target

IDLE = Target(130)
PER_RELEASE = Target(80)
MEGABYTE, KILOBYTE = 1e6, 1e3
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 30.0
STEPS = (1, 25, 50, 100, 200, 500)
NOTE = (
    "RSS of the process from /proc, of one namespace; a further release: the least-squares slope.\n"
    "Grown: one process saw all releases through their first life. Restarted: a new one found them settled."
)

Sizes = dict[int, process.Usage]


def sizes(most: int) -> list[int]:
    """Return how many releases there are at each measurement, from the first on."""
    return [*(size for size in STEPS if size < most), most]


def measure(most: int) -> Iterator[Row]:
    """Yield the rows.

    Parameters
    ----------
    most
        How many releases there are in the end, at least 1.
    """
    grown: Sizes = {}
    restarted: Sizes = {}
    with workplace.workplace() as place, place.operator() as operator:
        made = releases.Releases(place)
        restarted[0] = operator.settled(SETTLE_SECONDS)
        for before, count in itertools.pairwise([0, *sizes(most)]):
            made.create(f"r{number:04}" for number in range(before, count))
            grown[count] = operator.settled(SETTLE_SECONDS)
            if count in {1, most}:
                operator.restart()
                restarted[count] = operator.settled(SETTLE_SECONDS)
        began, used = time.monotonic(), operator.usage().cpu_seconds
        time.sleep(IDLE_SECONDS)
        share = (operator.usage().cpu_seconds - used) / (time.monotonic() - began)
    yield Row("idle, no release", restarted[0].resident / MEGABYTE, "MB RSS", IDLE)
    yield Row("  of which objects and buffers", restarted[0].private / MEGABYTE, "MB RSS")
    for said, usages in (("grown", grown), ("restarted", restarted)):
        for count, usage in usages.items():
            if count:
                yield Row(f"{count} settled, {said}", usage.resident / MEGABYTE, "MB RSS")
        yield Row(f"per further release, {said}", _slope(usages), "KB", PER_RELEASE)
    yield Row("peak", max(usage.peak for usage in grown.values()) / MEGABYTE, "MB RSS")
    yield Row(f"CPU at rest, {most} releases", 100 * share, "% of a core")


def _slope(usages: Sizes) -> float:
    """Return KB per release, from the first release on: it brings what all of them share."""
    points = [(count, usage.resident / KILOBYTE) for count, usage in usages.items() if count]
    return figures.slope([count for count, _ in points], [size for _, size in points])
