"""kwok with a node that does not exist: pods on it become Ready at once, for the integration tests."""

from __future__ import annotations

import http
from pathlib import Path
from typing import Any

from hack.cluster.api import Api
from hack.cluster.paths import ClusterPaths
from hack.cluster.processes import Daemon, Supervisor
from hack.cluster.registry import responds
from hack.cluster.settings import Settings
from hack.cluster.steps import StepError, wait_until

NODE = "kwok-node-0"
STAGES = Path(__file__).parent / "kwok-stages.yaml"
# Addresses for benchmarks (RFC 2544): simulated pods have one, but nobody answers there.
ADDRESSES = "198.18.0.1/15"
CAPACITY = {"cpu": "1000", "memory": "4Ti", "pods": "10000", "nvidia.com/gpu": "64"}


def node() -> dict[str, Any]:
    """Return the manifest of the simulated node."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
                "type": "kwok",
            },
            "annotations": {"kwok.x-k8s.io/node": "fake"},
        },
    }


def ensure(paths: ClusterPaths, settings: Settings) -> str:
    """Run kwok."""
    port = settings.port("kwok")
    return Supervisor(paths).ensure(
        Daemon(
            "kwok",
            [
                str(paths.binaries / "kwok"),
                f"--kubeconfig={paths.pki / 'kwok.kubeconfig'}",
                f"--config={STAGES}",
                "--manage-all-nodes=true",
                f"--cidr={ADDRESSES}",
                "--node-lease-duration-seconds=40",
                f"--server-address=127.0.0.1:{port}",
            ],
            responds(port, "/healthz"),
            configs=(STAGES,),
        )
    )


def ensure_node(paths: ClusterPaths) -> str:
    """Have the simulated node, with its capacity, Ready."""
    api = Api(paths)
    path = f"/api/v1/nodes/{NODE}"
    if _ready(api, path):
        return "already Ready"
    api.apply(node())
    api.patch_status(path, {"capacity": CAPACITY, "allocatable": CAPACITY})
    if not wait_until(lambda: _ready(api, path), 30):
        raise StepError("the simulated node does not become Ready", "read kwok.log in the state's logs")
    return ""


def _ready(api: Api, path: str) -> bool:
    status, answer = api.request("GET", path)
    if status != http.HTTPStatus.OK:
        return False
    ready = any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in answer["status"].get("conditions", [])
    )
    return ready and all(key in answer["status"].get("allocatable", {}) for key in CAPACITY)
