"""The cluster's DNS: CoreDNS as a process of the machine, behind a Service without a selector."""

from __future__ import annotations

from typing import Any

from hack.cluster.api import Api
from hack.cluster.manifests import host_service, reader
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.processes import Daemon, Supervisor
from hack.cluster.registry import responds
from hack.cluster.settings import Settings

NAME = "coredns"


def configuration(paths: ClusterPaths, settings: Settings) -> str:
    """Return CoreDNS' configuration."""
    return f"""\
.:53 {{
    bind {settings.node_ip}
    errors
    ready 127.0.0.1:{settings.port("dns_ready")}
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {paths.pki}/dns.kubeconfig
        fallthrough in-addr.arpa
        ttl 5
    }}
    forward . /etc/resolv.conf
    cache 5
}}
"""


def manifests(settings: Settings) -> list[dict[str, Any]]:
    """Return what the API server must hold for it."""
    read = [
        {"apiGroups": [""], "resources": ["namespaces", "pods", "services"], "verbs": ["list", "watch"]},
        {
            "apiGroups": ["discovery.k8s.io"],
            "resources": ["endpointslices"],
            "verbs": ["list", "watch"],
        },
    ]
    ports = [("dns", "UDP", 53, 53), ("dns-tcp", "TCP", 53, 53)]
    return [
        *reader("cluster:dns", read),
        *host_service("kube-system", "kube-dns", settings.node_ip, ports, settings.dns_ip),
    ]


def ensure(paths: ClusterPaths, settings: Settings) -> str:
    """Run CoreDNS and publish it in the cluster."""
    api = Api(paths)
    for manifest in manifests(settings):
        api.apply(manifest)
    config = paths.config / "Corefile"
    write_if_changed(config, configuration(paths, settings))
    return Supervisor(paths).ensure(
        Daemon(
            NAME,
            [str(paths.binaries / "coredns"), "-conf", str(config)],
            responds(settings.port("dns_ready"), "/ready"),
            configs=(config,),
        )
    )
