"""Find and remove mounts below a folder."""

from __future__ import annotations

import re
from pathlib import Path

from hack.cluster.commands import run

MOUNTINFO = Path("/proc/self/mountinfo")


def mounts_below(folder: Path, mountinfo: str) -> list[str]:
    """Return the mount points at or below a folder, the deepest first."""
    points: list[tuple[int, int, str]] = []
    for line in mountinfo.splitlines():
        # The kernel writes spaces and backslashes in paths as octal numbers.
        point = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), line.split()[4])
        if point == str(folder) or point.startswith(f"{folder}/"):
            # Of two mounts at one place, the later one covers the earlier one and has to go first.
            points.append((point.count("/"), len(points), point))
    return [point for _, _, point in sorted(points, reverse=True)]


def unmount_below(folder: Path) -> int:
    """Remove every mount at or below a folder.

    Returns
    -------
    int
        How many there were.
    """
    points = mounts_below(folder, MOUNTINFO.read_text(encoding="utf-8"))
    for point in points:
        # Lazily: what is still open inside must not keep the name alive.
        run(["umount", "--lazy", point], hint=f"run `umount --lazy {point}` as root")
    return len(points)
