"""The plugin as Krew unpacks it: in a folder of its own, started by a Python that has nothing installed."""

import os
import pkgutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest

from hack.krew import archive
from modelrelease.cli import mrel

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
LINUX = archive.PLATFORMS[0]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that Krew makes of the archive, for this Python alone."""
    work = tmp_path_factory.mktemp("krew")
    packed, folder = work / LINUX.file("v0"), work / "store"
    archive.build(LINUX, packed, work, [PYTHON])
    with tarfile.open(packed) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory, plugin: Path, kubeconfig: str) -> dict[str, str]:
    """An environment in which `python3` has no package, and kubectl finds the plugin."""
    empty = tmp_path_factory.mktemp("empty")
    venv.create(empty, with_pip=False, symlinks=True)
    kubectl = Path(kubeconfig).parent / "bin"
    path = os.pathsep.join([str(empty / "bin"), str(plugin), str(kubectl), os.defpath])
    return {"PATH": path, "HOME": str(empty), "KUBECONFIG": kubeconfig}


def run(surroundings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, env=surroundings, capture_output=True, check=False, text=True, timeout=60)


def test_kubectl_finds_it_and_it_runs(surroundings: dict[str, str]):
    done = run(surroundings, "kubectl", "mrel", "--help")
    assert done.returncode == 0, done.stderr
    assert "kubectl mrel" in done.stdout
    assert "rollback" in done.stdout


def test_it_reads_releases_from_a_cluster(surroundings: dict[str, str], namespace: str):
    done = run(surroundings, "kubectl", "mrel", "list", "-n", namespace, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("[", "{"))


def test_everything_that_any_of_its_commands_imports_is_there(surroundings: dict[str, str], plugin: Path):
    names = [f"{mrel.__name__}.{found.name}" for found in pkgutil.iter_modules(mrel.__path__)]
    modules = ", ".join(name for name in names if not name.endswith("__main__"))
    done = run(
        {**surroundings, "PYTHONPATH": str(plugin / "lib")}, "python3", "-c", f"import {modules}, jinja2"
    )
    assert done.returncode == 0, done.stderr


def test_a_python_that_it_has_no_libraries_for_is_told_what_to_do(
    surroundings: dict[str, str], plugin: Path, tmp_path: Path
):
    launcher = tmp_path / "kubectl-mrel"
    launcher.write_text((plugin / "kubectl-mrel").read_text())
    done = run(surroundings, "python3", str(launcher), "--help")
    assert done.returncode == 1
    assert "pipx install modelrelease" in done.stderr
    assert "Traceback" not in done.stderr
