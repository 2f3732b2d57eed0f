"""What a rule decided in many runs."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Times = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Decisions:
    """When each run failed or passed, in seconds since its start; infinity where it did not."""

    failed_at: Times
    passed_at: Times

    def mix(self) -> "Mix":
        """Return how often what was decided, whichever came first."""
        failed = np.isfinite(self.failed_at) & (self.failed_at <= self.passed_at)
        passed = np.isfinite(self.passed_at) & ~failed
        runs = int(self.failed_at.size)
        return Mix(
            runs=runs,
            failed=int(failed.sum()),
            passed=int(passed.sum()),
            fail_seconds=float(np.median(self.failed_at[failed])) if failed.any() else None,
            pass_seconds=float(np.median(self.passed_at[passed])) if passed.any() else None,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Mix:
    """How many runs ended how."""

    runs: int
    failed: int
    passed: int
    fail_seconds: float | None
    """Median; None when none failed."""
    pass_seconds: float | None

    @property
    def undecided(self) -> int:
        """Runs that were held until the end."""
        return self.runs - self.failed - self.passed


def joined(parts: Sequence[Decisions]) -> Decisions:
    """Return the decisions of several batches of runs as one."""
    return Decisions(
        np.concatenate([part.failed_at for part in parts]), np.concatenate([part.passed_at for part in parts])
    )
