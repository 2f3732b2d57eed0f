"""The screen of ``status``. Pure."""

import datetime
from typing import Any

from rich.text import Text

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.cli.mrel import screen, standing, words

Phase = api_run.Phase


def show(view: standing.Standing, now: datetime.datetime) -> screen.Screen:
    """Return the screen of ``status``."""
    head: list[screen.Cell | tuple[str, str]] = [
        (view.name, "bold"),
        "  ",
        (view.phase, words.style(view.phase)),
    ]
    if view.since is not None:
        head.append(f"  {words.duration((now - view.since).total_seconds())}")
    if view.weight and view.candidate is not None:
        head.append(f"  {view.weight} % on {view.candidate.revision}")
    entries: list[tuple[str, Any]] = []
    if view.stable is not None:
        entries.append(("stable", _pods_line(view.stable, "serves")))
    if view.candidate is not None:
        entries.append(("candidate", _pods_line(view.candidate, "")))
    if view.progress is not None and view.candidate is not None:
        entries += _progress_rows(view.progress, now)
    entries += [("override", screen.styled(f"! {said}", "yellow")) for said in view.overrides]
    entries += [("note", notice) for notice in view.notices]
    if view.silent_seconds:
        entries += _silence(view)
    entries += [("next" if not index else "", choice) for index, choice in enumerate(view.choices)]
    return screen.Screen(
        (screen.line(*head), screen.indented(view.message), screen.indented(screen.rows(entries)))
    )


def _pods_line(served: standing.Served, verb: str) -> str:
    version = f" ({served.model_version})" if served.model_version else ""
    counted = "" if served.ready is None else f"  {served.ready}/{served.pods} pods Ready"
    starting = ""
    if served.starting_seconds is not None:
        starting = f", starting for {words.duration(served.starting_seconds)}"
    why = f": {served.waiting}" if served.waiting else ""
    return f"{served.revision}{version}{f' {verb}' if verb else ''}{counted}{starting}{why}"


def _progress_rows(progress: standing.Progress, now: datetime.datetime) -> list[tuple[str, Any]]:
    attempt = f"attempt {progress.attempt}" if progress.attempt > 1 else ""
    mode = {"Fast": "a return, without checks", "Reload": "a reload, without checks"}.get(progress.mode, "")
    said = ", ".join(part for part in (attempt, mode) if part)
    started = f"  began {words.ago(progress.started, now)}" if progress.started is not None else ""
    found: list[tuple[str, Any]] = [
        ("run", f"{progress.run}{f' ({said})' if said else ''}{started}"),
        ("progress", _track(progress)),
    ]
    timing = _timing(progress)
    if timing:
        found.append(("time", timing))
    if progress.checks:
        body = [_check_row(check) for check in progress.checks]
        found.append(("checks", screen.table(("", "", "", ""), body)))
    if progress.slos:
        found.append(("slos", screen.table(("", "", ""), [_slo_row(slo) for slo in progress.slos])))
    return found


def _track(progress: standing.Progress) -> Text:
    """Return the life as one line: what is done, where it is, what is to come."""
    stages = [
        "start",
        *(("check",) if progress.checks else ()),
        *(f"{w} %" for w in progress.weights),
        "stable",
    ]
    position = {Phase.QUEUED: 0, Phase.STARTING: 0, Phase.CHECKING: 1}.get(Phase(progress.phase))
    first = 2 if progress.checks else 1
    if position is None:
        early = min(first - 1, sum(check.state not in {"-", "waiting"} for check in progress.checks))
        position = first + progress.step - 1 if progress.step else early
    ended = bool(progress.outcome)
    if progress.outcome == api_run.Outcome.PROMOTED.value:
        position = len(stages)
    pieces: list[tuple[str, str] | str] = []
    for index, stage in enumerate(stages):
        mark, look = (
            ("●", "cyan") if index == position else ("✓", "green") if index < position else ("·", "dim")
        )
        if ended and index == position:
            mark, look = "✗", "bold red"
        pieces += [(f"{mark} {stage}", look), "  "]
    if ended:
        pieces.append((f"{progress.outcome} {progress.reason}".strip(), words.style(progress.outcome)))
    return Text.assemble(*pieces)


def _timing(progress: standing.Progress) -> str:
    parts = []
    if progress.hold_seconds is not None and progress.elapsed_seconds is not None and not progress.outcome:
        share = f"{words.duration(progress.elapsed_seconds)} of {words.duration(progress.hold_seconds)}"
        parts.append(f"watched for {share}{', the clock stands still' if progress.clock_stopped else ''}")
    elif progress.deadline_seconds is not None and progress.elapsed_seconds is not None:
        parts.append(f"a canary has {words.duration(progress.deadline_seconds)} to start")
    if progress.left_seconds is not None:
        parts.append(f"at least {words.duration(progress.left_seconds)} left")
    return "; ".join(parts)


def _check_row(check: standing.CheckLine) -> tuple[Any, ...]:
    took = words.duration(check.seconds) if check.seconds is not None else ""
    return check.name, screen.styled(check.state, words.style(check.state)), took, check.message


def _slo_row(slo: standing.SloLine) -> tuple[Any, ...]:
    counted = f"{slo.bad} bad of {slo.requests}"
    if slo.requests < slo.minimum:
        counted += f", {slo.minimum} needed"
    burn = f"burns {slo.burn:.1f}× its budget. " if slo.burn else ""
    told = reasons.sentence(counted)
    return (
        slo.name,
        screen.styled(slo.verdict, words.style(slo.verdict)),
        f"{told} {burn}{slo.message}".strip(),
    )


def _silence(view: standing.Standing) -> list[tuple[str, Any]]:
    text = (
        f"The operator has not answered for {words.duration(view.silent_seconds)}. Serving is not "
        "affected: the Service and the pods go on without it. Overrides act when it is back."
    )
    found: list[tuple[str, Any]] = [("silent", screen.styled(text, "bold red"))]
    if view.by_hand:
        found.append(("", "Back to stable by hand (reject the candidate first, or it will be undone):"))
        found += [("", command) for command in view.by_hand]
    return found
