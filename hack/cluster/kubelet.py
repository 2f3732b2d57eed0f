"""kubelet and kube-proxy of the cluster's only node, and its simulated GPUs."""

from __future__ import annotations

import http
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import cgroups, containerd
from hack.cluster.api import Api
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.pki import node_name
from hack.cluster.processes import Daemon, Supervisor, command_name, owned_pids, process_ids, shares_network
from hack.cluster.registry import responds
from hack.cluster.settings import Settings
from hack.cluster.steps import StepError, tail, wait_until

KUBELET = "kubelet"
PROXY = "kube-proxy"
GPU = "nvidia.com/gpu"
GPUS = {GPU: "4", "nvidia.com/mig-1g.10gb": "4"}
"""Whole ones, and slices as NVIDIA's device plugin names them: who takes all slices disturbs no other."""
PODS = 200
NODE_SECONDS = 60.0


def kubelet_configuration(paths: ClusterPaths, settings: Settings) -> dict[str, Any]:
    """Return the kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": settings.node_ip,
        "port": settings.port("kubelet"),
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": settings.port("kubelet_health"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(paths.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(paths.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(paths.pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{containerd.socket(paths)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroups.root(paths),
        "enforceNodeAllocatable": [],
        # Nothing here needs the kubelet's own iptables chains, and `down` would have to find them.
        "makeIPTablesUtilChains": False,
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": True,
        "oomScoreAdj": 0,
        "clusterDomain": "cluster.local",
        "clusterDNS": [settings.dns_ip],
        "podLogsDir": str(paths.logs / "pods"),
        "volumePluginDir": str(paths.data / "volume-plugins"),
        "registerNode": True,
        "maxPods": PODS,
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        # The disk is shared with everything else on the machine: with the defaults the kubelet deletes
        # images, and evicts pods, because of space that others use.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "0%",
            "nodefs.inodesFree": "0%",
            "imagefs.available": "0%",
            "imagefs.inodesFree": "0%",
        },
        # A container that is killed on purpose, again and again, comes back at once.
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
    }


def proxy_configuration(paths: ClusterPaths, settings: Settings) -> dict[str, Any]:
    """Return kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node_name(paths),
        "clusterCIDR": settings.pods,
        "clientConnection": {"kubeconfig": str(paths.pki / "proxy.kubeconfig")},
        "healthzBindAddress": f"127.0.0.1:{settings.port('proxy_health')}",
        "metricsBindAddress": f"127.0.0.1:{settings.port('proxy_metrics')}",
        # The connection tracking limits belong to the machine.
        "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        "oomScoreAdj": 0,
    }


def require_alone(paths: ClusterPaths) -> None:
    """Refuse a machine that already is a node: both programs use sockets and tables of fixed names.

    Raises
    ------
    StepError
        If a kubelet or kube-proxy runs that is not this cluster's.
    """
    own = owned_pids(paths.state)
    for pid in process_ids():
        name = command_name(pid)
        if name in (KUBELET, PROXY) and pid not in own and shares_network(pid):
            raise StepError(
                f"process {pid} is a {name} that does not belong to this cluster",
                "take its cluster down first, or use it: set MODELRELEASE_KUBECONFIG",
            )


def ensure_kubelet(paths: ClusterPaths, settings: Settings) -> str:
    """Run the kubelet."""
    cgroups.ensure(paths)
    config = paths.config / "kubelet.yaml"
    write_if_changed(config, yaml.safe_dump(kubelet_configuration(paths, settings)))
    return Supervisor(paths).ensure(
        Daemon(
            KUBELET,
            [
                str(paths.binaries / "kubelet"),
                f"--config={config}",
                f"--kubeconfig={paths.pki / 'kubelet.kubeconfig'}",
                f"--root-dir={paths.data / 'kubelet'}",
                f"--cert-dir={paths.data / 'kubelet-pki'}",
                f"--hostname-override={node_name(paths)}",
                f"--node-ip={settings.node_ip}",
                f"--node-labels={GPU}.present=true",
            ],
            responds(settings.port("kubelet_health"), "/healthz"),
            configs=(config, paths.pki / "kubelet.crt"),
        )
    )


def proxy_config(paths: ClusterPaths) -> Path:
    """Return the configuration of kube-proxy, which is there once this cluster has had one."""
    return paths.config / "kube-proxy.yaml"


def ensure_proxy(paths: ClusterPaths, settings: Settings) -> str:
    """Run kube-proxy."""
    config = proxy_config(paths)
    write_if_changed(config, yaml.safe_dump(proxy_configuration(paths, settings)))
    return Supervisor(paths).ensure(
        Daemon(
            PROXY,
            [str(paths.binaries / "kube-proxy"), f"--config={config}"],
            responds(settings.port("proxy_health"), "/livez"),
            configs=(config,),
        )
    )


def ensure_node(paths: ClusterPaths) -> str:
    """Wait until the node is Ready, and have its simulated GPUs counted."""
    api = Api(paths)
    path = f"/api/v1/nodes/{node_name(paths)}"
    log = Supervisor(paths).log_file(KUBELET)
    # What the node said before the present kubelet started tells nothing.
    since = Supervisor(paths).pid_file(KUBELET).stat().st_mtime
    if _complete(api, path, since):
        return "already Ready"
    if not wait_until(lambda: _ready(api, path, since), NODE_SECONDS, 0.2):
        raise StepError(f"the node is not Ready after {NODE_SECONDS:.0f} s", f"read {log}", tail(log))
    # Only both together count at once: the kubelet takes over a capacity alone after 10 s.
    api.patch_status(path, {"capacity": GPUS, "allocatable": GPUS})
    if not wait_until(lambda: _complete(api, path, since), 10.0):
        raise StepError("the node does not keep its simulated GPUs", "run `up` again", tail(log))
    return ""


def _status(api: Api, path: str) -> dict[str, Any]:
    status, answer = api.request("GET", path)
    found: dict[str, Any] = answer["status"] if status == http.HTTPStatus.OK else {}
    return found


def _ready(api: Api, path: str, since: float) -> bool:
    conditions = _status(api, path).get("conditions", [])
    return any(
        entry["type"] == "Ready"
        and entry["status"] == "True"
        and datetime.fromisoformat(entry["lastHeartbeatTime"]).timestamp() >= int(since)
        for entry in conditions
    )


def _complete(api: Api, path: str, since: float) -> bool:
    status = _status(api, path)
    counted = all(GPUS.items() <= status.get(kind, {}).items() for kind in ("capacity", "allocatable"))
    return counted and _ready(api, path, since)
