"""etcd, API server, controller-manager and scheduler."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Sequence

import yaml

from hack.cluster.api import Api
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.processes import Daemon, Supervisor
from hack.cluster.registry import responds
from hack.cluster.settings import Settings

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    # Requests are counted from this log: one line for each, when it is answered.
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/livez*", "/readyz*", "/healthz*"]},
        {"level": "Metadata"},
    ],
}


def _secure(paths: ClusterPaths, port: int, path: str) -> Callable[[], bool]:
    """Return a check that an HTTPS address, with a certificate of the cluster, answers 200."""
    context = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))

    def check() -> bool:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=2, context=context)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return check


def etcd(paths: ClusterPaths, settings: Settings) -> Daemon:
    """Describe etcd, on loopback only."""
    client = f"http://127.0.0.1:{settings.port('etcd')}"
    peer = f"http://127.0.0.1:{settings.port('etcd_peer')}"
    return Daemon(
        "etcd",
        [
            str(paths.binaries / "etcd"),
            f"--data-dir={paths.data / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
            # The data is for tests: a crash of the machine may lose it, a crash of etcd does not.
            "--unsafe-no-fsync",
        ],
        responds(settings.port("etcd"), "/health"),
    )


def api_server(paths: ClusterPaths, settings: Settings) -> Daemon:
    """Describe the API server; without a node it listens on loopback only."""
    pki = paths.pki
    policy = paths.config / "audit-policy.yaml"
    write_if_changed(policy, yaml.safe_dump(AUDIT_POLICY))
    if paths.control_plane:
        # A loopback address is refused in the Endpoints of the Service `kubernetes`.
        reach = ["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none"]
    else:
        # Pods reach it at the node's address, people on loopback; network.py closes the other ways.
        reach = ["--bind-address=0.0.0.0", f"--advertise-address={settings.node_ip}"]
    return Daemon(
        "kube-apiserver",
        [
            str(paths.binaries / "kube-apiserver"),
            *reach,
            f"--secure-port={settings.port('api')}",
            f"--etcd-servers=http://127.0.0.1:{settings.port('etcd')}",
            f"--service-cluster-ip-range={settings.services}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--token-auth-file={pki / 'tokens.csv'}",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki / 'service-accounts.key'}",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={paths.audit_log}",
            "--audit-log-format=json",
            "--audit-log-maxsize=1000",
            "--audit-log-maxbackup=2",
            "--allow-privileged=true",
        ],
        Api(paths).ready,
        configs=(policy, pki / "apiserver.crt", pki / "tokens.csv"),
        ready_seconds=60.0,
    )


def controller_manager(paths: ClusterPaths, settings: Settings) -> Daemon:
    """Describe the controller-manager."""
    pki, port = paths.pki, settings.port("controller_manager")
    return Daemon(
        "kube-controller-manager",
        [
            str(paths.binaries / "kube-controller-manager"),
            *_serving(paths, port),
            f"--kubeconfig={pki / 'controller-manager.kubeconfig'}",
            "--controllers=*,-nodeipam,-cloud-node-lifecycle",
            "--use-service-account-credentials=true",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        ],
        _secure(paths, port, "/healthz"),
    )


def scheduler(paths: ClusterPaths, settings: Settings) -> Daemon:
    """Describe the scheduler."""
    port = settings.port("scheduler")
    return Daemon(
        "kube-scheduler",
        [
            str(paths.binaries / "kube-scheduler"),
            *_serving(paths, port),
            f"--kubeconfig={paths.pki / 'scheduler.kubeconfig'}",
        ],
        _secure(paths, port, "/healthz"),
    )


def _serving(paths: ClusterPaths, port: int) -> Sequence[str]:
    return (
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={paths.pki / 'apiserver.crt'}",
        f"--tls-private-key-file={paths.pki / 'apiserver.key'}",
        # One copy of each: an election would only add seconds to every start.
        "--leader-elect=false",
    )


def ensure(paths: ClusterPaths, settings: Settings, describe: Callable[..., Daemon]) -> str:
    """Run one of the components."""
    return Supervisor(paths).ensure(describe(paths, settings))
