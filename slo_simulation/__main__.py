"""``make bench-slo``: prints the table of docs/slo-judging.md; exits with 1 where the product falls short."""

import argparse
import sys

from rich import console, progress

from slo_simulation import cells, table


def main() -> int:
    """Measure every cell and print the table."""
    parser = argparse.ArgumentParser(prog="python -m slo_simulation", description=__doc__)
    parser.add_argument("--runs", type=int, default=4_000, help="of each cell with a fault")
    parser.add_argument("--null-runs", type=int, default=10_000, help="of each cell with a good candidate")
    parser.add_argument("--seed", type=int, default=table.SEED)
    options = parser.parse_args()
    asked, judging = list(cells.cells()), table.rules()
    with progress.Progress(console=console.Console(stderr=True)) as bar:
        task = bar.add_task("simulating", total=len(asked))
        rows = table.measure(
            asked,
            judging,
            null_runs=options.null_runs,
            runs=options.runs,
            seed=options.seed,
            progress=lambda: bar.advance(task),
        )
    print(table.markdown(rows, judging))
    return 1 if any(row.missed() for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
