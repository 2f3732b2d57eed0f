"""What people read: one transition of one release, with its cause, its numbers and where to look."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from modelrelease.api import escalation

LINES_MAX: Final = 12
"""Of facts in one notice."""
NOTICES_MAX: Final = 10
"""That one message tells in full; further ones are counted."""
TITLE_MAX: Final = 200
BODY_MAX: Final = 8000
"""What the channel takes is less in places: apprise cuts for each service what is too long."""


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell."""

    key: str
    """What makes it one of its kind; the name of the Event that says the same."""
    namespace: str
    release: str
    reason: str
    message: str
    urgency: escalation.Urgency
    good: bool = False
    """A revision was promoted."""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of the release."""
    targets: tuple[str, ...] = ()
    """Which the release names."""
    run: str = ""
    revision: str = ""
    facts: tuple[str, ...] = ()
    """Numbers and circumstances, one line each."""
    links: tuple[str, ...] = ()
    """Pages and commands, one line each."""

    @property
    def title(self) -> str:
        """What, of which release."""
        return f"{self.namespace}/{self.release}: {self.reason}"


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """What is sent at once to one target."""

    title: str
    body: str
    kind: str
    """One of apprise's: failure, warning, success, info."""


def message(notices: Sequence[Notice], *, cluster: str = "") -> Message:
    """Return one message of what has happened since the last one: the loudest first."""
    place = f"[{cluster}] " if cluster else ""
    loudest = sorted(notices, key=lambda one: list(escalation.Severity).index(one.urgency.severity))
    if len(loudest) == 1:
        only = loudest[0]
        return Message(f"{place}{only.title}"[:TITLE_MAX], _body(only)[:BODY_MAX], _kind(only))
    reasons = list(dict.fromkeys(one.reason for one in loudest))
    few = ", ".join(reasons[:4]) + (" …" if len(reasons) > 4 else "")  # noqa: PLR2004
    parts = [f"{one.title}\n{_body(one)}" for one in loudest[:NOTICES_MAX]]
    rest = loudest[NOTICES_MAX:]
    if rest:
        told = ", ".join(f"{one.namespace}/{one.release} {one.reason}" for one in rest)
        parts.append(f"And {len(rest)} more: {told}")
    title = f"{place}{len(loudest)} transitions: {few}"
    return Message(title[:TITLE_MAX], "\n\n".join(parts)[:BODY_MAX], _kind(loudest[0]))


def _body(notice: Notice) -> str:
    said = [notice.message, *notice.facts[:LINES_MAX], *notice.links]
    return "\n".join(line for line in said if line)


def _kind(notice: Notice) -> str:
    if notice.good:
        return "success"
    loud = {escalation.Severity.PAGE: "failure", escalation.Severity.TICKET: "warning"}
    return loud.get(notice.urgency.severity, "info")
