"""The API server's audit log: who asked for what, and when it was answered, to the microsecond."""

import dataclasses
import datetime
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Self

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One request, answered; or a watch, begun."""

    user: str
    verb: str
    resource: str
    """With its subresource, such as ``deployments/scale``."""
    namespace: str
    name: str
    code: int
    answered: datetime.datetime
    dry_run: bool = False
    """Asked what would be written: nothing was."""

    @classmethod
    def of(cls, event: dict[str, Any]) -> Self | None:
        """Read a line of the log; None for what is no request of its own."""
        about = event.get("objectRef")
        # A watch counts when it begins: it is answered for as long as it lasts.
        begun = event["stage"] == "ResponseStarted"
        if about is None or (event["verb"] == "watch") is not begun:
            return None
        parts = (about["resource"], about.get("subresource"))
        return cls(
            user=event["user"]["username"],
            verb=event["verb"],
            resource="/".join(part for part in parts if part),
            namespace=about.get("namespace", ""),
            name=about.get("name", ""),
            code=event.get("responseStatus", {}).get("code", 0),
            answered=datetime.datetime.fromisoformat(event["stageTimestamp"]),
            dry_run="dryRun=All" in event["requestURI"],
        )

    @property
    def written(self) -> bool:
        """Whether something was written: asked for, and not refused."""
        return self.writes and self.code < 300

    @property
    def writes(self) -> bool:
        """Whether a write was asked for."""
        return self.verb in WRITES and not self.dry_run


class AuditLog:
    """The log from now on, of one namespace, and of one user in any.

    Parameters
    ----------
    path
        The log.
    namespace
        Whose requests are kept.
    """

    def __init__(self, path: Path, namespace: str) -> None:
        self._path = path
        self._needle = namespace.encode()
        self._namespace = namespace
        self._file: BinaryIO = path.open("rb")
        self._file.seek(0, 2)
        self._rest = b""
        self.entries: list[Entry] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self) -> list[Entry]:
        """Read what has been written since; return all that is known."""
        self._take()
        if self._path.stat().st_ino != _inode(self._file):  # rotated
            self._file.close()
            self._file = self._path.open("rb")
            self._rest = b""
            self._take()
        return self.entries

    def between(self, start: datetime.datetime, end: datetime.datetime) -> list[Entry]:
        """Return the requests that were answered in [start, end)."""
        return [entry for entry in self.read() if start <= entry.answered < end]

    def wait(self, holds: Callable[[Iterable[Entry]], bool], seconds: float) -> None:
        """Wait until the log shows something.

        Raises
        ------
        TimeoutError
            It does not.
        """
        deadline = time.monotonic() + seconds
        while not holds(self.read()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the audit log does not show it within {seconds:.0f} s")
            time.sleep(0.2)

    def _take(self) -> None:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            # Others use the API server, too: their lines are not even parsed.
            if self._needle in line and (entry := Entry.of(json.loads(line))) is not None:
                self.entries.append(entry)


def _inode(opened: BinaryIO) -> int:
    return Path(f"/proc/self/fd/{opened.fileno()}").stat().st_ino


def now() -> datetime.datetime:
    """Return the API server's time: it runs on this machine."""
    return datetime.datetime.now(datetime.UTC)
