"""Let two runs of the tool wait for each other."""

from __future__ import annotations

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lock(path: Path, *, announce: bool = False) -> Iterator[None]:
    """Hold a lock file; the kernel releases it when the process ends, however that happens.

    Parameters
    ----------
    path : Path
        The lock file.
    announce : bool
        Whether to say so when another process holds it.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="ascii") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if announce:
                    sys.stderr.write(f"waiting for another run that holds {path}\n")
                fcntl.flock(handle, fcntl.LOCK_EX)
            # `down` removes the file: a lock on a file without a name excludes nobody.
            if not path.exists() or not path.samefile(f"/proc/self/fd/{handle.fileno()}"):
                continue
            yield
            return
