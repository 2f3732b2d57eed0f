"""With a Role in each of its namespaces and no ClusterRole, as chart and kustomize install it for them."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient, CoreV1Api, RbacAuthorizationV1Api

from tests.integration.controller import conftest
from tests.integration.controller.test_process import manifest

BASE = Path(__file__).parents[3] / "manifests" / "base"
CLUSTER_SCOPED = {"nodes", "priorityclasses"}


@contextlib.contextmanager
def new_namespace(api_client: ApiClient) -> Iterator[str]:
    core = CoreV1Api(api_client)
    name = core.create_namespace({"metadata": {"generateName": "test-"}}).metadata.name
    try:
        yield name
    finally:
        core.delete_namespace(name)


@pytest.fixture
def elsewhere(api_client: ApiClient) -> Iterator[tuple[str, str]]:
    """A second namespace that is served, and one that is not."""
    with new_namespace(api_client) as second, new_namespace(api_client) as foreign:
        yield second, foreign


@pytest.fixture
def roles(
    api_client: ApiClient, kubeconfig: str, namespace: str, elsewhere: tuple[str, str], tmp_path: Path
) -> str:
    """A kubeconfig of somebody who has the operator's Role in two namespaces, and no right beyond."""
    core, rules = CoreV1Api(api_client), RbacAuthorizationV1Api(api_client)
    shipped = yaml.safe_load((BASE / "cluster-role.yaml").read_text(encoding="utf-8"))["rules"]
    core.create_namespaced_service_account(namespace, {"metadata": {"name": "operator"}})
    token = core.create_namespaced_service_account_token("operator", namespace, {"spec": {}}).status.token
    for served in (namespace, elsewhere[0]):
        named = {"metadata": {"name": "operator"}}
        own = [rule for rule in shipped if not CLUSTER_SCOPED & set(rule["resources"])]
        rules.create_namespaced_role(served, {**named, "rules": own})
        rules.create_namespaced_role_binding(
            served,
            {
                **named,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
                "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
            },
        )
    admin = yaml.safe_load(Path(kubeconfig).read_text(encoding="utf-8"))
    admin["users"] = [{"name": user["name"], "user": {"token": token}} for user in admin["users"]]
    path = tmp_path / "roles.kubeconfig"
    path.write_text(yaml.safe_dump(admin), encoding="utf-8")
    return str(path)


@pytest.fixture
def restricted(
    roles: str, namespace: str, elsewhere: tuple[str, str], tmp_path: Path
) -> Iterator[conftest.Operator]:
    """The operator for two namespaces."""
    made = conftest.Operator(roles, f"{namespace},{elsewhere[0]}", tmp_path / "operator.log")
    yield made
    made.kill()
    sys.stdout.write(made.log())  # pytest shows it when the test fails


def test_it_serves_its_namespaces_and_looks_at_no_other(
    restricted: conftest.Operator,
    api_client: ApiClient,
    namespace: str,
    elsewhere: tuple[str, str],
    until: Callable[..., Any],
):
    first, second, foreign = (
        conftest.Cluster(api_client, name) for name in (namespace, elsewhere[0], elsewhere[1])
    )
    for cluster in (first, second, foreign):
        cluster.create(manifest("served"))
    restricted.start()
    for cluster in (first, second):
        until(lambda c=cluster: c.condition("served", "Ready").get("status") == "True", "Ready")
        assert [run["status"]["outcome"] for run in cluster.runs()] == ["Promoted"]
    assert restricted.get("/readyz") == (200, "ok: 2 releases")
    assert "conditions" not in foreign.release("served").get("status", {}), "nobody looked at it"
    assert foreign.runs() == []
    refused = [line for line in restricted.log().splitlines() if "forbidden" in line]
    assert all("nodes is forbidden" in line for line in refused), "what it does without"
