"""A real API server: its address, our CRDs, and a namespace for each test."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import kubernetes
import pytest
import yaml
from kubernetes.client import ApiClient, ApiException, ApiextensionsV1Api, CoreV1Api, CustomObjectsApi

ROOT = Path(__file__).parents[2]
CRDS = ROOT / "crds"
APPLY = "application/apply-patch+yaml"
ESTABLISHED_SECONDS = 60
STEADY = 10
"""So many answers in a row: a new kind's storage is initialised once more after it was established."""


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """Return the path of a kubeconfig: ``MODELRELEASE_KUBECONFIG``, or that of the tool's control plane."""
    command = [sys.executable, "-m", "hack.cluster", "kubeconfig", "--control-plane"]
    path = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, text=True).stdout.strip()
    if not Path(path).exists():
        pytest.fail("no API server: run `python -m hack.cluster up --control-plane`", pytrace=False)
    return path


@pytest.fixture(scope="session")
def api_client(kubeconfig: str) -> ApiClient:
    """Return a client of an API server that knows our kinds."""
    client = kubernetes.config.new_client_from_config(kubeconfig)
    crds = ApiextensionsV1Api(client)
    names = []
    for path in sorted(CRDS.glob("modelrelease*.yaml")):
        definition = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        names.append(definition["metadata"]["name"])
        crds.patch_custom_resource_definition(
            names[-1], definition, field_manager="tests", force=True, _content_type=APPLY
        )
    deadline = time.monotonic() + ESTABLISHED_SECONDS
    while missing := [name for name in names if not _established(crds, name)]:
        assert time.monotonic() < deadline, f"{missing} did not become Established"
        time.sleep(0.1)
    answers = 0
    while answers < STEADY:
        assert time.monotonic() < deadline, "our kinds are not served"
        answers = answers + 1 if all(_served(client, name) for name in names) else 0
        time.sleep(0.1)
    return client


def _served(client: ApiClient, name: str) -> bool:
    plural, _, group = name.partition(".")
    try:
        CustomObjectsApi(client).list_cluster_custom_object(group, "v1alpha1", plural)
    except ApiException as error:
        if error.status not in {404, 429, 503}:
            raise
        return False
    return True


def _established(crds: ApiextensionsV1Api, name: str) -> bool:
    status = crds.read_custom_resource_definition(name).status
    conditions = status.conditions if status is not None else None
    return any(c.type == "Established" and c.status == "True" for c in conditions or ())


@pytest.fixture
def namespace(api_client: ApiClient) -> Iterator[str]:
    """Return a new namespace, which goes with the test."""
    core = CoreV1Api(api_client)
    name = core.create_namespace({"metadata": {"generateName": "test-"}}).metadata.name
    yield name
    try:
        core.delete_namespace(name)
    except ApiException as error:
        if error.status != 404:
            raise
