"""What a real API server says of the Job that a check becomes, and of a template with the model's files."""

import copy
from typing import Any

import pytest

from modelrelease.api import artifact as artifacts
from modelrelease.checks import jobs, subjects
from modelrelease.cluster import api, client, manifests
from modelrelease.cluster import artifacts as cluster_artifacts
from tests.unit.checks import given

NAMESPACE = api.Kind("v1", "Namespace", "namespaces")
DIGEST = "sha256:" + "a" * 64
IMAGE = f"registry.example.test/golden@{DIGEST}"


@pytest.fixture
async def restricted(port: client.KubernetesApi, namespace: str) -> str:
    enforced = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await port.merge(NAMESPACE, "", namespace, enforced)
    return namespace


async def accepted(port: client.KubernetesApi, namespace: str, template: dict[str, Any]) -> dict[str, Any]:
    """Return the spec of a pod from a template, as the API server takes it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": template["metadata"] | {"name": "pod", "namespace": namespace},
        "spec": copy.deepcopy(template["spec"]) | {"serviceAccountName": "default"},
    }
    found: dict[str, Any] = (await port.create(api.POD, pod, dry_run=True))["spec"]
    return found


async def test_a_job_is_valid_and_its_pod_fits_the_restricted_standard(
    port: client.KubernetesApi, restricted: str
):
    job = given.job()
    job["metadata"]["namespace"] = restricted
    del job["metadata"]["uid"]
    stored = await port.create(api.JOB, job, dry_run=True)
    assert stored["spec"]["podFailurePolicy"] == job["spec"]["podFailurePolicy"]
    await accepted(port, restricted, job["spec"]["template"])


@pytest.mark.parametrize(
    "volume",
    [
        {"configMap": {"name": "golden"}},
        {"secret": {"secretName": "golden"}},
        {"persistentVolumeClaim": {"claimName": "golden"}},
        {"image": {"reference": IMAGE}},
    ],
    ids=lambda volume: next(iter(volume)),
)
async def test_every_delivery_of_a_golden_set_is_a_valid_volume(
    port: client.KubernetesApi, restricted: str, volume: dict[str, Any]
):
    run = given.run(
        goldenSets=[{"name": "judged", "volume": volume}],
        checks=[{"name": "p", "embeddingParity": {"goldenSet": "judged"}}],
    )
    job = jobs.render(given.subject("p", run), subjects.Opponents(), jobs.Settings("checks:1"))
    spec = await accepted(port, restricted, job["spec"]["template"])
    (golden,) = [found for found in spec["volumes"] if found["name"] == "golden"]
    assert set(golden) == {"name", *volume}


KEY = {"name": "quality", "key": "key"}
OWN = {
    "job": {
        "image": "example.test/quality:1",
        "command": ["/check"],
        "args": ["$(MODELRELEASE_URL)"],
        "env": [
            {"name": "A", "value": "$(MODELRELEASE_URL)/v1"},
            {"name": "B", "valueFrom": {"secretKeyRef": KEY}},
            {"name": "C", "valueFrom": {"configMapKeyRef": KEY}},
        ],
        "mounts": [
            {"path": "/data", "volume": {"secret": {"secretName": "data"}}},
            {"path": "/set", "volume": {"image": {"reference": IMAGE}}},
        ],
        "goldenSet": "judged",
        "runAsUser": 1000,
    },
    "webhook": {
        "url": "https://quality.example.test/check",
        "signingKeyRef": KEY,
        "authorizationRef": KEY,
        "caBundleRef": KEY,
    },
}


@pytest.mark.parametrize("kind", OWN)
async def test_a_check_of_the_teams_own_is_valid_and_fits_the_restricted_standard(
    port: client.KubernetesApi, restricted: str, kind: str
):
    run = given.run(
        goldenSets=[{"name": "judged", "volume": {"configMap": {"name": "golden"}}}],
        checks=[{"name": "p", "custom": {kind: OWN[kind]}}],
    )
    job = jobs.render(given.subject("p", run), subjects.Opponents(), jobs.Settings("checks:1"))
    job["metadata"]["namespace"] = restricted
    await port.create(api.JOB, job, dry_run=True)
    await accepted(port, restricted, job["spec"]["template"])


@pytest.mark.parametrize("uri", ["pvc://models/bge/3", f"image://{IMAGE}", f"hf://BAAI/bge-m3@{'b' * 40}"])
async def test_a_template_with_the_models_files_is_valid_and_fits_the_restricted_standard(
    port: client.KubernetesApi, restricted: str, uri: str
):
    container = {
        "name": "server",
        "image": "server:1",
        "args": ["--model", "$(MODEL_DIR)"],
        "ports": [{"name": "model", "containerPort": 8000}],
        "securityContext": {
            "runAsUser": 1000,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    digest = None if uri.startswith("hf://") else DIGEST
    artifact = artifacts.Artifact(uri=uri, digest=digest)
    rendered = cluster_artifacts.rendered(
        {"spec": {"containers": [container]}}, artifact, ["tokenizer.json"], "checks:1"
    )
    template = manifests.rendered_template(rendered, "embedder", "r0123456789")
    owner = manifests.Owner(api.RELEASE, restricted, "embedder", "uid")
    deployment = manifests.deployment(owner, "r0123456789", template)
    await port.create(api.DEPLOYMENT, deployment, dry_run=True)
    spec = await accepted(port, restricted, template)
    assert [c["name"] for c in spec.get("initContainers") or ()] == (
        ["modelrelease-artifact"] if digest else []
    )
