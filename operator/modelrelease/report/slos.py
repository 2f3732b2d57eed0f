"""Objectives of a run, with how their evidence came about. Pure."""

import datetime
from collections.abc import Iterator
from typing import Final

from modelrelease.api import run as api_run
from modelrelease.api import slo_state
from modelrelease.core import observation
from modelrelease.report import model
from modelrelease.slo import evidence

_EVIDENCE_MAX: Final = 1e300


def objectives(run: observation.Run) -> tuple[model.Slo, ...]:
    """Return the objectives that have spoken."""
    declared = {slo.name: slo for slo in run.spec.judging.slos}
    found = []
    for said in run.status.slos:
        asked = declared.get(said.name)
        if asked is None:
            continue
        beside = said.state.baseline if said.state is not None and said.state.baseline.requests else None
        found.append(
            model.Slo(
                name=said.name,
                verdict=said.verdict.value,
                reason=said.reason,
                message=said.message,
                objective=asked.objective,
                requests=said.requests,
                bad=said.bad,
                proof=len(declared) / evidence.ALPHA,
                baseline_requests=beside.requests if beside is not None else None,
                baseline_bad=beside.bad if beside is not None else None,
                looks=tuple(_looks(said, budget=1 - float(asked.objective) / 100)),
                cost=said.feasibility.message if said.feasibility is not None else "",
            )
        )
    return tuple(found)


def _looks(said: api_run.SloStatus, *, budget: float) -> Iterator[model.Look]:
    before = slo_state.SloLook(seconds=0, requests=0, bad=0, evidence="1")
    for look in said.looks:
        more, bad = look.requests - before.requests, look.bad - before.bad
        yield model.Look(
            seconds=look.seconds,
            requests=look.requests,
            bad=look.bad,
            burn=bad / more / budget if more > 0 else None,
            evidence=_number(look.evidence),
        )
        before = look


def _number(text: str) -> float:
    try:
        return min(max(0.0, float(text)), _EVIDENCE_MAX)
    except ValueError:
        return 1.0


def live_requests(status: api_run.RunStatus) -> int | None:
    """Return how many requests of users were counted, by the objective that has seen most of them."""
    counted = [
        max(slo.requests, slo.state.candidate.requests) for slo in status.slos if slo.state is not None
    ]
    return max(counted, default=None)


def requests_by(status: api_run.RunStatus, end: datetime.datetime | None) -> int | None:
    """Return how many requests of users had been counted by some time; None without a look by then."""
    if end is None:
        return live_requests(status)
    found = [
        look.requests
        for slo in status.slos
        if slo.state is not None
        for look in slo.looks
        if slo.state.since + look.seconds <= end.timestamp() + slo.state.slice_seconds
    ]
    return max(found, default=None)
