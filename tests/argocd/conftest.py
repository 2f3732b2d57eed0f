"""The Argo CD that ``python -m hack.argocd up`` has started, beside the cluster with the operator on it."""

import pytest

from hack.argocd.places import Places
from hack.cluster.paths import ClusterPaths
from tests.argocd.gitops import APPLICATIONS, Application
from tests.e2e.conftest import Releases, on, operator, releases

__all__ = ["on", "operator", "releases"]  # fixtures of the end-to-end tests, which these are


@pytest.fixture(scope="session")
def places() -> Places:
    """Where the Argo CD and its programs are."""
    found = Places(ClusterPaths())
    assert found.state.exists(), "not up: python -m hack.argocd up"
    return found


class Applications:
    """Applications of one test."""

    def __init__(self, places: Places, releases: Releases) -> None:
        self.places, self.releases = places, releases
        self.made: list[Application] = []

    def __call__(self, name: str, *options: str, **spec: object) -> Application:
        """Return an application for a release of that name; nothing is applied or committed yet."""
        release = self.releases(name, **spec)
        made = Application(self.releases.on, self.places, release, options)
        self.made.append(made)
        return made


@pytest.fixture
def applications(places: Places, releases: Releases):
    """Return applications that go with the test; their objects go with its namespace."""
    found = Applications(places, releases)
    yield found
    for made in found.made:
        releases.on.kube.delete(f"{APPLICATIONS}/{made.name}")
    # Argo CD guards a hook until its operation is over; a test that failed before would leave it for ever.
    for left in releases.on.kube.items(f"/apis/batch/v1/namespaces/{releases.namespace}/jobs"):
        if "argocd.argoproj.io/hook-finalizer" in left["metadata"].get("finalizers", ()):
            where = ("-n", releases.namespace, "patch", "job", left["metadata"]["name"])
            releases.on.kubectl(*where, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
