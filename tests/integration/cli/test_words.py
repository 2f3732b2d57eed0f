"""Words of a person on releases that others apply, by the real kubectl: nothing else may change."""

import json
import subprocess
from typing import Any

import pytest
from kubernetes.client import ApiClient, CustomObjectsApi

from hack.cluster import binaries
from modelrelease.api import constants
from modelrelease.cli.mrel import kubectl, main, shell
from tests.unit.api import rule_cases

STABLE = "r0123456789"


def program() -> str:
    built = binaries.KUBERNETES.target() / "kubectl"
    return str(built) if built.exists() else "kubectl"


@pytest.mark.parametrize("how", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_one_word_after_the_other_changes_the_override_alone(
    api_client: ApiClient, kubeconfig: str, namespace: str, how: tuple[str, ...]
) -> None:
    manifest = rule_cases.release({"checks": [{"name": "one", "contract": {}}]})
    name = manifest["metadata"]["name"] = "embedder"
    where = ("--kubeconfig", kubeconfig, "-n", namespace)

    def applied() -> None:
        command = [program(), *where, "apply", *how, "-f", "-"]
        subprocess.run(command, input=json.dumps(manifest), text=True, check=True, timeout=60)

    releases = CustomObjectsApi(api_client)
    kind = (constants.GROUP, constants.VERSION, namespace, constants.RELEASE_PLURAL)

    def release() -> dict[str, Any]:
        found: dict[str, Any] = releases.get_namespaced_custom_object(*kind, name)
        return found

    def say(*words: str) -> dict[str, Any]:
        here = shell.Shell(environ={}, connect=lambda options: kubectl.Kubectl(options, program()))
        options = ("-n", namespace, f"--kubeconfig={kubeconfig}", "--yes", "--reason=INC-7")
        assert main.run([words[0], name, *words[1:], *options], here) == 0
        spec = release()["spec"]
        said: dict[str, Any] = spec.pop("override", {})
        assert spec == before
        return said

    applied()
    stable = {"status": {"observedGeneration": 1, "stable": {"revision": STABLE}}}
    merge = "application/merge-patch+json"
    releases.patch_namespaced_custom_object_status(*kind, name, stable, _content_type=merge)
    before = release()["spec"]
    assert say("pause") == {"paused": {"reason": "INC-7"}}
    assert set(say("pin", STABLE)) == {"paused", "pinned"}
    assert set(say("resume")) == {"pinned"}
    assert say("unpin") == {}
    say("pause")
    # Whoever applies takes nothing of it back.
    applied()
    assert release()["spec"]["override"] == {"paused": {"reason": "INC-7"}}
