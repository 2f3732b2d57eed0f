"""Kubernetes objects that more than one part of the cluster needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def reader(user: str, rules: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a role with the rules, bound to a user."""
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": user},
            "rules": list(rules),
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": user},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        },
    ]


def host_service(
    namespace: str,
    name: str,
    address: str,
    ports: Sequence[tuple[str, str, int, int]],
    cluster_ip: str | None = None,
) -> list[dict[str, Any]]:
    """Return a Service that leads to a process of the machine.

    Parameters
    ----------
    namespace : str
        Where it is.
    name : str
        Its name.
    address : str
        The process's address, which pods can reach.
    ports : Sequence of tuple
        For each port its name, protocol, number in the Service and number of the process.
    cluster_ip : str or None
        The Service's address, if it must be a certain one.

    Returns
    -------
    list of dict
        The Service, without a selector, and its EndpointSlice.
    """
    spec: dict[str, Any] = {
        "ports": [
            {"name": port, "protocol": protocol, "port": outside, "targetPort": inside}
            for port, protocol, outside, inside in ports
        ]
    }
    if cluster_ip is not None:
        spec["clusterIP"] = cluster_ip
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-host",
                "namespace": namespace,
                "labels": {
                    "kubernetes.io/service-name": name,
                    "endpointslice.kubernetes.io/managed-by": "hack-cluster",
                },
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [
                {"name": port, "protocol": protocol, "port": inside} for port, protocol, _, inside in ports
            ],
        },
    ]
