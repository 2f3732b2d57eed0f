"""What people and pipelines wait for: ``kubectl wait`` and kstatus, from a release's first moment on."""

import datetime
import subprocess
from typing import Any

import pytest

from hack.cluster import binaries
from modelrelease.api import status
from tests.integration.api.conftest import Objects
from tests.simulation.kstatus import kstatus
from tests.unit.api import rule_cases

NOW = datetime.datetime(2026, 11, 21, 8, tzinfo=datetime.UTC)


@pytest.fixture
def name(releases: Objects) -> str:
    """Return a release that nobody has looked at yet."""
    created: str = releases.create(rule_cases.release())["metadata"]["name"]
    return created


def said(releases: Objects, name: str, **conditions: bool) -> None:
    """Say something about a release as it is now, as the operator does."""
    generation = releases.get(name)["metadata"]["generation"]
    found = [
        status.condition(
            (),
            kind,
            status.ConditionStatus.TRUE if true else status.ConditionStatus.FALSE,
            "Because",
            "",
            generation=generation,
            now=NOW,
        )
        for kind, true in conditions.items()
    ]
    shown = status.ReleaseStatus(observed_generation=generation, conditions=found)
    releases.set_status(name, shown.model_dump(mode="json", by_alias=True, exclude_none=True))


def waited(kubeconfig: str, releases: Objects, name: str, *words: str) -> bool:
    """Return whether ``kubectl wait`` ends well within a second."""
    built = binaries.KUBERNETES.target() / "kubectl"
    program = str(built) if built.exists() else "kubectl"
    where = ("--kubeconfig", kubeconfig, "-n", releases.namespace)
    command = [program, *where, "wait", f"modelrelease/{name}", *words, "--timeout=1s"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 or "timed out" in done.stderr, done.stderr
    return done.returncode == 0


def test_a_release_that_nobody_has_looked_at_is_in_progress(
    kubeconfig: str, releases: Objects, name: str
) -> None:
    born: dict[str, Any] = releases.get(name)
    assert born["status"] == {"observedGeneration": status.UNSEEN}
    assert kstatus(born) == "InProgress"
    assert not waited(kubeconfig, releases, name, "--for=condition=Ready")


def test_an_old_success_ends_no_wait(kubeconfig: str, releases: Objects, name: str) -> None:
    said(releases, name, Ready=True, Reconciling=False, Stalled=False)
    assert kstatus(releases.get(name)) == "Current"
    assert waited(kubeconfig, releases, name, "--for=condition=Ready")

    releases.merge(name, {"spec": {"model": {"version": "other"}}})
    assert kstatus(releases.get(name)) == "InProgress"
    for wanted in ("--for=condition=Ready", "--for=condition=Reconciling=False"):
        assert not waited(kubeconfig, releases, name, wanted)

    said(releases, name, Ready=True, Reconciling=True, Stalled=False)
    assert kstatus(releases.get(name)) == "InProgress"
    assert waited(kubeconfig, releases, name, "--for=condition=Ready"), "stable serves all the while"
    assert not waited(kubeconfig, releases, name, "--for=condition=Reconciling=False")

    said(releases, name, Ready=True, Reconciling=False, Stalled=True)
    assert kstatus(releases.get(name)) == "Failed"
    assert waited(kubeconfig, releases, name, "--for=condition=Stalled")
