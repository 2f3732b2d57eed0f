"""Helm and kubectl, as the tools of this repository built them."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.helm import programs
from tests.integration.chart import rendering

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def chart() -> rendering.Chart:
    missing = [program.name for program in programs.ALL if not programs.path(program).exists()]
    if missing:
        pytest.fail(f"no {', '.join(missing)}: run `python -m hack.helm build`", pytrace=False)
    return rendering.Chart()


@pytest.fixture(scope="session")
def kustomize(kubeconfig: str) -> Callable[[str], rendering.Objects]:
    """Return what kubectl makes of a folder below manifests/."""
    kubectl = Path(kubeconfig).parent / "bin" / "kubectl"

    def build(folder: str) -> rendering.Objects:
        command = [str(kubectl) if kubectl.exists() else "kubectl", "kustomize", f"manifests/{folder}"]
        done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return rendering.by_name(done.stdout)

    return build
