"""Adds slices of time to the evidence of a run, each of them once.

The state is a fold over settled slices: whoever goes on from an earlier state, in one step or in many, comes
to the same, as long as Prometheus says the same of the past. So nothing is lost with an operator, and
nothing is counted twice by the next.
"""

import dataclasses
import math
from typing import Final

from modelrelease.api import slo_state
from modelrelease.slo import arms, evidence, observation

VETO_SECONDS: Final = 300
VETO_FACTOR: Final = 5.0
VETO_SLICES: Final = 2
"""A slice is not held against the candidate where the baseline's ratio of the last five minutes exceeds five
times the accepted one, with bad requests in at least two slices."""
MINUTE_SLICES: Final = 4
RECORDED_Z: Final = 1.6448536269514722
"""Of the recorded ratio the upper bound counts, at 95 % (Wilson's, which costs nothing for millions)."""
RECORDED_MIN: Final = 1000
"""Fewer recorded requests say less of what is usual than the objective does."""
ACCEPTED_MAX: Final = 0.5
COMPARABLE: Final = 2.0
"""Arms whose requests differ by more than this factor are not compared."""
COMPARABLE_REQUESTS: Final = 100
"""With fewer they may differ by chance."""

_NO_EVENTS: Final = slo_state.Counted()


def begin(since: float, interval: float) -> slo_state.SloState:
    """Return the state before any slice.

    Parameters
    ----------
    since : float
        Seconds since the epoch from which requests are users'.
    interval : float
        Seconds between scrapes; 0 when unknown.
    """
    length = arms.slice_seconds(interval)
    first = math.ceil(since / length) * length
    return slo_state.SloState(since=first, through=first, slice_seconds=length)


def accepted(budget: float, recorded: slo_state.Counted | None) -> float:
    """Return the bad ratio that is not held against a candidate: the budget, or what stable does itself.

    Parameters
    ----------
    budget : float
        Allowed bad ratio, in (0, 1).
    recorded : Counted or None
        Stable's last 24 hours.
    """
    if recorded is None or recorded.requests < RECORDED_MIN:
        return budget
    requests, ratio = recorded.requests, min(recorded.bad / recorded.requests, 1.0)
    spread = math.sqrt(ratio * (1 - ratio) / requests + RECORDED_Z**2 / (4 * requests**2))
    usual = (ratio + RECORDED_Z**2 / (2 * requests) + RECORDED_Z * spread) / (1 + RECORDED_Z**2 / requests)
    return min(max(budget, usual), ACCEPTED_MAX)


def exceeds(known: slo_state.SloState, budget: float) -> bool:
    """Tell whether the candidate's bad ratio of the whole run is above the accepted one."""
    return known.candidate.bad > accepted(budget, known.recorded) * known.candidate.requests


@dataclasses.dataclass(slots=True)
class _Fold:
    """The parts of the state that change with every slice."""

    budget: float
    candidate: observation.Events
    baseline: observation.Events
    minute: tuple[observation.Events, observation.Events]
    signs: evidence.Logs
    minute_signs: evidence.Logs
    bad_slices: evidence.Logs
    client_error_signs: evidence.Logs
    worse: int
    better: int
    peak: int
    client_error_peak: int

    def add(self, part: arms.Slice, *, vetoed: bool, closes: bool) -> None:
        """Add one slice; `closes` tells whether it is the last of its minute."""
        ours, theirs = part.candidate, part.baseline
        self.candidate, self.baseline = self.candidate + ours, self.baseline + theirs
        comparable = _comparable(self.candidate, self.baseline)
        found = _compared(ours, theirs) if comparable else None
        if found is not None:
            self.worse, self.better = self.worse + found, self.better + (not found)
            self.signs = evidence.sign(self.signs, worse=found, candidate=ours.total, baseline=theirs.total)
        if comparable and (ours.client_errors or theirs.client_errors):
            self._client_errors(_client_errors(ours), _client_errors(theirs))
        self.minute = self.minute[0] + ours, self.minute[1] + theirs
        if closes:
            if comparable:
                self._minute(*self.minute)
            self.minute = observation.Events(), observation.Events()
        if ours.total and not vetoed:
            self.bad_slices = evidence.bad_slice(
                self.bad_slices, bad=ours.bad > 0, requests=ours.total, accepted=self.budget
            )
        found_now = evidence.value((self.signs, self.minute_signs), (self.bad_slices,))
        self.peak = max(self.peak, round(evidence.MICRO * math.log(found_now)))
        answered = evidence.value((self.client_error_signs,))
        self.client_error_peak = max(self.client_error_peak, round(evidence.MICRO * math.log(answered)))

    def _client_errors(self, ours: observation.Events, theirs: observation.Events) -> None:
        found = _compared(ours, theirs)
        if found is not None:
            self.client_error_signs = evidence.sign(
                self.client_error_signs, worse=found, candidate=ours.total, baseline=theirs.total
            )

    def _minute(self, ours: observation.Events, theirs: observation.Events) -> None:
        found = _compared(ours, theirs)
        if found is not None:
            self.minute_signs = evidence.sign(
                self.minute_signs, worse=found, candidate=ours.total, baseline=theirs.total
            )


