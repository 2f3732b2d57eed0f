"""Numbers, times and states in the words and colours of a terminal. Pure."""

import datetime
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_SECONDS_MAX: Final = 100.0
"""What is said in seconds, rather than in minutes."""

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


def duration(seconds: float) -> str:
    """Return a length of time as people say it: ``94 s``, ``47 min``, ``1 h 12 min``, ``3 d 4 h``."""
    seconds = max(0.0, seconds)
    if seconds < _SECONDS_MAX:
        return f"{seconds:.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < DAY:
        return _two(seconds, HOUR, "h", MINUTE, "min")
    return _two(seconds, DAY, "d", HOUR, "h")


def _two(seconds: float, large: float, large_word: str, small: float, small_word: str) -> str:
    many, rest = divmod(round(seconds / small), round(large / small))
    return f"{many} {large_word} {rest} {small_word}" if rest else f"{many} {large_word}"


def ago(then: datetime.datetime | None, now: datetime.datetime) -> str:
    """Return how long ago something was, or nothing when it is not known."""
    return f"{duration((now - then).total_seconds())} ago" if then is not None else ""


def moment(then: datetime.datetime | None) -> str:
    """Return a point in time in UTC, or ``-``."""
    return f"{then.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}" if then is not None else "-"


def short(digest: str) -> str:
    """Return a digest as people compare it."""
    algorithm, colon, digits = digest.rpartition(":")
    return f"{algorithm}{colon}{digits[:12]}…" if colon and len(digits) > 12 else digest  # noqa: PLR2004


def and_(names: list[str]) -> str:
    """Return names as a list in a sentence."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
