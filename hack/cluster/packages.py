"""Debian packages that the cluster needs; their own daemons must not start."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hack.cluster.commands import run
from hack.cluster.disk import require_free
from hack.cluster.steps import StepError

CONTROL_PLANE = ("openssl", "iproute2", "prometheus")
IMAGES = ("buildah", "ca-certificates", "debootstrap", "docker-registry")
NODE = (
    *CONTROL_PLANE,
    *IMAGES,
    "conntrack",
    "containerd",
    "containernetworking-plugins",
    "nftables",
    "runc",
)
POLICY = Path("/usr/sbin/policy-rc.d")
DENY = "#!/bin/sh\nexit 101\n"


def missing(packages: Sequence[str]) -> list[str]:
    """Return those of the packages that are not installed."""
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
        capture_output=True,
        check=False,
        encoding="utf-8",
    )
    states = dict(line.split(" ", 1) for line in query.stdout.splitlines())
    return [name for name in packages if states.get(name) != "installed"]


@contextmanager
def daemons_denied() -> Iterator[None]:
    """Keep package scripts from starting daemons: Debian asks ``policy-rc.d`` before it does."""
    before = POLICY.read_bytes() if POLICY.exists() else None
    mode = POLICY.stat().st_mode if before is not None else 0
    POLICY.write_text(DENY, encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if before is None:
            POLICY.unlink()
        else:
            POLICY.write_bytes(before)
            POLICY.chmod(mode)


def ensure(packages: Sequence[str]) -> str:
    """Install the missing packages.

    Parameters
    ----------
    packages : Sequence of str
        Names of Debian packages.

    Returns
    -------
    str
        A note on what was done.

    Raises
    ------
    StepError
        Where that is not possible: not Debian, not root, no network.
    """
    if shutil.which("dpkg-query") is None:
        raise StepError(
            "this is not a Debian or Ubuntu machine",
            "start Docker and run `up` again (it then uses kind), or set MODELRELEASE_KUBECONFIG",
        )
    absent = missing(packages)
    if not absent:
        return "present"
    by_hand = f"apt-get install -y --no-install-recommends {' '.join(absent)}"
    if os.geteuid() != 0:
        raise StepError("packages are missing, and only root can install them", f"run: {by_hand}")
    require_free(Path("/usr"), 1.0, "installing packages")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with daemons_denied():
        run(["apt-get", "update"], hint="check the network", timeout=300, env=quiet)
        run(
            ["apt-get", "install", "-y", "--no-install-recommends", *absent],
            hint=f"run it by hand to see more: {by_hand}",
            timeout=900,
            env=quiet,
        )
    return f"installed {', '.join(absent)}"
