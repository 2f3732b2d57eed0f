"""Refuse a big step early when the disk could not hold its result."""

from __future__ import annotations

import shutil
from pathlib import Path

from hack.cluster.steps import StepError

GIB = 1 << 30


def require_free(folder: Path, gibibytes: float, purpose: str) -> None:
    """Check the free space of the file system that holds a folder.

    Parameters
    ----------
    folder : Path
        A folder, which need not exist yet.
    gibibytes : float
        How much the step needs.
    purpose : str
        What the space is for, as a noun phrase.

    Raises
    ------
    StepError
        If less is free.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free / GIB
    if free < gibibytes:
        raise StepError(
            f"{purpose} needs {gibibytes:.1f} GiB, but {existing} has {free:.1f} GiB free",
            "free some space (`go clean -cache`, `down --purge`), or move the cache with MODELRELEASE_CACHE",
        )
