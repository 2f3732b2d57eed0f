"""The operator as a process of its own: ``python -m modelrelease``, and what it takes of the machine."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
KIBIBYTE = 1024
PAUSE_SECONDS = 1.0
STILL_SAMPLES = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """What a process takes, in bytes and in seconds of one core."""

    resident: int
    """RSS: what the target counts, with the pages of the interpreter and its libraries."""
    private: int
    """The anonymous part of it: objects and buffers."""
    peak: int
    cpu_seconds: float


class Operator:
    """``python -m modelrelease`` for one namespace, as the deployment runs it.

    Parameters
    ----------
    kubeconfig
        Of its service account.
    namespace
        The one it serves.
    log
        Where its log goes.
    """

    def __init__(self, kubeconfig: Path, namespace: str, log: Path) -> None:
        self._log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port: int = probe.getsockname()[1]
        self._environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "MODELRELEASE_CHECKS_IMAGE": "checks:benchmark",
            "MODELRELEASE_NAMESPACES": namespace,
            "MODELRELEASE_HEALTH_HOST": "127.0.0.1",
            "MODELRELEASE_HEALTH_PORT": str(self._port),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until its caches are filled.

        Raises
        ------
        RuntimeError
            It ended, or is not ready in time; the message holds the end of its log.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "modelrelease"], env=self._environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self.answer("/readyz").startswith("ok"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the operator is not ready: {self.said()[-2000:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it as the kubelet does."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self) -> None:
        """End it and start it anew."""
        self.stop()
        self.start()

    def answer(self, path: str) -> str:
        """Return what its HTTP server says; nothing while it does not."""
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer,
        ):
            return str(answer.read().decode())
        return ""

    def said(self) -> str:
        """Return its log."""
        return self._log.read_text(encoding="utf-8")

    def usage(self) -> Usage:
        """Return what it takes now."""
        assert self._process is not None
        folder = Path("/proc") / str(self._process.pid)
        said = dict(
            line.split(":", 1) for line in (folder / "status").read_text(encoding="utf-8").splitlines()
        )
        ticks = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]

        def of(key: str) -> int:
            return int(said[key].split()[0]) * KIBIBYTE

        return Usage(
            resident=of("VmRSS"),
            private=of("RssAnon"),
            peak=of("VmHWM"),
            cpu_seconds=sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"),
        )

    def settled(self, seconds: float) -> Usage:
        """Return what it takes once its RSS stands still within a percent, or the time is over."""
        deadline = time.monotonic() + seconds
        seen = [self.usage()]
        while time.monotonic() < deadline:
            time.sleep(PAUSE_SECONDS)
            seen.append(self.usage())
            last = [usage.resident for usage in seen[-STILL_SAMPLES:]]
            if len(last) == STILL_SAMPLES and max(last) - min(last) < 0.01 * max(last):
                break
        return seen[-1]
