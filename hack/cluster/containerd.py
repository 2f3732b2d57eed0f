"""containerd with a root, state and socket of its own, beside any other on the machine."""

from __future__ import annotations

from pathlib import Path

from hack.cluster.base_image import REGISTRY_PAUSE
from hack.cluster.commands import succeeds
from hack.cluster.network import PLUGINS
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.processes import Daemon, Supervisor
from hack.cluster.settings import Settings

NAME = "containerd"


def socket(paths: ClusterPaths) -> Path:
    """Return the socket of the cluster's containerd."""
    return paths.state / "containerd.sock"


def ctr(paths: ClusterPaths) -> list[str | Path]:
    """Return the start of a command line that speaks to the cluster's containerd."""
    return ["ctr", "--address", socket(paths), "--namespace", "k8s.io"]


def configuration(paths: ClusterPaths, settings: Settings) -> str:
    """Return containerd's configuration."""
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    return f"""\
version = 2
root = "{paths.data}/containerd"
state = "{paths.state}/run"
disabled_plugins = [
    "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
]

[grpc]
address = "{socket(paths)}"

[{cri}]
sandbox_image = "{settings.registry}/{REGISTRY_PAUSE}"
# Without CAP_SYS_RESOURCE a score cannot be lowered, and runc would fail.
restrict_oom_score_adj = true
# Where `down` finds them, apart from those of other programs.
netns_mounts_under_state_dir = true

[{cri}.cni]
bin_dir = "{PLUGINS}"
conf_dir = "{paths.config}/cni"

[{cri}.registry]
config_path = "{paths.config}/registries"

[{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{cri}.containerd.runtimes.runc.options]
Root = "{paths.state}/runc"
SystemdCgroup = false
"""


def ensure(paths: ClusterPaths, settings: Settings) -> str:
    """Run containerd."""
    config = paths.config / "containerd.toml"
    write_if_changed(config, configuration(paths, settings))
    write_if_changed(
        paths.config / "registries" / settings.registry / "hosts.toml",
        f'server = "http://{settings.registry}"\n',
    )
    return Supervisor(paths).ensure(
        Daemon(
            NAME,
            ["containerd", "--config", str(config)],
            lambda: succeeds([*ctr(paths), "version"]),
            configs=(config,),
        )
    )
