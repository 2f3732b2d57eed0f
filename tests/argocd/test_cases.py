"""Case by case: the scripts by Argo CD's own command, conditions by Flux's own library; needs no cluster."""

import json
import os
import pathlib
import subprocess
from typing import Any

import pytest
import yaml

from hack.argocd import fragment, interpreter
from hack.argocd.places import Places
from tests.simulation.kstatus import kstatus
from tests.unit import test_argocd_scripts as quick
from tests.unit.cli.mrel import recorded

OFFERED = {"approve": "approval", "reject": "checking", "rollback": "holding", "retry": "rolled-back"}
OFFERED |= {"pause": "stable", "resume": "paused"}
"""Each action, and a snapshot in which it is offered."""


def snapshots(kind: str) -> dict[str, dict[str, Any]]:
    return {
        f"{name} {obj['metadata']['name']}": obj
        for name in quick.SNAPSHOTS
        for obj in recorded.snapshot(name)[1]
        if obj["kind"] == kind
    }


RELEASES = snapshots("ModelRelease") | {
    f"case {number}": quick.released(
        observed, **observed.release.override.model_dump(mode="json", by_alias=True, exclude_none=True)
    )
    for number, (observed, _, _) in enumerate(quick.CASES)
}
RUNS = snapshots("ModelReleaseRun")


def argocd(places: Places, folder: pathlib.Path, obj: dict[str, Any], *words: str) -> str:
    """Ask ``argocd admin settings resource-overrides`` about an object."""
    path = folder / "object.yaml"
    path.write_text(yaml.safe_dump(obj))
    verb, *rest = words
    done = subprocess.run(
        [
            *(str(places.binaries / "argocd"), "admin", "settings", "resource-overrides", verb, str(path)),
            *(*rest, "--argocd-cm-path", str(fragment.FILE)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", [*RELEASES, *RUNS])
def test_argo_cd_says_what_the_quick_interpreter_says(places: Places, tmp_path: pathlib.Path, name: str):
    obj = (RELEASES | RUNS)[name]
    shown = interpreter.health(obj)
    said = argocd(places, tmp_path, obj, "health")
    assert said == f"STATUS: {shown.status}\nMESSAGE: {shown.message}\n"


@pytest.mark.parametrize("name", RELEASES)
def test_argo_cd_offers_the_same_actions(places: Places, tmp_path: pathlib.Path, name: str):
    lines = argocd(places, tmp_path, RELEASES[name], "list-actions").splitlines()[1:]
    disabled = dict(line.split() for line in lines)
    offered = interpreter.actions(RELEASES[name])
    assert disabled == {action: str(not enabled).lower() for action, enabled in offered.items()}


@pytest.mark.parametrize("action", fragment.ACTIONS)
def test_an_action_changes_the_override_alone(places: Places, tmp_path: pathlib.Path, action: str):
    found = recorded.snapshot(OFFERED[action])[1]
    release = next(obj for obj in found if obj["kind"] == "ModelRelease")
    parameter = [] if action == "resume" else ["--param", f"reason={quick.WHY}"]
    said = argocd(places, tmp_path, release, "run-action", action, *parameter)
    changed = [line[1:].strip(" -") for line in said.splitlines() if line[:1] in "<>"]
    assert changed
    words = {line.partition(":")[0] for line in changed if line}
    assert words <= {
        *("approvals", "rejected", "retry", "paused", "override"),
        *("revision", "stage", "attempt", "reason"),
    }


def test_flux_says_what_the_few_lines_of_python_say(places: Places):
    newborn = {name: obj | {"status": {"observedGeneration": -1}} for name, obj in RELEASES.items()}
    stale = {
        name: obj | {"metadata": obj["metadata"] | {"generation": obj["metadata"]["generation"] + 1}}
        for name, obj in RELEASES.items()
    }
    every = [*RELEASES.values(), *newborn.values(), *stale.values()]
    done = subprocess.run(
        [str(places.binaries / "kstatus")],
        input="".join(f"{json.dumps(obj)}\n" for obj in every),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    said = [json.loads(line)["status"] for line in done.stdout.splitlines()]
    assert said == [kstatus(obj) for obj in every]
    assert set(said) == {"Current", "Failed", "InProgress"}


def test_the_configuration_is_valid(places: Places):
    done = subprocess.run(
        [
            *(str(places.binaries / "argocd"), "admin", "settings", "validate"),
            *("--argocd-cm-path", str(fragment.FILE)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "3 resource overrides" in done.stdout


def test_the_component_adds_to_what_argo_cd_knows(places: Places, tmp_path: pathlib.Path):
    known = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd"},
        "data": {"url": "https://argocd.example.invalid"},
    }
    (tmp_path / "known.yaml").write_text(yaml.safe_dump(known))
    component = os.path.relpath(fragment.FOLDER.resolve(), tmp_path.resolve())
    wanted = {"resources": ["known.yaml"], "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    kubectl = places.target.parent / "bin" / "kubectl"
    done = subprocess.run(
        [str(kubectl) if kubectl.exists() else "kubectl", "kustomize", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert yaml.safe_load(done.stdout)["data"] == known["data"] | fragment.data()
