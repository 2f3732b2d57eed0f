"""A drift test and the paired statistics are asked whether two sets are the same.

alibi-detect runs in an environment of its own (see alibi.in) and is given the same two files.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import table
from benchmarks.parity import timing
from canary_checks.parity import statistics

ROWS, WIDTH, PERMUTATIONS = 2_000, 384, 100
NOTE = """\
Drift test: alibi-detect's MMDDrift, 100 permutations, on torch. The fault: one row in a hundred got the
vector of another, which leaves the distribution as it was. A paired comparison sees it, an unpaired one
cannot."""
SCRIPT = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np
from alibi_detect.cd import MMDDrift
a, b = np.load(sys.argv[1]), np.load(sys.argv[2])
start = time.perf_counter()
test = MMDDrift(a, backend="pytorch", n_permutations=int(sys.argv[3]), device="cpu")
p = float(test.predict(b)["data"]["p_val"])
print(json.dumps({"seconds": time.perf_counter() - start, "p": p}))
"""


def measure() -> Iterator[table.Row]:
    """Yield the rows of the table."""
    chance = np.random.default_rng(3)
    a = chance.standard_normal((ROWS, WIDTH)).astype(np.float32)
    b = a.copy()
    swapped = np.arange(0, ROWS, 100)
    b[swapped] = a[np.roll(swapped, 1)]
    seconds = min(timing.alternating({"ours": lambda: statistics.paired(a, b)}, 5)["ours"])
    yield table.Row("paired statistics, 2,000 × 384", 1e3 * seconds, "ms")
    yield table.Row("  worst 1 − cos with 20 rows exchanged", statistics.paired(a, b).cosine.value, "")
    python = os.environ.get("BENCH_ALIBI_PYTHON")
    if python is None:
        yield table.Row("  alibi-detect MMDDrift: does not install here", float("nan"), "")
        return
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("a.npy", "b.npy")]
        for file, vectors in zip(files, (a, b), strict=True):
            np.save(file, vectors)
        command = [python, "-c", SCRIPT, *map(str, files), str(PERMUTATIONS)]
        done = subprocess.run(command, capture_output=True, check=False, encoding="utf-8")
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        yield table.Row("  alibi-detect MMDDrift: does not run here", float("nan"), "")
        return
    said = json.loads(done.stdout.splitlines()[-1])
    yield table.Row("  alibi-detect MMDDrift", said["seconds"], "s")
    yield table.Row("    its p value (a drift is below 0.05)", said["p"], "")
