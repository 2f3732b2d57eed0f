"""Lives lives from the command line: ``python -m tests.simulation --help``."""

import argparse
import logging
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "operator"), str(Path(__file__).parents[2])]

from tests.simulation import script, shrink, world  # noqa: E402


def main() -> int:
    """Live one life and tell it, or many."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first life")
    parser.add_argument("--lives", type=int, default=1, help="how many")
    parser.add_argument("--file", type=Path, help="a shrunk life")
    parser.add_argument("--shrink", action="store_true", help="make a failing life short")
    parser.add_argument("--verbose", action="store_true", help="show what the operator logs")
    said = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if said.verbose else logging.CRITICAL)
    began, turns, failed = time.monotonic(), 0, 0
    lives = (
        [script.Life.load(said.file)]
        if said.file
        else map(script.generate, range(said.seed, said.seed + said.lives))
    )
    for life in lives:
        lived = world.live(life)
        turns += lived.turns
        if lived.problem:
            failed += 1
            print(
                shrink.report(life, lived.problem)
                if said.shrink
                else f"{life}\nseed {life.seed}: {lived.problem}"
            )
    print(f"{turns} turns in {time.monotonic() - began:.1f} s, {failed} lives failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
