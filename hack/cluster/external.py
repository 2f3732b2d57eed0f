"""A cluster that kind makes, for who runs Docker but is not root: the same parts at the same addresses."""

from __future__ import annotations

import json
import shutil

import yaml

from hack.cluster import kubelet, prometheus
from hack.cluster.commands import run, succeeds
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.registry import responds
from hack.cluster.settings import Settings, choose
from hack.cluster.steps import Step, StepError, wait_until

REGISTRY_IMAGE = "registry:2"
CERTIFICATES = "/etc/containerd/certs.d"
NETWORK = "kind"
READY_SECONDS = 300.0
HINT = "see `docker info` and `kind get clusters`"


def engine() -> bool:
    """Tell whether a container engine runs."""
    return shutil.which("docker") is not None and succeeds(["docker", "info"])


def is_kind(paths: ClusterPaths) -> bool:
    """Tell whether this tool made the cluster with kind."""
    return (paths.config / "kind.yaml").exists()


def configuration(settings: Settings) -> str:
    """Return what kind is to make."""
    patch = f'[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{CERTIFICATES}"\n'
    mapping = {
        "containerPort": prometheus.NODE_PORT,
        "hostPort": settings.port("prometheus"),
        "listenAddress": "127.0.0.1",
    }
    return yaml.safe_dump(
        {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            # Nodes with containerd 2 look there without being told, and read this section all the same.
            "containerdConfigPatches": [patch],
            "nodes": [{"role": "control-plane", "extraPortMappings": [mapping]}],
        }
    )


