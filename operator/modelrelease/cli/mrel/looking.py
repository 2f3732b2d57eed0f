"""Read everything that a command needs, at once: kubectl takes its time, and so do the models."""

import concurrent.futures
import datetime
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelrelease.cli.mrel import clock, port

_OPERATOR: Final = "app.kubernetes.io/name=modelrelease-operator"
_AGAIN_SECONDS: Final = 30.0
"""Whoever follows a release is told so soon that the operator is gone."""


class Look:
    """One release and what belongs to it; each part is asked for in a thread of its own.

    Parameters
    ----------
    cluster
        Where.
    name
        The release.
    parts
        Kinds of what belongs to it.
    operator
        Ask for the operator's own Deployment, too.
    """

    def __init__(
        self, cluster: port.Cluster, name: str, parts: Sequence[str] = (), *, operator: bool = False
    ) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=2 + len(parts))
        self._release = self._pool.submit(cluster.get, port.RELEASES, name)
        label = f"modelrelease.dev/release={name}"
        self._parts = {kind: self._pool.submit(cluster.select, [kind], label) for kind in parts}
        self._cluster = cluster
        self._operator = self._pool.submit(self._operators) if operator else None
        self._operators_now: list[port.Object] | None = None
        self._asked = clock.monotonic()

    def release(self) -> port.Object:
        """Return the release."""
        return self._release.result()

    def part(self, kind: str) -> list[port.Object]:
        """Return what belongs to it of a kind."""
        return self._parts[kind].result()

    def allowed(self, kind: str) -> list[port.Object] | None:
        """Return what belongs to it of a kind, or None where that may not be read."""
        try:
            return self.part(kind)
        except port.Failed:
            return None

    def operator_down_seconds(self, now: datetime.datetime) -> float:
        """Return for how long the operator has had no Ready pod; 0 where it has, or where nobody may know.

        It is asked again from time to time, beside whoever follows the release.
        """
        if self._operator is None:
            return 0.0
        if self._operators_now is None:
            self._operators_now = self._operator.result()
        if clock.monotonic() - self._asked > _AGAIN_SECONDS:
            self._asked = clock.monotonic()
            # A thread that Ctrl-C does not wait for.
            threading.Thread(target=self._ask_again, daemon=True).start()
        down = [_down(obj, now) for obj in self._operators_now]
        return min(down, default=0.0)

    def _ask_again(self) -> None:
        self._operators_now = self._operators()

    def _operators(self) -> list[port.Object]:
        try:
            return self._cluster.select([port.DEPLOYMENTS], _OPERATOR, everywhere=True)
        except port.Failed:
            return []


def _down(deployment: Mapping[str, Any], now: datetime.datetime) -> float:
    status = deployment.get("status") or {}
    if status.get("readyReplicas"):
        return 0.0
    conditions = status.get("conditions") or ()
    since = next((c.get("lastTransitionTime") for c in conditions if c.get("type") == "Available"), None)
    since = since or deployment["metadata"].get("creationTimestamp")
    try:
        then = datetime.datetime.fromisoformat(str(since))
    except ValueError:
        return 0.0
    return max(0.0, (now - then).total_seconds())
