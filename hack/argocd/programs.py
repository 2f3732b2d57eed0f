"""The Go programs that the tests with Argo CD need, from pinned modules like the cluster's own."""

from __future__ import annotations

from pathlib import Path

from hack.cluster.binaries import GO_HINT, Program
from hack.cluster.commands import run

ARGOCD = Program(
    "argo-cd",
    # One program for all components: the name that it is called by chooses one.
    "github.com/argoproj/argo-cd/v3/cmd",
    "github.com/argoproj/argo-cd/v3",
    links=("argocd", "argocd-application-controller", "argocd-repo-server", "argocd-server"),
    gibibytes=6.0,
)
KSTATUS = Program("kstatus", ".", "github.com/fluxcd/cli-utils", gibibytes=1.0)
ALL = (ARGOCD, KSTATUS)


def definitions() -> list[Path]:
    """Return the CustomResourceDefinitions of the Argo CD that is built: they are in its module."""
    found = run(
        ["go", "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", ARGOCD.requires],
        hint=GO_HINT,
        timeout=300,
        cwd=ARGOCD.folder,
        env={"GOFLAGS": "", "GOWORK": "off"},
    )
    return sorted((Path(found.strip()) / "manifests" / "crds").glob("*-crd.yaml"))
