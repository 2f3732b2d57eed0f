"""Command line: ``python -m hack.helm --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from hack.cluster import binaries
from hack.cluster.steps import StepError, report, run_steps
from hack.helm import programs, readme, schema


def main(arguments: Sequence[str] | None = None) -> int:
    """Build Helm, or write what of the chart is generated."""
    parser = argparse.ArgumentParser(prog="python -m hack.helm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build helm and helm-docs")
    path = commands.add_parser("path", help="print the path of helm")
    path.add_argument("--folder", action="store_true", help="of its folder, for PATH")
    commands.add_parser(
        "generate", help="write the chart's schema of the operator's settings, and its README"
    )
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "path":
            found = programs.path(programs.HELM)
            print(found.parent if chosen.folder else found)
            return 0
        run_steps(binaries.steps(programs.ALL))
        if chosen.command == "generate":
            schema.FILE.write_text(schema.text(), encoding="utf-8")
            readme.FILE.write_text(readme.text(), encoding="utf-8")
    except StepError as error:
        report(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
