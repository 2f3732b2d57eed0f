"""Clusters that others make: kind, for who runs a container engine but is not root."""

from __future__ import annotations

import shutil

import yaml

from hack.cluster.commands import run, succeeds
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.registry import responds
from hack.cluster.steps import Step, StepError, run_steps, wait_until

REGISTRY_IMAGE = "registry:2"
REGISTRY_PORT = 5050
HINT = "see `docker info` and `kind get clusters`"


def engine() -> bool:
    """Tell whether a container engine runs."""
    return shutil.which("docker") is not None and succeeds(["docker", "info"])


def _registry(paths: ClusterPaths) -> str:
    return f"{paths.id}-registry"


def is_kind(paths: ClusterPaths) -> bool:
    """Tell whether this tool made the cluster with kind."""
    return (paths.config / "kind.yaml").exists()


def kind_up(paths: ClusterPaths) -> None:
    """Make a cluster with kind and a local registry, after kind's own pattern."""
    if shutil.which("kind") is None:
        raise StepError(
            "a container engine runs, but kind is not installed",
            "install kind, or set MODELRELEASE_KUBECONFIG to use a cluster that you have",
        )
    run_steps(
        [
            Step("image registry", lambda: _kind_registry(paths)),
            Step("kind cluster", lambda: _kind_cluster(paths)),
        ]
    )


def _kind_registry(paths: ClusterPaths) -> str:
    name = _registry(paths)
    if succeeds(["docker", "inspect", name]):
        run(["docker", "start", name], hint=HINT)
    else:
        publish = f"127.0.0.1:{REGISTRY_PORT}:5000"
        run(
            ["docker", "run", "-d", "--restart=no", "-p", publish, "--name", name, REGISTRY_IMAGE],
            hint=f"see `docker logs {name}`; is port {REGISTRY_PORT} free?",
            timeout=600,
        )
    if not wait_until(responds(REGISTRY_PORT, "/v2/"), 30):
        raise StepError("the registry does not answer", f"see `docker logs {name}`")
    return ""


def _kind_cluster(paths: ClusterPaths) -> str:
    paths.make()
    patch = '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n'
    config = paths.config / "kind.yaml"
    write_if_changed(
        config,
        yaml.safe_dump(
            {
                "kind": "Cluster",
                "apiVersion": "kind.x-k8s.io/v1alpha4",
                "containerdConfigPatches": [patch],
            }
        ),
    )
    if paths.id in run(["kind", "get", "clusters"], hint=HINT).split():
        note = "present"
    else:
        make = ["kind", "create", "cluster", "--name", paths.id, "--wait", "300s"]
        run([*make, "--config", config, "--kubeconfig", paths.kubeconfig], hint=HINT, timeout=1200)
        note = ""
    folder = f"/etc/containerd/certs.d/127.0.0.1:{REGISTRY_PORT}"
    for node in run(["kind", "get", "nodes", "--name", paths.id], hint=HINT).split():
        run(["docker", "exec", node, "mkdir", "-p", folder], hint=HINT)
        run(
            ["docker", "exec", "-i", node, "cp", "/dev/stdin", f"{folder}/hosts.toml"],
            hint=HINT,
            stdin=f'[host."http://{_registry(paths)}:5000"]\n',
        )
    networks = run(
        ["docker", "inspect", "-f", "{{json .NetworkSettings.Networks.kind}}", _registry(paths)], hint=HINT
    )
    if networks.strip() == "null":
        run(["docker", "network", "connect", "kind", _registry(paths)], hint=HINT)
    return note


def kind_down(paths: ClusterPaths) -> None:
    """Remove the cluster that kind made, and its registry."""
    run(["kind", "delete", "cluster", "--name", paths.id], hint=HINT, timeout=300)
    run(["docker", "rm", "-f", _registry(paths)], hint=HINT)
