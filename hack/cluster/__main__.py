"""Command line of the local cluster: ``python -m hack.cluster --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from hack.cluster import base_image, binaries, external, prometheus
from hack.cluster.locks import lock
from hack.cluster.paths import DEFAULT_NAME, ClusterPaths, given_kubeconfig
from hack.cluster.plans import Plan, can_run_node
from hack.cluster.processes import Supervisor
from hack.cluster.settings import Settings, load
from hack.cluster.steps import Progress, StepError, exit_status, run_steps, say, say_status
from hack.cluster.teardown import Teardown


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m hack.cluster", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=DEFAULT_NAME, help="the cluster's name (%(default)s)")
    common.add_argument(
        "--control-plane",
        action="store_true",
        help="the cluster with a simulated node, for integration tests",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[common], help="bring the cluster up, or repair it")
    down = commands.add_parser("down", parents=[common], help="end and remove all of it")
    down.add_argument("--purge", action="store_true", help="also empty the cache of binaries and images")
    commands.add_parser("status", parents=[common], help="show what runs")
    commands.add_parser("kubeconfig", parents=[common], help="print the path of the kubeconfig")
    commands.add_parser("build", parents=[common], help="build all programs, start nothing")
    metrics = commands.add_parser("prometheus", parents=[common], help="stop, start, find Prometheus")
    metrics.add_argument("action", choices=("start", "stop", "url"))
    images = commands.add_parser("images", parents=[common], help="provide images")
    images.add_argument("image", choices=("base",))
    return parser.parse_args(arguments)


def up(paths: ClusterPaths) -> None:
    """Bring a cluster up and print how to reach it."""
    given = given_kubeconfig()
    if given is not None:
        if not given.is_file():
            raise StepError(f"{given} is no file", "correct or unset MODELRELEASE_KUBECONFIG")
        say(f"kubeconfig: {given}")
        return
    with lock(paths.lock, announce=True):
        known = external.is_kind(paths)
        if known or (not paths.control_plane and not can_run_node() and external.engine()):
            run_steps(external.Kind(paths).up())
        else:
            run_steps(Plan(paths).steps())
    say(f"kubeconfig: {paths.kubeconfig}")
    if not paths.control_plane:
        say(f"registry:   {paths.registry}")


def down(paths: ClusterPaths, *, purge: bool) -> None:
    """Take a cluster down."""
    with lock(paths.lock, announce=True):
        run_steps(Teardown(paths).steps(purge=purge))
        # Within the lock: whoever waits for it notices, and takes a new one.
        paths.lock.unlink()


def status(paths: ClusterPaths) -> int:
    """Print what runs; the result is 0 if all of it does."""
    kind = external.is_kind(paths)
    running = external.Kind(paths).status() if kind else Supervisor(paths).status()
    code = say_status(running)
    if not running:
        return code
    settings = _settings(paths)
    say(f"kubeconfig: {paths.kubeconfig}")
    if not paths.control_plane:
        say(f"registry:   {paths.registry}")
        say(f"prometheus: {prometheus.url(settings)}")
    if not paths.control_plane and not kind:
        say(f"node:       {settings.node_ip}, pods {settings.pods}, services {settings.services}")
    return code


def _settings(paths: ClusterPaths) -> Settings:
    settings = load(paths)
    if settings is None:
        raise StepError(f"cluster {paths.id} is not up", "run `up` first")
    return settings


def metrics(paths: ClusterPaths, action: str) -> None:
    """Stop or start Prometheus, or print its address."""
    settings = _settings(paths)
    if action == "url":
        say(prometheus.url(settings))
        return
    actions: dict[str, Callable[[], object]]
    if external.is_kind(paths):
        kind = external.Kind(paths)
        actions = {"stop": kind.stop_prometheus, "start": kind.start_prometheus}
    else:
        actions = {
            "stop": lambda: prometheus.stop(paths),
            "start": lambda: prometheus.start(paths, settings),
        }
    with lock(paths.lock, announce=True):
        actions[action]()


def dispatch(options: argparse.Namespace) -> int:
    """Do what the command line says."""
    paths = ClusterPaths(options.name, control_plane=options.control_plane)
    match options.command:
        case "up":
            up(paths)
        case "down":
            down(paths, purge=options.purge)
        case "status":
            return status(paths)
        case "kubeconfig":
            say(str(given_kubeconfig() or paths.kubeconfig))
        case "build":
            run_steps(binaries.steps(binaries.ALL))
        case "prometheus":
            metrics(paths, options.action)
        case "images":
            say(base_image.ensure_base(Progress(1), paths))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    return exit_status(lambda: dispatch(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
