"""Time and memory on a machine that is never quite at rest."""

import ctypes
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

MEBIBYTE = 1024**2


def alternating(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each call in each round; the calls take turns, after one that is not counted.

    What slows the machine for a while then slows all of them, and a ratio within a round means something.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the median over the rounds of one time over another."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def growth(call: Callable[[], object]) -> float:
    """Return by how many MiB a call's memory peaks: as Python traces it, or as the process shows it.

    The larger of the two: the process shows what native code allocates, but not what is taken again of what
    has been given back.
    """
    ctypes.CDLL(None).malloc_trim(0)
    tracemalloc.start()
    # 5: set the peak back to what is resident now.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS")
    call()
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return max(traced, _status("VmHWM") - before) / MEBIBYTE


def available() -> int:
    """Return how many bytes the machine can give."""
    return _read(Path("/proc/meminfo"), "MemAvailable")


def _status(name: str) -> int:
    return _read(Path("/proc/self/status"), name)


def _read(file: Path, name: str) -> int:
    for line in file.read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    raise LookupError(f"{file} has no {name}")
