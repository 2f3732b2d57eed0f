"""The table of `make bench-slo`: every rule on the same draws, and what the product must reach."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final, Protocol

import numpy as np

from modelrelease.slo import objectives, proportion
from slo_simulation import cells, peers, rule, traffic, verdicts

SEED: Final = 20_261_121
BATCH: Final = 2_000
"""Runs at once, which bounds memory."""
OBJECTIVE: Final = objectives.Objective("availability", objectives.Kind.AVAILABILITY, Decimal("99.9"))


class Rule(Protocol):
    """Judges the runs of one scenario."""

    @property
    def name(self) -> str: ...

    def judge(self, seen: traffic.Traffic) -> verdicts.Decisions:
        """Return when each run failed or passed."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One cell with what every rule made of it, the product's first."""

    cell: cells.Cell
    mixes: tuple[verdicts.Mix, ...]

    def missed(self) -> list[str]:
        """Return what the product's rule does not reach."""
        mix, cell = self.mixes[0], self.cell
        bound = proportion.upper_bound(mix.failed, mix.runs, 0.95)
        found = []
        if cell.failed_max is not None and mix.failed / mix.runs > cell.failed_max:
            found.append(f"rolled back {mix.failed / mix.runs:.2%}, at most {cell.failed_max:.1%}")
        if cell.failed_bound_max is not None and bound > cell.failed_bound_max:
            found.append(f"upper bound {bound:.2%}, at most {cell.failed_bound_max:.1%}")
        if cell.passed_max is not None and mix.passed / mix.runs > cell.passed_max:
            found.append(f"promoted {mix.passed / mix.runs:.2%}, at most {cell.passed_max:.1%}")
        late = mix.fail_seconds is None or mix.fail_seconds > (cell.seconds_max or 0)
        if cell.seconds_max is not None and late:
            found.append(f"rolled back after {mix.fail_seconds} s, at most {cell.seconds_max:.0f} s")
        return found


def rules(objective: objectives.Objective = OBJECTIVE) -> tuple[Rule, ...]:
    """Return the product's rule and its peers'."""
    return (rule.R2(objective), *peers.PEERS)


def measure(
    asked: Iterable[cells.Cell],
    judging: Sequence[Rule],
    *,
    null_runs: int,
    runs: int,
    seed: int = SEED,
    progress: Callable[[], None] = lambda: None,
) -> list[Row]:
    """Return every cell's row.

    Parameters
    ----------
    asked
        The cells.
    judging
        The rules, which all see the same draws.
    null_runs, runs
        Runs of a cell with a good candidate, and of any other.
    seed
        Of all chance; each cell's own follows from it and the cell's number.
    progress
        Called after each cell.
    """
    rows = []
    for number, cell in enumerate(asked):
        chance = np.random.default_rng((seed, number))
        wanted = null_runs if cell.null else runs
        decided: list[list[verdicts.Decisions]] = [[] for _ in judging]
        for begin in range(0, wanted, BATCH):
            seen = traffic.generate(cell.scenario, min(BATCH, wanted - begin), chance)
            for found, judge in zip(decided, judging, strict=True):
                found.append(_held(judge, cell.hold_seconds).judge(seen))
        rows.append(Row(cell, tuple(verdicts.joined(found).mix() for found in decided)))
        progress()
    return rows


def _held(judge: Rule, seconds: int) -> Rule:
    return dataclasses.replace(judge, hold_seconds=seconds) if isinstance(judge, rule.R2) else judge


def markdown(rows: Sequence[Row], judging: Sequence[Rule]) -> str:
    """Return the table: % rolled back, after how many seconds, and % promoted."""
    heads = ["scenario", "requests/s", "bad", *(judge.name for judge in judging), "must"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in rows:
        scenario = row.cell.scenario
        missed = row.missed()
        asked = any(
            limit is not None
            for limit in (
                row.cell.failed_max, row.cell.failed_bound_max, row.cell.passed_max, row.cell.seconds_max
            )
        )  # fmt: skip
        must = "; ".join(missed) if missed else ("reached" if asked else "")
        cells_ = [_mix(mix, null=row.cell.null) for mix in row.mixes]
        head = [scenario.label, f"{scenario.rate:g}", f"{scenario.candidate_ratio:.1%}"]
        lines.append("| " + " | ".join([*head, *cells_, must]) + " |")
    return "\n".join(lines)


def _mix(mix: verdicts.Mix, *, null: bool) -> str:
    failed = mix.failed / mix.runs
    bound = f" (≤ {proportion.upper_bound(mix.failed, mix.runs, 0.95):.2%})" if null else ""
    after = f" in {mix.fail_seconds:.0f} s" if mix.fail_seconds is not None and not null else ""
    return f"{failed:.2%}{bound}{after}; promoted {mix.passed / mix.runs:.0%}"
