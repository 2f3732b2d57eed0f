"""Paired statistics of data that lies in a GPU's memory, where there is a GPU."""

import statistics as stdlib_statistics
from collections.abc import Callable, Iterator

import torch

from benchmarks import table
from canary_checks.parity import statistics

ROWS, WIDTH = 1_000_000, 768
ROUNDS = 10
SHARE = 80.0
NOTE = """\
CUDA: share of the bandwidth of a copy on the device, bytes read and written, by the device's clock."""


def measure() -> Iterator[table.Row]:
    """Yield the rows of the table."""
    if not torch.cuda.is_available():
        yield table.Row("CUDA: no device here, so unmeasured", float("nan"), "")
        return
    a = torch.randn(ROWS, WIDTH, device="cuda")
    b = a + 1e-3 * torch.randn_like(a)
    copied = _seconds(lambda: b.copy_(a))
    b += 1e-3
    ours = _seconds(lambda: statistics.paired(a, b))
    yield table.Row("CUDA: copy", 2 * a.nbytes / copied / 1e9, "GB/s")
    yield table.Row("  paired statistics, 1M × 768", 1e3 * ours, "ms")
    share = 100 * copied / ours
    yield table.Row("  of the copy's bandwidth", share, "%", table.Target(SHARE, table.Bound.AT_LEAST))


def _seconds(call: Callable[[], object]) -> float:
    """Return the median time of a call on the device; both read and write as much as the other."""
    times: list[float] = []
    for _ in range(ROUNDS + 1):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return stdlib_statistics.median(times[1:])
