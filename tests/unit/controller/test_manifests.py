"""What is shipped: the rights and the pod of the operator."""

from pathlib import Path
from typing import Any

import yaml

BASE = Path(__file__).parents[3] / "manifests" / "base"


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((BASE / name).read_text(encoding="utf-8")))


def test_no_right_is_a_wildcard():
    for role in [*documents("cluster-role.yaml"), *documents("aggregated-roles.yaml")]:
        for rule in role["rules"]:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}


def test_the_operator_writes_no_spec_and_reads_no_secret_that_is_not_named():
    granted = {
        (resource, verb)
        for rule in documents("cluster-role.yaml")[0]["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {verb for resource, verb in granted if resource == "modelreleases"} == {"get", "list", "watch"}
    assert {verb for resource, verb in granted if resource == "secrets"} == {"get"}
    assert not any(resource in {"serviceaccounts/token", "pods/exec"} for resource, _ in granted)


def test_the_pod_is_alone_and_restricted():
    (deployment,) = documents("deployment.yaml")
    spec = deployment["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]) == (1, "Recreate")
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "POD_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}} in container["env"]
