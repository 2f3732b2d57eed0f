"""Command line of the Argo CD beside the local cluster: ``python -m hack.argocd --help``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hack.argocd import fragment
from hack.argocd.lifecycle import Lifecycle
from hack.argocd.places import NAMESPACE, Places
from hack.cluster.locks import lock
from hack.cluster.paths import DEFAULT_NAME, ClusterPaths
from hack.cluster.processes import Supervisor
from hack.cluster.steps import exit_status, run_steps, say, say_status

ROOT = Path(__file__).resolve().parents[2]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m hack.argocd", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=DEFAULT_NAME, help="the cluster's name (%(default)s)")
    common.add_argument("--control-plane", action="store_true", help="the cluster with a simulated node")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[common], help="build and start Argo CD, or repair it")
    commands.add_parser("down", parents=[common], help="end and remove all of it; what was built is kept")
    commands.add_parser("status", parents=[common], help="show what runs")
    test = commands.add_parser("test", parents=[common], help="up, the tests in tests/argocd, down")
    test.add_argument("--keep", action="store_true", help="leave it running afterwards")
    test.add_argument("pytest", nargs="*", metavar="ARGUMENT", help="for pytest, after --")
    commands.add_parser("fragment", help="generate manifests/argocd/argocd-cm.yaml from the Lua files")
    return parser.parse_args(arguments)


def up(places: Places) -> None:
    """Bring it up and say how to reach it."""
    with lock(places.lock, announce=True):
        run_steps(Lifecycle(places).up())
    _reach(places)


def down(places: Places) -> None:
    """Take it down."""
    with lock(places.lock, announce=True):
        run_steps(Lifecycle(places).down())
        places.lock.unlink()


def status(places: Places) -> int:
    """Print what runs; the result is 0 if all of it does."""
    running = Supervisor(places).status()
    code = say_status(running)
    if running:
        _reach(places)
    return code


def _reach(places: Places) -> None:
    say(f"namespace:  {NAMESPACE}")
    say(f"command:    {places.binaries / 'argocd'} --server {places.server} --plaintext app list")


def test(places: Places, arguments: Sequence[str], *, keep: bool) -> int:
    """Run the tests, and end what was started for them."""
    up(places)
    try:
        words = [sys.executable, "-m", "pytest", "tests/argocd", *arguments]
        return subprocess.run(words, cwd=ROOT, check=False).returncode
    finally:
        if not keep:
            down(places)


def dispatch(options: argparse.Namespace) -> int:
    """Do what the command line says."""
    if options.command == "fragment":
        fragment.write()
        return 0
    places = Places(ClusterPaths(options.name, control_plane=options.control_plane))
    match options.command:
        case "up":
            up(places)
        case "down":
            down(places)
        case "test":
            return test(places, options.pytest, keep=options.keep)
        case "status":
            return status(places)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return exit_status(lambda: dispatch(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
