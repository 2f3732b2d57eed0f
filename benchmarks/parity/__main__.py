"""``python -m benchmarks.parity``: have the peers, test every path of the numerics, then measure."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.parity import environment

ROOT: Final = Path(__file__).resolve().parents[2]
TESTS: Final = ("test_statistics.py", "test_neighbours.py")


def main() -> int:
    """Return 0 when every target is met, 1 when one is missed or the peers cannot be had."""
    try:
        python = environment.python_of(environment.PEERS)
    except environment.CannotInstall as error:
        print(error, file=sys.stderr)
        return 1
    variables = os.environ | {"PYTHONPATH": str(ROOT), "HYPOTHESIS_PROFILE": "ci"}
    try:
        variables["BENCH_ALIBI_PYTHON"] = str(environment.python_of(environment.ALIBI, beneath=python))
    except environment.CannotInstall as error:
        print(f"{error}\nmeasuring without it", file=sys.stderr)
    # All paths at once, which the unit tests' own environment has not: it holds no torch.
    tests = [f"tests/unit/canary_checks/{name}" for name in TESTS]
    # Without the project's configuration: its plugins are not here.
    options = (
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        str(ROOT),
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
    )
    command = [str(python), "-m", "pytest", *options, *tests]
    tested = subprocess.run(command, cwd=ROOT, env=variables, check=False)
    if tested.returncode:
        return 1
    command = [str(python), "-m", "benchmarks.parity.tables", *sys.argv[1:]]
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
