"""A team that releases by commits alone, and the Argo CD that carries them out."""

import dataclasses
import json
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import yaml

from hack.argocd.places import NAMESPACE, Places
from hack.argocd.repository import BRANCH, Repository
from hack.demo import kube, stage
from tests.e2e.release import Release

T = TypeVar("T")
APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
SECONDS = 150


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """What an Application said at a moment."""

    commit: str
    sync: str
    health: str

    @classmethod
    def of(cls, application: kube.Object) -> "Seen":
        """Read an Application; one that is new has said nothing."""
        status = application.get("status") or {}
        sync, health = status.get("sync") or {}, status.get("health") or {}
        return cls(sync.get("revision", ""), sync.get("status", ""), health.get("status", ""))


class Application:
    """One Application with self-heal, whose folder in Git holds one release.

    Parameters
    ----------
    on
        The cluster.
    places
        The Argo CD.
    release
        What the folder holds; it is never applied by hand.
    options
        Sync options, such as ``ServerSideApply=true``.
    """

    def __init__(
        self, on: stage.Stage, places: Places, release: Release, options: tuple[str, ...] = ()
    ) -> None:
        self.on, self.places, self.release = on, places, release
        self.name = f"{release.namespace}-{release.name}"[:60].strip("-")
        self.path = f"{APPLICATIONS}/{self.name}"
        self.repository = Repository(places.repositories / self.name)
        self.repository.ensure()
        self.extra: dict[str, kube.Object] = {}
        self.manifest = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Application",
            "metadata": {"name": self.name, "namespace": NAMESPACE},
            "spec": {
                "project": "default",
                "source": {
                    "repoURL": self.repository.url,
                    "targetRevision": BRANCH,
                    "path": "releases",
                },
                "destination": {
                    "server": "https://kubernetes.default.svc",
                    "namespace": release.namespace,
                },
                "syncPolicy": {
                    "automated": {"selfHeal": True, "prune": True},
                    "syncOptions": list(options),
                },
            },
        }

    # --- What the team does -------------------------------------------------------------------------------

    def commit(self, message: str) -> str:
        """Commit the release as its manifest now is, tell Argo CD as a webhook does, return the commit."""
        objects = {"release": self.release.manifest} | self.extra
        files = {f"releases/{name}.yaml": yaml.safe_dump(obj) for name, obj in objects.items()}
        commit = self.repository.commit(files, message)
        self.refresh()
        return commit

    def revert(self) -> str:
        """Revert the last commit, and tell Argo CD."""
        commit = self.repository.revert()
        self.refresh()
        return commit

    def create(self) -> None:
        """Make the Application."""
        self.on.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(self.manifest))

    def refresh(self) -> None:
        """Do what a webhook of the Git server does; nothing while there is no Application yet."""
        if self.on.kube.get(self.path) is not None:
            mark = "argocd.argoproj.io/refresh=normal"
            self.on.kubectl("-n", NAMESPACE, "annotate", "application", self.name, mark, "--overwrite")

    def act(self, action: str) -> str:
        """Press a button of Argo CD's page, by its command line."""
        return self.argocd(
            *("app", "actions", "run", self.name, action),
            *("--kind", "ModelRelease", "--resource-name", self.release.name),
        )

    def argocd(self, *arguments: str) -> str:
        """Run Argo CD's command line against its server."""
        words = [str(self.places.binaries / "argocd"), "--server", self.places.server, "--plaintext"]
        done = subprocess.run([*words, *arguments], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            raise stage.Failed(f"argocd {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    # --- What people see ------------------------------------------------------------------------------------

    def seen(self) -> Seen:
        """Return what the Application says."""
        return Seen.of(self.on.kube.get(self.path) or {})

    def shown(self) -> tuple[str, str]:
        """Return health and message that Argo CD's page shows beside the release."""
        found = next((node.get("health", {}) for node in self._nodes() if node["kind"] == "ModelRelease"), {})
        return found.get("status", ""), found.get("message", "")

    def tree(self) -> set[str]:
        """Return the kinds that the page shows below the release."""
        return {node["kind"] for node in self._nodes()}

    def _nodes(self) -> list[dict[str, Any]]:
        address = f"http://{self.places.server}/api/v1/applications/{self.name}/resource-tree"
        with urllib.request.urlopen(address, timeout=20) as answer:
            return list(json.load(answer)["nodes"])

    def syncs(self) -> int:
        """Return how often Argo CD has applied something."""
        status = (self.on.kube.get(self.path) or {}).get("status") or {}
        return len(status.get("history", []))

    def operation(self) -> tuple[str, str]:
        """Return the phase of the last sync operation, and which commit it syncs."""
        found = ((self.on.kube.get(self.path) or {}).get("status") or {}).get("operationState") or {}
        synced = (found.get("operation") or {}).get("sync") or {}
        return found.get("phase", ""), synced.get("revision", "")

    def wait(self, what: str, look: Callable[[], T | None], seconds: float = SECONDS) -> T:
        """Look until something true is seen; a deadline that passes says what there was."""
        try:
            return self.on.wait(f"{self.name}: {what}", seconds, look)
        except stage.Failed as error:
            raise stage.Failed(f"{error}; {self.story()}") from None

    def wait_for(self, commit: str, health: str, seconds: float = SECONDS) -> None:
        """Wait until a commit is synced and the application has this health."""

        def reached() -> bool:
            seen = self.seen()
            return (seen.commit, seen.sync, seen.health) == (commit, "Synced", health)

        self.wait(f"{commit[:7]} to be Synced and {health}", reached, seconds)

    def story(self) -> str:
        """Tell what is known about the application."""
        status = dict((self.on.kube.get(self.path) or {}).get("status") or {})
        status.pop("history", None)
        said = (self.release.release().get("status") or {}).get("message", "nothing")
        return f"the release says {said!r}; the application: {json.dumps(status)[:4000]}"


class Watcher(threading.Thread):
    """Looks at an application all the time."""

    def __init__(self, application: Application) -> None:
        super().__init__(daemon=True)
        self._path, self._over = application.path, threading.Event()
        # A connection of its own: the test's is in use.
        self._kube = kube.Kube(application.on.kube.kubeconfig)
        self.found: list[Seen] = []

    def run(self) -> None:
        """Look until told to end."""
        while not self._over.wait(0.1):
            # An API server that is slow for once says nothing about drift.
            with suppress(kube.Unreachable):
                seen = Seen.of(self._kube.get(self._path) or {})
                if self.found[-1:] != [seen]:
                    self.found.append(seen)

    def end(self) -> None:
        """Stop looking."""
        self._over.set()
        self.join(timeout=30)

    def healths(self, commit: str) -> list[str]:
        """Return the healths of a synced commit in their order, each change once."""
        found: list[str] = []
        for seen in self.found:
            if (seen.commit, seen.sync) == (commit, "Synced") and found[-1:] != [seen.health]:
                found.append(seen.health)
        return found

    def drifted(self) -> list[Seen]:
        """Return where an application was out of sync although its commit had been synced."""
        synced: set[str] = set()
        found = []
        for seen in self.found:
            if seen.sync == "Synced":
                synced.add(seen.commit)
            elif seen.commit in synced:
                found.append(seen)
        return found


@contextmanager
def watching(application: Application) -> Iterator[Watcher]:
    """Look at an application while the block runs."""
    watcher = Watcher(application)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.end()
