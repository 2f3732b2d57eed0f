"""The trace of a run, span by span, from what is persisted: pure.

A run is one trace. Below it are its phases, below Checking the checks, below a check its probes, and below a
probe what the model servers say of its requests. A span is told by the transition that ends it.
"""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from modelrelease.api import run as api_run
from modelrelease.api import verdict
from modelrelease.core import observation, traceparent

Phase = api_run.Phase
Value = str | int


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A piece of work that has ended."""

    name: str
    trace: str
    span: str
    parent: str
    """Empty for the root."""
    start: datetime.datetime
    end: datetime.datetime
    attributes: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    error: str = ""
    """Why it failed; empty where it did not."""


@dataclasses.dataclass(frozen=True, slots=True)
class Probe:
    """A Job of a check that has ended."""

    job: str
    check: str
    attempt: int
    pod: str
    start: datetime.datetime
    end: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Traced:
    """A run, as its spans need it."""

    run: observation.Run
    """Before the transition."""
    uid: str
    namespace: str
    created: datetime.datetime

    def span_id(self, *what: str) -> str:
        """Return the identifier of a part of it."""
        return traceparent.span_id(self.uid, *what)


def of_transition(
    of: Traced, after: api_run.RunStatus, now: datetime.datetime, probes: Sequence[Probe] = ()
) -> tuple[Span, ...]:
    """Return the spans that a transition ends.

    Parameters
    ----------
    of
        The run.
    after
        What it has become.
    now
        When.
    probes
        The Jobs of its checks that have ended.
    """
    found = [*_checks(of, after, now, probes)]
    before = of.run.status
    moved = (before.phase, before.step) != (after.phase, after.step)
    settled = before.phase is Phase.RETURNING and before.clock is None and after.clock is not None
    if moved or settled:
        found.append(_phase(of, after, now))
    if after.phase is Phase.DONE:
        found.append(_whole(of, after, now))
    return tuple(found)


def current(of: Traced) -> str:
    """Return the span of the phase that the run is in."""
    status = of.run.status
    # Without a clock are only Queued at first, and Returning until traffic is back: one of each.
    since = _stamp(status.clock.start_time) if status.clock is not None else ""
    return of.span_id(status.phase.value, str(status.step), since)


def _since(of: Traced) -> datetime.datetime:
    status = of.run.status
    if status.clock is not None:
        return status.clock.start_time
    return status.updated_time or of.created


def _stamp(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _span(
    of: Traced,
    name: str,
    *,
    span: str,
    parent: str,
    times: tuple[datetime.datetime, datetime.datetime],
    attributes: Mapping[str, Value],
    error: str = "",
) -> Span:
    spec = of.run.spec
    common: dict[str, Value] = {
        "k8s.namespace.name": of.namespace,
        "modelrelease.release": spec.release_name,
        "modelrelease.run": of.run.name,
        "modelrelease.revision": spec.revision,
    }
    start, end = times
    trace = traceparent.trace_id(of.uid)
    return Span(name, trace, span, parent, start, max(start, end), {**common, **attributes}, error)


def _whole(of: Traced, after: api_run.RunStatus, now: datetime.datetime) -> Span:
    spec, outcome = of.run.spec, after.outcome
    failed = outcome is api_run.Outcome.ROLLED_BACK
    return _span(
        of,
        f"release {spec.release_name}",
        span=of.span_id("run"),
        parent="",
        times=(of.created, after.completion_time or now),
        attributes={
            "modelrelease.outcome": outcome.value if outcome is not None else "",
            "modelrelease.reason": after.reason,
            "modelrelease.mode": spec.mode.value,
            "modelrelease.attempt": spec.attempt,
            "modelrelease.model_version": spec.judging.model.version,
        },
        error=after.message if failed else "",
    )


def _phase(of: Traced, after: api_run.RunStatus, now: datetime.datetime) -> Span:
    before = of.run.status
    step = f" {before.step}" if before.step else ""
    returning = before.phase is Phase.RETURNING
    name = "Draining" if returning and before.clock is not None else f"{before.phase.value}{step}"
    failed = after.outcome is api_run.Outcome.ROLLED_BACK and before.outcome is None
    said: dict[str, Value] = {"modelrelease.phase": before.phase.value, "modelrelease.step": before.step}
    return _span(
        of,
        name,
        span=current(of),
        parent=of.span_id("run"),
        times=(_since(of), now),
        attributes=said,
        error=after.message if failed else "",
    )


def _checks(
    of: Traced, after: api_run.RunStatus, now: datetime.datetime, probes: Sequence[Probe]
) -> list[Span]:
    """Return the checks that have spoken now, each with its probes."""
    known = {(said.name, said.attempt) for said in of.run.status.checks if _spoken(said)}
    found: list[Span] = []
    for said in after.checks:
        if not _spoken(said) or (said.name, said.attempt) in known:
            continue
        own = [one for one in probes if (one.check, one.attempt) == (said.name, said.attempt)]
        start = min((one.start for one in own), default=_since(of))
        span = of.span_id("check", said.name, str(said.attempt))
        end = said.completion_time or now
        found += [_probe(of, span, one) for one in own]
        found.append(_check(of, span, said, (start, end)))
    return found


def _spoken(said: api_run.CheckStatus) -> bool:
    return said.verdict is not None or said.skipped


def _check(
    of: Traced, span: str, said: api_run.CheckStatus, times: tuple[datetime.datetime, datetime.datetime]
) -> Span:
    attributes: dict[str, Value] = {
        "modelrelease.check": said.name,
        "modelrelease.attempt": said.attempt,
        "modelrelease.verdict": said.verdict.value if said.verdict is not None else "Skipped",
        "modelrelease.reason": said.reason,
        "modelrelease.requests": said.requests,
    }
    if said.diagnosis is not None:
        attributes["modelrelease.cause"] = said.diagnosis.cause
    failed = said.verdict in {verdict.Verdict.FAIL, verdict.Verdict.ERROR}
    return _span(
        of,
        f"check {said.name}",
        span=span,
        parent=current(of),
        times=times,
        attributes=attributes,
        error=said.message if failed else "",
    )


def _probe(of: Traced, check: str, one: Probe) -> Span:
    attributes: dict[str, Value] = {
        "modelrelease.check": one.check,
        "k8s.job.name": one.job,
        "modelrelease.pod_uid": one.pod,
    }
    span = traceparent.probe_id(of.uid, one.job)
    times = (one.start, one.end)
    return _span(of, f"probe {one.check}", span=span, parent=check, times=times, attributes=attributes)


def turn(of: Traced, end: datetime.datetime, seconds: float, error: str = "") -> Span:
    """Return a turn of the operator that wrote something for the run, below the phase it found."""
    start = end - datetime.timedelta(seconds=seconds)
    span = of.span_id("turn", start.isoformat())
    said: dict[str, Value] = {"modelrelease.phase": of.run.status.phase.value}
    times = (start, end)
    return _span(of, "turn", span=span, parent=current(of), times=times, attributes=said, error=error)
