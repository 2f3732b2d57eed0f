"""What an Argo CD has to find in its namespace before it starts."""

from __future__ import annotations

from typing import Any

from hack.argocd import fragment
from hack.argocd.places import NAMESPACE

PART_OF = {"app.kubernetes.io/part-of": "argocd"}
OURS = {"app.kubernetes.io/managed-by": "modelrelease-hack"}
EMPTY_CONFIG_MAPS = (
    "argocd-cmd-params-cm",
    "argocd-gpg-keys-cm",
    "argocd-rbac-cm",
    "argocd-ssh-known-hosts-cm",
    "argocd-tls-certs-cm",
)


def _made(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": PART_OF | OURS}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata} | fields


def namespace() -> dict[str, Any]:
    """Return the namespace of this Argo CD alone."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": OURS}}


def configuration() -> list[dict[str, Any]]:
    """Return the ConfigMaps and the Secret; ``argocd-cm`` is what users are told to have, and no more."""
    return [
        _made("ConfigMap", "argocd-cm", data=fragment.data()),
        *(_made("ConfigMap", name) for name in EMPTY_CONFIG_MAPS),
        # Argo CD makes the keys in it by itself.
        _made("Secret", "argocd-secret", type="Opaque"),
    ]


def project(name: str = "default") -> dict[str, Any]:
    """Return a project that may deploy anything to this cluster."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    }
