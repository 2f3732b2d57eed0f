"""Start daemons that outlive the tool, and later end exactly those and nothing else.

A process id alone proves nothing, because ids are used again. The pid file therefore also holds the
start time from ``/proc/PID/stat`` and the machine's boot id. Between the start and the writing of that
file the tool can be killed: each daemon also carries its cluster's state folder in its environment, so
that such an orphan is found.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.steps import StepError, tail

OWNER = "MODELRELEASE_OWNER"
PROC = Path("/proc")
TERM_SECONDS = 10.0
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Daemon:
    """A program to keep running.

    Parameters
    ----------
    name : str
        The name of its pid file and log.
    argv : Sequence of str
        The program and its arguments.
    ready : Callable
        Returns True once it serves.
    env : Mapping
        Variables to set in addition to the present ones.
    configs : Sequence of Path
        Files that it reads only at its start: when one changes, it is started again.
    ready_seconds : float
        How long it may take until it serves.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    configs: Sequence[Path] = ()
    ready_seconds: float = 30.0

    def fingerprint(self) -> str:
        """Name what the daemon was started with."""
        digest = hashlib.sha256(json.dumps([list(self.argv), dict(self.env)]).encode())
        for path in self.configs:
            digest.update(path.read_bytes())
        return digest.hexdigest()


def boot_id() -> str:
    """Return what distinguishes this run of the kernel from others."""
    return (PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_time(pid: int, proc: Path = PROC) -> int | None:
    """Return when a process started, in clock ticks after boot; None if it has ended.

    A zombie has ended: only its parent has not noticed.
    """
    try:
        stat = (proc / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, and may hold any character.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def command_name(pid: int, proc: Path = PROC) -> str:
    """Return the short name of a process's program, or nothing if it has ended."""
    try:
        return (proc / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def shares_network(pid: int, proc: Path = PROC) -> bool:
    """Tell whether a process has this one's network; the nodes of kind, which are containers, have not."""
    try:
        return (proc / str(pid) / "ns" / "net").readlink() == (proc / "self" / "ns" / "net").readlink()
    except OSError:
        return False


@dataclass(frozen=True)
class Identity:
    """Which process a pid file means."""

    pid: int
    start_time: int
    boot_id: str
    fingerprint: str = ""

    def alive(self) -> bool:
        """Tell whether that very process still runs."""
        return self.boot_id == boot_id() and start_time(self.pid) == self.start_time


def read_identity(path: Path) -> Identity | None:
    """Read a pid file; a missing or damaged one gives None."""
    try:
        return Identity(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def end(identity: Identity, term_seconds: float = TERM_SECONDS) -> None:
    """End a process: ask, wait, then force. Does nothing if it is gone or the id is another's."""
    try:
        handle = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    try:
        # Checked after the handle was opened: from here on it cannot mean another process.
        if not identity.alive():
            return
        for number, seconds in ((signal.SIGTERM, term_seconds), (signal.SIGKILL, KILL_SECONDS)):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], seconds)[0]:
                return
    finally:
        os.close(handle)


def process_ids(proc: Path = PROC) -> list[int]:
    """Return the ids of all other processes that have not ended."""
    every = [int(entry.name) for entry in proc.iterdir() if entry.name.isdigit()]
    return [pid for pid in every if pid != os.getpid() and start_time(pid, proc) is not None]


def owned_pids(state: Path, proc: Path = PROC) -> list[int]:
    """Find the processes whose environment says that they belong to a cluster."""
    mark = f"{OWNER}={state}".encode()
    found = []
    for pid in process_ids(proc):
        with suppress(OSError):
            if mark in (proc / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


class Supervisor:
    """Start and end the daemons of one cluster."""

    def __init__(self, paths: ClusterPaths) -> None:
        self._paths = paths

    def pid_file(self, name: str) -> Path:
        """Return the pid file of a daemon."""
        return self._paths.pids / f"{name}.json"

    def log_file(self, name: str) -> Path:
        """Return the log of a daemon."""
        return self._paths.logs / f"{name}.log"

    def alive(self, name: str) -> bool:
        """Tell whether a daemon that this tool started still runs."""
        identity = read_identity(self.pid_file(name))
        return identity is not None and identity.alive()

    def names(self) -> list[str]:
        """Return the daemons that were started and not stopped, running or not."""
        return sorted(path.stem for path in self._paths.pids.glob("*.json"))

    def status(self) -> dict[str, bool]:
        """Return whether each of them runs."""
        return {name: self.alive(name) for name in self.names()}

    def ensure(self, daemon: Daemon) -> str:
        """Start a daemon unless it runs with the same arguments, and wait until it serves.

        Returns
        -------
        str
            A note when there was nothing to do.

        Raises
        ------
        StepError
            If it ends, or does not serve in time.
        """
        identity = read_identity(self.pid_file(daemon.name))
        fresh = False
        if identity is None or not identity.alive() or identity.fingerprint != daemon.fingerprint():
            self.stop(daemon.name)
            identity = self._start(daemon)
            fresh = True
        self._await(daemon, identity)
        return "" if fresh else "already running"

    def stop(self, name: str, term_seconds: float = TERM_SECONDS) -> None:
        """End a daemon and forget it."""
        identity = read_identity(self.pid_file(name))
        if identity is not None:
            end(identity, term_seconds)
        self.pid_file(name).unlink(missing_ok=True)

    def end_orphans(self, spare: str = "") -> int:
        """End processes of this cluster that no pid file knows, because a start was interrupted.

        Parameters
        ----------
        spare : str
            Leave processes alone whose name starts with this; empty to leave none.

        Returns
        -------
        int
            How many were ended.
        """
        known = {getattr(read_identity(self.pid_file(name)), "pid", None) for name in self.names()}
        ended = 0
        for pid in owned_pids(self._paths.state):
            started = start_time(pid)
            if pid in known or started is None or (spare and command_name(pid).startswith(spare)):
                continue
            end(Identity(pid, started, boot_id()))
            ended += 1
        return ended

    def _start(self, daemon: Daemon) -> Identity:
        log = self.log_file(daemon.name)
        environment = {**os.environ, **daemon.env, OWNER: str(self._paths.state)}
        with log.open("ab") as output:
            process = subprocess.Popen(
                list(daemon.argv),
                cwd=self._paths.state,
                env=environment,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started = start_time(process.pid)
        identity = Identity(process.pid, started or 0, boot_id(), daemon.fingerprint())
        write_if_changed(self.pid_file(daemon.name), json.dumps(vars(identity)))
        return identity

    def _await(self, daemon: Daemon, identity: Identity) -> None:
        log = self.log_file(daemon.name)
        deadline = time.monotonic() + daemon.ready_seconds
        while not daemon.ready():
            if not identity.alive():
                raise StepError(
                    f"{daemon.name} ended at its start", f"read {log}, then run `up` again", tail(log)
                )
            if time.monotonic() >= deadline:
                raise StepError(
                    f"{daemon.name} does not serve after {daemon.ready_seconds:.0f} s",
                    f"read {log}; `down` and `up` start it afresh",
                    tail(log),
                )
            time.sleep(0.1)
