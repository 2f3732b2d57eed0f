"""What `down` does: end what `up` started, in an order in which nothing comes back."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from hack.cluster import base_image, cgroups, containerd, external, kubelet, network
from hack.cluster.commands import run
from hack.cluster.locks import lock
from hack.cluster.mounts import unmount_below
from hack.cluster.paths import ClusterPaths, cache_dir, state_home
from hack.cluster.processes import Supervisor
from hack.cluster.settings import load
from hack.cluster.steps import Step

POD_LOG_LINKS = Path("/var/log/containers")
SHIM_FOLDERS = (Path("/run/containerd/s"), Path("/run/containerd"))
DEVICE_SOCKET = Path("/var/lib/kubelet/device-plugins/kubelet.sock")


def remove_if_empty(*folders: Path) -> None:
    """Remove folders that other programs may use too, unless they do."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class Teardown:
    """The steps that take one cluster down.

    Parameters
    ----------
    paths : ClusterPaths
        The cluster.
    """

    def __init__(self, paths: ClusterPaths) -> None:
        self.paths = paths
        self._supervisor = Supervisor(paths)

    def steps(self, *, purge: bool) -> list[Step]:
        """Return the steps; with `purge` also those that empty the cache."""
        steps = []
        if external.is_kind(self.paths):
            steps += external.Kind(self.paths).down()
        elif self.paths.state.exists():
            if not self.paths.control_plane:
                steps.append(Step("pods", self._pods))
            steps.append(Step("processes", self._processes))
            if not self.paths.control_plane:
                steps.append(Step("network and mounts", self._network))
            steps.append(Step("state", self._state))
        if purge:
            steps.append(Step("cache", self._cache))
        return steps

    def _pods(self) -> str:
        # Without the kubelet, nothing starts them again.
        self._supervisor.stop(kubelet.KUBELET)
        bundles = list((self.paths.state / "run/io.containerd.runtime.v2.task/k8s.io").glob("*"))
        count = len(cgroups.processes(self.paths))
        cgroups.end_processes(self.paths)
        self._supervisor.stop(containerd.NAME)
        # Of all that carries the cluster's mark, what has no pid file now are the shims.
        self._supervisor.end_orphans()
        for bundle in bundles:
            # Both are kept outside of containerd's own folders.
            network.forget_pod(bundle.name)
            with suppress(FileNotFoundError):
                address = (bundle / "address").read_text(encoding="utf-8")
                Path(address.removeprefix("unix://")).unlink()
        remove_if_empty(*SHIM_FOLDERS, *network.CNI_FOLDERS)
        # The kubelet puts its device socket there, whatever its own folder is.
        DEVICE_SOCKET.unlink(missing_ok=True)
        remove_if_empty(DEVICE_SOCKET.parent, DEVICE_SOCKET.parent.parent)
        cgroups.remove(self.paths)
        return f"ended {count} processes in pods" if count else "none left"

    def _processes(self) -> str:
        # The API server goes before etcd, and the others before the API server.
        last = ["kube-apiserver", "etcd"]
        names = self._supervisor.names()
        ordered = [name for name in names if name not in last]
        ordered += [name for name in last if name in names]
        for name in ordered:
            self._supervisor.stop(name)
        orphans = self._supervisor.end_orphans()
        return f"ended {len(ordered) + orphans}"

    def _network(self) -> str:
        unmount_below(self.paths.state)
        settings = load(self.paths)
        if settings is not None:
            # Its tables have fixed names: they are this cluster's only if kube-proxy ever was.
            network.remove(settings, proxied=kubelet.proxy_config(self.paths).exists())
        network.restore_sysctls(self.paths)
        if POD_LOG_LINKS.is_dir():
            for link in POD_LOG_LINKS.iterdir():
                if link.is_symlink() and str(link.readlink()).startswith(f"{self.paths.logs}/"):
                    link.unlink()
        remove_if_empty(POD_LOG_LINKS)
        return ""

    def _state(self) -> str:
        shutil.rmtree(self.paths.state)
        return ""

    def _cache(self) -> str:
        others = [path.name for path in state_home().iterdir() if path.is_dir()]
        if others:
            return f"kept: cluster {others[0]} uses it"
        for image in base_image.local_images():
            run(["buildah", "rmi", image], hint="run it by hand to see what uses the image")
        with lock(cache_dir() / "build.lock"):
            shutil.rmtree(cache_dir())
        return ""
