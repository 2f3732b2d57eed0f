"""Numbers, times and states in the words and colours of a terminal. Pure."""

import datetime
from typing import Final

from modelrelease.report import times

_GOOD: Final = "green"
_BAD: Final = "bold red"
_BUSY: Final = "cyan"
_ASKS: Final = "yellow"

_STYLES: Final = {
    "Pass": _GOOD,
    "Stable": _GOOD,
    "Promoted": _GOOD,
    "Fail": _BAD,
    "RolledBack": _BAD,
    "Rejected": _BAD,
    "Stalled": _BAD,
    "Error": "red",
    "NoData": _ASKS,
    "Inconclusive": _ASKS,
    "Paused": _ASKS,
    "AwaitingApproval": _ASKS,
    "WaitingForCapacity": _ASKS,
    "Cancelled": _ASKS,
    "Superseded": "dim",
    "Skipped": "dim",
    "running": _BUSY,
    "waiting": "dim",
}


def style(word: str) -> str:
    """Return the style of a verdict, a phase or an outcome; phases that go on by themselves are busy."""
    return _STYLES.get(word, _BUSY if word else "")


duration: Final = times.duration
moment: Final = times.moment


def ago(then: datetime.datetime | None, now: datetime.datetime) -> str:
    """Return how long ago something was, or nothing when it is not known."""
    return f"{duration((now - then).total_seconds())} ago" if then is not None else ""


def short(digest: str) -> str:
    """Return a digest as people compare it."""
    algorithm, colon, digits = digest.rpartition(":")
    return f"{algorithm}{colon}{digits[:12]}…" if colon and len(digits) > 12 else digest  # noqa: PLR2004


def and_(names: list[str]) -> str:
    """Return names as a list in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
