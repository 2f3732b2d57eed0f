"""Prometheus as a process of the machine: it finds pods through the API server and scrapes them."""

from __future__ import annotations

from typing import Any

import yaml

from hack.cluster.api import Api
from hack.cluster.manifests import host_service, reader
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.processes import Daemon, Supervisor
from hack.cluster.registry import responds
from hack.cluster.settings import Settings

NAME = "prometheus"
NAMESPACE = "monitoring"
SERVICE_PORT = 9090
INTERVAL = "2s"
POD = "__meta_kubernetes_pod"
LABELS = {"namespace": "__meta_kubernetes_namespace", "pod": f"{POD}_name", "node": f"{POD}_node_name"}


def url(settings: Settings) -> str:
    """Return its address for programs on the machine."""
    return f"http://127.0.0.1:{settings.port('prometheus')}"


def configuration(paths: ClusterPaths) -> dict[str, Any]:
    """Return Prometheus' configuration.

    Scraped are containers with a port named ``model``, and pods that say so with the usual
    annotations ``prometheus.io/scrape`` and ``prometheus.io/port``.
    """
    discovery = {"role": "pod", "kubeconfig_file": str(paths.pki / "prometheus.kubeconfig")}
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
    read = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
    ports = [("http", "TCP", SERVICE_PORT, settings.port("prometheus"))]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        *reader("cluster:prometheus", read),
        *host_service(NAMESPACE, NAME, settings.node_ip, ports),
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
    write_if_changed(config, yaml.safe_dump(configuration(paths)))
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
