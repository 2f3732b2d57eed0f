"""What `up` and `down` do, as lists of steps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from hack.argocd import daemons, objects, programs
from hack.argocd.places import NAMESPACE, Places
from hack.cluster import binaries, packages
from hack.cluster.commands import run
from hack.cluster.processes import Supervisor
from hack.cluster.steps import Step, StepError, wait_until

PACKAGES = ("git", "redis-server")
OURS = ",".join(f"{key}={value}" for key, value in objects.OURS.items())
START = "start the cluster: make cluster"
SERVED_SECONDS = 60.0


def kubectl(places: Places, *arguments: str, stdin: str = "", timeout: float = 120.0) -> str:
    """Run the cluster's own kubectl, or the one on the PATH."""
    own = places.target.parent / "bin" / "kubectl"
    program = str(own) if own.exists() else "kubectl"
    return run([program, "--kubeconfig", places.target, *arguments], hint=START, stdin=stdin, timeout=timeout)


class Lifecycle:
    """The steps for the Argo CD beside one cluster.

    Parameters
    ----------
    places : Places
        Its files and ports.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self._supervisor = Supervisor(places)

    def up(self) -> list[Step]:
        """Return the steps that bring it up, or repair it."""
        return [
            Step("system packages", lambda: packages.ensure(PACKAGES)),
            *binaries.steps(programs.ALL),
            Step("state and ports", self._prepare),
            Step("namespace, definitions, configuration", self._configure),
            *(Step(name, partial(self._start, name)) for name in daemons.NAMES),
        ]

    def down(self) -> list[Step]:
        """Return the steps that end it and leave the cluster as it was."""
        if not self.places.state.exists():
            return []
        return [
            Step("processes", self._end),
            Step("what it has in the cluster", self._forget),
            Step("state", self._remove),
        ]

    # --- Up -------------------------------------------------------------------------------------------------

    def _prepare(self) -> str:
        if not self.places.target.is_file():
            raise StepError(f"there is no cluster: {self.places.target} is no file", START)
        self.places.make()
        ended = self._supervisor.end_orphans()
        note = binaries.link_into(self.places.binaries, programs.ALL)
        return f"ended {ended} left over from an interrupted run" if ended else note

    def _configure(self) -> str:
        # Somebody's own Argo CD may be here: its definitions stay what they are.
        found = json.loads(kubectl(self.places, "get", "crd", "-o", "json"))["items"]
        present = {one["metadata"]["name"] for one in found if not _ours(one)}
        wanted = [_definition(path) for path in programs.definitions()]
        definitions = [one for one in wanted if one["metadata"]["name"] not in present]
        self._apply([objects.namespace(), *definitions])
        # `kubectl wait` fails on a definition that has no conditions yet, so it is no help here.
        if not wait_until(lambda: all(map(self._served, wanted)), SERVED_SECONDS, interval=0.5):
            raise StepError("the API server does not serve Argo CD's kinds", START)
        self._apply([*objects.configuration(), objects.project()])
        return ""

    def _served(self, definition: dict[str, Any]) -> bool:
        group, plural = definition["spec"]["group"], definition["spec"]["names"]["plural"]
        try:
            kubectl(self.places, "get", "--raw", f"/apis/{group}/v1alpha1/{plural}?limit=1")
        except StepError:
            return False
        return True

    def _apply(self, wanted: Sequence[dict[str, Any]]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(wanted)})
        manager = "--field-manager=modelrelease-hack"
        kubectl(self.places, "apply", "--server-side", manager, "-f", "-", stdin=text)

    def _start(self, name: str) -> str:
        return self._supervisor.ensure(daemons.daemons(self.places)[name])

    # --- Down -----------------------------------------------------------------------------------------------

    def _end(self) -> str:
        names = self._supervisor.names()
        for name in names:
            self._supervisor.stop(name)
        return f"ended {len(names) + self._supervisor.end_orphans()}"

    def _forget(self) -> str:
        if not self.places.target.is_file():
            return "the cluster is gone"
        kubectl(self.places, "delete", "crd", "-l", OURS, "--ignore-not-found")
        kubectl(self.places, "delete", "namespace", NAMESPACE, "--ignore-not-found")
        return ""

    def _remove(self) -> str:
        shutil.rmtree(self.places.state)
        return ""


def _ours(found: dict[str, Any]) -> bool:
    labels = found["metadata"].get("labels") or {}
    return objects.OURS.items() <= labels.items()


def _definition(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    found["metadata"]["labels"] = {**(found["metadata"].get("labels") or {}), **objects.OURS}
    return found
