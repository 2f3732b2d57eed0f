"""Where an Argo CD keeps its state, and on which ports it listens."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path

from hack.cluster.paths import ClusterPaths, given_kubeconfig, write_if_changed

NAMESPACE = "modelrelease-argocd"
PORT_NAMES = ("redis", "repo", "repo_metrics", "server", "server_metrics", "controller_metrics")


class Places(ClusterPaths):
    """The files of the Argo CD that stands beside one cluster.

    Parameters
    ----------
    cluster : ClusterPaths
        The cluster that it deploys to.
    """

    def __init__(self, cluster: ClusterPaths) -> None:
        super().__init__(f"{cluster.id}-argocd")
        self.target = given_kubeconfig() or cluster.kubeconfig
        self.repositories = self.data / "git"
        self.temporary = self.state / "tmp"

    @property
    def _ports(self) -> Path:
        return self.config / "ports.json"

    @property
    def ports(self) -> dict[str, int]:
        """The ports, by what listens there; chosen anew by every `up` after a `down`."""
        if not self._ports.exists():
            write_if_changed(self._ports, json.dumps(dict(zip(PORT_NAMES, free_ports(), strict=True))))
        found: dict[str, int] = json.loads(self._ports.read_text(encoding="utf-8"))
        return found

    @property
    def server(self) -> str:
        """The address of Argo CD's API."""
        return f"127.0.0.1:{self.ports['server']}"

    def make(self) -> None:
        """Create the folders."""
        super().make()
        self.temporary.mkdir(exist_ok=True)


def free_ports() -> list[int]:
    """Return as many free ports as are needed, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in PORT_NAMES]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
