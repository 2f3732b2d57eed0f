"""Points and lengths of time in the words that people use. Pure."""

import datetime
from typing import Final

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_SECONDS_MAX: Final = 100.0
"""What is said in seconds, rather than in minutes."""


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


def moment(then: datetime.datetime | None) -> str:
    """Return a point in time in UTC, or ``-``."""
    return f"{then.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S}" if then is not None else "-"
