"""Ports and address ranges of a cluster: derived from its name, moved where they are taken."""

from __future__ import annotations

import ipaddress
import json
import socket
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from hack.cluster.commands import run
from hack.cluster.paths import DEFAULT_NAME, ClusterPaths, write_if_changed
from hack.cluster.steps import StepError

SLOTS = 60
# Below the usual ephemeral range (32768 and up) and the node ports (30000 to 32767).
FIRST_PORT = 26400
PORTS_PER_SLOT = 20
REGISTRY_PORT = 5050
BANKS = (("172.30", "172.31"), ("10.190", "10.191"))
PORT_NAMES = (
    "api",
    "etcd",
    "etcd_peer",
    "controller_manager",
    "scheduler",
    "kubelet",
    "kubelet_health",
    "proxy_health",
    "proxy_metrics",
    "prometheus",
    "kwok",
    "dns_ready",
)


@dataclass(frozen=True)
class Settings:
    """What distinguishes one cluster from another on the same machine.

    Parameters
    ----------
    slot : int
        Which of the blocks of ports and addresses it uses.
    pods : str
        The range of pod addresses; the node has its first address.
    services : str
        The range of Service addresses.
    registry_port : int
        The port of the image registry on loopback.
    """

    slot: int
    pods: str
    services: str
    registry_port: int

    def port(self, name: str) -> int:
        """Return the port of a component by name."""
        return FIRST_PORT + self.slot * PORTS_PER_SLOT + PORT_NAMES.index(name)

    def ports(self) -> list[int]:
        """Return every port of the cluster."""
        return [self.port(name) for name in PORT_NAMES]

    def _address(self, network: str, number: int) -> str:
        return str(ipaddress.ip_network(network)[number])

    @property
    def node_ip(self) -> str:
        """The node's address, which is also the pods' gateway."""
        return self._address(self.pods, 1)

    @property
    def api_service_ip(self) -> str:
        """The Service address of the API server."""
        return self._address(self.services, 1)

    @property
    def dns_ip(self) -> str:
        """The Service address of the cluster's DNS."""
        return self._address(self.services, 10)

    @property
    def link(self) -> str:
        """The name of the network link that carries the node's address."""
        return f"mr{self.slot}"

    @property
    def table(self) -> str:
        """The name of the nftables table of the cluster."""
        return f"modelrelease_{self.slot}"

    @property
    def registry(self) -> str:
        """The address of the image registry."""
        return f"127.0.0.1:{self.registry_port}"


def candidates(name: str, *, control_plane: bool) -> Iterator[Settings]:
    """Give the settings that a cluster could use, the preferred ones first."""
    if name == DEFAULT_NAME:
        first = 1 if control_plane else 0
    else:
        first = 2 + zlib.crc32(f"{name} {control_plane}".encode()) % (SLOTS - 2)
    for pods, services in BANKS:
        for step in range(SLOTS):
            slot = (first + step) % SLOTS
            yield Settings(
                slot, f"{pods}.{4 * slot}.0/22", f"{services}.{4 * slot}.0/22", REGISTRY_PORT + slot
            )


def overlaps(settings: Settings, routes: Sequence[str]) -> bool:
    """Tell whether the machine already has a route into the cluster's ranges."""
    own = [ipaddress.ip_network(settings.pods), ipaddress.ip_network(settings.services)]
    others = [ipaddress.ip_network(route, strict=False) for route in routes]
    return any(mine.overlaps(other) for mine in own for other in others if other.version == 4)


def existing_routes() -> list[str]:
    """Return the destinations of the machine's IPv4 routes, less the default route."""
    table = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"], hint="install iproute2"))
    return [entry["dst"] for entry in table if entry["dst"] != "default"]


def port_free(port: int) -> bool:
    """Tell whether nothing listens on a port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - bound for a moment to ask, never listening
        except OSError:
            return False
    return True


def load(paths: ClusterPaths) -> Settings | None:
    """Read the settings that an earlier `up` chose."""
    try:
        return Settings(**json.loads(paths.settings.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def choose(paths: ClusterPaths) -> Settings:
    """Return the cluster's settings; the first time, choose the first free ones and keep them.

    Parameters
    ----------
    paths : ClusterPaths
        The cluster.

    Returns
    -------
    Settings
        Its settings.

    Raises
    ------
    StepError
        If every block is taken.
    """
    known = load(paths)
    if known is not None:
        return known
    routes = existing_routes()
    for settings in candidates(paths.name, control_plane=paths.control_plane):
        ports = [*settings.ports(), *([] if paths.control_plane else [settings.registry_port])]
        if not overlaps(settings, routes) and all(map(port_free, ports)):
            write_if_changed(paths.settings, json.dumps(asdict(settings)))
            return settings
    raise StepError(
        "no block of ports and addresses is free",
        f"see `ip route` and `ss -ltn`: needed are {PORTS_PER_SLOT} ports in a row from {FIRST_PORT} on",
    )
