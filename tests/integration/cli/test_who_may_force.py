"""The sample policy on a real API server: who may force and waive, and that everybody may pause."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import AdmissionregistrationV1Api, ApiClient, CustomObjectsApi

from hack.cluster import binaries
from tests.unit.api import rule_cases

SAMPLE = Path(__file__).parents[3] / "manifests" / "policies" / "who-may-force.yaml"
REVISION = "r5a87d75c60"
FORCED = {"forced": {"revision": REVISION, "reason": "INC-1"}}
WAIVED = {"waivers": [{"revision": REVISION, "check": "parity", "reason": "INC-1"}]}
PAUSED = {"paused": {"reason": "INC-1"}}


@pytest.fixture
def policy(api_client: ApiClient, namespace: str) -> Iterator[None]:
    """Install the sample, for this namespace alone."""
    policy, binding = yaml.safe_load_all(SAMPLE.read_text(encoding="utf-8"))
    policy["metadata"]["name"] = binding["metadata"]["name"] = binding["spec"]["policyName"] = (
        f"force-{namespace}"
    )
    own = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding["spec"]["matchResources"] = {"namespaceSelector": own}
    api = AdmissionregistrationV1Api(api_client)
    api.create_validating_admission_policy(policy)
    api.create_validating_admission_policy_binding(binding)
    yield
    api.delete_validating_admission_policy_binding(f"force-{namespace}")
    api.delete_validating_admission_policy(f"force-{namespace}")


class Release:
    """One release, edited by members of groups that may edit it."""

    def __init__(self, client: ApiClient, kubeconfig: str, namespace: str) -> None:
        built = binaries.KUBERNETES.target() / "kubectl"
        self.kubectl = [
            str(built) if built.exists() else "kubectl",
            "--kubeconfig",
            kubeconfig,
            "-n",
            namespace,
        ]
        CustomObjectsApi(client).create_namespaced_custom_object(
            "modelrelease.dev", "v1alpha1", namespace, "modelreleases", rule_cases.release(name="embedder")
        )

    def edit(self, override: dict[str, Any] | None, *groups: str) -> str:
        """Return what the API server says against it, or nothing."""
        members = [f"--as-group={group}" for group in ("system:masters", *groups)]
        said = ("patch", "modelrelease", "embedder", "--type=merge", "-p")
        patch = json.dumps({"spec": {"override": override}})
        done = subprocess.run(
            [*self.kubectl, "--as=jo", *members, *said, patch], capture_output=True, text=True, check=False
        )
        return done.stderr


def test_only_the_group_may_force_and_waive(
    policy: None, api_client: ApiClient, kubeconfig: str, namespace: str
):
    release = Release(api_client, kubeconfig, namespace)
    deadline = time.monotonic() + 60
    # A new policy acts a moment later: what it let through before is taken back.
    while "only the group sre-oncall may force" not in release.edit(FORCED):
        assert time.monotonic() < deadline, "the policy does not act"
        assert release.edit(None) == ""
    assert "only the group sre-oncall may waive" in release.edit(WAIVED)
    assert release.edit(PAUSED) == ""
    assert release.edit(FORCED, "sre-oncall") == ""
    # What stands is nobody's new word, and may be taken back by everybody.
    assert release.edit(PAUSED | FORCED) == ""
    assert "only the group" in release.edit({"forced": {"revision": REVISION, "reason": "another"}})
    assert release.edit({"forced": None}) == ""
    assert "only the group" in release.edit(FORCED)
