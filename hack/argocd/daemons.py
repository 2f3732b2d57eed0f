"""Argo CD's components as processes of the machine, on loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable

from hack.argocd.places import NAMESPACE, Places
from hack.cluster.processes import Daemon
from hack.cluster.registry import responds

RESYNC_SECONDS = 10
SELF_HEAL_SECONDS = 1
START_SECONDS = 90.0
NAMES = ("redis", "repo-server", "server", "application-controller")
"""In the order of their start."""


def environment(places: Places) -> dict[str, str]:
    """Return the variables that all of them share."""
    folder = places.data
    return {
        "KUBECONFIG": str(places.target),
        # The cluster that an Application calls https://kubernetes.default.svc is the kubeconfig's.
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "ARGOCD_TLS_DATA_PATH": str(folder / "tls"),
        "ARGOCD_SSH_DATA_PATH": str(folder / "ssh"),
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_GNUPGHOME": str(folder / "gpg"),
        "ARGOCD_PLUGINSOCKFILEPATH": str(folder / "plugins"),
        "ARGOCD_ASK_PASS_SOCK": str(places.state / "ask-pass.sock"),
        "ARGOCD_RECONCILIATION_JITTER": "0s",
        "TMPDIR": str(places.temporary),
    }


def daemons(places: Places) -> dict[str, Daemon]:
    """Return the components by name."""
    ports, env = places.ports, environment(places)
    redis, repo = f"127.0.0.1:{ports['redis']}", f"127.0.0.1:{ports['repo']}"

    def argocd(component: str, health_port: str, *arguments: str) -> Daemon:
        program = f"argocd-{component}"
        return Daemon(
            component,
            [str(places.binaries / program), f"--redis={redis}", "--logformat=text", *arguments],
            responds(ports[health_port], "/healthz"),
            env=env,
            configs=(places.target,),
            ready_seconds=START_SECONDS,
        )

    clients = (f"--repo-server={repo}", f"--namespace={NAMESPACE}")
    made = [
        Daemon(
            "redis",
            [
                "redis-server",
                *("--bind", "127.0.0.1", "--port", str(ports["redis"])),
                *("--save", "", "--appendonly", "no", "--dir", str(places.data)),
            ],
            listens(ports["redis"]),
        ),
        argocd(
            "repo-server",
            "repo_metrics",
            *("--address=127.0.0.1", f"--port={ports['repo']}"),
            *("--metrics-address=127.0.0.1", f"--metrics-port={ports['repo_metrics']}"),
            # A commit is seen at the next look, even where two of them come so fast that a refresh is lost.
            "--revision-cache-expiration=1s",
        ),
        argocd(
            "server",
            "server",
            *clients,
            *("--address=127.0.0.1", f"--port={ports['server']}", "--insecure", "--disable-auth"),
            f"--metrics-port={ports['server_metrics']}",
        ),
        argocd(
            "application-controller",
            "controller_metrics",
            *clients,
            # Argo CD gives its controller's metrics no address to choose: this one listens on all.
            f"--metrics-port={ports['controller_metrics']}",
            f"--app-resync={RESYNC_SECONDS}",
            f"--self-heal-timeout-seconds={SELF_HEAL_SECONDS}",
        ),
    ]
    return {daemon.name: daemon for daemon in made}


def listens(port: int) -> Callable[[], bool]:
    """Return a check that something takes connections on a port of loopback."""

    def check() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return check