def advance(
    known: slo_state.SloState,
    seen: observation.SliObservation,
    baseline: arms.Baseline,
    budget: float,
    now: float,
) -> slo_state.SloState:
    """Return the state with every slice that has settled by now.

    Parameters
    ----------
    known : SloState
        The state so far.
    seen : SliObservation
        The candidate, from ``known.through`` or before; what is missing in between stays uncounted.
    baseline : Baseline
        Live, from five minutes before ``known.through``.
    budget : float
        Allowed bad ratio, in (0, 1).
    now : float
        Seconds since the epoch.
    """
    length = known.slice_seconds
    live = baseline.live
    interval = max(seen.interval, live.interval if live is not None else 0.0)
    until = arms.settled(now, interval, length)
    after = max(known.through, math.ceil(seen.start / length) * length)
    recorded = known.recorded or _recorded(baseline.recorded)
    if until <= after:
        return known if recorded == known.recorded else known.model_copy(update={"recorded": recorded})
    limit = accepted(budget, recorded)
    fold = _Fold(
        budget=limit,
        candidate=_events(known.candidate),
        baseline=_events(known.baseline),
        minute=(_events(known.minute_candidate), _events(known.minute_baseline)),
        signs=tuple(known.signs),
        minute_signs=tuple(known.minute_signs),
        bad_slices=tuple(known.bad_slices),
        client_error_signs=tuple(known.client_error_signs),
        worse=known.worse,
        better=known.better,
        peak=known.peak,
        client_error_peak=known.client_error_peak,
    )
    burning = live if live is not None and any(live.line.bad) else None
    for part in arms.slices(seen, live, after, until, length):
        fold.add(
            part,
            vetoed=burning is not None and _vetoed(burning, part.end, length, limit),
            closes=part.end % (MINUTE_SLICES * length) == 0,
        )
    return known.model_copy(
        update={
            "through": until,
            "candidate": _counted(fold.candidate),
            "baseline": _counted(fold.baseline),
            "recorded": recorded,
            "worse": fold.worse,
            "better": fold.better,
            "signs": list(fold.signs),
            "minute_signs": list(fold.minute_signs),
            "bad_slices": list(fold.bad_slices),
            "client_error_signs": list(fold.client_error_signs),
            "minute_candidate": _counted(fold.minute[0]),
            "minute_baseline": _counted(fold.minute[1]),
            "peak": fold.peak,
            "client_error_peak": fold.client_error_peak,
        }
    )


def _comparable(ours: observation.Events, theirs: observation.Events) -> bool:
    """Tell whether the arms take about the same traffic: otherwise they are not asked the same."""
    fewer, more = sorted((ours.total + ours.client_errors, theirs.total + theirs.client_errors))
    return more < COMPARABLE_REQUESTS or more <= COMPARABLE * fewer


def _compared(ours: observation.Events, theirs: observation.Events) -> bool | None:
    """Return whether the candidate's bad ratio is the larger one; None where nothing can be compared."""
    if not ours.total or not theirs.total:
        return None
    difference = ours.bad * theirs.total - theirs.bad * ours.total
    return difference > 0 if difference else None


def _client_errors(events: observation.Events) -> observation.Events:
    """Return 4xx answers as the bad ones among all answers."""
    return observation.Events(events.total + events.client_errors, events.client_errors)


def _vetoed(live: observation.SliObservation, end: int, length: int, limit: float) -> bool:
    start = end - VETO_SECONDS
    lately = live.between(start, end)
    if not lately.total or lately.bad <= VETO_FACTOR * limit * lately.total:
        return False
    ends = range(end - (VETO_SECONDS // length) * length + length, end + 1, length)
    return sum(live.between(at - length, at).bad > 0 for at in ends) >= VETO_SLICES


def _recorded(events: observation.Events | None) -> slo_state.Counted | None:
    return None if events is None else _counted(events)


def _counted(events: observation.Events) -> slo_state.Counted:
    if events == observation.Events():
        return _NO_EVENTS
    return slo_state.Counted(requests=events.total, bad=events.bad, client_errors=events.client_errors)


def _events(counted: slo_state.Counted) -> observation.Events:
    return observation.Events(counted.requests, counted.bad, counted.bad, counted.client_errors)
