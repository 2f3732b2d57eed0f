"""The node's network: one link, one nftables table, a CNI configuration; no other program's rules.

Every pod has a link of its own to the node (CNI plugin ``ptp``), so that all of its packets are routed
through the node and Service addresses also work between pods; with a shared bridge that would hang on
the kernel module ``br_netfilter``.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path

from hack.cluster.commands import run, succeeds
from hack.cluster.paths import ClusterPaths, write_if_changed
from hack.cluster.settings import Settings

HINT = "this needs root and CAP_NET_ADMIN; see `ip link` and `nft list ruleset`"
PLUGINS = Path("/usr/lib/cni")
NETWORK = "modelrelease"
CNI_FOLDERS = (Path("/var/lib/cni/results"), Path("/var/lib/cni"))
PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))
# What the kubelet, kube-proxy and this module change, so that `down` can put it back.
SYSCTLS = (
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
SYS = Path("/proc/sys")


def ruleset(settings: Settings) -> str:
    """Return the cluster's nftables table.

    Pods reach the world under the machine's address, and the world does not reach the API server,
    which has to listen on every address to serve both loopback and the pods.
    """
    return f"""\
table ip {settings.table}
delete table ip {settings.table}
table ip {settings.table} {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr {settings.pods} ip daddr != {settings.pods} masquerade
    }}
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "lo" accept
        ip saddr {settings.pods} accept
        tcp dport {settings.port("api")} drop
    }}
}}
table ip6 {settings.table}
delete table ip6 {settings.table}
table ip6 {settings.table} {{
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname "lo" accept
        tcp dport {settings.port("api")} drop
    }}
}}
"""


def cni_configuration(paths: ClusterPaths, settings: Settings) -> str:
    """Return the network configuration that containerd gives to the CNI plugins."""
    pods = ipaddress.ip_network(settings.pods)
    pool = {
        "subnet": settings.pods,
        "rangeStart": str(pods[10]),
        "rangeEnd": str(pods[-2]),
        "gateway": settings.node_ip,
    }
    ipam = {
        "type": "host-local",
        "dataDir": str(paths.data / "cni"),
        "ranges": [[pool]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugin = {"type": "ptp", "ipMasq": False, "ipam": ipam}
    return json.dumps({"cniVersion": "0.4.0", "name": NETWORK, "plugins": [plugin]}, indent=1)


def save_sysctls(paths: ClusterPaths) -> None:
    """Note the kernel's settings before the cluster changes them, once."""
    target = paths.state / "sysctls.json"
    if not target.exists():
        found = {name: (SYS / name).read_text(encoding="ascii").strip() for name in SYSCTLS}
        write_if_changed(target, json.dumps(found))


def restore_sysctls(paths: ClusterPaths) -> None:
    """Put the kernel's settings back."""
    target = paths.state / "sysctls.json"
    if target.exists():
        for name, value in json.loads(target.read_text(encoding="utf-8")).items():
            if (SYS / name).read_text(encoding="ascii").strip() != value:
                (SYS / name).write_text(value, encoding="ascii")
        target.unlink()


def link_present(settings: Settings) -> bool:
    """Tell whether the node's link and the table are there."""
    return (Path("/sys/class/net") / settings.link).exists() and succeeds(
        ["nft", "list", "table", "ip", settings.table]
    )


def ensure(paths: ClusterPaths, settings: Settings) -> str:
    """Have the link, the table, forwarding and the CNI configuration."""
    save_sysctls(paths)
    write_if_changed(paths.config / "cni" / "10-pods.conflist", cni_configuration(paths, settings))
    rules = ruleset(settings)
    changed = write_if_changed(paths.config / "nftables.rules", rules)
    forward = SYS / "net/ipv4/ip_forward"
    if forward.read_text(encoding="ascii").strip() != "1":
        forward.write_text("1", encoding="ascii")
    if link_present(settings) and not changed:
        return "present"
    if not (Path("/sys/class/net") / settings.link).exists():
        run(["ip", "link", "add", settings.link, "type", "bridge"], hint=HINT)
    run(["ip", "address", "replace", f"{settings.node_ip}/32", "dev", settings.link], hint=HINT)
    run(["ip", "link", "set", settings.link, "up"], hint=HINT)
    run(["nft", "-f", "-"], hint=HINT, stdin=rules)
    return ""


def forget_pod(sandbox: str) -> None:
    """Remove what libcni remembers of a pod that ended without its plugins being called."""
    for path in CNI_FOLDERS[0].glob(f"*-{sandbox}-*"):
        path.unlink(missing_ok=True)


def remove(settings: Settings, *, proxied: bool) -> None:
    """Remove the link and the tables; `proxied` if kube-proxy was this cluster's."""
    tables: Sequence[tuple[str, str]] = [("ip", settings.table), ("ip6", settings.table)]
    for family, name in [*tables, *(PROXY_TABLES if proxied else ())]:
        succeeds(["nft", "delete", "table", family, name])
    if (Path("/sys/class/net") / settings.link).exists():
        run(["ip", "link", "delete", settings.link], hint=HINT)
