"""One control group above all pods of a cluster: by it, `down` finds every process in them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from hack.cluster.paths import ClusterPaths
from hack.cluster.steps import StepError, wait_until

TREE = Path("/sys/fs/cgroup")
INHERITED = ("cpuset.cpus", "cpuset.mems")
CPU_SHARES = 1024
"""Of one processor, as the kubelet counts."""


def root(paths: ClusterPaths) -> str:
    """Return the group's path below each hierarchy."""
    return f"/modelrelease-{paths.id}"


def hierarchies(tree: Path = TREE) -> list[Path]:
    """Return the mounted hierarchies: one with cgroup v2, one for each controller with v1."""
    if (tree / "cgroup.controllers").exists():
        return [tree]
    return sorted(path for path in tree.iterdir() if path.is_dir() and not path.is_symlink())


def groups(paths: ClusterPaths, tree: Path = TREE) -> list[Path]:
    """Return the cluster's group in every hierarchy, there or not."""
    return [hierarchy / root(paths).lstrip("/") for hierarchy in hierarchies(tree)]


def weigh(group: Path, processors: int) -> None:
    """Let the pods weigh as much as on any node, where theirs is one of the topmost groups.

    Without it all pods together get as much of a busy machine as one process of its user.
    """
    shares = CPU_SHARES * processors
    # Both are the kubelet's: the second is how it writes shares for cgroup v2.
    for name, weight in (("cpu.shares", shares), ("cpu.weight", 1 + (shares - 2) * 9999 // 262142)):
        if (group / name).exists():
            (group / name).write_text(str(weight), encoding="ascii")


def ensure(paths: ClusterPaths) -> None:
    """Create the group, with the controllers that its parent has."""
    for group in groups(paths):
        controllers = group.parent / "cgroup.controllers"
        if (TREE / "cgroup.controllers").exists():
            available = controllers.read_text(encoding="ascii").split()
            enable = " ".join(f"+{name}" for name in available)
            (group.parent / "cgroup.subtree_control").write_text(enable, encoding="ascii")
            group.mkdir(exist_ok=True)
            (group / "cgroup.subtree_control").write_text(enable, encoding="ascii")
            continue
        group.mkdir(exist_ok=True)
        for name in INHERITED:
            # A new group of the v1 controller has no processors, and takes no process without.
            if (group / name).exists() and not (group / name).read_text(encoding="ascii").strip():
                (group / name).write_text((group.parent / name).read_text(encoding="ascii"))
    for group in groups(paths):
        weigh(group, os.cpu_count() or 1)


def processes(paths: ClusterPaths) -> set[int]:
    """Return the ids of the processes in the pods."""
    found: set[int] = set()
    for group in groups(paths):
        for path in group.rglob("cgroup.procs"):
            # Groups end while they are listed.
            with suppress(OSError):
                found.update(int(word) for word in path.read_text(encoding="ascii").split())
    return found


def end_processes(paths: ClusterPaths) -> None:
    """End every process in the pods."""

    def none_left() -> bool:
        left = processes(paths)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    if not wait_until(none_left, 20.0):
        raise StepError("processes of pods do not end", "see `ps` for processes in state D")


def remove(paths: ClusterPaths) -> None:
    """Remove the empty groups, the deepest first."""
    for group in groups(paths):
        inner = [path for path in group.rglob("*") if path.is_dir()] if group.exists() else []
        for path in [*sorted(inner, key=lambda found: len(found.parts), reverse=True), group]:
            with suppress(FileNotFoundError):
                path.rmdir()
