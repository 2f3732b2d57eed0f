"""Command line: ``python -m hack.krew --help``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hack.cluster.steps import StepError, report
from hack.krew import archive, manifest


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the archives and the manifest."""
    parser = argparse.ArgumentParser(prog="python -m hack.krew", description=__doc__)
    parser.add_argument("--out", type=Path, default=archive.ROOT / "dist" / "krew", help="(%(default)s)")
    parser.add_argument(
        "--base-url",
        default="https://downloads.example/modelrelease",
        help="where the archives will be published (%(default)s)",
    )
    parser.add_argument(
        "--platform",
        action="append",
        choices=[f"{platform.os}-{platform.arch}" for platform in archive.PLATFORMS],
        help="one of the platforms alone, may be repeated",
    )
    chosen = parser.parse_args(arguments)
    chosen.out.mkdir(parents=True, exist_ok=True)
    version, digests = archive.version(), {}
    try:
        with tempfile.TemporaryDirectory() as work:
            for platform in archive.PLATFORMS:
                if chosen.platform and f"{platform.os}-{platform.arch}" not in chosen.platform:
                    continue
                target = chosen.out / platform.file(version)
                digests[platform] = archive.build(platform, target, Path(work))
                print(f"{target}: sha256 {digests[platform]}")
    except StepError as error:
        report(error)
        return 1
    manifest.write(manifest.render(version, chosen.base_url, digests), chosen.out / "mrel.yaml")
    print(chosen.out / "mrel.yaml")
    return 0


if __name__ == "__main__":
    sys.exit(main())
