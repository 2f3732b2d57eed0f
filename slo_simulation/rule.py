"""Rule R2 over whole arrays of runs: what ``modelrelease.slo.burn`` says of each, slice by slice.

Every number comes from the operator's own modules; only the loops are others.
"""

import dataclasses
import math
from typing import Final

import numpy as np

from modelrelease.api import slo_state
from modelrelease.slo import arms, burn, evidence, looks, objectives, state, windows
from slo_simulation import beta, traffic, verdicts

Floats = verdicts.Times
ALWAYS: Final = 1e9
"""Seconds: the whole run."""


@dataclasses.dataclass(frozen=True, slots=True)
class R2:
    """The product's rule."""

    objective: objectives.Objective
    hold_seconds: int = 600
    """A step is watched at least so long before it can pass."""
    live: bool = True
    """Whether stable's pods take traffic beside the candidate: not in the bake."""

    @property
    def name(self) -> str:
        """What people read in a table."""
        return "R2" if self.live else "R2 in the bake, beside the recorded ratio"

    def judge(self, seen: traffic.Traffic) -> verdicts.Decisions:
        """Return when each run failed or passed."""
        arrays = _Arrays.of(seen, live=self.live)
        fails = (
            _burning(arrays, self.objective)
            | _collapsed(arrays, self.objective)
            | _violated(arrays, self.objective)
            | self._worse(arrays)
        )
        failed_at = _first(fails)
        return verdicts.Decisions(failed_at, self._passed_at(arrays, failed_at))

    def _worse(self, arrays: "_Arrays") -> verdicts.Bools:
        known = {
            int(bad): state.accepted(
                self.objective.budget, slo_state.Counted(requests=arrays.recorded, bad=int(bad))
            )
            for bad in np.unique(arrays.recorded_bad)
        }
        accepted = np.array([known[int(bad)] for bad in arrays.recorded_bad])
        peaks, compared = _Evidence(arrays, accepted).found()
        limit = math.log(1 / evidence.ALPHA)
        exceeds = arrays.bad > accepted[:, None] * arrays.total
        return np.asarray((peaks >= limit) & (exceeds | (compared >= limit)))

    def _passed_at(self, arrays: "_Arrays", failed_at: Floats) -> Floats:
        """Return when each run passed: a look did, the hold is over, and the bound is still within."""
        runs, slices = arrays.total.shape
        limit = self.objective.pass_limit
        spread = arrays.dispersion()
        looked = np.full(runs, np.inf)
        number = np.zeros(runs, np.int64)
        first = looks.requests_at(self.objective, 0)
        for at in range(slices):
            total = arrays.total[:, at]
            due = np.flatnonzero((total >= first * 2.0**number) & np.isinf(looked))
            if not due.size:
                continue
            taken = np.floor(np.log2(total[due] / first)).astype(np.int64)
            number[due] = taken + 1
            divided = spread[due, at]
            for level in np.unique(taken):
                chosen = taken == level
                which, by = due[chosen], divided[chosen]
                within = beta.upper_within(
                    arrays.bad[which, at] / by, total[which] / by, looks.confidence(int(level)), limit
                )
                looked[which[within]] = at
        passed = np.full(runs, np.inf)
        hold = max(0, self.hold_seconds // traffic.SLICE_SECONDS - 1)
        shared = _shared(arrays, self.objective)
        for at in range(hold, slices):
            end = (at + 1) * traffic.SLICE_SECONDS
            due = np.flatnonzero((looked <= at) & np.isinf(passed) & (end < failed_at) & ~shared[:, at])
            by = spread[due, at]
            within = beta.upper_within(
                arrays.bad[due, at] / by, arrays.total[due, at] / by, looks.CONFIDENCE, limit
            )
            passed[due[within]] = end
        return passed


@dataclasses.dataclass(frozen=True, slots=True)
class _Arrays:
    """Counts of both arms by slice, and summed up; shape (runs, slices)."""

    candidate: traffic.Counts
    candidate_bad: traffic.Counts
    stable: traffic.Counts
    stable_bad: traffic.Counts
    total: traffic.Counts
    bad: traffic.Counts
    bad_slices: traffic.Counts
    beside: traffic.Counts
    beside_bad: traffic.Counts
    recorded: int
    recorded_bad: traffic.Counts
    live: bool

    @classmethod
    def of(cls, seen: traffic.Traffic, *, live: bool) -> "_Arrays":
        """Sum up; without a live baseline its counts are 0."""
        stable = seen.stable if live else np.zeros_like(seen.stable)
        stable_bad = seen.stable_bad if live else np.zeros_like(seen.stable_bad)
        return cls(
            candidate=seen.candidate,
            candidate_bad=seen.candidate_bad,
            stable=stable,
            stable_bad=stable_bad,
            total=np.cumsum(seen.candidate, axis=1),
            bad=np.cumsum(seen.candidate_bad, axis=1),
            bad_slices=np.cumsum(seen.candidate_bad > 0, axis=1),
            beside=np.cumsum(stable, axis=1),
            beside_bad=np.cumsum(stable_bad, axis=1),
            recorded=seen.recorded,
            recorded_bad=seen.recorded_bad,
            live=live,
        )

    def within(self, summed: traffic.Counts, seconds: float) -> traffic.Counts:
        """Return sums over a window that ends with each slice, and begins with the run at the earliest."""
        width = int(seconds) // traffic.SLICE_SECONDS
        if width >= summed.shape[1]:
            return summed
        found = summed.copy()
        found[:, width:] -= summed[:, :-width]
        return found

    def stands_out(self, seconds: float) -> verdicts.Bools:
        """Tell whether the bad ratio is far above the baseline's in the window."""
        total, bad = self.within(self.total, seconds), self.within(self.bad, seconds)
        beside, wrong = self.within(self.beside, seconds), self.within(self.beside_bad, seconds)
        recorded = np.broadcast_to(self.recorded_bad[:, None], total.shape)
        usual = (recorded + 0.5) / self.recorded if self.recorded else np.zeros(total.shape)
        compared = np.where(beside > 0, (wrong + 0.5) / np.maximum(beside, 1), usual)
        return np.asarray(_ratio(bad, total) >= windows.BASELINE_FACTOR * compared)

    def dispersion(self) -> Floats:
        """Return by what counts are divided because errors come in clusters."""
        safe = np.maximum(self.candidate, 1)
        squares = np.cumsum(self.candidate_bad.astype(np.float64) ** 2 / safe, axis=1)
        count = np.cumsum(self.candidate > 0, axis=1)
        bad = np.maximum(self.bad, 1)
        found = (squares * self.total / bad - self.bad) / np.maximum(count - 1, 1)
        told = (count >= looks.SLICES_MIN) & (self.bad > 0) & (found > looks.DISPERSION_MIN)
        return np.where(told, found, 1.0)


def _ratio(bad: traffic.Counts, total: traffic.Counts) -> Floats:
    return np.asarray(bad / np.maximum(total, 1), np.float64)


def _first(found: verdicts.Bools) -> Floats:
    at = (np.argmax(found, axis=1) + 1.0) * traffic.SLICE_SECONDS
    return np.where(found.any(axis=1), at, np.inf)


def _above(arrays: _Arrays, objective: objectives.Objective, window: windows.BurnWindow) -> verdicts.Bools:
    ratio = objective.burn_ratio(window.factor)
    found = np.ones(arrays.total.shape, np.bool_)
    for seconds in (window.long_seconds, window.short_seconds):
        found &= _ratio(arrays.within(arrays.bad, seconds), arrays.within(arrays.total, seconds)) > ratio
    return found


def _outstanding(arrays: _Arrays, window: windows.BurnWindow) -> verdicts.Bools:
    return arrays.stands_out(window.long_seconds) & arrays.stands_out(window.short_seconds)


def _burning(arrays: _Arrays, objective: objectives.Objective) -> verdicts.Bools:
    found = np.zeros(arrays.total.shape, np.bool_)
    for window in windows.WINDOWS:
        needed = windows.minimum_bad(
            objective.burn_ratio(window.factor), objective.budget, window.minimum_bad
        )
        found |= (
            _above(arrays, objective, window)
            & _outstanding(arrays, window)
            & (arrays.within(arrays.bad, window.long_seconds) >= needed)
            & (arrays.within(arrays.bad_slices, window.long_seconds) >= windows.BAD_SLICES)
        )
    return found


def _shared(arrays: _Arrays, objective: objectives.Objective) -> verdicts.Bools:
    found = np.zeros(arrays.total.shape, np.bool_)
    for window in windows.WINDOWS:
        found |= _above(arrays, objective, window) & ~_outstanding(arrays, window)
    return found


def _collapsed(arrays: _Arrays, objective: objectives.Objective) -> verdicts.Bools:
    total = arrays.within(arrays.total, burn.COLLAPSE_SECONDS)
    bad = arrays.within(arrays.bad, burn.COLLAPSE_SECONDS)
    limit = max(burn.COLLAPSE_RATIO, objective.pass_limit)
    asked = (bad >= burn.PROOF_BAD) & arrays.stands_out(burn.COLLAPSE_SECONDS)
    return _proven(asked, bad, total, limit)


def _violated(arrays: _Arrays, objective: objectives.Objective) -> verdicts.Bools:
    asked = (
        ((arrays.total >= objective.minimum_requests) | (arrays.bad >= burn.PROOF_BAD))
        & (arrays.bad >= burn.PROOF_BAD_SLICED)
        & (arrays.bad_slices >= windows.BAD_SLICES)
        & arrays.stands_out(ALWAYS)
    )
    return _proven(asked, arrays.bad, arrays.total, objective.pass_limit)


def _proven(
    asked: verdicts.Bools, bad: traffic.Counts, total: traffic.Counts, limit: float
) -> verdicts.Bools:
    """Tell where the lower bound exceeds the limit; of each run only until it first does."""
    found, done = np.zeros(asked.shape, np.bool_), np.zeros(asked.shape[0], np.bool_)
    for at in range(asked.shape[1]):
        which = np.flatnonzero(asked[:, at] & ~done)
        found[which, at] = beta.lower_above(
            bad[which, at].astype(np.float64),
            total[which, at].astype(np.float64),
            burn.PROOF_CONFIDENCE,
            limit,
        )
        done |= found[:, at]
    return found


class _Evidence:
    """The e-processes of ``modelrelease.slo.state``, of all runs at once."""

    def __init__(self, arrays: _Arrays, accepted: Floats) -> None:
        runs = arrays.total.shape[0]
        self._arrays, self._accepted = arrays, accepted
        self._signs = np.zeros((runs, len(evidence.ODDS)))
        self._minutes = np.zeros((runs, len(evidence.ODDS)))
        self._bad = np.zeros((runs, len(evidence.MULTIPLES)))
        multiples = np.minimum(accepted[:, None] * np.array(evidence.MULTIPLES), evidence.CERTAIN)
        self._log_good, self._log_good_multiples = np.log1p(-accepted), np.log1p(-multiples)
        self._vetoed = self._veto()

    def found(self) -> tuple[Floats, Floats]:
        """Return logarithms of the largest evidence until each slice, and of the signs' part now."""
        arrays = self._arrays
        found, compared = np.zeros(arrays.total.shape), np.zeros(arrays.total.shape)
        runs, slices = arrays.total.shape
        minute = [np.zeros(runs, np.int64) for _ in range(4)]
        for at in range(slices):
            counts = [
                a[:, at] for a in (arrays.candidate, arrays.candidate_bad, arrays.stable, arrays.stable_bad)
            ]
            more = np.maximum(arrays.total[:, at], arrays.beside[:, at])
            fewer = np.minimum(arrays.total[:, at], arrays.beside[:, at])
            comparable = (more < state.COMPARABLE_REQUESTS) | (more <= state.COMPARABLE * fewer)
            _bet(self._signs, counts, comparable)
            minute = [summed + count for summed, count in zip(minute, counts, strict=True)]
            if (at + 1) % state.MINUTE_SLICES == 0:
                _bet(self._minutes, minute, comparable)
                minute = [np.zeros_like(summed) for summed in minute]
            self._bad_slice(at)
            signs = (np.exp(self._signs).mean(axis=1) + np.exp(self._minutes).mean(axis=1)) / 2
            found[:, at] = np.log((signs + np.exp(self._bad).mean(axis=1)) / 2)
            compared[:, at] = np.log(signs / 2)
        return np.asarray(np.maximum.accumulate(found, axis=1)), compared

    def _bad_slice(self, at: int) -> None:
        requests, bad = self._arrays.candidate[:, at], self._arrays.candidate_bad[:, at] > 0
        bet = (requests > 0) & ~self._vetoed[:, at]
        null = np.minimum(-np.expm1(requests * self._log_good), evidence.CERTAIN)[:, None]
        other = np.minimum(-np.expm1(requests[:, None] * self._log_good_multiples), evidence.CERTAIN)
        null = np.where(bet[:, None], null, 0.5)
        other = np.where(bet[:, None], other, 0.5)
        moved = np.where(bad[:, None], np.log(other / null), np.log((1 - other) / (1 - null)))
        self._bad[:] = np.minimum(self._bad + np.where(bet[:, None], moved, 0.0), 600.0)

    def _veto(self) -> verdicts.Bools:
        arrays = self._arrays
        lately = arrays.within(arrays.beside, state.VETO_SECONDS)
        wrong = arrays.within(arrays.beside_bad, state.VETO_SECONDS)
        bad_slices = arrays.within(np.cumsum(arrays.stable_bad > 0, axis=1), state.VETO_SECONDS)
        above = wrong > state.VETO_FACTOR * self._accepted[:, None] * lately
        return np.asarray((lately > 0) & above & (bad_slices >= state.VETO_SLICES))


def _bet(logs: Floats, counts: list[traffic.Counts], comparable: verdicts.Bools) -> None:
    """Bet on the sign of a slice, in place."""
    ours, ours_bad, theirs, theirs_bad = counts
    difference = ours_bad * theirs - theirs_bad * ours
    bet = comparable & (ours > 0) & (theirs > 0) & (difference != 0)
    chance = np.maximum(0.5, ours / np.maximum(ours + theirs, 1))[:, None]
    odds = np.array(evidence.ODDS)
    other = np.minimum(odds * chance / (odds * chance + 1 - chance), evidence.CERTAIN)
    chance = np.minimum(chance, evidence.CERTAIN)
    moved = np.where((difference > 0)[:, None], np.log(other / chance), np.log((1 - other) / (1 - chance)))
    logs[:] = np.minimum(logs + np.where(bet[:, None], moved, 0.0), 600.0)


assert arms.SLICE_SECONDS == traffic.SLICE_SECONDS
