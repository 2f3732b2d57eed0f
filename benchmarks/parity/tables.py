"""Measure and print; runs in the environment of the peers, by `benchmarks.parity`."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks import table
from benchmarks.parity import cuda, drift, nearest, paired, whole_check

PARTS: Final[dict[str, tuple[Callable[[], Iterator[table.Row]], str]]] = {
    "paired": (paired.measure, paired.NOTE),
    "nearest": (nearest.measure, nearest.NOTE),
    "check": (whole_check.measure, whole_check.NOTE),
    "drift": (drift.measure, drift.NOTE),
    "cuda": (cuda.measure, cuda.NOTE),
}


def main() -> int:
    """Return 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="one of the parts; repeatable")
    chosen = parser.parse_args().only or list(PARTS)
    cores = len(os.sched_getaffinity(0))
    rows = [table.Row(f"load of the machine's {cores} cores by others", os.getloadavg()[0], "")]
    for name in chosen:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        rows += PARTS[name][0]()
    print(table.render("Parity numerics", rows, "\n".join(PARTS[name][1] for name in chosen)))
    return 1 if any(row.verdict == "MISSED" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
