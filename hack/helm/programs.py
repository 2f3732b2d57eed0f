"""Helm and its tools: one module pins them, so that they share what is compiled."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from hack.cluster import binaries

MODULE: Final = "helm"
HELM: Final = binaries.Program("helm", "helm.sh/helm/v3/cmd/helm", "helm.sh/helm/v3", module=MODULE)
HELM_DOCS: Final = binaries.Program(
    "helm-docs",
    "github.com/norwoodj/helm-docs/cmd/helm-docs",
    "github.com/norwoodj/helm-docs",
    module=MODULE,
)
ALL: Final = (HELM, HELM_DOCS)
SECONDS: Final = 120.0


def path(program: binaries.Program) -> Path:
    """Return the path of a program, built or not."""
    return program.target() / program.name


def run(
    program: binaries.Program, *arguments: str | Path, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a program that was built, and return how it ended."""
    return subprocess.run(
        [path(program), *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        text=True,
        timeout=SECONDS,
    )
