"""Command line: ``python -m hack.images --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hack.cluster.paths import DEFAULT_NAME, ClusterPaths
from hack.cluster.steps import exit_status, say
from hack.images.build import ensure_images
from hack.images.catalogue import IMAGES


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(IMAGES))
    if unknown:
        raise argparse.ArgumentTypeError(f"no image {', '.join(unknown)}; there are {', '.join(IMAGES)}")
    return names


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and push images, and print their references."""
    parser = argparse.ArgumentParser(
        prog="python -m hack.images",
        description="Build the project's and the demo's images, and push them to the cluster's registry.",
    )
    usual = [name for name, image in IMAGES.items() if not image.on_request]
    asked = [name for name in IMAGES if name not in usual]
    parser.add_argument(
        "--only",
        type=_names,
        default=usual,
        metavar="A,B",
        help=f"of {', '.join(usual)} (the default: all of these), {', '.join(asked)}",
    )
    parser.add_argument("--name", default=DEFAULT_NAME, help="the cluster's name (%(default)s)")
    chosen = parser.parse_args(arguments)
    return exit_status(lambda: _build(chosen.only, ClusterPaths(chosen.name)))


def _build(names: Sequence[str], paths: ClusterPaths) -> int:
    for name, reference in ensure_images(names, paths).items():
        say(f"{name}: {reference}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
