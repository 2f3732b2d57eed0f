"""``list`` and ``history``: every release in a line, and every attempt of one. Pure."""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from modelrelease.api import reasons
from modelrelease.api import run as api_run
from modelrelease.api import status as api_status
from modelrelease.cli.mrel import objects, screen, words
from modelrelease.cluster import facts
from modelrelease.core import observation


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One release."""

    namespace: str
    name: str
    phase: str
    stable: str
    candidate: str
    weight: int
    verdict: str
    overridden: str
    """Reason of the condition Overridden, or of Paused by a person; empty without."""
    behind: bool
    """The operator has not seen the latest spec yet."""
    message: str
    created: datetime.datetime | None


def line(release: objects.Release) -> Line:
    """Return a release in one line."""
    said = release.status
    return Line(
        namespace=release.namespace,
        name=release.name,
        phase=said.phase or "Pending",
        stable=said.stable.revision if said.stable else "",
        candidate=said.candidate.revision if said.candidate else "",
        weight=said.weight,
        verdict=said.verdict,
        overridden=said.overridden,
        behind=release.behind,
        message=said.message,
        created=facts.time_of(release.raw["metadata"].get("creationTimestamp")),
    )


def show(lines: Sequence[Line], now: datetime.datetime, *, everywhere: bool, width: int) -> screen.Screen:
    """Return the screen of ``list``; `!` marks a release that a person has overridden, `…` an unseen spec."""
    if not lines:
        return screen.Screen(("No ModelRelease there.",))
    if width < screen.WIDE:
        parts: list[Any] = []
        for one in lines:
            where = f"{one.namespace}/{one.name}" if everywhere else one.name
            parts.append(screen.line((where, "bold"), "  ", (one.phase, words.style(one.phase)), _mark(one)))
            parts.append(screen.indented(_shares(one)))
            parts.append(screen.indented(one.message))
        return screen.Screen(tuple(parts))
    head = [
        *(("NAMESPACE",) if everywhere else ()),
        "NAME",
        "PHASE",
        "STABLE",
        "CANDIDATE",
        "WEIGHT",
        "VERDICT",
        "AGE",
    ]
    body = [
        (
            *((one.namespace,) if everywhere else ()),
            one.name,
            screen.line((one.phase, words.style(one.phase)), _mark(one)),
            one.stable or "-",
            one.candidate or "-",
            f"{one.weight} %",
            screen.styled(one.verdict or "-", words.style(one.verdict)),
            words.ago(one.created, now).removesuffix(" ago") or "-",
            one.message,
        )
        for one in lines
    ]
    return screen.Screen((screen.table((*head, "MESSAGE"), body),))


def _mark(one: Line) -> tuple[str, str]:
    return (f"{' !' if one.overridden else ''}{' …' if one.behind else ''}", "bold yellow")


def _shares(one: Line) -> str:
    stable = f"stable {one.stable}" if one.stable else "nothing is stable"
    candidate = f", candidate {one.candidate} {one.weight} %" if one.candidate else ""
    return f"{stable}{candidate}"


# --- History ------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """One run, ended or under way."""

    revision: str
    attempt: int
    model_version: str
    mode: str
    outcome: str
    """Empty while it is under way."""
    reason: str
    started: datetime.datetime | None
    ended: datetime.datetime | None
    seconds: float | None
    live: bool | None
    """Whether it took live traffic; None where only the end is remembered."""
    message: str
    overrides: tuple[str, ...] = ()
    """What people have said about the revision, as far as it stands."""


def attempts(release: objects.Release, runs: Iterable[observation.Run]) -> tuple[Attempt, ...]:
    """Return the attempts of a release, the newest first: its runs, and what only the status remembers."""
    found = [_attempt(release, run) for run in runs]
    known = {(one.revision, one.attempt) for one in found}
    found += [
        _remembered(entry) for entry in release.status.history if (entry.revision, entry.attempt) not in known
    ]
    far = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    return tuple(sorted(found, key=lambda one: (one.ended or far, one.attempt), reverse=True))


def _remembered(entry: api_status.HistoryEntry) -> Attempt:
    """Return what the status still says of a run that is gone."""
    return Attempt(
        revision=entry.revision,
        attempt=entry.attempt,
        model_version="",
        mode="",
        outcome=entry.outcome.value,
        reason=entry.reason,
        started=None,
        ended=entry.completion_time,
        seconds=None,
        live=None,
        message="",
    )


def _attempt(release: objects.Release, run: observation.Run) -> Attempt:
    status = run.status
    seconds = None
    if status.start_time is not None and status.completion_time is not None:
        seconds = (status.completion_time - status.start_time).total_seconds()
    return Attempt(
        revision=run.spec.revision,
        attempt=run.spec.attempt,
        model_version=run.spec.judging.model.version,
        mode=run.spec.mode.value,
        outcome=status.outcome.value if status.outcome is not None else "",
        reason=status.reason,
        started=status.start_time,
        ended=status.completion_time if status.phase is api_run.Phase.DONE else None,
        seconds=seconds,
        live=status.live_since is not None,
        message=status.message,
        overrides=_words_about(release, run.spec.revision)
        + _asked_about(release, run.spec.revision, run.spec.attempt),
    )


def _words_about(release: objects.Release, revision: str) -> tuple[str, ...]:
    override = release.override
    said = []
    if override.forced is not None and override.forced.revision == revision:
        said.append(f"forced: {override.forced.reason}")
    if override.pinned is not None and override.pinned.revision == revision:
        said.append(f"pinned: {override.pinned.reason}")
    said += [f"rejected: {one.reason}" for one in override.rejected if one.revision == revision]
    said += [
        f"approved ({one.stage.value}): {one.reason}"
        for one in override.approvals
        if one.revision == revision
    ]
    said += [f"{one.check} waived: {one.reason}" for one in override.waivers if one.revision == revision]
    if override.debug is not None and override.debug.revision == revision:
        said.append(f"canary kept: {override.debug.reason}")
    return tuple(said)


def _asked_about(release: objects.Release, revision: str, attempt: int) -> tuple[str, ...]:
    """Return what people have asked of this attempt."""
    retry, cancelled = release.override.retry, release.override.cancelled
    said = []
    if retry is not None and (retry.revision, retry.attempt) == (revision, attempt):
        said.append(f"retried: {retry.reason}")
    if cancelled is not None and (cancelled.revision, cancelled.attempt) == (revision, attempt):
        said.append(f"cancelled: {cancelled.reason}")
    return tuple(said)


def show_attempts(found: Sequence[Attempt], now: datetime.datetime, *, width: int) -> screen.Screen:
    """Return the screen of ``history``."""
    if not found:
        return screen.Screen(("No run yet.",))
    if width < screen.NARROW:
        parts: list[Any] = []
        for one in found:
            outcome = one.outcome or "under way"
            parts.append(
                screen.line(
                    (one.revision, "bold"),
                    f" #{one.attempt}  ",
                    (outcome, words.style(outcome)),
                    f"  {_when(one, now)}",
                )
            )
            parts.append(screen.indented(_told(one)))
        return screen.Screen(tuple(parts))
    head = ("ENDED (UTC)", "REVISION", "VERSION", "ATTEMPT", "OUTCOME", "TOOK", "WHY")
    body = [
        (
            words.moment(one.ended) if one.ended else "under way",
            one.revision,
            one.model_version or "-",
            str(one.attempt),
            screen.styled(one.outcome or "-", words.style(one.outcome)),
            words.duration(one.seconds) if one.seconds is not None else "-",
            _told(one),
        )
        for one in found
    ]
    return screen.Screen((screen.table(head, body, keep=(2,)),))


def _when(one: Attempt, now: datetime.datetime) -> str:
    return words.ago(one.ended, now) or f"began {words.ago(one.started, now)}".removesuffix("began ")


def _told(one: Attempt) -> str:
    message = reasons.sentence(one.message or one.reason)
    users = (
        ""
        if one.live is None or one.live or one.outcome == "Promoted" or not one.outcome
        else " No user request reached it."
    )
    said = "".join(f" ! {word}" for word in one.overrides)
    return f"{message}{users}{said}"
