"""What `up` does, as a list of steps for each kind of cluster."""

from __future__ import annotations

import os
import shutil
import sys

from hack.cluster import (
    base_image,
    binaries,
    containerd,
    controlplane,
    dns,
    kubelet,
    network,
    packages,
    pki,
    prometheus,
    registry,
    simulated,
)
from hack.cluster.api import Api
from hack.cluster.disk import require_free
from hack.cluster.paths import ClusterPaths
from hack.cluster.processes import Supervisor
from hack.cluster.settings import Settings, choose
from hack.cluster.steps import Step, StepError, wait_until

SHIM = "containerd-shim"
NODE_GIB = 2.0


def can_run_node() -> bool:
    """Tell whether pods can run without a container engine: Debian's packages are needed, and root."""
    return sys.platform == "linux" and os.geteuid() == 0 and shutil.which("dpkg-query") is not None


class Plan:
    """The steps that bring one cluster up.

    Parameters
    ----------
    paths : ClusterPaths
        The cluster.
    """

    def __init__(self, paths: ClusterPaths) -> None:
        self.paths = paths

    @property
    def settings(self) -> Settings:
        """The cluster's ports and addresses, chosen by the first step that needs them."""
        return choose(self.paths)

    def steps(self) -> list[Step]:
        """Return the steps, in their order."""
        return self._simulated() if self.paths.control_plane else self._real()

    def _simulated(self) -> list[Step]:
        paths = self.paths
        programs = binaries.FOR_CONTROL_PLANE
        return [
            Step("system packages", lambda: packages.ensure(packages.CONTROL_PLANE)),
            *binaries.steps(programs),
            Step("state, ports and keys", lambda: self._prepare(programs)),
            *self._control_plane(),
            Step("kwok", lambda: simulated.ensure(paths, self.settings)),
            Step("node Ready", lambda: simulated.ensure_node(paths)),
        ]

    def _real(self) -> list[Step]:
        paths = self.paths
        programs = binaries.FOR_NODE
        return [
            Step("machine and system packages", self._node_packages),
            *binaries.steps(programs),
            Step("state, ports and keys", lambda: self._prepare(programs)),
            Step("network", lambda: network.ensure(paths, self.settings)),
            Step("image registry", lambda: registry.ensure(paths, self.settings)),
            Step("pause image", lambda: base_image.provide_pause(self.settings)),
            *self._control_plane(),
            Step("containerd", lambda: containerd.ensure(paths, self.settings)),
            Step("kubelet", lambda: kubelet.ensure_kubelet(paths, self.settings)),
            Step("kube-proxy", lambda: kubelet.ensure_proxy(paths, self.settings)),
            Step("DNS", lambda: dns.ensure(paths, self.settings)),
            Step("Prometheus", lambda: prometheus.ensure(paths, self.settings)),
            Step("node Ready", lambda: kubelet.ensure_node(paths)),
        ]

    def _control_plane(self) -> list[Step]:
        paths, ensure = self.paths, controlplane.ensure
        manager, scheduler = controlplane.controller_manager, controlplane.scheduler
        return [
            Step("etcd", lambda: ensure(paths, self.settings, controlplane.etcd)),
            Step("API server", lambda: ensure(paths, self.settings, controlplane.api_server)),
            Step("controller-manager", lambda: ensure(paths, self.settings, manager)),
            Step("scheduler", lambda: ensure(paths, self.settings, scheduler)),
            Step("service accounts", self._service_accounts),
        ]

    def _node_packages(self) -> str:
        if not can_run_node():
            raise StepError(
                "a real node needs Debian or Ubuntu, and root",
                "run as root, or make `docker info` succeed (kind is then used), or use `up --control-plane`",
            )
        kubelet.require_alone(self.paths)
        return packages.ensure(packages.NODE)

    def _prepare(self, programs: tuple[binaries.Program, ...]) -> str:
        paths = self.paths
        require_free(paths.state, NODE_GIB, "the cluster's data")
        paths.make()
        notes = []
        # Pods' shims are no orphans: they outlive containerd on purpose, so that pods do.
        ended = Supervisor(paths).end_orphans(spare=SHIM)
        if ended:
            notes.append(f"ended {ended} left over from an interrupted run")
        notes += [
            binaries.link_into(paths.binaries, programs),
            pki.ensure(paths, self.settings),
        ]
        return ", ".join(dict.fromkeys(note for note in notes if note))

    def _service_accounts(self) -> str:
        path = "/api/v1/namespaces/default/serviceaccounts/default"
        api = Api(self.paths)
        # Pods are refused before this one is there; it also shows that the controllers work.
        if not wait_until(lambda: api.found(path), 30):
            log = Supervisor(self.paths).log_file("kube-controller-manager")
            raise StepError("the controller-manager creates no service accounts", f"read {log}")
        return ""