class Kind:
    """The steps that bring a cluster of kind up, and those that take it down.

    Parameters
    ----------
    paths : ClusterPaths
        The cluster.
    """

    def __init__(self, paths: ClusterPaths) -> None:
        self.paths = paths
        self._registry = f"{paths.id}-registry"
        # As kind calls the node of a cluster that has one.
        self._node = f"{paths.id}-control-plane"
        # The node's own kubectl is as old as its API server.
        kubectl = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
        self._inside = ["docker", "exec", "-i", self._node, *kubectl]
        # There while the network of kind's clusters is one that this cluster brought.
        self._own_network = paths.config / "kind-network"

    @property
    def _settings(self) -> Settings:
        return choose(self.paths)

    def up(self) -> list[Step]:
        """Return the steps that make the cluster, or repair it."""
        return [
            Step("container engine and kind", self._programs),
            Step("image registry", self._ensure_registry),
            Step("kind cluster", self._ensure_cluster),
            Step("registry of the node", self._connect),
            Step("node Ready", self._ensure_node),
            Step("Prometheus", self.start_prometheus),
        ]

    def down(self) -> list[Step]:
        """Return the steps that remove the cluster and its registry."""
        return [
            Step("kind cluster", self._remove_cluster),
            Step("image registry", self._remove_registry),
            Step("state", self._remove_state),
        ]

    def status(self) -> dict[str, bool]:
        """Tell of each part whether it runs."""
        return {
            "registry": self._running(self._registry),
            "kind node": self._running(self._node),
            "prometheus": responds(self._settings.port("prometheus"), "/-/ready")(),
        }

    def start_prometheus(self) -> str:
        """Run Prometheus as a pod, at the address that it has on every cluster of this tool."""
        port = self._settings.port("prometheus")
        objects = {"apiVersion": "v1", "kind": "List", "items": prometheus.in_cluster()}
        apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=hack-cluster")
        # What kubectl validates by itself it downloads first: on a busy machine that was seen to time out.
        self._kubectl(*apply, "--validate=false", "--filename=-", stdin=json.dumps(objects))
        wait = ("rollout", "status", f"deployment/{prometheus.NAME}", f"--timeout={READY_SECONDS:.0f}s")
        self._kubectl("-n", prometheus.NAMESPACE, *wait)
        if not wait_until(responds(port, "/-/ready"), 30):
            raise StepError(
                f"Prometheus does not answer at 127.0.0.1:{port}",
                f"see `docker port {self._node}`; `down` and `up` make the cluster anew",
            )
        return ""

    def stop_prometheus(self) -> None:
        """End Prometheus; its data stay."""
        self._kubectl("-n", prometheus.NAMESPACE, "scale", f"deployment/{prometheus.NAME}", "--replicas=0")
        gone = ("wait", "--for=delete", "pod", f"--selector=app={prometheus.NAME}", "--timeout=60s")
        self._kubectl("-n", prometheus.NAMESPACE, *gone)

    def _kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run the node's kubectl."""
        hint = f"see `kubectl --kubeconfig {self.paths.kubeconfig} get pods -A`, then run `up` again"
        return run([*self._inside, *arguments], hint=hint, timeout=READY_SECONDS + 30, stdin=stdin)

    def _running(self, container: str) -> bool:
        return succeeds(["docker", "top", container])

    def _programs(self) -> str:
        if shutil.which("kind") is None:
            raise StepError(
                "a container engine runs, but kind is not installed",
                "install kind, or set MODELRELEASE_KUBECONFIG to use a cluster that you have",
            )
        self.paths.make()
        return run(["kind", "version"], hint=HINT).partition(" go")[0].strip()

    def _ensure_registry(self) -> str:
        name, port = self._registry, self._settings.registry_port
        hint = f"see `docker logs {name}`; is port {port} free?"
        present = succeeds(["docker", "container", "inspect", name])
        if present:
            run(["docker", "start", name], hint=hint)
        else:
            publish = f"127.0.0.1:{port}:5000"
            make = ["docker", "run", "-d", "--restart=no", "-p", publish, "--name", name, REGISTRY_IMAGE]
            run(make, hint=hint, timeout=600)
        if not wait_until(responds(port, "/v2/"), 30):
            raise StepError("the registry does not answer", hint)
        return "present" if present else ""

    def _ensure_cluster(self) -> str:
        paths = self.paths
        if not succeeds(["docker", "network", "inspect", NETWORK]):
            self._own_network.touch()
        # kind.yaml tells `down` that there may be something to remove: it comes first.
        config = paths.config / "kind.yaml"
        write_if_changed(config, configuration(self._settings))
        made = paths.id in run(["kind", "get", "clusters"], hint=HINT).split()
        # The kubeconfig is the last that kind writes: a cluster without it was interrupted.
        if made and paths.kubeconfig.exists():
            run(["docker", "start", self._node], hint=HINT)
            return "present"
        note = ""
        if made:
            self._remove_cluster()
            note = "again, after an interrupted run"
        named = ("--name", paths.id, "--kubeconfig", paths.kubeconfig)
        run(
            ["kind", "create", "cluster", *named, "--config", config, "--wait", f"{READY_SECONDS:.0f}s"],
            hint="the lines above are kind's; its page on known issues knows most of them",
            timeout=1200,
        )
        return note

    def _connect(self) -> str:
        """Let the node pull from the registry under the name that it has on the machine."""
        folder = f"{CERTIFICATES}/{self._settings.registry}"
        run(["docker", "exec", self._node, "mkdir", "-p", folder], hint=HINT)
        run(
            ["docker", "exec", "-i", self._node, "cp", "/dev/stdin", f"{folder}/hosts.toml"],
            hint=HINT,
            stdin=f'[host."http://{self._registry}:5000"]\n',
        )
        networks = ["docker", "inspect", "-f", "{{json .NetworkSettings.Networks}}", self._registry]
        if NETWORK in json.loads(run(networks, hint=HINT)):
            return "present"
        run(["docker", "network", "connect", NETWORK, self._registry], hint=HINT)
        return ""

    def _ensure_node(self) -> str:
        """Wait until the node is Ready, and give it simulated GPUs and us its kubectl."""
        if not wait_until(lambda: succeeds([*self._inside, "get", "--raw=/readyz"]), READY_SECONDS, 0.5):
            raise StepError("the node's API server is not ready", f"read `docker logs {self._node}`")
        node = f"node/{self._node}"
        self._kubectl("wait", "--for=condition=Ready", node, f"--timeout={READY_SECONDS:.0f}s")
        gpus = json.dumps({"status": {"capacity": kubelet.GPUS, "allocatable": kubelet.GPUS}})
        self._kubectl("patch", node, "--subresource=status", "--type=merge", f"--patch={gpus}")
        self._kubectl("label", node, "--overwrite", f"{kubelet.GPU}.present=true")
        program = self.paths.binaries / "kubectl"
        if not program.exists():
            run(["docker", "cp", "-L", f"{self._node}:/usr/bin/kubectl", program], hint=HINT)
        return ""

    def _remove_cluster(self) -> str:
        named = ("--name", self.paths.id, "--kubeconfig", self.paths.kubeconfig)
        run(["kind", "delete", "cluster", *named], hint=HINT, timeout=300)
        return ""

    def _remove_registry(self) -> str:
        # With its volume; what the engine has pulled and built is its owner's to prune.
        run(["docker", "rm", "--force", "--volumes", self._registry], hint=HINT)
        used = ["docker", "ps", "--all", "--quiet", "--filter", f"network={NETWORK}"]
        if self._own_network.exists() and not run(used, hint=HINT).strip():
            run(["docker", "network", "rm", NETWORK], hint=HINT)
        return ""

    def _remove_state(self) -> str:
        shutil.rmtree(self.paths.state)
        return ""
