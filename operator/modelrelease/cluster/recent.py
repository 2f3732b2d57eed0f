"""What was made of the objects that were read last: most turns read the same again, and reading is dear."""

from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

RELEASES: Final = 4
"""As many as have a turn at once; an idle one costs no memory."""
_PARTS_MAX: Final = 64
"""Of one release: more than it ever has objects of a kind."""

_Made = TypeVar("_Made")


class Recent(Generic[_Made]):
    """Remembers what a pure function has made of the parts of the releases that were looked at last.

    Parameters
    ----------
    releases
        How many: a turn looks twice at nearly the same, and then others have theirs.
    """

    def __init__(self, releases: int = RELEASES) -> None:
        self._releases = releases
        self._known: dict[Hashable, dict[Hashable, tuple[Any, _Made]]] = {}
        """By release, the one looked at last at the end; by part, what was given and what was made."""

    def made(self, release: Hashable, part: Hashable, given: Any, make: Callable[[], _Made]) -> _Made:
        """Return what was made of this, or make it.

        Parameters
        ----------
        release
            Whose it is.
        part
            Which of its objects.
        given
            Everything that the result depends on; an equal one gives the same.
        make
            Called when something else was given last.
        """
        parts = self._known.pop(release, {})
        known = parts.get(part)
        if known is None or known[0] != given:
            if len(parts) >= _PARTS_MAX:
                parts.clear()
            known = parts[part] = given, make()
        while len(self._known) >= self._releases:
            del self._known[next(iter(self._known))]
        self._known[release] = parts
        return known[1]
