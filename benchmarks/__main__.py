"""``python -m benchmarks``: measure, and print tables."""

import argparse
import dataclasses
import json
import platform
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from benchmarks import api_requests, latency, memory, numerics, reports, table

Rows = Iterable[table.Row]
RELEASES: Final = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Benchmark:
    """One table."""

    title: str
    measure: Callable[[argparse.Namespace], Rows]
    note: str


BENCHMARKS: Final = {
    "statistics": Benchmark("Statistics", lambda _: numerics.measure(), numerics.NOTE),
    "requests": Benchmark(
        "API requests of a release", lambda o: api_requests.measure(o.idle_seconds), api_requests.NOTE
    ),
    "latency": Benchmark("Latency", lambda o: latency.measure(o.releases, o.batch), latency.NOTE),
    "peer": Benchmark("Peer: a bare Deployment", lambda o: latency.peer(o.releases, o.batch), latency.NOTE),
    "report": Benchmark("Report of a large run", lambda _: reports.measure(), reports.NOTE),
    "memory": Benchmark("Memory of the operator", lambda o: memory.measure(o.releases), memory.NOTE),
}
DEFAULT: Final = tuple(name for name in BENCHMARKS if name != "peer")
"""The peer is measured together with what it is compared with."""


def main(arguments: list[str] | None = None) -> int:
    """Measure; return 1 when a target is missed."""
    options = parse(arguments)
    # Whoever ends it early leaves no namespace and no operator behind, either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results: dict[str, list[table.Row]] = {}
    for name in options.only or DEFAULT:
        chosen = BENCHMARKS[name]
        results[name] = list(chosen.measure(options))
        print(table.render(chosen.title, results[name], chosen.note), flush=True)
    if options.json is not None:
        machine = {"python": platform.python_version(), "kernel": platform.release()}
        said = {name: [_dumped(row) for row in rows] for name, rows in results.items()}
        options.json.write_text(
            json.dumps({"machine": machine, "results": said}, indent=1) + "\n", encoding="utf-8"
        )
    missed = [row.what for rows in results.values() for row in rows if row.verdict == "MISSED"]
    for what in missed:
        print(f"\nmissed: {what}", file=sys.stderr)
    return 1 if missed else 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure speed and size.")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="one of the tables; repeatable")
    parser.add_argument("--releases", type=_positive, default=RELEASES, help="how many (%(default)s)")
    parser.add_argument("--batch", type=_positive, default=latency.BATCH, help="at a time (%(default)s)")
    parser.add_argument("--idle-seconds", type=float, default=120.0, help="watched at rest (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _dumped(row: table.Row) -> dict[str, object]:
    target = str(row.target) if row.target else None
    return {"what": row.what, "value": row.value, "unit": row.unit, "target": target, "verdict": row.verdict}


if __name__ == "__main__":
    sys.exit(main())
