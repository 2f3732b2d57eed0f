"""The cluster with the operator on it, and a namespace for each test."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from hack.cluster import locks, paths
from hack.demo import kube, stage
from hack.images import registry
from tests.e2e.operator_pod import OperatorPod
from tests.e2e.release import Release, toy_source

LABEL = "e2e.modelrelease.dev/test"
EARLY = ("test_lives", "test_images")
"""The lives measure latency, on a machine that is still quiet; the longest test must not begin last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in EARLY)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let ``-k`` choose from one of the two sets alone: ``make test-e2e`` passes it to both."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.option.keyword:
        session.exitstatus = pytest.ExitCode.OK


@pytest.fixture(scope="session")
def on() -> stage.Stage:
    """The cluster that was started, or that MODELRELEASE_KUBECONFIG names."""
    return stage.Stage(paths.kubeconfig(), registry.references())


@pytest.fixture(scope="session")
def operator(on: stage.Stage, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> OperatorPod:
    """The operator, installed from its image as a user would: once, by the first of several workers."""
    shared = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        shared = shared.parent
    installed = shared / "operator-installed"
    with locks.lock(shared / "operator.lock"):
        if not installed.exists():
            for left in on.kube.items("/api/v1/namespaces", LABEL):
                on.kube.delete(f"/api/v1/namespaces/{left['metadata']['name']}")
            on.install()
            installed.touch()
    return OperatorPod(on)


class Releases:
    """The namespace of one test; called with a name, it makes a release, not applied yet."""

    def __init__(self, on: stage.Stage, namespace: str) -> None:
        self.on, self.namespace = on, namespace
        self.made: list[Release] = []

    def __call__(self, name: str, **spec: Any) -> Release:
        made = Release(self.on, self.namespace, name, **spec)
        self.made.append(made)
        return made

    def all_stable(self) -> dict[str, str]:
        """Release all that were made for the first time, at once; return the stable revisions by name."""
        runs = [(made, made.commit_run()) for made in self.made]
        return {made.name: made.promoted(run) for made, run in runs}

    def story(self) -> str:
        """Tell what there is, for a test that has failed."""
        told = [f"=== {made.name}\n{made.story()}" for made in self.made]
        told.append(self.on.kubectl("-n", self.namespace, "get", "pods,jobs,services", "-o", "wide"))
        told.append(
            self.on.kubectl("-n", self.namespace, "get", "events", "--sort-by=.metadata.creationTimestamp")
        )
        return "\n".join(told)


@pytest.fixture
def releases(on: stage.Stage, operator: OperatorPod, request: pytest.FixtureRequest) -> Iterator[Releases]:
    """A namespace for the test, deleted afterwards."""
    said = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    namespace = f"e2e-{said[5:50].strip('-')}"
    path = f"/api/v1/namespaces/{namespace}"
    on.wait("an old namespace to go", 120, lambda: _gone(on, path))
    on.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {LABEL: "true"}},
        }
    )
    on.kube.apply(toy_source(namespace))
    yield Releases(on, namespace)
    on.kube.delete(path)


def _gone(on: stage.Stage, path: str) -> bool:
    found = on.kube.get(path)
    if found is not None and "deletionTimestamp" not in found["metadata"]:
        on.kube.delete(path)
    return found is None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    arguments = getattr(item, "funcargs", {})
    if report.when == "call" and report.failed and "releases" in arguments:
        for title, tell in (
            ("releases", arguments["releases"].story),
            ("operator", arguments["operator"].log),
        ):
            try:
                report.sections.append((title, tell()))
            except (stage.Failed, kube.Unreachable) as error:
                report.sections.append((title, f"can't be told: {error}"))
    return report
