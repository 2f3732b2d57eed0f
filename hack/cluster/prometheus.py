"""Prometheus, a process of the machine or a pod: it finds pods through the API server and scrapes them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml

from hack.cluster import binaries
from hack.cluster.api import Api
from hack.cluster.manifests import host_service, reader
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.processes import Daemon, Supervisor
from hack.cluster.registry import responds
from hack.cluster.settings import Settings

NAME = "prometheus"
NAMESPACE = "monitoring"
SERVICE_PORT = 9090
# Where a node of kind has it; kind leads the machine's port there.
NODE_PORT = 30990
INTERVAL = "2s"
POD = "__meta_kubernetes_pod"
LABELS = {"namespace": "__meta_kubernetes_namespace", "pod": f"{POD}_name", "node": f"{POD}_node_name"}


def url(settings: Settings) -> str:
    """Return its address for programs on the machine."""
    return f"http://127.0.0.1:{settings.port('prometheus')}"


def configuration(kubeconfig: Path | None = None) -> dict[str, Any]:
    """Return Prometheus' configuration.

    Scraped are containers with a port named ``model``, and pods that say so with the usual
    annotations ``prometheus.io/scrape`` and ``prometheus.io/port``.

    Parameters
    ----------
    kubeconfig : Path or None
        How it reaches the API server; None for a pod, which has its service account.
    """
    discovery = {"role": "pod", **({"kubeconfig_file": str(kubeconfig)} if kubeconfig else {})}
    # Pods that have ended keep their addresses, which may be another pod's by then.
    running = {"source_labels": [f"{POD}_phase"], "regex": "Succeeded|Failed", "action": "drop"}
    labels = [{"source_labels": [source], "target_label": label} for label, source in LABELS.items()]
    container = {"source_labels": [f"{POD}_container_name"], "target_label": "container"}
    annotation = f"{POD}_annotation_prometheus_io"
    number = f"{POD}_container_port_number"
    by_port = [
        {"source_labels": [f"{POD}_container_port_name"], "regex": "model", "action": "keep"},
        running,
        *labels,
        container,
    ]
    by_annotation = [
        {"source_labels": [f"{annotation}_scrape"], "regex": "true", "action": "keep"},
        # Such a port is the other job's.
        {"source_labels": [f"{POD}_container_port_name"], "regex": "model", "action": "drop"},
        # Discovery gives one target for each declared port: keep the one that the annotation names,
        # or, where a pod declares none, the pod itself.
        {"source_labels": [number], "target_label": "__tmp_port"},
        {
            "source_labels": [number, f"{annotation}_port"],
            "regex": ";(.+)",
            "target_label": "__tmp_port",
        },
        {"source_labels": [f"{annotation}_port"], "target_label": "__tmp_port", "action": "keepequal"},
        {
            "source_labels": [f"{POD}_ip", f"{annotation}_port"],
            "separator": ":",
            "target_label": "__address__",
        },
        {
            "source_labels": [f"{annotation}_path"],
            "regex": "(.+)",
            "target_label": "__metrics_path__",
        },
        running,
        *labels,
        container,
    ]
    return {
        "global": {"scrape_interval": INTERVAL, "scrape_timeout": "1s", "evaluation_interval": INTERVAL},
        "scrape_configs": [
            {
                "job_name": job,
                # Small servers forget to say which format they speak.
                "fallback_scrape_protocol": "PrometheusText0.0.4",
                # What the operator says of a release names the release's namespace, not the operator's.
                "honor_labels": job == "pods",
                "kubernetes_sd_configs": [discovery],
                "relabel_configs": relabel,
            }
            for job, relabel in (("models", by_port), ("pods", by_annotation))
        ],
    }


def manifests(settings: Settings) -> list[dict[str, Any]]:
    """Return what the API server must hold for it."""
    ports = [("http", "TCP", SERVICE_PORT, settings.port("prometheus"))]
    return [
        *_reading("cluster:prometheus"),
        *host_service(NAMESPACE, NAME, settings.node_ip, ports),
    ]


def _reading(user: str) -> list[dict[str, Any]]:
    read = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return [namespace, *reader(user, read)]


def image() -> str:
    """Return the public image of the version that is pinned: the module's v0.315.0 is the release v3.15.0."""
    _, minor, patch = binaries.PROMETHEUS.version().split(".")
    return f"prom/prometheus:v{int(minor) // 100}.{int(minor) % 100}.{patch}"


def in_cluster() -> list[dict[str, Any]]:
    """Return what makes it a pod, at the address that it has as a process; a stop leaves its data."""
    text = yaml.safe_dump(configuration())
    labels, of_namespace = {"app": NAME}, {"name": NAME, "namespace": NAMESPACE}
    container = {
        "name": NAME,
        "image": image(),
        "args": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=12h",
            "--log.level=warn",
        ],
        "ports": [{"name": "http", "containerPort": SERVICE_PORT}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": "http"}, "periodSeconds": 2},
        # The folder of its data is the node's, and root's.
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/prometheus"},
            {"name": "data", "mountPath": "/prometheus"},
        ],
    }
    data = {"path": "/var/lib/modelrelease-prometheus", "type": "DirectoryOrCreate"}
    pod = {
        "serviceAccountName": NAME,
        "terminationGracePeriodSeconds": 10,
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": NAME}}, {"name": "data", "hostPath": data}],
    }
    # Another configuration is another pod.
    annotations = {"hack.cluster/configuration": hashlib.sha256(text.encode()).hexdigest()[:16]}
    return [
        *_reading(f"system:serviceaccount:{NAMESPACE}:{NAME}"),
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": of_namespace},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": of_namespace,
            "data": {"prometheus.yml": text},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": of_namespace,
            "spec": {
                "replicas": 1,
                "strategy": {"type": "Recreate"},
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": of_namespace,
            "spec": {
                "type": "NodePort",
                "selector": labels,
                "ports": [
                    {"name": "http", "port": SERVICE_PORT, "targetPort": "http", "nodePort": NODE_PORT}
                ],
            },
        },
    ]


def ensure(paths: ClusterPaths, settings: Settings) -> str:
    """Run Prometheus and publish it in the cluster."""
    api = Api(paths)
    for manifest in manifests(settings):
        api.apply(manifest)
    return start(paths, settings)


def start(paths: ClusterPaths, settings: Settings) -> str:
    """Run Prometheus."""
    port = settings.port("prometheus")
    config = paths.config / "prometheus.yml"
    write_if_changed(config, yaml.safe_dump(configuration(paths.pki / "prometheus.kubeconfig")))
    return Supervisor(paths).ensure(
        Daemon(
            NAME,
            [
                str(paths.binaries / "prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={paths.data / 'prometheus'}",
                "--storage.tsdb.retention.time=12h",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--web.listen-address={settings.node_ip}:{port}",
                "--log.level=warn",
            ],
            responds(port, "/-/ready"),
            configs=(config,),
        )
    )


def stop(paths: ClusterPaths) -> None:
    """End Prometheus; its data stay."""
    Supervisor(paths).stop(NAME)
