"""The real cluster without the operator of manifests/base, which is put back afterwards."""

import json
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from hack.cluster import paths
from hack.demo import stage
from hack.helm import programs, schema
from hack.images import registry
from tests.e2e.release import Release, toy_source

RELEASES = "chart-releases"
SYSTEM = "chart-system"
CRDS = ("modelreleases.modelrelease.dev", "modelreleaseruns.modelrelease.dev")
OPERATOR = "modelrelease-operator"


class Helm:
    """The installation ``modelrelease`` on the cluster."""

    def __init__(self, kubeconfig: pathlib.Path) -> None:
        self._kubeconfig = kubeconfig

    def __call__(self, verb: str, *words: str | pathlib.Path, values: Mapping[str, Any] | None = None) -> str:
        given = ("--values", "-") if values is not None else ()
        done = programs.run(
            programs.HELM,
            *(verb, "modelrelease", *words, *given),
            *("--namespace", SYSTEM, "--kubeconfig", self._kubeconfig, "--wait", "--timeout", "100s"),
            stdin=json.dumps(values or {}),
        )
        assert done.returncode == 0, f"helm {verb}: {done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def on() -> Iterator[stage.Stage]:
    """The cluster, without an operator; with that of manifests/base in the end."""
    found = stage.Stage(paths.kubeconfig(), registry.references())
    # As docs/install.md says for kustomize; CRDs and aggregated roles stay, and become the chart's.
    gone = (OPERATOR, "--ignore-not-found")
    found.kubectl("-n", stage.SYSTEM, "delete", "deployment,serviceaccount", *gone)
    found.kubectl("delete", "clusterrole,clusterrolebinding", *gone)
    yield found
    # What Helm wrote on the CRDs, which outlive it.
    marks = ["meta.helm.sh/release-name-", "meta.helm.sh/release-namespace-", "helm.sh/resource-policy-"]
    found.kubectl("annotate", "crd", *CRDS, *marks)
    found.kubectl("label", "crd", *CRDS, "app.kubernetes.io/managed-by-", "helm.sh/chart-")
    found.install()


@pytest.fixture
def helm(on: stage.Stage) -> Iterator[Helm]:
    """Helm; what it has installed goes with the test."""
    made = Helm(on.kube.kubeconfig)
    yield made
    made("uninstall", "--ignore-not-found")
    on.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found")


@pytest.fixture
def release(on: stage.Stage) -> Iterator[Release]:
    """A release of two toy servers, not applied yet."""
    on.kubectl("delete", "namespace", RELEASES, "--ignore-not-found")
    on.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASES}})
    on.kube.apply(toy_source(RELEASES))
    yield Release(on, RELEASES, "steady", replicas=2)
    on.kubectl("delete", "namespace", RELEASES)


@pytest.fixture
def changed_chart(tmp_path: pathlib.Path) -> pathlib.Path:
    """The chart of a later version, with one more column in a CRD."""
    folder = tmp_path / "modelrelease"
    shutil.copytree(schema.CHART, folder)
    path = folder / "files" / "crds" / "modelreleases.yaml"
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    column = {"name": "Later", "type": "string", "jsonPath": ".metadata.uid", "priority": 1}
    definition["spec"]["versions"][0]["additionalPrinterColumns"].append(column)
    path.write_text("# The header.\n" + yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    return folder
