"""How Flagger and Argo Rollouts judge a success rate, as their sources do (slo-statistics §4)."""

import dataclasses

import numpy as np

from slo_simulation import traffic, verdicts


@dataclasses.dataclass(frozen=True, slots=True)
class Flagger:
    """Failed checks are counted over the whole rollout, and acted on one interval after the last of them."""

    name: str
    success: float
    """Required ratio of good requests."""
    threshold: int
    window_seconds: int = 60
    interval_seconds: int = 60

    def judge(self, seen: traffic.Traffic) -> verdicts.Decisions:
        """Return when each run was rolled back; what was not is promoted at the end."""
        failed = _failed(seen, self.success, self.window_seconds, self.interval_seconds, no_data=True)
        return _counted(seen, failed, self.threshold, self.interval_seconds, lag=self.interval_seconds)


@dataclasses.dataclass(frozen=True, slots=True)
class Argo:
    """One failed measurement more than the limit aborts."""

    name: str
    success: float
    failure_limit: int
    window_seconds: int = 60
    interval_seconds: int = 60

    def judge(self, seen: traffic.Traffic) -> verdicts.Decisions:
        """Return when each run was aborted; what was not is promoted at the end."""
        # Without any request the ratio is NaN, which fails a successCondition.
        failed = _failed(seen, self.success, self.window_seconds, self.interval_seconds, no_data=True)
        return _counted(seen, failed, self.failure_limit + 1, self.interval_seconds, lag=0)


PEERS = (
    Flagger("Flagger, 99 %, 1 m, threshold 5", 0.99, 5),
    Flagger("Flagger, tuned: 99.5 %", 0.995, 5),
    Argo("Argo Rollouts, 99 %, 1 m, failureLimit 3", 0.99, 3),
    Argo("Argo Rollouts, tuned: 99.5 %", 0.995, 3),
)


def _failed(
    seen: traffic.Traffic, success: float, window: int, interval: int, *, no_data: bool
) -> verdicts.Bools:
    """Return which measurements failed; shape (runs, measurements)."""
    every, width = interval // traffic.SLICE_SECONDS, window // traffic.SLICE_SECONDS
    total, bad = (np.cumsum(counts, axis=1) for counts in (seen.candidate, seen.candidate_bad))
    ends = np.arange(every - 1, total.shape[1], every)
    starts = ends - width

    def within(summed: traffic.Counts) -> traffic.Counts:
        before = np.where(starts >= 0, summed[:, np.maximum(starts, 0)], 0)
        return np.asarray(summed[:, ends] - before)

    requests, wrong = within(total), within(bad)
    good = np.divide(requests - wrong, requests, out=np.ones(requests.shape), where=requests > 0)
    return np.asarray((good < success) | (no_data & (requests == 0)))


def _counted(
    seen: traffic.Traffic, failed: verdicts.Bools, needed: int, interval: int, *, lag: int
) -> verdicts.Decisions:
    counts = np.cumsum(failed, axis=1)
    at = np.argmax(counts >= needed, axis=1)
    reached = counts[:, -1] >= needed
    when = np.where(reached, (at + 1) * interval + lag, np.inf)
    seconds = seen.candidate.shape[1] * traffic.SLICE_SECONDS
    when = np.where(when <= seconds, when, np.inf)
    return verdicts.Decisions(failed_at=when, passed_at=np.where(np.isinf(when), float(seconds), np.inf))
