"""A report as Markdown: for an incident's page, or as the beginning of a postmortem. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from modelrelease.report import model, times

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~])")


def render(report: model.Report, *, postmortem: bool = False) -> str:
    """Write a report as Markdown.

    Parameters
    ----------
    report
        Any.
    postmortem
        With the questions that are open and the headings that people fill in, and without each check's
        gates.
    """
    parts = _postmortem(report) if postmortem else _whole(report)
    return "\n".join(parts) + "\n"


def _whole(report: model.Report) -> Iterator[str]:
    yield from _head(report, f"{report.attempt.release}: {report.outcome}")
    yield from _recovery(report)
    yield from _timeline(report)
    yield from _changes(report)
    yield from _people(report)
    yield from _checks(report)
    yield from _objectives(report)
    facts = [f"- {text(fact.name)}: {text(fact.value)}" for fact in report.environment]
    yield from _section("Environment", facts)
    yield from _section("Open questions", [f"- {text(one)}" for one in report.questions])
    yield from _section("Not recorded", [f"- {text(one)}" for one in report.missing])


def _postmortem(report: model.Report) -> Iterator[str]:
    yield from _head(report, f"Postmortem: {report.attempt.release}, {report.attempt.revision}")
    yield from _section("Impact", [text(report.users)])
    yield from _timeline(report)
    yield from _changes(report)
    failed = [one for one in report.checks if one.verdict not in {"Pass", ""}]
    said = [f"- {text(one.name)} ({one.verdict}): {text(one.message)}" for one in failed]
    said += [
        f"- {text(one.name)} ({one.verdict}): {text(one.message)}"
        for one in report.slos
        if one.verdict != "Pass"
    ]
    yield from _section("What stopped it", said)
    yield from _recovery(report)
    yield from _people(report)
    asked = [f"- [ ] {text(one)}" for one in report.questions]
    yield from _section("Open questions", asked or ["- [ ] "])
    yield from _section("Cause", ["_To be written._"])
    yield from _section("Actions", ["- [ ] "])
    yield from _section("Not recorded", [f"- {text(one)}" for one in report.missing])


def text(said: str) -> str:
    """Return what somebody wrote as one line that Markdown leaves alone."""
    return _SPECIAL.sub(r"\\\1", " ".join(said.split()))


def _head(report: model.Report, title: str) -> Iterator[str]:
    attempt = report.attempt
    yield f"# {text(title)}"
    yield ""
    yield f"**{text(report.sentence)}**"
    yield ""
    yield text(report.users)
    yield ""
    against = f", against stable {attempt.stable}" if attempt.stable else ", the first release"
    yield text(
        f"{attempt.namespace}/{attempt.release}, run {attempt.run} of {attempt.revision}{against}; "
        f"{times.moment(report.start)} to {times.moment(report.end)} UTC."
    )


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield from ("", f"## {title}", "", *lines)


def _recovery(report: model.Report) -> Iterator[str]:
    if report.recovery is not None:
        yield from _section(
            "After the return", [f"**{report.recovery.verdict}**: {text(report.recovery.message)}"]
        )


def _timeline(report: model.Report) -> Iterator[str]:
    rows = [f"| {times.moment(one.time)} | {text(one.what)} | {text(one.text)} |" for one in report.moments]
    if rows:
        yield from _section("Time line (UTC)", ["| when | what | said |", "|---|---|---|", *rows])
    phases = [
        f"| {one.phase}{f' {one.step}' if one.step else ''} | {times.moment(one.start)} | {one.weight} % | "
        f"{one.requests if one.requests is not None else '–'} |"
        for one in report.phases
    ]
    if phases:
        head = ["| phase | from | traffic | users' requests by its end |", "|---|---|---|---|"]
        yield from _section("Phases", [*head, *phases])


def _changes(report: model.Report) -> Iterator[str]:
    rows = [
        f"| {text(one.area)}: {text(one.what)} | {text(one.before) or '–'} | {text(one.after) or '–'} |"
        for one in report.changes
    ]
    if rows:
        yield from _section("What changed", ["| what | stable | candidate |", "|---|---|---|", *rows])
    elif report.attempt.stable:
        yield from _section("What changed", ["Nothing that is recorded of both."])


def _people(report: model.Report) -> Iterator[str]:
    yield from _section(
        "People",
        [
            f"- {text(one.kind)}{f', {times.moment(one.time)}' if one.time else ''}: {text(one.reason)}"
            for one in report.people
        ],
    )


def _checks(report: model.Report) -> Iterator[str]:
    lines: list[str] = []
    for check in report.checks:
        said = "Skipped" if check.skipped else check.verdict or "not run"
        lines.append(f"- **{said}** {text(check.name)}: {text(check.message)}")
        lines += [f"  - {text(one)}" for one in _gates(check)]
    yield from _section("Checks", lines)


def _gates(check: model.Check) -> Iterable[str]:
    for gate in check.gates:
        against = f" against {gate.against}" if gate.against else ""
        yield (
            f"{gate.verdict} {gate.metric}{against}: {gate.observed or '–'} {gate.operator} {gate.limit}, "
            f"n = {gate.samples}"
        )


def _objectives(report: model.Report) -> Iterator[str]:
    lines: list[str] = []
    for slo in report.slos:
        lines.append(f"- **{slo.verdict}** {text(slo.name)} ({slo.objective} %): {text(slo.message)}")
        lines += [
            f"  - after {times.duration(look.seconds)}: {look.bad} of {look.requests} bad, e-value "
            f"{look.evidence:.3g}"
            for look in slo.looks
        ]
    yield from _section("Objectives under live traffic", lines)
